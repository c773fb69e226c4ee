"""Graphs that are an `Architecture`: what they are read as, and the same outputs in float64 on the steps that are read.

Each network is written node by node, in the ways in which exporters write it. What is no `Architecture` says why.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gatewise.exchange.proof_architecture import difference_of
from gatewise.kernels import get
from gatewise.network.activations import SELU_ALPHA, SELU_SCALE
from gatewise.network.forward import forward, in_batches
from gatewise.network.graph import Graph, Guard
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import Execution, ValueType
from gatewise.network.ops import Ops
from gatewise.network.recognise import Recognised, recognise
from gatewise.network.size import Dim, symbol
from gatewise.types import Array

B, T = symbol("B"), symbol("T")
V, D, C = 11, 5, 3  # ids, columns of the embedding, channels
PAD = -7.5  # of a series


class Network(GraphBuilder):
    """Random weights, asymmetric in each axis."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.rng = np.random.default_rng(seed)

    def weights(self, *shape: int) -> str:
        return self.constant(self.rng.normal(0, 0.6, shape))

    def number(self, value: Any) -> str:
        return self.constant(np.asarray(value))

    def ids(self, *shape: Dim) -> str:
        return self.input("ids", ValueType("int64", shape or (B, T)))

    def series(self, *shape: Dim) -> str:
        return self.input("x", ValueType("float", shape or (B, T, C)))

    def lengths(self) -> str:
        return self.input("lengths", ValueType("int64", (B,)))

    def embedded(self, *shape: Dim) -> str:
        return self.add("Gather", self.weights(V, D), self.ids(*shape))

    def dense(self, x: str, outputs: int, activation: str = "", **attributes: Any) -> str:
        inputs = self.types[x].shape[-1]
        assert isinstance(inputs, int)
        y = self.add("Add", self.add("MatMul", x, self.weights(inputs, outputs)), self.weights(outputs))
        return self.add(activation, y, **attributes) if activation else y

    def lstm(
        self, x: str, units: int, reverse: bool = False, mask: str = "", masked: str = "previous"
    ) -> tuple[str, str, str]:
        """h, h_T, c_T."""
        inputs = self.types[x].shape[-1]
        assert isinstance(inputs, int)
        weights = [self.weights(4 * units, inputs), self.weights(4 * units, units), self.weights(4 * units)]
        read = [x, *weights, self.weights(4 * units), *([mask] if mask else [])]
        name = self.add("Recurrent", *read, reverse=reverse, masked=masked)
        return name, f"{name}_1", f"{name}_2"

    def both(self, x: str, units: int, **options: Any) -> tuple[str, str]:
        """h and h_T of two directions, side by side."""
        forward_h, forward_last, _ = self.lstm(x, units, **options)
        backward_h, backward_last, _ = self.lstm(x, units, reverse=True, **options)
        h = self.add("Concat", forward_h, backward_h, axis=2)
        return h, self.add("Concat", forward_last, backward_last, axis=1)

    def last(self, h: str) -> str:
        sliced = self.add("Slice", h, starts=(-1,), ends=(2**63 - 1,), axes=(1,))
        return self.add("Squeeze", sliced, axes=(1,))

    def flipped(self, h: str) -> str:
        return self.add("Slice", h, starts=(-1,), ends=(-(2**63),), axes=(1,), steps=(-1,))

    def is_word(self, ids: str) -> str:
        """(B, T): the steps that are not padded with the id 0."""
        return self.add("Not", self.add("Equal", ids, self.number(np.int64(0))))

    def is_number(self, x: str) -> str:
        """(B, T): the steps that are not padded with PAD, as Keras's Masking computes it."""
        differs = self.add("Cast", self.add("Not", self.add("Equal", x, self.number(PAD))), to="int64")
        return self.add("Cast", self.add("ReduceMax", differs, axes=(-1,), keepdims=0), to="bool")

    def within(self, lengths: str) -> str:
        """(B, T): the steps within the lengths."""
        return self.add("Less", self.add("Range", start=0, limit=T), self.add("Unsqueeze", lengths, axes=(1,)))

    def column(self, mask: str) -> str:
        return self.add("Unsqueeze", self.add("Cast", mask, to="float"), axes=(2,))

    def masked_mean(self, h: str, mask: str) -> str:
        column = self.column(mask)
        total = self.add("ReduceSum", self.add("Mul", h, column), axes=(1,), keepdims=0)
        return self.add("Div", total, self.add("ReduceSum", column, axes=(1,), keepdims=0))

    def kept(self, h: str, mask: str, otherwise: float) -> str:
        inside = self.add("Unsqueeze", mask, axes=(2,))
        return self.add("Where", inside, h, self.number(otherwise))


