"""Dilated convolutions of series and the count of steps above thresholds: the features of MiniRocket on plain arrays.

For a bank of dilation d, kernel k with taps a < b < c out of 0 to 8, and the channels of the bank's mask for k:

    conv(t) = Σ_channels ((3 x_a - (x_0 + x_1 + ... + x_8)) + 3 x_b) + 3 x_c        x_j = x(t + (j - 4) d)

in float32 and in this order, with zeros before and after the series. Six weights are therefore -1 and three are 2
(Dempster, Schmidt & Webb 2021). The count of a threshold is the number of steps with conv(t) > threshold. Where
bank + kernel is even, it counts all steps ("padded"), otherwise the steps whose nine taps all lie within the series
("valid"); if there is no such step, it counts all steps.

The native kernel adds in the same order and multiplies by 3 exactly rounded, so both give the same bits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels import extension_for, native
from gatewise.kernels.threads import threads
from gatewise.ragged import Ragged
from gatewise.types import Array

TAPS = 9
CENTRE = TAPS // 2
KERNELS: NDArray[np.int32] = np.array(list(combinations(range(TAPS), 3)), dtype=np.int32)  # (84, 3)


@dataclass(frozen=True, eq=False)
class Banks:
    """D banks of 84 kernels. dilations: (D,) int32. counts: (D,) int32, the thresholds per kernel. channels:
    (D, 84, C) uint8, 1 where the kernel reads the channel. thresholds: (F,) float32, F = 84 Σ counts, by bank, then
    kernel.
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
    has_valid_steps = length > 2 * CENTRE * dilation
    if not has_valid_steps:
        return np.ones(len(KERNELS), dtype=bool)
    is_padded: NDArray[np.bool_] = (bank + np.arange(len(KERNELS))) % 2 == 0
    return is_padded


def convolve(
    x: Array,
    dilation: int,
    channels: NDArray[np.uint8],
    last: int = TAPS,
    taps_of: NDArray[np.int32] = KERNELS,
    steps: NDArray[np.int64] | None = None,
) -> Array:
    """conv(t) (K, T) float32 of the series x (T, C) with K kernels. channels: the channel masks (K, C). last: the first
    tap that reads zeros, as do those after it. taps_of: the three taps (K, 3) of each kernel. steps (S,): compute these
    steps only, (K, S).
    """
    length = len(x)
    dilation = min(dilation, length)  # from there on, all taps but the centre read zeros
    total: Array | None = None
    for c in range(x.shape[1]):
        reads_channel = channels[:, c] != 0
        if not reads_channel.any():
            continue
        taps = _taps_of_channel(x[:, c], dilation)
        if steps is not None:
            taps = [tap[steps] for tap in taps]
        taps[last:] = [np.zeros_like(taps[0])] * (TAPS - last)
        sum_of_taps = taps[0].copy()
        for tap in taps[1:]:
            sum_of_taps += tap
        triple = np.stack(taps) * np.float32(3)  # (9, T)
        a, b, c_ = taps_of.T
        conv = ((triple[a] - sum_of_taps) + triple[b]) + triple[c_]  # (K, T)
        if total is not None:
            np.add(total, conv, out=total, where=reads_channel[:, None])
        elif reads_channel.all():
            total = conv
        else:
            total = np.where(reads_channel[:, None], conv, np.float32(0))
    if total is not None:
        return total
    steps_computed = length if steps is None else len(steps)
    return np.zeros((len(taps_of), steps_computed), dtype=np.float32)


def _taps_of_channel(channel: Array, dilation: int) -> list[Array]:
    """x(t + (j - 4) d) for each of the nine taps j (T,), with zeros before and after the channel."""
    length = len(channel)
    margin = CENTRE * dilation
    with_margins = np.zeros(length + 2 * margin, dtype=np.float32)
    with_margins[margin : margin + length] = channel
    return [with_margins[j * dilation : j * dilation + length] for j in range(TAPS)]


def count_above(series: Ragged, banks: Banks) -> NDArray[np.int32]:
    """Counts (n, F) of n series (length, C): by the native kernel where `kernels.get` chooses it, otherwise in NumPy,
    with the same bits.
    """
    out = np.zeros((len(series), len(banks.thresholds)), dtype=np.int32)
    values = np.ascontiguousarray(series.values, dtype=np.float32)
    extension = extension_for(values)
    if extension is not None:
        extension.count_above(
            native.float32_isa(),
            threads(),
            values,
            series.lengths,
            banks.dilations,
            banks.counts,
            banks.channels,
            banks.thresholds,
            out,
        )
        return out
    for row, x in zip(out, series, strict=True):
        for n, dilation, channels, thresholds, features in banks:
            conv = convolve(x, dilation, channels)
            is_padded = padded(n, dilation, len(x))
            row[features] = _counts_of_bank(conv, thresholds, is_padded, CENTRE * dilation).reshape(-1)
    return out


def _counts_of_bank(
    conv: Array, thresholds: NDArray[np.float32], is_padded: NDArray[np.bool_], margin: int
) -> NDArray[np.int32]:
    """The counts (84, count) of conv (84, T) above thresholds (84, count). margin: steps at either end that the kernels
    which are not padded leave out.
    """
    counts = np.empty(thresholds.shape, dtype=np.int32)
    for n in range(thresholds.shape[1]):  # one threshold per kernel at a time, which bounds the memory
        above = conv > thresholds[:, n, None]
        counts[is_padded, n] = above[is_padded].sum(axis=1)
        if not is_padded.all():
            counts[~is_padded, n] = above[~is_padded, margin : conv.shape[1] - margin].sum(axis=1)
    return counts
