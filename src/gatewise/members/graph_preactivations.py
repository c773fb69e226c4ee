"""The preactivations of the gates of an LSTM of a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from gatewise.members.gates import LayerStates
from gatewise.members.graph_recurrences import Recurrence
from gatewise.members.network import Preactivation
from gatewise.network.operations.recurrent import Recurrent
from gatewise.types import Array

_READ = ("x", "weight_ih", "weight_hh", "bias", "recurrent_bias")


def preactivations(
    recurrence: Recurrence, gates: LayerStates, column: int, compute: Callable[[Sequence[str]], Mapping[str, Array]]
) -> dict[str, Preactivation]:
    """The parts of the preactivation of each gate of the unit in a column, by its name; none but of a plain LSTM: not
    of one with peepholes, a projection or other activations, and not of other cells. gates: of the recurrence.
    compute: values of the graph by name, for the one sequence.
    """
    operation = recurrence.node.operation
    names = dict(zip(Recurrent.formal, recurrence.node.inputs, strict=False))
    is_plain = isinstance(operation, Recurrent) and not operation.activations and not operation.clip
    if recurrence.cell != "LSTM" or not is_plain or names.get("peepholes") or names.get("projection"):
        return {}
    computed = compute([names[name] for name in _READ if names.get(name)])
    rows = column + recurrence.units * np.arange(4)  # of the gates i, f, g, o
    weight_ih = computed[names["weight_ih"]][rows].T.astype(np.float64)  # (D, 4)
    weight_hh = computed[names["weight_hh"]][rows].T.astype(np.float64)  # (H, 4)
    from_x = computed[names["x"]][0].astype(np.float64) @ weight_ih  # (T, 4)
    order = gates.reading_order
    previous_h = np.concatenate([gates.h0[None], gates.h[order][:-1]])[order]
    from_h = previous_h.astype(np.float64) @ weight_hh  # (T, 4)
    bias = np.zeros(4)
    for name in ("bias", "recurrent_bias"):
        if names.get(name):
            bias += computed[names[name]][rows]
    return {
        gate: Preactivation(from_x[:, number], from_h[:, number], float(bias[number]))
        for number, gate in enumerate("ifgo")
    }
