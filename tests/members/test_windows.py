"""Windows of forecasters: transforms undone exactly, blind to what comes after a window; the members that read them.

Exponential smoothing and Theta have the figures of statsmodels 0.15.
"""

from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError, ModelFileError
from gatewise.forecast.fit import candidates
from gatewise.members.autoregression import Autoregression
from gatewise.members.ets import ETS, SmoothingState, extrapolate, smooth, smooth_from_back, start_state
from gatewise.members.member import Inputs
from gatewise.members.naive import Naive
from gatewise.members.theta import Theta
from gatewise.members.window_lstm import WindowLSTM
from gatewise.members.windows import (
    Scales,
    Transform,
    WindowMember,
    Windows,
    attributed,
    roll_out,
    seasonal_profile,
)
from gatewise.network.architecture import Architecture
from gatewise.storage.strict_json import json_bytes, parse_json
from gatewise.storage.tensors import tensors_to_bytes
from gatewise.training.forecast_members import fit_ets, fit_theta
from gatewise.types import Array
from tests.explain.random_net import parameters_of
from tests.forecast.conftest import seasonal
from tests.refusals import assert_refused

TRIED = candidates((12, 24), [np.ones((60, 1))], 12, positive=True)
ALL = list(dict.fromkeys(one.transform for one in TRIED if one.transform.history <= 45))


@pytest.mark.parametrize("transform", ALL, ids=lambda t: t.describe())
def test_decode_undoes_what_targets_did(transform: Transform) -> None:
    series = np.stack([seasonal(60), np.random.default_rng(1).normal(size=60)], axis=1)  # (n, 2): one exogenous column
    scales = transform.scales([series])
    windows, future = series[None, : transform.history], series[None, transform.history : transform.history + 15, 0]
    x, base = transform.encode(windows, scales, 15)
    assert x.shape == (1, transform.length, 2)
    found = transform.decode(transform.targets(future, base, scales), base, scales)
    np.testing.assert_allclose(found, future, rtol=1e-9)


def test_a_seasonal_base_is_the_seasonal_naive_forecast() -> None:
    series = seasonal(60)[:, None]
    transform = Transform(False, 12, False, 5)
    scales = transform.scales([series])
    _, base = transform.encode(series[None], scales, 20)
    naive = np.r_[series[-12:, 0], series[-12:-4, 0]]
    np.testing.assert_allclose(transform.decode(np.zeros((1, 20)), base, scales)[0], naive, rtol=1e-9)


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
    assert_refused("at least 1", Transform, False, 0, False, 3)


def test_small_differences_have_a_scale() -> None:
    series = np.array([[1e-149], [1e-149 + 2e-165], [1e-149]])  # the squares of the differences are 0
    assert Transform(False, 1, False, 2).scales([series]).std.tolist() == [[1]]
    assert Transform(False, 1, False, 2).scales([1e-140 * np.eye(3)[:, :1]]).std[0] == pytest.approx(4.7e-141, rel=0.01)


INPUTS = Inputs("windows", 2)
SCALES = Scales(np.array([[1.0, 0], [50, 2], [4, 1]]), np.array([[2.0, 1], [7, 3], [1, 0.5]]))
LOGARITHMS = Scales(np.array([[3.7, 0], [3.5, 40], [3.9, 45]]), np.array([[0.4, 9], [0.3, 15], [0.5, 12]]))
ARCH = Architecture.stacked("channels", 2, 0, 3, outputs=4)


def lstm_of(arch: Architecture = ARCH, length: int = 5) -> WindowLSTM:
    return WindowLSTM(arch, parameters_of(arch, 3), transform=Transform(False, 3, True, length), scales=SCALES)


def autoregression_of(transform: Transform) -> Autoregression:
    rng = np.random.default_rng(transform.length)
    weight, bias = rng.normal(0, 0.2, size=(2 * transform.length, 4)), rng.normal(size=4)
    return Autoregression(transform, LOGARITHMS if transform.log else SCALES, 4, weight, bias)


