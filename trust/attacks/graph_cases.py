"""What the attacks on the readers of graphs share: when the outputs of a graph are those of its network."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from gatewise.errors import GatewiseError, InputError
from gatewise.exchange.proof import FUNCTIONS, SUMS, prove
from gatewise.exchange.read_network import ReadNetwork
from gatewise.members.graph_logits import logits_of
from gatewise.members.graph_network import GraphNetwork
from gatewise.network.graph import Graph, Node, run_node
from gatewise.network.operation import Execution
from gatewise.types import Array
from trust.attack import check_message
from trust.mutate import Rng

TOLERANCE = 1e-5  # of an output, relative to numbers above 1
ROUNDING = 10.0  # a float32 run may differ by this many times what the float32 network itself differs from float64
STEPS = 3_000  # of a batch
_STREAMED = 12  # steps that are read one by one
_SHRUNK = 60  # networks that are read to find a small one that fails
_PERTURBED = 4  # runs that measure how much rounding changes the outputs
_FLOAT32 = np.finfo(np.float32)
_SIDES = 32  # runs that look for the sides of a discontinuity


class Change(NamedTuple):
    """A random change of the inputs and weights of a network. size: relative to each number."""

    size: float
    seed: int


class Run(Protocol):
    """A network."""

    def __call__(self, arguments: tuple[Any, ...], dtype: str, change: Change | None = None) -> list[Array]:
        """The outputs for these arguments in "float32" or "float64"."""


Moved = Callable[[Array, Rng], Array]
"""Changes the results of an operation."""


class Wrong(AssertionError):
    """A graph computes something else than its network."""


def leaves(value: Any) -> list[Any]:
    """The arrays in nested tuples, lists and dicts, in their order."""
    if isinstance(value, dict):
        return [leaf for key in value for leaf in leaves(value[key])]
    if isinstance(value, tuple | list):
        return [leaf for one in value for leaf in leaves(one)]
    return [value]


def check_outputs(graph: Graph, run: Run, arguments: tuple[Any, ...]) -> None:
    """Raise Wrong where the graph computes something else than the network, in float64 or in float32. Raises the
    InputError of a graph that does not hold for these inputs.

    In float32 the network may have no error by chance: the sum of what is left of 38 numbers without their mean is 0 in
    one order of the sum. So a graph that was right in float64 also says by how much float32 changes its own outputs.
    """
    exact = run(arguments, "float64")
    rounded = run(arguments, "float32")
    _check_exact(graph, rounded, exact, arguments)
    computed = _outputs(graph, arguments, np.float32)
    try:
        check_rounded(computed, run, arguments)
    except Wrong:
        widest = [np.array(own) for own in rounded]
        for seed in range(_SIDES):
            sides = _outputs(graph, arguments, np.float64, np.random.default_rng(seed), _as_float32)
            for own, side, right in zip(widest, sides, exact, strict=True):
                _keep_farther(own, side, right)
        _check(computed, widest, exact, "float32", ROUNDING)


def _check_exact(graph: Graph, rounded: Sequence[Array], exact: Sequence[Array], arguments: tuple[Any, ...]) -> None:
    """Raise Wrong where numbers in float64 are other ones.

    Where a network is discontinuous, as floor is at 0, two correct computations may be on either side: one has 0 and
    the other -5e-17. There, the graph with the results of its operations changed by 1e-12 is on both sides, and each
    number of the network has to be on one of them. Where the graph is continuous, this changes nothing.
    """
    computed = _outputs(graph, arguments, np.float64)
    try:
        _check(computed, rounded, exact, "float64", 1e-2)
    except Wrong:
        nearest = [np.array(array) for array in computed]
        for seed in range(_SIDES):
            sides = _outputs(graph, arguments, np.float64, np.random.default_rng(seed))
            for side, right, near in zip(sides, exact, nearest, strict=True):
                _keep_nearer(side, right, near)
        _check(nearest, exact, exact, "float64", 0)


def check_rounded(computed: Sequence[Array], run: Run, arguments: tuple[Any, ...]) -> None:
    """Raise Wrong where numbers in float32 are farther from those of the network in float64 than rounding leads. The
    rounding of the float32 run may be small by chance: other inputs and weights, which float32 cannot tell from these,
    say by how much rounding changes the outputs.
    """
    exact = run(arguments, "float64")
    rounded = run(arguments, "float32")
    try:
        _check(computed, rounded, exact, "float32", ROUNDING)
    except Wrong:
        widest = [np.array(own) for own in rounded]
        for seed in range(_PERTURBED):
            for own, other, right in zip(widest, run(arguments, "float64", Change(1e-7, seed)), exact, strict=True):
                _keep_farther(own, other, right)
        _check(computed, widest, exact, "float32", ROUNDING)


def _outputs(
    graph: Graph, arguments: tuple[Any, ...], dtype: Any, rng: Rng | None = None, moved: Moved | None = None
) -> list[Array]:
    """Of the graph. rng: changes the results of its operations, by default by `_moved`."""
    arrays = [array.astype(dtype) if array.dtype.kind == "f" else array for array in leaves(arguments)]
    inputs = dict(zip(graph.inputs, arrays, strict=True))
    execution = Execution(dtype=dtype, keep=False)
    moved = moved or _moved
    if rng is None:
        values = graph.run(inputs, execution=execution)
    else:
        execution.sizes = graph.sizes(inputs)
        values = graph.start(inputs, execution)
        for node in graph.nodes:
            results, _ = run_node(node, values, execution)
            if _is_rounded(node, values):
                results = tuple(moved(array, rng) for array in results)
            values |= zip(node.outputs, results, strict=True)
    return [np.asarray(values[name]) for name in graph.outputs]


def _is_rounded(node: Node, values: Mapping[str, Array]) -> bool:
    """Whether a node has rounded its results. Copies and choices, and sums of whole numbers, such as of a mask, are
    exact: a comparison of them has one side.
    """
    if node.operation.name() not in SUMS | FUNCTIONS:
        return False
    read = [values[name] for name in node.inputs if name]
    return not all(_is_whole(array).all() for array in read if array.dtype.kind == "f")


def _is_whole(array: Array) -> Array:
    return np.asarray(array == np.round(array))


def _as_float32(array: Array, rng: Rng) -> Array:
    """Results of an operation as one in float32 may have them: rounded, and 0 for numbers that are too small for
    float32, which the kernel flushes to 0.
    """
    if array.dtype.kind != "f":
        return array
    change = float(_FLOAT32.eps) * rng.uniform(-1, 1, array.shape)
    too_small = (np.abs(array) < _FLOAT32.tiny) & (rng.random(array.shape) < 0.5)
    return np.where(too_small, 0.0, array * (1 + change))


def _moved(array: Array, rng: Rng) -> Array:
    """Results of an operation with a change of 1e-12, relative to each number or to the largest one below 1. Zeros
    stay: what is multiplied by 0 is exact.
    """
    if array.dtype.kind != "f" or not array.size:
        return array
    size = np.abs(np.where(np.isfinite(array), array, 0))
    change = 1e-12 * np.maximum(size, min(1.0, float(size.max())))
    return np.where(array == 0, array, array + change * rng.uniform(-1, 1, array.shape))


def changed(arrays: Sequence[Array], change: Change | None) -> list[Array]:
    """In float64, with the change. Whole numbers stay: they stand for something, such as a pad of -1, and are exact."""
    if change is None:
        return list(arrays)
    rng = np.random.default_rng(change.seed)
    results = []
    for array in arrays:
        if array.dtype.kind == "f":
            wide = array.astype(np.float64)
            factors = 1 + change.size * rng.standard_normal(array.shape)
            array = np.where(_is_whole(wide), wide, wide * factors)
        results.append(array)
    return results


def _keep_nearer(side: Array, right: Array, near: Array) -> None:
    """Where this side of a discontinuity is nearer to what is right than the one that is kept, keep it."""
    if not side.shape == right.shape == near.shape:
        return
    with np.errstate(invalid="ignore"):
        nearer = np.abs(side - right) < np.abs(near - right)
        nearer |= np.isnan(near - right) & ~np.isnan(side - right)
    nearer |= (side == right) | (np.isnan(side) & np.isnan(right))
    near[nearer] = side[nearer]


def _keep_farther(own: Array, other: Array, exact: Array) -> None:
    """Where the other run is farther from the exact numbers than the own one, take it."""
    if own.dtype.kind == "f" and own.shape == other.shape:
        with np.errstate(invalid="ignore"):
            farther = np.abs(other - exact) > np.abs(own - exact)
        own[farther] = other[farther]


def _check(
    computed: Sequence[Array],
    rounded: Sequence[Array],
    exact: Sequence[Array],
    dtype: str,
    rounding: float,
) -> None:
    if len(computed) != len(exact):
        raise Wrong(f"{len(computed)} outputs, not {len(exact)}")
    for number, (array, own, right) in enumerate(zip(computed, rounded, exact, strict=True)):
        where = f"output {number} in {dtype}"
        if array.shape != right.shape:
            raise Wrong(f"{where} has the shape {array.shape}, not {right.shape}")
        if right.dtype.kind != "f":
            # Another index of two equal numbers, where float32 has another one too.
            differs = (array != right) & (own == right)
            if differs.any():
                raise Wrong(f"{where} has {array[differs][0]}, not {right[differs][0]}")
            continue
        # Numbers that float32 does not have, or has as NaN, say nothing in float32.
        decided = np.isfinite(own) | ~np.isfinite(right) if dtype == "float32" else np.ones(right.shape, bool)
        decided = np.broadcast_to(decided, right.shape)
        array, own, right = array[decided].astype(np.float64), own[decided].astype(np.float64), right[decided]
        if not np.array_equal(np.isnan(array), np.isnan(right)):
            raise Wrong(f"{where} is NaN {int(np.isnan(array).sum())} times, not {int(np.isnan(right).sum())}")
        infinite = np.isinf(right)
        if not np.array_equal(array[infinite], right[infinite]):
            raise Wrong(f"{where} is not infinite where it should be")
        finite = np.isfinite(right)
        array, own, right = array[finite], own[finite], right[finite]
        with np.errstate(all="ignore"):
            scale = max(1.0, float(np.abs(right).max(initial=0)))
            error = float(np.abs(array - right).max(initial=0))
            distance = float(np.nan_to_num(np.abs(own - right), posinf=0.0).max(initial=0))
        if not error <= TOLERANCE * scale + rounding * distance:
            raise Wrong(f"{where} is off by {error:.2g} of {scale:.2g}; the network in float32 by {distance:.2g}")


def random_sizes(rng: Rng, example: tuple[int, int], *, long: float = 0.05) -> Iterator[tuple[int, int]]:
    """Numbers of sequences, 1 to 64, and steps: the example's, one, few, and many. long: the probability of a sequence
    of more than 100 steps.
    """
    yield example
    yield 1, int(rng.integers(1, 9))
    yield int(rng.integers(1, 6)), 1
    steps = int(np.exp(rng.uniform(0, np.log(100))))
    yield int(rng.integers(1, min(64, max(1, STEPS // steps)) + 1)), steps
    if rng.random() < long:
        yield 1, int(rng.integers(100, 2_001))


def compare(network: ReadNetwork, run: Run, batches: Iterator[tuple[Any, ...]]) -> str:
    """Compare the graph of a network with the network for these arguments, and what is causal step by step. Returns for
    a count whether it holds for all of them. Raises Wrong, unless the proof refuses the network, without which none is
    opened.
    """
    refused = 0
    compared = 0
    for arguments in batches:
        try:
            run(arguments, "float64")
        except Exception:  # the network itself does not take them, such as a slice that is empty
            continue
        try:
            check_outputs(network.graph, run, arguments)
        except InputError as error:
            check_message(error)
            refused += 1
        except Wrong as error:
            try:
                prove(network)
            except InputError as reason:
                check_message(reason)
                return "read wrongly, and refused by the proof"
            shapes = ", ".join(str(array.shape) for array in leaves(arguments))
            raise Wrong(f"{error}; inputs {shapes}") from None
        else:
            compared += 1
            check_steps(network.graph, arguments)
    return opened(compared, refused)


def opened(compared: int, refused: int) -> str:
    """What became of a network that was read, for a count. compared, refused: of how many arguments its graph gave the
    right outputs, and refused them.
    """
    if not compared:
        return "opens for no size"
    if refused:
        return "opens for some sizes"
    return "opens"


def check_steps(graph: Graph, arguments: tuple[Any, ...]) -> None:
    """Raise Wrong where a graph that is said to be causal computes something else step by step than of each prefix, in
    float64. One sequence is read, of at most so many steps that it takes no time.
    """
    inputs = dict(zip(graph.inputs, leaves(arguments), strict=True))
    for output in graph.outputs:
        try:
            logits = logits_of(graph, output)
            network = GraphNetwork.of(logits.graph, output, logits.name)
        except InputError:
            continue  # such as an output of whole numbers
        step_graph = network.form.causality.step_graph
        axes = {name: of.steps for name, of in network.form.axes.of_inputs.items() if of.steps is not None}
        batch = network.form.main_axes.batch
        rows = 1 if batch is None else inputs[network.form.axes.main].shape[batch]
        if step_graph is None or rows != 1:
            continue
        steps = min(_STREAMED, *(inputs[name].shape[axis] for name, axis in axes.items()))
        role = network.form.causality.values[network.form.logits_name]
        states = step_graph.start()
        for step in range(steps):
            new = _cut(inputs, axes, step, step + 1)
            result, states = step_graph.run(new, states, step, Execution(dtype=np.float64, keep=False))
            execution = Execution(dtype=np.float64, keep=False)
            try:
                values = network.form.explained.run(_cut(inputs, axes, 0, step + 1), execution=execution)
            except InputError:
                break  # a network of one length
            whole = values[network.form.logits_name]
            if role.axis is not None:
                whole = np.take(whole, [step], axis=role.axis)
            if not np.allclose(result, whole, rtol=1e-6, atol=1e-6, equal_nan=True):
                raise Wrong(f"{output} is causal, and after {step + 1} steps it is {result}, not {whole}")


def _cut(inputs: Mapping[str, Array], axes: Mapping[str, int], start: int, end: int) -> dict[str, Array]:
    """The inputs with these steps."""
    cut = dict(inputs)
    for name, axis in axes.items():
        cut[name] = inputs[name][(slice(None),) * axis + (slice(start, end),)]
    return cut


def reason_of(error: GatewiseError) -> str:
    """The reason of a refusal without names and numbers, for a count of each reason."""
    check_message(error)
    reason = re.sub(r"'[^']*'|\"[^\"]*\"|`[^`]*`", "…", str(error))
    reason = re.sub(r"\b[\w./<>-]*\d[\w.,]*", "#", reason)
    return f"refused: {reason[:90]}"


def smallest(check: Callable[[Collection[int] | None], object], steps: Sequence[int]) -> tuple[set[int], Exception]:
    """Of the steps of a network that fails, as few as still fail, and how they do. check: of the steps that are kept,
    None for all; raises what is wrong.
    """

    def failure(kept: Collection[int] | None) -> Exception | None:
        try:
            check(kept)
        except Exception as error:
            return error
        return None

    error = failure(None)
    assert error is not None, "a network that failed does not fail again"
    kept = set(steps)
    for number in sorted(kept, reverse=True)[:_SHRUNK]:
        fewer = kept - {number}
        again = failure(fewer)
        if again is not None and type(again) is type(error):
            kept = fewer
            error = again
    return kept, error
