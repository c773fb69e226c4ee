"""The sizes of the inputs for which a network is compared with the original, and what a run with them costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from gatewise.errors import InputError
from gatewise.network.graph import Graph, Node
from gatewise.network.operation import Operation
from gatewise.network.operations.loop import Loop
from gatewise.network.size import Atom, Dim, Size, product, symbols_of, value_of

LONGEST = 2_000
SIZES = (1, 2, 3, 13, 31, 64, 257, LONGEST)
"""Of each axis, besides those at which the network may change: few, odd, even and many."""
USUAL = 5, 7, 4, 6, 3, 2, 1
"""Of the other axes: different numbers, so that no axis is taken for another one. The first ones that the guards allow
are taken."""
MAX_BOUNDARY = 4_096
"""Larger sizes at which a network changes are not compared."""

CASE_BUDGET = 400_000_000
"""Multiply-adds of one run."""
BUDGET = 3_000_000_000
"""Multiply-adds of one run for each of the sizes."""
MAX_ELEMENTS = 15_000_000
"""Of the values of one run, which are compared."""
_NODE = 20_000  # multiply-adds that a node costs whatever its size
_STEP = 30_000  # and a step of a recurrence
_SCANNED = (*range(1, 130), *range(130, 1_000, 30), *range(1_000, MAX_BOUNDARY + 1, 100))  # for what changes there
MAX_SYMBOLS = 100
"""Networks with more of them are not compared."""
_MAX_COMBINATIONS = 20_000  # of sizes that are tried until the guards hold


@dataclass(frozen=True)
class Cost:
    """multiply_adds: of a run. elements: of all its values."""

    multiply_adds: int
    elements: int

    def within(self, budget: int) -> bool:
        """Whether a run is done at all."""
        return self.multiply_adds <= budget and self.elements <= MAX_ELEMENTS


def cost_of(graph: Graph, sizes: Mapping[str, int]) -> Cost:
    """Of a run of a graph with these sizes of the symbols, roughly."""
    multiply_adds = 0
    elements = 0
    for node in graph.nodes:
        count = sum(value_of(product(graph.types[name].shape), sizes) for name in node.outputs)
        elements += count
        multiply_adds += _NODE + count + _products_of(graph, node, sizes)
    return Cost(multiply_adds, elements)


def _products_of(graph: Graph, node: Node, sizes: Mapping[str, int]) -> int:
    """The multiply-adds of a node with weights or of a product."""
    shapes = [graph.types[name].shape if name else () for name in node.inputs]
    name = node.operation.name()
    if name == "Recurrent":
        batch, steps, _ = shapes[0]
        weights = sum(value_of(product(shape), sizes) for shape in shapes[1:3])
        return value_of(steps, sizes) * (value_of(batch, sizes) * weights + _STEP)
    if isinstance(node.operation, Loop):
        return max(value_of(node.operation.steps, sizes), 0) * (
            cost_of(node.operation.body, sizes).multiply_adds + _STEP
        )
    results = value_of(product(graph.types[node.outputs[0]].shape), sizes)
    if name in ("MatMul", "Gemm", "Einsum"):
        return results * value_of(shapes[0][-1], sizes)
    if name == "Conv":
        return results * value_of(product(shapes[1][1:]), sizes)
    return 0


def usual_sizes(graph: Graph) -> dict[str, int]:
    """Small, different sizes of the symbols for which the guards hold. Raises InputError where there are none."""
    if len(graph.symbols) > MAX_SYMBOLS:
        count = f"{len(graph.symbols):,} axes of its inputs"
        raise InputError(f"the network cannot be compared: {count} have sizes of their own, more than {MAX_SYMBOLS}")
    choices = {}
    for name in graph.symbols:
        boundaries = boundaries_of(graph, name, dict.fromkeys(graph.symbols, USUAL[0]))
        choices[name] = [*USUAL, *(size for size in boundaries if size not in USUAL)]
    for tries, sizes in enumerate(_combinations(list(graph.symbols), choices, {})):
        # Different symbols have different sizes, unless the guards want equal ones.
        if _holds(graph, sizes) and (len(set(sizes.values())) == len(sizes) or tries > len(USUAL) ** 2):
            return sizes
        if tries == _MAX_COMBINATIONS:
            break
    for size in USUAL:
        sizes = dict.fromkeys(graph.symbols, size)
        if _holds(graph, sizes):
            return sizes
    guards = ", ".join(map(str, graph.guards))
    raise InputError(f"the network cannot be compared: no sizes are known for which {guards}")


def _combinations(
    names: list[str], choices: Mapping[str, list[int]], sizes: dict[str, int]
) -> Iterable[dict[str, int]]:
    if not names:
        yield dict(sizes)
        return
    for size in choices[names[0]]:
        yield from _combinations(names[1:], choices, {**sizes, names[0]: size})


def compared_sizes(graph: Graph, usual: Mapping[str, int]) -> list[dict[str, int]]:
    """The sizes for which a network is compared, each axis with few and many, and on both sides of the sizes at which
    the network may change. Within the budget: of too large ones, the largest become smaller first.
    """
    boundaries: list[dict[str, int]] = []
    reducible: list[tuple[str, dict[str, int]]] = []
    for name in graph.symbols:
        for size in boundaries_of(graph, name, usual):
            boundaries.append({**usual, name: size})
        reducible += [(name, {**usual, name: size}) for size in SIZES]
    for size in (1, 2, 3):
        boundaries.append(dict.fromkeys(graph.symbols, size))
    exact = [sizes for sizes in boundaries if _holds(graph, sizes) and cost_of(graph, sizes).within(10 * CASE_BUDGET)]
    ladder = []
    for name, sizes in reducible:
        reduced = _reduced(graph, name, sizes)
        if reduced is not None:
            ladder.append((name, reduced))
    costs = [cost_of(graph, sizes).multiply_adds for _, sizes in ladder]
    left = BUDGET - sum(cost_of(graph, sizes).multiply_adds for sizes in exact)
    while sum(costs) > max(left, 0):
        largest = costs.index(max(costs))
        name, sizes = ladder[largest]
        smaller = _reduced(graph, name, {**sizes, name: sizes[name] // 2}) if sizes[name] > 3 else None
        if smaller is None:
            costs[largest] = 0  # it stays as it is
        else:
            ladder[largest] = (name, smaller)
            costs[largest] = cost_of(graph, smaller).multiply_adds
    distinct = {tuple(sizes.items()): sizes for sizes in [*exact, *(sizes for _, sizes in ladder)]}
    return sorted(distinct.values(), key=lambda sizes: cost_of(graph, sizes).multiply_adds)


def _reduced(graph: Graph, name: str, sizes: dict[str, int]) -> dict[str, int] | None:
    """The sizes with a smaller one of this symbol, until one run is within its budget and the guards hold. None where
    no such size is known.
    """
    size = sizes[name]
    while size >= 1:
        smaller = {**sizes, name: size}
        if _holds(graph, smaller) and (size <= 3 or cost_of(graph, smaller).within(CASE_BUDGET)):
            return smaller
        size = size // 2 if size > 8 else size - 1
    return None


def _holds(graph: Graph, sizes: Mapping[str, int]) -> bool:
    return all(guard.holds(sizes) for guard in graph.guards)


def boundaries_of(graph: Graph, name: str, usual: Mapping[str, int]) -> list[int]:
    """The sizes of a symbol next to which something changes: a guard, a maximum, a quotient, or a size that the network
    holds as a number; and the sizes on both sides.
    """
    places: set[int] = set()
    for left, right in _conditions(graph, name):
        places |= _zeros(left - right, name, usual)
    for number in _numbers(graph):
        places.add(number)
    near = {place + step for place in places for step in (-1, 0, 1)}
    return sorted(size for size in near if 1 <= size <= MAX_BOUNDARY)[:60]


def _zeros(difference: Dim, name: str, usual: Mapping[str, int]) -> set[int]:
    """The sizes of a symbol at which a difference is 0, or just before which it changes its sign."""

    def sign_at(size: int) -> int | None:
        try:
            value = value_of(difference, {**usual, name: size})
        except InputError:  # a division by 0
            return None
        return (value > 0) - (value < 0)

    zeros: set[int] = set()
    before: tuple[int, int | None] = (0, None)
    for size in _SCANNED:
        sign = sign_at(size)
        if sign == 0:
            zeros.add(size)
        low, sign_before = before
        if sign_before is not None and sign is not None and sign_before != sign:
            high = size
            while high - low > 1:
                middle = (low + high) // 2
                if sign_at(middle) == sign_before:
                    low = middle
                else:
                    high = middle
            zeros.add(high)
        before = (size, sign)
    return zeros


def _conditions(graph: Graph, name: str) -> set[tuple[Dim, Dim]]:
    """What is compared with what where a size that depends on the symbol changes its form."""
    conditions: set[tuple[Dim, Dim]] = set()
    for guard in graph.guards:
        conditions.add((guard.left, guard.right))
    for dim in _dims(graph):
        for atom in _atoms(dim):
            if atom.operation in ("max", "min"):
                conditions.add((atom.left, atom.right))
            else:
                conditions.update((atom.left, times * atom.right) for times in (1, 2))
    return {condition for condition in conditions if name in symbols_of(condition[0]) | symbols_of(condition[1])}


def _dims(graph: Graph) -> set[Dim]:
    """All sizes of a graph: of its values, and in the fields of its operations."""
    dims: set[Dim] = set()
    for value_type in graph.types.values():
        dims.update(value_type.shape)
    for node in graph.nodes:
        for value in _fields(node.operation):
            if isinstance(value, Size):
                dims.add(value)
            elif isinstance(value, tuple):
                dims.update(entry for entry in value if isinstance(entry, Size))
    return dims


def _fields(operation: Operation) -> list[object]:
    return [getattr(operation, entry.name) for entry in fields(operation)]  # type: ignore[arg-type]  # a dataclass


def _atoms(dim: Dim) -> list[Atom]:
    """The atoms of a size, and those in them."""
    if isinstance(dim, int):
        return []
    atoms = []
    for factors, _ in dim.terms:
        for factor in factors:
            if isinstance(factor, Atom):
                atoms += [factor, *_atoms(factor.left), *_atoms(factor.right)]
    return atoms


def _numbers(graph: Graph) -> set[int]:
    """The bounds of slices, and the whole numbers among the constants, which may be sizes."""
    numbers: set[int] = set()
    for node in graph.nodes:
        if node.operation.name() not in ("Slice", "Gather"):
            continue
        for value in _fields(node.operation):
            if isinstance(value, tuple):
                numbers.update(abs(entry) for entry in value if isinstance(entry, int))
    for array in graph.constants.values():
        if array.size == 1 and array.dtype.kind in "iu":
            numbers.add(abs(int(array.reshape(())[()])))
    return {number for number in numbers if 2 <= number <= 100}


def shown(sizes: Mapping[str, int]) -> str:
    """For messages, such as B = 3, T = 7."""
    return ", ".join(f"{name} = {size}" for name, size in sizes.items())
