"""The checks that every request passes first, the headers of every response, its metrics and its line in the log.

In this order: Host, token, Origin and Sec-Fetch-Site, Content-Type, query parameters, Content-Encoding, size, and the
time in which the body must arrive. No error repeats what the client sent, and no exception's message reaches the log:
it may hold a user's text.
"""

import asyncio
import base64
import binascii
import hmac
import itertools
import json
import logging
import re
import secrets
import sys
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from gatewise.serve.http_error import HTTPError, http_error, place_of, stopping
from gatewise.serve.state import State

log = logging.getLogger("gatewise.serve")

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors {}; require-trusted-types-for 'script'"
)
_OTHER_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


def security_headers(allow_frames: tuple[str, ...] = ()) -> tuple[tuple[bytes, bytes], ...]:
    """The headers of every response. allow_frames: the origins whose pages may show a page of the server in a frame;
    by default none may, so that no other site can place a page under the user's pointer (clickjacking).
    """
    ancestors = " ".join(allow_frames) or "'none'"
    return ((b"content-security-policy", _POLICY.format(ancestors).encode()), *_OTHER_HEADERS)


SECURITY_HEADERS = security_headers()
_NO_STORE = (b"cache-control", b"no-store")
_CLOSE = (b"connection", b"close")
_WITHOUT_TOKEN = frozenset({"/v2/health/live", "/v2/health/ready"})  # for health checks; they reveal nothing
_SINGLE = b"host authorization origin content-type content-length content-encoding transfer-encoding".split()
_CHALLENGE = (b"www-authenticate", b'Basic realm="gatewise", charset="UTF-8"')
_WINDOWS = {b"gzip": 31, b"deflate": 15}  # of zlib, by Content-Encoding
_REQUEST_ID = re.compile(rb"[\w.:/+=-]{1,128}", re.ASCII)
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context
_NUMBERS = itertools.count()

Scope = MutableMapping[str, Any]

# Entries that the server adds to the scope of a request.
DISCONNECTED = "gatewise.disconnected"  # a function: whether the client has closed its connection
ARRIVING_SINCE = "gatewise.arriving_since"  # a function: when the first byte arrived; None once all have arrived
CONNECTION = "gatewise.connection"  # the `WebSocketConnection`, of a WebSocket
MODEL = "gatewise.model"  # the name of the model that answers, for the log and the metrics
Headers = Mapping[bytes, bytes]
Handler = Callable[[Scope, bytes], Awaitable[bytes]]


