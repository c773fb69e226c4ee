"""The attacks on the server find each kind of wrong answer."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("fastapi")

from trust.attacks.answers import check_answers, models
from trust.attacks.requests import Case, Wanted
from trust.attacks.server import check_case
from trust.server import Answer

pytestmark = pytest.mark.process

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
    check_answers([Wanted(BODY)], [right()])
    check_answers([Wanted(None, frozenset({400}))], [Answer(400, {}, REFUSAL)])
    with pytest.raises(AssertionError, match="it should be refused"):
        check_answers([Wanted(None, frozenset({400}))], [right()])


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (right(id="b"), "the answer to another request"),
        (right(predictions=right().json()["predictions"][::-1]), "wrong predictions"),
        (right(predictions=right().json()["predictions"][:1]), "wrong predictions"),
        (other_label(), "wrong label"),
        (Answer(200, {}, right().body, complete=False), "it ends early"),
        (Answer(400, {}, REFUSAL), "unexpected answer 0: status 400"),
        (Answer(500, {}, REFUSAL), "unexpected answer 0: status 500"),
    ],
)
def test_wrong_answers_to_a_right_request(answer: Answer, problem: str) -> None:
    with pytest.raises(AssertionError, match=problem):
        check_answers([Wanted(BODY)], [answer])


def test_the_number_of_answers() -> None:
    live, refused = Answer(200, {}, b'{"live":true}'), Answer(400, {}, REFUSAL)
    case = Case(b"", [Wanted(BODY), Wanted(BODY)])
    hidden = Case(b"", [Wanted(None, frozenset({400}))], may_close=True, unfinished=True)
    check_case(case, [right(), right(), live])
    check_case(case, [right(), replace(right(), headers={"connection": "close"})])
    check_case(hidden, [])
    for of, answers, problem in (
        (case, [right(), right()], "the next request on the connection has no answer"),
        (case, [right()], "1 answers instead of 2"),
        (case, [right(), right(), right()], "an answer too many"),
        (hidden, [refused, live], "an answer too many"),
    ):
        with pytest.raises(AssertionError, match=problem):
            check_case(of, answers)
