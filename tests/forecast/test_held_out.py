"""Held-out windows: what is known at each, weights from the past, scores and intervals."""

from __future__ import annotations

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.forecast.held_out import HeldOut, Plan, combine, member_weights, naive_scale

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

    def combined(changed: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> object:
        return combine(forecasts, np.abs(forecasts - changed))[1]

    first = combined(actual)
    np.testing.assert_allclose(first[:, 0], forecasts[:, :, 0].mean(axis=0))  # type: ignore[index]
    # The value of window j at step k (from 0) is known at origin j + k + 1: change what origin 3 does not know.
    changed = actual.copy()
    for j in range(6):
        changed[:, j, max(0, 3 - j) :] += 100
    second = combined(changed)
    np.testing.assert_array_equal(first[:, :4], second[:, :4])  # type: ignore[index]
    assert (first[:, 4:] != second[:, 4:]).any()  # type: ignore[index]


def test_member_weights() -> None:
    np.testing.assert_allclose(member_weights(np.array([2.0, 4, 1, 2])), np.array([1, 0, 4, 1]) / 6)
    np.testing.assert_allclose(member_weights(np.array([1.0, 2])), [0.8, 0.2])


def test_scores_and_scale() -> None:
    actual = np.array([[[2.0, 4], [4, 8]]])
    held = HeldOut(actual, actual * 1.5, actual + 1, np.array([0.5]))
    assert held.scores.mase == pytest.approx(np.mean([1, 2, 2, 4]) / 0.5)
    assert held.scores.mape == pytest.approx(0.5)
    assert held.scores.rmse == pytest.approx(2.5)
    assert held.naive_scores.mase == pytest.approx(2)
    zero = HeldOut(actual * [0, 1], actual, actual, np.array([0.5]))
    assert zero.scores.mape is None
    assert naive_scale(np.array([1.0, 5, 2, 8]), 2) == 2
    assert naive_scale(np.ones(5), 1) == 1


def test_intervals_cover_as_many_new_values_as_they_say() -> None:
    actual = RNG.normal(size=(1, 400, 3)) * [1, 2, 4]
    held = HeldOut(actual, np.zeros_like(actual), actual, np.array([1.0]))
    half = held.half_widths(np.zeros(5), 0, 0.8)
    assert np.isnan(half[3:]).all()
    new = RNG.normal(size=(4000, 3)) * [1, 2, 4]
    np.testing.assert_allclose((np.abs(new) <= half[:3]).mean(axis=0), 0.8, atol=0.06)


def test_intervals_of_positive_series_grow_with_the_forecast() -> None:
    forecast = RNG.uniform(5, 10, size=(1, 50, 2))
    held = HeldOut(forecast * RNG.uniform(0.9, 1.1, size=forecast.shape), forecast, forecast, np.array([1.0]))
    np.testing.assert_allclose(
        held.half_widths(np.array([20.0, 40]), 0, 0.5), 2 * held.half_widths(np.array([10.0, 20]), 0, 0.5)
    )


def test_too_few_windows_have_no_interval() -> None:
    actual = RNG.normal(size=(1, 5, 2))
    held = HeldOut(actual, actual * 0, actual, np.array([1.0]))
    assert np.isfinite(held.half_widths(np.zeros(2), 0, 0.8)).all()
    with pytest.warns(UserWarning, match=r"a level of 90% needs 9 held-out windows, there are 5"):
        assert np.isnan(held.half_widths(np.zeros(2), 0, 0.9)).all()
    few = HeldOut(actual[:, :3], actual[:, :3] * 0, actual[:, :3], np.array([1.0]))
    with pytest.warns(UserWarning, match=r"a level of 50% needs 5 held-out windows, there are 3"):
        few.half_widths(np.zeros(2), 0, 0.5)
    with pytest.raises(InputError, match="between 0 and 1"):
        held.half_widths(np.zeros(2), 0, 1.0)
