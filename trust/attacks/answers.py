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
from trust.server import Answer

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


def judge(wanted: Iterable[Wanted], answers: list[Answer]) -> str | None:
    """What is wrong with the answers that should be these, in this order."""
    for number, (one, answer) in enumerate(zip(wanted, answers, strict=False)):
        if problem := _problem(one, answer):
            return f"answer {number}: {problem}"
    return None


def _problem(wanted: Wanted, answer: Answer) -> str | None:
    shown = f"status {answer.status}, {answer.body[:200]!r}"
    if not answer.complete:
        return f"it ends early: {shown}"
    if answer.status == 200:
        return f"it should be refused: {shown}" if wanted.body is None else _wrong(wanted.body, answer)
    refused = wanted.statuses
    if wanted.body is not None and not refused and _is_unreadable(wanted.body):
        refused = frozenset({400})
    if answer.status not in refused:
        return f"unexpected {shown}"
    error = answer.json()["error"]
    reason = error if isinstance(error, str) else error["message"]
    return None if reason and reason.isprintable() and len(reason) < 300 else f"no reason: {shown}"


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


def _wrong(body: bytes, answer: Answer) -> str | None:
    """What is wrong with the predictions for a body."""
    model, texts, number = _texts(body)
    expected = np.asarray(model.predict_proba(texts))
    found = answer.json()
    if found.get("id") != number:
        return f"the answer to another request: id {found.get('id')} instead of {number}"
    numbers = np.array([list(one["probabilities"].values()) for one in found["predictions"]])
    if numbers.shape != expected.shape or not np.allclose(numbers, expected, atol=TOLERANCE, rtol=0):
        return f"wrong predictions: {answer.body[:200]!r}"
    for one, row in zip(found["predictions"], numbers, strict=True):
        if row[model.classes.index(one["label"])] < row.max() - TOLERANCE:
            return f"wrong label: {one}"
    return None


def wrong_explanation(text: str, answer: Answer) -> str | None:
    """What is wrong with the prediction in the explanation of a text by the default model."""
    model, found = models()["texts"], answer.json()["prediction"]
    expected = float(model.predict_proba([text])[0][list(model.classes).index(found["target"])])
    return None if abs(found["probability"] - expected) < TOLERANCE else f"the explanation of another text: {found}"
