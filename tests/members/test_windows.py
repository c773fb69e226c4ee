"""Windows of forecasters: transforms undone exactly, blind to what comes after a window; the members that read them."""

from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError, ModelFileError
from gatewise.forecast.fit import candidates
from gatewise.members.autoregression import Autoregression
from gatewise.members.ensemble import Ensemble
from gatewise.members.member import Inputs
from gatewise.members.naive import Naive
from gatewise.members.window_lstm import WindowLSTM
from gatewise.members.windows import Scales, Transform, WindowMember, attributed, mean_window, numbered, roll_out
from gatewise.network.architecture import Architecture
from gatewise.storage.strict_json import json_bytes, parse_json
from gatewise.storage.tensors import tensors_to_bytes
from gatewise.target import Target
from gatewise.types import Array
from tests.explain.random_net import parameters_of
from tests.forecast.conftest import seasonal

TRIED = candidates((12, 24), [np.ones((60, 1))], 12, positive=True)
ALL = list(dict.fromkeys(one.transform for one in TRIED if one.transform.history <= 45))


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
    with pytest.raises(InputError, match="at least 1"):
        Transform(False, 0, False, 3)


def test_small_differences_have_a_scale() -> None:
    series = np.array([[1e-149], [1e-149 + 2e-165], [1e-149]])  # the squares of the differences are 0
    assert Transform(False, 1, False, 2).scales(series).std.tolist() == [1]
    assert Transform(False, 1, False, 2).scales(1e-140 * np.eye(3)[:, :1]).std[0] == pytest.approx(4.7e-141, rel=0.01)


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


MEMBERS = [lstm_of(), autoregression_of(Transform(False, 1, False, 6)), autoregression_of(Transform(True, 2, True, 3))]


def window_of(number: int, seed: int = 0) -> Array:
    rng = np.random.default_rng([number, seed])
    return numbered(rng.uniform(20, 70, size=(9, 2)), number)


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_a_member_reads_windows(member: WindowMember) -> None:
    windows = [window_of(number) for number in (2, 0, 1)]
    found = member.logits(windows)
    assert found.shape == (3, 4)
    for window, row in zip(windows, found, strict=True):
        np.testing.assert_allclose(member.logits([window])[0], row, rtol=1e-5)
    other = windows[0].copy()
    other[:, -1] = 1
    assert (member.logits([other]) != found[0]).all(), "the scales are those of the series"
    assert member.logits([]).shape == (0, 4)
    window, base = windows[2], mean_window(windows[2])
    change = np.diff(member.logits([base, window]), axis=0)
    found = attributed(member, window, 4).sum(axis=(0, 1))
    np.testing.assert_allclose(found, change[0], rtol=0, atol=1e-3 * np.abs(change).max())


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_a_member_comes_back_from_its_file(member: WindowMember) -> None:
    member.check(INPUTS)
    for wrong in (Inputs("windows", 3), Inputs("channels", 2)):
        with pytest.raises(InputError, match="reads windows of 2, not"):
            member.check(wrong)
    entry, raw = member.to_file()
    entry = parse_json(json_bytes(entry), "config.json")
    again = type(member).from_file(entry, raw, INPUTS, 4, "x.safetensors")
    assert again.to_file()[1] == raw
    assert again.name == member.name
    np.testing.assert_array_equal(again.logits([window_of(1)]), member.logits([window_of(1)]))
    flat = tensors_to_bytes({**member.arrays(), "std": np.zeros((3, 2))})
    bad: list[tuple[dict[str, Any], bytes, Inputs, str]] = [
        (entry, flat, INPUTS, "std must be above 0"),
        (entry, raw, Inputs("channels", 2), "of a member of a forecaster"),
        ({**entry, "series": 0}, raw, INPUTS, "series must be a whole number from 1"),
        ({**entry, "series": True}, raw, INPUTS, "series must be a whole number from 1"),
        ({**entry, "series": 4}, raw, INPUTS, "this model needs"),
        ({**entry, "more": 4}, raw, INPUTS, "'more' is unknown"),
        (
            {**entry, "transform": {**entry["transform"], "length": 0}},
            raw,
            INPUTS,
            "length and profile must be at least 1",
        ),
    ]
    if isinstance(member, Autoregression):  # the weights have another shape
        bad.append(({**entry, "transform": {**entry["transform"], "length": 9}}, raw, INPUTS, "this model needs"))
    for values, content, inputs, message in bad:
        with pytest.raises((InputError, ModelFileError), match=message):
            type(member).from_file(values, content, inputs, 4, "x.safetensors")


