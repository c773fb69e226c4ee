"""What the attacks on the readers of graphs share: when the outputs of a graph are those of its network."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gatewise.errors import GatewiseError, InputError
from gatewise.exchange.proof import prove
from gatewise.exchange.read_network import ReadNetwork
from gatewise.members.graph_logits import logits_of
from gatewise.members.graph_network import GraphNetwork
from gatewise.network.graph import Graph
from gatewise.network.operation import Execution
from gatewise.types import Array
from trust.attack import check_message
from trust.mutate import Rng

TOLERANCE = 1e-5  # of an output, relative to numbers above 1
ROUNDING = 10.0  # a graph may differ by this many times what the float32 network itself differs from float64
STEPS = 3_000  # of a batch
_STREAMED = 12  # steps that are read one by one
_SHRUNK = 60  # networks that are read to find a small one that fails
_PERTURBED = 4  # runs that measure how much rounding changes the outputs

Run = Callable[[tuple[Any, ...], str], list[Array]]
"""Of the arguments of a network and a dtype, "float32" or "float64": its outputs."""


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
    """
    exact = run(arguments, "float64")
    rounded = run(arguments, "float32")

    def perturbed(seed: int) -> list[Array]:
        return run(_perturbed(arguments, seed), "float64")

    _check_rounding(_outputs(graph, arguments, np.float64), rounded, exact, "float64", perturbed)
    _check_rounding(_outputs(graph, arguments, np.float32), rounded, exact, "float32", perturbed)


def check_runtime(graph: Graph, run: Callable[[tuple[Any, ...]], list[Array]], arguments: tuple[Any, ...]) -> None:
    """Raise Wrong where the graph computes something else than a runtime that has float32 only."""
    exact = _outputs(graph, arguments, np.float64)
    rounded = _outputs(graph, arguments, np.float32)

    def perturbed(seed: int) -> list[Array]:
        return _outputs(graph, _perturbed(arguments, seed), np.float64)

    _check_rounding(run(arguments), rounded, exact, "float32", perturbed)


def _check_rounding(
    computed: Sequence[Array],
    rounded: Sequence[Array],
    exact: Sequence[Array],
    dtype: str,
    perturbed: Callable[[int], list[Array]],
) -> None:
    """Raise Wrong where numbers differ by more than rounding may change them. The rounding of the float32 run may be
    small by chance, and some layers of Keras compute in float32 in any dtype: other inputs, which float32 cannot tell
    from these, say by how much rounding changes the outputs.
    """
    factor = 1e-2 if dtype == "float64" else ROUNDING
    try:
        _check(computed, rounded, exact, dtype, factor)
    except Wrong:
        widest = [np.array(own) for own in rounded]
        for seed in range(_PERTURBED):
            for own, other, right in zip(widest, perturbed(seed), exact, strict=True):
                _keep_farther(own, other, right)
        _check(computed, widest, exact, dtype, max(factor, 2.0))


def _outputs(graph: Graph, arguments: tuple[Any, ...], dtype: Any) -> list[Array]:
    arrays = [array.astype(dtype) if array.dtype.kind == "f" else array for array in leaves(arguments)]
    inputs = dict(zip(graph.inputs, arrays, strict=True))
    outputs = graph.run(inputs, execution=Execution(dtype=dtype, keep=False))
    return [np.asarray(outputs[name]) for name in graph.outputs]


def _perturbed(arguments: tuple[Any, ...], seed: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)

    def changed(array: Any) -> Any:
        if isinstance(array, tuple):
            return tuple(changed(one) for one in array)
        if array.dtype.kind != "f":
            return array
        return array.astype(np.float64) * (1 + 1e-7 * rng.standard_normal(array.shape))

    return tuple(changed(argument) for argument in arguments)


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
    if not refused:
        return "opens"
    return "opens for some sizes" if compared else "opens for no size"


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