Build = Callable[[Network], str]
CASES: dict[str, tuple[Build, str]] = {}
REFUSED: dict[str, tuple[Build, str]] = {}


def case(expected: str) -> Callable[[Build], Build]:
    def add(build: Build) -> Build:
        CASES[build.__name__] = build, expected
        return build

    return add


def refused(reason: str) -> Callable[[Build], Build]:
    def add(build: Build) -> Build:
        REFUSED[build.__name__] = build, reason
        return build

    return add


# Inputs


@case("tokens forward 4 last")
def plain(n: Network) -> str:
    return n.dense(n.last(n.lstm(n.embedded(), 4)[0]), 2)


@case("tokens forward 4 last, sigmoid")
def ids_with_the_time_first(n: Network) -> str:
    x = n.add("Transpose", n.embedded(T, B), perm=(1, 0, 2))
    return n.dense(n.lstm(x, 4)[1], 1, "Sigmoid")


@case("tokens forward 4 none, log_softmax")
def one_sentence(n: Network) -> str:
    x = n.add("Reshape", n.embedded(T), shape=(T, 1, D))
    h = n.lstm(n.add("Transpose", x, perm=(1, 0, 2)), 4)[0]
    return n.dense(n.add("Reshape", h, shape=(T, -1)), 3, "LogSoftmax", axis=1)


@case("tokens forward 4 last")
def functions_of_one_token(n: Network) -> str:
    """Negative ids count from the end, two embeddings of the same ids, a normalisation, an activation, a layer."""
    ids = n.ids()
    shifted = n.add("Add", ids, n.number(np.int64(V)))
    ids = n.add("Where", n.add("Less", ids, n.number(np.int64(0))), shifted, ids)
    both = n.add("Concat", n.add("Gather", n.weights(V, 3), ids), n.add("Gather", n.weights(V + 4, 2), ids), axis=2)
    x = n.add("LayerNormalization", both, n.weights(5), n.weights(5), axis=-1)
    return n.dense(n.lstm(n.dense(x, 6, "Relu"), 4)[1], 2)


@case("tokens forward 4 none")
def one_hot_ids(n: Network) -> str:
    return n.dense(n.lstm(n.add("OneHot", n.ids(), depth=V, values=(0, 1), axis=-1), 4)[0], V)


@case("channels scaled forward 4 last")
def standardised(n: Network) -> str:
    x = n.add("Sub", n.series(), n.number([100.0, -3.0, 0.5]))
    x = n.add("Div", x, n.number([[[2.0, 0.3, 1.5]]]))
    return n.dense(n.lstm(x, 4)[1], 2)


@case("channels forward 4 last")
def linear_layers_in_front(n: Network) -> str:
    """A negative factor is no standard deviation, and a layer after it neither."""
    x = n.add("Mul", n.series(), n.number([2.0, -0.3, 1.5]))
    return n.dense(n.lstm(n.dense(n.dense(x, 7), 2), 4)[1], 2)


@case("channels forward 4 last")
def some_channels(n: Network) -> str:
    x = n.add("Gather", n.series(T, B, C), n.number([2, 0]), axis=2)
    h = n.lstm(n.add("Transpose", x, perm=(1, 0, 2)), 4)[0]
    return n.dense(n.add("Gather", h, n.number(-1), axis=1), 2)


# Layers


@case("tokens forward 6, both 4 last")
def stacked(n: Network) -> str:
    h = n.add("Dropout", n.lstm(n.embedded(), 6)[0])
    scaled = n.add("Add", n.add("Mul", h, n.weights(6)), n.weights(1, 1, 6))
    return n.dense(n.both(n.dense(scaled, 5), 4)[1], 2)


@case("tokens both 4, backward 3 last")
def stack_of_states(n: Network) -> str:
    """As ONNX returns two directions: (T, 2, B, H), and (2, B, H) for the last one."""
    x = n.embedded()
    parts = [n.lstm(x, 4, reverse)[0] for reverse in (False, True)]
    by_time = [n.add("Unsqueeze", n.add("Transpose", h, perm=(1, 0, 2)), axes=(1,)) for h in parts]
    stack = n.add("Transpose", n.add("Concat", *by_time, axis=1), perm=(0, 2, 1, 3))
    x = n.add("Transpose", n.add("Reshape", stack, shape=(0, 0, -1)), perm=(1, 0, 2))
    last = n.add("Unsqueeze", n.lstm(x, 3, reverse=True)[1], axes=(0,))
    return n.dense(n.add("Gather", last, n.number(-1), axis=0), 2)


@case("tokens both 4 last")
def directions_in_the_other_order(n: Network) -> str:
    x = n.embedded()
    last = [n.lstm(x, 4, reverse)[1] for reverse in (False, True)]
    return n.dense(n.add("Concat", *last[::-1], axis=1), 2)


