"""HTTP errors as JSON. No error repeats what the client sent."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass


@dataclass(eq=False)  # not frozen: Python sets the traceback on it
class HTTPError(Exception):
    """An HTTP error response.

    code: one word for a program. message: one line for a person. field: the path in the request's JSON that the error
    is about. headers: further response headers.
    """

    status: int
    code: str
    message: str
    field: str | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def body(self, path: str) -> bytes:
        """The JSON body: in the format of the Open Inference Protocol below /v2, in our own format elsewhere."""
        if path.startswith("/v2"):
            return json.dumps({"error": self.message}).encode()
        return json.dumps({"error": {"code": self.code, "field": self.field, "message": self.message}}).encode()


def without_quotes(error: Exception) -> str:
    """The message of `error` with each quoted text replaced by '…': a response must not repeat the request."""
    return re.sub("'.*'", "'…'", str(error), flags=re.DOTALL)
