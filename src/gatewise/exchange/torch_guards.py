"""The sizes for which the graph of a module holds.

torch.export decides each condition on a size as the example has it, also those that its own code asks, and it assumes
that no size is 1. A graph often holds beyond that: its slices, for example, take any length. Each condition is tried:
the module itself and the graph compute an example of sizes on the other side, at each boundary. Where they differ, or
the module refuses, the condition becomes a guard, and the graph refuses these sizes by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gatewise.errors import GatewiseError, InputError
from gatewise.exchange.torch_network import TorchNetwork
from gatewise.exchange.torch_sizes import guard_of
from gatewise.network.graph import Graph, Guard
from gatewise.network.operation import Execution
from gatewise.network.size import Size, maximum, symbol
from gatewise.types import Array

_MOST_SIZE = 600  # up to which each size is looked at
_MOST_TRIED = 5_000  # the largest constant of a condition for which the module runs on both sides
_OPEN = 1 << 31  # a constant that stands for no bound
_SAMPLES = 12  # of the sizes for which one condition does not hold
_TOLERANCE = 1e-7
_LEAST_SCALE = 0.1
_MOST_IDS = (None, 1)  # the integers of the example as they are, or at most 1


def guarded(network: TorchNetwork, conditions: Sequence[Condition]) -> TorchNetwork:
    """The network with the guards that it needs, of the conditions that torch.export decided.

    Raises InputError for a condition that it needs and that a graph does not have.
    """
    example = network.example_sizes()
    needed = list(network.graph.guards)
    for condition in conditions:
        # That of a loop is decided by the loop.
        if condition.symbols <= set(example):
            needed += _needed(network, condition, example, needed)
    for name in network.graph.symbols:
        if not _holds_for_one(network, name, needed):
            needed.append(Guard(symbol(name), "!=", 1))
    ones = dict.fromkeys(network.graph.symbols, 1)
    if len(ones) > 1 and _within(needed, ones) and agrees(network, ones) is False:
        largest: Any = 1
        for name in ones:
            largest = maximum(largest, symbol(name))
        needed.append(Guard(largest, "!=", 1))
    return replace(network, graph=replace_guards(network.graph, needed))


def _holds_for_one(network: TorchNetwork, name: str, guards: Sequence[Guard]) -> bool:
    """Whether the graph is the module where a size is 1, alone or with all sizes that are equal in the example: they
    may be the sizes of one batch.
    """
    example = network.example_sizes()
    equal = [other for other, size in example.items() if size == example[name]]
    for chosen in ([name], equal):
        sizes = {**example, **dict.fromkeys(chosen, 1)}
        if not _within(guards, sizes):
            return True  # the graph refuses it anyway
        holds = agrees(network, sizes)
        if holds is not None:
            return holds
    return False


def replace_guards(graph: Graph, guards: Sequence[Guard]) -> Graph:
    """The graph with these guards."""
    return Graph(graph.inputs, graph.constants, graph.nodes, graph.outputs, tuple(guards))


def agrees(network: TorchNetwork, sizes: Mapping[str, int]) -> bool | None:
    """Whether the graph computes what the module computes, for an example of these sizes and for random numbers in its
    place; None where the module takes none of them.
    """
    for most in _MOST_IDS:
        inputs = network.example_inputs(sizes)
        for name, array in inputs.items():
            # The example may name rows, such as the length of a sequence, that there are not for these sizes.
            if most is not None and array.dtype.kind == "i":
                inputs[name] = np.minimum(array, most)
        same = _agrees_for(network, inputs)
        if same is None:
            continue
        # An example is often of zeros, for which most functions are the same.
        return same and _agrees_for(network, _randomized(network, inputs)) is not False
    return None


def _agrees_for(network: TorchNetwork, inputs: Mapping[str, Array]) -> bool | None:
    """Whether the graph computes what the module computes; None where the module does not take these inputs."""
    try:
        wanted = network.original_values(inputs, network.graph.outputs, "float64")
    except Exception:  # of any kind: it is code of the user
        return None
    try:
        graph = replace_guards(network.graph, ())
        computed = graph.run(inputs, execution=Execution(dtype=np.float64, keep=False))
    except (GatewiseError, ValueError, IndexError):
        return False
    return all(close(computed[name], wanted[name]) for name in network.graph.outputs)


def _randomized(network: TorchNetwork, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Random numbers in place of those of an example: floats, and ids up to its largest one. Lengths and masks stay."""
    rng = np.random.default_rng(61)
    randomized = dict(inputs)
    for name, array in inputs.items():
        if name in network.lengths or not array.size:
            continue
        if array.dtype.kind == "f":
            randomized[name] = rng.standard_normal(array.shape).astype(array.dtype)
        elif array.dtype.kind == "i" and array.ndim > 1:
            randomized[name] = rng.integers(0, max(int(array.max()), 1) + 1, array.shape).astype(array.dtype)
    return randomized


