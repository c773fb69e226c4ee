"""The attacks on the server find each kind of wrong answer."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("fastapi")

from trust.attacks.answers import judge, models
from trust.attacks.requests import Case, Wanted
from trust.attacks.server import _failed
from trust.server import Answer

REFUSAL = b'{"error":{"code":"bad_json","field":"body","message":"not JSON"}}'
BODY = json.dumps({"inputs": ["word1 word2", "word3"], "id": "a"}).encode()


def right(**changes: object) -> Answer:
    """The right answer to BODY, with these changes."""
    model = models()["texts"]
    predictions = []
    for row in np.asarray(model.predict_proba(["word1 word2", "word3"])):
        names = dict(zip(model.classes, row.tolist(), strict=True))
        predictions.append({"label": max(names, key=names.__getitem__), "probabilities": names, "steps": 1})
    found = {"id": "a", "predictions": predictions} | changes
    return Answer(200, {}, json.dumps(found).encode())


def other_label() -> Answer:
    predictions = right().json()["predictions"]
    predictions[1]["label"] = min(predictions[1]["probabilities"], key=predictions[1]["probabilities"].__getitem__)
    return right(predictions=predictions)


def test_right_answers_and_refusals_pass() -> None:
    assert judge([Wanted(BODY)], [right()]) is None
    assert judge([Wanted(None, frozenset({400}))], [Answer(400, {}, REFUSAL)]) is None
    assert "it should be refused" in str(judge([Wanted(None, frozenset({400}))], [right()]))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (right(id="b"), "the answer to another request"),
        (right(predictions=right().json()["predictions"][::-1]), "wrong predictions"),
        (right(predictions=right().json()["predictions"][:1]), "wrong predictions"),
        (other_label(), "wrong label"),
        (Answer(200, {}, right().body, complete=False), "it ends early"),
        (Answer(400, {}, REFUSAL), "unexpected status 400"),
        (Answer(500, {}, REFUSAL), "unexpected status 500"),
    ],
)
def test_wrong_answers_to_a_right_request(answer: Answer, problem: str) -> None:
    assert problem in str(judge([Wanted(BODY)], [answer]))


def test_the_number_of_answers() -> None:
    live = Answer(200, {}, b'{"live":true}')
    case = Case("two", b"", [Wanted(BODY), Wanted(BODY)])
    assert _failed(case, [right(), right(), live]) is None
    assert "the next request on the connection has no answer" in str(_failed(case, [right(), right()]))
    closing = replace(right(), headers={"connection": "close"})
    assert _failed(case, [right(), closing]) is None
    assert "1 answers instead of 2" in str(_failed(case, [right()]))
    assert "an answer too many" in str(_failed(case, [right(), right(), right()]))
    assert "it hangs" in str(_failed(case, "it hangs"))
    hidden = Case("hidden", b"", [Wanted(None, frozenset({400}))], may_close=True, unfinished=True)
    assert _failed(hidden, []) is None
    assert "an answer too many" in str(_failed(hidden, [Answer(400, {}, REFUSAL), live]))
