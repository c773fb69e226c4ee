"""What every request passes before anything else looks at it, and what every answer carries.

In this order: who is addressed (Host), who asks (token), from where (Origin, Sec-Fetch-Site), what it brings (type,
coding, size, and the time until all of it is here). No error repeats anything that was sent, and no exception's message
reaches a log: it may hold somebody's text.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from gatewise.serve.http_error import HTTPError
from gatewise.serve.settings import Settings

__all__ = ["CLOSE", "POLICY", "SecurityMiddleware"]

log = logging.getLogger("gatewise.serve")

POLICY: tuple[tuple[bytes, bytes], ...] = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_NO_STORE = (b"cache-control", b"no-store")
CLOSE = (b"connection", b"close")
_OPEN = frozenset({"/v2/health/live", "/v2/health/ready"})  # for whoever restarts us; they tell nothing
_ONE = frozenset({b"host", b"authorization", b"content-type", b"content-length", b"content-encoding", b"origin"})
_CHALLENGE = (b"www-authenticate", b'Basic realm="gatewise", charset="UTF-8"')

Scope = dict[str, Any]


class SecurityMiddleware:
    """An ASGI application around another one. `observe(route, status, seconds)` hears of every answer.

    direct: POST routes by path that need nothing of that application, `(scope, body) -> JSON`: its layers take longer
    than all the rest of a small request.
    """

    def __init__(
        self,
        app: Any,
        settings: Settings,
        hosts: frozenset[bytes],
        observe: Callable[[str, int, float], None],
        direct: Mapping[str, Callable[[Scope, bytes], Awaitable[bytes]]],
    ) -> None:
        self._app = app
        self._direct = direct
        self._settings = settings
        self._hosts = hosts
        self._token = settings.token.encode() if settings.token is not None else None
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def answer(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], *POLICY]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append(_NO_STORE)
                message["headers"] = headers
            await send(message)

        try:
            headers = self._admit(scope)
            body: bytes | None = await self._body(headers, receive) if scope["method"] == "POST" else b""

            async def whole() -> dict[str, Any]:
                nonlocal body
                if body is None:
                    return dict(await receive())
                message, body = {"type": "http.request", "body": body, "more_body": False}, None
                return message

            direct = self._direct.get(scope["path"]) if scope["method"] == "POST" else None
            if direct is not None and body is not None:
                await _reply(200, await direct(scope, body), (), answer)
            else:
                await self._app(scope, whole, answer)
        except HTTPError as refusal:
            await _refuse(refusal, scope, answer)
        except asyncio.CancelledError:  # the server stops, and its patience is over
            if not status:
                await _refuse(HTTPError(503, "stopping", "the server is stopping", headers=(CLOSE,)), scope, answer)
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(last.filename).name}:{last.lineno}"
            log.error("%s %s failed: %s at %s", scope["method"], _route(scope), type(error).__name__, where)
            if not status:
                await _refuse(HTTPError(500, "internal", "the server failed; its log says where"), scope, answer)
        route = scope["path"] if scope["path"] in self._direct else _route(scope)
        self._observe(route, status, time.perf_counter() - began)

    def _admit(self, scope: Scope) -> dict[bytes, bytes]:
        """The headers by name, of a request that may go on."""
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in headers and name in _ONE:
                raise HTTPError(400, "bad_header", "a header is there twice")
            headers[name] = value
        if headers.get(b"host", b"").lower() not in self._hosts:
            raise HTTPError(421, "wrong_host", "this server does not answer to that Host; see --allow-host")
        if self._token is not None and scope["path"] not in _OPEN and not self._knows(headers.get(b"authorization")):
            raise HTTPError(401, "token", "a token is needed: Authorization: Bearer TOKEN", headers=(_CHALLENGE,))
        if scope["method"] == "POST":
            _same_site(headers, scope["path"])
        return headers

    def _knows(self, authorization: bytes | None) -> bool:
        """Bearer TOKEN; or Basic with the token as the password, which is what a browser asks a person for."""
        kind, _, value = (authorization or b"").partition(b" ")
        given = value.strip()
        if kind.lower() == b"basic":
            try:
                given = base64.b64decode(given, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        elif kind.lower() != b"bearer":
            return False
        return hmac.compare_digest(given, self._token or b"")

    async def _body(self, headers: dict[bytes, bytes], receive: Any) -> bytes:
        """All of the body, within its size and its time. Whoever is refused here is cut off: the rest is not read."""
        most = self._settings.max_body
        too_large = HTTPError(413, "too_large", f"a body has at most {most:,} bytes here")
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise HTTPError(415, "encoding", "bodies are read as they are: no Content-Encoding")
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 18 or int(length) > most:
            raise too_large
        message = await receive()
        first: bytes = message.get("body", b"")
        if message["type"] == "http.request" and not message.get("more_body", False):
            if len(first) > most:
                raise too_large
            return first
        parts, size = [first], len(first)
        try:
            async with asyncio.timeout(self._settings.patience):
                while message["type"] == "http.request" and message.get("more_body", False):
                    message = await receive()
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > most:
                        raise too_large
        except TimeoutError:
            raise HTTPError(408, "too_slow", "the body took too long to arrive", headers=(CLOSE,)) from None
        if message["type"] != "http.request":
            raise HTTPError(400, "gone", "the client left before the body was whole")
        return b"".join(parts)


def _same_site(headers: dict[bytes, bytes], path: str) -> None:
    """Refuse what a page of another site can make a browser send."""
    origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site", b"none")
    if site not in (b"same-origin", b"none"):
        raise HTTPError(403, "cross_site", "requests from other sites are refused")
    if origin is not None and origin.partition(b"://")[2].lower() != headers[b"host"].lower():
        raise HTTPError(403, "cross_site", "requests from other origins are refused")
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    # The protocol's own clients name no type. No browser is among them: it would have named its origin with a POST.
    plain = origin is None and b"sec-fetch-site" not in headers and path.startswith("/v2/")
    if kind != b"application/json" and not (plain and kind in (b"", b"application/octet-stream")):
        raise HTTPError(415, "content_type", "Content-Type must be application/json")


async def _refuse(refusal: HTTPError, scope: Scope, send: Any) -> None:
    await _reply(refusal.status, refusal.body(scope["path"]), refusal.headers, send)


async def _reply(status: int, body: bytes, more: tuple[tuple[bytes, bytes], ...], send: Any) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _route(scope: Scope) -> str:
    """The route's pattern, never the path, which is the client's; `none` for what no route was found for."""
    return str(getattr(scope.get("route"), "path", "none"))
