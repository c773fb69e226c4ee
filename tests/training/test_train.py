"""`gatewise.train`: it learns, keeps the best epoch, adds the n-grams, calibrates, refuses bad input.

A regression is of texts and series, one number and several, in the unit of the data.
"""

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge

import gatewise as gw
from gatewise.data import split
from gatewise.data.labelled import Labelled
from gatewise.errors import TrainingError
from gatewise.explain import METHODS
from gatewise.losses import SQUARED_ERROR
from gatewise.model.model import Model
from gatewise.network.trainable import BatchLoss
from gatewise.training import recipe, supervised_loop
from gatewise.training.fields import values_of
from gatewise.training.ngram_features import NgramFeatures
from gatewise.training.stack import FittedMember, HeldOutTargets, Stack
from gatewise.training.train import train
from gatewise.training.training_data import TrainingData, prepare
from gatewise.training.weighted_targets import WeightedTargets
from gatewise.types import Array
from tests.members.ngram_keys import tokens_of
from tests.refusals import assert_refused
from tests.training.callbacks import Recorder
from tests.training.texts import made_ratings, made_reviews

SIZE: dict[str, Any] = {"units": 12, "embedding_dim": 8, "batch_size": 16, "vocab_size": 80}
SMALL: dict[str, Any] = {**SIZE, "dropout_embedding": 0.2}
SHORT: dict[str, Any] = {**SIZE, "epochs": 2, "seed": 5}
HALF: dict[str, Any] = {**SHORT, "validation__fraction": 0.5}  # 100 validation rows and more: called calibrated
ALONE: dict[str, Any] = {"ngrams__order": 0}


def uncalibrated(members: list[FittedMember], targets: HeldOutTargets) -> Stack:
    return Stack.alone(*members)


@pytest.mark.parametrize(("name", "changes"), [("fast", {}), ("tutorial", {"max_length": 60, "learning_rate": 0.01})])
def test_it_learns_and_saves_the_same_model(tmp_path: Path, name: str, changes: dict[str, Any]) -> None:
    """The generators of others, which are NumPy's and Python's, stay as they are."""
    recorder, before = Recorder(), (np.random.get_state()[1].tobytes(), random.getstate())
    data = made_reviews(400, 1)
    model = train(data, recipe=name, seed=3, out=tmp_path / "m", callbacks=recorder, epochs=6, **SMALL, **changes)
    fresh = made_reviews(200, 2)
    assert (np.random.get_state()[1].tobytes(), random.getstate()) == before
    assert model.evaluate(fresh).accuracy > 0.85
    loaded = gw.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.logits(fresh.inputs), model.logits(fresh.inputs))
    assert loaded.history == [r.as_dict() for r in recorder.epochs]
    assert recorder.run.train == loaded.metadata.n_train
    assert len(recorder.steps) == 6 * recorder.run.steps_per_epoch
    assert not (tmp_path / "m.run").exists()


def test_the_best_epoch_is_kept_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatewise.training.fit.stack", uncalibrated)
    recorder = Recorder()
    data = made_reviews(300, 4)
    model = train(data, recipe="fast", seed=5, callbacks=recorder, epochs=8, learning_rate=0.05, **SMALL, **ALONE)
    best = min(recorder.epochs, key=lambda row: row.val_loss)
    assert best.epoch == model.metadata.best_epoch == max(row.epoch for row in recorder.epochs if row.best)
    assert best.epoch < len(recorder.epochs), "the run must overshoot for this test to mean anything"
    last_kept = model.metadata.evaluations[0]
    assert (last_kept.accuracy, last_kept.loss) == (best.val_accuracy, best.val_loss)
    _, validation = split(data, 0.9, 5, "group")
    again = model.evaluate(data.take(validation))
    assert again.accuracy == best.val_accuracy
    assert again.loss == pytest.approx(model.metadata.evaluations[-1].loss, rel=1e-6)


def test_patience_stops_early() -> None:
    recorder = Recorder()
    train(made_reviews(200, 6), callbacks=recorder, epochs=30, patience=2, learning_rate=0.1, seed=1, **SMALL)
    best = min(recorder.epochs, key=lambda row: row.val_loss)
    assert len(recorder.epochs) == best.epoch + 2 < 30


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_loss_or_gradient_that_is_not_finite_stops_the_run_and_leaves_a_checkpoint(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = supervised_loop.mean_loss, []

    def broken(training_data: TrainingData, logits: Array, rows: np.ndarray, transitions: None = None) -> BatchLoss:
        calls.append(len(rows))
        loss, gradient, *_ = real(training_data, logits, rows, transitions)
        if len(calls) != 4:
            return BatchLoss(loss, gradient)
        if what == "loss":
            return BatchLoss(math.nan, gradient)
        return BatchLoss(loss, np.full_like(gradient, math.inf))

    data = made_reviews(200, 3)
    uninterrupted = train(data, epochs=1, **SMALL)
    monkeypatch.setattr(supervised_loop, "mean_loss", broken)
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
        (lambda d: train(d.inputs), "labels are missing"),
        (lambda d: train(d, resume=True), "resume needs"),
        (lambda d: train(["a b", "c d", "e f"], ["x", "x", "x"]), "one class"),
    ],
)
def test_bad_options_are_refused(call: Any, message: str) -> None:
    assert_refused(message, call, made_reviews(40, 1))


