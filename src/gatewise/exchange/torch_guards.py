"""The sizes for which the graph of a module holds.

torch.export decides each condition on a size as the example has it, also those that its own code asks, and it assumes
that no size is 1. A graph often holds beyond that: its slices, for example, take any length. Each condition is tried:
the module itself and the graph compute an example of sizes on the other side, at each boundary. Where they differ, or
the module refuses, the condition becomes a guard, and the graph refuses these sizes by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gatewise.errors import GatewiseError
from gatewise.exchange.torch_network import TorchNetwork
from gatewise.exchange.torch_sizes import guard_of
from gatewise.network.graph import Graph, Guard
from gatewise.network.operation import Execution
from gatewise.network.size import Size, maximum, symbol, symbols_of

_MOST_SIZE = 600  # beyond the constants of the conditions
_SAMPLES = 12  # of the sizes for which one condition does not hold
_TOLERANCE = 1e-7


def guarded(network: TorchNetwork, shape_env: Any, names: Mapping[str, str]) -> TorchNetwork:
    """The network with the guards that it needs. shape_env: of torch.export, with the conditions that it decided."""
    guards = _conditions(shape_env, names)
    example = network.example_sizes()
    needed: list[Guard] = []
    for guard in guards:
        if not _holds_beyond(network, guard, example):
            needed.append(guard)
    network = replace(network, graph=replace_guards(network.graph, needed))
    for name in network.graph.symbols:
        sizes = {**example, name: 1}
        if _within(needed, sizes) and not agrees(network, sizes):
            needed.append(Guard(symbol(name), "!=", 1))
    ones = dict.fromkeys(network.graph.symbols, 1)
    if len(ones) > 1 and _within(needed, ones) and not agrees(network, ones):
        largest: Any = 1
        for name in ones:
            largest = maximum(largest, symbol(name))
        needed.append(Guard(largest, "!=", 1))
    return replace(network, graph=replace_guards(network.graph, needed))


def replace_guards(graph: Graph, guards: Sequence[Guard]) -> Graph:
    """The graph with these guards."""
    return Graph(graph.inputs, graph.constants, graph.nodes, graph.outputs, tuple(guards))


def agrees(network: TorchNetwork, sizes: Mapping[str, int]) -> bool:
    """Whether the graph computes what the module computes, for an example of these sizes. False where one of the two
    refuses them.
    """
    try:
        inputs = network.example_inputs(sizes)
        wanted = network.original_values(inputs, network.graph.outputs, "float64")
        graph = replace_guards(network.graph, ())
        computed = graph.run(inputs, execution=Execution(dtype=np.float64, keep=False))
    except (GatewiseError, RuntimeError, ValueError, IndexError, TypeError, AssertionError):
        return False
    return all(_close(computed[name], wanted[name]) for name in network.graph.outputs)


def _close(computed: Any, wanted: Any) -> bool:
    if computed.shape != wanted.shape:
        return False
    scale = np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0) if wanted.dtype.kind == "f" else 0
    return bool(np.allclose(computed, wanted, rtol=_TOLERANCE, atol=_TOLERANCE * scale, equal_nan=True))


def _conditions(shape_env: Any, names: Mapping[str, str]) -> list[Guard]:
    """The conditions that torch.export decided, in the symbols of the graph."""
    guards: list[Guard] = []
    for condition in shape_env.guards:
        expression = shape_env.replace(condition.expr)
        known = {s.name for s in getattr(expression, "free_symbols", ())}
        if not known:
            continue
        for guard in guard_of(expression, names):
            if guard not in guards:
                guards.append(guard)
    return guards


def _within(guards: Sequence[Guard], sizes: Mapping[str, int]) -> bool:
    return all(guard.holds(sizes) for guard in guards)


def _holds_beyond(network: TorchNetwork, guard: Guard, example: Mapping[str, int]) -> bool:
    """Whether the graph is the module where a condition does not hold too."""
    return all(agrees(network, sizes) for sizes in _outside(guard, example))


def _outside(guard: Guard, example: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """Sizes for which a guard does not hold: those at each boundary, with their neighbours, and some between."""
    for name in sorted(symbols_of(guard.left) | symbols_of(guard.right)):
        highest = min(_MOST_SIZE, 2 * max(_largest(guard.left), _largest(guard.right), example[name]) + 3)
        outside = [size for size in range(1, highest + 1) if not guard.holds({**example, name: size})]
        edges = [
            size
            for size in outside
            if not {size - 1, size + 1} <= set(outside) or not {size - 2, size + 2} <= set(outside)
        ]
        for size in _spread(sorted({*edges, *outside[:: max(1, len(outside) // 4)]})):
            yield {**example, name: size}


def _spread(sizes: list[int]) -> list[int]:
    """At most `_SAMPLES` of these sizes, the smallest and the largest among them."""
    if len(sizes) <= _SAMPLES:
        return sizes
    places = np.linspace(0, len(sizes) - 1, _SAMPLES).astype(int)
    return [sizes[place] for place in places]


def _largest(dim: Any) -> int:
    """The largest constant in a size."""
    if isinstance(dim, int):
        return abs(dim)
    largest = 0
    assert isinstance(dim, Size)
    for factors, coefficient in dim.terms:
        largest = max(largest, abs(coefficient))
        for factor in factors:
            if not isinstance(factor, str):
                largest = max(largest, _largest(factor.left), _largest(factor.right))
    return largest
