"""The linear model on convolution features: logits, attributions, prefixes, and values that are refused."""

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.kernels import unavailable_reason
from gatewise.kernels.convolution import Banks
from gatewise.members import convolutions as module
from gatewise.members.convolutions import Convolutions, with_differences


def some(channels: int = 2, outputs: int = 3, seed: int = 3) -> Convolutions:
    rng = np.random.default_rng(seed)
    dilations, counts = np.array([1, 2, 5, 1], dtype=np.int32), np.array([3, 1, 2, 2], dtype=np.int32)
    features = 84 * int(counts.sum())
    banks = Banks(
        dilations,
        counts,
        (rng.random((4, 84, 2 * channels)) < 0.6).astype(np.uint8),
        rng.standard_normal(features).astype(np.float32),
    )
    return Convolutions(
        banks,
        rng.random(features).astype(np.float32),
        rng.standard_normal((features, outputs)).astype(np.float32),
    )


def series(length: int, channels: int = 2, seed: int = 11) -> np.ndarray:
    return np.random.default_rng([seed, length]).standard_normal((length, channels)).astype(np.float32)


def test_differences_are_channels_of_their_own() -> None:
    x = np.array([[1, 5], [4, 3], [4.5, -1]], dtype=np.float32)
    assert with_differences([x])[0].tolist() == [[1, 5, 0, 0], [4, 3, 3, -2], [4.5, -1, 0.5, -4]]


def test_logits_are_the_weighted_features() -> None:
    convolutions, rows = some(), [series(n) for n in (30, 9, 51)]
    features = convolutions.features(rows)
    assert features.shape == (3, len(convolutions))
    assert 0 <= features.min() < features.max() <= 1
    expected = (features.astype(np.float64) - convolutions.mean) @ convolutions.weight
    np.testing.assert_allclose(convolutions.logits(rows), expected, atol=1e-9)
    assert convolutions.logits([series(0), series(30)])[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("kernel", ["native", "reference"])
def test_only_empty_series(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kernel == "reference" or unavailable_reason("native") is None:
        monkeypatch.setenv("GATEWISE_KERNEL", kernel)
    convolutions = some()
    assert not convolutions.features([series(0), series(0)]).any()
    assert convolutions.logits([series(0)]).tolist() == [[0, 0, 0]]
    assert convolutions.attribution(series(0)).shape == (0, 3)
    assert convolutions.prefix_logits(series(0)).tolist() == [[0, 0, 0]]
    assert convolutions.leave_one_out(series(1), np.array([0])).tolist() == [[0, 0, 0]]


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    convolutions, rows = some(), [series(n) for n in (30, 9, 51, 4)]
    whole = convolutions.logits(rows)
    monkeypatch.setattr(module, "STEPS_PER_CHUNK", 40)
    np.testing.assert_allclose(convolutions.logits(rows), whole, atol=1e-12)


def test_a_step_has_the_features_centred_there() -> None:
    convolutions, x = some(), series(40)
    changed = x.copy()
    changed[39] += 5  # taps of dilation 5 reach 20 steps back
    difference = np.abs(convolutions.attribution(changed) - convolutions.attribution(x)).sum(axis=1)
    assert (difference[:19] < 1e-12).all()
    assert difference[39] > 0


def test_leave_one_out_holds_one_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """2,000 steps have 4 million edited steps of two channels, 32 MB; in chunks they take less than 10 MB."""
    convolutions, x = some(), series(2_000)
    monkeypatch.setattr(module, "STEPS_PER_CHUNK", 40_000)
    steps = np.arange(0, len(x), 2)
    tracemalloc.start()
    found = convolutions.leave_one_out(x, steps)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6
    np.testing.assert_allclose(found[500], convolutions.logits([np.delete(x, 1_000, axis=0)])[0], atol=1e-12)


def change(array: np.ndarray, at: Any, value: Any) -> np.ndarray:
    copy = array.copy()
    copy[at] = value
    return copy


BAD: dict[str, Any] = {
    "dilation 0": ("dilations", lambda a: change(a, 1, 0)),
    "a huge dilation": ("dilations", lambda a: change(a, 1, 2**30)),
    "a count of 0": ("counts", lambda a: change(a, 0, 0)),
    "counts that overflow": ("counts", lambda a: change(a, slice(None), 2**30)),
    "one threshold more": ("counts", lambda a: change(a, 0, 4)),
    "a mask of 2": ("channels", lambda a: change(a, (0, 0, 0), 2)),
    "a threshold NaN": ("thresholds", lambda a: change(a, 5, np.nan)),
    "a mean infinite": ("mean", lambda a: change(a, 5, np.inf)),
    "a weight NaN": ("weight", lambda a: change(a, (5, 1), np.nan)),
}


@pytest.mark.parametrize("case", BAD)
def test_other_values_are_refused(case: str) -> None:
    name, change_array = BAD[case]
    good = some()
    changes: dict[str, Any] = {"mean": good.mean, "weight": good.weight}
    if name in changes:
        changes[name] = change_array(changes[name])
    else:
        changes["banks"] = replace(good.banks, **{name: change_array(getattr(good.banks, name))})
    with pytest.raises(InputError, match="convolutions"):
        replace(good, **changes)
