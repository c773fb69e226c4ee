"""Fits of forecasters: what is known at each held-out window, the members, their weights."""

from functools import partial

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.forecast.fit import Plan, candidates, combine, member_weights
from gatewise.forecast.forecaster import Forecaster
from gatewise.members.windows import Transform, numbered
from gatewise.training.smoothing import fit_ets, fit_theta
from gatewise.training.windows import TrainingWindows, fit_autoregression, fit_naive, window_recipe
from gatewise.types import Array
from tests.forecast.conftest import TINY, seasonal

RNG = np.random.default_rng(2)


def test_plan() -> None:
    series = np.arange(60.0)[:, None]
    plan = Plan.of(60, 8, (12,))
    assert plan.origins == tuple(range(20, 7, -1))  # a third of the values is forecast
    assert plan.steps == 8
    known, future = plan.windows(series, 3)
    assert plan.before(series)[-1, 0] == 39
    assert known[0, :, 0].tolist() == [37, 38, 39]
    assert future[0].tolist() == list(range(40, 48))
    assert future[-1, -1] == 59
    known, _ = plan.windows(series, 45)
    assert np.isnan(known[0, :5]).all()
    assert known[0, 5, 0] == 0
    for n in range(8, 200):  # at least half of the values stay before the windows; a season, where it can
        plan = Plan.of(n, 36, (12,))
        assert plan.origins[0] <= n // 2
        assert len(plan.origins) <= 32
        assert plan.origins[-1] == plan.steps >= 1
        if n >= 14:
            assert n - plan.origins[0] > 12


def test_member_weights() -> None:
    good, bad = (size * RNG.normal(size=(2, 20, 4)) for size in (0.5, 4.0))
    for lengths in (20.0, 1.0):  # few windows: the seasonal naive forecast, here the bad one, gets a share
        weights = member_weights(np.stack([bad, good]), 0, lengths)
        assert (weights[1] > 0.95) == (lengths == 20)
        assert weights.sum() == pytest.approx(1)
    assert weights[0] == pytest.approx(np.abs(good).mean() / np.abs(bad).mean() / 2, abs=0.001)
    weights = member_weights(np.stack([good, -good, bad]), 2, 5)  # the mean of two is exact
    assert min(weights[:2]) > 0.4


def test_the_sum_is_never_worse_than_the_best_member_beyond_its_standard_error() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        residuals = rng.normal(size=(12, 1, 16, 3)) * np.r_[0.1, rng.uniform(0.1, 3, 11)][:, None, None, None]
        weights, _ = combine(residuals, 5, 16)
        errors = np.abs(residuals).mean(axis=(1, 3))  # (M, W)
        best = errors[errors.mean(axis=1).argmin()]
        found = np.abs(np.tensordot(weights, residuals, axes=1)).mean(axis=(0, 2))
        assert (found - best).mean() <= (found - best).std() / 4 + 1e-9


def test_held_out_forecasts_have_weights_of_other_windows() -> None:
    residuals = RNG.normal(size=(3, 2, 6, 4))
    changed = residuals.copy()
    changed[1, :, 3:] *= 100
    first, second = (combine(one, 0, 3)[1] for one in (residuals, changed))
    assert (first[:, :3] != second[:, :3]).any()
    for one, of in ((first, residuals), (second, changed)):  # the later half has weights of the first
        weights = member_weights(of[:, :, :3], 0, 3)
        np.testing.assert_allclose(one[:, 3:], np.tensordot(weights, of[:, :, 3:], axes=1))


def test_candidates_of_short_and_long_series() -> None:
    short = candidates((), [np.ones((6, 1))], 1, True)
    fits = [one.fit.func if isinstance(one.fit, partial) else one.fit for one in short]
    assert set(fits) == {fit_naive, fit_ets, fit_theta, fit_autoregression}
    assert {one.transform.length for one in short if one.fit is fit_autoregression} == {1, 2}  # three windows are left
    long = candidates((24, 168), [np.ones((1000, 1))], 12, False)
    assert long[0] == (fit_naive, Transform(False, 24, False, 1))
    assert {one.transform.profile for one in long} == {1, 24, 168}
    assert not any(one.transform.log for one in long)


def test_nothing_sees_the_future() -> None:
    """Whatever the last values are, the members that were fitted before the windows forecast the first ones alike."""
    y = seasonal(72)
    first = Forecaster.fit(y, horizon=4, season=12, **TINY).held_out
    for count in (3, 8):
        changed = y.copy()
        changed[-count:] *= np.random.default_rng(1).uniform(0.9, 1.1, size=count)
        second = Forecaster.fit(changed, horizon=4, season=12, **TINY).held_out
        np.testing.assert_array_equal(first.scale, second.scale)
        np.testing.assert_array_equal(first.naive[:, :10], second.naive[:, :10])
        assert (first.actual != second.actual).any()


def recurrence(n: int) -> Array:
    """y_t = 1.6 y_{t-1} - 0.9 y_{t-2} + 0.5 x_{t-1} + 1, without noise; x is a random further column."""
    x = np.random.default_rng(5).normal(size=n)
    y = np.zeros(n)
    for t in range(2, n):
        y[t] = 1.6 * y[t - 1] - 0.9 * y[t - 2] + 0.5 * x[t - 1] + 1
    return np.stack([y, x], axis=1)


def test_an_autoregression_finds_a_linear_recurrence() -> None:
    series = recurrence(150)
    found = fit_autoregression([series[:140]], Transform(False, 1, False, 3), 1).logits([numbered(series[137:140], 0)])
    assert found[0, 0] == pytest.approx(series[140, 0], abs=0.05)


def test_windows_are_in_the_order_of_time_and_end_within_the_series() -> None:
    a, b = np.arange(20.0)[:, None], 100 + np.arange(14.0)[:, None]
    windows = TrainingWindows.of([a, b], Transform(False, 1, False, 4), 2)
    assert windows.x.shape == (15 + 9, 4, 1)
    values = windows.y * windows.scales.std[0] + windows.scales.mean[0]  # right for the windows of a
    assert values.max() > 18.9


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
