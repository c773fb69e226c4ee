"""The linear models of an ensemble as ONNX nodes: n-grams of token ids and convolutions of series, without rounding
differences to `gatewise.network` except in the order of sums.
"""

from __future__ import annotations

import numpy as np

from gatewise.exchange.onnx_graph import Graph, Value, ints, scalar
from gatewise.exchange.onnx_network import step_mask
from gatewise.kernels.convolution import CENTRE, KERNELS, TAPS
from gatewise.members.convolutions import Convolutions
from gatewise.members.ngrams import BITS, Ngrams
from gatewise.types import Array


def ngram_logits(graph: Graph, ngrams: Ngrams, tokens: str, lengths: str) -> str:
    """Logits (B, outputs) float64 of tokens (B, T) of `lengths` (B,).

    The row of each n-gram in `ngrams.keys` is found by binary search. The rows of a text are sorted, so that equal
    ones are neighbours and count once.
    """
    rows = _ngram_rows(graph, ngrams, tokens, lengths)  # (B, M), K for none
    rows, _ = graph.add_several("TopK", 2, rows, graph.size(rows, 1), axis=1)  # descending
    before = graph.add("Pad", rows, ints(0, 1, 0, -1), scalar(-1))  # each row's left neighbour
    first = graph.add("Not", graph.add("Equal", rows, before))
    times: Value = scalar(1, np.float64)
    if ngrams.scale is not None:
        group = graph.add("Sub", graph.add("CumSum", graph.cast(first, np.int64), scalar(1)), scalar(1))
        zeros = graph.cast(graph.add("Mul", group, scalar(0)), np.float64)
        ones = graph.add("Add", zeros, scalar(1, np.float64))
        count = graph.add("ScatterElements", zeros, group, ones, axis=1, reduction="add")
        number = graph.add("GatherElements", count, group, axis=1)  # occurrences of each row's n-gram
        times = graph.add("Add", graph.add("Log", number), scalar(1, np.float64))  # 1 + log(occurrences)
    once = graph.add("Mul", graph.cast(first, np.float64), times)  # (B, M)
    weight = graph.cast(graph.add("Gather", _with_none(ngrams.weight), rows), np.float64)  # (B, M, outputs)
    whole = graph.add("Mul", weight, graph.add("Unsqueeze", once, ints(2)))
    logits = graph.add("ReduceSum", whole, ints(1), keepdims=0)
    if ngrams.scale is None:
        return logits
    scaled = graph.add("Mul", once, graph.cast(graph.add("Gather", _with_none(ngrams.scale), rows), np.float64))
    squares = graph.add("ReduceSum", graph.add("Mul", scaled, scaled), ints(1), keepdims=1)
    norm = graph.add("Sqrt", squares)
    none = graph.add("Equal", norm, scalar(0, np.float64))
    return graph.add("Div", logits, graph.add("Where", none, scalar(1, np.float64), norm))


def _with_none(values: Array) -> Array:
    """The values (K, ...) with zeros at row K, which stands for an n-gram that the model does not have."""
    return np.concatenate([values, np.zeros_like(values[:1])])


def _ngram_rows(graph: Graph, ngrams: Ngrams, tokens: str, lengths: str) -> str:
    """Row (B, T x order) in `ngrams.keys` of the n-gram of n tokens that ends at step t, for n = 1 to `order`; K where
    there is none.
    """
    step, inside = graph.count(graph.size(tokens, 1)), step_mask(graph, tokens, lengths)
    key = shifted = graph.add("Add", tokens, scalar(1))  # (B, T)
    keys, valid = [key], [inside]
    for n in range(1, ngrams.order):
        shifted = graph.add("Pad", shifted, ints(0, 1, 0, -1), scalar(0))  # the token n steps earlier
        key = graph.add("Add", graph.add("Mul", shifted, scalar(1 << BITS * n)), key)
        keys.append(key)
        valid.append(graph.add("And", inside, graph.add("Greater", step, scalar(n - 1))))
    wanted, known = graph.add("Concat", *keys, axis=1), graph.add("Concat", *valid, axis=1)
    count = len(ngrams)
    row = graph.add("Mul", wanted, scalar(0))  # the last row whose key is not above the wanted one, or 0
    for bit in reversed(range(count.bit_length())):
        further = graph.add("Min", graph.add("Add", row, scalar(1 << bit)), scalar(count - 1))
        reached = graph.add("LessOrEqual", graph.add("Gather", ngrams.keys, further), wanted)
        row = graph.add("Where", reached, further, row)
    found = graph.add("And", known, graph.add("Equal", graph.add("Gather", ngrams.keys, row), wanted))
    return graph.add("Where", found, row, scalar(count))


