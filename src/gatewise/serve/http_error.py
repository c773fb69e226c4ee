"""HTTP errors as JSON. No error repeats what the client sent."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from gatewise.errors import InputError


@dataclass(eq=False)  # not frozen: Python sets the traceback on it
class HTTPError(Exception):
    """An HTTP error response.

    code: one word for a program. message: one line for a person. field: what in the request the error is about: a path
    in its JSON (`body` is all of it), a path or query parameter, or a header; None for an error that no change of the
    request mends. An unknown name is the client's own, so the field is then what holds it. headers: of the response.
    """

    status: int
    code: str
    message: str
    field: str | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()

    @staticmethod
    def of(error: InputError, field: str = "body") -> HTTPError:
        """The response to a request that the library refuses. field: of an error that names none."""
        message = re.sub("'.*'", "'…'", str(error), flags=re.DOTALL)  # a quoted text is the client's own
        return HTTPError(400, getattr(error, "code", "input"), message, getattr(error, "field", field))

    def body(self, path: str) -> bytes:
        """The JSON body. Below /v2, in the format of the Open Inference Protocol, it has one string, which begins with
        the field.
        """
        if path.startswith("/v2"):
            named = self.field is None or self.message.startswith(self.field)
            return json.dumps({"error": self.message if named else f"{self.field}: {self.message}"}).encode()
        return json.dumps({"error": {"code": self.code, "field": self.field, "message": self.message}}).encode()