@case("tokens both 4 last")
def some_units(n: Network) -> str:
    return n.dense(n.add("Slice", n.both(n.embedded(), 4)[1], starts=(3,), ends=(6,), axes=(1,)), 2)


@case("tokens both 4 product, both 3 mean, both 2 sum last")
def merges(n: Network) -> str:
    x = n.embedded()
    x = n.add("Mul", n.lstm(x, 4)[0], n.lstm(x, 4, reverse=True)[0])
    total = n.add("Add", n.lstm(x, 3)[0], n.lstm(x, 3, reverse=True)[0])
    x = n.add("Mul", total, n.number(0.5))
    return n.dense(n.add("Add", n.lstm(x, 2, reverse=True)[1], n.lstm(x, 2)[1]), 2)


@case("tokens both 4 mean, both 3 sum mean")
def stacked_directions_reduced(n: Network) -> str:
    x = n.embedded()
    for how, units in (("ReduceMean", 4), ("ReduceSum", 3)):
        parts = [n.add("Unsqueeze", n.lstm(x, units, reverse)[0], axes=(1,)) for reverse in (False, True)]
        x = n.add(how, n.add("Concat", *parts, axis=1), axes=(1,), keepdims=0)
    return n.dense(n.add("ReduceMean", x, axes=(1,), keepdims=0), 2)


@case("tokens both 4 sum mean")
def sum_of_means(n: Network) -> str:
    x = n.embedded()
    means = [n.add("ReduceMean", n.lstm(x, 4, reverse)[0], axes=(1,)) for reverse in (False, True)]
    return n.dense(n.add("Squeeze", n.add("Add", *means), axes=(1,)), 2)


@case("tokens backward 4, backward 3 last")
def backwards_in_the_order_of_reading(n: Network) -> str:
    """Keras's go_backwards."""
    h = n.flipped(n.lstm(n.embedded(), 4, reverse=True)[0])
    return n.dense(n.last(n.lstm(h, 3)[0]), 2)


@case("tokens backward 4 last")
def flipped_inputs(n: Network) -> str:
    return n.dense(n.lstm(n.flipped(n.embedded()), 4)[1], 2)


# Poolings


@case("tokens both 4 step")
def last_step_of_both(n: Network) -> str:
    return n.dense(n.last(n.both(n.embedded(), 4)[0]), 2)


@case("tokens backward 4 last")
def first_step_of_backward(n: Network) -> str:
    h = n.lstm(n.embedded(), 4, reverse=True)[0]
    return n.dense(n.add("Gather", h, n.number(0), axis=1), 2)


@case("tokens both 4 mean+max, relu 6, sigmoid")
def maximum_and_mean(n: Network) -> str:
    h = n.both(n.embedded(), 4)[0]
    maximum = n.add("ReduceMax", h, axes=(1,), keepdims=0)
    mean = n.add("GlobalAveragePool", n.add("Transpose", h, perm=(0, 2, 1)))
    x = n.add("Concat", maximum, n.add("Squeeze", mean, axes=(2,)), axis=1)
    return n.dense(n.dense(x, 6, "Relu"), 3, "Sigmoid")


@case("tokens both 4 mean+max")
def poolings_of_each_direction(n: Network) -> str:
    x = n.embedded()
    parts = [n.lstm(x, 4, reverse)[0] for reverse in (True, False)]
    hows = ("ReduceMax", "ReduceMean")
    return n.dense(n.add("Concat", *[n.add(how, h, axes=(1,), keepdims=0) for h in parts for how in hows], axis=1), 2)


@case("tokens both 4 mean max")
def maximum_of_mean_of_directions(n: Network) -> str:
    x = n.embedded()
    merged = n.add("Mean", n.lstm(x, 4)[0], n.lstm(x, 4, reverse=True)[0])
    return n.dense(n.add("ReduceMax", merged, axes=(1,), keepdims=0), 2)


@case("tokens forward 4 mean, linear 3")
def layers_before_the_mean(n: Network) -> str:
    return n.add("Neg", n.dense(n.add("ReduceMean", n.dense(n.lstm(n.embedded(), 4)[0], 3), axes=(1,), keepdims=0), 2))


@case("tokens forward 4 last, tanh 6")
def layers_before_the_last_step(n: Network) -> str:
    return n.last(n.dense(n.dense(n.lstm(n.embedded(), 4)[0], 6, "Tanh"), 2))


# Dense layers


