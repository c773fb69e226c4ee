"""Fits of forecasters: what is known at each held-out window, the members, weights from the past."""

from __future__ import annotations

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.forecast.fit import (
    Plan,
    TrainingWindows,
    combine,
    fit_autoregression,
    member_weights,
    window_recipe,
)
from gatewise.members.windows import Transform, numbered
from gatewise.types import Array

RNG = np.random.default_rng(2)


def test_plan() -> None:
    series = np.arange(60.0)[:, None]
    plan = Plan.of(60, 8)
    assert (plan.origins, plan.steps) == (10, 8)
    before = plan.before(series)
    known, future = plan.windows(series, 3)
    assert before[-1, 0] == 42
    assert known[0, :, 0].tolist() == [40, 41, 42]
    assert future[0].tolist() == list(range(43, 51))
    assert future[-1, -1] == 59
    assert Plan.of(24, 36) == Plan(5, 8)  # at least half of the values stay before the windows


def test_weights_come_from_the_past_of_each_origin() -> None:
    forecasts, actual = RNG.normal(size=(3, 2, 6, 4)), RNG.normal(size=(2, 6, 4))

    def combined(changed: Array) -> Array:
        return combine(forecasts, np.abs(forecasts - changed))[1]

    first = combined(actual)
    np.testing.assert_allclose(first[:, 0], forecasts[:, :, 0].mean(axis=0))
    # The value of window j at step k (from 0) is known at origin j + k + 1: change what origin 3 does not know.
    changed = actual.copy()
    for j in range(6):
        changed[:, j, max(0, 3 - j) :] += 100
    second = combined(changed)
    np.testing.assert_array_equal(first[:, :4], second[:, :4])
    assert (first[:, 4:] != second[:, 4:]).any()


def test_member_weights() -> None:
    np.testing.assert_allclose(member_weights(np.array([2.0, 4, 1, 2])), np.array([1, 0, 4, 1]) / 6)
    np.testing.assert_allclose(member_weights(np.array([1.0, 2])), [0.8, 0.2])


def recurrence(n: int) -> Array:
    """y_t = 1.6 y_{t-1} - 0.9 y_{t-2} + 0.5 x_{t-1} + 1, without noise; x is a random exogenous column."""
    x = np.random.default_rng(5).normal(size=n)
    y = np.zeros(n)
    for t in range(2, n):
        y[t] = 1.6 * y[t - 1] - 0.9 * y[t - 2] + 0.5 * x[t - 1] + 1
    return np.stack([y, x], axis=1)


def test_an_autoregression_finds_a_linear_recurrence() -> None:
    series = recurrence(150)
    windows = TrainingWindows.of([series[:140]], Transform(False, 1, False, 3), 1)
    assert windows is not None
    found = fit_autoregression(windows).logits([numbered(series[137:140], 0)])
    assert found[0, 0] == pytest.approx(series[140, 0], abs=0.05)


def test_windows_are_in_the_order_of_time_and_end_within_the_series() -> None:
    a, b = np.arange(20.0)[:, None], 100 + np.arange(14.0)[:, None]
    windows = TrainingWindows.of([a, b], Transform(False, 1, False, 4), 2)
    assert windows is not None
    assert windows.x.shape == (15 + 9, 4, 1)
    values = windows.y * windows.scales.std[0] + windows.scales.mean[0]  # right for the windows of a
    assert values.max() > 18.9
    assert TrainingWindows.of([a, b[:10]], windows.transform, 2) is None


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("none", {}, "none"),
        (None, {"unit": 3}, "unit"),
        (None, {"ngrams__order": 2}, "is for texts, and these are series"),
        (None, {"features": 100}, "convolutions.features is for classification and regression; the LSTM of a forec"),
        ("series", {"folds": 3}, "validation.folds is for classification and regression"),
    ],
)
def test_recipes_of_the_lstm(name: str | None, changes: dict[str, object], message: str) -> None:
    assert window_recipe("fast", {"units": 4}).lstm.units == 4
    with pytest.raises(InputError, match=message):
        window_recipe(name, changes)
