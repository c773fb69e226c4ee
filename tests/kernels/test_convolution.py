"""Counts of convolutions above thresholds: NumPy against plain sums, native against NumPy, bit for bit."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from gatewise.kernels import native
from gatewise.kernels.convolution import KERNELS, Banks, convolve, count_above, count_above_reference, padded
from gatewise.kernels.ragged import Ragged
from tests.kernels.batches import HERE, needs_native

LENGTHS = (0, 1, 3, 8, 9, 16, 17, 50, 321, 322)


def some(channels: int, seed: int = 3) -> tuple[Ragged, Banks]:
    rng = np.random.default_rng(seed)
    dilations, counts = np.array([1, 2, 5, 9, 40], dtype=np.int32), np.array([3, 1, 4, 5, 6], dtype=np.int32)
    thresholds = rng.standard_normal(84 * int(counts.sum())).astype(np.float32)
    masks = (rng.random((5, 84, channels)) < 0.7).astype(np.uint8)
    series = Ragged.of([rng.standard_normal((n, channels)).astype(np.float32) for n in LENGTHS])
    return series, Banks(dilations, counts, masks, thresholds)


def plain(x: np.ndarray, dilation: int, taps: tuple[int, ...], mask: np.ndarray, t: int) -> float:
    total = 0.0
    for j in range(9):
        at = t + (j - 4) * dilation
        if 0 <= at < len(x):
            total += (2 if j in taps else -1) * float(x[at][mask != 0].sum())
    return total


def test_convolve_against_plain_sums() -> None:
    _, banks = some(3)
    x = np.random.default_rng(5).standard_normal((21, 3)).astype(np.float32)
    for _, dilation, masks, _, _ in banks:
        conv = convolve(x, dilation, masks)
        for kernel in (0, 7, 40, 83):
            taps = list(combinations(range(9), 3))[kernel]
            expected = [plain(x, dilation, taps, masks[kernel], t) for t in range(len(x))]
            np.testing.assert_allclose(conv[kernel], expected, atol=1e-5)
        some_steps = np.array([20, 3, 3])
        np.testing.assert_array_equal(convolve(x, dilation, masks, steps=some_steps), conv[:, some_steps])


def test_all_steps_or_those_with_all_taps() -> None:
    series, banks = some(2)
    counts = count_above_reference(series, banks)
    row, x = counts[7], list(series)[7]  # 50 steps
    for n, dilation, masks, thresholds, features in banks:
        conv, found = convolve(x, dilation, masks), row[features].reshape(thresholds.shape)
        fits = len(x) > 8 * dilation
        for kernel in range(len(KERNELS)):
            every = (n + kernel) % 2 == 0 or not fits
            assert padded(n, dilation, len(x))[kernel] == every
            inside = conv[kernel] if every else conv[kernel, 4 * dilation : len(x) - 4 * dilation]
            assert found[kernel].tolist() == [(inside > limit).sum() for limit in thresholds[kernel]]


@needs_native
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("isa", HERE)
def test_native_gives_the_bits_of_the_reference(isa: str, channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    series, banks = some(channels)
    expected = count_above_reference(series, banks)
    for threads in ("1", "3"):
        monkeypatch.setenv("GATEWISE_THREADS", threads)
        found = native.count_above(np.ascontiguousarray(series.values), series.lengths, banks.arrays, isa)
        np.testing.assert_array_equal(found, expected)


def test_the_kernel_is_chosen_as_the_recurrence_is(monkeypatch: pytest.MonkeyPatch) -> None:
    series, banks = some(1, seed=7)
    monkeypatch.setenv("GATEWISE_KERNEL", "reference")
    monkeypatch.setattr(native, "count_above", lambda *_: pytest.fail("native ran"))
    np.testing.assert_array_equal(count_above(series, banks), count_above_reference(series, banks))
