"""`RunningLSTM`: an `LSTM` that reads one sequence step by step.

The state is h and c of each layer, and where the network pools over the steps their sum or maximum so far. With the
native kernel the logits after each step are those of `LSTM.logits` for the steps so far, bit for bit: the kernel
computes every row of a product in the same order, whatever the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.kernels.interface import Kernel, Stepper
from gatewise.members.running_network import RunningNetwork
from gatewise.network.architecture import Architecture, Hidden
from gatewise.network.batch import PAD
from gatewise.network.ops import Ops
from gatewise.types import Array


class RunningLSTM(RunningNetwork):
    """Raises InputError for a layer that does not read forward, and for pads whose number decides the prediction."""

    def __init__(self, arch: Architecture, parameters: Mapping[str, Array], kernel: Kernel, pads: int = 0) -> None:
        super().__init__()
        for number, layer in enumerate(arch.layers):
            if layer.direction != "forward":
                kind = "bidirectional" if layer.direction == "both" else "backward"
                raise InputError(
                    f"a {kind} LSTM cannot be streamed: layer {number} starts at the last step, which a stream does "
                    "not know; train with bidirectional=False"
                )
        self._embedding = parameters["embedding.weight"] if arch.inputs == "tokens" else None
        self._ops = Ops(kernel.with_threads(1))
        self._steppers: list[tuple[Stepper, str, str]] = []
        for _, _, name in arch.lstms():
            parts = ("weight_ih", "weight_hh", "bias")
            weight_ih, weight_hh, bias = (np.ascontiguousarray(parameters[f"{name}.{part}"]) for part in parts)
            stepper = self._ops.kernel.stepper(weight_ih, weight_hh, bias, arch.gate)
            self._steppers.append((stepper, f"{name}.h", f"{name}.c"))
            for key in (f"{name}.h", f"{name}.c"):
                self.arrays[key] = np.zeros(weight_hh.shape[1], np.float32)
        self._dense: list[tuple[Callable[[Array], Array], Hidden]] = []
        for name, _, dense in arch.dense():
            weight, bias = (np.ascontiguousarray(parameters[f"{name}.{part}"]) for part in ("weight", "bias"))
            self._dense.append((self._ops.pad_kernel.dense(weight, bias), dense))
        self._pooling = [how for how in ("mean", "max") if how in arch.pooling]
        for how in self._pooling:
            self.arrays[how] = np.zeros(arch.top.units, np.float32)
        if arch.max_length:
            self.most = arch.max_length
            self.why_most = "and of a longer input not the same ones; train with max_length=0"
        pads = arch.max_length if arch.padding == "pre" else pads
        if pads:
            self.start_after_pads(np.array([PAD]), pads)

    def read(self, rows: Array) -> None:
        for row in rows:
            self._step(row)

    def _step(self, row: Any) -> None:
        """Read one more step: a token id, or channels (C,) float32."""
        x = row if self._embedding is None else self._embedding[row]
        state = self.arrays
        for stepper, h, c in self._steppers:
            stepper(x, state[h], state[c])
            x = state[h]
        self.steps += 1
        for how in self._pooling:
            if self.steps == 1:
                state[how][:] = x
            else:
                (np.maximum if how == "max" else np.add)(state[how], x, out=state[how])

    def logits(self) -> Array:
        x = self._pooled()
        for product, dense in self._dense:
            x = self._ops.activate(product(x), dense.activation, dense.negative_slope)
        return np.asarray(x[0], np.float64)

    def _pooled(self) -> Array:
        """The pooled states (1, features) of the steps so far."""
        top = self._steppers[-1][1]
        pooled = []
        for how in self._pooling:
            state = self.arrays[how]
            pooled.append(state / np.float32(self.steps) if how == "mean" else state)
        return np.concatenate(pooled or [self.arrays[top]])[None]