@case("channels forward 4 none, selu 6")
def each_step(n: Network) -> str:
    h = n.add("Reshape", n.lstm(n.series(), 4)[0], shape=(B * T, 4))
    h = n.add("Gemm", h, n.weights(6, 4), n.weights(6), transB=1, alpha=0.5, beta=2.0)
    return n.add("Reshape", n.dense(n.add("Selu", h, alpha=SELU_ALPHA, gamma=SELU_SCALE), 2), shape=(B, T, 2))


@case("channels forward 4 last, leaky_relu 6, gelu 5, hard_sigmoid 3, silu 2, softmax")
def activations(n: Network) -> str:
    x = n.lstm(n.series(), 4)[1]
    x = n.add("PRelu", n.dense(x, 6), n.number([0.3]))
    half = n.add("Mul", n.add("Div", x, n.number(2.0)), n.number(2.0))  # joined with the layer before
    x = n.add("Gelu", n.dense(half, 5))
    x = n.add("HardSigmoid", n.dense(x, 3), alpha=1 / 6, beta=0.5)
    x = n.dense(x, 2)
    return n.dense(n.add("Mul", x, n.add("Sigmoid", x)), 2, "Softmax", axis=1)


@case("channels forward 4 last, relu 4")
def batch_normalisations(n: Network) -> str:
    def normalised(x: str, size: int) -> str:
        spread = n.constant(n.rng.uniform(0.5, 2, size))
        return n.add("BatchNormalization", x, n.weights(size), n.weights(size), n.weights(size), spread)

    x = n.add("Relu", normalised(n.lstm(n.series(), 4)[1], 4))
    return normalised(n.dense(normalised(x, 4), 2), 2)


@case("channels forward 4 last, tanh 4")
def an_activation_at_the_end(n: Network) -> str:
    return n.add("Tanh", n.lstm(n.series(), 4)[1])


@case("channels forward 4 none")
def states_are_outputs_too(n: Network) -> str:
    h, last, memory = n.lstm(n.series(), 4)
    return f"{h} {last} {memory}"


# Masks


@case("tokens both 4, forward 3 last, pad 0")
def ids_masked(n: Network) -> str:
    ids = n.ids()
    mask = n.is_word(ids)
    h = n.both(n.add("Gather", n.weights(V, D), ids), 4, mask=mask)[0]
    return n.dense(n.lstm(h, 3, mask=mask)[1], 2)


@case("tokens forward 4 last, pad 0")
def last_step_of_ids_masked(n: Network) -> str:
    ids = n.ids()
    return n.dense(n.last(n.lstm(n.add("Gather", n.weights(V, D), ids), 4, mask=n.is_word(ids))[0]), 2)


@case("tokens both 4 none, softmax, pad 0")
def tags_of_ids_masked(n: Network) -> str:
    ids = n.ids()
    h = n.both(n.add("Gather", n.weights(V, D), ids), 4, mask=n.is_word(ids))[0]
    return n.dense(h, 3, "Softmax")


@case("tokens both 4 mean, pad 0")
def mean_of_ids_masked(n: Network) -> str:
    ids = n.ids()
    mask = n.is_word(ids)
    return n.dense(n.masked_mean(n.both(n.add("Gather", n.weights(V, D), ids), 4, mask=mask)[0], mask), 2)


@case("tokens both 4 max, pad 0")
def maximum_of_ids_masked(n: Network) -> str:
    ids = n.ids()
    mask = n.is_word(ids)
    h = n.both(n.add("Gather", n.weights(V, D), ids), 4, mask=mask)[0]
    return n.dense(n.add("ReduceMax", n.kept(h, mask, -3.0), axes=(1,), keepdims=0), 2)


@case("tokens backward 4, backward 3 last, pad 0")
def backwards_masked(n: Network) -> str:
    ids = n.ids()
    mask = n.is_word(ids)
    h = n.lstm(n.add("Gather", n.weights(V, D), ids), 4, reverse=True, mask=mask)[0]
    from_the_end = n.add("Slice", mask, starts=(-1,), ends=(-(2**63),), axes=(1,), steps=(-1,))
    return n.dense(n.last(n.lstm(n.flipped(h), 3, mask=from_the_end)[0]), 2)


@case("channels both 4 last, pad -7.5")
def series_masked(n: Network) -> str:
    """Keras's Masking also replaces the steps by 0."""
    x = n.series()
    mask = n.is_number(x)
    return n.dense(n.both(n.add("Mul", x, n.column(mask)), 4, mask=mask)[1], 2)


@case("channels scaled forward 4 mean, pad -7.5")
def series_masked_and_standardised(n: Network) -> str:
    x = n.series()
    mask = n.is_number(x)
    scaled = n.add("Div", n.add("Sub", n.add("Mul", x, n.column(mask)), n.number([1.0, 2.0, 3.0])), n.number(4.0))
    return n.dense(n.masked_mean(n.lstm(scaled, 4, mask=mask)[0], mask), 2)