def convolution_logits(graph: Graph, convolutions: Convolutions, x: str, lengths: str) -> str:
    """Logits (B, outputs) float64 of series x (B, T, C) float32 of `lengths` (B,), with zeros behind their ends.

    The convolutions add in the order of `gatewise.kernels.convolution`, so that the comparisons with the thresholds
    are the same.
    """
    inside = graph.add("Unsqueeze", step_mask(graph, x, lengths), ints(1))  # (B, 1, T)
    x = graph.add("Transpose", x, perm=[0, 2, 1])  # (B, C, T)
    change = graph.add("Sub", x, graph.add("Pad", x, ints(0, 0, 1, 0, 0, -1), scalar(0, np.float32)))
    changes = graph.add("Greater", graph.count(graph.size(x, 2)), scalar(0))  # the first step has no difference
    change = graph.add("Where", graph.add("And", inside, changes), change, scalar(0, np.float32))
    both = graph.add("Concat", x, change, axis=1)  # (B, 2C, T)
    parts = [_bank(graph, both, lengths, *bank[:4]) for bank in convolutions.banks]
    features = graph.cast(graph.add("Concat", *parts, axis=1), np.float64)
    centred = graph.add("Sub", features, convolutions.mean.astype(np.float64))
    return graph.add("MatMul", centred, convolutions.weight.astype(np.float64))


def _bank(graph: Graph, x: str, lengths: str, number: int, dilation: int, channels: Array, thresholds: Array) -> str:
    """The features (B, 84 m) float32 of one bank, for x (B, 2C, T). thresholds: (84, m)."""
    reach = CENTRE * dilation
    wide = graph.add("Pad", x, ints(0, 0, reach, 0, 0, reach), scalar(0, np.float32))
    total_steps = graph.size(x, 2)
    taps = []
    for j in range(TAPS):
        start = ints(j * dilation)
        taps.append(graph.add("Slice", wide, start, graph.add("Add", total_steps, start), ints(2)))
    all_taps = taps[0]
    for tap in taps[1:]:
        all_taps = graph.add("Add", all_taps, tap)
    stacked = graph.add("Concat", *[graph.add("Unsqueeze", tap, ints(2)) for tap in taps], axis=2)  # (B, 2C, 9, T)
    three = graph.add("Mul", stacked, scalar(3, np.float32))
    a, b, c = (graph.add("Gather", three, KERNELS[:, n].astype(np.int64), axis=2) for n in range(3))
    part = graph.add("Sub", a, graph.add("Unsqueeze", all_taps, ints(2)))
    part = graph.add("Add", graph.add("Add", part, b), c)  # (B, 2C, 84, T)
    part = graph.add("Where", channels.T[:, :, None].astype(bool), part, scalar(0, np.float32))
    conv = graph.add("Gather", part, scalar(0), axis=1)
    for channel in range(1, channels.shape[1]):
        conv = graph.add("Add", conv, graph.add("Gather", part, scalar(channel), axis=1))  # (B, 84, T)
    above = graph.add("Greater", graph.add("Unsqueeze", conv, ints(2)), thresholds[:, :, None])  # (B, 84, m, T)
    counted, steps = _counted_steps(graph, total_steps, lengths, number, reach)
    hits = graph.add("And", above, counted)
    hits = graph.add("ReduceSum", graph.cast(hits, np.float32), ints(3), keepdims=0)  # (B, 84, m)
    share = graph.cast(graph.add("Div", graph.cast(hits, np.float64), steps), np.float32)
    return graph.add("Reshape", share, ints(0, -1))


def _counted_steps(graph: Graph, steps: str, lengths: str, number: int, reach: int) -> tuple[str, str]:
    """Whether a kernel counts a step, (B, 84, 1, T), and how many it counts, at least 1, (B, 84, 1) float64.

    Every other kernel counts the steps whose nine taps lie within the series, if there are any.
    """
    inner = (number + np.arange(len(KERNELS))) % 2 == 1
    length = graph.add("Unsqueeze", lengths, ints(1, 2))  # (B, 1, 1)
    is_long = graph.add("Greater", length, scalar(2 * reach))
    edge = graph.add("Where", graph.add("And", is_long, inner[:, None]), scalar(reach), scalar(0))  # (B, 84, 1)
    last = graph.add("Sub", length, edge)
    step = graph.count(steps)
    after, before = graph.add("GreaterOrEqual", step, edge), graph.add("Less", step, last)  # (B, 84, T)
    counted = graph.add("Unsqueeze", graph.add("And", after, before), ints(2))
    number_of = graph.add("Max", graph.add("Sub", last, edge), scalar(1))
    return counted, graph.cast(number_of, np.float64)