ETS_SMOOTHING = np.array([[0.5, 0.1, 0, 0.9], [0.3, 0, 0.4, 1], [0.2, 0.2, 0, 0.5]])
MEMBERS: list[WindowMember] = [
    lstm_of(),
    autoregression_of(Transform(False, 1, False, 6)),
    autoregression_of(Transform(True, 2, True, 3)),
    ETS(Transform(False, 1, False, 20), SCALES, 4, ETS_SMOOTHING, np.array([1, 4, 2])),
    Theta(Transform(False, 1, False, 20, 4, 3), SCALES, 4, np.array([0.5, 0.2, 0.7])),
    Naive(Transform(False, 1, True, 20), SCALES, 4, True),
    Naive(Transform(False, 4, False, 1), SCALES, 4),
]


def window_of(number: int, steps: int = 9) -> Windows:
    return Windows.of(np.random.default_rng([number, 0]).uniform(20, 70, size=(steps, 2)), number)


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_a_member_reads_windows(member: WindowMember) -> None:
    steps = max(9, member.transform.history)
    windows = Windows.concatenated([window_of(number, steps) for number in (2, 0, 1)])
    assert windows.series.tolist() == [2, 0, 1]
    found = member.logits(windows)
    assert found.shape == (3, 4)
    for number, row in enumerate(found):
        np.testing.assert_allclose(member.logits(windows[number])[0], row, rtol=1e-5)
    np.testing.assert_allclose(member.logits(windows[[2, 0]]), found[[2, 0]], rtol=1e-5)
    other = Windows.of(windows.values[0], 1)
    if not isinstance(member, Naive):
        assert (member.logits(other) != found[0]).all(), "the scales are those of the series"
    assert member.logits(windows[:0]).shape == (0, 4)
    if member.ragged:
        short = windows[1].last(steps - 8)
        padded = Windows.of(np.concatenate([np.full((8, 2), np.nan), short.values[0]]), 0)
        np.testing.assert_allclose(member.logits(padded), member.logits(short))
        assert np.isfinite(member.logits(short)).all()
    window = windows[2]
    change = np.diff(member.logits(Windows.concatenated([window.means(), window])), axis=0)
    found = attributed(member, window, 4).sum(axis=(0, 1))
    np.testing.assert_allclose(found, change[0], rtol=0, atol=1e-3 * np.abs(change).max())


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_a_member_refuses_what_does_not_say_its_series(member: WindowMember) -> None:
    values = window_of(1, 90).values
    assert_refused("reads `Windows`", member.logits, [values[0]])
    assert_refused("reads `Windows`", member.logits, values)
    for number in (-1, 3):  # there are three series
        assert_refused("numbers of series must be from 0 to 2", member.logits, Windows.of(values, number))


