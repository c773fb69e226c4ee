"""Held-out windows: scores and intervals."""

from __future__ import annotations

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.forecast.held_out import HeldOut, naive_scale
from gatewise.types import Array

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
    half, windows = held.half_widths(np.zeros(5), 0, 0.8)
    assert windows == 400
    assert np.isnan(half[3:]).all()
    new = RNG.normal(size=(4000, 3)) * [1, 2, 4]
    np.testing.assert_allclose((np.abs(new) <= half[:3]).mean(axis=0), 0.8, atol=0.06)


def test_intervals_of_positive_series_grow_with_the_forecast() -> None:
    forecast = RNG.uniform(5, 10, size=(1, 50, 2))
    held = HeldOut(forecast * RNG.uniform(0.9, 1.1, size=forecast.shape), forecast, forecast, np.array([1.0]))
    one, two = (held.half_widths(values, 0, 0.5)[0] for values in (np.array([10.0, 20]), np.array([20.0, 40])))
    np.testing.assert_allclose(two, 2 * one)


def together(*errors: Array, level: float = 50.0) -> HeldOut:
    """Held-out windows of several series with these errors (W, steps) around forecasts of `level`."""
    forecast = np.full((len(errors), *errors[0].shape), level)
    return HeldOut(forecast + np.stack(errors), forecast, forecast, np.ones(len(errors)))


@pytest.mark.parametrize("level", [50.0, 0.0])
def test_other_series_do_not_change_an_interval_with_enough_windows(level: float) -> None:
    """Neither calm nor constant ones, nor one with a value of 0, which has no relative errors."""
    volatile, calm, constant = RNG.normal(size=(20, 2)), 1e-3 * RNG.normal(size=(20, 2)), np.zeros((20, 2))
    zero = np.where(np.arange(40).reshape(20, 2) == 3, -level, 1.0)
    forecast = np.full(2, 2 * level)
    alone = together(volatile, level=level).half_widths(forecast, 0, 0.8)
    found = together(volatile, calm, constant, zero, level=level).half_widths(forecast, 0, 0.8)
    np.testing.assert_array_equal(found[0], alone[0])
    assert (found[1], alone[1]) == (20, 20)


@pytest.mark.parametrize("level", [50.0, 0.0])
def test_series_with_few_windows_share_their_errors_in_the_size_of_each(level: float) -> None:
    inside, count = np.zeros(2), 300
    for _ in range(count):
        errors = RNG.normal(size=(4, 6, 3)) * np.array([1, 0.1, 0.01, 0])[:, None, None]  # the last one is constant
        held = together(*errors[:, :5], level=level)
        for number in range(2):
            half, windows = held.half_widths(np.full(3, level), number, 0.9)
            assert windows == 15
            inside[number] += (np.abs(errors[number, 5]) <= half).mean()
    np.testing.assert_allclose(inside / count, 15 / 16, atol=0.04)  # the largest of 15 errors
    with pytest.warns(UserWarning, match=r"a level of 90% needs 9 held-out windows, there are 5"):
        held.half_widths(np.full(3, level), 3, 0.9)  # errors of other series say nothing about a constant one


def test_too_few_windows_have_no_interval() -> None:
    actual = RNG.normal(size=(1, 5, 2))
    held = HeldOut(actual, actual * 0, actual, np.array([1.0]))
    assert np.isfinite(held.half_widths(np.zeros(2), 0, 0.8)[0]).all()
    with pytest.warns(UserWarning, match=r"a level of 90% needs 9 held-out windows, there are 5"):
        assert np.isnan(held.half_widths(np.zeros(2), 0, 0.9)[0]).all()
    two = together(actual[0], 0 * actual[0])
    with pytest.warns(UserWarning, match=r"a level of 90% needs 9 held-out windows, there are 5"):
        assert np.isnan(two.half_widths(np.ones(2), 0, 0.9)[0]).all()
    few = HeldOut(actual[:, :3], actual[:, :3] * 0, actual[:, :3], np.array([1.0]))
    with pytest.warns(UserWarning, match=r"a level of 50% needs 5 held-out windows, there are 3"):
        few.half_widths(np.zeros(2), 0, 0.5)
    with pytest.warns(UserWarning, match=r"a level of 99\.9% needs 999 held-out windows, there are 5"):
        held.half_widths(np.zeros(2), 0, 0.999)
    with pytest.raises(InputError, match="between 0 and 1"):
        held.half_widths(np.zeros(2), 0, 1.0)
