"""Five made series tasks whose class depends on order, position, length or count over long times.

Each is noise of standard deviation 1 with bursts: an oscillation of zero mean and random phase under a Hann window,
`STEPS` long and of amplitude 1.6, so that mean and value of single steps say nothing. `ideal` classifies with the
generator's own parameters, a matched filter: its accuracy is a lower bound of the Bayes rate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.own_data.series_data import Part

LENGTH, STEPS, AMPLITUDE = 2_000, 80, 1.6
COUNTED = 4.0  # amplitude of bursts that are counted
FAST, SLOW = 8.0, 20.0  # periods of a burst
GAP = 800  # between two events
ROWS = {"TRAIN": 100, "TEST": 400}
Series = NDArray[np.float64]


def _wave(period: float, phase: float, amplitude: float = AMPLITUDE) -> Series:
    window = np.minimum(1, 4 * np.hanning(STEPS))  # flat but for its ends
    wave = window * np.sin(2 * np.pi * np.arange(STEPS) / period + phase)
    burst: Series = amplitude * (wave - window * wave.sum() / window.sum())
    return burst


def _with_burst(series: Series, at: int, period: float, rng: np.random.Generator, amplitude: float = AMPLITUDE) -> None:
    series[at : at + STEPS] += _wave(period, rng.uniform(0, 2 * np.pi), amplitude)


def _energy(series: Series, period: float) -> Series:
    """Energy of the matched filter, of both phases, for a burst that starts at each step."""
    sine, cosine = (np.correlate(series, _wave(period, phase)) for phase in (0, np.pi / 2))
    return np.asarray(sine**2 + cosine**2)


def _position(label: int, rng: np.random.Generator) -> Series:
    """In which quarter the burst lies."""
    series = rng.standard_normal(LENGTH)
    _with_burst(series, label * LENGTH // 4 + int(rng.integers(LENGTH // 4 - STEPS)), FAST, rng)
    return series


def _length(label: int, rng: np.random.Generator) -> Series:
    """In which quarter of 200 to 1,000 the number of steps lies, 20 steps from the next one."""
    return rng.standard_normal(220 + 200 * label + int(rng.integers(160)))


def _order(label: int, rng: np.random.Generator) -> Series:
    """Which of a fast and a slow burst, 800 steps apart, is the first."""
    series, at = rng.standard_normal(LENGTH), int(rng.integers(LENGTH - GAP - STEPS))
    for n, period in enumerate((FAST, SLOW) if label else (SLOW, FAST)):
        _with_burst(series, at + n * GAP, period, rng)
    return series


def _count(label: int, rng: np.random.Generator) -> Series:
    """How many bursts there are, 1 to 3."""
    series, count = rng.standard_normal(LENGTH), label + 1
    starts = np.sort(rng.integers(LENGTH - (2 * count - 1) * STEPS, size=count)) + 2 * STEPS * np.arange(count)
    for at in starts.tolist():
        _with_burst(series, at, FAST, rng, COUNTED)
    return series


def _cue(label: int, rng: np.random.Generator) -> Series:
    """Whether the burst at the start is of the same kind as the one 700 or more steps later."""
    series, first = rng.standard_normal(LENGTH), int(rng.integers(2))
    _with_burst(series, 0, (FAST, SLOW)[first], rng)
    at = STEPS + 700 + int(rng.integers(LENGTH - 2 * STEPS - 700))
    _with_burst(series, at, (FAST, SLOW)[first ^ label], rng)
    return series


def _ideal_position(series: Series) -> int:
    energy = np.log(np.cosh(np.sqrt(_energy(series, FAST)).clip(max=300)))
    return int(np.argmax([np.logaddexp.reduce(energy[n * 500 : n * 500 + 500 - STEPS]) for n in range(4)]))


def _ideal_length(series: Series) -> int:
    return (len(series) - 200) // 200


def _ideal_order(series: Series) -> int:
    fast, slow = np.sqrt(_energy(series, FAST)), np.sqrt(_energy(series, SLOW))
    return int((fast[:-GAP] + slow[GAP:]).max() > (slow[:-GAP] + fast[GAP:]).max())


def _ideal_count(series: Series) -> int:
    energy, count = _energy(series, FAST), 0
    while energy.max() > (AMPLITUDE * COUNTED * STEPS / 4) ** 2 and count < 3:
        at, count = int(energy.argmax()), count + 1
        energy[max(0, at - STEPS) : at + STEPS] = 0
    return max(count, 1) - 1


def _ideal_cue(series: Series) -> int:
    kinds = [[float(_energy(part, period).max()) for period in (FAST, SLOW)] for part in (series[:STEPS], series[780:])]
    return int(np.argmax(kinds[0]) != np.argmax(kinds[1]))


@dataclass(frozen=True)
class Task:
    """make: a series of a class; ideal: the class of a series."""

    classes: int
    make: Callable[[int, np.random.Generator], Series]
    ideal: Callable[[Series], int]


TASKS = {
    "position": Task(4, _position, _ideal_position),
    "length": Task(4, _length, _ideal_length),
    "order": Task(2, _order, _ideal_order),
    "count": Task(3, _count, _ideal_count),
    "cue": Task(2, _cue, _ideal_cue),
}


def made(name: str, part: str, seed: int) -> Part:
    """part: TRAIN or TEST of a task, rows of each class in equal number; every seed makes other series."""
    task, rng = TASKS[name], np.random.default_rng([seed, list(TASKS).index(name), part == "TEST"])
    labels = np.arange(ROWS[part]) % task.classes
    series = [task.make(label, rng)[:, None].astype(np.float32) for label in labels.tolist()]
    return Part(series, [str(label) for label in labels.tolist()])