@dataclass(eq=False)
class SecurityMiddleware:
    """ASGI middleware around `app`. hosts: accepted Host headers.

    direct: handlers of POST routes by path, `(scope, body) -> JSON`, that bypass the application: its layers take
    longer than the rest of a small request. websocket: the handler of WebSockets, `(receive, send) -> name of the
    model`. parameters: the names of the query parameters of a path.
    """

    app: Any
    state: State
    hosts: frozenset[bytes]
    direct: Mapping[str, Handler]
    websocket: Callable[[Scope, Any, Any], Awaitable[str]]
    parameters: Callable[[str], frozenset[str]]
    _process: str = field(default_factory=lambda: secrets.token_hex(6))  # begins the ids of its requests

    def __post_init__(self) -> None:
        self._security_headers = security_headers(self.state.settings.allow_frames)

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await self._serve_websocket(scope, receive, send)
            return
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0
        arrived_late = self.state.refusing and scope["path"] not in _WITHOUT_TOKEN
        disconnected = disconnected_of(scope)
        if scope["method"] == "HEAD":
            # It is answered as GET. uvicorn, which has the client's own scope, sends the headers alone.
            scope = {**scope, "method": "GET"}
        is_post = scope["method"] == "POST"
        headers = dict(scope["headers"])
        identity = _identity(headers, self._process)

        async def send_secured(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                sent = [*message["headers"], *self._security_headers, *identity]
                if not any(name == b"cache-control" for name, _ in sent):
                    sent.append(_NO_STORE)
                if not self.state.ready and _CLOSE not in sent:
                    sent.append(_CLOSE)
                message["headers"] = sent
            disconnected()  # notes it for uvicorn, too, which would write to a closed transport
            await send(message)

        try:
            self._check_headers(scope, headers)
            body: bytes | None = b""
            if is_post:
                body = await self._read_body(scope, headers, receive)
            if arrived_late:  # after its body, which would otherwise reset the connection before the client reads this
                raise stopping()

            async def receive_body() -> dict[str, Any]:
                nonlocal body
                if body is None:
                    return dict(await receive())
                message = {"type": "http.request", "body": body, "more_body": False}
                body = None
                return message

            if is_post and scope["path"] in self.direct and body is not None:
                answer = await self.direct[scope["path"]](scope, body)
                await _send_json(200, answer, (), send_secured)
            else:
                await self.app(scope, receive_body, send_secured)
        except (Exception, asyncio.CancelledError) as error:
            failure = http_error(error)
            if failure.status == 500:
                where = f"{place_of(error)}, request {identity[0][1].decode()}"
                log.error("%s %s failed: %s at %s", scope["method"], _route(scope, 500), type(error).__name__, where)
            if not status:
                await _send_json(failure.status, failure.body(scope["path"]), failure.headers, send_secured)
        self._record(scope, identity, status, time.perf_counter() - started)

    async def _serve_websocket(self, scope: Scope, receive: Any, send: Any) -> None:
        """Accept a WebSocket that passes the checks of headers, or answer its request with an error."""
        started = time.perf_counter()
        scope["method"] = "GET"
        headers = dict(scope["headers"])
        identity = _identity(headers, self._process)
        sent = [*self._security_headers, *identity, _NO_STORE]
        status = 101
        try:
            self._check_headers(scope, headers)
            # A page of any site can make a browser open a WebSocket, with the browser's password.
            self._check_origin(headers)
            if self.state.refusing:
                raise stopping()
        except HTTPError as failure:
            status = failure.status
            body = failure.body(scope["path"])
            sent += [(b"content-type", b"application/json"), *failure.headers]
            await send({"type": "websocket.http.response.start", "status": status, "headers": sent})
            await send({"type": "websocket.http.response.body", "body": body})
        else:
            await receive()  # websocket.connect
            await send({"type": "websocket.accept", "headers": sent})
            scope[MODEL] = await self.websocket(scope, receive, send)
        self._record(scope, identity, status, time.perf_counter() - started)

    def _record(self, scope: Scope, identity: list[tuple[bytes, bytes]], status: int, seconds: float) -> None:
        """Count a response in the metrics, and write its line of the access log."""
        route = scope["path"]
        if scope["type"] != "websocket" and route not in self.direct:
            route = _route(scope, status)
        model = scope.get(MODEL, "")
        self.state.metrics.request(route, model, status, seconds)
        if not self.state.settings.access_log:
            return
        line: dict[str, Any] = {"time": datetime.now(UTC).isoformat(timespec="milliseconds")}
        line |= {name.decode().removeprefix("x-"): value.decode() for name, value in identity}
        line |= {"method": scope["method"], "route": route, "status": status, "model": model}
        line["ms"] = round(seconds * 1e3, 3)
        print(json.dumps(line), file=sys.stderr, flush=True)

    def _check_headers(self, scope: Scope, headers: Headers) -> None:
        """Raise HTTPError unless the request passes all checks of headers."""
        if len(headers) < len(scope["headers"]):  # a mapping has a repeated header once
            names = [name for name, _ in scope["headers"]]
            if repeated := [name for name in _SINGLE if names.count(name) > 1]:
                raise HTTPError(400, "bad_header", "a header occurs twice", repeated[0].decode())
        if self.state.settings.uds is None and headers.get(b"host", b"").lower() not in self.hosts:
            raise HTTPError(421, "wrong_host", "the server does not accept this Host; see --allow-host", "host")
        token = self.state.settings.token_of(scope["path"])
        if token is not None and scope["path"] not in _WITHOUT_TOKEN and not _is_authorized(headers, token):
            raise HTTPError(
                401, "token", "a token is required: Authorization: Bearer TOKEN", "authorization", (_CHALLENGE,)
            )
        if scope["method"] == "POST":
            self._check_same_site(headers, scope["path"])
        if scope["query_string"]:
            _check_query(scope["query_string"], self.parameters(scope["path"]))

    def _check_same_site(self, headers: Headers, path: str) -> None:
        """Raise HTTPError for a request that a page of another site can make a browser send, unless --cors allows the
        site.
        """
        self._check_origin(headers)
        origin = headers.get(b"origin")
        media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if media_type == b"application/json":
            return
        # Clients of the Open Inference Protocol may send no type. They are not browsers, which send an Origin.
        is_browser = origin is not None or b"sec-fetch-site" in headers
        may_omit_type = path.startswith("/v2/") and not is_browser
        if not (may_omit_type and media_type in (b"", b"application/octet-stream")):
            raise HTTPError(415, "content_type", "Content-Type must be application/json", "content-type")

    def _check_origin(self, headers: Headers) -> None:
        """Raise HTTPError for a request of a page of another origin, unless --cors allows it."""
        origin = headers.get(b"origin")
        if origin is None or origin.decode("latin-1") not in self.state.settings.cors:
            if headers.get(b"sec-fetch-site", b"none") not in (b"same-origin", b"none"):
                raise HTTPError(403, "cross_site", "requests from other sites are rejected", "sec-fetch-site")
            if origin is not None and origin.partition(b"://")[2].lower() != headers.get(b"host", b"").lower():
                raise HTTPError(403, "cross_site", "requests from other origins are rejected", "origin")

    async def _read_body(self, scope: Scope, headers: Headers, receive: Any) -> bytes:
        """The whole body, decompressed, within its size and the time since the request began. The rest of a rejected
        body is not read.
        """
        limit = self.state.settings.max_body
        too_large = HTTPError(413, "too_large", f"a body may have at most {limit:,} bytes", "body")
        coding = headers.get(b"content-encoding", b"identity").lower()
        if coding not in (b"identity", *_WINDOWS):
            raise HTTPError(415, "encoding", "the only Content-Encodings are gzip and deflate", "content-encoding")
        if headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            message = "the only Transfer-Encoding is chunked"
            raise HTTPError(415, "encoding", message, "transfer-encoding", (_CLOSE,))
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 18 or int(length) > limit:
            raise too_large
        since = scope.get(ARRIVING_SINCE, asyncio.get_running_loop().time)()
        deadline = None
        if since is not None:
            deadline = since + self.state.settings.read_timeout
        chunks: list[bytes] = []
        size = 0
        more = True
        try:
            async with asyncio.timeout_at(deadline):
                while more:
                    event = await receive()
                    chunk = event.get("body", b"")
                    chunks.append(chunk)
                    size += len(chunk)
                    if size > limit:
                        raise too_large
                    more = event["type"] == "http.request" and event.get("more_body", False)
        except TimeoutError:
            raise HTTPError(408, "request_timeout", "the body took too long to arrive", "body", (_CLOSE,)) from None
        if event["type"] != "http.request":
            raise HTTPError(400, "disconnected", "the client disconnected before the body was complete")
        body = b"".join(chunks)
        if coding not in _WINDOWS:
            return body
        # Of a small compressed body that unpacks to gigabytes, only one byte more than the limit is unpacked.
        unpack = zlib.decompressobj(_WINDOWS[coding])
        try:
            body = unpack.decompress(body, limit + 1)
        except zlib.error:
            raise HTTPError(400, "encoding", f"the body is not {coding.decode()}", "body") from None
        if len(body) > limit:
            raise too_large
        if not unpack.eof or unpack.unused_data:
            raise HTTPError(400, "encoding", f"the body is not one whole {coding.decode()} stream", "body")
        return body


def disconnected_of(scope: Scope) -> Callable[[], bool]:
    """The function that says whether the client has closed its connection."""
    disconnected: Callable[[], bool] = scope.get(DISCONNECTED, lambda: False)
    return disconnected


def _identity(headers: Headers, process: str) -> list[tuple[bytes, bytes]]:
    """The headers of the response that identify the request: its id and its traceparent, as the client sent them if
    they are well-formed. A request without an id gets a new one.
    """
    request_id = headers.get(b"x-request-id")
    if request_id is None or not _REQUEST_ID.fullmatch(request_id):
        request_id = f"{process}-{next(_NUMBERS):x}".encode()
    trace = headers.get(b"traceparent")
    if trace is None or not _TRACEPARENT.fullmatch(trace):
        return [(b"x-request-id", request_id)]
    return [(b"x-request-id", request_id), (b"traceparent", trace)]


def _is_authorized(headers: Headers, token: str) -> bool:
    """Whether the token is in the headers: as Bearer, or as the password of Basic, for browsers."""
    scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
    sent_token = value.strip()
    if scheme.lower() == b"basic":
        try:
            sent_token = base64.b64decode(sent_token, validate=True).partition(b":")[2]
        except binascii.Error:
            return False
    elif scheme.lower() != b"bearer":
        return False
    # In constant time: the time of == tells how many characters of a guess are right.
    return hmac.compare_digest(sent_token, token.encode())


def _check_query(query: bytes, known: frozenset[str]) -> None:
    """Raise HTTPError for a query parameter that the path does not have, and for one that occurs twice."""
    names = [name for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)]
    if not known.issuperset(names):
        if known:
            allowed = f"has only {' and '.join(sorted(known))}"
        else:
            allowed = "has none"
        raise HTTPError(422, "unknown_parameter", f"a query parameter is unknown: this path {allowed}", "query")
    for name in known:
        if names.count(name) > 1:
            raise HTTPError(422, "bad_field", "a query parameter occurs twice", name)


async def _send_json(status: int, body: bytes, more: tuple[tuple[bytes, bytes], ...], send: Any) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _route(scope: Scope, status: int) -> str:
    """The pattern of the route, never the client's path. A file of the page is `page`, an unknown path `none`."""
    pattern = getattr(scope.get("route"), "path", None)
    if pattern is not None:
        return str(pattern)
    if status in (200, 304):
        return "page"
    return "none"
