"""The step and the unit with which a view of an example opens."""

from typing import NamedTuple

import numpy as np

from gatewise.explain.example import Example
from gatewise.types import Array

_LARGE = 0.3  # change of c in one step that is seen in the picture of the cell
# Prefix predictions of two directions cost the square of the steps and of the units. Up to this product, with at least
# 512 units, they are quick enough to open a view.
_MOST_STEPS_TIMES_UNITS = 200 * 512
_LEAST_UNITS = 512


class Opening(NamedTuple):
    """step: from 0, of those that the LSTM reads; unit: its position in the output of the layer. contribution: of the
    unit to the score at that step, None below the top layer; memory_change: c_t - c_{t-1}.
    """

    step: int
    unit: int
    contribution: float | None
    memory_change: float


def opening_of(example: Example, layer: int = -1) -> Opening:
    """The word after which the LSTM's prefix prediction changes most; of the units whose memory changes by at least 0.3
    there, if there are any, that with the largest contribution. Below the top layer, and where units have no
    contributions, the largest change of memory at a word.
    """
    changes = np.concatenate([gates.memory_changes() for gates in example.layer(layer)], axis=1)  # (T, units)
    layers = example.network.layers
    contributions = None
    if layer % len(layers) == len(layers) - 1:  # units below the top layer have none
        contributions = example.contributions
    words = _words(example)
    if contributions is None:
        largest = (np.abs(changes) * words[:, None]).argmax()
        step, unit = np.unravel_index(largest, changes.shape)
        return Opening(int(step), int(unit), None, float(changes[step, unit]))
    # What the units contribute at a step stands for the change of the prefix prediction where that costs too much.
    units = max(_LEAST_UNITS, *(each.units for each in layers))
    is_cheap = example.network.is_causal or len(example) * units <= _MOST_STEPS_TIMES_UNITS
    if example.step is None and is_cheap:
        prefix_changes = np.diff(example.lstm_prefix_logits @ example.lstm_score.weights)
    else:
        prefix_changes = contributions.sum(axis=1)
    step = int((np.abs(prefix_changes) * words).argmax())
    sizes = np.abs(contributions[step])
    seen = sizes * (np.abs(changes[step]) >= _LARGE)
    if seen.any():
        sizes = seen
    unit = int(sizes.argmax())
    return Opening(step, unit, float(contributions[step, unit]), float(changes[step, unit]))


def _words(example: Example) -> Array:
    """Which steps (T,) are words: not marks, and not a step without characters, such as the start. All of a series."""
    words = np.array([any(ch.isalnum() for ch in name) for name in example.steps])
    if len(example.spans):
        start, end = example.spans[example.rows].T
        words &= start < end
    if not words.any():
        return np.ones(len(words), dtype=bool)
    return words
