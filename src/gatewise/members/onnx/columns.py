"""The terms of the columns of a row as ONNX nodes."""

from typing import Any

import numpy as np

from gatewise.members.onnx.graph import Graph, ints, scalar
from gatewise.types import Array

NUMERIC, CATEGORICAL = "numeric", "categorical"
"""Inputs of the graph: numbers (batch, P) float64, NaN for a missing one, and names of categories (batch, K), "" for a
missing one.
"""


def column_logits(graph: Graph, columns: Any) -> str:
    """Logits (B, outputs) float64. columns: a `Columns`."""
    first, count, rows = columns.first, len(columns.schema.numeric), []
    mean, deviation, slope, offset = (graph.keep(name, array) for name, array in columns.arrays().items())
    total = ""
    if count:
        graph.inputs[NUMERIC] = np.float64, ["batch", count]
        missing = graph.add("IsNaN", NUMERIC)
        z = graph.add("Div", graph.add("Sub", NUMERIC, mean), deviation)
        z = graph.add("Where", missing, scalar(0, np.float64), z)
        total = graph.add("MatMul", z, graph.cast(slope, np.float64))
        rows.append(graph.add("Add", graph.cast(missing, np.int64), first[:count]))
    categorical = columns.schema.categorical
    if categorical:
        graph.inputs[CATEGORICAL] = object, ["batch", len(categorical)]
    for place, known in enumerate(one.categories for one in categorical):
        names = graph.add("Gather", CATEGORICAL, ints(place), axis=1)  # (B, 1)
        start = int(first[count + place])
        if known:
            numbers = list(range(start + 1, start + 1 + len(known)))
            table = {"keys_strings": list(known), "values_int64s": numbers, "default_int64": start}
            rows.append(graph.add("LabelEncoder", names, domain="ai.onnx.ml", **table))
        else:
            size = graph.add("Concat", graph.size(names, 0), ints(1), axis=0)
            rows.append(graph.add("Expand", scalar(start), size))
    places = graph.add("Concat", *rows, axis=1)
    terms = graph.add("Gather", graph.cast(offset, np.float64), places)  # (B, P + K, outputs)
    offsets = graph.add("ReduceSum", terms, ints(1), keepdims=0)
    return graph.add("Add", total, offsets) if total else offsets


def feeds(columns: Any, values: list[tuple[float | str, ...]]) -> dict[str, Array]:
    """The inputs of the graph for rows of values, as sequences carry them."""
    count, found = len(columns.schema.numeric), dict[str, Array]()
    if count:
        found[NUMERIC] = np.array([row[:count] for row in values], dtype=np.float64)
    if columns.schema.categorical:
        found[CATEGORICAL] = np.array([row[count:] for row in values], dtype=object)
    return found


def random_values(columns: Any, rng: np.random.Generator, count: int) -> list[tuple[float | str, ...]]:
    """Values of so many rows, missing ones and unknown categories among them."""
    rows = []
    for _ in range(count):
        numbers = np.where(rng.random(len(columns.mean)) < 0.2, np.nan, rng.normal(columns.mean, columns.deviation))
        names = [str(rng.choice([*one.categories, "", "unknown"])) for one in columns.schema.categorical]
        rows.append((*numbers.tolist(), *names))
    return rows