def test_windows_of_other_shapes_are_refused() -> None:
    values = np.random.default_rng(2).normal(size=(3, 5, 2))
    for wrong, series in (
        (values, np.array([0, 1])),
        (values, np.array([0.0, 1, 2])),
        (values, np.zeros((3, 1), dtype=np.intp)),
        (values[0], np.array([0, 1, 2, 0, 1])),
    ):
        assert_refused("windows must be .B, R, C. with series", Windows, wrong, series)


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_a_member_comes_back_from_its_file(member: WindowMember) -> None:
    member.check(INPUTS)
    for wrong in (Inputs("windows", 3), Inputs("channels", 2)):
        assert_refused("reads windows of 2, not", member.check, wrong)
    entry, raw = member.to_file()
    entry = parse_json(json_bytes(entry), "config.json")
    again = type(member).from_file(entry, raw, INPUTS, 4, "x.safetensors")
    assert again.to_file()[1] == raw
    assert again.name == member.name
    window = window_of(1, max(9, member.transform.history))
    np.testing.assert_array_equal(again.logits(window), member.logits(window))
    flat = tensors_to_bytes({**member.arrays(), "std": np.zeros((3, 2))})
    bad: list[tuple[dict[str, Any], bytes, Inputs, str]] = [
        (entry, flat, INPUTS, "std must be above 0"),
        (entry, raw, Inputs("channels", 2), "of a member of a forecaster"),
        ({**entry, "series": 0}, raw, INPUTS, "series must be a whole number from 1"),
        ({**entry, "series": True}, raw, INPUTS, "series must be a whole number from 1"),
        ({**entry, "series": 4}, raw, INPUTS, "this model needs"),
        ({**entry, "more": 4}, raw, INPUTS, "'more' is unknown"),
        ({**entry, "transform": {**entry["transform"], "length": 0}}, raw, INPUTS, "profile must be at least 1"),
    ]
    if isinstance(member, Autoregression):  # the weights have another shape
        bad.append(({**entry, "transform": {**entry["transform"], "length": 9}}, raw, INPUTS, "this model needs"))
    if isinstance(member, WindowLSTM):
        changed, of_other = lstm_of(Architecture.stacked("channels", 3, 0, 3, outputs=4)).to_file()
        changed = parse_json(json_bytes(changed), "config.json")
        bad.append((changed, of_other, INPUTS, "3 channels, the windows have 2 columns"))
    if isinstance(member, Naive):
        bad.append(({**entry, "drift": 1}, raw, INPUTS, "drift must be true or false"))
    for *given, message in bad:
        assert_refused(message, type(member).from_file, *given, 4, "x", error=(InputError, ModelFileError))


def test_the_gates_are_those_of_the_plain_lstm() -> None:
    member = lstm_of()
    windows = Windows.concatenated([window_of(1), window_of(2)])
    x, base, scales = member.encode(windows)
    found = member.transform.decode(member.network.logits(list(x.astype(np.float32))), base, scales)
    np.testing.assert_allclose(found, member.logits(windows), rtol=1e-6)


def test_contributions_of_a_linear_forecast_are_exact() -> None:
    member, window = autoregression_of(Transform(False, 3, True, 4)), window_of(1)
    found = attributed(member, window, 7)[:, :, -1]  # a forecast fed back
    forecast, base = roll_out(member, Windows.concatenated([window, window.means()]), 7)[:, -1]
    np.testing.assert_allclose(found.sum(), forecast - base, rtol=1e-6)
    assert np.ptp(found[:, 1]) > 0
    transform, series = Transform(False, 1, True, 5, 12, 4), seasonal(48)[:, None]
    series = series + np.random.default_rng(0).normal(0, series.std() / 4, series.shape)
    scales, window = transform.scales([series]), Windows.of(series, 0)
    profile = Naive(transform, scales, 12)  # whose bounds the moved values cross
    forecast, base = roll_out(profile, Windows.concatenated([window, window.means()]), 12)
    np.testing.assert_allclose(attributed(profile, window, 12).sum(axis=(0, 1)), forecast - base, atol=1e-6)


def test_roll_out_feeds_predictions_back_and_keeps_exogenous_values() -> None:
    class Echo:
        """Twice the last value of the series plus the last exogenous value, for two steps."""

        outputs = 2
        transform = Transform(False, 1, False, 2)

        def logits(self, windows: Windows) -> Array:
            assert windows.series.tolist() == [4, 5]
            last = windows.values[:, -1:]
            return np.asarray(np.repeat(2 * last[:, :, 0] + last[:, :, 1], 2, axis=1))

    values = np.array([[[0.0, 0], [0, 0], [3, 1]], [[0, 0], [0, 0], [5, 0]]])
    windows = Windows(values, np.array([4, 5]))
    found = roll_out(Echo(), windows, 5)  # type: ignore[arg-type]
    assert found.tolist() == [[7, 7, 15, 15, 31], [10, 10, 20, 20, 40]]
    assert values[0, -1].tolist() == [3, 1]


