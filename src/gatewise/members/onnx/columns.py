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
    first = columns.first  # row of the table of offsets, of each column
    count = len(columns.schema.numeric)
    rows = []
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
    for place, column in enumerate(categorical):
        names = graph.add("Gather", CATEGORICAL, ints(place), axis=1)  # (B, 1)
        start = int(first[count + place])
        if column.categories:
            numbers = list(range(start + 1, start + 1 + len(column.categories)))
            table = {"keys_strings": list(column.categories), "values_int64s": numbers, "default_int64": start}
            rows.append(graph.add("LabelEncoder", names, domain="ai.onnx.ml", **table))
        else:
            size = graph.add("Concat", graph.size(names, 0), ints(1), axis=0)
            rows.append(graph.add("Expand", scalar(start), size))
    places = graph.add("Concat", *rows, axis=1)
    terms = graph.add("Gather", graph.cast(offset, np.float64), places)  # (B, P + K, outputs)
    offsets = graph.add("ReduceSum", terms, ints(1), keepdims=0)
    if not total:
        return offsets
    return graph.add("Add", total, offsets)


def feeds(columns: Any, values: list[tuple[float | str, ...]]) -> dict[str, Array]:
    """The inputs of the graph for rows of values, as sequences carry them."""
    count = len(columns.schema.numeric)
    arrays: dict[str, Array] = {}
    if count:
        arrays[NUMERIC] = np.array([row[:count] for row in values], dtype=np.float64)
    if columns.schema.categorical:
        arrays[CATEGORICAL] = np.array([row[count:] for row in values], dtype=object)
    return arrays


def random_values(columns: Any, rng: np.random.Generator, count: int) -> list[tuple[float | str, ...]]:
    """Values of so many rows, missing ones and unknown categories among them."""
    rows = []
    for _ in range(count):
        numbers = np.where(rng.random(len(columns.mean)) < 0.2, np.nan, rng.normal(columns.mean, columns.deviation))
        names = [str(rng.choice([*column.categories, "", "unknown"])) for column in columns.schema.categorical]
        rows.append((*numbers.tolist(), *names))
    return rows
