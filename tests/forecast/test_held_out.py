"""Held-out windows: scores and intervals."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from gatewise.errors import InputError
from gatewise.forecast.held_out import HeldOut, naive_scale, student_quantile
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
        assert student_quantile(level, freedom) == pytest.approx(stats.t.ppf((1 + level) / 2, freedom), rel=1e-4)


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
    assert held._joined is held._joined  # once for all series: thousands of them took minutes


def test_too_few_windows_widen_the_interval_and_say_so() -> None:
    actual = RNG.normal(size=(1, 5, 2))
    held = HeldOut(actual, actual * 0, actual, np.array([1.0]))
    widths = [held.half_widths(np.zeros(2), 0, level) for level in (0.5, 0.8, 0.9, 0.99)]
    assert all((wide >= narrow).all() for narrow, wide in pairwise(widths))
    assert (widths[-1] > np.abs(actual[0]).max(axis=0)).all()
    assert held.note(2, 0.8) == ""
    assert "for a level of 90%, which needs 9: the intervals are 1.2 times as wide" in held.note(2, 0.9)
    overlapping = HeldOut(RNG.normal(size=(1, 6, 15)), np.zeros((1, 6, 15)), np.zeros((1, 6, 15)), np.ones(1))
    assert "6 held-out windows, which overlap and count as 2, for a level of 80%, which needs 4" in overlapping.note(
        1, 0.8
    )
    apart = replace(overlapping, stride=5.0)  # they overlap less, and count as more
    assert apart.note(1, 0.8) == ""
    assert (apart.half_widths(np.zeros(15), 0, 0.8) < overlapping.half_widths(np.zeros(15), 0, 0.8)).all()
    several = HeldOut(np.tile(overlapping.actual, (2, 1, 1)), np.zeros((2, 6, 15)), np.zeros((2, 6, 15)), np.ones(2), 5)
    assert several.note(1, 0.8) == ""
    assert (several.half_widths(np.zeros(15), 0, 0.8) < apart.half_widths(np.zeros(15), 0, 0.8)).all()
    for level in (0.0, 1.0, 80.0):
        with pytest.raises(InputError, match="between 0 and 1"):
            held.half_widths(np.zeros(2), 0, level)