@case("tokens both 4 last, lengths")
def packed(n: Network) -> str:
    x = n.embedded()
    return n.dense(n.both(x, 4, mask=n.within(n.lengths()), masked="zero")[1], 2)


@case("tokens both 4 mean, lengths")
def packed_mean(n: Network) -> str:
    """The padded outputs are zero, so that their sum is that of the others."""
    x, lengths = n.embedded(), n.lengths()
    h = n.both(x, 4, mask=n.within(lengths), masked="zero")[0]
    count = n.add("Clip", n.add("Cast", lengths, to="float"), n.number(1.0))
    total = n.add("ReduceSum", h, axes=(1,), keepdims=0)
    return n.dense(n.add("Div", total, n.add("Unsqueeze", count, axes=(1,))), 2)


@case("tokens both 4 step, lengths")
def packed_last_step(n: Network) -> str:
    x, lengths = n.embedded(), n.lengths()
    h = n.both(x, 4, mask=n.within(lengths), masked="zero")[0]
    index = n.add("Unsqueeze", n.add("Sub", lengths, n.number(np.int64(1))), axes=(1,))
    return n.dense(n.add("GatherND", h, index, batch_dims=1), 2)


@case("tokens forward 4, forward 3 last, lengths")
def unpacked_last_step(n: Network) -> str:
    """A layer that reads forward has not read the pads at the end of the sequence."""
    x, lengths = n.embedded(), n.lengths()
    h = n.lstm(n.lstm(x, 4)[0], 3)[0]
    index = n.add("Reshape", n.add("Sub", lengths, n.number(np.int64(1))), shape=(B, 1, 1))
    row = n.add("GatherElements", h, n.add("Expand", index, shape=(B, 1, 3)), axis=1)
    return n.dense(n.add("Squeeze", row, axes=(1,)), 2)


@case("tokens forward 4 mean+max, lengths")
def unpacked_mean_and_maximum(n: Network) -> str:
    x, lengths = n.embedded(), n.lengths()
    mask = n.within(lengths)
    h = n.lstm(x, 4)[0]
    outside = n.add("Unsqueeze", n.add("Not", mask), axes=(2,))
    maximum = n.add("ReduceMax", n.add("Where", outside, n.number(-np.inf), h), axes=(1,), keepdims=0)
    return n.dense(n.add("Concat", maximum, n.masked_mean(h, mask), axis=1), 2)


# What is none


@refused("a softmax over the steps")
def attention(n: Network) -> str:
    h = n.lstm(n.embedded(), 4)[0]
    weights = n.add("Softmax", n.dense(h, 1), axis=1)
    return n.dense(n.add("ReduceSum", n.add("Mul", h, weights), axes=(1,), keepdims=0), 2)


@refused("the outputs of several LSTM layers are joined")
def residual(n: Network) -> str:
    h = n.lstm(n.embedded(), 4)[0]
    return n.dense(n.last(n.add("Add", n.lstm(h, 4)[0], h)), 2)


@refused("the outputs of several LSTM layers are joined")
def two_networks(n: Network) -> str:
    x = n.embedded()
    return n.dense(n.add("Concat", n.lstm(x, 4)[1], n.lstm(x, 3)[1], axis=1), 2)


@refused("opposite directions read different values")
def directions_of_different_inputs(n: Network) -> str:
    x = n.series()
    return n.dense(n.add("Concat", n.lstm(x, 4)[1], n.lstm(n.dense(x, 3), 4, reverse=True)[1], axis=1), 2)


@refused("GRU")
def another_cell(n: Network) -> str:
    x = n.series()
    h = n.add("Recurrent", x, n.weights(12, C), n.weights(12, 4), cell="GRU")
    return n.dense(n.last(h), 2)


@refused("an LSTM with other activations")
def another_activation(n: Network) -> str:
    from gatewise.network.operations.relu import Relu
    from gatewise.network.operations.sigmoid import Sigmoid
    from gatewise.network.operations.tanh import Tanh

    x = n.series()
    h = n.add("Recurrent", x, n.weights(16, C), n.weights(16, 4), activations=(Sigmoid(), Relu(), Tanh()))
    return n.dense(n.last(h), 2)


@refused("such as a learned state")
def learned_state(n: Network) -> str:
    x = n.series()
    start = n.add("Expand", n.weights(1, 4), shape=(B, 4))
    h = n.add("Recurrent", x, n.weights(16, C), n.weights(16, 4), "", "", "", start)
    return n.dense(n.last(h), 2)


@refused("poolings final and mean of one layer")
def mean_and_last(n: Network) -> str:
    h, last, _ = n.lstm(n.embedded(), 4)
    return n.dense(n.add("Concat", last, n.add("ReduceMean", h, axes=(1,), keepdims=0), axis=1), 2)


