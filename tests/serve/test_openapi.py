"""The description in /openapi.json, and what schemathesis makes of it: right requests, wrong ones, some in a row."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gatewise.serve.app import query_parameters
from tests.serve.server import ask, post

pytest.importorskip("schemathesis")

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
    command = [Path(sys.executable).parent / "schemathesis", "run", f"http://127.0.0.1:{port}/openapi.json"]
    command += ["--mode", "all", "--max-examples", "10", "--seed", "1", "--no-color", "--continue-on-failure"]
    command += ["--exclude-checks", "positive_data_acceptance,unsupported_method,ignored_auth"]
    command += ["--request-timeout", "20", "--generation-database", "none", "--suppress-health-check", "all"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stdout[-6000:]
