"""Networks of Keras, PyTorch and ONNX as graphs, which are recognised: the architecture, and the same outputs."""

import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import gatewise as gw
from gatewise.exchange.onnx_network import read_onnx
from gatewise.exchange.read_network import ReadNetwork
from gatewise.network.graph import Graph
from gatewise.network.recognise import Recognised, recognise
from tests.exchange.imported import CASES, made
from tests.exchange.random_models import OTHER_SHAPES, random_model
from tests.network.test_recognise import assert_same

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn.t accept a copy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask:UserWarning"),
]
ONNX = Path(__file__).parent / "onnx"
ACTIVATIONS = {"weather": "linear", "toxic": "sigmoid", "tagger": "softmax", "Tagger": "log_softmax"}  # of the outputs
PADS = {"masked_text": 0, "tagger": 0, "masked_series": -1}
AXES = {"Tagger": "t", "TimeFirst": "tb"}  # of the batch and the time
STEPS = {"tutorial": 20, "weather": 24, "stateful": 6, "toxic": 30, "masked_series": 15}


def read(name: str, keras: ModuleType) -> ReadNetwork:
    network = made(name, keras)
    if CASES[name].example is not None:
        torch_graph = pytest.importorskip("gatewise.exchange.torch_graph")
        network_of_torch: ReadNetwork = torch_graph.read_torch(network, CASES[name].example)
        return network_of_torch
    from gatewise.exchange.keras_graph import read_keras

    return read_keras(network)


def recognised(graph: Graph) -> Recognised:
    found = recognise(graph)
    assert isinstance(found, Recognised), found
    return found


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.pooling != "graph"])
def test_a_network_is_recognised(name: str, keras: ModuleType) -> None:
    case = CASES[name]
    graph = read(name, keras).graph
    found = recognised(graph)
    arch = found.arch
    layers = [f"{one.direction} {one.units}" + f" {one.merge}" * (one.merge != "concat") for one in arch.layers]
    assert ", ".join(layers) == case.layers
    assert arch.pooling == case.pooling
    assert ", ".join(f"{one.activation} {one.units}" for one in arch.hidden) == case.hidden
    assert found.output_activation == ACTIVATIONS.get(name, found.output_activation)
    assert found.pad_value == PADS.get(name)
    assert found.steps == STEPS.get(name)
    assert (found.scaling is not None) == (name == "normalized")
    assert bool(found.lengths_input) == (name in ("Packed", "MaskedMean"))
    batch = 8 if name == "stateful" else 3
    assert_same(graph, found, batch, found.steps or 7, 0, AXES.get(name, "bt"))


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.pooling == "graph"])
def test_another_network_says_why_it_is_none(name: str, keras: ModuleType) -> None:
    assert isinstance(recognise(read(name, keras).graph), str)


@pytest.mark.parametrize("name", ["ManyToOne", "TimeFirst", "Characters"])
def test_onnx_of_torch(name: str, tmp_path: Path) -> None:
    axes = {"x": {0: "steps", 1: "batch"} if name == "TimeFirst" else {0: "batch", 1: "steps"}}
    module = made(name, None).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (CASES[name].example,), tmp_path / "m.onnx", dynamo=False, input_names=["x"], dynamic_axes=axes
        )
    graph = read_onnx(tmp_path / "m.onnx").graph
    found = recognised(graph)
    assert ", ".join(f"{one.direction} {one.units}" for one in found.arch.layers) == CASES[name].layers
    assert found.arch.pooling == CASES[name].pooling
    assert_same(graph, found, 3, 7, 0, AXES.get(name, "bt"))


def test_onnx_of_other_exporters() -> None:
    graph = read_onnx(ONNX / "tf2onnx.onnx").graph
    found = recognised(graph)
    assert_same(graph, found, 3, 7, 0)
    assert (found.arch.pooling, found.output_activation) == ("max", "softmax")
    graph = read_onnx(ONNX / "torch_dynamo.onnx").graph
    found = recognised(graph)
    assert_same(graph, found, 3, 7, 0)
    assert [layer.direction for layer in found.arch.layers] == ["both", "both"]
    assert [layer.activation for layer in found.arch.hidden] == ["relu"]


SHAPES: dict[str, dict[str, Any]] = {
    "last": {},
    "two layers, both directions": {"pooling": "mean+max", "bidirectional": True, "layers": 2, "classes": 3},
    "pads in front": {"padding": "pre", "max_length": 30, "layers": 2},
    **{name: options | {"max_length": 30} for name, options in OTHER_SHAPES.items()},
}


@pytest.mark.parametrize("name", SHAPES)
def test_what_to_keras_writes_is_recognised(name: str, keras: ModuleType) -> None:
    """But for the last step of a backward direction, which to_keras takes by the number of words: pads may stand in
    front of it.
    """
    from gatewise.exchange.keras_graph import read_keras

    model = random_model(**SHAPES[name])
    found = recognise(read_keras(gw.to_keras(model)).graph)
    arch = model.architecture
    if arch.pooling == "step" and not arch.unidirectional:
        assert isinstance(found, str)
        return
    assert isinstance(found, Recognised), found
    assert found.arch.layers == arch.layers
    assert [one.activation for one in found.arch.hidden] == [one.activation for one in arch.hidden]
    same_state = {arch.pooling, found.arch.pooling} <= {"last", "step"} and arch.unidirectional
    assert found.arch.pooling == arch.pooling or same_state
    for parameter, array in model.ensemble.lstm.parameters.items():
        np.testing.assert_allclose(found.parameters[parameter], array, rtol=1e-6, atol=1e-7)