@refused("the memory cell")
def memory_cell(n: Network) -> str:
    return n.dense(n.lstm(n.embedded(), 4)[2], 2)


@refused("the first step of a layer")
def first_step(n: Network) -> str:
    return n.dense(n.add("Gather", n.lstm(n.embedded(), 4)[0], n.number(0), axis=1), 2)


@refused("other places than the first or the last")
def third_step_from_the_end(n: Network) -> str:
    return n.dense(n.add("Gather", n.lstm(n.embedded(), 4)[0], n.number(-3), axis=1), 2)


@refused("at constant places")
def cut_inputs(n: Network) -> str:
    ids = n.add("Slice", n.ids(), starts=(0,), ends=(9,), axes=(1,))
    return n.dense(n.lstm(n.add("Gather", n.weights(V, D), ids), 4)[1], 2)


@refused("Flatten")
def all_states_joined(n: Network) -> str:
    h = n.lstm(n.series(B, 6, C), 4)[0]
    return n.dense(n.add("Reshape", h, shape=(B, 24)), 2)


@refused("what is no output of an LSTM layer")
def maximum_of_an_activation(n: Network) -> str:
    h = n.dense(n.lstm(n.embedded(), 4)[0], 3, "Tanh")
    return n.dense(n.add("ReduceMax", h, axes=(1,), keepdims=0), 2)


@refused("a softmax stands in front of another layer")
def softmax_inside(n: Network) -> str:
    return n.dense(n.dense(n.lstm(n.embedded(), 4)[1], 3, "Softmax"), 2)


@refused("an LSTM layer reads an activation")
def activation_in_front(n: Network) -> str:
    return n.dense(n.lstm(n.dense(n.series(), 3, "Relu"), 4)[1], 2)


@refused("an LSTM layer reads an activation")
def activation_between(n: Network) -> str:
    return n.dense(n.lstm(n.dense(n.lstm(n.series(), 4)[0], 3, "Relu"), 4)[1], 2)


@refused("it has 2 outputs")
def two_heads(n: Network) -> str:
    last = n.lstm(n.embedded(), 4)[1]
    return f"{n.dense(last, 2)} {n.dense(last, 3)}"


@refused("the layers above an LSTM layer read the embedding")
def no_layer(n: Network) -> str:
    return n.dense(n.embedded(), 2)


@refused("other steps than the LSTM layer reads")
def maximum_that_sees_repeated_outputs(n: Network) -> str:
    """GlobalMaxPooling1D of Keras: pads in front have outputs of 0."""
    ids = n.ids()
    h = n.both(n.add("Gather", n.weights(V, D), ids), 4, mask=n.is_word(ids))[0]
    return n.dense(n.add("ReduceMax", h, axes=(1,), keepdims=0), 2)


@refused("other steps than the LSTM layer reads")
def mean_without_the_mask(n: Network) -> str:
    ids = n.ids()
    h = n.lstm(n.add("Gather", n.weights(V, D), ids), 4, mask=n.is_word(ids))[0]
    return n.dense(n.add("ReduceMean", h, axes=(1,), keepdims=0), 2)


@refused("other steps than the LSTM layer reads")
def mask_of_the_mean_alone(n: Network) -> str:
    ids = n.ids()
    return n.dense(n.masked_mean(n.lstm(n.add("Gather", n.weights(V, D), ids), 4)[0], n.is_word(ids)), 2)


@refused("other steps than the LSTM layer reads")
def lengths_of_the_mean_of_both(n: Network) -> str:
    """The backward direction has read the pads before."""
    x, lengths = n.embedded(), n.lengths()
    return n.dense(n.masked_mean(n.both(x, 4)[0], n.within(lengths)), 2)


@refused("reads the steps after it")
def lengths_of_the_last_step_of_both(n: Network) -> str:
    x, lengths = n.embedded(), n.lengths()
    index = n.add("Unsqueeze", n.add("Sub", lengths, n.number(np.int64(1))), axes=(1,))
    return n.dense(n.add("GatherND", n.both(x, 4)[0], index, batch_dims=1), 2)


@refused("a step that a mask may skip")
def last_step_of_padded_outputs(n: Network) -> str:
    x = n.embedded()
    return n.dense(n.last(n.lstm(x, 4, mask=n.within(n.lengths()), masked="zero")[0]), 2)


@refused("a step that a mask may skip")
def last_step_of_both_masked(n: Network) -> str:
    ids = n.ids()
    h = n.both(n.add("Gather", n.weights(V, D), ids), 4, mask=n.is_word(ids))[0]
    return n.dense(n.last(h), 2)


