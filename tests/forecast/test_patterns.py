"""Seasons, outliers, level shifts and effects of known columns: found where they are, and not where they are not."""

import numpy as np
import pytest

from gatewise.forecast.patterns import clean, detect_season, detect_seasons, fit_effects
from gatewise.types import Array
from tests.forecast.conftest import seasonal


def test_season() -> None:
    assert detect_season([seasonal(96)]) == 12
    assert detect_season([seasonal(96, seed=1), seasonal(60, seed=2)]) == 12
    rng = np.random.default_rng(0)
    assert detect_season([rng.normal(size=200).cumsum()]) == 1
    assert detect_season([rng.normal(size=200)]) == 1
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
