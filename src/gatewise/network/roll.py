"""`rolled`: a graph with loops, of graphs of the same network that were read for several fixed numbers of steps.

PyTorch writes a loop over the steps of a sequence as many times as there are steps. Graphs of at least three numbers of
steps tell the nodes of one step from those around the loop (`gatewise.network.repetition`), and how each size depends
on the number of steps T: as a + b T. The result is written step by step again for each number of steps, and has to be
the graph that was read (`gatewise.network.canonical`). No value is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

from gatewise.errors import InputError
from gatewise.network.canonical import different
from gatewise.network.graph import Graph
from gatewise.network.rolled_graph import GraphWriter
from gatewise.network.rolled_values import RolledValues
from gatewise.network.unroll import unrolled

LEAST_GRAPHS = 3
LEAST_LENGTH = 4
"""Of the longest graph: a loop whose first step differs has three equal ones then."""


def rolled(graphs: Sequence[Graph], lengths: Sequence[int], name: str = "T") -> Graph:
    """The graph for any number of steps, of graphs for these numbers of them. name: of the size that stands for it.

    It holds for as few steps as were read. Raises InputError naming the first node that is not the same for all numbers
    of steps.
    """
    pairs = sorted(zip(lengths, graphs, strict=True), key=lambda pair: pair[0])
    if len(pairs) < LEAST_GRAPHS or len({length for length, _ in pairs}) < len(pairs):
        raise InputError(f"a loop needs graphs of {LEAST_GRAPHS} numbers of steps, not of {lengths}")
    if pairs[-1][0] < LEAST_LENGTH:
        raise InputError(f"a loop needs a graph of at least {LEAST_LENGTH} steps, not of {pairs[-1][0]}")
    reason: InputError | None = None
    # The shortest graphs may be special cases, as a network that takes its second step apart: the others decide then,
    # and the graph holds for their numbers of steps.
    while len(pairs) >= LEAST_GRAPHS:
        # Rows may be read before the loop, and the first one may be the initial state.
        for moves_rows in (True, False):
            try:
                return _rolled([graph for _, graph in pairs], [length for length, _ in pairs], name, moves_rows)
            except InputError as error:
                reason = error if moves_rows else reason
        del pairs[0]
    assert reason is not None
    raise reason


def _rolled(graphs: Sequence[Graph], lengths: Sequence[int], name: str, moves_rows: bool) -> Graph:
    graph = GraphWriter(RolledValues(graphs, lengths, name, moves_rows)).graph()
    for original, length in zip(graphs, lengths, strict=True):
        node = different(original, unrolled(graph, {name: length}))
        if node is not None:
            raise InputError(f"{node.shown} is not what the loop computes for {length} steps")
    return graph