@refused("the maximum includes 0")
def maximum_with_zeros(n: Network) -> str:
    ids = n.ids()
    mask = n.is_word(ids)
    h = n.lstm(n.add("Gather", n.weights(V, D), ids), 4, mask=mask)[0]
    return n.dense(n.add("ReduceMax", n.add("Mul", h, n.column(mask)), axes=(1,), keepdims=0), 2)


@refused("a mask holds for some LSTM layers only")
def mask_of_one_layer(n: Network) -> str:
    ids = n.ids()
    h = n.lstm(n.add("Gather", n.weights(V, D), ids), 4, mask=n.is_word(ids))[0]
    return n.dense(n.lstm(h, 3)[1], 2)


@refused("the mask skips the id 4")
def mask_of_another_id(n: Network) -> str:
    ids = n.ids()
    mask = n.add("Not", n.add("Equal", ids, n.number(np.int64(4))))
    return n.dense(n.lstm(n.add("Gather", n.weights(V, D), ids), 4, mask=mask)[1], 2)


@refused("a mask skips several ids")
def mask_of_several_ids(n: Network) -> str:
    ids = n.ids()
    mask = n.add("Greater", ids, n.number(np.int64(2)))
    return n.dense(n.lstm(n.add("Gather", n.weights(V, D), ids), 4, mask=mask)[1], 2)


@refused("a mask of other steps")
def mask_upside_down(n: Network) -> str:
    ids = n.ids()
    mask = n.add("Equal", ids, n.number(np.int64(0)))
    return n.dense(n.lstm(n.add("Gather", n.weights(V, D), ids), 4, mask=mask)[1], 2)


@refused("a mask of other steps")
def flipped_without_its_mask(n: Network) -> str:
    x = n.flipped(n.embedded())
    return n.dense(n.lstm(x, 4, mask=n.within(n.lengths()))[1], 2)


@refused("joins each step with each other step")
def distances_of_steps(n: Network) -> str:
    ids = n.ids()
    pairs = n.add("Sub", n.add("Unsqueeze", ids, axes=(1,)), n.add("Unsqueeze", ids, axes=(2,)))
    x = n.add("Gather", n.weights(V, D), n.add("ReduceMax", pairs, axes=(2,), keepdims=0))
    return n.dense(n.lstm(x, 4)[1], 2)


@refused("another order")
def positions(n: Network) -> str:
    x = n.add("Add", n.series(B, 6, C), n.weights(6, C))
    return n.dense(n.lstm(x, 4)[1], 2)


@refused("divides by the number of other steps")
def divided_by_another_count(n: Network) -> str:
    ids, lengths = n.ids(), n.lengths()
    h = n.lstm(n.add("Gather", n.weights(V, D), ids), 4, mask=n.is_word(ids))[0]
    total = n.add("ReduceSum", n.add("Mul", h, n.column(n.is_word(ids))), axes=(1,), keepdims=0)
    count = n.add("Unsqueeze", n.add("Cast", lengths, to="float"), axes=(1,))
    return n.dense(n.add("Div", total, count), 2)


@refused("it multiplies over the steps")
def weights_of_each_step(n: Network) -> str:
    rows = n.add("Reshape", n.embedded(B, 6), shape=(B, 6, 1, D))
    x = n.add("Reshape", n.add("MatMul", rows, n.weights(6, D, 4)), shape=(B, 6, 4))
    return n.dense(n.lstm(x, 4)[1], 2)


@refused("another order")
def normalisation_of_each_step(n: Network) -> str:
    x = n.add("LayerNormalization", n.embedded(B, 6), n.weights(6, D), axis=-1)
    return n.dense(n.lstm(x, 4)[1], 2)


@refused("it has the inputs ids, x")
def two_inputs(n: Network) -> str:
    x = n.add("Concat", n.embedded(), n.series(), axis=2)
    return n.dense(n.lstm(x, 4)[1], 2)


def graph_of(build: Build, *guards: Guard) -> Graph:
    network = Network(len(build.__name__))
    return network.graph(build(network).split(), guards)


def shown(found: Recognised) -> str:
    """An architecture in words."""
    arch = found.arch
    layers = [f"{one.direction} {one.units}" + f" {one.merge}" * (one.merge != "concat") for one in arch.layers]
    parts = [
        f"{arch.inputs} {'scaled ' * (found.scaling is not None)}{', '.join(layers)} {arch.pooling}",
        *(f"{one.activation} {one.units}" for one in arch.hidden),
    ]
    if found.output_activation != "linear":
        parts.append(found.output_activation)
    if found.pad_value is not None:
        parts.append(f"pad {found.pad_value:g}")
    if found.lengths_input:
        parts.append("lengths")
    return ", ".join(parts)


