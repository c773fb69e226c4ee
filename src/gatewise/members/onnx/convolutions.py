"""The convolutions as ONNX nodes. Only the order of sums differs from `gatewise.members.convolutions`."""

from collections.abc import Mapping

import numpy as np

from gatewise.kernels.convolution import CENTRE, KERNELS, TAPS, Banks
from gatewise.members.onnx.graph import Graph, ints, scalar, step_mask
from gatewise.types import Array


def convolution_logits(graph: Graph, banks: Banks, mean: Array, weight: Array, x: str, lengths: str) -> str:
    """Logits (B, outputs) float64, the features minus mean (F,) times weight (F, outputs), of series x (B, T, C)
    float32 of `lengths` (B,), with zeros after their ends.

    The convolutions add in the order of `gatewise.kernels.convolution`, so that the comparisons with the thresholds
    are the same.
    """
    inside = graph.add("Unsqueeze", step_mask(graph, x, lengths), ints(1))  # (B, 1, T)
    x = graph.add("Transpose", x, perm=[0, 2, 1])  # (B, C, T)
    change = graph.add("Sub", x, graph.add("Pad", x, ints(0, 0, 1, 0, 0, -1), scalar(0, np.float32)))
    changes = graph.add("Greater", graph.count(graph.size(x, 2)), scalar(0))  # the first step has no difference
    change = graph.add("Where", graph.add("And", inside, changes), change, scalar(0, np.float32))
    both = graph.add("Concat", x, change, axis=1)  # (B, 2C, T)
    parts = [_bank(graph, both, lengths, *bank[:4]) for bank in banks]
    features = graph.cast(graph.add("Concat", *parts, axis=1), np.float64)
    centred = graph.add("Sub", features, graph.keep("mean", mean.astype(np.float64)))
    return graph.add("MatMul", centred, graph.keep("weight", weight.astype(np.float64)))


def arrays_of(constants: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays of the member, of the constants that `convolution_logits` kept."""
    count = sum(name.endswith(".pads") for name in constants)
    banks = [[constants[f"bank.{n}.{part}"] for part in ("pads", "channels", "thresholds")] for n in range(count)]
    return {
        "dilations": np.array([pads[2] // CENTRE for pads, _, _ in banks], dtype=np.int32),
        "counts": np.array([thresholds.shape[1] for _, _, thresholds in banks], dtype=np.int32),
        "channels": np.stack([channels[:, :, 0].T for _, channels, _ in banks]).astype(np.uint8),
        "thresholds": np.concatenate([thresholds.ravel() for _, _, thresholds in banks]),
        **{name: constants[name].astype(np.float32) for name in ("mean", "weight")},
    }


def _bank(graph: Graph, x: str, lengths: str, number: int, dilation: int, channels: Array, thresholds: Array) -> str:
    """The features (B, 84 m) float32 of one bank, for x (B, 2C, T). thresholds: (84, m)."""
    reach = CENTRE * dilation
    pads = graph.keep(f"bank.{number}.pads", ints(0, 0, reach, 0, 0, reach))
    wide = graph.add("Pad", x, pads, scalar(0, np.float32))
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
    # Each kernel has three weights of 2 and six of -1: three times its three taps, minus all nine.
    first, second, third = (graph.add("Gather", three, KERNELS[:, n].astype(np.int64), axis=2) for n in range(3))
    sums = graph.add("Sub", first, graph.add("Unsqueeze", all_taps, ints(2)))
    sums = graph.add("Add", graph.add("Add", sums, second), third)  # (B, 2C, 84, T)
    used = graph.keep(f"bank.{number}.channels", channels.T[:, :, None].astype(bool))
    sums = graph.add("Where", used, sums, scalar(0, np.float32))
    conv = graph.add("Gather", sums, scalar(0), axis=1)
    for channel in range(1, channels.shape[1]):
        conv = graph.add("Add", conv, graph.add("Gather", sums, scalar(channel), axis=1))  # (B, 84, T)
    limits = graph.keep(f"bank.{number}.thresholds", thresholds[:, :, None])
    above = graph.add("Greater", graph.add("Unsqueeze", conv, ints(2)), limits)  # (B, 84, m, T)
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
    after = graph.add("GreaterOrEqual", step, edge)  # (B, 84, T)
    before = graph.add("Less", step, last)
    counted = graph.add("Unsqueeze", graph.add("And", after, before), ints(2))
    number_of = graph.add("Max", graph.add("Sub", last, edge), scalar(1))
    return counted, graph.cast(number_of, np.float64)
