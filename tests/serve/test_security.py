"""Who may ask, from where, and what every answer carries."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from gatewise.errors import InputError
from gatewise.kernels.threads import MOST_THREADS
from gatewise.model.model import Model
from gatewise.serve import open_inference
from gatewise.serve.settings import _MOST_THREADS, Settings
from tests.serve.server import Answer, ask, connect, post, read_reply, served

TOKEN = "correct-horse-battery"
PATHS = ["/", "/index.html", "/model", "/units/1", "/metrics", "/openapi.json", "/v2", "/v2/models/reviews", "/none"]
BODY = b'{"text":"good"}'


def raw(port: int, request: str, body: bytes = b"") -> Answer:
    """A request as it stands here; {host} is the right Host."""
    with connect(port, request.replace("{host}", f"127.0.0.1:{port}").encode("latin-1") + b"\r\n\r\n" + body) as sock:
        return read_reply(sock)


def every_kind_of_reply(port: int) -> Iterator[tuple[str, Answer]]:
    for path in PATHS:
        yield path, ask(port, "GET", path)
    yield "200", post(port, "/predict", {"text": "good"})
    yield "400", post(port, "/predict", b"{")
    yield "400 v2", post(port, "/v2/models/reviews/infer", b"{")
    yield "404", post(port, "/predict", {"text": "good", "model": "none"})
    yield "405", ask(port, "DELETE", "/predict", b"", {"Content-Type": "application/json"})
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    yield "preflight", ask(port, "OPTIONS", "/predict", None, asked)
    yield "413", post(port, "/predict", b"x" * 1_100_000)
    yield "415", ask(port, "POST", "/predict", BODY, {"Content-Type": "text/plain"})
    yield "421", raw(port, "GET / HTTP/1.1\r\nHost: evil.example")
    yield "422", ask(port, "GET", "/units/x")
    yield "431", raw(port, "GET / HTTP/1.1\r\nHost: {host}\r\nX: " + "a" * 20_000)
    yield "no HTTP", raw(port, "\x16\x03\x01 this is TLS")
    yield "no path", raw(port, "GET http://evil.example/ HTTP/1.1\r\nHost: {host}")


def test_every_answer_carries_the_headers(port: int) -> None:
    seen = set()
    for what, reply in every_kind_of_reply(port):
        seen.add(reply.status)
        policy = dict(part.strip().split(" ", 1) for part in reply.headers["content-security-policy"].split(";"))
        assert policy == {
            "default-src": "'none'",
            "script-src": "'self'",
            "style-src": "'self'",
            "img-src": "'self' data:",
            "connect-src": "'self'",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
            "require-trusted-types-for": "'script'",
        }, what
        assert reply.headers["x-content-type-options"] == "nosniff", what
        assert reply.headers["referrer-policy"] == "no-referrer", what
        assert reply.headers["cross-origin-opener-policy"] == "same-origin", what
        assert reply.headers["cross-origin-resource-policy"] == "same-origin", what
        assert reply.headers["cache-control"] in ("no-store", "no-cache"), what
        assert not [name for name in reply.headers if name.startswith("access-control-")], what
        assert "server" not in reply.headers
        if reply.status >= 400:
            assert reply.headers["content-type"] == "application/json", what
            assert set(reply.json()) == {"error"}, what
            assert b"evil" not in reply.body, what
    assert {200, 400, 404, 405, 413, 415, 421, 422, 431} <= seen


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_hosts_are_rejected(port: int, method: str) -> None:
    names = ["evil.example", "localhost.evil", "127.0.0.1.nip.io", f"127.0.0.1.nip.io:{port}", f"evil.example:{port}"]
    names += ["127.0.0.1", "localhost", f"127.0.0.1:{port + 1}", f"127.0.0.1:{port}@evil.example", ""]
    names += [f"evil@127.0.0.1:{port}", f"127.0.0.1:{port} evil", f"[::1]:{port}.evil"]
    names += [f"0.0.0.0:{port}", f"127.1:{port}"]
    for name in names:
        for path in ("/", "/predict", "/v2/health/live", "/model"):
            head = f"{method} {path} HTTP/1.1\r\nHost: {name}\r\nContent-Type: application/json\r\nContent-Length: 0"
            assert raw(port, head).status == 421, name


def test_own_hosts_are_accepted(port: int) -> None:
    for name in ("127.0.0.1", "localhost", "LocalHost", "[::1]"):
        assert raw(port, f"GET /v2 HTTP/1.1\r\nHost: {name}:{port}").status == 200
    websocket = "GET /v2 HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket"
    assert raw(port, websocket).status == 200, "an upgrade is left out"


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1",
        "GET / HTTP/1.1\r\nHost: {host}\r\nHost: {host}",
        "GET / HTTP/1.1\r\nHost: {host}\r\nHost: evil.example",
        "GET http://evil.example/ HTTP/1.1\r\nHost: {host}",
        "GET http://{host}/ HTTP/1.1\r\nHost: {host}",
        "GET //evil.example/ HTTP/1.1\r\nHost: {host}",
        "GET @evil.example HTTP/1.1\r\nHost: {host}",
        "GET evil HTTP/1.1\r\nHost: {host}",
        "OPTIONS * HTTP/1.1\r\nHost: {host}",
        "CONNECT evil.example:443 HTTP/1.1\r\nHost: {host}",
        "GET / HTTP/9.9\r\nHost: {host}",
        "GET /\x00 HTTP/1.1\r\nHost: {host}",
        "POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        "POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nContent-Length: 6",
        "POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Length: -5",
    ],
)
def test_requests_with_two_meanings(port: int, head: str) -> None:
    assert raw(port, head).status in (400, 421)


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({}, None),
        ({"Origin": "http://127.0.0.1:{port}"}, None),
        ({"Origin": "https://127.0.0.1:{port}"}, None),  # behind a proxy that speaks TLS
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:{port}"}, None),
        ({"Sec-Fetch-Site": "none"}, None),
        ({"Content-Type": "application/json; charset=utf-8"}, None),
        ({"Host": "evil.example"}, "host"),
        ({"Origin": "http://evil.example"}, "origin"),
        ({"Origin": "http://localhost:{port}"}, "origin"),
        ({"Origin": "http://127.0.0.1:1"}, "origin"),
        ({"Origin": "null"}, "origin"),
        ({"Sec-Fetch-Site": "cross-site"}, "sec-fetch-site"),
        ({"Sec-Fetch-Site": "same-site"}, "sec-fetch-site"),
        ({"Content-Type": "text/plain"}, "content-type"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "content-type"),
        ({"Content-Type": "multipart/form-data; boundary=x"}, "content-type"),
        ({"Content-Type": ""}, "content-type"),
        ({"Content-Encoding": "br"}, "content-encoding"),
        ({"Content-Length": "2000000"}, "body"),
    ],
)
def test_cross_site_requests_are_rejected(port: int, headers: dict[str, str], field: str | None) -> None:
    given = {"Content-Type": "application/json"} | {k: v.format(port=port) for k, v in headers.items()}
    reply = ask(port, "POST", "/predict", BODY, given)
    statuses = {None: 200, "host": 421, "body": 413, "origin": 403, "sec-fetch-site": 403}
    assert reply.status == statuses.get(field, 415)
    assert field is None or reply.error["field"] == field


def test_only_protocol_clients_may_omit_the_content_type(port: int) -> None:
    path, body = "/v2/models/reviews/infer", b'{"inputs":[{"name":"text","shape":[1],"datatype":"BYTES","data":["a"]}]}'
    assert ask(port, "POST", path, body).status == 200
    for header in ({"Origin": f"http://127.0.0.1:{port}"}, {"Sec-Fetch-Site": "same-origin"}):
        assert ask(port, "POST", path, body, header).status == 415
    assert ask(port, "POST", "/predict", BODY).status == 415


def test_a_failure_of_the_server_says_where_and_nothing_else(
    models: dict[str, Model], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The message of an exception may hold a user's text."""

    def fails(endpoint: Any) -> None:
        raise RuntimeError("sesame")

    monkeypatch.setattr(open_inference, "model_metadata", fails)
    with served({"reviews": models["reviews"]}) as port:
        reply = ask(port, "GET", "/v2/models/reviews")
    assert (reply.status, reply.json()) == (500, {"error": "the server failed; its log says where"})
    assert "GET /v2/models/{name} failed: RuntimeError at test_security.py:" in caplog.text
    assert "sesame" not in caplog.text


