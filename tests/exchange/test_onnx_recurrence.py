"""LSTM, GRU and RNN of ONNX with random attributes and inputs: the outputs of ONNX Runtime, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.exchange.onnx_graph import graph_of
from gatewise.exchange.onnx_network import read_onnx
from gatewise.network.operation import Execution

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper  # noqa: E402

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
ACTIVATIONS = {"LSTM": 3, "GRU": 2, "RNN": 1}
ALPHA = {"Elu": 0.7, "HardSigmoid": 0.3, "LeakyRelu": 0.02, "ThresholdedRelu": 0.4}
BETA = {"HardSigmoid": 0.45}
OTHERS = ("Relu", "Sigmoid", "Softsign", "Tanh")
BATCH, STEPS, INPUTS, UNITS = 3, 5, 2, 4


def random_model(rng: np.random.Generator, cell: str, batch_first: bool = False) -> tuple[Any, dict[str, Any]]:
    """A model of one node whose weights are constants, and its inputs."""
    direction = str(rng.choice(["forward", "reverse", "bidirectional"]))
    directions = 2 if direction == "bidirectional" else 1
    attributes: dict[str, Any] = {"hidden_size": UNITS, "direction": direction}
    if rng.random() < 0.4:
        attributes["clip"] = float(rng.uniform(0.2, 1.5))
    if cell == "GRU":
        attributes["linear_before_reset"] = int(rng.integers(2))
    if rng.random() < 0.5:
        names = [str(name) for name in rng.choice([*ALPHA, *OTHERS], directions * ACTIVATIONS[cell])]
        if rng.random() < 0.3:
            names[-1] = "Softplus"  # of the state alone: ONNX Runtime has inf where a gate of it grows beyond 88
        attributes["activations"] = names
        alpha = [ALPHA[name] for name in names if name in ALPHA]
        beta = [BETA[name] for name in names if name in BETA]
        if alpha:
            attributes["activation_alpha"] = alpha
        if beta:
            attributes["activation_beta"] = beta
    if batch_first:
        attributes["layout"] = 1
    rows = GATES[cell] * UNITS

    def floats(*shape: int) -> Any:
        return rng.normal(0, 0.35, shape).astype(np.float32)

    constants = {"W": floats(directions, rows, INPUTS), "R": floats(directions, rows, UNITS)}
    read = ["X", "W", "R", "", "", ""]
    feeds: dict[str, Any] = {"X": floats(STEPS, BATCH, INPUTS)}
    states = [("h0", 5), ("c0", 6)] if cell == "LSTM" else [("h0", 5)]
    if cell == "LSTM":
        read += ["", ""]
    if rng.random() < 0.7:
        constants["B"] = floats(directions, 2 * rows)
        read[3] = "B"
    if rng.random() < 0.6:
        feeds["lengths"] = rng.integers(0, STEPS + 1, BATCH).astype(np.int32)
        feeds["lengths"][0] = STEPS
        read[4] = "lengths"
    for name, place in states:
        if rng.random() < 0.6:
            feeds[name] = floats(directions, BATCH, UNITS)
            read[place] = name
    if cell == "LSTM" and rng.random() < 0.5:
        constants["P"] = floats(directions, 3 * UNITS)
        read[7] = "P"
    if batch_first:
        feeds = {name: array if name == "lengths" else array.swapaxes(0, 1) for name, array in feeds.items()}
    while not read[-1]:
        read.pop()
    outputs = ["Y", "Y_h", "Y_c"][: 1 + len(states)]
    symbols = {name: [None] * array.ndim for name, array in feeds.items()}
    symbols["X"] = ["B", "T", INPUTS] if batch_first else ["T", "B", INPUTS]
    infos = []
    for name, array in feeds.items():
        shape: list[Any] = [{BATCH: "B", STEPS: "T"}.get(size, size) for size in array.shape]
        infos.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), shape))
    graph = helper.make_graph(
        [helper.make_node(cell, read, outputs, name="layer", **attributes)], "g", infos,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), feeds


@pytest.mark.parametrize("cell", GATES)
def test_onnx_runtime_computes_the_same(cell: str) -> None:
    rng = np.random.default_rng(7)
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    for number in range(60):
        model, feeds = random_model(rng, cell)
        session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        expected = session.run(None, feeds)
        graph = graph_of(model, "m.onnx")
        values = graph.run(feeds)
        for name, wanted in zip(graph.outputs, expected, strict=True):
            message = f"{number}: {name} of {model.graph.node[0]}"
            np.testing.assert_allclose(values[name], wanted, rtol=1e-4, atol=5e-6, err_msg=message)


@pytest.mark.parametrize("cell", GATES)
def test_the_reference_computes_the_same_in_float64(cell: str) -> None:
    """Also with the batch first, which ONNX Runtime does not compute."""
    rng = np.random.default_rng(8)
    for number in range(3):
        model, feeds = random_model(rng, cell, batch_first=number > 0)
        network = read_onnx(model)
        values = network.graph.run(feeds, execution=Execution(dtype=np.float64, keep=False))
        original = network.original_values(feeds, network.compared, "float64")
        assert set(original) == set(network.graph.outputs)
        for name, wanted in original.items():
            np.testing.assert_allclose(values[name], wanted, rtol=1e-12, atol=1e-13, err_msg=f"{number}: {name}")
        network.close()


@pytest.mark.parametrize(
    ("cell", "attributes", "message"),
    [
        ("LSTM", {"input_forget": 1}, "LSTM 'layer', node 1 of 1: the attribute 'input_forget' is not read"),
        ("LSTM", {"activations": ["Sigmoid", "ScaledTanh", "Tanh"]}, "the activation 'ScaledTanh' is not read"),
        ("RNN", {"activations": ["Affine"], "direction": "forward"}, "the activation 'Affine' is not read"),
        ("GRU", {"activations": ["Sigmoid"], "direction": "forward"}, "it has 1 activations, and needs 2"),
        ("GRU", {"direction": "sideways"}, "the direction 'sideways' is none of forward, reverse, bidirectional"),
        ("GRU", {"direction": "bidirectional"}, "W has 1 directions, and the direction is bidirectional"),
        ("GRU", {"output_sequence": 1}, "the attribute 'output_sequence' is not read"),
    ],
)
def test_what_is_not_read_is_named(cell: str, attributes: dict[str, Any], message: str) -> None:
    weights = {
        "W": np.ones((1, GATES[cell] * UNITS, INPUTS), np.float32),
        "R": np.ones((1, GATES[cell] * UNITS, UNITS), np.float32),
    }
    node = helper.make_node(cell, ["X", "W", "R"], ["Y"], name="layer", hidden_size=UNITS, **attributes)
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["T", "B", INPUTS])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    with pytest.raises(InputError, match=message):
        graph_of(model, "m.onnx")
