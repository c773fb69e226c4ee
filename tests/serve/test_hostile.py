"""Texts that break other programs. Each gets the library's answer, or a reason; quickly; and the page of it is JSON."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.model.model import Model
from tests.serve.server import Server, ask, post

CASES = {
    "nothing": "",
    "spaces": "  \t\n\u00a0\u3000",
    "one emoji": "\U0001f600",
    "a family": "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "flags": "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7",
    "combining marks": "a" + "\u0301" * 200_000,
    "right to left override": "good \u202e doog \u202c film",
    "Hebrew and Arabic": "סרט טוב film جيد 123",
    "NUL and C0": "good\x00film\x01\x02\x1b[2J\x7f",
    "C1": "good\x85\x9b31mfilm",
    "a leading surrogate": "good \ud83d film",
    "surrogates the wrong way round": "good \ude00\ud83d film",
    "byte order marks": "\ufeffgood\ufffe film",
    "FDFA": "\ufdfa" * 200_000,
    "one long word": "a" * 900_000,
    "no spaces": "好电影" * 50_000,
    "a script": "<script>alert(document.cookie)</script>",
    "an image": '"><img src=x onerror=alert(1)>',
    "a template": "{{7*7}} ${7*7} #{7*7}",
    "a formula": "=cmd|'/c calc'!A1",
    "colours": "\x1b[31mred\x1b[0m \x1b]0;title\x07",
    "a path": "../../../../etc/passwd",
    "specials": "[PAD] [UNK] <start> <pad> <unk> [CLS]",
    "quotes": "\"'\\\u2028\u2029</script><!--",
}


@pytest.mark.parametrize("name", ["reviews", "tokens"])
@pytest.mark.parametrize("case", list(CASES))
def test_the_same_answer_as_the_library(server: Server, models: dict[str, Model], case: str, name: str) -> None:
    text, model = CASES[case], models[name]
    body = json.dumps({"text": text, "model": name}, ensure_ascii="surrogate" in case).encode()
    before = server.memory
    began = time.monotonic()
    reply = post(server.port, "/predict", body)
    took = time.monotonic() - began
    message, expected = "", np.zeros(0)
    try:
        expected = model.predict_proba([text])[0]
    except InputError as error:
        message = str(error)
    if len(body) > 1_000_000:
        assert reply.status == 413
    elif message:
        assert (reply.status, reply.error["message"]) == (400, message)
    else:
        found = list(reply.json()["predictions"][0]["probabilities"].values())
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert reply.body.isascii()
    assert took < 20, "it hangs"  # no bar: those are measured; here it is a matter of ends or not
    assert server.memory - before < 100e6
    assert ask(server.port, "GET", "/v2/health/ready").status == 200


@pytest.mark.parametrize("case", [name for name in CASES if len(CASES[name]) < 1000])
def test_explanations(server: Server, case: str) -> None:
    reply = post(server.port, "/explain", {"text": CASES[case]})
    assert reply.status in (200, 400)
    assert reply.body.isascii()
    json.loads(reply.body)
    if "surrogate" in case or case in ("nothing", "spaces"):
        assert reply.status == 400


def test_paths_and_queries(server: Server) -> None:
    """A URL never becomes a file, and never comes back."""
    for path in (
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/page/../run.py",
        "/index.html%00",
        "/<script>",
        "/%ff",
        "/units/<script>",
        "/units/9999999999999999999999",
        "/units/1?layer=<script>",
        "/units/1?direction=up",
        "/model?model=<script>",
        "/model?model=" + "a" * 3000,
        "/v2/models/%3Cscript%3E",
        "/run.py",
        "/.git/config",
    ):
        reply = ask(server.port, "GET", path)
        assert 400 <= reply.status < 500, path
        assert b"script>" not in reply.body
        assert b"root:" not in reply.body
        assert reply.headers["content-type"] == "application/json"


def test_no_text_reaches_the_log(server: Server) -> None:
    for body in (
        {"text": "sesame-4711"},
        {"text": "sesame-4711\ud800"},
        {"sesame-4711": 1},
        {"text": "good", "id": "sesame-4711"},
    ):
        post(server.port, "/predict", body)
        post(server.port, "/explain", body)
    ask(server.port, "GET", "/sesame-4711?sesame-4711")
    assert "sesame" not in server.stderr
    assert "Traceback" not in server.stderr
    assert b"sesame" not in ask(server.port, "GET", "/metrics").body