@pytest.fixture(scope="module")
def guarded(models: dict[str, Model]) -> Iterator[int]:
    with served(models, host="0.0.0.0", token=TOKEN, allow_hosts=("models.example", "Proxy:80")) as port:
        yield port


def test_the_token(guarded: int) -> None:
    def basic(words: str) -> str:
        return "Basic " + base64.b64encode(words.encode()).decode()

    right = [f"Bearer {TOKEN}", f"bearer {TOKEN}", basic(f"anyone:{TOKEN}")]
    wrong = [None, "", TOKEN, "Bearer ", "Bearer correct", f"Bearer {TOKEN}x", f"Digest {TOKEN}", basic(f"{TOKEN}:")]
    for authorization in [*right, *wrong, "Basic %%%", "Basic"]:
        headers = {"Content-Type": "application/json", "Authorization": authorization}
        given = {name: value for name, value in headers.items() if value is not None}
        status = 200 if authorization in right else 401
        assert ask(guarded, "POST", "/predict", BODY, given).status == status, authorization


def test_every_route_that_takes_a_body_needs_the_token_and_this_site(guarded: int) -> None:
    token = {"Authorization": f"Bearer {TOKEN}"}
    routes = ask(guarded, "GET", "/openapi.json", headers=token).json()["paths"]
    posted = [path.format(name="reviews", version=1) for path, methods in routes.items() if "post" in methods]
    assert {"/predict", "/explain", "/stream", "/forecast"} < set(posted)
    for path in posted:
        assert post(guarded, path, {}).status == 401, path
        assert post(guarded, path, {}, **token, Origin="https://evil.example").status == 403, path
        assert post(guarded, path, {}, **token, Content_Type="text/plain").status == 415, path


