"""HTTP errors as JSON. No error repeats what the client sent."""

import asyncio
import json
import re
from dataclasses import dataclass
from http import HTTPStatus

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

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

    def body(self, path: str) -> bytes:
        """The JSON body. Below /v2, in the format of the Open Inference Protocol, it has one string, which begins with
        the field.
        """
        if path.startswith("/v2"):
            named = self.field is None or self.message.startswith(self.field)
            return json.dumps({"error": self.message if named else f"{self.field}: {self.message}"}).encode()
        return json.dumps({"error": {"code": self.code, "field": self.field, "message": self.message}}).encode()


def http_error(error: BaseException) -> HTTPError:
    """What a client is told of an exception: of a request that the library refuses, a route that does not exist, a
    parameter that FastAPI refuses, a server that stops; anything else is a failure of the server.
    """
    if isinstance(error, HTTPError):
        return error
    if isinstance(error, InputError):
        message = re.sub("'.*'", "'…'", str(error), flags=re.DOTALL)  # a quoted text is the client's own
        return HTTPError(400, getattr(error, "code", "input"), message, getattr(error, "field", "body"))
    if isinstance(error, HTTPException) and error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        allow = (b"allow", b"GET, HEAD" if allowed == "GET" else allowed.encode())
        return HTTPError(405, "method_not_allowed", "the path does not support this method", "method", (allow,))
    if isinstance(error, HTTPException) and error.status_code == 404:
        return HTTPError(404, "not_found", "there is no such path", "path")
    if isinstance(error, HTTPException) and error.status_code < 500:
        return HTTPError(error.status_code, "bad_request", HTTPStatus(error.status_code).phrase, "body")
    if isinstance(error, RequestValidationError):  # its own message would repeat the parameter
        field = str(error.errors()[0]["loc"][-1])
        return HTTPError(422, "bad_field", "a parameter is out of range or not valid", field)
    if isinstance(error, asyncio.CancelledError):  # the shutdown timeout is over
        return stopping()
    return HTTPError(500, "internal", "the server failed; its log says where")


def stopping() -> HTTPError:
    """What a client is told whose request the server does not answer any more. It can send it to another server."""
    return HTTPError(503, "stopping", "the server is stopping", headers=((b"connection", b"close"),))
