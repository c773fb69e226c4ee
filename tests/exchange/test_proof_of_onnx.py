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
