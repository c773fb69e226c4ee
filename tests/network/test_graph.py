"""A graph is checked when it is made, computes its outputs, and differentiates them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.network.graph import Graph, Guard, Node
from gatewise.network.operation import Execution, ValueType
from gatewise.network.operations import operation_of
from gatewise.network.operations.elu import Elu
from gatewise.network.operations.reduce_sum import ReduceSum
from gatewise.network.size import symbol

B, T = symbol("B"), symbol("T")
RNG = np.random.default_rng(11)


def floats(*shape: int) -> Any:
    return RNG.standard_normal(shape)


def node(operation: str, inputs: str, outputs: str, **attributes: Any) -> Node:
    return Node(
        f"{operation.lower()}_{outputs.split()[0]}",
        operation_of(operation, attributes),
        tuple("" if name == "-" else name for name in inputs.split()),
        tuple(outputs.split()),
        f"line of {outputs.split()[0]}",
    )


SHAPES = {"w": (12, 2), "r": (12, 3), "b": (12,), "dense": (3, 4), "bias": (4,)}


def classifier(**others: Any) -> Graph:
    """x (B, T, 2) and a mask -> LSTM of 3 units -> its last state, and the logits of each step -> probabilities."""
    fields: dict[str, Any] = {
        "inputs": {"x": ValueType("float", (B, T, 2)), "mask": ValueType("bool", (B, T))},
        "constants": {
            "w": floats(12, 2),
            "r": floats(12, 3),
            "b": floats(12),
            "dense": floats(3, 4),
            "bias": floats(4),
        },
        "nodes": (
            node("Recurrent", "x w r b - mask", "h h_T c_T"),
            node("MatMul", "h dense", "product"),
            node("Add", "product bias", "logits"),
            node("Softmax", "logits", "probabilities"),
            node("MatMul", "h_T dense", "last"),
        ),
        "outputs": ("probabilities", "last"),
    }
    return Graph(**{**fields, **others})


def inputs(batch: int = 2, steps: int = 5) -> dict[str, Any]:
    mask = RNG.random((batch, steps)) < 0.7
    mask[:, 0] = True
    return {"x": floats(batch, steps, 2), "mask": mask}


def test_the_types_of_all_values() -> None:
    graph = classifier()
    assert graph.symbols == ("B", "T")
    assert graph.types["probabilities"] == ValueType("float", (B, T, 4))
    assert graph.types["h_T"] == ValueType("float", (B, 3))
    assert str(graph.types["mask"]) == "bool (B, T)"


def test_it_computes_its_outputs_in_both_precisions() -> None:
    graph, feeds = classifier(), inputs()
    double = graph.run(feeds, execution=Execution(dtype=np.float64))
    single = graph.run(feeds)
    assert set(single) == {"probabilities", "last"}
    assert single["last"].dtype == np.float32
    assert double["last"].dtype == np.float64
    for name, array in double.items():
        np.testing.assert_allclose(single[name], array, rtol=1e-5, atol=1e-6)
    values = graph.run(feeds, execution=Execution(dtype=np.float64), values=["h", "logits", "x"])
    w = graph.constants
    np.testing.assert_allclose(values["h"] @ w["dense"] + w["bias"], values["logits"])
    np.testing.assert_array_equal(values["x"], feeds["x"])


def test_the_gradients_are_those_of_float64_differences() -> None:
    """Of an output with respect to an input, a constant and a value between them."""
    graph, feeds = classifier(), inputs()
    weight = floats(2, 5, 4)
    execution = Execution(dtype=np.float64)
    wanted = ["x", "w", "dense", "h"]
    output, grads = graph.gradients(feeds, "probabilities", lambda _: weight, wanted, execution=execution)

    def loss(changed: Graph, given: dict[str, Any]) -> float:
        found = changed.run(given, execution=Execution(dtype=np.float64))["probabilities"]
        return float((found * weight).sum())

    np.testing.assert_allclose((output * weight).sum(), loss(graph, feeds))
    for name, place in (("x", (1, 2, 1)), ("x", (0, 0, 0)), ("w", (7, 1)), ("dense", (2, 3))):
        values = []
        for sign in (1, -1):
            given, constants = dict(feeds), dict(graph.constants)
            holder = given if name in given else constants
            holder[name] = holder[name].copy()
            holder[name][place] += sign * 1e-6
            values.append(loss(classifier(constants=constants), given))
        np.testing.assert_allclose(grads[name][place], (values[0] - values[1]) / 2e-6, rtol=1e-5, atol=1e-8)
    assert grads["h"].shape == (2, 5, 3)
    assert np.abs(grads["h"]).min() > 0


def test_a_value_that_the_output_does_not_depend_on_has_the_gradient_0() -> None:
    graph, feeds = classifier(), inputs()
    _, grads = graph.gradients(feeds, "last", np.ones_like, ["bias", "w"])
    np.testing.assert_array_equal(grads["bias"], 0)
    assert np.abs(grads["w"]).max() > 0


def test_the_gates_of_a_recurrence_are_saved_by_the_name_of_its_node() -> None:
    execution = Execution(keep=True)
    feeds = inputs()
    classifier().run(feeds, execution=execution)
    values = execution.saved["recurrent_h"]().values
    assert {name: array.shape for name, array in values.items()} == dict.fromkeys("ifgoch", (*feeds["mask"].shape, 3))
    unread = ~feeds["mask"]
    np.testing.assert_array_equal(values["i"][unread], 0)
    np.testing.assert_array_equal(values["f"][unread], 1)
    np.testing.assert_allclose(values["h"], values["o"] * np.tanh(values["c"]), rtol=0, atol=1e-6)


def test_a_batch_of_several_is_that_of_each_alone() -> None:
    graph, feeds = classifier(), inputs(4, 6)
    together = graph.run(feeds)
    for n in range(4):
        alone = graph.run({name: array[n : n + 1] for name, array in feeds.items()})
        for name, array in together.items():
            np.testing.assert_allclose(array[n : n + 1], alone[name], rtol=1e-5, atol=1e-6)


def test_guards_say_for_which_sizes_it_holds() -> None:
    graph = classifier(guards=(Guard(T, "<=", 5), Guard(B, "!=", 3)))
    graph.run(inputs(2, 5))
    with pytest.raises(InputError, match="must be at most 5, and is 6"):
        graph.run(inputs(2, 6))
    with pytest.raises(InputError, match="must be another number than 3"):
        graph.run(inputs(3, 4))
    with pytest.raises(InputError, match=r"must be at most 5, and is 6; the .* must be another number than 3"):
        graph.run(inputs(3, 6))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": floats(2, 5, 3)}, r"the input 'x' must be float \(B, T, 2\), not float64 \(2, 5, 3\)"),
        ({"x": floats(2, 4, 2)}, r"the input 'mask' must be bool \(B, T\)"),
        ({"x": floats(2, 5)}, "the input 'x'"),
        ({"mask": np.ones((2, 5))}, "the input 'mask' must be bool"),
        ({"x": floats(0, 5, 2), "mask": np.ones((0, 5), bool)}, "no axis may be empty"),
        ({"y": floats(2)}, "the network has the inputs x, mask, not x, mask, y"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        classifier().run({**inputs(), **change})


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((node("Softmax", "y", "z"),), r"node 'softmax_z' \(line of z\) reads 'y', which no earlier node computes"),
        ((node("MatMul", "x", "z"),), "MatMul does not take 1 inputs"),
        ((node("MatMul", "x -", "z"),), "MatMul needs its first 2 inputs"),
        ((node("Softmax", "x", "z y"),), "Softmax has 1 outputs, not 2"),
        ((node("Softmax", "x", "mask"),), "two values are called 'mask'"),
        (
            (node("MatMul", "x dense", "z"),),
            r"node 'matmul_z' \(line of z\): MatMul: the shapes \(B, T, 2\) and \(3, 4\)",
        ),
        ((node("Softmax", "x", "z"),), "the output 'probabilities' is not computed"),
    ],
)
def test_a_graph_whose_nodes_do_not_fit_is_refused(nodes: tuple[Node, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        classifier(nodes=nodes)


def test_a_constant_of_another_dtype_is_refused() -> None:
    with pytest.raises(InputError, match="'text' has the dtype <U1"):
        classifier(constants={"text": np.array(["a"])})


def test_inputs_of_which_a_value_would_be_too_large_are_refused() -> None:
    """A size that is small for a batch of one step, and grows with the eighth power of the steps."""
    x = ValueType("float", (T,))
    expanded = Node("big", operation_of("Expand", {"shape": (T * T * T * T * T * T * T, T)}), ("x",), ("y",))
    graph = Graph({"x": x}, {}, (expanded,), ("y",))
    assert graph.run({"x": np.ones(3, np.float32)})["y"].size == 3**8
    with pytest.raises(InputError, match=r"'y' would have 10,000,000,000,000,000 numbers for inputs with T = "):
        graph.run({"x": np.ones(100, np.float32)})
    with pytest.raises(InputError, match=r"'y' would have .* more than 268,435,456: use fewer or shorter sequences"):
        graph.gradients({"x": np.ones(100, np.float32)}, "y", lambda y: y, ["x"])


@pytest.mark.parametrize(
    ("name", "attributes", "message"),
    [
        ("Softmax", {"axis": "last"}, "Softmax: axis must be a whole number, not 'last'"),
        ("Softmax", {"axis": 1.5}, "Softmax: axis must be a whole number, not '1.5'"),
        ("Transpose", {"perm": 3}, "Transpose: perm must be a list, not a whole number"),
        ("Transpose", {"perm": np.array([0.5, 1.5])}, r"Transpose: perm\[0\] must be a whole number, not '0.5'"),
        ("Elu", {"alpha": b"big"}, "Elu: alpha must be a number, not 'big'"),
        ("Gelu", {"approximate": 1}, "Gelu: approximate must be a text, not '1'"),
        ("ReduceSum", {"axes": [1 << 70]}, r"ReduceSum: axes\[0\]: the number is too large"),
    ],
)
def test_an_attribute_of_another_type_is_refused(name: str, attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        operation_of(name, attributes)


def test_attributes_of_arrays_and_bools_become_those_of_the_operation() -> None:
    assert operation_of("ReduceSum", {"axes": np.array([1, 2]), "keepdims": False}) == ReduceSum((1, 2), 0)
    assert operation_of("Elu", {"alpha": np.float32(0.5)}) == Elu(0.5)
    whole = operation_of("ConstantOfShape", {"input": (1,), "value": np.array([(1 << 62) + 1])})
    assert whole.value == (1 << 62) + 1