def test_forged_arrays_are_refused() -> None:
    for member, change, message in (
        (3, {"smoothing": np.full((3, 4), 1.5)}, "smoothing must lie between 0 and 1"),
        (3, {"period": np.array([0, 4, 1])}, "period must lie between 1 and the length"),
        (3, {"period": np.array([1, 400, 2])}, "period must lie between 1 and the length"),
        (4, {"smoothing": np.array([-0.1, 0.5, 0.2])}, "smoothing must lie between 0 and 1"),
    ):
        arrays: dict[str, Array] = {**MEMBERS[member].arrays(), **change}
        entry = parse_json(json_bytes(MEMBERS[member].to_file()[0]), "config.json")
        given = entry, tensors_to_bytes(arrays), INPUTS, 4, "x"
        assert_refused(message, type(MEMBERS[member]).from_file, *given, error=(ModelFileError, InputError))


# rng = np.random.default_rng(3)
# np.round(50 + 0.6 * np.arange(28) + np.tile([6.0, -2, 1, -5], 7) + rng.normal(0, 1.5, 28), 2)
_Y = """
59.06 44.77 52.83 45.95 57.72 50.68 51.57 48.85 59.5 58.38 57.34 51.07 62.78 54.8
57.82 53.41 66.32 57.84 63.24 56.1 68.04 62.92 65.02 58.04 70.13 63.81 69.5 60.8
"""
Y = np.array(_Y.split(), dtype=np.float64)
WINDOW = Windows.of(Y[:, None], 0)
WHOLE = Transform(False, 1, False, 28)


def test_the_recursion_is_that_of_statsmodels() -> None:
    """ETSModel(Y, error="add", trend="add", damped_trend=True, seasonal="add", seasonal_periods=4,
    initialization_method="known", initial_level=51, initial_trend=0.4, initial_seasonal=[5, -1.5, 1, -4.5])
    .smooth([0.35, 0.12, 0.28, 0.93]): sse and forecast(6).
    """
    start = SmoothingState(np.array([51.0]), np.array([0.4]), np.array([[5], [-1.5], [1], [-4.5]]))
    smoothing = np.array([[0.35], [0.12], [0.28], [0.93]])
    state, squares = smooth(Y[:, None], smoothing, start)
    assert squares[0] == pytest.approx(180.6605129492713)
    want = [73.325877, 66.864529, 70.383335, 63.093253, 75.258627, 68.661986]
    np.testing.assert_allclose(extrapolate(state, smoothing, 28, 6)[0], want, atol=1e-6)


def test_the_fit_of_ets_is_near_that_of_statsmodels() -> None:
    """ETSModel(Y, error="add", trend="add", seasonal="add", seasonal_periods=4).fit().forecast(4)"""
    member = fit_ets([Y[:, None]], WHOLE, 4, 4)
    assert member.period.tolist() == [4]
    np.testing.assert_allclose(member.logits(WINDOW)[0], [73.810735, 66.617844, 70.063573, 63.90642], atol=1.0)


def test_theta_is_that_of_statsmodels() -> None:
    """ThetaModel(Y, period=4, deseasonalize=False).fit(): alpha and forecast(4)"""
    member = fit_theta([Y[:, None]], WHOLE, 4)
    found = Theta(WHOLE, member.scales, 4, np.array([0.29081920630182934])).logits(WINDOW)[0]
    np.testing.assert_allclose(found, [65.1741, 65.4691, 65.7642, 66.0592], atol=0.05)
    assert member.smoothing[0] == pytest.approx(0.29, abs=0.15)


def test_values_without_noise_are_continued() -> None:
    t = np.arange(48.0)
    y = 3 * t + np.tile([6.0, -2, 1, -5], 12)
    later = 3 * np.arange(48.0, 54) + np.tile([6.0, -2, 1, -5], 2)[:6]
    window = Windows.of(y[:, None], 0)
    form = Transform(False, 1, False, 48)
    np.testing.assert_allclose(fit_ets([y[:, None]], form, 6, 4).logits(window)[0], later, atol=0.3)
    scales = Scales(np.zeros((1, 1)), np.ones((1, 1)))
    profile = Transform(False, 1, True, 48, 4, 6)
    np.testing.assert_allclose(Naive(profile, scales, 6, True).logits(window)[0], later, atol=0.5)


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
