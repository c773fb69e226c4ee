"""`prove`: what was read of a network is compared with the original, value by value.

Each value of the graph that the original has too is computed from the values of the original, in float64: errors
neither add up nor cancel, and the first node that differs is the wrong one. The outputs in float32 are compared with
those of the original in float64. The original itself runs in float32 for the first inputs, for the numbers that it
compares with others, and wherever the outputs differ: there its own rounding says whether they may.

Two correct computations differ by their rounding. How much rounding changes a value is measured where it differs: the
graph computes it again, with each result of a rounded operation changed by as much as rounding may. A value that
rounding changes a lot, as after many steps of a chaotic recurrence, says nothing for those inputs, and other inputs
have to decide about it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from gatewise.errors import InputError, counted
from gatewise.exchange.proof_inputs import Case, CaseMaker
from gatewise.exchange.proof_rows import check_rows
from gatewise.exchange.proof_sizes import shown
from gatewise.exchange.read_network import ReadNetwork
from gatewise.kernels import get
from gatewise.network.graph import Graph, Node, run_node
from gatewise.network.operation import Execution
from gatewise.network.operations.top_k import TopK
from gatewise.types import Array

TOLERANCE = 1e-10
"""Of a value in float64, relative to its numbers, or to the largest one of them where that is below 1."""
SINGLE_TOLERANCE = 1e-5
"""Of an output in float32, relative to numbers above 1."""
_ROUNDING = 20.0  # two computations may differ by this many times what the measured rounding changes
_RUNS = 3  # that measure the rounding
_DECIDES = 1e-3  # rounding that is larger, relative to the numbers of a value, decides nothing
_OVERFLOW = 1e30  # beyond which float32 may have no number

# Operations whose results are rounded: the sums in their order, and functions. Other operations, such as comparisons
# and choices, return the same bits in each correct computation of the same numbers.
SUMS = {
    "AveragePool", "BatchNormalization", "Conv", "CumSum", "Einsum", "Gemm", "GlobalAveragePool", "GroupNormalization",
    "InstanceNormalization", "LayerNormalization", "LogSoftmax", "Loop", "MatMul", "Mean", "RMSNormalization",
    "Recurrent", "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMean", "ReduceProd", "ReduceSum", "ReduceSumSquare",
    "Softmax", "Sum",
}  # fmt: skip
FUNCTIONS = {
    "Add", "Celu", "Cos", "Div", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Mish",
    "Mul", "PRelu", "Pow", "Reciprocal", "Selu", "Sigmoid", "Sin", "Softplus", "Softsign", "Sqrt", "Sub", "Swish",
    "Tanh",
}  # fmt: skip


@dataclass(frozen=True)
class _Precision:
    """Of a run: the dtype, and by how much a run that measures the rounding changes numbers, relative to them."""

    dtype: Any
    change: float


_DOUBLE = _Precision(np.float64, 8 * 2.0**-53)
_SINGLE = _Precision(np.float32, 2.0**-23)
_SINGLE_IN_DOUBLE = _Precision(np.float64, 2.0**-23)
"""The rounding of float32, measured in float64."""


@dataclass
class Proof:
    """What was compared. cases: the number of inputs. sizes: those of the symbols, each once. values: the number of
    values that were compared. refused: why the original or the graph did not take other inputs, by the name of the
    case.
    """

    values: int
    cases: int = 0
    sizes: list[dict[str, int]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        sizes = "; ".join(shown(sizes) for sizes in self.sizes if sizes)
        return f"{counted(self.values, 'value')} compared for {counted(self.cases, 'input')}: {sizes or 'one size'}"


def prove(network: ReadNetwork) -> Proof:
    """Compare each value of the graph that the original has too with that of the original. Raises InputError naming the
    first node that differs, and the inputs for which it does; also where the outputs of a sequence depend on its batch.
    """
    comparison = _Comparison(network)
    for case in CaseMaker(network.graph).cases():
        comparison.compare(case)
    comparison.require_decided()
    check_rows(network)
    return comparison.proof


class _Comparison:
    def __init__(self, network: ReadNetwork) -> None:
        self.network = network
        self.graph: Graph = network.graph
        self.compared = tuple(name for name in network.compared if name not in self.graph.inputs)
        unknown = [name for name in self.compared if name not in self.graph.types]
        if unknown:
            raise InputError(f"the graph has no value {unknown[0]!r}, which is to be compared")
        self.proof = Proof(len(self.compared))
        self.decided: set[str] = set()
        self.origins = {name: node for node in self.graph.nodes for name in node.outputs}

    @cached_property
    def of_tables(self) -> tuple[str, ...]:
        """The first compared values after each index of a constant table."""
        reached: set[str] = set()
        first: list[str] = []
        for node in self.graph.nodes:
            looked_up = node.operation.name() in ("Gather", "OneHot", "Equal", "Loop")
            if not looked_up and not reached.intersection(node.inputs):
                continue
            compared = [name for name in node.outputs if name in self.compared]
            first += compared
            if not compared:
                reached.update(node.outputs)
        return tuple(first)

    def compare(self, case: Case) -> None:
        """Compare the values for these inputs."""
        compared = self.of_tables if case.ids else self.compared
        if not compared:
            return
        original = self._original(case, compared, "float64")
        if original is None:
            return
        try:
            self._compare_values(case, original)
            if not case.ids:
                self._compare_outputs(case, original)
            if case.ties:
                self._compare_decisions(case)
        except _UndefinedError as error:
            if not case.refusable:
                raise InputError(f"for {case.shown}, the network cannot be compared: {error}") from None
            self.proof.refused[case.shown] = str(error)
            return
        except _GraphRefusesError as error:
            if not case.refusable:
                raise InputError(f"for {case.shown}, the graph refuses what the original takes: {error}") from None
            self.proof.refused[case.shown] = str(error)
            return
        self.proof.cases += 1
        sizes = dict(case.sizes)
        if sizes not in self.proof.sizes:
            self.proof.sizes.append(sizes)

    def require_decided(self) -> None:
        """Raise InputError for a value of which all inputs said nothing."""
        if not self.proof.cases:
            reason = next(iter(self.proof.refused.values()), "there are none")
            raise InputError(f"the network cannot be compared: it refuses all inputs that were tried: {reason}")
        for name in self.compared:
            if name not in self.decided:
                raise InputError(f"{self._shown(name)} cannot be compared: rounding changes its numbers for all inputs")

    def _original(self, case: Case, names: Sequence[str], dtype: str) -> dict[str, Array] | None:
        """The values of the original. None where it refuses inputs that it may refuse."""
        try:
            values = self.network.original_values(case.inputs, names, dtype)
        except InputError as error:
            if case.required and self._takes(case):
                raise InputError(f"for {case.shown}, the original refuses what the graph takes: {error}") from None
            self.proof.refused[case.shown] = str(error)
            return None
        return {name: np.asarray(values[name]) for name in names}

    def _takes(self, case: Case) -> bool:
        """Whether the graph computes outputs for these inputs."""
        try:
            self.graph.run(case.inputs)
        except InputError:
            return False
        return True

    def _compare_values(self, case: Case, original: Mapping[str, Array]) -> None:
        """Each value in float64, computed from those of the original."""
        original = dict(original)
        of_ties: set[str] = set()
        for name, array in self._computed(case, original, _DOUBLE, of_ties=of_ties):
            if name not in original:
                continue
            if name in of_ties and self._is_another(name, array, original[name]):
                del original[name]
                continue
            self._compare_value(case, name, array, original)

    def _is_another(self, name: str, array: Array, wanted: Array) -> bool:
        """Whether a value that depends on the order of equal numbers, which libraries choose, is of another order than
        in the original. Outputs may not depend on it.
        """
        if name in self.graph.outputs or array.shape != wanted.shape:
            return False
        return not np.allclose(array, wanted, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)

    def _compare_decisions(self, case: Case) -> None:
        """What is true, and integers, in float32: where a number of the network is none of float32, a comparison with
        it may be decided in another way than in float64.
        """
        original = self._original(case, self.compared, "float32")
        if original is None:
            return
        of_ties: set[str] = set()
        for name, array in self._computed(case, original, _SINGLE, of_ties=of_ties):
            if name not in original or self.graph.types[name].dtype == "float":
                continue
            if name in of_ties and self._is_another(name, array, original[name]):
                del original[name]
                continue
            wrong = _differences(array, original[name]) > 0
            if wrong.any():
                wrong &= _differences(array, original[name]) > self._rounding(case, name, array, original, _SINGLE)
            if wrong.any():
                self._refuse(case, name, array, original[name], wrong, "in float32, ")

    def _compare_value(self, case: Case, name: str, array: Array, original: Mapping[str, Array]) -> None:
        wanted = original[name]
        if array.shape != wanted.shape:
            self._refuse_shape(case, name, array, wanted)
        differences = _differences(array, wanted)
        largest = _largest(wanted)
        allowed = np.zeros(wanted.shape)
        if wanted.dtype.kind == "f":
            with np.errstate(all="ignore"):
                magnitude = np.where(np.isfinite(wanted), np.abs(wanted), 0.0)
            allowed = TOLERANCE * np.maximum(magnitude, min(1.0, largest))
        if (differences <= allowed).all():
            self.decided.add(name)
            return
        rounding = self._rounding(case, name, array, original, _DOUBLE)
        wrong = differences > allowed + _ROUNDING * rounding
        if wrong.any():
            self._refuse(case, name, array, wanted, wrong)
        if rounding <= _DECIDES * max(largest, 1.0):
            self.decided.add(name)

    def _compare_outputs(self, case: Case, original: Mapping[str, Array]) -> None:
        """The outputs in float32."""
        outputs = [name for name in self.graph.outputs if name in self.compared]
        try:
            computed = self.graph.run(case.inputs)
        except InputError as error:
            raise _GraphRefusesError(str(error)) from None
        # A second run of the original may take seconds, as that of Keras on PyTorch, and says nothing new where both
        # agree. The first inputs show what the original does in float32 alone.
        is_first = not self.proof.cases
        if not is_first and not case.ties and all(_agree(computed[name], original[name]) for name in outputs):
            return
        single = self._original(case, outputs, "float32")
        if single is None:
            return
        for name in outputs:
            array = computed[name]
            wanted = original[name]
            if single[name].shape != array.shape:
                self._refuse_shape(case, name, array, single[name])
            # What float32 has no number for is compared with the original in float32.
            same = _differences(array, single[name]) == 0
            differences = np.where(same, 0.0, _differences(array, wanted))
            with np.errstate(all="ignore"):
                magnitude = np.where(np.isfinite(wanted), np.abs(wanted), 0.0)
                overflows = (np.abs(wanted) > _OVERFLOW) | (np.isfinite(wanted) & ~np.isfinite(single[name]))
            differences = np.where(overflows, 0.0, differences)
            of_original = _differences(single[name], wanted)
            rounding = float(of_original[np.isfinite(of_original)].max(initial=0.0))
            allowed = SINGLE_TOLERANCE * np.maximum(magnitude, 1.0) + _ROUNDING * rounding
            if array.dtype.kind != "f":
                allowed = np.full(array.shape, rounding)
            if (differences <= allowed).all():
                continue
            wrong = differences > allowed + _ROUNDING * self._rounding(case, name, None, {}, _SINGLE_IN_DOUBLE)
            if wrong.any():
                self._refuse(case, name, array, wanted, wrong, "in float32, ")

    def _computed(
        self,
        case: Case,
        original: Mapping[str, Array],
        precision: _Precision,
        rng: np.random.Generator | None = None,
        of_ties: set[str] | None = None,
    ) -> Iterator[tuple[str, Array]]:
        """The values of the graph, each computed from values of the original where that has them. rng: of a run that
        measures the rounding. of_ties: gets the names of the values that depend on the order of equal numbers, but not
        of those that the original has; a caller may remove a value from `original` when it comes.
        """
        of_ties = set() if of_ties is None else of_ties
        graph = self.graph
        execution = Execution(dtype=precision.dtype, kernel=get("reference"), keep=False)
        needed = graph.ancestors(tuple(original) or graph.outputs)
        try:
            execution.sizes = graph.sizes(case.inputs)
            values = graph.start(case.inputs, execution)
            for name in graph.constants:
                if name in original:
                    yield name, values[name]
                    values[name] = self._as_in_graph(name, original[name], execution)
            for number, node in enumerate(graph.nodes):
                if not needed.intersection(node.outputs):
                    continue
                if node.operation.name() in self.network.undefined_for_nan and _reads_nan(node, values):
                    raise _UndefinedError(f"{node.shown}: {self.network.framework} does not say what it makes of NaN")
                if of_ties.intersection(node.inputs) or _has_ties(node, values):
                    of_ties.update(node.outputs)
                for name, array in self._results(node, values, execution, rng, precision.change):
                    yield name, array
                    values[name] = array
                    if name in original:
                        values[name] = self._as_in_graph(name, original[name], execution)
                        of_ties.discard(name)
                for name in {*node.inputs, *node.outputs}:
                    if graph.last_reader.get(name, -1) <= number and name not in graph.outputs:
                        values.pop(name, None)
        except InputError as error:
            raise _GraphRefusesError(str(error)) from None

    def _as_in_graph(self, name: str, array: Array, execution: Execution) -> Array:
        return np.asarray(array, dtype=execution.numpy_dtype(self.graph.types[name].dtype))

    def _results(
        self,
        node: Node,
        values: Mapping[str, Array],
        execution: Execution,
        rng: np.random.Generator | None,
        change: float,
    ) -> list[tuple[str, Array]]:
        """What a node returns, by name."""
        name = node.operation.name()
        read = values
        if rng is not None and name in SUMS:
            read = dict(values)
            for value in node.inputs:
                if value:
                    read[value] = _changed(values[value], rng, change)
        results, _ = run_node(node, read, execution)
        if rng is not None and name in FUNCTIONS:
            results = tuple(_changed(array, rng, change) for array in results)
        return list(zip(node.outputs, results, strict=True))

    def _rounding(
        self, case: Case, name: str, array: Array | None, original: Mapping[str, Array], precision: _Precision
    ) -> float:
        """By how much rounding changes the numbers of a value, at most; infinite where it changes which of them are not
        finite. array: the value without the changes, None where it is not known yet.
        """
        # The value itself, and what comes before it.
        before = {other: values for other, values in original.items() if other != name}
        largest = 0.0
        if array is None:
            array = self._value(case, name, before, precision, None)
        for seed in range(_RUNS):
            try:
                changed = self._value(case, name, before, precision, np.random.default_rng(seed))
            except _GraphRefusesError:
                return np.inf
            largest = max(largest, float(_differences(changed, array).max(initial=0.0)))
        return largest

    def _value(
        self,
        case: Case,
        name: str,
        original: Mapping[str, Array],
        precision: _Precision,
        rng: np.random.Generator | None,
    ) -> Array:
        for computed, array in self._computed(case, {**original, name: np.zeros(())}, precision, rng):
            if computed == name:
                return array
        raise AssertionError(f"{name} is not computed")

    def _refuse(self, case: Case, name: str, array: Array, wanted: Array, wrong: Array, how: str = "") -> None:
        """Raise InputError naming the node and the first number that differs."""
        place = tuple(int(number) for number in np.argwhere(wrong)[0])
        at = f" at {list(place)}" if place else ""
        numbers = "the original computes {} and the graph {}".format(*_shown_apart(wanted[place], array[place]))
        raise InputError(f"{self._shown(name)}: {how}for {case.shown}, {numbers}{at}")

    def _refuse_shape(self, case: Case, name: str, array: Array, wanted: Array) -> None:
        shapes = f"the original computes an array of the shape {wanted.shape}, and the graph {array.shape}"
        raise InputError(f"{self._shown(name)}: for {case.shown}, {shapes}")

    def _shown(self, name: str) -> str:
        node = self.origins.get(name)
        return f"the constant {name!r}" if node is None else node.shown


class _GraphRefusesError(Exception):
    """The graph raises InputError for inputs."""


class _UndefinedError(_GraphRefusesError):
    """The library of the original does not define what it computes for inputs."""


def _differences(array: Array, wanted: Array) -> Array:
    """The absolute differences; 0 where both are the same, infinite where one of them alone is not finite."""
    left = np.asarray(array, dtype=np.float64)
    right = np.asarray(wanted, dtype=np.float64)
    with np.errstate(all="ignore"):
        differences = np.abs(left - right)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    differences = np.where(same, 0.0, differences)
    return np.where(np.isnan(differences), np.inf, differences)


def _agree(single: Array, wanted: Array) -> bool:
    """Whether numbers of float32 are those of float64, to the tolerance of outputs."""
    if single.shape != wanted.shape:
        return False
    with np.errstate(all="ignore"):
        magnitude = np.where(np.isfinite(wanted), np.abs(wanted), 0.0)
    tolerance = SINGLE_TOLERANCE * np.maximum(magnitude, 1.0) if single.dtype.kind == "f" else 0.0
    return bool((_differences(single, wanted) <= tolerance).all())


def _has_ties(node: Node, values: Mapping[str, Array]) -> bool:
    """Whether a node orders numbers of which some are equal."""
    operation = node.operation
    if not isinstance(operation, TopK):
        return False
    ordered = np.sort(values[node.inputs[0]], axis=operation.axis)
    first = np.take(ordered, range(1, ordered.shape[operation.axis]), operation.axis)
    return bool((first == np.take(ordered, range(ordered.shape[operation.axis] - 1), operation.axis)).any())


def _reads_nan(node: Node, values: Mapping[str, Array]) -> bool:
    """Whether an input of a node has a NaN."""
    arrays = [np.asarray(values[name]) for name in node.inputs if name]
    return any(array.dtype.kind == "f" and np.isnan(array).any() for array in arrays)


def _largest(array: Array) -> float:
    """The largest absolute number that is finite."""
    numbers = np.abs(np.asarray(array, dtype=np.float64))
    return float(numbers[np.isfinite(numbers)].max(initial=0.0))


def _changed(array: Array, rng: np.random.Generator, change: float) -> Array:
    """The numbers changed by up to `change`, relative to them."""
    array = np.asarray(array)
    if array.dtype.kind != "f":
        return array
    changed = array * (1 + change * rng.uniform(-1, 1, array.shape))
    return changed.astype(array.dtype)


def _shown_apart(number: Array, other: Array) -> tuple[str, str]:
    """Two numbers with as many digits as tell them apart, at least 7."""
    shown = (str(number), str(other))
    if np.asarray(number).dtype.kind == "f" and np.asarray(other).dtype.kind == "f":
        for digits in range(7, 18):
            shown = (f"{number:.{digits}g}", f"{other:.{digits}g}")
            if shown[0] != shown[1]:
                break
    return shown
