"""The texts and paths of trust/ that break other programs: the library's answer or a reason, quickly, and as JSON."""

import json
import time

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.model.model import Model
from tests.serve.server import Server, ask, connect, post, read_reply
from trust.attacks.requests import PATHS, UNICODE

LONG = ["a" + "\u0301" * 200_000, "\ufdfa" * 200_000, "a" * 900_000, "好电影" * 50_000]
CASES = [*UNICODE, *LONG]


@pytest.mark.parametrize("name", ["reviews", "tokens"])
@pytest.mark.parametrize("case", range(len(CASES)))
def test_the_same_answer_as_the_library(server: Server, models: dict[str, Model], case: int, name: str) -> None:
    text, model = CASES[case], models[name]
    surrogates = any("\ud800" <= character <= "\udfff" for character in text)
    body = json.dumps({"text": text, "model": name}, ensure_ascii=surrogates).encode()
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
    if len(text) < 1000:
        explained = post(server.port, "/explain", body)
        assert explained.status == reply.status
        assert explained.body.isascii()
        explained.json()
    assert ask(server.port, "GET", "/v2/health/ready").status == 200


def test_paths_and_queries(server: Server) -> None:
    """A URL never becomes a file, and never comes back."""
    for path in PATHS:
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n\r\n"
        with connect(server.port, head.encode()) as sock:
            reply = read_reply(sock)
        assert 400 <= reply.status < 500, path
        assert b"script>" not in reply.body
        assert b"root:" not in reply.body
        assert reply.headers["content-type"] == "application/json"


def test_no_text_reaches_the_log(server: Server) -> None:
    word = "sesame-4711"
    for body in ({"text": word}, {"text": word + "\ud800"}, {word: 1}, {"text": "good", "id": word}):
        post(server.port, "/predict", body)
        post(server.port, "/explain", body)
    ask(server.port, "GET", "/sesame-4711?sesame-4711")
    assert len(server.log.splitlines()) == 1, "the line at the start"
    assert b"sesame" not in ask(server.port, "GET", "/metrics").body
