"""A graph as a Keras model: the outputs of the graph, trained and saved in Keras."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.exchange.onnx_graph import graph_of
from gatewise.network.graph import Graph, Guard, Node
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import ValueType
from gatewise.network.operations import NAMES, operation_of
from gatewise.network.operations.recurrent import Recurrent
from gatewise.network.size import symbol
from tests.exchange.test_graph_to_onnx import graph_with
from tests.exchange.test_onnx_graph import MODULES, V, exported
from tests.network.operations.test_operations import CASES, FAMILIES

torch = pytest.importorskip("torch")
if find_spec("keras") is None:
    pytest.skip("keras is not installed", allow_module_level=True)

from gatewise.exchange.graph_to_keras import graph_to_keras, layer_class  # noqa: E402
from gatewise.exchange.keras_backend import keras_module  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn.t accept a copy:DeprecationWarning")

keras = keras_module()
B, T = symbol("B"), symbol("T")


def check(graph: Graph, inputs: dict[str, Any], layer: Any = None) -> None:
    """The outputs of the layer are those of the graph."""
    layer = layer or layer_class()(graph)
    expected = graph.run(inputs)
    outputs = layer.call([keras.ops.convert_to_tensor(np.array(array)) for array in inputs.values()])
    for name, output in zip(graph.outputs, outputs, strict=True):
        array = keras.ops.convert_to_numpy(output)
        assert array.dtype == expected[name].dtype, name
        np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", NAMES)
def test_each_operation(name: str) -> None:
    for attributes, inputs in CASES[name]:
        graph, feeds = graph_with(operation_of(name, attributes), inputs, [{}] * len(inputs))
        if not any(0 in array.shape for array in feeds.values()):  # a graph has no empty axis
            check(graph, feeds)


@pytest.mark.parametrize("case", [case for family in FAMILIES for case in family.SYMBOLIC], ids=lambda case: case[0])
def test_sizes_that_depend_on_the_inputs(case: Any) -> None:
    name, attributes, inputs, axes = case
    check(*graph_with(operation_of(name, attributes), inputs, axes))


@pytest.mark.parametrize("kind", MODULES, ids=lambda kind: kind.__name__)
def test_networks_of_several_nodes(kind: Any, tmp_path: Path) -> None:
    torch.manual_seed(9)
    graph = graph_of(exported(kind(), tmp_path / "m.onnx"), "m.onnx")
    model = graph_to_keras(graph)
    rng = np.random.default_rng(2)
    for batch, steps in ((1, 1), (3, 14)):
        ids = rng.integers(0, V, (batch, steps))
        outputs = model(ids)
        outputs = [outputs] if len(graph.outputs) == 1 else [outputs[name] for name in graph.outputs]
        for output, wanted in zip(outputs, graph.run({"ids": ids}).values(), strict=True):
            found = keras.ops.convert_to_numpy(output)
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("masked", ["previous", "zero"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("cell", "before"), [("LSTM", True), ("GRU", True), ("GRU", False), ("RNN", True)])
def test_layers_of_keras_with_masks(cell: Any, before: bool, masked: Any, reverse: bool) -> None:
    """The weights are those of a layer of Keras; masks with pads anywhere, and of no step."""
    rng = np.random.default_rng(1)
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[cell]
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, T, 2)))
    mask = builder.input("mask", ValueType("bool", (B, T)))
    h0 = builder.input("h0", ValueType("float", (B, 3)))
    shapes = ((3 * gates, 2), (3 * gates, 3), (3 * gates,), (3 * gates,))
    weights = [builder.constant(rng.standard_normal(shape).astype(np.float32)) for shape in shapes]
    layer = Recurrent(cell, reverse=reverse, masked=masked, linear_before_reset=before)
    graph = builder.graph(builder.node(layer, (x, *weights, mask, h0)))
    flags = rng.random((6, 7)) < 0.6
    flags[0] = False
    flags[1] = True
    of_keras = layer_class()(graph)
    assert len(of_keras.recurrent_layers) == 1
    assert not of_keras.constants
    for steps in (1, 7):
        inputs = {
            "x": rng.standard_normal((6, steps, 2)).astype(np.float32),
            "mask": flags[:, :steps],
            "h0": rng.standard_normal((6, 3)).astype(np.float32),
        }
        check(graph, inputs, of_keras)


def test_a_network_is_trained_and_saved_in_keras(tmp_path: Path) -> None:
    """The loss falls, and the file has the weights after training; constants that are no weights stay."""
    torch.manual_seed(9)
    graph = graph_of(exported(MODULES[3](), tmp_path / "m.onnx"), "m.onnx")
    model = graph_to_keras(graph)
    rng = np.random.default_rng(2)
    ids = rng.integers(0, V, (16, 9))
    targets = rng.standard_normal((16, 3)).astype(np.float32)
    layer = model.layers[-1]
    others = [keras.ops.convert_to_numpy(weight).copy() for weight in layer.non_trainable_weights]
    model.compile(optimizer="adam", loss="mse")
    before = model.evaluate(ids, targets, verbose=0)
    model.fit(ids, targets, epochs=3, verbose=0)
    assert model.evaluate(ids, targets, verbose=0) < before
    for weight, array in zip(layer.non_trainable_weights, others, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), array)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    outputs = [keras.ops.convert_to_numpy(each(ids)) for each in (model, loaded)]
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-6)
    assert not np.allclose(outputs[0], graph.run({"ids": ids})[graph.outputs[0]])


def test_what_a_graph_does_not_take_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from gatewise.exchange.keras_functions import FUNCTIONS

    node = Node("e", operation_of("Erf", {}), ("x",), ("y",), "line 4")
    graph = Graph({"x": ValueType("float", (B, T))}, {}, (node,), ("y",), (Guard(T, "<=", 5),))
    model = graph_to_keras(graph)
    with pytest.raises(InputError, match="must be at most 5, and is"):
        model.layers[-1].call([keras.ops.ones((2, 6))])
    with pytest.raises(InputError, match=r"the input x is float \(2, T\): the first axis"):
        graph_to_keras(Graph({"x": ValueType("float", (2, T))}, {}, (node,), ("y",)))
    monkeypatch.delitem(FUNCTIONS, "Erf")
    with pytest.raises(InputError, match=r"node 'e' \(line 4\): Erf has no function in Keras"):
        graph_to_keras(graph)