def test_the_recipe_tutorial_equals_the_tutorial() -> None:
    arch = recipe("tutorial").architecture("tokens", 88_588, 1)
    shape = arch.embedding_dim, arch.top.units, arch.max_length, arch.padding, arch.outputs
    assert shape == (32, 100, 1000, "pre", 1)
    expected = {"vocab_size": 10_000, "batch_size": 64, "epochs": 5, "validation.fraction": 0.2}
    expected |= {"learning_rate": 0.001, "beta_2": 0.999, "grad_clip": 0.0}
    tutorial = recipe("tutorial")
    assert recipe(tutorial, **expected) == tutorial
    assert not any(value for name, value in values_of(tutorial).items() if "dropout" in name or "noise" in name)
    assert tutorial.lstm.padding == "pre", "which is not calibrated"


def network_alone(data: Labelled) -> Model:
    """The network before the ensemble weights and the calibration."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gatewise.training.fit.stack", uncalibrated)
        return train(data, ngrams__order=0, **HALF)


def test_ngram_model_is_added_to_the_best_epoch(tmp_path: Path) -> None:
    data, recorder = made_reviews(300, 50), Recorder()
    alone = network_alone(data)
    model = train(data, out=tmp_path / "m", callbacks=recorder, ngrams__order=2, ngrams__scaling="nb", **HALF)
    ngrams = model.ensemble.get("ngrams")
    assert ngrams.order == 2
    assert model.preprocessor.unknown == 1
    assert not any(1 in tokens_of(int(key)) for key in ngrams.keys)
    for name, array in alone.parameters.items():
        np.testing.assert_array_equal(model.parameters[name], array)
    weight = model.ensemble.lstm_weight
    assert model.metadata.calibration.method.startswith(f"LSTM x {weight:.2f}, n-grams x ")
    [fitted] = [message for message in recorder.messages if "fitted in" in message]
    assert fitted.startswith(f"{len(ngrams):,} n-grams of 1 to 2 words fitted in ")
    measured = {one.data: one for one in model.metadata.evaluations}
    both = measured["validation set, used to fit the ensemble weights"]
    assert both.loss < measured["validation set, used to choose the epoch"].loss
    rows = prepare(data, recipe("fast", **{k: v for k, v in HALF.items() if k != "seed"}), 5).validation
    seen = model.evaluate(data.take(rows))
    assert (seen.accuracy, seen.loss) == (both.accuracy, pytest.approx(both.loss, rel=1e-5))
    again = gw.load(tmp_path / "m")
    assert again.logits(data.inputs[:9]).tobytes() == model.logits(data.inputs[:9]).tobytes()
    assert "calibrated on the data named above" in again.card()
    assert set(again.metadata.faithfulness) == set(METHODS)


def test_ngram_model_reads_what_truncation_removes() -> None:
    """The decisive word is the first, and the network reads the last five: only the n-gram model sees it."""
    rng = np.random.default_rng(51)
    labels = rng.integers(0, 2, 300)
    rest = [" ".join(rng.choice([f"word{n}" for n in range(30)], 9)) for _ in labels]
    texts = [f"{'bright' if label else 'dull'} {words}" for label, words in zip(labels, rest, strict=True)]
    model = gw.train(texts, labels, max_length=5, truncation="front", ngrams__order=1, **SHORT)
    assert np.mean(model.predict(texts) == labels) > 0.98


def test_calibration_alone_changes_the_weight_and_the_shift_only() -> None:
    data = made_reviews(300, 52)
    alone, model = network_alone(data), train(data, ngrams__order=0, **HALF)
    assert model.ensemble.get("ngrams") is None
    scale, [shift] = model.ensemble.lstm_weight, model.ensemble.shift
    np.testing.assert_array_equal(model.parameters["dense.weight"], alone.parameters["dense.weight"])
    assert model.metadata.calibration.method.startswith(f"LSTM x {scale:.2f}, shift {shift:+.2f}, fitted on ")
    np.testing.assert_allclose(model.logits(data.inputs), scale * alone.logits(data.inputs) + shift, atol=1e-5)
    rows = prepare(data, recipe("fast", **{k: v for k, v in HALF.items() if k != "seed"}), 5).validation
    validation = data.take(rows)
    assert model.evaluate(validation).loss < alone.evaluate(validation).loss
    mean = float(model.predict_proba(validation.inputs)[:, 1].mean())
    before = float(alone.predict_proba(validation.inputs)[:, 1].mean())
    assert abs(mean - validation.labels.mean()) < abs(before - validation.labels.mean())


def test_texts_without_a_common_ngram() -> None:
    recorder = Recorder()
    texts = ["aa bb", "cc dd", "ee ff", "gg hh", "ii jj", "kk ll"]
    few: dict[str, Any] = {"ngrams__order": 2, "validation__fraction": 0.34, "tokenization": "keras"}
    model = gw.train(texts, [0, 1, 0, 1, 0, 1], callbacks=recorder, **few, **SHORT)
    assert model.ensemble.get("ngrams") is None or len(model.ensemble.get("ngrams"))
    assert any("n-grams" in message and " fitted in " in message for message in recorder.messages)


RATED: dict[str, Any] = {"units": 8, "embedding_dim": 8, "batch_size": 16, "vocab_size": 80, "seed": 3, "epochs": 3}


def test_a_regression_of_texts(tmp_path: Path) -> None:
    data, fresh, recorder = made_ratings(500, 1), made_ratings(200, 2), Recorder()
    model = train(data, out=tmp_path / "m", callbacks=recorder, **RATED)
    assert (model.task, model.classes, model.architecture.outputs) == ("regression", ("value",), 1)
    found = model.evaluate(fresh)
    assert found.r2 > 0.85
    assert found.rmse == pytest.approx(float(np.sqrt(np.mean((model.predict(fresh.inputs) - fresh.labels[:, 0]) ** 2))))
    assert model.predict(fresh.inputs[:3]).shape == (3,)
    assert_refused("probabilities", model.predict_proba, fresh.inputs[:1])
    again = gw.load(tmp_path / "m")
    assert again.predict(fresh.inputs[:9]).tobytes() == model.predict(fresh.inputs[:9]).tobytes()
    assert model.metadata.calibration is None
    assert "RMSE" in again.card()
    assert recorder.run.task == "regression"
    row = model.history[-1]
    assert set(row) == {"epoch", "loss", "val_loss", "val_rmse", "seconds", "best"}
    assert row["val_rmse"] == pytest.approx(model.metadata.evaluations[0].scores["RMSE"], rel=0.5)
    assert all(step.accuracy is None for step in recorder.steps)


def test_the_unit_of_the_numbers_does_not_matter() -> None:
    """Predictions for numbers a y + b are a times the predictions for y, plus b."""
    one, other = made_ratings(160, 5, 1.0, 0.0), made_ratings(160, 5, 1e4, -3e5)
    plain, scaled = (train(data, **{**RATED, "epochs": 2}).predict(one.inputs) for data in (one, other))
    np.testing.assert_allclose(scaled, 1e4 * plain - 3e5, atol=30)


def test_the_ridge_regression_of_ngrams_is_the_optimum() -> None:
    rng = np.random.default_rng(4)
    sequences = [rng.integers(2, 20, 6) for _ in range(120)]
    numbers = np.stack([[len(set(s.tolist())), s[0] * 1.0] for s in sequences]) + rng.normal(0, 0.1, (120, 2))
    numbers = (numbers - numbers.mean(axis=0)) / numbers.std(axis=0)
    weight = rng.uniform(0.2, 3, 120)
    targets = WeightedTargets(numbers, SQUARED_ERROR, weight)
    fitted = NgramFeatures.of(sequences, 1, 1).fit(targets, l2=0.5, tol=1e-7)
    x = np.array([[float(key - 1 in s) for key in fitted.member.keys] for s in sequences])

    ranks = np.array([[np.mean(column < v) + np.mean(column == v) / 2 for v in column] for column in numbers.T]).T
    p, q = 1 + x.T @ (ranks * weight[:, None]), 1 + x.T @ ((1 - ranks) * weight[:, None])
    r = np.log(p / p.sum(axis=0)) - np.log(q / q.sum(axis=0))
    for k in range(2):
        ridge = Ridge(0.5, tol=1e-10).fit(x * r[:, k], numbers[:, k], sample_weight=weight)
        np.testing.assert_allclose(fitted.member.weight[:, k], ridge.coef_ * r[:, k], atol=2e-3)
        assert fitted.bias[k] == pytest.approx(ridge.intercept_, abs=2e-3)
