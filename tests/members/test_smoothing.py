"""Exponential smoothing, Theta and the naive forecasts: figures of statsmodels 0.15, files, shorter series."""

from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError, ModelFileError
from gatewise.members.ets import ETS, State, extrapolate, smooth, smooth_from_back, start_state
from gatewise.members.member import Inputs
from gatewise.members.naive import Naive
from gatewise.members.theta import Theta
from gatewise.members.windows import Scales, Transform, WindowMember, numbered, seasonal_profile
from gatewise.storage.strict_json import json_bytes, parse_json
from gatewise.storage.tensors import tensors_to_bytes
from gatewise.training.smoothing import fit_ets, fit_theta
from gatewise.types import Array

# rng = np.random.default_rng(3)
# np.round(50 + 0.6 * np.arange(28) + np.tile([6.0, -2, 1, -5], 7) + rng.normal(0, 1.5, 28), 2)
_Y = """
59.06 44.77 52.83 45.95 57.72 50.68 51.57 48.85 59.5 58.38 57.34 51.07 62.78 54.8
57.82 53.41 66.32 57.84 63.24 56.1 68.04 62.92 65.02 58.04 70.13 63.81 69.5 60.8
"""
Y = np.array(_Y.split(), dtype=np.float64)
WINDOW = numbered(Y[:, None], 0)
WHOLE = Transform(False, 1, False, 28)


def test_the_recursion_is_that_of_statsmodels() -> None:
    """ETSModel(Y, error="add", trend="add", damped_trend=True, seasonal="add", seasonal_periods=4,
    initialization_method="known", initial_level=51, initial_trend=0.4, initial_seasonal=[5, -1.5, 1, -4.5])
    .smooth([0.35, 0.12, 0.28, 0.93]): sse and forecast(6).
    """
    start = State(np.array([51.0]), np.array([0.4]), np.array([[5], [-1.5], [1], [-4.5]]))
    smoothing = np.array([[0.35], [0.12], [0.28], [0.93]])
    state, squares = smooth(Y[:, None], smoothing, start)
    assert squares[0] == pytest.approx(180.6605129492713)
    want = [73.325877, 66.864529, 70.383335, 63.093253, 75.258627, 68.661986]
    np.testing.assert_allclose(extrapolate(state, smoothing, 28, 6)[0], want, atol=1e-6)


def test_the_fit_of_ets_is_near_that_of_statsmodels() -> None:
    """ETSModel(Y, error="add", trend="add", seasonal="add", seasonal_periods=4).fit().forecast(4)"""
    member = fit_ets([Y[:, None]], WHOLE, 4, 4)
    assert member.period.tolist() == [4]
    np.testing.assert_allclose(member.logits([WINDOW])[0], [73.810735, 66.617844, 70.063573, 63.90642], atol=1.0)


def test_theta_is_that_of_statsmodels() -> None:
    """ThetaModel(Y, period=4, deseasonalize=False).fit(): alpha and forecast(4)"""
    member = fit_theta([Y[:, None]], WHOLE, 4)
    found = Theta(WHOLE, member.scales, 4, np.array([0.29081920630182934])).logits([WINDOW])[0]
    np.testing.assert_allclose(found, [65.1741, 65.4691, 65.7642, 66.0592], atol=0.05)
    assert member.smoothing[0] == pytest.approx(0.29, abs=0.15)


def test_values_without_noise_are_continued() -> None:
    t = np.arange(48.0)
    y = 3 * t + np.tile([6.0, -2, 1, -5], 12)
    later = 3 * np.arange(48.0, 54) + np.tile([6.0, -2, 1, -5], 2)[:6]
    window = numbered(y[:, None], 0)
    form = Transform(False, 1, False, 48)
    np.testing.assert_allclose(fit_ets([y[:, None]], form, 6, 4).logits([window])[0], later, atol=0.3)
    scales = Scales(np.zeros((1, 1)), np.ones((1, 1)))
    profile = Transform(False, 1, True, 48, 4, 6)
    np.testing.assert_allclose(Naive(profile, scales, 6, True).logits([window])[0], later, atol=0.5)


