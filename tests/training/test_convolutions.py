"""The linear model on convolution features: banks as in the paper, all tasks."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gatewise.data import Labelled
from gatewise.kernels.convolution import KERNELS
from gatewise.members.convolutions import features_of
from gatewise.training import recipe
from gatewise.training.members import convolutions as module
from gatewise.training.members.convolutions import dilations_of, fit, fit_banks
from gatewise.training.stack import FittedMember
from gatewise.training.train import train
from gatewise.training.training_data import prepare
from gatewise.types import Array, Task
from tests.training.callbacks import run_of


def waves(n: int, seed: int, channels: int = 1) -> tuple[list[np.ndarray], np.ndarray]:
    """Series of 20 to 40 steps whose frequency is the label, 0 to 2."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    rows = []
    for label in labels:
        t = np.arange(int(rng.integers(20, 41)))[:, None]
        wave = np.sin((0.3 + 0.4 * label) * t + rng.uniform(0, 6, channels))
        rows.append((wave + 0.3 * rng.standard_normal(wave.shape)).astype(np.float32))
    return rows, labels


def fitted(
    rows: list[np.ndarray], labels: Any, task: Task = "classification", features: int = 840, **given: Any
) -> tuple[FittedMember, np.ndarray]:
    """The convolutions of these rows, and their held-out logits of all of them."""
    settings = recipe("series", convolutions__features=features, folds=5, epochs=1)
    data = prepare(Labelled.of(rows, labels, task=task, **given), settings, 2)
    data = replace(data, validation=np.arange(len(rows)))
    found = fit(data, run_of(seed=2))
    assert found is not None
    assert found.held_out is not None
    return found, found.held_out


def test_dilations_are_spaced_exponentially() -> None:
    dilations, counts = dilations_of(500, 119)
    assert dilations[0] == 1
    assert dilations[-1] <= 499 / 8 < 2 * dilations[-1]
    assert (np.diff(dilations) > 0).all()
    assert counts.sum() == 119
    assert counts.min() >= 1
    short, few = dilations_of(5, 119)
    assert short.tolist() == [1]
    assert few.tolist() == [119]


def test_banks_read_channels_or_differences() -> None:
    rows, _ = waves(9, 1, channels=3)
    plain = fit_banks(rows, 840, np.random.default_rng(3), differences=False)
    both = fit_banks(rows, 840, np.random.default_rng(3), differences=True)
    assert len(plain.thresholds) == len(both.thresholds) == 840
    assert not plain.channels[:, :, 3:].any()
    used = plain.channels.sum(axis=2)
    assert 1 <= used.min() < used.max() <= 3
    halves = both.channels.reshape(2, -1, len(KERNELS), 6)
    assert halves[0, :, :, :3].any()
    assert not halves[0, :, :, 3:].any()
    assert halves[1, :, :, 3:].any()
    assert not halves[1, :, :, :3].any()
    ppv = features_of(plain, rows)
    assert 0.2 < ppv.mean() < 0.8  # thresholds are quantiles of what the convolutions give


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_every_task_is_learnt_and_calibrated(task: Task) -> None:
    rows, labels = waves(45, 7)
    test, truth = waves(30, 8)
    given: Any = [(int(label),) for label in labels] if task == "multilabel" else labels
    model, out_of_fold = fitted(rows, given, task)
    logits = model.logits(test)
    assert logits.shape == (30, 1 if task == "regression" else 3)
    assert out_of_fold.shape == (45, logits.shape[1])
    if task == "regression":
        assert np.sqrt(np.mean((logits[:, 0] - truth) ** 2)) < 0.35
        assert 0.05 < np.sqrt(np.mean((out_of_fold[:, 0] - labels) ** 2)) < 0.5
    else:
        assert (logits.argmax(axis=1) == truth).mean() > 0.9
        p = 1 / (1 + np.exp(-logits)) if task == "multilabel" else np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        assert 0.6 < p[np.arange(30), truth].mean() < 0.999


def test_rows_of_a_group_are_held_out_together() -> None:
    rng = np.random.default_rng(11)
    noise = [rng.standard_normal((15, 1)).astype(np.float32) for _ in range(20)]
    labels = rng.integers(0, 3, 20)
    twice, both = [*noise, *(one + np.float32(1e-6) for one in noise)], np.concatenate([labels, labels])
    leaking, honest = (
        fitted(twice, both, features=420, groups=groups)[1] for groups in (None, [n % 20 for n in range(40)])
    )
    assert (leaking.argmax(axis=1) == both).all()
    assert (honest.argmax(axis=1) == both).mean() < 0.8


def test_many_rows_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 40)
    monkeypatch.setattr(module, "FEATURES_OF_MANY", 252)
    monkeypatch.setattr(module, "ROWS_PER_CHUNK", 16)
    rows, labels = waves(90, 13)
    data = prepare(Labelled.of(rows, labels), recipe("series", convolutions__features=9_996, folds=0), 2)
    model = fit(data, run_of(seed=2))
    assert model is not None
    assert model.held_out is not None
    assert len(model.member) == 252  # type: ignore[arg-type]
    assert (model.held_out.argmax(axis=1) == labels[data.validation]).mean() > 0.8
    test, truth = waves(30, 14)
    assert (model.logits(test).argmax(axis=1) == truth).mean() > 0.8


def test_short_and_constant_series() -> None:
    rows = [np.full((1 + n % 5, 1), n % 2, dtype=np.float32) for n in range(12)]
    model, _ = fitted(rows, np.arange(12) % 2, features=84)
    assert np.isfinite(model.logits([*rows, np.zeros((0, 1), dtype=np.float32)])).all()


def test_class_weights_reach_the_convolutions_and_leave_the_probabilities_calibrated() -> None:
    """The rare class has a bump of its own height; with class weights more of it is found."""
    rng = np.random.default_rng(11)

    def made(n: int) -> tuple[list[Array], list[str]]:
        rare = rng.random(n) < 0.06
        rows = [rng.normal(0, 1, (30, 1)).astype(np.float32) for _ in rare]
        for series, one in zip(rows, rare, strict=True):
            at = int(rng.integers(0, 18))
            series[at : at + 12, 0] += np.sin(np.arange(12)) * (2.0 if one else 0.4)
        return rows, ["rare" if one else "usual" for one in rare]

    (rows, labels), (fresh, truth) = made(300), made(2000)
    options: dict[str, Any] = {"epochs": 1, "units": 3, "convolutions__features": 336, "folds": 2}
    plain = train(rows, labels, **options)
    balanced = train(rows, labels, class_weight="balanced", **options)
    recalls = [(model.predict(fresh)[np.array(truth) == "rare"] == "rare").mean() for model in (plain, balanced)]
    assert recalls[1] > recalls[0] + 0.05
    share = np.mean(np.array(truth) == "rare")
    assert balanced.predict_proba(fresh)[:, 0].mean() == pytest.approx(share, abs=0.02)
    assert balanced.evaluate(fresh, truth).calibration_error < 0.03
    one, other = plain.ensemble.get("convolutions"), balanced.ensemble.get("convolutions")
    cosine = (one.weight * other.weight).sum() / np.linalg.norm(one.weight) / np.linalg.norm(other.weight)
    assert cosine < 0.99, "the weights of the fit differ, not their scale alone"