def activated(logits: Array, name: str) -> Array:
    if name == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-logits)))
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    softmax = exponents / exponents.sum(axis=-1, keepdims=True)
    functions: dict[str, Array] = {"linear": logits, "softmax": softmax, "log_softmax": np.log(softmax)}
    return functions[name]


def axes_of(graph: Graph) -> str:
    """The order of the axes of the networks here: "bt", "tb", or "t" without a batch."""
    [name, *_] = graph.inputs
    shape = graph.inputs[name].shape
    if shape[0] != T:
        return "bt"
    return "tb" if B in shape else "t"


def assert_same(graph: Graph, found: Recognised, batch: int, steps: int, seed: int, axes: str = "bt") -> None:
    """The graph computes a batch with padded steps, the architecture the steps that are read."""
    rng = np.random.default_rng(seed)
    [name, *others] = graph.inputs
    if axes == "t":
        batch = 1
    inside = np.ones((batch, steps), bool)
    lengths = rng.integers(1, steps + 1, batch)
    lengths[0] = steps  # PyTorch cuts off the steps after the longest sequence
    if found.pad_value is not None:
        inside = rng.random((batch, steps)) < 0.6
        inside[np.arange(batch), rng.integers(0, steps, batch)] = True
    elif found.lengths_input:
        inside = np.arange(steps) < lengths[:, None]
    if found.arch.inputs == "tokens":
        x: Array = rng.integers(found.pad_value is not None, found.arch.vocab_size, (batch, steps))
    else:
        x = rng.normal(0, 2, (batch, steps, found.arch.vocab_size)).astype(np.float32)
    x[~inside] = 0 if found.pad_value is None else found.pad_value
    feed = {"bt": x, "tb": x.swapaxes(0, 1), "t": x[0]}[axes]
    feeds = {name: feed, **dict.fromkeys(others, lengths)}
    outputs = graph.run(feeds, execution=Execution(dtype=np.float64, keep=False))[graph.outputs[0]]
    sequences = [row[mask] for row, mask in zip(x, inside, strict=True)]
    if found.scaling is not None:
        sequences = [(row - found.scaling[0]) / found.scaling[1] for row in sequences]
    logits = in_batches(forward, found.parameters, found.arch, sequences, Ops(get("reference")))
    wanted = activated(logits, found.output_activation)
    if found.arch.pooling == "none":
        outputs = outputs.reshape(batch, steps, -1)[inside]
    np.testing.assert_allclose(outputs.reshape(wanted.shape), wanted, rtol=0, atol=1e-5 if found.scaling else 1e-10)


@pytest.mark.parametrize("name", CASES)
def test_a_network_is_recognised_and_computes_the_same(name: str) -> None:
    build, expected = CASES[name]
    graph = graph_of(build)
    found = recognise(graph)
    assert isinstance(found, Recognised), found
    assert shown(found) == expected
    for seed, (batch, steps) in enumerate(((1, 1), (4, 2), (3, 9))):
        assert_same(graph, found, batch, steps, seed, axes_of(graph))
    assert difference_of(graph, found) == ""


@pytest.mark.parametrize("name", CASES)
def test_an_architecture_with_another_number_is_not_the_same(name: str) -> None:
    graph = graph_of(CASES[name][0])
    found = recognise(graph)
    assert isinstance(found, Recognised), found
    for parameter, array in found.parameters.items():
        # Where the last step alone is read, the backward direction has run for one step from states of zeros.
        if parameter.endswith("backward.weight_hh"):
            continue
        other = array.copy()
        other[...] += 0.5 * np.random.default_rng(1).normal(size=array.shape)
        changed = replace(found, parameters={**found.parameters, parameter: other})
        assert re.fullmatch(r"for \d+ steps? its output differs by .*", difference_of(graph, changed)), parameter


@pytest.mark.parametrize("name", REFUSED)
def test_another_network_says_what_it_is(name: str) -> None:
    build, reason = REFUSED[name]
    found = recognise(graph_of(build))
    assert isinstance(found, str), shown(found)
    assert re.search(reason, found), found


def test_the_sizes_for_which_a_graph_holds() -> None:
    """A model takes any number of steps; how many sequences a batch has makes no difference to it."""
    found = recognise(graph_of(plain, Guard(T, "<=", 64)))
    assert isinstance(found, str)
    assert "T <= 64" in found
    assert isinstance(recognise(graph_of(plain, Guard(2, "<=", B))), Recognised)


def test_a_fixed_number_of_steps() -> None:
    network = Network(3)
    found = recognise(network.graph([network.dense(network.last(network.lstm(network.series(8, 6, C), 4)[0]), 2)]))
    assert isinstance(found, Recognised)
    assert (found.steps, shown(found)) == (6, "channels forward 4 last")
