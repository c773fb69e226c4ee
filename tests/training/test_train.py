"""`gatewise.train`: it learns, keeps the best epoch, is reproducible, and refuses bad input."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError, TrainingError
from gatewise.training import recipe
from gatewise.training.stack import stack
from gatewise.training.train import train
from gatewise.training.training_data import TrainingData
from gatewise.types import Array
from tests.training.callbacks import Recorder
from tests.training.texts import made_reviews

SMALL: dict[str, Any] = {"units": 12, "embedding_dim": 8, "batch_size": 16, "vocab_size": 80, "dropout_embedding": 0.2}
ALONE: dict[str, Any] = {"ngrams__order": 0}


@pytest.mark.parametrize(("name", "changes"), [("fast", {}), ("tutorial", {"max_length": 60, "learning_rate": 0.01})])
def test_it_learns_and_saves_the_same_model(tmp_path: Path, name: str, changes: dict[str, Any]) -> None:
    recorder = Recorder()
    data = made_reviews(400, 1)
    model = train(data, recipe=name, seed=3, out=tmp_path / "m", callbacks=recorder, epochs=6, **SMALL, **changes)
    fresh = made_reviews(200, 2)
    found = model.evaluate(fresh)
    assert found.accuracy > 0.85
    loaded = gw.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.logits(fresh.inputs), model.logits(fresh.inputs))
    assert [json.loads(line) for line in loaded.history.splitlines()] == [r.as_dict() for r in recorder.epochs]
    assert recorder.run is not None
    assert recorder.run.train == loaded.metadata.n_train
    assert len(recorder.steps) == 6 * recorder.run.steps_per_epoch
    assert not (tmp_path / "m.run").exists()


def test_the_best_epoch_is_kept_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatewise.training.train.stack", lambda *a, **named: stack(*a, **named | {"calibrate": False}))
    recorder = Recorder()
    data = made_reviews(300, 4)
    model = train(data, recipe="fast", seed=5, callbacks=recorder, epochs=8, learning_rate=0.05, **SMALL, **ALONE)
    best = min(recorder.epochs, key=lambda row: row.val_loss)
    assert best.epoch == model.metadata.best_epoch == max(row.epoch for row in recorder.epochs if row.best)
    assert best.epoch < len(recorder.epochs), "the run must overshoot for this test to mean anything"
    last_kept = model.metadata.evaluations[0]
    assert (last_kept.accuracy, last_kept.loss) == (best.val_accuracy, best.val_loss)
    from gatewise.data import split

    _, validation = split(data, 0.9, 5, "group")
    again = model.evaluate(data.take(validation))
    assert again.accuracy == best.val_accuracy
    assert again.loss == pytest.approx(model.metadata.evaluations[-1].loss, rel=1e-6)


def test_patience_stops_early() -> None:
    recorder = Recorder()
    train(made_reviews(200, 6), callbacks=recorder, epochs=30, patience=2, learning_rate=0.1, seed=1, **SMALL)
    best = min(recorder.epochs, key=lambda row: row.val_loss)
    assert len(recorder.epochs) == best.epoch + 2 < 30


def test_it_leaves_the_generators_of_others_alone() -> None:
    before = np.random.get_state()[1].tobytes(), random.getstate()
    train(made_reviews(120, 7), seed=9, epochs=2, **SMALL)
    assert (np.random.get_state()[1].tobytes(), random.getstate()) == before


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_loss_or_gradient_that_is_not_finite_stops_the_run_and_leaves_a_checkpoint(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gatewise.training import objective

    real, calls = objective.loss_of, []

    def broken(training_data: TrainingData, logits: Array, rows: np.ndarray) -> tuple[float, Array]:
        calls.append(len(rows))
        loss, gradient = real(training_data, logits, rows)
        if len(calls) != 4:
            return loss, gradient
        return (math.nan, gradient) if what == "loss" else (loss, np.full_like(gradient, math.inf))

    data = made_reviews(200, 3)
    uninterrupted = train(data, epochs=1, **SMALL)
    monkeypatch.setattr(objective, "loss_of", broken)
    with pytest.raises(TrainingError, match=rf"{what} is not finite at step 4, rows \d+, \d+.*, \.\.\.; a lower"):
        train(data, epochs=1, **SMALL)
    calls.clear()
    with pytest.raises(TrainingError, match=r"at step 4, rows .*m\.run holds the weights before it"):
        train(data, epochs=1, out=tmp_path / "m", **SMALL)
    resumed = train(data, epochs=1, out=tmp_path / "m", resume=True, **SMALL)  # the cause is gone: continues at step 4
    for name, array in uninterrupted.parameters.items():
        assert array.tobytes() == resumed.parameters[name].tobytes(), name


def test_a_validation_loss_that_is_not_finite_is_an_error() -> None:
    """The one step of the epoch has a finite loss, and its weights overflow: the initial network would be returned."""
    options: dict[str, Any] = {**SMALL, **ALONE, "epochs": 1, "batch_size": 200, "min_batch_tokens": 0}
    with pytest.raises(TrainingError, match="the validation loss is not finite after epoch 1; a lower learning rate"):
        train(made_reviews(120, 7), **options, schedule="constant", learning_rate=3e38)


def test_the_error_of_a_step_is_not_replaced_by_that_of_its_checkpoint(tmp_path: Path) -> None:
    """The weights are not finite after step 1, whose loss is; so nothing is written, and nothing says that it was."""
    options: dict[str, Any] = {**SMALL, **ALONE, "epochs": 2, "schedule": "constant", "learning_rate": 1e39}
    with pytest.raises(TrainingError, match=r"is not finite at step 2, rows [\d, ]+\.\.\.; a lower"):
        train(made_reviews(200, 3), out=tmp_path / "m", **options)
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: train(d, recipe="quick"), "no recipe is called 'quick'; there are finetune, best, few-shot"),
        (lambda d: train(d, colour=3), "a recipe has no 'colour'"),
        (lambda d: train(d, recipe=3), "no recipe is called '3'; there are"),
        (lambda d: train(d, epochs=0), "epochs must be at least 1"),
        (lambda d: train(d.inputs), "labels are missing"),
        (lambda d: train(d, resume=True), "resume needs"),
        (lambda d: train(["a b", "c d", "e f"], ["x", "x", "x"]), "one class"),
    ],
)
def test_bad_options_are_refused(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(made_reviews(40, 1))


def test_the_recipe_tutorial_equals_the_tutorial() -> None:
    arch = recipe("tutorial").architecture("tokens", 88_588, 1)
    assert (arch.embedding_dim, arch.units, arch.max_length, arch.padding, arch.outputs) == (32, 100, 1000, "pre", 1)
    expected = {
        "vocab_size": 10_000,
        "batch_size": 64,
        "epochs": 5,
        "learning_rate": 0.001,
        "beta_2": 0.999,
        "grad_clip": 0.0,
        "validation.fraction": 0.2,
    }
    tutorial = recipe("tutorial")
    assert recipe(tutorial, **expected) == tutorial
    assert not any(tutorial.dropout.values())
    assert tutorial.lstm.padding == "pre", "which is not calibrated"