def test_shapes_fit_together() -> None:
    with pytest.raises(InputError, match="3 channels, the windows have 2 columns"):
        lstm_of(Architecture.stacked("channels", 3, 0, 3, outputs=4))
    with pytest.raises(InputError, match=r"the weights must be \(12, 4\), not \(11, 4\)"):
        Autoregression(Transform(False, 1, False, 6), SCALES, 4, np.zeros((11, 4)), np.zeros(4))


def test_the_gates_are_those_of_the_plain_lstm() -> None:
    member = lstm_of()
    x, base, scales = member.encode(np.stack([window_of(1), window_of(2)]))
    found = member.transform.decode(member.network.logits(list(x.astype(np.float32))), base, scales)
    np.testing.assert_allclose(found, member.logits([window_of(1), window_of(2)]), rtol=1e-6)


def test_contributions_of_a_linear_forecast_are_exact() -> None:
    member, window = autoregression_of(Transform(False, 3, True, 4)), window_of(1)
    found = attributed(member, window, 7)[:, :, -1]  # a forecast fed back
    forecast, base = roll_out(member, np.stack([window, mean_window(window)]), 7)[:, -1]
    np.testing.assert_allclose(found.sum(), forecast - base, rtol=1e-6)
    assert np.ptp(found[:, 1]) > 0
    transform, series = Transform(False, 1, True, 5, 12, 4), seasonal(48)[:, None]
    series = series + np.random.default_rng(0).normal(0, series.std() / 4, series.shape)
    scales, window = Scales(*(one[None] for one in transform.scales(series))), numbered(series, 0)
    profile = Naive(transform, scales, 12)  # whose bounds the moved values cross
    forecast, base = roll_out(profile, np.stack([window, mean_window(window)]), 12)
    np.testing.assert_allclose(attributed(profile, window, 12).sum(axis=(0, 1)), forecast - base, atol=1e-6)


def test_roll_out_feeds_predictions_back_and_keeps_exogenous_values() -> None:
    class Echo:
        """Twice the last value of the series plus the last exogenous value, for two steps."""

        outputs = 2
        transform = Transform(False, 1, False, 2)

        def logits(self, windows: list[Array]) -> Array:
            last = np.stack(windows)[:, -1:]
            return np.asarray(np.repeat(2 * last[:, :, 0] + last[:, :, 1], 2, axis=1))

    windows = np.array([[[0.0, 0, 4], [0, 0, 4], [3, 1, 4]], [[0, 0, 5], [0, 0, 5], [5, 0, 5]]])
    found = roll_out(Echo(), windows, 5)  # type: ignore[arg-type]
    assert found.tolist() == [[7, 7, 15, 15, 31], [10, 10, 20, 20, 40]]
    assert windows[0, -1].tolist() == [3, 1, 4]


def test_an_ensemble_has_one_of_the_lstms() -> None:
    target = Target(("1", "2", "3", "4"), "regression")
    ensemble = Ensemble((lstm_of(), *MEMBERS[1:]), (0.0, 0.25, 0.75), np.zeros(4), target)
    assert str(ensemble).startswith(
        "LSTM: seasonal differences (3), relative to the last value, windows of 5 steps 0.00"
    )
    with pytest.raises(InputError, match="exactly one LSTM"):
        Ensemble((lstm_of(), lstm_of()), (0.5, 0.5), np.zeros(4), target)
