"""What an LSTM reads of a series in windows: amplitudes by octave, and the time since the start."""

from __future__ import annotations

import numpy as np

from gatewise.ragged import Ragged
from gatewise.types import Array

TIMES = 8  # parts of the longest training series, for the channels of time
HEIGHT = 4.0  # of these channels at their time


def amplitudes(series: Array, window: int) -> Array:
    """The means and amplitudes (ceil(length / window), C (1 + octaves)) float64 of the windows of a series (length, C).

    There is an amplitude for each octave w = 1, 2, 4, ... up to half a window: the root mean square, over the steps of
    the window, of the Haar wavelet of 2w steps, which is the sum of w steps minus that of the w steps before, over
    sqrt(2w). Beyond its ends the series is mirrored.
    """
    length = len(series)
    octaves = window.bit_length() - 1
    if not length:
        return np.zeros((0, series.shape[1] * (1 + octaves)))
    reach = 1 << octaves
    places = np.arange(-reach, length + reach)
    from_start = np.maximum(places, -1 - places)  # step -1 is step 0, step -2 is step 1
    from_end = 2 * length - 1 - places  # and so on beyond the last step
    # Mirrored once: beyond, a series that is shorter than the window has its first or last step.
    places = np.minimum(from_start, from_end).clip(0, length - 1)
    starts = np.arange(0, length, window)
    counts = np.minimum(window, length - starts)[:, None]
    sums = series[places].astype(np.float64)  # of w steps, from each place on
    parts = [np.add.reduceat(series, starts, axis=0, dtype=np.float64) / counts]
    for octave in range(octaves):
        w = 1 << octave
        change = sums[reach : reach + length] - sums[reach - w : reach - w + length]
        parts.append(np.sqrt(np.add.reduceat(np.square(change), starts, axis=0) / (2 * w * counts)))
        sums = sums[:-w] + sums[w:]
    return np.concatenate(parts, axis=1)


def amplitudes_of_batch(series: Ragged, window: int) -> Array:
    """`amplitudes` of n series, the windows of one after those of the other.

    Each by itself: the sums of a series are slices. Those of all series at once would be gathered by index, which takes
    longer.
    """
    no_windows = amplitudes(series.values[:0], window)
    return np.concatenate([no_windows, *[amplitudes(values, window) for values in series]])


def time_channels(steps: Array, longest: int) -> Array:
    """Times since the start (T,) in steps, as the values (T, TIMES + 1) of hat functions: HEIGHT where it is the
    k-th of TIMES + 1 equidistant times of the longest training series, falling to 0 at the next ones. A later time is
    its end.
    """
    place = TIMES * np.minimum(steps / max(longest, 1), 1.0)
    return np.asarray(HEIGHT * np.maximum(0.0, 1 - np.abs(place[:, None] - np.arange(TIMES + 1))))
