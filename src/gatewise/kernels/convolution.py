"""Dilated convolutions of series and the count of steps above thresholds: the features of MiniRocket on plain arrays.

For a bank of dilation d, kernel k with taps a < b < c out of 0 to 8, and the channels of the bank's mask for k:

    conv(t) = Σ_channels ((3 x_a - (x_0 + x_1 + ... + x_8)) + 3 x_b) + 3 x_c        x_j = x(t + (j - 4) d)

in float32 and in this order, with zeros before and after the series. The weights are therefore -1 six times and 2 three
times (Dempster, Schmidt & Webb 2021). A threshold's count is the number of steps with conv(t) > threshold: over all
steps ("padded") where bank + kernel is even, else over the steps whose nine taps all lie within the series ("valid"),
or over all where there are none.

The native kernel adds in the same order and multiplies by 3 exactly rounded, so both give the same bits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels import extension_for, native
from gatewise.kernels.threads import threads
from gatewise.ragged import joined
from gatewise.types import Array

TAPS = 9
CENTRE = TAPS // 2
KERNELS: NDArray[np.int32] = np.array(list(combinations(range(TAPS), 3)), dtype=np.int32)  # (84, 3)


@dataclass(frozen=True, eq=False)
class Banks:
    """dilations (D,) int32; counts (D,) int32: thresholds per kernel; channels (D, 84, C) uint8: 1 where the kernel
    reads the channel; thresholds (F,) float32, F = 84 Σ counts, by bank, then kernel.
    """

    dilations: NDArray[np.int32]
    counts: NDArray[np.int32]
    channels: NDArray[np.uint8]
    thresholds: NDArray[np.float32]

    def __iter__(self) -> Iterator[tuple[int, int, NDArray[np.uint8], NDArray[np.float32], slice]]:
        """Number, dilation, channel masks (84, C), thresholds (84, count) and the features of each bank."""
        first = 0
        for n, (dilation, count) in enumerate(zip(self.dilations.tolist(), self.counts.tolist(), strict=True)):
            features = slice(first, first + len(KERNELS) * count)
            yield n, dilation, self.channels[n], self.thresholds[features].reshape(len(KERNELS), count), features
            first = features.stop


def padded(bank: int, dilation: int, length: int) -> NDArray[np.bool_]:
    """Whether each kernel (84,) of a bank counts all steps of a series of this length."""
    return (bank + np.arange(len(KERNELS))) % 2 == 0 if length > 2 * CENTRE * dilation else np.ones(len(KERNELS), bool)


def convolve(
    x: Array,
    dilation: int,
    channels: NDArray[np.uint8],
    last: int = TAPS,
    taps_of: NDArray[np.int32] = KERNELS,
    steps: NDArray[np.int64] | None = None,
) -> Array:
    """conv(t) (K, T) float32 of the series x (T, C) with K kernels. channels: their masks (K, C). last: taps from there
    on read zeros. taps_of: the three taps (K, 3) of each kernel. steps (S,): these steps alone, (K, S).
    """
    length, total = len(x), None
    dilation = min(dilation, length)  # from there on, all taps but the centre read zeros
    for c in range(x.shape[1]):
        used = channels[:, c] != 0
        if not used.any():
            continue
        flat = np.zeros(length + 2 * CENTRE * dilation, dtype=np.float32)
        flat[CENTRE * dilation : CENTRE * dilation + length] = x[:, c]
        taps = [flat[j * dilation : j * dilation + length] for j in range(TAPS)]
        if steps is not None:
            taps = [tap[steps] for tap in taps]
        taps[last:] = [np.zeros_like(taps[0])] * (TAPS - last)
        all_taps = taps[0].copy()
        for tap in taps[1:]:
            all_taps += tap
        three = np.stack(taps) * np.float32(3)  # (9, T)
        part = ((three[taps_of[:, 0]] - all_taps) + three[taps_of[:, 1]]) + three[taps_of[:, 2]]  # (K, T)
        if total is None:
            total = part if used.all() else np.where(used[:, None], part, np.float32(0))
        else:
            np.add(total, part, out=total, where=used[:, None])
    count = length if steps is None else len(steps)
    return np.zeros((len(taps_of), count), dtype=np.float32) if total is None else total


def count_above(series: Sequence[Array], banks: Banks) -> NDArray[np.int32]:
    """Counts (n, F) of n series (length, C), by the native kernel where `kernels.get` chooses it, else in NumPy; the
    same bits.
    """
    out = np.zeros((len(series), len(banks.thresholds)), dtype=np.int32)
    values, lengths = joined(series, np.float32)
    extension = extension_for(values)
    if extension is not None:
        arrays = banks.dilations, banks.counts, banks.channels, banks.thresholds
        extension.count_above(native.float32_isa(), threads(), values, lengths, *arrays, out)
        return out
    for row, x in zip(out, series, strict=True):
        for n, dilation, channels, thresholds, features in banks:
            conv, every, edge = convolve(x, dilation, channels), padded(n, dilation, len(x)), CENTRE * dilation
            counts = np.empty(thresholds.shape, dtype=np.int32)
            for number in range(thresholds.shape[1]):  # bounds memory
                above = conv > thresholds[:, number, None]
                counts[every, number] = above[every].sum(axis=1)
                if not every.all():
                    counts[~every, number] = above[~every, edge : len(x) - edge].sum(axis=1)
            row[features] = counts.reshape(-1)
    return out
