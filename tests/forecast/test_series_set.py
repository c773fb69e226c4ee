"""The series of a forecaster, from what a user passes; their season: found in noise, and not where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.forecast.fit import detect_season
from gatewise.forecast.series import series_set
from tests.forecast.conftest import seasonal


def test_an_arrow_table_has_one_series_per_column() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    found = series_set(pyarrow.table({"a": [1.0, 2.5, 3.0], "b": [7.0, 5.0, 6.5]}))
    assert found.names == ("a", "b")
    np.testing.assert_array_equal(found.values[1], [[7.0], [5.0], [6.5]])


def test_steps_that_differ_by_rounding_are_one() -> None:
    y = {"a": np.arange(9.0), "b": np.arange(80.0)}
    found = series_set(y, times={"a": 1e6 + np.arange(9) / 3, "b": 1e6 + np.arange(80) / 3})
    assert found.step is not None
    assert found.step.number == pytest.approx(1 / 3, rel=1e-12)  # of the longer series
    with pytest.raises(InputError, match=r"different steps between times: 1 and 1\.001"):
        series_set(y, times={"a": np.arange(9.0), "b": 1.001 * np.arange(80)})
    with pytest.raises(InputError, match="every series needs times, or none"):
        series_set(y, times={"a": None, "b": np.arange(80)})


def test_two_names_that_are_one_as_text_are_refused() -> None:
    pandas = pytest.importorskip("pandas")
    y = np.arange(9.0)
    for names in ([1, "1"], ["1", "1"]):
        frame = pandas.DataFrame(np.stack([y, y], axis=1), columns=names)
        for given in ((frame,), (y, frame)):
            with pytest.raises(InputError, match="2 names are '1' as text; every name must differ"):
                series_set(*given)
    with pytest.raises(InputError, match="2 names are '1' as text"):
        series_set({1: y}, times={1: y, "1": y})


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
