"""A stream through a network: one sequence, one step at a time, in constant time and memory per step.

The state is h and c of each LSTM, and where the network pools over the steps their sum or maximum so far. After each
step the logits are those of `network.forward` for the steps so far, bit for bit with the native kernel: it computes
every row of a product in the same order, whatever the number of rows.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.kernels import Stepper
from gatewise.network.architecture import Architecture
from gatewise.network.forward import head
from gatewise.network.ops import Ops
from gatewise.types import Array


class NetworkStream:
    """Raises InputError for a network that cannot be streamed, with the reason.

    steps: how many it has read. state: the arrays (H,) by name.
    """

    def __init__(self, parameters: Mapping[str, Array], arch: Architecture, ops: Ops) -> None:
        if not arch.unidirectional:
            raise InputError(
                "a bidirectional network cannot be streamed: its backward direction starts at the last step, which a "
                "stream does not know; train with bidirectional=False"
            )
        if arch.padding == "pre":
            raise InputError(
                "a network with padding 'pre' cannot be streamed: the number of pads before the first step depends on "
                "the last one; train with padding='none'"
            )
        self.arch, self.ops, self.parameters = arch, ops, parameters
        self.steps = 0
        self.state: dict[str, Array] = {}
        self._steppers: list[tuple[Stepper, str]] = []
        for number, _, name in arch.lstms():
            weight_ih, weight_hh, bias = (
                np.ascontiguousarray(parameters[f"{name}.{part}"]) for part in ("weight_ih", "weight_hh", "bias")
            )
            self._steppers.append((ops.kernel.stepper(weight_ih, weight_hh, bias, arch.gate), name))
            self.state |= {f"{name}.{part}": np.zeros(arch.layers[number].units, dtype=np.float32) for part in "hc"}
        self.state |= {
            how: np.zeros(arch.top.units, dtype=np.float32) for how in ("mean", "max") if how in arch.pooling
        }

    def copy(self) -> NetworkStream:
        """Another stream in the same state, with the same weights."""
        other = copy.copy(self)
        other.state = {name: array.copy() for name, array in self.state.items()}
        return other

    def step(self, row: Any) -> Array:
        """Logits (outputs,) after one more step: a token id, or channels (C,) float32."""
        x = self.parameters["embedding.weight"][row] if self.arch.inputs == "tokens" else row
        for stepper, name in self._steppers:
            stepper(x, self.state[f"{name}.h"], self.state[f"{name}.c"])
            x = self.state[f"{name}.h"]
        self.steps += 1
        pooled = [self._pooled(how, x) for how in ("mean", "max") if how in self.arch.pooling] or [x]
        logits: Array = head(self.ops, self.parameters, self.arch, np.concatenate(pooled)[None])[0]
        return logits

    def _pooled(self, how: str, h: Array) -> Array:
        """The mean or the maximum (H,) of the steps so far, of which h (H,) is the last."""
        so_far = self.state[how]
        if self.steps == 1:
            so_far[:] = h
        elif how == "max":
            np.maximum(so_far, h, out=so_far)
        else:
            so_far += h
        return so_far if how == "max" else so_far / np.float32(self.steps)
