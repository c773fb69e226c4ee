"""`prove` on networks of ONNX Runtime: an LSTM of ids and lengths in both directions, with any activations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.exchange.onnx_network import read_onnx
from gatewise.exchange.proof import prove

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
helper = onnx.helper

H, D, WORDS = 5, 3, 11
ACTIVATIONS = ["Sigmoid", "Relu", "Tanh", "HardSigmoid", "LeakyRelu", "Softsign"]


def model(**attributes: Any) -> Any:
    """Ids (T, B) and lengths (B,) -> probabilities (B, 2)."""
    rng = np.random.default_rng(0)
    shapes = {"W": (2, 4 * H, D), "R": (2, 4 * H, H), "B": (2, 8 * H), "E": (WORDS, D), "O": (2 * H, 2)}
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    attributes |= {"hidden_size": H, "direction": "bidirectional"}
    nodes = [
        helper.make_node("Gather", ["E", "ids"], ["x"]),
        helper.make_node("LSTM", ["x", "W", "R", "B", "lengths"], ["Y", "Y_h"], **attributes),
        helper.make_node("Transpose", ["Y_h"], ["rows"], perm=[1, 0, 2]),
        helper.make_node("Flatten", ["rows"], ["joined"], axis=1),
        helper.make_node("MatMul", ["joined", "O"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"], axis=-1),
    ]
    types = onnx.TensorProto
    graph = helper.make_graph(
        nodes,
        "ids and lengths",
        [
            helper.make_tensor_value_info("ids", types.INT64, ["T", "B"]),
            helper.make_tensor_value_info("lengths", types.INT32, ["B"]),
        ],
        [helper.make_tensor_value_info("y", types.FLOAT, ["B", 2])],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    "attributes", [{}, {"clip": 0.5}, {"activations": ACTIVATIONS}], ids=["usual", "clip", "activations"]
)
def test_an_lstm_of_onnx_is_accepted(attributes: dict[str, Any]) -> None:
    network = read_onnx(model(**attributes))
    try:
        report = prove(network)
    finally:
        network.close()
    assert not report.refused
    assert max(sizes["T"] for sizes in report.sizes) == 2_000


def test_another_weight_is_found() -> None:
    network = read_onnx(model())
    assert isinstance(network.graph.constants, dict)
    table = network.graph.constants["E"].copy()
    table[WORDS - 1, 2] += np.float32(1e-4)
    network.graph.constants["E"] = table
    try:
        with pytest.raises(InputError, match="the original computes"):
            prove(network)
    finally:
        network.close()


def of_series(nodes: list[Any], arrays: dict[str, Any], channels: int) -> Any:
    """A file that makes y (B, H) of x (B, channels, T)."""
    types = onnx.TensorProto
    graph = helper.make_graph(
        nodes,
        "a series",
        [helper.make_tensor_value_info("x", types.FLOAT, ["B", channels, "T"])],
        [helper.make_tensor_value_info("y", types.FLOAT, ["B", H])],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def weights() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    shapes = {"W": (1, 4 * H, D), "R": (1, 4 * H, H)}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


POOLINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "halves": ("MaxPool", {"kernel_shape": [2], "strides": [2]}),
    "padded": ("MaxPool", {"kernel_shape": [3], "pads": [1, 1]}),
    "rounded up": ("MaxPool", {"kernel_shape": [3], "strides": [2], "ceil_mode": 1}),
    "same, upper": ("MaxPool", {"kernel_shape": [2], "auto_pad": "SAME_UPPER"}),
    "same, lower": ("MaxPool", {"kernel_shape": [4], "strides": [3], "auto_pad": "SAME_LOWER"}),
    "all steps": ("GlobalMaxPool", {}),
    "padded means": ("AveragePool", {"kernel_shape": [3], "pads": [1, 1]}),
    "mean of all steps": ("GlobalAveragePool", {}),
}


@pytest.mark.parametrize("kind", POOLINGS)
def test_pooling_before_an_lstm(kind: str) -> None:
    """The maximum of 0 and NaN is 0 in ONNX Runtime, or NaN, by their order: it is not compared."""
    operation, attributes = POOLINGS[kind]
    nodes = [
        helper.make_node(operation, ["x"], ["pooled"], **attributes),
        helper.make_node("Transpose", ["pooled"], ["steps"], perm=[2, 0, 1]),
        helper.make_node("LSTM", ["steps", "W", "R"], ["", "Y_h"], hidden_size=H),
        helper.make_node("Squeeze", ["Y_h", "axes"], ["y"]),
    ]
    network = read_onnx(of_series(nodes, weights() | {"axes": np.array([0])}, D))
    try:
        report = prove(network)
    finally:
        network.close()
    reasons = {reason for name, reason in report.refused.items() if name.startswith(("nan", "a sequence of nan"))}
    assert bool(reasons) == ("Max" in operation)
    assert all("ONNX does not say what it makes of NaN" in reason for reason in reasons)


def test_a_pooling_of_nan_that_the_network_computes_is_refused() -> None:
    nodes = [
        helper.make_node("Log", ["x"], ["logarithms"]),
        helper.make_node("GlobalMaxPool", ["logarithms"], ["pooled"]),
        helper.make_node("Transpose", ["pooled"], ["steps"], perm=[2, 0, 1]),
        helper.make_node("LSTM", ["steps", "W", "R"], ["", "Y_h"], hidden_size=H),
        helper.make_node("Squeeze", ["Y_h", "axes"], ["y"]),
    ]
    network = read_onnx(of_series(nodes, weights() | {"axes": np.array([0])}, D))
    reason = "the network cannot be compared: .*ONNX does not say what it makes of NaN"
    try:
        with pytest.raises(InputError, match=reason):
            prove(network)
    finally:
        network.close()


def test_zeros_without_a_type_of_their_own_are_float64_where_the_file_is() -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["steps"], perm=[2, 0, 1]),
        helper.make_node("Shape", ["x"], ["B"], start=0, end=1),
        helper.make_node("Concat", ["B", "units"], ["shape"], axis=0),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("Scan", ["zeros", "steps"], ["y"], num_scan_inputs=1, body=step_of_a_scan()),
    ]
    arrays = {"units": np.array([H]), "U": weights()["R"][0, :H], "V": weights()["W"][0, :H].T.copy()}
    network = read_onnx(of_series(nodes, arrays, D))
    try:
        assert prove(network).cases
    finally:
        network.close()


def step_of_a_scan() -> Any:
    """h = tanh(h U + x V)."""
    types = onnx.TensorProto
    nodes = [
        helper.make_node("MatMul", ["h", "U"], ["recurrent"]),
        helper.make_node("MatMul", ["step", "V"], ["of_x"]),
        helper.make_node("Add", ["recurrent", "of_x"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["h_next"]),
    ]
    inputs = [
        helper.make_tensor_value_info("h", types.FLOAT, ["B", H]),
        helper.make_tensor_value_info("step", types.FLOAT, ["B", D]),
    ]
    return helper.make_graph(nodes, "step", inputs, [helper.make_tensor_value_info("h_next", types.FLOAT, ["B", H])])
