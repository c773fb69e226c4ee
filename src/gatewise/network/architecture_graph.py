"""`graph_of`: the network of an `Architecture` as a graph. `gatewise.network.recognise` is the way back.

    tokens (B, T)    -> Gather -> Recurrent of each layer and direction -> pooling -> MatMul, Add and activation of each
    series (B, T, C)           -> Recurrent ...                                       dense layer -> logits

Here is what each option of an architecture means as operations: the ONNX file of a model is written from them, as that
of any graph. `gatewise.exchange.keras_model` and `gatewise.nn.network` know the options too, because their models show
the layers of Keras and torch, and run without gatewise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from gatewise.errors import InputError
from gatewise.network.activation_operations import operation_for
from gatewise.network.architecture import Architecture, Hidden, Layer
from gatewise.network.distinct_tokens import PAD
from gatewise.network.graph import Graph
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import ValueType
from gatewise.network.operations import operation_of
from gatewise.network.pooling import GraphStates
from gatewise.network.size import Dim, minimum, symbol
from gatewise.types import Array

LENGTHS = "lengths"
LOGITS = "logits"
INPUTS: dict[Literal["tokens", "channels"], str] = {"tokens": "tokens", "channels": "series"}
"""The name of the input of the steps."""

_B, _T = symbol("B"), symbol("T")


def graph_of(arch: Architecture, parameters: Mapping[str, Array]) -> Graph:
    """The network on the steps that it reads, after truncation.

    Inputs: `tokens` (B, T) int64 or `series` (B, T, C), padded at the end with any ids or numbers, and `lengths` (B,)
    int64, the steps of each sequence, at least 1. With padding "pre": `tokens` (B, max_length) with the pads in front,
    and no lengths. Output: `logits` (B, outputs); with pooling "none" (B, T, outputs), where those after the end of a
    sequence mean nothing.

    Constants have the names of the parameters, and the same numbers: the weights of dense layers are transposed (F, K),
    as MatMul reads them. Raises InputError for binary gates.
    """
    network = _Network(arch, parameters)
    if arch.padding == "pre":
        return network.graph(network.steps(arch.max_length), "")
    return network.graph(network.steps(_T), network.lengths())


def graph_of_sequences(arch: Architecture, parameters: Mapping[str, Array]) -> Graph:
    """As `graph_of`, but of whole sequences: truncation and pads in front are nodes, which do what
    `gatewise.network.batch` does. Inputs: `tokens` (B, T) or `series` (B, T, C), padded at the end, and `lengths` (B,),
    0 for a sequence without a step. With pooling "none" the outputs are those of the steps that remain.
    """
    network = _Network(arch, parameters, may_be_empty=True)
    return network.graph(*network.read_steps(network.steps(_T), network.lengths()))


class _Network:
    """A graph under construction. Values are names. may_be_empty: whether a sequence may have no step."""

    def __init__(self, arch: Architecture, parameters: Mapping[str, Array], may_be_empty: bool = False) -> None:
        if arch.gate != "sigmoid":
            raise InputError(f"gate={arch.gate!r}: the LSTM layers of a graph have sigmoid gates only")
        self.arch = arch
        self.parameters = parameters
        self.may_be_empty = may_be_empty
        self.builder = GraphBuilder()
        self.add = self.builder.add

    # Inputs

    def steps(self, count: Dim) -> str:
        """The input of the ids (B, T) or channels (B, T, C)."""
        name = INPUTS[self.arch.inputs]
        if self.arch.inputs == "tokens":
            return self.builder.input(name, ValueType("int64", (_B, count)))
        return self.builder.input(name, ValueType("float", (_B, count, self.arch.channels)))

    def lengths(self) -> str:
        """The input of the number of steps of each sequence (B,)."""
        return self.builder.input(LENGTHS, ValueType("int64", (_B,)))

    def read_steps(self, x: str, lengths: str) -> tuple[str, str]:
        """The steps (B, T', ...) that the network reads, and their number (B,); "" where all sequences have T'."""
        arch = self.arch
        most = arch.max_length
        if not most:
            return x, lengths
        padded = arch.padding == "pre"
        step = self.add("Range", limit=most if padded else minimum(_T, most))  # (T',)
        beyond = self.add("Sub", lengths, self.number(most))  # (B,), below 0 where there are pads
        if not padded:
            beyond = self.add("Max", beyond, self.number(0))
        beyond = self.column(beyond)  # (B, 1)
        source = self.add("Add", step, beyond)  # (B, T'): the step of x
        if arch.truncation == "middle":
            # A third of the steps is from the start of the sequence, as in `network.batch.truncate`.
            at_start = self.add("Less", step, self.number(most // 3))
            is_longer = self.add("Greater", beyond, self.number(0))
            source = self.add("Where", self.add("And", at_start, is_longer), step, source)
        if not padded:
            return self.rows(x, source), self.add("Min", lengths, self.number(most))
        is_pad = self.add("Less", source, self.number(0))
        tokens = self.rows(x, self.add("Max", source, self.number(0)))
        return self.add("Where", is_pad, self.number(PAD), tokens), ""

    def rows(self, x: str, source: str) -> str:
        """Step source[b, t] of x[b]: ids (B, T'), or channels (B, T', C)."""
        if self.arch.inputs == "channels":
            source = self.add("Unsqueeze", source, axes=(2,))
            source = self.add("Expand", source, shape=(1, 1, self.arch.channels))
        return self.add("GatherElements", x, source, axis=1)

    # Layers

    def graph(self, x: str, lengths: str) -> Graph:
        """The graph, of the steps x that are read, and their number (B,); "" where all sequences have all steps."""
        if self.arch.inputs == "tokens":
            table = self.parameter("embedding.weight")
            [x] = self.node("Gather", (table, x), name="embedding", axis=0)  # (B, T, D)
        mask = ""
        if lengths:
            steps = self.builder.types[x].shape[1]
            mask = self.add("Less", self.add("Range", limit=steps), self.column(lengths))  # (B, T)
        last = ""
        for number, layer in enumerate(self.arch.layers):
            x, last = self.layer(number, layer, x, mask)
        x = self.pooled(x, last, lengths, mask)
        for prefix, _, dense in self.arch.dense():
            x = self.dense(prefix, dense, x)
        return self.builder.graph([x])

    def layer(self, number: int, layer: Layer, x: str, mask: str) -> tuple[str, str]:
        """The outputs (B, T, width), which are 0 at the steps that the mask skips, and the final states (B, width)."""
        of_directions = []
        for direction in layer.directions:
            prefix = f"lstm.{number}.{direction}"
            weights = [self.parameter(f"{prefix}.{part}") for part in ("weight_ih", "weight_hh", "bias")]
            # There is one bias: the place of the recurrent one stays empty before the mask.
            inputs = (x, *weights, "", mask) if mask else (x, *weights)
            reverse = direction == "backward"
            of_directions.append(self.node("Recurrent", inputs, name=prefix, reverse=reverse, masked="zero"))
        h, final, _ = zip(*of_directions, strict=True)
        return self.merged(layer, h), self.merged(layer, final)

    def merged(self, layer: Layer, parts: tuple[str, ...]) -> str:
        """The outputs (..., H) of the directions as one."""
        if len(parts) == 1:
            return parts[0]
        return layer.merge_mode.nodes(self.builder, parts)

    def pooled(self, h: str, last: str, lengths: str, mask: str) -> str:
        """The features (B, F), of the outputs h (B, T, width) and the final states; with pooling "none" (B, T, F)."""
        if self.arch.per_step:
            return h
        states = GraphStates(self.builder, h, last, lengths, mask, self.may_be_empty)
        pooled = [pooling.nodes(states) for pooling in self.arch.poolings]
        if len(pooled) == 1:
            return pooled[0]
        return self.add("Concat", *pooled, axis=1)

    def dense(self, prefix: str, layer: Hidden, x: str) -> str:
        """The outputs (..., K) of a dense layer. prefix: of its parameters; the output layer returns the logits."""
        weight = self.builder.constant(np.ascontiguousarray(self.parameters[f"{prefix}.weight"].T), f"{prefix}.weight")
        product = self.add("MatMul", x, weight)
        outputs = (LOGITS,) if prefix == "dense" else ()
        [y] = self.node("Add", (product, self.parameter(f"{prefix}.bias")), outputs, name=prefix)
        activation = operation_for(layer)
        if activation is None:
            return y
        return self.builder.node(activation, (y,))[0]

    # Nodes

    def node(
        self, operation: str, inputs: tuple[str, ...], outputs: tuple[str, ...] = (), *, name: str, **attributes: Any
    ) -> list[str]:
        """The values that a node with a name returns."""
        return self.builder.node(operation_of(operation, attributes), inputs, outputs, name)

    def parameter(self, name: str) -> str:
        """A parameter as it is."""
        return self.builder.constant(self.parameters[name], name)

    def number(self, value: float) -> str:
        """A number without axes: an int is int64."""
        return self.builder.constant(np.asarray(value))

    def column(self, value: str) -> str:
        """(B,) as (B, 1)."""
        return self.add("Unsqueeze", value, axes=(1,))
