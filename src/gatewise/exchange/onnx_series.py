"""The preprocessing of series as ONNX nodes: standardisation, and interpolation of missing values."""

from __future__ import annotations

import numpy as np

from gatewise.members.onnx.graph import Graph, ints, scalar, step_mask
from gatewise.types import Array


def standardised(graph: Graph, series: str, lengths: str, mean: Array, std: Array, mask: bool) -> str:
    """What `SeriesPreprocessor` makes of series (B, T, C) float32 of `lengths` (B,): (B, T, C), or C + 1 channels with
    `mask`. Steps behind the end of a series are 0. mean, std: (C,).
    """
    scaled = graph.add("Sub", graph.cast(series, np.float64), mean.astype(np.float64))
    scaled = graph.cast(graph.add("Div", scaled, std.astype(np.float64)), np.float32)
    inside = graph.add("Unsqueeze", step_mask(graph, series, lengths), ints(2))  # (B, T, 1)
    missing = graph.add("IsNaN", scaled)
    known = graph.add("And", graph.add("Not", missing), inside)  # (B, T, C)
    filled = graph.add("Where", known, scaled, _interpolated(graph, scaled, known))
    filled = graph.add("Where", inside, filled, scalar(0, np.float32))
    if not mask:
        return filled
    share = graph.add("ReduceMean", graph.cast(graph.add("And", missing, inside), np.float32), axes=[2], keepdims=1)
    return graph.add("Concat", filled, share, axis=2)


def _interpolated(graph: Graph, x: str, known: str) -> str:
    """x (B, T, C) interpolated linearly over the steps between known values, nearest outside, 0 where none is known.

    The k-th known step of each channel is written to row k of a table; a step with r known steps up to it lies between
    rows r - 1 and r.
    """
    flags = graph.cast(known, np.int64)
    rank = graph.add("CumSum", flags, scalar(1))  # known steps up to this one
    last = graph.add("Sub", graph.add("ReduceSum", flags, ints(1), keepdims=1), scalar(1))  # (B, 1, C), -1 for none
    steps = graph.add("Unsqueeze", graph.count(graph.size(x, 1)), ints(1))  # (T, 1)
    zeros = graph.add("Mul", flags, scalar(0))
    step = graph.add("Add", zeros, steps)  # (B, T, C)
    table = graph.add("Pad", zeros, ints(0, 0, 0, 0, 1, 0), scalar(0))  # (B, T + 1, C), row T for unknown steps
    place = graph.add("Where", known, graph.add("Sub", rank, scalar(1)), graph.size(x, 1))
    table = graph.add("ScatterElements", table, place, step, axis=1)
    row_before = graph.add("Max", graph.add("Sub", rank, scalar(1)), scalar(0))
    row_after = graph.add("Max", graph.add("Min", rank, last), scalar(0))
    before, after = (graph.add("GatherElements", table, row, axis=1) for row in (row_before, row_after))
    low, high = (graph.cast(graph.add("GatherElements", x, at, axis=1), np.float64) for at in (before, after))
    width = graph.cast(graph.add("Max", graph.add("Sub", after, before), scalar(1)), np.float64)
    slope = graph.add("Div", graph.add("Sub", high, low), width)
    distance = graph.cast(graph.add("Max", graph.add("Sub", step, before), scalar(0)), np.float64)
    value = graph.cast(graph.add("Add", graph.add("Mul", slope, distance), low), np.float32)
    return graph.add("Where", graph.add("Less", last, scalar(0)), scalar(0, np.float32), value)