def close(computed: Any, original: Any) -> bool:
    """Whether two arrays of float64 differ by roundings at most."""
    if computed.shape != original.shape:
        return False
    # Below that, what is 0 without roundings may differ, such as a standard deviation of equal numbers.
    scale = _LEAST_SCALE
    if original.dtype.kind == "f":
        scale = np.abs(original[np.isfinite(original)]).max(initial=_LEAST_SCALE)
    return bool(np.allclose(computed, original, rtol=_TOLERANCE, atol=_TOLERANCE * scale, equal_nan=True))


@dataclass(frozen=True)
class Condition:
    """A condition that torch.export decided. guard: None for one that is no relation of two sizes. expression: of
    SymPy. names: of its symbols in the graph, by those of torch. place: the file whose code asked for it.
    """

    guard: Guard | None
    expression: Any
    names: Mapping[str, str]
    place: str

    @property
    def symbols(self) -> set[str]:
        """The names of its sizes."""
        return {self.names[symbol.name] for symbol in self.expression.free_symbols if symbol.name in self.names}

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """Whether it holds for these sizes."""
        if self.guard is None:
            values = {symbol: sizes[self.names[symbol.name]] for symbol in self.expression.free_symbols}
            return str(self.expression.subs(values)) == "True"  # of SymPy; what is undefined is neither true nor false
        return self.guard.holds(sizes)

    @property
    def largest(self) -> int:
        """The largest constant in it."""
        if self.guard is not None:
            return max(_largest(self.guard.left), _largest(self.guard.right))
        return max((abs(int(number)) for number in self.expression.atoms() if number.is_Integer), default=0)

    def __str__(self) -> str:
        return str(self.guard or self.expression)


def conditions_of(shape_env: Any, names: Mapping[str, str]) -> list[Condition]:
    """The conditions that torch.export decided, without those that always hold."""
    conditions: list[Condition] = []
    for entry in shape_env.guards:
        expression = shape_env.replace(entry.expr)
        free = getattr(expression, "free_symbols", ())
        if not free or any(symbol.name not in names for symbol in free):
            continue
        try:
            guards: list[Guard | None] = [*guard_of(expression, names)]
        except InputError:
            guards = [None]
        for guard in guards:
            place = getattr(getattr(entry, "sloc", None), "framework_loc", None)
            condition = Condition(guard, expression, names, str(getattr(place, "filename", "")))
            if str(condition) not in map(str, conditions):
                conditions.append(condition)
    return conditions


def _within(guards: Sequence[Guard], sizes: Mapping[str, int]) -> bool:
    return all(guard.holds(sizes) for guard in guards)


def _needed(
    network: TorchNetwork, condition: Condition, example: Mapping[str, int], guards: Sequence[Guard]
) -> list[Guard]:
    """The guards for the sizes for which a condition does not hold, none where the graph is the module for them too.

    Raises InputError for a condition that is needed and that a graph does not have.
    """
    ones = _differing_ones(network, condition, example, guards)
    if ones is not None:
        return [Guard(symbol(name), "!=", 1) for name in sorted(ones)]
    if condition.guard is None:
        raise InputError(f"the network holds for {condition} alone, which is no relation of two sizes")
    return [condition.guard]


def _differing_ones(
    network: TorchNetwork, condition: Condition, example: Mapping[str, int], guards: Sequence[Guard]
) -> set[str] | None:
    """The sizes for which the graph is not the module where they are 1, of a condition for which it is the module
    where they are something else; None where it needs the condition.

    The condition would then refuse too many sizes: torch 2.9 asks whether more than one step is left, for an order in
    memory.
    """
    near = range(condition.largest - 1, condition.largest + 2)
    untried = (not condition.holds({**example, name: size}) for name in condition.symbols for size in near)
    if _MOST_TRIED < condition.largest < _OPEN and any(untried):
        return None
    agreeing = 0
    ones: set[str] = set()
    for sizes in _outside(condition, example):
        if not _within(guards, sizes):
            continue
        if agrees(network, sizes):
            agreeing += 1
            continue
        changed = {name for name in condition.symbols if sizes[name] == 1 != example[name]}
        if not changed:
            return None
        ones |= changed
    # A condition that holds for all sizes but 1 is clearer than that of 1.
    return ones if agreeing or not ones else None


def beyond(condition: Condition, example: Mapping[str, int]) -> dict[str, int] | None:
    """Sizes next to those of the example for which a condition does not hold; None where there are none."""
    near = sorted(
        _outside(condition, example), key=lambda sizes: sum(abs(sizes[name] - example[name]) for name in example)
    )
    return next(iter(near), None)


def _outside(condition: Condition, example: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """Sizes for which a condition does not hold: those at each boundary, with their neighbours, and some between."""
    for name in sorted(condition.symbols):
        highest = min(_MOST_SIZE, 2 * max(condition.largest, example[name]) + 3)
        sizes = [*range(1, highest + 1)]
        if highest < condition.largest <= _MOST_TRIED:
            sizes += range(condition.largest - 1, condition.largest + 3)
        outside = [size for size in dict.fromkeys(sizes) if not condition.holds({**example, name: size})]
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
