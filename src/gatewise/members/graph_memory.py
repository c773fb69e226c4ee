"""How many numbers a run of a graph holds in memory."""

from __future__ import annotations

import math
from collections.abc import Mapping

from gatewise.network.graph import Graph
from gatewise.network.size import Dim, symbols_of, value_of


def numbers_in_memory(graph: Graph, sizes: Mapping[str, int], every: bool) -> int:
    """The most numbers of computed values that are in memory at a time in a run for these sizes of the symbols. every:
    all values are kept, as for gradients.
    """
    in_memory = 0
    most = 0
    for number, node in enumerate(graph.nodes):
        in_memory += sum(_numbers(graph, name, sizes) for name in node.outputs)
        most = max(most, in_memory)
        if every:
            continue
        for name in {*node.inputs, *node.outputs}:
            if name in graph.constants or name in graph.inputs or not name:
                continue
            is_read_later = graph.last_reader.get(name, number) > number
            if not is_read_later and name not in graph.outputs:
                in_memory -= _numbers(graph, name, sizes)
    return most


def size_of(dim: Dim, sizes: Mapping[str, int]) -> int:
    """A size, with 1 for symbols that are not known."""
    unknown = symbols_of(dim) - set(sizes)
    return value_of(dim, {**sizes, **dict.fromkeys(unknown, 1)})


def _numbers(graph: Graph, name: str, sizes: Mapping[str, int]) -> int:
    """The number of elements of a value."""
    return math.prod(max(0, size_of(dim, sizes)) for dim in graph.types[name].shape)
