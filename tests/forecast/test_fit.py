"""Fits of forecasters: patterns of series, what is known at each held-out window, members and weights, intervals."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from gatewise.forecast.fit import Plan, candidates, combine, member_weights
from gatewise.forecast.forecaster import Forecaster
from gatewise.forecast.held_out import HeldOut, naive_scale, widening
from gatewise.forecast.patterns import clean, detect_season, detect_seasons, fit_effects
from gatewise.members.windows import Transform, Windows
from gatewise.training.forecast_members import (
    fit_autoregression,
    fit_ets,
    fit_naive,
    fit_theta,
    window_recipe,
    windows_of,
)
from gatewise.types import Array
from tests.forecast.conftest import TINY, seasonal
from tests.refusals import assert_refused

RNG = np.random.default_rng(2)


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


@pytest.mark.parametrize(
    "wave", [np.sin(2 * np.pi * np.arange(48) / 12), np.where(np.arange(48) % 2, 0.1 + 0.2, 0.3), np.full(48, 1e9)]
)
def test_rounding_is_no_scale(wave: Array) -> None:
    assert naive_scale(wave, 12 if wave[1] > 0.4 else 1) == 1
    assert naive_scale(wave + 1e-6 * np.abs(wave).max() * RNG.normal(size=48), 12) != 1


def test_intervals_cover_as_many_new_values_as_they_say() -> None:
    actual = RNG.normal(size=(1, 400, 3)) * [1, 2, 4]
    held = HeldOut(actual, np.zeros_like(actual), actual, np.array([1.0]))
    half = held.half_widths(np.zeros(5), 0, 0.8)
    new = RNG.normal(size=(4000, 3)) * [1, 2, 4]
    np.testing.assert_allclose((np.abs(new) <= half[:3]).mean(axis=0), 0.8, atol=0.04)
    np.testing.assert_allclose(half[3:] / half[2], np.sqrt([4 / 3, 5 / 3]))  # after the last held-out step
    assert held.note(3, 0.8) == ""
    assert "the held-out windows end at step 3" in held.note(5, 0.8)


def test_widths_do_not_fall_with_the_step() -> None:
    actual = RNG.normal(size=(1, 40, 6)) * [1, 5, 2, 3, 0.1, 8]
    held = HeldOut(actual, np.zeros_like(actual), actual, np.array([1.0]))
    half = held.half_widths(np.zeros(6), 0, 0.8)
    assert (np.diff(half) >= 0).all()
    assert half[0] < half[1] == half[4] < half[5]


def test_intervals_of_positive_series_grow_with_the_forecast() -> None:
    forecast = RNG.uniform(5, 10, size=(1, 50, 2))
    held = HeldOut(forecast * RNG.uniform(0.9, 1.1, size=forecast.shape), forecast, forecast, np.array([1.0]))
    one, two = (held.half_widths(values, 0, 0.5) for values in (np.array([10.0, 20]), np.array([20.0, 40])))
    np.testing.assert_allclose(two, 2 * one)


def together(*errors: Array, level: float = 50.0) -> HeldOut:
    """Held-out windows of several series with these errors (W, steps) around forecasts of `level`."""
    forecast = np.full((len(errors), *errors[0].shape), level)
    return HeldOut(forecast + np.stack(errors), forecast, forecast, np.ones(len(errors)))


@pytest.mark.parametrize("freedom", [1, 2.5, 7, 300])
def test_quantiles_of_student(freedom: float) -> None:
    for level in (0.5, 0.8, 0.99):
        wanted = stats.t.ppf((1 + level) / 2, freedom) / stats.norm.ppf((1 + level) / 2)
        assert widening(level, freedom) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("level", [50.0, 0.0])
def test_other_series_do_not_change_an_interval_with_enough_windows(level: float) -> None:
    """Neither calm nor constant ones, nor one with a value of 0, which has no relative errors."""
    volatile, calm, constant = RNG.normal(size=(20, 2)), 1e-3 * RNG.normal(size=(20, 2)), np.zeros((20, 2))
    zero = np.where(np.arange(40).reshape(20, 2) == 3, -level, 1.0)
    forecast = np.full(2, 2 * level)
    alone = together(volatile, calm, calm, calm, level=level).half_widths(forecast, 0, 0.8)
    found = together(volatile, calm, constant, zero, level=level).half_widths(forecast, 0, 0.8)
    np.testing.assert_array_equal(found, alone)


@pytest.mark.parametrize("level", [50.0, 0.0])
def test_series_with_few_windows_share_their_errors_in_the_size_of_each(level: float) -> None:
    inside, count = np.zeros(2), 200
    for _ in range(count):
        errors = RNG.normal(size=(8, 5, 3)) * np.array([1, 0.1, 0.01, 0, 2, 3, 4, 5])[:, None, None]  # one is constant
        held = together(*errors[:, :4], level=level)
        for number in range(2):
            half = held.half_widths(np.full(3, level), number, 0.9)
            inside[number] += (np.abs(errors[number, 4]) <= half).mean()
    assert (np.abs(inside / count - 0.87) < 0.08).all()  # four windows give the size of the errors of each
    np.testing.assert_array_equal(held.half_widths(np.full(3, level), 3, 0.9), 0)
    assert held._ratios_of_all is held._ratios_of_all  # once for all series: thousands of them took minutes


def test_too_few_windows_widen_the_interval_and_say_so() -> None:
    actual = RNG.normal(size=(1, 5, 2))
    held = HeldOut(actual, actual * 0, actual, np.array([1.0]))
    widths = [held.half_widths(np.zeros(2), 0, level) for level in (0.5, 0.8, 0.9, 0.99)]
    assert all((wide >= narrow).all() for narrow, wide in pairwise(widths))
    assert (widths[-1] > np.abs(actual[0]).max(axis=0)).all()
    assert held.note(2, 0.8) == ""
    assert "for a level of 90%, which needs 9: the intervals are 1.2 times as wide" in held.note(2, 0.9)
    overlapping = HeldOut(RNG.normal(size=(1, 6, 15)), np.zeros((1, 6, 15)), np.zeros((1, 6, 15)), np.ones(1))
    said = "6 held-out windows, which overlap and count as 2, for a level of 80%, which needs 4"
    assert said in overlapping.note(1, 0.8)
    apart = replace(overlapping, stride=5.0)  # they overlap less, and count as more
    assert apart.note(1, 0.8) == ""
    assert (apart.half_widths(np.zeros(15), 0, 0.8) < overlapping.half_widths(np.zeros(15), 0, 0.8)).all()
    several = HeldOut(np.tile(overlapping.actual, (2, 1, 1)), np.zeros((2, 6, 15)), np.zeros((2, 6, 15)), np.ones(2), 5)
    assert several.note(1, 0.8) == ""
    assert (several.half_widths(np.zeros(15), 0, 0.8) < apart.half_widths(np.zeros(15), 0, 0.8)).all()
    for level in (0.0, 1.0, 80.0):
        assert_refused("between 0 and 1", held.half_widths, np.zeros(2), 0, level)


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


def test_an_autoregression_finds_a_linear_recurrence() -> None:
    """y_t = 1.6 y_{t-1} - 0.9 y_{t-2} + 0.5 x_{t-1} + 1, without noise; x is a random further column."""
    x, y = np.random.default_rng(5).normal(size=150), np.zeros(150)
    for t in range(2, 150):
        y[t] = 1.6 * y[t - 1] - 0.9 * y[t - 2] + 0.5 * x[t - 1] + 1
    series = np.stack([y, x], axis=1)
    member = fit_autoregression([series[:140]], Transform(False, 1, False, 3), 1)
    found = member.logits(Windows.of(series[137:140], 0))
    assert found[0, 0] == pytest.approx(series[140, 0], abs=0.05)


def test_windows_are_in_the_order_of_time_and_end_within_the_series() -> None:
    a, b = np.arange(20.0)[:, None], 100 + np.arange(14.0)[:, None]
    x, y, scales = windows_of([a, b], Transform(False, 1, False, 4), 2)
    assert x.shape == (15 + 9, 4, 1)
    values = y * scales.std[0] + scales.mean[0]  # right for the windows of a
    assert values.max() > 18.9


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("none", {}, "none"),
        (None, {"unit": 3}, "unit"),
        (None, {"ngrams__order": 2}, "is for texts, and these are series"),
        (None, {"features": 100}, "convolutions.features is for classification and regression; the LSTM of a forec"),
        ("series", {"folds": 3}, "validation.folds is for classification and regression"),
        (None, {"embedding_dim": 3}, "lstm.embedding_dim is for texts, and these are series"),
        (None, {"dropout_word": 0.1}, "lstm.dropout_word is for texts, and these are series"),
        (None, {"dropout_embedding": 0.1}, "lstm.dropout_embedding is for texts, and these are series"),
        (None, {"probe_l2": 0.1}, "lstm.probe_l2 changes nothing in a forecaster: it starts from random weights"),
        (None, {"embedding_lr_scale": 0.1}, "optimisation.embedding_lr_scale is for texts, and these are series"),
        (None, {"series__windows": 9}, "series.windows changes nothing in a forecaster: it reads every step"),
        (None, {"truncation": "middle"}, "lstm.truncation changes nothing in a forecaster: lstm.max_length is 0"),
        (None, {"direction_loss": 0.2}, "optimisation.direction_loss changes nothing in a forecaster: lstm.bidirec"),
    ],
)
def test_recipes_of_the_lstm(name: str | None, changes: dict[str, object], message: str) -> None:
    assert window_recipe("fast", {"units": 4}).lstm.units == 4
    assert window_recipe(None, {"truncation": "middle", "max_length": 4}).lstm.truncation == "middle"
    assert_refused(message, window_recipe, name, changes)


def test_season() -> None:
    assert detect_season([seasonal(96)]) == 12
    assert detect_season([seasonal(96, seed=1), seasonal(60, seed=2)]) == 12
    assert detect_season([np.ones(50)]) == 1
    assert detect_season([np.ones(3)]) == 1


@pytest.mark.parametrize("length", [240, 2000])
def test_a_season_is_found_in_noise(length: int) -> None:
    """Also where the level changes at random, after a level shift, and with outliers."""
    day = np.sin(2 * np.pi * np.arange(length) / 24)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        noise = rng.normal(0, 0.2, size=length)
        assert 23 <= detect_season([day + 2.5 * noise]) <= 25
        assert detect_season([day + (noise / 4).cumsum()]) == 24
        assert detect_season([1e150 * (day + noise) / 40]) == 24
        assert detect_season([day + noise + 30 * (np.arange(length) > 100)]) == 24
        assert detect_season([day + noise + 20 * (rng.random(length) < 0.02)]) % 24 == 0


def test_two_seasons() -> None:
    t = np.arange(24 * 7 * 6)
    rng = np.random.default_rng(1)
    week = np.where(t // 24 % 7 > 4, -1.0, 0.4)
    assert detect_seasons([np.sin(2 * np.pi * t / 24) + week + rng.normal(0, 0.2, len(t))]) == (24, 168)
    assert detect_seasons([rng.normal(size=300)]) == ()


def test_series_without_a_season_have_none() -> None:
    rng = np.random.default_rng(0)
    walks = [detect_season([rng.normal(size=length).cumsum()]) for length in (20, 60, 240) for _ in range(40)]
    noises = [detect_season([rng.normal(size=length)]) for length in (20, 60, 240) for _ in range(40)]
    assert np.mean(np.array(walks) == 1) > 0.95
    assert np.mean(np.array(noises) == 1) > 0.95


def test_outliers_and_level_shifts() -> None:
    y = seasonal(96)
    values, outliers, shifts = clean(y, 12)
    assert (outliers, shifts) == ([], [])
    np.testing.assert_array_equal(values, y)
    shifted = y + 400 * (np.arange(96) >= 50)
    values, _, [(at, size)] = clean(shifted, 12)
    assert at == 50
    assert size == pytest.approx(400, abs=20)
    np.testing.assert_allclose(values[:50], y[:50] + size)
    spoilt = y.copy()
    spoilt[[30, 70]] += [500, -400]
    values, outliers, _ = clean(spoilt, 12)
    assert set(outliers) == {30, 70}
    np.testing.assert_allclose(values[[30, 70]], y[[30, 70]], atol=25)


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(2).poisson(0.3, 200).astype(float),
        np.random.default_rng(2).normal(size=300).cumsum(),
        np.ones(50),
        np.arange(10.0),
        10 * (np.random.default_rng(2).random(120) < 0.25) + np.random.default_rng(3).normal(size=120),
    ],
    ids=["counts", "walk", "constant", "short", "promotions"],
)
def test_what_is_the_nature_of_a_series_stays(values: Array) -> None:
    found, outliers, shifts = clean(values, 1)
    assert (outliers, shifts) == ([], [])
    np.testing.assert_array_equal(found, values)


def test_effects_of_known_columns() -> None:
    rng = np.random.default_rng(3)
    x = np.stack([(rng.random(120) < 0.2).astype(float), rng.normal(size=120), np.zeros(120)], axis=1)
    y = seasonal(96) + x[:96] @ [60.0, -7, 5]
    found = fit_effects([y, seasonal(96)], [x, x], 12)
    np.testing.assert_allclose(found, [[60, -7, 0], [0, 0, 0]], atol=3)
    assert fit_effects([y], [x[:, :0]], 12).shape == (1, 0)
