"""`prove` accepts a graph that computes what the original does, and names the node of one that does not.

The originals are graphs too, run node by node in the dtype that is asked for, so that each test changes one thing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.exchange.proof import prove
from gatewise.exchange.read_network import ReadNetwork
from gatewise.network.graph import Graph, Guard
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import Execution, ValueType
from gatewise.network.operations import operation_of
from gatewise.network.size import symbol

B, T = symbol("B"), symbol("T")
RNG = np.random.default_rng(11)
WORDS, D, H = 37, 3, 4
TABLE = RNG.standard_normal((WORDS, D))
WEIGHT_IH, WEIGHT_HH = RNG.standard_normal((4 * H, D)), RNG.standard_normal((4 * H, H))
BIAS = RNG.standard_normal(4 * H)
OUT = RNG.standard_normal((H, 2))


def named(builder: GraphBuilder, name: str, operation: str, *inputs: str, **attributes: Any) -> str:
    """A node whose value has this name in the right graph and in the wrong one."""
    return builder.node(operation_of(operation, attributes), inputs, [name])[0]


Value = Callable[[str, Any, Mapping[str, Any]], Any]


@dataclass(frozen=True, eq=False)
class Imitated(ReadNetwork):
    """original: the graph of what the network really computes. refuses: whether it refuses inputs. changed: what it
    computes instead of a value, of its name, its array and the inputs.
    """

    framework: ClassVar[str] = "imitated"
    original: Graph
    refuses: Callable[[Mapping[str, Any]], bool] = lambda inputs: False
    changed: Value = lambda name, array, inputs: array

    def original_values(self, inputs: Mapping[str, Any], names: Sequence[str], dtype: str) -> dict[str, Any]:
        if self.refuses(inputs):
            raise InputError("the lengths are not in order")
        execution = Execution(dtype=np.dtype(dtype), keep=False)
        values = self.original.run(inputs, execution=execution, values=names)
        return {name: self.changed(name, array, inputs) for name, array in values.items()}


def network(graph: Graph, original: Graph, compared: Sequence[str] = (), **fields: Any) -> Imitated:
    """A network whose values are compared: all that nodes compute, or these."""
    every = tuple(name for node in graph.nodes for name in node.outputs)
    return Imitated(graph, tuple(compared) or every, original, **fields)


def lstm(table: Any = TABLE, gates: Any = (0, 1, 2, 3), step: int = -1, out: Any = OUT, swapped: bool = False) -> Graph:
    """Ids (B, T) -> an embedding, an LSTM in both directions, one step, a dense layer."""
    builder = GraphBuilder()
    builder.origin = "net.py:12"
    ids = builder.input("ids", ValueType("int64", (B, T)))
    x = builder.add("Gather", builder.constant(table, "table"), ids)
    h = []
    for reverse in (swapped, not swapped):
        rows = np.concatenate([np.arange(gate * H, (gate + 1) * H) for gate in gates])
        arrays = [builder.constant(array[rows]) for array in (WEIGHT_IH, WEIGHT_HH, BIAS)]
        h.append(builder.add("Recurrent", x, *arrays, reverse=reverse))
    joined = builder.add("Sub", *h)
    last = builder.add("Gather", joined, builder.constant(np.array(step)), axis=1)
    logits = builder.add("MatMul", last, builder.constant(out))
    return builder.graph([builder.add("Softmax", logits)])


def test_the_same_network_is_accepted() -> None:
    report = prove(network(lstm(), lstm()))
    assert report.values == 11
    assert {"B": 1, "T": 1} in report.sizes
    assert max(sizes["T"] for sizes in report.sizes) == 2_000
    assert max(sizes["B"] for sizes in report.sizes) == 2_000


def _one_id_wrong(row: int) -> Any:
    table = TABLE.copy()
    table[row, 1] += 1e-6
    return table


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda: lstm(gates=(0, 2, 1, 3)), "'recurrent'"),
        (lambda: lstm(step=-2), "'gather"),
        (lambda: lstm(step=0), "'gather"),
        (lambda: lstm(table=_one_id_wrong(0)), "'gather' (net.py:12)"),
        (lambda: lstm(table=_one_id_wrong(WORDS - 1)), "'gather' (net.py:12)"),
        (lambda: lstm(table=_one_id_wrong(17)), "'gather' (net.py:12)"),
        (lambda: lstm(out=OUT + 1e-7), "'matmul"),
        (lambda: lstm(swapped=True), "'recurrent'"),
    ],
    ids=["gates", "step", "first step", "id 0", "last id", "id 17", "constant", "directions"],
)
def test_a_wrong_network_is_refused_with_the_node(wrong: Callable[[], Graph], named: str) -> None:
    with pytest.raises(InputError) as error:
        prove(network(wrong(), lstm()))
    assert f"node {named}" in str(error.value)
    assert "the original computes" in str(error.value) or "refuses" in str(error.value)


def test_a_step_that_is_not_there_is_refused() -> None:
    """With one step, the second but last one does not exist."""
    with pytest.raises(InputError, match=r"original refuses|graph refuses|the original computes"):
        prove(network(lstm(), lstm(step=-2)))


def masked(operation: str = "Less", *, read_mask: bool = True, masked: str = "zero", off: int = 0) -> Graph:
    """A series (B, T, D) and lengths (B,) -> the mean of an LSTM over the steps that are read."""
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, T, D)))
    lengths = builder.input("lengths", ValueType("int64", (B,)))
    column = builder.add("Unsqueeze", lengths, axes=(1,))
    column = named(builder, "end", "Add", column, builder.constant(np.array(off)))
    mask = named(builder, "mask", operation, builder.add("Range", limit=T), column)
    arrays = [builder.constant(array) for array in (WEIGHT_IH, WEIGHT_HH, BIAS)]
    h = builder.add("Recurrent", x, *arrays, "", mask if read_mask else "", masked=masked)
    sums = builder.add("ReduceSum", h, axes=(1,), keepdims=0)
    counts = builder.add("ReduceSum", builder.add("Cast", mask, to="float"), axes=(1,), keepdims=1)
    return builder.graph([builder.add("Div", sums, counts)])


def test_lengths_are_within_the_steps() -> None:
    prove(network(masked(), masked()))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: masked(read_mask=False),
        lambda: masked(masked="previous"),
        lambda: masked(off=1),
        lambda: masked("LessOrEqual"),
    ],
    ids=["mask not read", "previous", "off by one", "less or equal"],
)
def test_a_wrong_mask_is_refused(wrong: Callable[[], Graph]) -> None:
    with pytest.raises(InputError, match="the original computes"):
        prove(network(wrong(), masked()))


def test_an_original_may_refuse_lengths_in_another_order() -> None:
    """As packing does: the lengths in descending order are compared."""

    def refuses(inputs: Mapping[str, Any]) -> bool:
        return bool((np.diff(inputs["lengths"]) > 0).any()) or inputs["lengths"][0] < inputs["x"].shape[1]

    report = prove(network(masked(), masked(), refuses=refuses))
    assert any("lengths" in name for name in report.refused)
    with pytest.raises(InputError, match="the original refuses"):
        prove(network(masked(off=1), masked(), refuses=refuses))


def test_an_original_that_refuses_all_inputs_is_not_accepted() -> None:
    with pytest.raises(InputError, match="the original refuses what the graph takes: the lengths are not in order"):
        prove(network(masked(), masked(), refuses=lambda inputs: True))


def last_step(off: int = -1) -> Graph:
    """A series and lengths -> the step `lengths - 1`."""
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, T, D)))
    lengths = builder.input("lengths", ValueType("int64", (B,)))
    last = named(builder, "last", "Add", lengths, builder.constant(np.array(off)))
    rows = builder.add("Unsqueeze", builder.add("Unsqueeze", last, axes=(1,)), axes=(2,))
    wide = builder.add("Expand", rows, shape=(B, 1, D))
    return builder.graph([builder.add("Squeeze", builder.add("GatherElements", x, wide, axis=1), axes=(1,))])


def test_an_index_of_the_last_step_is_a_length() -> None:
    prove(network(last_step(), last_step()))
    with pytest.raises(InputError, match="index 7 is out of range"):
        prove(network(last_step(-2), last_step()))


def test_only_the_longest_sequence_is_wrong() -> None:
    """The original reads one step fewer of the sequences with all steps."""

    def changed(name: str, array: Any, inputs: Mapping[str, Any]) -> Any:
        return array - (array == inputs["x"].shape[1] - 1) if name == "last" else array

    with pytest.raises(InputError, match="node 'add'"):
        prove(network(last_step(), last_step(), changed=changed))


def missing(value: float = -999.0, operation: str = "Equal") -> Graph:
    """A series in which -999 is read as 0."""
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, T, D)))
    bound = builder.constant(np.array(value))
    absent = named(builder, "absent", operation, x, bound)
    filled = builder.add("Where", absent, builder.constant(np.array(0.0)), x)
    arrays = [builder.constant(array) for array in (WEIGHT_IH, WEIGHT_HH, BIAS)]
    return builder.graph([builder.add("Recurrent", filled, *arrays)])


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (missing(-998.0), missing()),
        (missing(operation="LessOrEqual"), missing()),
        (missing(0.3, "Less"), missing(0.3, "LessOrEqual")),
        (missing(np.float32(0.3), "Less"), missing(np.float32(0.3), "LessOrEqual")),
        (missing(1e4, "Greater"), missing(1e4, "GreaterOrEqual")),
    ],
    ids=["value", "equal", "below", "float32", "large"],
)
def test_each_comparison_goes_both_ways(wrong: Graph, right: Graph) -> None:
    prove(network(right, right))
    with pytest.raises(
        InputError, match=r"node '(equal|less|lessorequal|greater)'.*the original computes (True|False)"
    ):
        prove(network(wrong, right))


@dataclass(frozen=True, eq=False)
class Flushed(Imitated):
    """Computes as TensorFlow and JAX do: with 0 for subnormal numbers."""

    def original_values(self, inputs: Mapping[str, Any], names: Sequence[str], dtype: str) -> dict[str, Any]:
        least = np.finfo(np.float32).smallest_normal
        flushed = {name: np.where(np.abs(array) < least, 0, array) for name, array in inputs.items()}
        return super().original_values(flushed, names, dtype)


def test_an_original_that_computes_with_0_for_subnormal_numbers_is_accepted() -> None:
    graph = missing(0.0)
    prove(Flushed(graph, tuple(name for node in graph.nodes for name in node.outputs), graph))
    with pytest.raises(InputError, match=r"node 'less.*the original computes (True|False)"):
        prove(network(missing(0.0, "LessOrEqual"), missing(0.0)))


def scaled(threshold: float = 2.5) -> Graph:
    """A comparison of a standardised series, whose number in the inputs is another one."""
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, T, D)))
    centred = builder.add("Sub", x, builder.constant(np.array([1e4, -3e4, 2e4])))
    standard = builder.add("Div", centred, builder.constant(np.array([4.0, 8.0, 2.0])))
    large = named(builder, "large", "Greater", standard, builder.constant(np.array(threshold)))
    return builder.graph([builder.add("Where", large, standard, builder.constant(np.array(0.0)))])


def test_a_comparison_of_scaled_numbers_goes_both_ways() -> None:
    right = scaled()
    prove(network(right, right))

    def changed(name: str, array: Any, inputs: Mapping[str, Any]) -> Any:
        if name != "large":
            return array
        standard = (inputs["x"] - [1e4, -3e4, 2e4]) / [4.0, 8.0, 2.0]
        return array & (np.abs(standard) > 100)

    with pytest.raises(InputError, match="node 'greater'"):
        prove(network(right, right, changed=changed))


def sums(*, left: float = 1.0, right: float = 1.0, nan_is_zero: bool = False) -> Graph:
    """x, twice with factors, and their difference, so that an error in both cancels."""
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, D)))
    if nan_is_zero:
        x = builder.add("Where", builder.add("IsNaN", x), builder.constant(np.array(0.0)), x)
    first = named(builder, "first", "Mul", x, builder.constant(np.array(left)))
    second = named(builder, "second", "Mul", x, builder.constant(np.array(right)))
    return builder.graph([named(builder, "difference", "Sub", first, second)])


def test_errors_that_cancel_are_found() -> None:
    with pytest.raises(InputError, match="the original computes"):
        prove(network(sums(left=2.0, right=2.0), sums(), ["first", "second", "difference"]))


def test_what_becomes_of_nan_is_compared() -> None:
    names = ["first", "second", "difference"]
    prove(network(sums(nan_is_zero=True, left=3.0), sums(nan_is_zero=True, left=3.0), names))
    with pytest.raises(InputError, match=r"nan in 'x'.*the original computes 0 and the graph nan"):
        prove(network(sums(left=3.0), sums(nan_is_zero=True, left=3.0), names))


def test_one_large_error_is_not_hidden_by_large_numbers() -> None:
    def changed(name: str, array: Any, inputs: Mapping[str, Any]) -> Any:
        return array + 1e-5 * (np.abs(inputs["x"]) > 900) if name == "first" else array

    with pytest.raises(InputError, match="node 'mul'"):
        prove(network(sums(left=3.0), sums(left=3.0), ["first", "second", "difference"], changed=changed))


def chaotic(gain: float = 30.0) -> Graph:
    """An LSTM with large weights: after some steps, rounding decides."""
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, T, D)))
    arrays = [builder.constant(gain * array) for array in (WEIGHT_IH, WEIGHT_HH, BIAS)]
    return builder.graph([builder.add("Recurrent", x, *arrays)])


def test_a_chaotic_network_is_accepted() -> None:
    """The original computes with other rounding."""
    rng = np.random.default_rng(0)
    original = chaotic()

    def changed(name: str, array: Any, inputs: Mapping[str, Any]) -> Any:
        noisy = {"x": inputs["x"] * (1 + rng.uniform(-1, 1, inputs["x"].shape) * np.finfo(array.dtype).eps / 2)}
        execution = Execution(dtype=array.dtype, keep=False)
        return original.run(noisy, execution=execution, values=[name])[name]

    prove(network(chaotic(), original, changed=changed))
    with pytest.raises(InputError, match="the original computes"):
        prove(network(chaotic(31.0), original, changed=changed))


def test_a_tie_in_float32_is_no_error() -> None:
    """x (1 + 1e-9) > x in float64, and not in float32, where the original may compute it in another order."""

    def graph(order: tuple[int, int]) -> Graph:
        builder = GraphBuilder()
        x = builder.input("x", ValueType("float", (B, D)))
        factors = [np.array(1 + 1e-9), np.array(3.0)]
        product = x
        for number in order:
            product = builder.add("Mul", product, builder.constant(factors[number]))
        triple = builder.add("Mul", x, builder.constant(np.array(3.0)))
        larger = named(builder, "larger", "Greater", product, triple)
        return builder.graph([builder.add("Where", larger, product, builder.constant(np.array(0.0)))])

    prove(network(graph((0, 1)), graph((1, 0)), ["larger", "where"]))


def ordered(first: float = 1.0) -> Graph:
    """A series in descending order of its first numbers, each row times its place, and back in its own order."""
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, D)))
    keys = builder.add("Round", builder.add("Gather", x, builder.constant(np.array(0)), axis=1))
    order = builder.node(operation_of("TopK", {"K": B, "axis": 0}), [keys], ["keys", "order"])[1]
    sorted_rows = named(builder, "sorted", "Gather", x, order)
    scaled = builder.add("Mul", sorted_rows, builder.constant(np.array(first)))
    back = builder.node(operation_of("TopK", {"K": B, "axis": 0, "largest": 0}), [order])[1]
    return builder.graph([named(builder, "back", "Gather", scaled, back)])


def test_the_order_of_equal_numbers_is_free() -> None:
    """As of a sort that is not stable, unless an output depends on it."""

    def changed(name: str, array: Any, inputs: Mapping[str, Any]) -> Any:
        keys = np.round(inputs["x"][:, 0])
        order = np.lexsort((-np.arange(len(keys)), -keys))
        return {"order": order, "sorted": inputs["x"][order]}.get(name, array)

    prove(network(ordered(), ordered(), ["order", "sorted", "back"], changed=changed))
    prove(network(ordered(), ordered(), ["sorted", "back"], changed=changed))
    with pytest.raises(InputError, match="'gather"):
        prove(network(ordered(1.5), ordered(), ["sorted", "back"], changed=changed))

    def of_order(name: str, array: Any, inputs: Mapping[str, Any]) -> Any:
        return np.flip(array, 0) if name == "back" else array

    with pytest.raises(InputError, match="'gather"):
        prove(network(ordered(), ordered(), ["back"], changed=of_order))


def test_sizes_next_to_a_guard_are_compared() -> None:
    def graph(guards: Sequence[Guard] = ()) -> Graph:
        builder = GraphBuilder()
        x = builder.input("x", ValueType("float", (B, T, D)))
        return builder.graph([builder.add("ReduceSum", x, axes=(1,), keepdims=0)], guards)

    guarded = graph([Guard(T, "<=", 77)])
    report = prove(network(guarded, graph()))
    steps = {sizes["T"] for sizes in report.sizes}
    assert max(steps) == 77
    assert 76 in steps

    def changed(name: str, array: Any, inputs: Mapping[str, Any]) -> Any:
        return array * (1 + (inputs["x"].shape[1] == 77))

    with pytest.raises(InputError, match="T = 77"):
        prove(network(guarded, graph(), changed=changed))


def test_the_last_steps_are_compared_with_fewer_steps() -> None:
    """x[:, -5:] is all steps where there are fewer than 5."""

    def graph() -> Graph:
        builder = GraphBuilder()
        x = builder.input("x", ValueType("float", (B, T, D)))
        return builder.graph([builder.add("Slice", x, starts=(-5,), ends=(1 << 40,), axes=(1,))])

    report = prove(network(graph(), graph()))
    assert {4, 5, 6} <= {sizes["T"] for sizes in report.sizes}


def test_a_large_network_is_compared_for_fewer_steps() -> None:
    """Of 4 x 300 x 600 weights, 2,000 steps of several sequences cost too much."""
    builder = GraphBuilder()
    rng = np.random.default_rng(3)
    x = builder.input("x", ValueType("float", (B, T, 300)))
    arrays = [builder.constant(rng.standard_normal(shape) / 20) for shape in ((1200, 300), (1200, 300), (1200,))]
    graph = builder.graph([builder.add("Recurrent", x, *arrays)])
    report = prove(network(graph, graph))
    steps = {sizes["T"] for sizes in report.sizes}
    assert {1, 2, 3} <= steps
    assert max(steps) < 2_000


def test_another_shape_is_refused() -> None:
    def graph(keepdims: int) -> Graph:
        builder = GraphBuilder()
        x = builder.input("x", ValueType("float", (B, T, D)))
        return builder.graph([builder.add("ReduceMax", x, axes=(1,), keepdims=keepdims)])

    with pytest.raises(InputError, match=r"node 'reducemax': .* shape"):
        prove(network(graph(1), graph(0)))


def test_a_folded_constant_is_compared() -> None:
    def graph(value: float) -> Graph:
        builder = GraphBuilder()
        x = builder.input("x", ValueType("float", (B, D)))
        weights = builder.constant(np.array([0.5, value, 2.0]), "scale")
        return builder.graph([builder.add("Mul", x, weights)])

    with pytest.raises(InputError, match="the constant 'scale'"):
        prove(network(graph(1.0), graph(1.0001), ["scale", "mul"]))


def product(factor: float) -> Graph:
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, T, D)))
    return builder.graph([named(builder, "scaled", "Mul", x, builder.constant(np.array(factor)))])


def test_numbers_that_7_digits_do_not_tell_apart_are_shown() -> None:
    with pytest.raises(InputError) as refusal:
        prove(network(product(2.5 * (1 + 1e-9)), product(2.5)))
    numbers = re.search(r"the original computes (\S+) and the graph (\S+) at", str(refusal.value))
    assert numbers is not None
    assert 0 < abs(float(numbers[1]) / float(numbers[2]) - 1) < 2e-9
