"""What answers of a server should be: the predictions of the library, or a refusal with a reason."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.model.model import Model
from tests.exchange.random_models import random_model
from trust.attacks.requests import Wanted
from trust.server import Answer, Server

TOLERANCE = 1e-5  # a prediction depends on its batch in the last bits


@cache
def models() -> dict[str, Model]:
    """texts: small. slow: some milliseconds for a text of 300 words. steps: of series, for streams."""
    return {
        "texts": random_model(1, linear="ngrams", classes=3, bidirectional=True),
        "slow": random_model(2, units=300, layers=2),
        "steps": random_model(3, inputs="channels", classes=3, pooling="mean+max"),
    }


def save_models(folder: Path) -> list[Path]:
    """The folders to serve; `texts` is the default model."""
    paths = []
    for name, model in models().items():
        paths.append(folder / name)
        model.save(paths[-1])
    return paths


def predict(server: Server, body: bytes, *refused: int) -> Answer:
    """The answer to a body of /predict: the right prediction, or one of these statuses."""
    answer = server.ask(server.post("/predict", body))
    check_answers([Wanted(body, frozenset(refused))], [answer])
    return answer


def check_answers(wanted: Iterable[Wanted], answers: list[Answer]) -> None:
    """The answers are these, in this order."""
    for number, (one, answer) in enumerate(zip(wanted, answers, strict=False)):
        _check(one, answer, f"answer {number}: status {answer.status}, {answer.body[:200]!r}")


def _check(wanted: Wanted, answer: Answer, shown: str) -> None:
    assert answer.complete, f"it ends early: {shown}"
    if answer.status == 200:
        assert wanted.body is not None, f"it should be refused: {shown}"
        _check_predictions(wanted.body, answer, shown)
        return
    refused = wanted.statuses
    if answer.status == 400 and wanted.body is not None and _is_unreadable(wanted.body):
        refused |= {400}
    assert answer.status in refused, f"unexpected {shown}"
    error = answer.json()["error"]
    reason = error if isinstance(error, str) else error["message"]
    right = reason.isprintable() and 0 < len(reason) < 300
    assert right, f"no reason: {shown}"


def _texts(body: bytes) -> tuple[Model, list[str], Any]:
    asked = json.loads(body)
    return models()[asked.get("model", "texts")], asked.get("inputs", [asked.get("text")]), asked.get("id")


def _is_unreadable(body: bytes) -> bool:
    """Whether the library refuses the texts of a valid body."""
    model, texts, _ = _texts(body)
    try:
        model.predict_proba(texts)
    except InputError:
        return True
    return False


def _check_predictions(body: bytes, answer: Answer, shown: str) -> None:
    model, texts, number = _texts(body)
    expected, found = np.asarray(model.predict_proba(texts)), answer.json()
    assert found.get("id") == number, f"the answer to another request, id {number}: {shown}"
    numbers = np.array([list(one["probabilities"].values()) for one in found["predictions"]])
    right = numbers.shape == expected.shape and np.allclose(numbers, expected, atol=TOLERANCE, rtol=0)
    assert right, f"wrong predictions: {shown}"
    for one, row in zip(found["predictions"], numbers, strict=True):
        assert row[model.classes.index(one["label"])] >= row.max() - TOLERANCE, f"wrong label: {one}"


def check_explanation(text: str, answer: Answer) -> None:
    """The prediction in the explanation of a text by the default model."""
    model, found = models()["texts"], answer.json()["prediction"]
    expected = float(model.predict_proba([text])[0][list(model.classes).index(found["target"])])
    assert abs(found["probability"] - expected) < TOLERANCE, f"the explanation of another text: {found}"
