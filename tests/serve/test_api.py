"""What integrators need: HEAD, errors that name their field, files that are not sent twice; the description in
/openapi.json with examples that are right, and what schemathesis makes of it: requests right and wrong, some in a row.
"""

import gzip
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers
from starlette.responses import Response

import gatewise.serve
from gatewise.serve.app import query_parameters
from gatewise.serve.static_files import StaticFile, choose_response
from tests.children import run_child
from tests.serve.server import ask, connect, post


def test_head_of_every_get_route_is_get_without_the_body(port: int, described: dict[str, Any]) -> None:
    """On one connection, so that a body would be read as the next reply."""
    routes = [path.format(unit=1, name="reviews", version=1) for path, by in described["paths"].items() if "get" in by]
    for path in ["/", "/style.css", "/docs", "/openapi.json", "/v2/repository/index", *routes]:
        got = ask(port, "GET", path)
        head = f"HEAD {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        with connect(port) as sock:
            sock.sendall(head + head)
            raw = b""
            while raw.count(b"\r\n\r\n") < 2:
                raw += sock.recv(65_536)
        first, second, rest = raw.split(b"\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 200"), path
        assert second.startswith(b"HTTP/1.1 200"), path
        assert rest == b"", path
        headers = dict(line.split(": ", 1) for line in first.decode().split("\r\n")[1:])
        if path != "/metrics":  # which has other numbers each time
            assert headers["content-length"] == str(len(got.body)), path
        for name in ("content-type", "content-security-policy"):
            assert headers[name] == got.headers[name], path
    assert len(routes) > 9


