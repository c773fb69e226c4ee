"""The linear model on convolution features: logits, attributions, prefixes."""

from dataclasses import replace

import numpy as np
import pytest

from gatewise.kernels import unavailable_reason
from gatewise.kernels.convolution import Banks
from gatewise.members import convolutions as module
from gatewise.members.convolutions import Convolutions, features_of, with_differences
from gatewise.ragged import Ragged
from tests.refusals import assert_refused


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
    assert with_differences(Ragged.of([x]))[0].tolist() == [[1, 5, 0, 0], [4, 3, 3, -2], [4.5, -1, 0.5, -4]]


def test_logits_are_the_weighted_features() -> None:
    convolutions, rows = some(), [series(n) for n in (30, 9, 51)]
    features = features_of(convolutions.banks, Ragged.of(rows))
    assert features.shape == (3, len(convolutions))
    assert 0 <= features.min() < features.max() <= 1
    expected = (features.astype(np.float64) - convolutions.mean) @ convolutions.weight
    np.testing.assert_allclose(convolutions.logits(rows), expected, atol=1e-9)
    assert convolutions.logits([series(0), series(30)])[0].tolist() == [0, 0, 0]
    assert_refused("a mean is NaN or infinite", replace, convolutions, mean=np.inf * convolutions.mean)


@pytest.mark.parametrize("kernel", ["native", "reference"])
def test_only_empty_series(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kernel == "reference" or unavailable_reason("native") is None:
        monkeypatch.setenv("GATEWISE_KERNEL", kernel)
    assert not features_of(some().banks, Ragged.of([series(0), series(0)])).any()
    assert some().logits([series(0)]).tolist() == [[0, 0, 0]]


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
