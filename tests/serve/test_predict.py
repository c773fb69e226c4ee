"""POST /predict: the library's answers, and a reason for whatever cannot be answered."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from gatewise.model.model import Model
from gatewise.serve import schemas
from gatewise.storage import strict_json
from tests.serve.conftest import TEXTS, labels_of
from tests.serve.server import post

SECRET = "xyzzy-plugh"


def probabilities(answer: Any, model: Model) -> np.ndarray:
    assert [list(one["probabilities"]) for one in answer["predictions"]] == [list(model.classes)] * answer["n"]
    return np.array([list(one["probabilities"].values()) for one in answer["predictions"]])


@pytest.mark.parametrize("name", ["reviews", "tokens"])
def test_many_texts_and_an_id(port: int, models: dict[str, Model], name: str) -> None:
    answer = post(port, "/predict", {"inputs": TEXTS, "model": name, "id": "\u202e<b>é"}).json()
    np.testing.assert_allclose(probabilities(answer, models[name]), models[name].predict_proba(TEXTS), atol=1e-6)
    assert [one["label"] for one in answer["predictions"]] == labels_of(models[name], TEXTS)
    assert answer["id"] == "\u202e<b>é"
    differ = probabilities(answer, models[name])
    assert np.abs(differ - differ[::-1]).max() > 1e-3, "the texts must differ, or the comparison says nothing"


def test_series(port: int, models: dict[str, Model]) -> None:
    rng = np.random.default_rng(8)
    inputs = [rng.standard_normal((n, 2)).astype(np.float32) for n in (3, 9, 1)]
    given = [one.tolist() for one in inputs]
    answer = post(port, "/predict", {"inputs": given, "model": "gestures"}).json()
    expected = models["gestures"].predict_proba(inputs)
    np.testing.assert_allclose(probabilities(answer, models["gestures"]), expected, atol=1e-6)
    assert [one["steps"] for one in answer["predictions"]] == [3, 9, 1]
    alone = post(port, "/predict", {"series": given[1], "model": "gestures"}).json()
    np.testing.assert_allclose(probabilities(alone, models["gestures"]), expected[1:2], atol=1e-6)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"", "bad_json", "body"),
        (b"[]", "bad_json", "body"),
        (b'{"text": "good\xff"}', "bad_json", "body"),
        (b'{"text": "xyzzy-plugh", "text": "good"}', "bad_json", "body"),
        (b'{"text": NaN}', "bad_json", "body"),
        (b'{"series": [[%b, 1]], "model": "gestures"}' % (b"9" * 5000), "bad_json", "body"),
        (b'{"series": [[%b, 1]], "model": "gestures"}' % (b"9" * 400), "bad_field", "series[0]"),
        (b'{"text": %b}' % (b"[" * 100_000), "bad_json", "body"),
        ({}, "bad_field", "text"),
        ({"text": 7}, "bad_field", "text"),
        ({"text": [SECRET]}, "bad_field", "text"),
        ({"inputs": "good"}, "bad_field", "inputs"),
        ({"inputs": ["good", 7]}, "bad_field", "inputs[1]"),
        ({"inputs": ["good", [[1, 2]]]}, "bad_field", "inputs[1]"),
        ({"inputs": []}, "empty", "inputs"),
        ({"text": "good", "inputs": ["good"]}, "bad_field", "text"),
        ({"series": [[1, 2]]}, "bad_field", "text"),
        ({"text": "good", SECRET: 1}, "unknown_field", "body"),
        ({"text": "good", "id": 7}, "bad_field", "id"),
        ({"text": "good", "id": "x" * 201}, "bad_field", "id"),
        ({"text": "good", "id": "\ud800"}, "bad_field", "id"),
        ({"text": "good", "model": 7}, "bad_field", "model"),
        ({"text": "good", "model": "gestures"}, "bad_field", "series"),
        ({"series": [], "model": "gestures"}, "bad_field", "series"),
        ({"series": [[1, 2], [1]], "model": "gestures"}, "bad_field", "series"),
        ({"series": [[1, True]], "model": "gestures"}, "bad_field", "series[0]"),
        ({"series": [[1, 1e39]], "model": "gestures"}, "bad_field", "series[0]"),
        ({"inputs": [[[1, 2]], [[1, -1e39]]], "model": "gestures"}, "bad_field", "inputs[1]"),
        ({"inputs": [[[1, 2]], [1, 2]], "model": "gestures"}, "bad_field", "inputs[1]"),
        ({"text": " \n\t\u2003"}, "input", "text"),
        ({"inputs": ["good", SECRET + "\ud800"]}, "input", "inputs[1]"),
        ({"text": "\x00\x01", "model": "tokens"}, "input", "text"),
        ({"text": "good", "model": "../" + SECRET}, "no_such_model", "model"),
        ({"inputs": ["a"] * 10_000}, "too_many", "inputs"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_answered(port: int, body: Any, code: str, field: str) -> None:
    reply = post(port, "/predict", body)
    status = {"no_such_model": 404, "too_many": 413}.get(code, 400)
    assert (reply.status, reply.error["code"], reply.error["field"]) == (status, code, field), reply.body
    assert reply.error["message"]
    # A number that is too large is not said to be no string.
    has_large_number = "1e+39" in str(body)
    assert ("must be between -3e38 and 3e38" in reply.error["message"]) == has_large_number
    assert SECRET.encode() not in reply.body, "an error never repeats what was sent"


def test_messages_name_what_the_model_reads(port: int) -> None:
    for model, one, several in (("reviews", "text", "texts"), ("gestures", "series", "series")):
        for request, message in (
            ({}, f"give either {one} or inputs; the model reads {several}"),
            ({"inputs": 7}, "inputs must be a list"),
            ({"inputs": []}, f"a request holds 1 to 256 {several}, not 0"),
        ):
            assert post(port, "/predict", {**request, "model": model}).error["message"] == message
    message = post(port, "/predict", {"inputs": ["good", "bad\ud800"]}).error["message"]
    assert re.search(r"row 1.*U\+D800 at character 3", message)


def test_one_bad_request_does_not_affect_others(port: int, models: dict[str, Model]) -> None:
    """They share a batch: all are sent at once. A request may hold 256 texts."""
    assert post(port, "/predict", {"inputs": ["a"] * 256}).status == 200
    texts = [TEXTS[n % 5] if n % 3 else " " for n in range(60)]
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda text: post(port, "/predict", {"text": text}), texts))
    expected = models["reviews"].predict_proba(TEXTS)
    for n, (text, reply) in enumerate(zip(texts, replies, strict=True)):
        assert reply.status == (400 if text == " " else 200)
        if text != " ":
            np.testing.assert_allclose(probabilities(reply.json(), models["reviews"])[0], expected[n % 5], atol=1e-5)


def test_max_body_is_the_only_limit_of_a_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that allows larger bodies than a stored JSON file may have parses them."""
    monkeypatch.setattr(strict_json, "MAX_BYTES", 30)
    body = json.dumps({"text": "x" * 100}).encode()
    assert schemas.parse(body) == {"text": "x" * 100}
