"""The step and the unit with which a view of an example opens."""

from typing import NamedTuple

import numpy as np

from gatewise.explain.example import Example
from gatewise.types import Array

_LARGE = 0.3  # change of c in one step that is seen in the picture of the cell
# Steps times units, at least 512, of a bidirectional network: its prefix predictions cost the square of both.
_MOST = 200 * 512


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
    is_top = layer % len(example.lstm.arch.layers) == len(example.lstm.arch.layers) - 1
    contributions = example.contributions if is_top else None
    words = _words(example)
    if contributions is None:
        step, unit = np.unravel_index((np.abs(changes) * words[:, None]).argmax(), changes.shape)
        return Opening(int(step), int(unit), None, float(changes[step, unit]))
    prefix_changes = contributions.sum(axis=1)  # of a long text, for two directions
    arch, units = example.lstm.arch, max(512, *(layer.units for layer in example.lstm.arch.layers))
    if example.step is None and (arch.unidirectional or len(example) * units <= _MOST):
        prefix_changes = np.diff(example.lstm_prefix_logits @ example.lstm_score.weights)
    step = int((np.abs(prefix_changes) * words).argmax())
    sizes, large = np.abs(contributions[step]), np.abs(changes[step]) >= _LARGE
    unit = int((sizes * large if (sizes * large).any() else sizes).argmax())
    return Opening(step, unit, float(contributions[step, unit]), float(changes[step, unit]))


def _words(example: Example) -> Array:
    """Which steps (T,) are words: not marks, and not a step without characters, such as the start. All of a series."""
    spans = example.spans[example.rows] if len(example.spans) else np.array([[0, 1]] * len(example))
    found = [
        start < end and any(ch.isalnum() for ch in name)
        for (start, end), name in zip(spans, example.steps, strict=True)
    ]
    return np.array(found) if any(found) else np.ones(len(found), dtype=bool)
