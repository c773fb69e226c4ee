"""`RunningLSTM`: an `LSTM` that reads n sequences step by step.

The state is h and c of each layer, and where the network pools over the steps their sum or maximum so far. All
sequences run together, as one batch that starts from these states. With the native kernel the logits after each step
are those of `LSTM.logits` for the steps so far, bit for bit: the kernel computes every row of a product in the same
order, whatever the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.kernels.call import LinearRun, LSTMRun
from gatewise.kernels.interface import Kernel
from gatewise.members.running_network import RunningNetwork
from gatewise.network.architecture import Architecture
from gatewise.network.distinct_tokens import PAD
from gatewise.network.forward import embedded
from gatewise.network.ops import Ops
from gatewise.network.pooling import StepsPooling
from gatewise.ragged import starts_of
from gatewise.types import Array, Lengths


class _LSTM(NamedTuple):
    """An LSTM layer, with the names of its states."""

    run: LSTMRun
    h: str
    c: str


class _Dense(NamedTuple):
    """A dense layer. activate: its activation; None for the linear one."""

    run: LinearRun
    activate: Callable[[Array], Array] | None


class RunningLSTM(RunningNetwork):
    """pads: the length to which a preprocessor pads sequences in front, 0 for none. Raises InputError for a layer that
    does not read forward, and for pads whose number decides the prediction.
    """

    def __init__(self, arch: Architecture, parameters: Mapping[str, Array], kernel: Kernel, pads: int = 0) -> None:
        for number, layer in enumerate(arch.layers):
            if layer.direction != "forward":
                kind = "bidirectional" if layer.direction == "both" else "backward"
                raise InputError(
                    f"a {kind} LSTM cannot be streamed: layer {number} starts at the last step, which a stream does "
                    "not know; train with bidirectional=False"
                )
        # A step of one sequence is shorter than waking threads for it.
        ops = Ops(kernel.with_threads(1))
        self._embed: Callable[[Array], Array] | None = None
        if arch.word_features:
            self._embed = partial(embedded, ops, parameters)
        elif arch.inputs == "tokens":
            self._embed = parameters["embedding.weight"].__getitem__  # read faster than by `embedded`
        self._lstms: list[_LSTM] = []
        start = {}
        for number, _, name in arch.lstms():
            weight_ih, weight_hh, bias = (parameters[f"{name}.{part}"] for part in ("weight_ih", "weight_hh", "bias"))
            lstm = _LSTM(ops.kernel.lstm(weight_ih, weight_hh, bias, arch.gate), f"{name}.h", f"{name}.c")
            self._lstms.append(lstm)
            for state in (lstm.h, lstm.c):
                start[state] = np.zeros((1, arch.layers[number].units), np.float32)
        self._dense: list[_Dense] = []
        for name, _, hidden in arch.dense():
            run = ops.pad_kernel.dense(parameters[f"{name}.weight"], parameters[f"{name}.bias"])
            activate = None
            if hidden.activation != "linear":
                activate = partial(ops.activate, name=hidden.activation, negative_slope=hidden.negative_slope)
            self._dense.append(_Dense(run, activate))
        self._poolings = [pooling for pooling in arch.poolings if isinstance(pooling, StepsPooling)]
        for pooling in self._poolings:
            start[pooling.name] = np.zeros((1, arch.top.units), np.float32)
        super().__init__(start)
        if arch.max_length:
            self.most = arch.max_length
            self.why_most = "and of a longer input not the same ones; train with max_length=0"
        if arch.padding == "pre":
            pads = arch.max_length
        if pads:
            self.start_after_pads(np.array([PAD]), pads)

    def read(self, rows: Array, lengths: Lengths) -> None:
        if not len(rows):
            return
        x = rows  # (N, D)
        if self._embed is not None:
            x = self._embed(rows)
        arrays = dict(self.arrays)
        for lstm in self._lstms:
            # x: (N, H)
            x, arrays[lstm.h], arrays[lstm.c] = lstm.run(x, lengths, arrays[lstm.h], arrays[lstm.c])
        if self._poolings:
            self._pool(arrays, x, lengths)
        self.arrays = arrays
        self.steps = self.steps + lengths

    def _pool(self, arrays: dict[str, Array], h: Array, lengths: Lengths) -> None:
        """Join the states h (N, H) of the next steps with those so far, in `arrays`."""
        count = len(lengths)
        # Pads before the first step are in the states of poolings.
        have_states = self.is_after_pads or np.count_nonzero(self.steps) == count
        if have_states and len(h) == count == np.count_nonzero(lengths):  # one step each
            for pooling in self._poolings:
                arrays[pooling.name] = pooling.join(arrays[pooling.name], h)
            return
        has_state = (self.steps > 0) | self.is_after_pads
        for pooling in self._poolings:
            arrays[pooling.name] = _joined_with(pooling, arrays[pooling.name], has_state, h, lengths)

    def logits(self) -> Array:
        x = self._pooled()
        for dense in self._dense:
            x = dense.run(x)
            if dense.activate is not None:
                x = dense.activate(x)
        return x.astype(np.float64)

    def _pooled(self) -> Array:
        """The pooled states (n, features) of the steps so far."""
        if not self._poolings:
            return self.arrays[self._lstms[-1].h]
        count = self.steps.astype(np.float32)[:, None]
        pooled = [pooling.finished(self.arrays[pooling.name], count) for pooling in self._poolings]
        return np.concatenate(pooled, axis=1)


def _joined_with(
    pooling: StepsPooling, state: Array, has_state: NDArray[np.bool_], h: Array, lengths: Lengths
) -> Array:
    """The steps so far (n, H), of the sequences that have some, joined with those of the states h (N, H), in the order
    of the steps, as `Ops.pool` joins them.
    """
    counts = lengths + has_state
    places = starts_of(counts)[has_state]
    is_new = np.ones(len(h) + len(places), np.bool_)
    is_new[places] = False
    rows = np.empty((len(is_new), h.shape[1]), h.dtype)  # the state of a sequence, then its steps
    rows[places] = state[has_state]
    rows[is_new] = h
    return pooling.joined(rows, counts)
