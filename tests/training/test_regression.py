"""Regression: texts and series, one number and several, in the unit of the data."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.data import Labelled
from gatewise.errors import InputError
from gatewise.metrics import RegressionEvaluation
from gatewise.training.members.ngrams import NgramFeatures
from gatewise.training.train import train
from tests.training.callbacks import Recorder

TEXTS: dict[str, Any] = {"units": 8, "embedding_dim": 8, "batch_size": 16, "vocab_size": 80, "seed": 3, "epochs": 3}
SERIES: dict[str, Any] = {"recipe": "fast", "units": 10, "batch_size": 16, "seed": 2, "dropout_output": 0.0}


def made_ratings(n: int, seed: int, unit: float = 20.0, mean: float = 500.0) -> Labelled:
    """Texts whose number is the sum of the values of their words and a little noise, in the given unit."""
    rng = np.random.default_rng(seed)
    value = np.random.default_rng(99).normal(0, 1, 40)
    texts, numbers = [], []
    for _ in range(n):
        words = rng.choice(40, int(rng.integers(3, 9)), replace=False)
        texts.append(" ".join(f"word{w}" for w in words))
        numbers.append(mean + unit * (value[words].sum() + rng.normal(0, 0.3)))
    return Labelled.of(texts, numbers, "made ratings", task="regression")


def made_waves(n: int, seed: int) -> tuple[list[Any], Any]:
    """Series of two channels with their amplitude, in thousands, and their mean."""
    rng = np.random.default_rng(seed)
    series, numbers = [], []
    for _ in range(n):
        amplitude, level = rng.uniform(0.5, 3), rng.normal(0, 1)
        steps = np.arange(int(rng.integers(12, 30)))
        wave = level + amplitude * np.sin(steps * 0.7 + rng.uniform(0, 6))
        series.append(np.stack([wave, rng.normal(0, 1, len(steps))], axis=1).astype(np.float32))
        numbers.append((1000 * amplitude, level))
    return series, np.array(numbers)


def test_texts(tmp_path: Path) -> None:
    data, fresh, recorder = made_ratings(500, 1), made_ratings(200, 2), Recorder()
    model = train(data, out=tmp_path / "m", callbacks=recorder, **TEXTS)
    assert (model.task, model.classes, model.architecture.outputs) == ("regression", ("value",), 1)
    found = model.evaluate(fresh)
    assert isinstance(found, RegressionEvaluation)
    assert found.r2 > 0.85
    assert found.rmse == pytest.approx(float(np.sqrt(np.mean((model.predict(fresh.inputs) - fresh.labels[:, 0]) ** 2))))
    assert model.predict(fresh.inputs[:3]).shape == (3,)
    with pytest.raises(InputError, match="probabilities"):
        model.predict_proba(fresh.inputs[:1])
    again = gw.load(tmp_path / "m")
    assert again.predict(fresh.inputs[:9]).tobytes() == model.predict(fresh.inputs[:9]).tobytes()
    assert model.metadata.calibration is None
    assert "RMSE" in again.card()
    assert recorder.run is not None
    assert recorder.run.task == "regression"
    row = model.history[-1]
    assert set(row) == {"epoch", "loss", "val_loss", "val_rmse", "seconds", "best"}
    assert row["val_rmse"] == pytest.approx(model.metadata.evaluations[0].scores["RMSE"], rel=0.5)
    assert all(step.accuracy is None for step in recorder.steps)


def test_the_unit_of_the_numbers_does_not_matter() -> None:
    """Predictions for numbers a y + b are a times the predictions for y, plus b."""
    one, other = made_ratings(160, 5, 1.0, 0.0), made_ratings(160, 5, 1e4, -3e5)
    plain, scaled = (train(data, **{**TEXTS, "epochs": 2}).predict(one.inputs) for data in (one, other))
    np.testing.assert_allclose(scaled, 1e4 * plain - 3e5, atol=30)


def test_the_ridge_regression_of_ngrams_is_the_optimum() -> None:
    rng = np.random.default_rng(4)
    sequences = [rng.integers(2, 20, 6) for _ in range(120)]
    numbers = np.stack([[len(set(s.tolist())), s[0] * 1.0] for s in sequences]) + rng.normal(0, 0.1, (120, 2))
    numbers = (numbers - numbers.mean(axis=0)) / numbers.std(axis=0)
    weight = rng.uniform(0.2, 3, 120)
    fitted = NgramFeatures.of(sequences, 1, 1).fit(numbers, weight, task="regression", l2=0.5, tol=1e-7)
    x = np.array([[float(key - 1 in s) for key in fitted.member.keys] for s in sequences])

    ranks = np.array([[np.mean(column < v) + np.mean(column == v) / 2 for v in column] for column in numbers.T]).T
    p, q = 1 + x.T @ (ranks * weight[:, None]), 1 + x.T @ ((1 - ranks) * weight[:, None])
    r = np.log(p / p.sum(axis=0)) - np.log(q / q.sum(axis=0))
    for k in range(2):
        from sklearn.linear_model import Ridge

        ridge = Ridge(0.5, tol=1e-10).fit(x * r[:, k], numbers[:, k], sample_weight=weight)
        np.testing.assert_allclose(fitted.member.weight[:, k], ridge.coef_ * r[:, k], atol=2e-3)
        assert fitted.bias[k] == pytest.approx(ridge.intercept_, abs=2e-3)


def test_series_with_two_numbers() -> None:
    series, numbers = made_waves(260, 7)
    data = Labelled.of(series, numbers, "made waves", task="regression", classes=["amplitude", "level"])
    model = train(data, epochs=25, learning_rate=0.02, **SERIES)
    fresh, truth = made_waves(100, 8)
    predicted = model.predict(fresh)
    assert predicted.shape == (100, 2)
    found = model.evaluate(Labelled.of(fresh, truth, task="regression", classes=["amplitude", "level"]))
    assert isinstance(found, RegressionEvaluation)
    assert min(found.r2_each) > 0.8
    assert found.classes == ("amplitude", "level")


def test_a_constant_number_is_predicted() -> None:
    series, numbers = made_waves(60, 9)
    numbers[:, 1] = 7.25
    model = train(Labelled.of(series, numbers, task="regression"), epochs=2, **SERIES)
    np.testing.assert_allclose(model.predict(series)[:, 1], 7.25, atol=0.5)


def test_refused() -> None:
    data = made_ratings(60, 12)
    model = train(data, **{**TEXTS, "epochs": 1})
    classes = Labelled.of(data.inputs, ["a", "b"] * 30)
    with pytest.raises(InputError, match="trained for regression"):
        model.evaluate(classes)
