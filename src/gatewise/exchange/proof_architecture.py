"""`difference_of`: whether an architecture that was recognised in a graph computes what the graph does.

`gatewise.network.recognise` combines nodes into layers by rules of algebra. Here both run on the same random inputs in
float64: the graph on padded arrays, the architecture on the steps that its lengths or its mask leave.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from gatewise.errors import InputError, counted
from gatewise.kernels import get
from gatewise.members.graph_axes import GraphAxes
from gatewise.network.forward import forward, in_batches
from gatewise.network.graph import Graph
from gatewise.network.operation import Execution
from gatewise.network.ops import Ops
from gatewise.network.recognise import Recognised
from gatewise.network.recognised_layers import OutputActivation
from gatewise.types import Array

_BATCH = 4
_STEPS = (1, 2, 3, 8, 21, 60)
_DEVIATIONS = (0.1, 1.0, 10.0)  # of the numbers of a series
_TOLERANCE = 1e-8  # relative to numbers above 1: float64 sums in another order
_TOLERANCE_SCALED = 1e-5  # a batch of scaled series is rounded to float32


def difference_of(graph: Graph, recognised: Recognised) -> str:
    """Where the architecture computes something else than the graph, in words; "" where it does not. Sizes that the
    graph refuses are not compared.

    Raises InputError where the graph takes none of the sizes.
    """
    comparison = _Comparison(graph, recognised)
    compared = 0
    for steps in comparison.numbers_of_steps():
        for deviation in _DEVIATIONS:
            rng = np.random.default_rng([steps, int(10 * deviation)])
            difference = comparison.difference(steps, deviation, rng)
            if difference is None:
                continue
            compared += 1
            if difference > comparison.tolerance:
                return f"for {counted(steps, 'step')} its output differs by {difference:.2g}"
    if not compared:
        raise InputError("the graph takes none of the sizes for which its architecture is compared with it")
    return ""


class _Comparison:
    def __init__(self, graph: Graph, recognised: Recognised) -> None:
        self.graph = graph
        self.recognised = recognised
        axes = GraphAxes(graph)
        self.name = axes.main
        self.axes = axes.of_inputs[self.name]
        self.batch = axes.batch_size if isinstance(axes.batch_size, int) else _BATCH
        self.tolerance = _TOLERANCE if recognised.scaling is None else _TOLERANCE_SCALED

    def numbers_of_steps(self) -> Iterator[int]:
        if self.recognised.steps is not None:
            yield self.recognised.steps
            return
        yield from _STEPS

    def difference(self, steps: int, deviation: float, rng: np.random.Generator) -> float | None:
        """The largest difference between the outputs of both, relative to numbers above 1; None where the graph refuses
        the size.
        """
        recognised = self.recognised
        inside = self._steps_read(steps, rng)  # (B, T)
        x = self._input(inside, deviation, rng)
        try:
            outputs = self._outputs_of_graph(x, inside)
        except InputError:
            return None
        sequences = [row[mask] for row, mask in zip(x, inside, strict=True)]
        if recognised.scaling is not None:
            means, deviations = (np.asarray(numbers) for numbers in recognised.scaling)
            sequences = [(row - means) / deviations for row in sequences]
        logits = in_batches(forward, recognised.parameters, recognised.arch, sequences, Ops(get("reference")))
        if recognised.arch.per_step:
            outputs = outputs.reshape(self.batch, steps, -1)[inside]
        wanted = outputs.reshape(logits.shape)
        differences = np.abs(_activated(logits, recognised.output_activation) - wanted)
        return float((differences / np.maximum(np.abs(wanted), 1.0)).max(initial=0.0))

    def _steps_read(self, steps: int, rng: np.random.Generator) -> Array:
        """Which steps (B, T) a sequence has; at least one."""
        inside = np.ones((self.batch, steps), bool)
        if self.recognised.pad_value is not None:
            inside = rng.random((self.batch, steps)) < 0.6
            inside[np.arange(self.batch), rng.integers(0, steps, self.batch)] = True
        elif self.recognised.lengths_input:
            lengths = np.sort(rng.integers(1, steps + 1, self.batch))[::-1]
            # PyTorch cuts off the steps after the longest sequence.
            lengths[0] = steps
            inside = np.arange(steps) < lengths[:, None]
        return inside

    def _input(self, inside: Array, deviation: float, rng: np.random.Generator) -> Array:
        """Token ids (B, T) or a series (B, T, C), with pads outside of the steps."""
        arch = self.recognised.arch
        pad = self.recognised.pad_value
        # A batch of sequences is float32, and so are these numbers, which both read.
        x: Array = rng.normal(0, deviation, (*inside.shape, arch.vocab_size)).astype(np.float32)
        if arch.inputs == "tokens":
            x = rng.integers(0, arch.vocab_size, inside.shape)
            if pad is not None and arch.vocab_size > 1:
                x[x == pad] = (int(pad) + 1) % arch.vocab_size
        x[~inside] = 0 if pad is None else pad
        return x

    def _outputs_of_graph(self, x: Array, inside: Array) -> Array:
        feed = x[0] if self.axes.batch is None else np.moveaxis(x, 0, self.axes.batch)
        feeds: dict[str, Array] = {self.name: feed}
        if self.recognised.lengths_input:
            feeds[self.recognised.lengths_input] = inside.sum(axis=1)
        execution = Execution(dtype=np.float64, kernel=get("reference"), keep=False)
        outputs: Mapping[str, Array] = self.graph.run(feeds, execution=execution)
        return outputs[self.graph.outputs[0]]


def _activated(logits: Array, name: OutputActivation) -> Array:
    if name == "linear":
        return logits
    if name == "sigmoid":
        return np.asarray(np.exp(-np.logaddexp(0, -logits)))
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_softmax = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return np.asarray(log_softmax if name == "log_softmax" else np.exp(log_softmax))
