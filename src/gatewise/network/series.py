"""What an LSTM reads of a series in windows: amplitudes by octave, and the time since the start."""

from __future__ import annotations

import numpy as np

from gatewise.types import Array

TIMES = 8  # parts of the longest training series, for the channels of time
HEIGHT = 4.0  # of these channels at their time


def amplitudes(series: Array, window: int) -> Array:
    """Of a series (length, C), for each window of steps its mean and for w = 1, 2, 4, ... up to half a window the root
    mean square of the Haar wavelet of 2w steps (sum of w steps minus that of the w steps before, over sqrt(2w)):
    (ceil(length / window), C (1 + octaves)) float64. Beyond its ends the series is mirrored.
    """
    length, octaves = len(series), window.bit_length() - 1
    if not length:
        return np.zeros((0, series.shape[1] * (1 + octaves)))
    reach = 1 << octaves
    places = np.arange(-reach, length + reach)
    places = np.minimum(np.maximum(places, -1 - places), 2 * length - 1 - places).clip(0, length - 1)
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


def time_channels(steps: Array, longest: int) -> Array:
    """Times since the start (T,) in steps, as the values (T, TIMES + 1) of hat functions: HEIGHT where it is the
    k-th of TIMES + 1 equidistant times of the longest training series, falling to 0 at the next ones. A later time is
    its end.
    """
    place = TIMES * np.minimum(steps / max(longest, 1), 1.0)
    return np.asarray(HEIGHT * np.maximum(0.0, 1 - np.abs(place[:, None] - np.arange(TIMES + 1))))
