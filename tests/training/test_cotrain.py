"""Few labels: a head and n-grams as each other's teachers, and the recipe that is made of them."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.base import Base
from gatewise.training import Interrupted, Observer, PretrainPlan, StepSeen, default_recipe, pretrain, recipe, train
from gatewise.training.cotrain import cotrained
from gatewise.training.prepared import Prepared, prepare
from gatewise.training.start import fitted_to
from tests.training.texts import made_reviews

PLAN = PretrainPlan("test", 8, 10, words=90, epochs=1, batch=8, steps=11, samples=24, learning_rate=0.02)
FEW: dict[str, Any] = {"batch": 16, "learning_rate": 0.02, "head": 5.0}


class Notes(Observer):
    """Keeps the notes; presses Ctrl-C after `step` steps."""

    def __init__(self, step: int = 0) -> None:
        self.notes: list[str] = []
        self.left = step

    def note(self, text: str) -> None:
        self.notes.append(text)

    def stepped(self, step: StepSeen) -> None:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def base() -> Base:
    return pretrain([str(text) for text in made_reviews(500, 40).inputs], plan=PLAN, seed=2)


def ready(base: Base, labels: int, **changes: Any) -> Prepared:
    return prepare(made_reviews(labels, 3), fitted_to(recipe("few", **FEW, **changes), base), 0, base.encoding)


def test_probabilities_of_texts_without_labels(base: Base) -> None:
    """They are right, the same twice, and move with the rounds. That rounds help is for real texts to say."""
    prepared, fresh = ready(base, 60), made_reviews(600, 41)
    whole = [np.asarray(s) for s in prepared.encoder.encode_all(fresh.inputs)]
    seen = []
    for rounds in (0, 2):
        once, heard = replace(prepared, recipe=replace(prepared.recipe, cotrain=rounds)), Notes()
        found = cotrained(once, base, whole, 0, heard)
        assert found.shape == (600, 2)
        np.testing.assert_allclose(found.sum(axis=1), 1)
        assert (found.argmax(axis=1) == fresh.labels).mean() > 0.85
        assert len(heard.notes) == rounds
        assert found.tobytes() == cotrained(once, base, whole, 0, Notes()).tobytes()
        seen.append(found)
    assert np.abs(seen[0] - seen[1]).max() > 0.01


def test_the_validation_part_is_not_read(base: Base) -> None:
    prepared = ready(base, 60)
    whole = [np.asarray(s) for s in prepared.encoder.encode_all(made_reviews(50, 41).inputs)]
    labels = prepared.labels.copy()
    labels[prepared.validation] = 1 - labels[prepared.validation]
    sequences = list(prepared.sequences)
    for n in prepared.validation:
        sequences[n] = np.zeros(1, dtype=np.int64)
    other = replace(prepared, labels=labels, sequences=sequences)
    one, two = (cotrained(p, base, whole, 0, Notes()) for p in (prepared, other))
    assert one.tobytes() == two.tobytes()


def test_three_classes(base: Base) -> None:
    data, fresh = made_reviews(90, 3, ("bad", "good", "odd")), made_reviews(200, 41, ("bad", "good", "odd"))
    prepared = prepare(data, fitted_to(recipe("few", **FEW), base), 0, base.encoding)
    whole = [np.asarray(s) for s in prepared.encoder.encode_all(fresh.inputs)]
    found = cotrained(prepared, base, whole, 0, Notes())
    assert found.shape == (200, 3)
    assert (found.argmax(axis=1) == fresh.labels).mean() > 0.6


def test_few_labels_choose_the_recipe_and_learn(base: Base) -> None:
    assert [default_recipe(*case) for case in [(1_999, True), (2_000, True), (90, False)]] == ["few", "best", "fast"]
    heard, more = Notes(), [str(text) for text in made_reviews(300, 41).inputs]
    model = train(made_reviews(60, 3), base=base, unlabelled=more, observer=heard, **FEW)
    assert model.facts.recipe == "few"
    assert any(note.startswith("co-training, round 1 of 1: ") for note in heard.notes)
    assert model.evaluate(made_reviews(300, 7)).accuracy > 0.8


def test_without_ngrams_a_network_is_the_teacher(base: Base) -> None:
    heard, more = Notes(), [str(text) for text in made_reviews(40, 41).inputs]
    model = train(made_reviews(60, 3), base=base, unlabelled=more, observer=heard, ngrams=0, **FEW)
    assert model.ngrams is None
    assert any(note.startswith("teacher, which will read") for note in heard.notes)
    assert not any("co-training" in note for note in heard.notes)


def test_stopped_and_resumed(base: Base, tmp_path: Path) -> None:
    data, more = made_reviews(60, 3), [str(text) for text in made_reviews(100, 41).inputs]
    whole = train(data, base=base, unlabelled=more, **FEW)
    with pytest.raises(Interrupted, match="resume"):
        train(data, base=base, unlabelled=more, out=tmp_path / "m", observer=Notes(4), **FEW)
    heard = Notes()
    resumed = train(data, base=base, unlabelled=more, out=tmp_path / "m", resume=True, observer=heard, **FEW)
    assert not any("co-training" in note for note in heard.notes), "what the teacher said is in the run folder"
    for name, array in whole.parameters.items():
        assert array.tobytes() == resumed.parameters[name].tobytes(), name