def test_the_profile_ignores_outliers_and_level_shifts() -> None:
    wave = np.tile([6.0, -2, 1, -5], 12)
    for add in (0.0, 40.0 * (np.arange(48) == 20), 40.0 * (np.arange(48) >= 22)):
        np.testing.assert_allclose(seasonal_profile((wave + add)[None], 4), [[6, -2, 1, -5]], atol=0.5)


def test_missing_values_leave_the_states_as_they_are() -> None:
    smoothing = np.tile(np.array([[0.4], [0.2], [0.3], [0.9]]), 2)
    z = np.stack([np.r_[[np.nan] * 8, Y], np.r_[Y[:8], Y]])
    both, _ = smooth_from_back(z.T, smoothing, start_state(z, 4))
    alone, _ = smooth_from_back(Y[:, None], smoothing[:, :1], start_state(Y[None], 4))
    np.testing.assert_allclose(both.level[0], alone.level[0])
    np.testing.assert_allclose(both.season[:, 0], alone.season[:, 0])
    assert both.level[1] != both.level[0]


SCALES = Scales(np.array([[1.0, 0], [50, 2]]), np.array([[2.0, 1], [7, 3]]))
MEMBERS: list[WindowMember] = [
    ETS(Transform(False, 1, False, 20), SCALES, 5, np.array([[0.5, 0.1, 0, 0.9], [0.3, 0, 0.4, 1]]), np.array([1, 4])),
    Theta(Transform(False, 1, False, 20, 4, 3), SCALES, 5, np.array([0.5, 0.2])),
    Naive(Transform(False, 1, True, 20), SCALES, 5, True),
    Naive(Transform(False, 4, False, 1), SCALES, 5),
]


@pytest.mark.parametrize("member", MEMBERS, ids=lambda one: one.name)
def test_a_member_reads_windows_and_comes_back_from_its_file(member: WindowMember) -> None:
    rng = np.random.default_rng(4)
    windows = [numbered(rng.uniform(20, 70, size=(20, 2)), number) for number in (1, 0, 1)]
    found = member.logits(windows)
    assert found.shape == (3, 5)
    for window, row in zip(windows, found, strict=True):
        np.testing.assert_allclose(member.logits([window])[0], row)
    entry, raw = member.to_file()
    entry = parse_json(json_bytes(entry), "config.json")
    again = type(member).from_file(entry, raw, Inputs("windows", 2), 5, "x")
    np.testing.assert_array_equal(again.logits(windows), found)
    short = windows[1][8:]
    if member.ragged:
        padded = np.concatenate([np.full((8, 3), np.nan), short])
        np.testing.assert_allclose(member.logits([padded]), member.logits([short]))
        assert np.isfinite(member.logits([short])).all()


@pytest.mark.parametrize(
    ("member", "change", "message"),
    [
        (0, {"smoothing": np.full((2, 4), 1.5)}, "smoothing must lie between 0 and 1"),
        (0, {"smoothing": np.full((2, 4), np.nan)}, "has NaN"),
        (0, {"period": np.array([0, 4])}, "period must lie between 1 and the length"),
        (0, {"period": np.array([1, 400])}, "period must lie between 1 and the length"),
        (1, {"smoothing": np.array([-0.1, 0.5])}, "smoothing must lie between 0 and 1"),
    ],
)
def test_forged_arrays_are_refused(member: int, change: dict[str, Any], message: str) -> None:
    entry, _ = MEMBERS[member].to_file()
    arrays: dict[str, Array] = {**MEMBERS[member].arrays(), **change}
    entry = parse_json(json_bytes(entry), "config.json")
    with pytest.raises((ModelFileError, InputError), match=message):
        type(MEMBERS[member]).from_file(entry, tensors_to_bytes(arrays), Inputs("windows", 2), 5, "x")