def test_other_methods_are_told_which_ones_there_are(port: int) -> None:
    for method, path, allowed in (("POST", "/model", "GET, HEAD"), ("GET", "/predict", "POST")):
        reply = ask(port, method, path, b"{}", {"Content-Type": "application/json"})
        assert (reply.status, reply.headers["allow"]) == (405, allowed)
    assert ask(port, "HEAD", "/predict").headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/predict?model=tokens", {"text": "good"}, "query"),
        ("/explain", b"{", "body"),
        ("/explain", {}, "text"),
        ("/explain", {"text": "good", "xyzzy'plugh": 1}, "body"),
        ("/explain", {"text": "good", "changes": [{"gate": "xyzzy'plugh", "unit": 0, "value": 1}]}, "changes[0].gate"),
        ("/units/x", None, "unit"),
        ("/units/99999", None, "unit"),
        ("/units/1?layer=x", None, "layer"),
        ("/units/1?layer=9", None, "layer"),
        ("/units/1?model=none", None, "model"),
        ("/units/1?layer=0&layer=0", None, "layer"),
        ("/units/1?dir=up", None, "query"),
        ("/model?model=none", None, "model"),
        ("/v2/models/none", None, "model"),
        ("/v2/models/reviews/versions/2/ready", None, "version"),
        ("/v2/models/none/ready", None, "model"),
        ("/v2/nothing", None, "path"),
        ("/none", None, "path"),
        ("/redoc", None, "path"),
        ("/predict", None, "method"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_an_error_names_its_field(port: int, path: str, body: Any, field: str) -> None:
    reply = ask(port, "GET", path) if body is None else post(port, path, body)
    assert 400 <= reply.status < 500
    if path.startswith("/v2"):
        assert reply.json()["error"].startswith((f"{field}: ", f"{field} "))
    else:
        assert reply.error["field"] == field
    assert b"xyzzy" not in reply.body
    assert b"plugh" not in reply.body


def test_the_schemas_examples_are_accepted_and_their_responses_right(port: int, described: dict[str, Any]) -> None:
    """Each example of a request, at its route; and of a response, as the server answers the request of its name."""
    assert set(described["components"]["securitySchemes"]) == {"bearer", "basic"}
    assert described["security"] == []  # this server has no token
    posted = 0
    for path, methods in described["paths"].items():
        for about in methods.values():
            if "requestBody" not in about:
                continue
            requests = about["requestBody"]["content"]["application/json"]["examples"]
            [responses] = (content["examples"] for content in about["responses"]["200"]["content"].values())
            assert responses.keys() <= requests.keys()
            for name, one in requests.items():
                model = name.partition(":")[0]
                reply = post(port, path.format(name=model, version="1"), one["value"])
                assert reply.status == 200, (path, name, reply.body)
                if name in responses:
                    shown, found = responses[name]["value"], reply.json()
                    for either in (shown, found):
                        either.pop("cache", None)  # times
                    assert found == shown, (path, name)
                posted += 1
    assert posted == 16


PAGE = Path(gatewise.serve.__file__).parent / "page"


def test_a_file_is_gzipped_for_clients_that_accept_it_and_an_answer_never(port: int) -> None:
    body = (PAGE / "main.js").read_bytes()
    plain = ask(port, "GET", "/main.js")
    packed = ask(port, "GET", "/main.js", headers={"Accept-Encoding": "br, gzip;q=0.8"})
    assert (plain.status, packed.status) == (200, 200)
    assert plain.body == gzip.decompress(packed.body) == body
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert plain.headers["content-type"] == packed.headers["content-type"] == "text/javascript; charset=utf-8"
    assert plain.headers["vary"] == packed.headers["vary"] == "accept-encoding"
    assert int(packed.headers["content-length"]) == len(packed.body) < len(body) / 2
    answer = post(port, "/predict", {"text": "good " * 400}, Accept_Encoding="gzip")
    assert (answer.status, answer.headers.get("content-encoding")) == (200, None)


def test_an_unchanged_file_is_not_sent_again(port: int) -> None:
    tags = set()
    for headers in ({}, {"Accept-Encoding": "gzip"}):
        tag = ask(port, "GET", "/style.css", headers=headers).headers["etag"]
        again = ask(port, "GET", "/style.css", headers={**headers, "If-None-Match": tag})
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
        tags.add(tag)
    assert len(tags) == 2, "a cache must not take one form for the other"


def test_accept_encoding_is_read() -> None:
    file = StaticFile(Response("body"), Response("gzipped"))
    for found in file:
        found.headers["etag"] = "etag"
    plain = ["", "gzip;q=0", "gzip; q=0.000", "gzip;q=", "identity, *", "xgzip"]
    for accepted in [*plain, "gzip", "deflate, GZIP ; q=0.5", "br,gzip;q=1"]:
        response = choose_response(file, Headers({"accept-encoding": accepted}))
        assert response is file[accepted not in plain], accepted


ROUTES = {
    "/predict",
    "/explain",
    "/stream",
    "/forecast",
    "/model",
    "/units/{unit}",
    "/metrics",
    "/v2",
    "/v2/models",
    "/v2/repository/index",
    "/v2/repository/models/{name}/load",
    "/v2/health/live",
    "/v2/health/ready",
    *(f"/v2/models/{{name}}{verb}" for verb in ("", "/ready", "/infer")),
    *(f"/v2/models/{{name}}/versions/{{version}}{verb}" for verb in ("", "/ready", "/infer")),
}


def test_all_routes_are_described(described: dict[str, Any]) -> None:
    assert set(described["paths"]) == ROUTES
    for path, methods in described["paths"].items():
        for method, about in methods.items():
            assert about["description"], (path, method)
            assert "500" in about["responses"]
            assert {"429", "413", "415", "504"} <= set(about["responses"]) or method == "get"


def test_unknown_query_parameters_are_refused(port: int, described: dict[str, Any]) -> None:
    """On every path, with the reason, and without the client's words; the described ones are accepted."""
    for path, methods in described["paths"].items():
        for about in methods.values():
            names = {one["name"] for one in about.get("parameters", []) if one["in"] == "query"}
            assert names == query_parameters(path), path
    reasons = {
        "/units/1?dir=backward": "a query parameter is unknown: this path has only layer and model",
        "/units/1?direction=backward": "a query parameter is unknown: this path has only layer and model",
        "/model?layer=0&model=tokens": "a query parameter is unknown: this path has only model",
        "/model?model=tokens&model=tokens": "a query parameter occurs twice",
        "/?text=sesame": "a query parameter is unknown: this path has none",
        "/main.js?v=3": "a query parameter is unknown: this path has none",
        "/metrics?sesame": "a query parameter is unknown: this path has none",
        "/openapi.json?sesame=": "a query parameter is unknown: this path has none",
    }
    for path, reason in reasons.items():
        reply = ask(port, "GET", path)
        assert (reply.status, reply.error["message"]) == (422, reason), path
    for path in ("/predict?model=tokens", "/explain?model=tokens"):
        assert post(port, path, {"text": "good"}).status == 422
    reply = ask(port, "GET", "/v2/models/tokens?version=1")
    assert (reply.status, reply.json()["error"]) == (422, "query: a query parameter is unknown: this path has none")
    assert ask(port, "GET", "/units/1?model=tokens&layer=0").status == 200
    assert ask(port, "GET", "/?").status == 200


def test_requests_responses_and_errors_have_names(described: dict[str, Any]) -> None:
    """A generated client has a class for each; below /v2 an error is one string."""
    for path, methods in described["paths"].items():
        for about in methods.values():
            error = about["responses"]["400"]["content"]["application/json"]["schema"]["$ref"]
            assert error.endswith("/InferErrorResponse" if path.startswith("/v2") else "/ErrorResponse")
    assert "anyOf" not in described["components"]["schemas"]
    text = str(described)
    for reference in set(re.findall(r"#/components/schemas/(\w+)", text)):
        assert reference in described["components"]["schemas"], reference


@pytest.mark.slow
def test_schemathesis(port: int, tmp_path: Path) -> None:
    """Its own checks, all phases: no server error, documented answers alone, and no wrong request that is taken.

    Left out: that every right request is taken (a schema cannot say that a tensor's shape must fit its data), that a
    wrong method is the first thing to be noticed (here it is the type), and tokens, which this server has none of.
    """
    pytest.importorskip("schemathesis")
    command = [Path(sys.executable).parent / "schemathesis", "run", f"http://127.0.0.1:{port}/openapi.json"]
    command += ["--mode", "all", "--max-examples", "10", "--seed", "1", "--no-color", "--continue-on-failure"]
    command += ["--exclude-checks", "positive_data_acceptance,unsupported_method,ignored_auth"]
    command += ["--request-timeout", "20", "--generation-database", "none", "--suppress-health-check", "all"]
    done = run_child([str(part) for part in command], cwd=tmp_path, seconds=300)
    assert done.returncode == 0, done.stdout[-6000:]
