"""Counts of convolutions above thresholds: NumPy against plain sums, native against NumPy, bit for bit."""

from itertools import combinations

import numpy as np
import pytest

from gatewise.kernels.convolution import KERNELS, Banks, convolve, count_above, padded
from gatewise.ragged import Ragged
from tests.kernels.batches import HERE, needs_native

LENGTHS = (0, 1, 3, 8, 9, 16, 17, 50, 321, 322)


def some(channels: int, seed: int = 3) -> tuple[list[np.ndarray], Banks]:
    rng = np.random.default_rng(seed)
    dilations, counts = np.array([1, 2, 5, 9, 40], dtype=np.int32), np.array([3, 1, 4, 5, 6], dtype=np.int32)
    thresholds = rng.standard_normal(84 * int(counts.sum())).astype(np.float32)
    masks = (rng.random((5, 84, channels)) < 0.7).astype(np.uint8)
    series = [rng.standard_normal((n, channels)).astype(np.float32) for n in LENGTHS]
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
    row, x = counts_of(series, banks, "reference")[7], series[7]  # 50 steps
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
    expected = counts_of(series, banks, "reference")
    monkeypatch.setenv("GATEWISE_ISA", isa)
    for threads in ("1", "3"):
        monkeypatch.setenv("GATEWISE_THREADS", threads)
        np.testing.assert_array_equal(counts_of(series, banks, "native"), expected)


def counts_of(series: list[np.ndarray], banks: Banks, kernel: str) -> np.ndarray:
    """The counts by this kernel, and by no other."""
    ran: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATEWISE_KERNEL", kernel)
        patch.setattr("gatewise.kernels.convolution.convolve", lambda *args: ran.append("reference") or convolve(*args))
        found = count_above(Ragged.of(series), banks)
    assert bool(ran) == (kernel == "reference")
    return found