def test_only_health_needs_no_token(guarded: int) -> None:
    for path in PATHS:
        reply = ask(guarded, "GET", path)
        assert reply.status == 401, path
        assert reply.headers["www-authenticate"].startswith("Basic ")
        assert TOKEN.encode() not in reply.body
        with_token = ask(guarded, "GET", path, None, {"Authorization": f"Bearer {TOKEN}"})
        assert with_token.status != 401
        assert TOKEN.encode() not in with_token.body
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert ask(guarded, "GET", path).status == 200


def test_head_and_the_description_of_a_server_with_a_token(guarded: int) -> None:
    token = {"Authorization": f"Bearer {TOKEN}"}
    assert ask(guarded, "HEAD", "/model").status == 401
    assert ask(guarded, "HEAD", "/model", headers=token).status == 200
    described = ask(guarded, "GET", "/openapi.json", headers=token).json()
    assert described["security"] == [{"bearer": []}, {"basic": []}]


def test_allowed_hosts(guarded: int) -> None:
    hosts = {"models.example": 200, "proxy:80": 200, "models.example:1": 421, "x.models.example": 421}
    for name, status in hosts.items():
        assert raw(guarded, f"GET /v2/health/live HTTP/1.1\r\nHost: {name}").status == status


def test_invalid_settings_are_rejected() -> None:
    wrong: list[dict[str, Any]] = [
        {"host": host} for host in ("::", "192.0.2.7", "example.org", "127.0.0.1.evil.example")
    ]
    wrong += [{"token": "with a space in it"}, {"token": "ünïcödéd"}, {"token": "none"}, {"metrics_token": "short"}]
    wrong += [{"port": -1}, {"port": 70_000}, {"queue": 0}, {"queue_timeout": float("nan")}, {"drain_seconds": -1.0}]
    wrong += [{"allow_hosts": (name,)} for name in ("http://x", "a b", "")]
    wrong += [{"cors": (origin,)} for origin in ("*", "app.example.org", "https://app.example.org/")]
    wrong += [{"cors": (origin,)} for origin in ("https://a.example;b", "https://a.example:port", "https://ü.example")]
    directive = "https://a.example;script-src"  # it would be one of the content security policy
    wrong += [{"allow_frames": (origin,)} for origin in ("*", "'self'", directive, "https://a.example b.example")]
    for given in wrong:
        option = "--" + next(iter(given)).replace("_", "-").replace("hosts", "host").replace("frames", "frame")
        with pytest.raises(InputError, match=option):
            Settings(("model",), **given)

    assert _MOST_THREADS == MOST_THREADS, "of the kernel"


def test_only_named_origins_may_frame_a_page(models: dict[str, Model]) -> None:
    sites = ("https://moodle.example.org", "http://localhost:8080")
    with served({"reviews": models["reviews"]}, allow_frames=sites) as port:
        for path, status in (("/", 200), ("/lesson.html", 200), ("/none", 404)):
            answer = ask(port, "GET", path)
            policy = answer.headers["content-security-policy"]
            assert answer.status == status
            assert policy.count("frame-ancestors https://moodle.example.org http://localhost:8080;") == 1
            assert "default-src 'none'; script-src 'self';" in policy


def test_loopback_needs_no_token() -> None:
    for host in ("127.0.0.1", "127.8.9.1", "::1", "localhost"):
        assert Settings(("model",), host=host).is_loopback
    assert not Settings(("model",), host="0.0.0.0", token=TOKEN).is_loopback
    assert b"localhost:80" in Settings(("model",)).hosts(80)
    assert b"localhost" in Settings(("model",)).hosts(80)
    assert b"localhost" not in Settings(("model",)).hosts(81)
