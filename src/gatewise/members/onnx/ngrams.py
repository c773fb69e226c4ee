"""The n-gram model as ONNX nodes. Only the order of sums differs from `gatewise.members.ngrams`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gatewise.members.onnx.graph import Graph, Value, ints, scalar, step_mask
from gatewise.types import Array


def ngram_logits(graph: Graph, ngrams: Any, tokens: str, lengths: str) -> str:
    """Logits (B, outputs) float64 of tokens (B, T) of `lengths` (B,). ngrams: an `Ngrams`.

    The row of each n-gram in `ngrams.keys` is found by binary search. The rows of a text are sorted, so that equal
    ones are neighbours and count once.
    """
    if ngrams.spelling is None:
        numbers = graph.add("Add", tokens, scalar(1))
        inside = step_mask(graph, tokens, lengths)
    else:
        numbers, inside = _characters(graph, ngrams.spelling, tokens, lengths)
    rows = _ngram_rows(graph, ngrams, numbers, inside)  # (B, M), K for none
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
    weights = graph.keep("weight", _with_none(ngrams.weight))
    weight = graph.cast(graph.add("Gather", weights, rows), np.float64)  # (B, M, outputs)
    whole = graph.add("Mul", weight, graph.add("Unsqueeze", once, ints(2)))
    logits = graph.add("ReduceSum", whole, ints(1), keepdims=0)
    if ngrams.scale is None:
        return logits
    scale = graph.add("Gather", graph.keep("scale", _with_none(ngrams.scale)), rows)
    scaled = graph.add("Mul", once, graph.cast(scale, np.float64))
    squares = graph.add("ReduceSum", graph.add("Mul", scaled, scaled), ints(1), keepdims=1)
    norm = graph.add("Sqrt", squares)
    none = graph.add("Equal", norm, scalar(0, np.float64))
    return graph.add("Div", logits, graph.add("Where", none, scalar(1, np.float64), norm))


def arrays_of(constants: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays of the member, of the constants that `ngram_logits` kept."""
    arrays = {"keys": constants["keys"]}
    for name in ("weight", "scale"):
        if name in constants:
            arrays[name] = constants[name][:-1]  # without the row of `_with_none`
    if "characters" in constants:
        table = constants["characters"]
        arrays["characters"] = (table[table > 0] - 1).astype(np.int32)
    return arrays


def _with_none(values: Array) -> Array:
    """The values (K, ...) with zeros at row K, which stands for an n-gram that the model does not have."""
    return np.concatenate([values, np.zeros_like(values[:1])])


def _characters(graph: Graph, spelling: Any, tokens: str, lengths: str) -> tuple[str, str]:
    """The characters of the tokens (B, M), plus 1, and where there are some, as `Spelling.read` has them."""
    table, opens = spelling.padded()
    next_opens = graph.add("Pad", graph.add("Gather", opens, tokens), ints(0, -1, 0, 1), scalar(0))
    last = graph.add("Equal", graph.count(graph.size(tokens, 1)), graph.add("Sub", graph.column(lengths), scalar(1)))
    closes = graph.add("Unsqueeze", graph.add("Or", graph.cast(next_opens, np.bool_), last), ints(2))
    each = graph.add("Gather", graph.keep("characters", table), tokens)  # (B, T, L)
    read = graph.add("Or", closes, graph.add("Greater", each, scalar(1)))  # 1 is CLOSES, which zeros follow
    read = graph.add("And", read, graph.add("Unsqueeze", step_mask(graph, tokens, lengths), ints(2)))
    flat = graph.add("Flatten", graph.add("Mul", each, graph.cast(read, np.int64)))
    count = graph.add("CumSum", graph.cast(graph.add("Greater", flat, scalar(0)), np.int64), scalar(1))
    # A character goes to its place; a 0 would overwrite the one before it, so it is added.
    zeros = graph.add("Mul", flat, scalar(0))
    place = graph.add("Max", graph.add("Sub", count, scalar(1)), scalar(0))
    numbers = graph.add("ScatterElements", zeros, place, flat, axis=1, reduction="add")
    return numbers, graph.add("Greater", numbers, scalar(0))


def _ngram_rows(graph: Graph, ngrams: Any, key: str, inside: str) -> str:
    """Row (B, T x order) in `ngrams.keys` of the n-gram of n tokens or characters that ends at step t, for n = 1 to
    `order`; K where there is none. key (B, T): their numbers, plus 1; inside: where there are some.
    """
    step = graph.count(graph.size(key, 1))
    shifted = key
    keys = [key]
    valid = [inside]
    for n in range(1, ngrams.order):
        shifted = graph.add("Pad", shifted, ints(0, 1, 0, -1), scalar(0))  # the token n steps earlier
        key = graph.add("Add", graph.add("Mul", shifted, scalar(1 << ngrams.bits * n)), key)
        keys.append(key)
        valid.append(graph.add("And", inside, graph.add("Greater", step, scalar(n - 1))))
    wanted = graph.add("Concat", *keys, axis=1)
    is_ngram = graph.add("Concat", *valid, axis=1)
    count = len(ngrams.keys)
    sorted_keys = graph.keep("keys", ngrams.keys)
    row = graph.add("Mul", wanted, scalar(0))  # the last row whose key is not above the wanted one, or 0
    for bit in reversed(range(count.bit_length())):
        further = graph.add("Min", graph.add("Add", row, scalar(1 << bit)), scalar(count - 1))
        reached = graph.add("LessOrEqual", graph.add("Gather", sorted_keys, further), wanted)
        row = graph.add("Where", reached, further, row)
    is_equal = graph.add("Equal", graph.add("Gather", sorted_keys, row), wanted)
    is_known = graph.add("And", is_ngram, is_equal)
    return graph.add("Where", is_known, row, scalar(count))
