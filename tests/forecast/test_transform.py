"""Transforms of windows: undone exactly, and blind to what comes after a window."""

from __future__ import annotations

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.forecast.season import detect_season, seasonal_naive
from gatewise.forecast.transform import Scales, Transform, candidates
from tests.forecast.conftest import seasonal

ALL = [t for t in candidates(12, positive=True) if t.length <= 12]


@pytest.mark.parametrize("transform", ALL, ids=lambda t: t.describe())
def test_decode_undoes_what_targets_did(transform: Transform) -> None:
    series = np.stack([seasonal(60), np.random.default_rng(1).normal(size=60)], axis=1)  # (n, 2): one exogenous column
    scales = Scales(*(one[None] for one in transform.scales(series)))
    windows, future = series[None, : transform.history], series[None, transform.history : transform.history + 15, 0]
    x, base = transform.encode(windows, scales, 15)
    assert x.shape == (1, transform.length, 2)
    found = transform.decode(transform.targets(future, base, scales), base, scales)
    np.testing.assert_allclose(found, future, rtol=1e-9)


def test_a_seasonal_base_is_the_seasonal_naive_forecast() -> None:
    series = seasonal(60)[:, None]
    transform = Transform(False, 12, False, 5)
    scales = Scales(*(one[None] for one in transform.scales(series)))
    _, base = transform.encode(series[None], scales, 20)
    naive = seasonal_naive(series[None, :, 0], 20, 12)
    np.testing.assert_allclose(transform.decode(np.zeros((1, 20)), base, scales), naive, rtol=1e-9)
    np.testing.assert_array_equal(naive[0, :12], series[-12:, 0])
    np.testing.assert_array_equal(naive[0, 12:], series[-12:-4, 0])


def test_the_level_is_the_growth_over_the_last_season() -> None:
    series = (10.0 + 2 * np.arange(30) + np.tile([5.0, 0, -1], 10))[:, None]  # grows by 6 per season
    transform = Transform(False, 3, True, 4)
    scales = Scales(np.zeros((1, 1)), np.ones((1, 1)))
    x, base = transform.encode(series[None, :24], scales, 6)
    np.testing.assert_allclose(x, 0, atol=1e-9)
    np.testing.assert_allclose(base[0], series[24:, 0])


def test_logarithms_are_bounded() -> None:
    transform = Transform(True, 1, False, 3)
    scales = Scales(np.array([[2.0]]), np.array([[0.5]]))
    x, base = transform.encode(np.array([[[1.0], [-5.0], [7.0]]]), scales, 2)
    assert np.isfinite(x).all()
    np.testing.assert_allclose(transform.decode(np.array([[1e9, -1e9]]), base, scales), [[np.exp(5), np.exp(-1)]])
    with pytest.raises(InputError, match="at least 1"):
        Transform(False, 0, False, 3)


def test_season() -> None:
    assert detect_season([seasonal(96)]) == 12
    assert detect_season([seasonal(96, seed=1), seasonal(60, seed=2)]) == 12
    rng = np.random.default_rng(0)
    assert detect_season([rng.normal(size=200).cumsum()]) == 1
    assert detect_season([rng.normal(size=200)]) == 1
    assert detect_season([np.ones(50)]) == 1
    assert detect_season([np.ones(3)]) == 1


def test_noise_makes_no_short_season_of_a_long_one() -> None:
    day = np.sin(2 * np.pi * np.arange(240) / 24)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        assert 22 <= detect_season([day + rng.normal(0, 0.12, size=240) for _ in range(3)]) <= 26


@pytest.mark.parametrize("length", [240, 2000])
def test_a_season_is_found_in_noise(length: int) -> None:
    """Also where the level changes at random, and where the strongest season is not the only one."""
    day, weekend = np.sin(2 * np.pi * np.arange(length) / 24), np.arange(length) // 24 % 7 > 4
    for seed in range(5):
        rng = np.random.default_rng(seed)
        assert detect_season([day + rng.normal(0, 0.5, size=length)]) == 24
        assert detect_season([day + rng.normal(0, 0.05, size=length).cumsum()]) == 24
        assert detect_season([1e150 * (day + 0.5 * weekend + rng.normal(0, 0.2, size=length)) / 4]) == 24
        assert detect_season([(np.arange(length) % 30 == 0) + rng.normal(0, 0.1, size=length)]) == 30


def test_a_long_season_is_found_in_noise() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        assert detect_season([np.sin(2 * np.pi * np.arange(6000) / 168) + rng.normal(0, 0.5, size=6000)]) == 168


def test_series_without_a_season_have_none() -> None:
    rng = np.random.default_rng(0)
    walks = [detect_season([rng.normal(size=length).cumsum()]) for length in (20, 60, 240) for _ in range(40)]
    noises = [detect_season([rng.normal(size=length)]) for length in (20, 60, 240) for _ in range(40)]
    assert np.mean(np.array(walks) == 1) > 0.95
    assert np.mean(np.array(noises) == 1) > 0.95


def test_small_differences_have_a_scale() -> None:
    series = np.array([[1e-149], [1e-149 + 2e-165], [1e-149]])  # the squares of the differences are 0
    assert Transform(False, 1, False, 2).scales(series).std.tolist() == [1]
    assert Transform(False, 1, False, 2).scales(1e-140 * np.eye(3)[:, :1]).std[0] == pytest.approx(4.7e-141, rel=0.01)
