"""HTTP errors as JSON. No error repeats what the client sent."""

import asyncio
import json
import re
import traceback
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from gatewise.errors import InputError


@dataclass(eq=False)  # not frozen: Python sets the traceback on it
class HTTPError(Exception):
    """An HTTP error response.

    code: one word for a program. message: one line for a person. field: the part of the request that is wrong: a path
    in its JSON (`body` is all of it), a path or query parameter, or a header; None where no change of the request
    helps. The field of an unknown name is the object that holds it, because the name is the client's. headers: further
    headers of the response.
    """

    status: int
    code: str
    message: str
    field: str | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def body(self, path: str) -> bytes:
        """The JSON body. Below /v2 it follows the Open Inference Protocol, whose errors are one string: the field and
        the message.
        """
        if not path.startswith("/v2"):
            return json.dumps({"error": {"code": self.code, "field": self.field, "message": self.message}}).encode()
        message = self.message
        if self.field is not None and not message.startswith(self.field):
            message = f"{self.field}: {message}"
        return json.dumps({"error": message}).encode()


def http_error(error: BaseException) -> HTTPError:
    """The response to an exception. An exception of an unknown type is a failure of the server (500)."""
    if isinstance(error, HTTPError):
        return error
    if isinstance(error, InputError):
        message = re.sub("'.*'", "'…'", str(error), flags=re.DOTALL)  # a quoted text is the client's own
        return HTTPError(400, getattr(error, "code", "input"), message, getattr(error, "field", "body"))
    if isinstance(error, HTTPException) and error.status_code == 405:
        methods = (error.headers or {}).get("Allow", "")
        if methods == "GET":  # the security middleware answers HEAD as GET
            methods = "GET, HEAD"
        allow = (b"allow", methods.encode())
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


def place_of(error: BaseException) -> str:
    """The file and line that raised an exception, for the log. Its message may hold a user's text."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


def stopping() -> HTTPError:
    """The response to a request that arrives while the server stops. The client can send it to another server."""
    return HTTPError(503, "stopping", "the server is stopping", headers=((b"connection", b"close"),))
