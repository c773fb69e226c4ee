"""The season of series: found in noise, and not where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from gatewise.forecast.fit import detect_season
from tests.forecast.conftest import seasonal


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
