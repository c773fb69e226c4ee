"""Layers of torch and Keras to `LSTM` and back, and LSTM nodes of ONNX files: equal outputs, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from gatewise.errors import InputError, ModelFileError
from gatewise.network.weight_layouts import from_onnx_arrays
from gatewise.nn import LSTM, from_keras, from_onnx, from_torch, to_keras, to_torch
from gatewise.nn.convert import from_arrays, to_arrays
from gatewise.types import Array
from tests.refusals import assert_refused


@pytest.mark.parametrize("bias", [False, True])
def test_round_trip(bias: bool) -> None:
    torch.manual_seed(0)
    how = {"num_layers": 2, "bias": bias, "batch_first": True, "dropout": 0.25, "bidirectional": True}
    theirs = torch.nn.LSTM(3, 5, **how, dtype=torch.float64).eval()
    ours = from_torch(theirs)
    assert not ours.training
    again = to_torch(ours)
    for name in ("input_size", "hidden_size", *how):
        assert getattr(theirs, name) == getattr(ours, name) == getattr(again, name)
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    for got, wanted in ((ours(x)[0], theirs(x)[0]), (again(x)[0], theirs(x)[0])):
        assert torch.allclose(got, wanted, rtol=0, atol=1e-12)
    for name, parameter in from_torch(again).state_dict().items():
        assert torch.equal(parameter, ours.state_dict()[name])
    with torch.no_grad():
        ours.weight_hh_l0.zero_()
    assert bool(theirs.weight_hh_l0.all()), "the two share memory"


def test_a_conversion_draws_no_initial_values() -> None:
    """They take seconds for many units, and would move torch's random numbers."""
    theirs, arrays = torch.nn.LSTM(3, 5), to_arrays(LSTM(3, 5))
    before = torch.get_rng_state()
    from_torch(theirs)
    from_arrays(arrays)
    LSTM(3, 5, device="meta")
    assert torch.equal(torch.get_rng_state(), before)


def test_what_torch_cannot_be_converted() -> None:
    assert_refused("proj_size=2", from_torch, torch.nn.LSTM(3, 5, proj_size=2))
    assert_refused("sigmoid gates only", to_torch, LSTM(3, 5, gate="binary"))


# Keras's own variables, on the torch backend, under NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture(scope="module")
def layers(keras: ModuleType) -> Any:
    keras.utils.set_random_seed(3)
    return keras.layers


def scrambled(layer: Any, seed: int = 0) -> Any:
    """The layer with random weights, biases too, no two of them alike."""
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(size=array.shape) / 2 for array in layer.get_weights()])
    return layer


def built(layer: Any, inputs: int = 3) -> Any:
    layer.build((None, None, inputs))
    return scrambled(layer)


def keras_output(layer: Any, x: Array) -> Array:
    with torch.no_grad():
        output: Array = layer(torch.from_numpy(x)).cpu().numpy()
    return output


def our_output(lstm: LSTM, x: Array) -> Array:
    with torch.no_grad():
        output: Array = lstm(torch.from_numpy(x))[0].numpy()
    return output


X = np.random.default_rng(1).normal(size=(2, 6, 3)).astype(np.float32)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("both", [False, True])
def test_a_layer_there_and_back(layers: Any, both: bool, bias: bool) -> None:
    def make() -> Any:
        one = layers.LSTM(5, use_bias=bias, return_sequences=True)
        return built(layers.Bidirectional(one) if both else one)

    source = make()
    wanted = keras_output(source, X)
    ours = from_keras(source)
    assert ours.bidirectional == both
    np.testing.assert_allclose(our_output(ours, X), wanted, rtol=0, atol=1e-6)
    target = scrambled(make(), seed=9)
    assert np.abs(keras_output(target, X) - wanted).max() > 1e-2
    to_keras(ours, target)
    np.testing.assert_allclose(keras_output(target, X), wanted, rtol=0, atol=1e-6)


def test_what_keras_cannot_be_converted(layers: Any) -> None:
    ours, one = LSTM(3, 5), layers.LSTM(5)
    other = [layers.LSTM(4, go_backwards=True), layers.LSTM(5, go_backwards=True, use_bias=False)]
    wrong: list[tuple[str, Callable[[], Any]]] = [
        ("weight_ih of layer 0_reverse", lambda: from_keras(built(layers.Bidirectional(one, backward_layer=other[0])))),
        ("bias of layer 0_reverse", lambda: from_keras(built(layers.Bidirectional(one, backward_layer=other[1])))),
        ("activation='tanh' only", lambda: from_keras(built(layers.LSTM(5, activation="relu")))),
        ("recurrent_activation", lambda: from_keras(built(layers.LSTM(5, recurrent_activation="hard_sigmoid")))),
        ("go_backwards", lambda: from_keras(built(layers.LSTM(5, go_backwards=True)))),
        ("merge_mode", lambda: from_keras(built(layers.Bidirectional(layers.LSTM(5), merge_mode="sum")))),
        ("made of 'GRU' layers", lambda: from_keras(built(layers.Bidirectional(layers.GRU(5))))),
        ("expected a Keras layer, .* got 'GRU'", lambda: from_keras(built(layers.GRU(5)))),
        ("not built", lambda: from_keras(layers.LSTM(5))),
        (r"keras\.models\.load_model\(path\)\.get_layer\(name\)", lambda: from_keras("model.keras")),
        (r"keras\.models\.load_model\(path\)\.get_layer\(name\)", lambda: to_keras(ours, Path("model.keras"))),
        ("of the shapes", lambda: to_keras(ours, built(layers.LSTM(4)))),
        ("of the shapes", lambda: to_keras(ours, built(layers.LSTM(5, use_bias=False)))),
        ("of the shapes", lambda: to_keras(ours, built(layers.Bidirectional(layers.LSTM(5))))),
        ("of the shapes", lambda: to_keras(ours, built(layers.LSTM(5), inputs=2))),
        ("one LSTM layer, this module has 2", lambda: to_keras(LSTM(3, 5, 2), built(layers.LSTM(5)))),
        ("no counterpart", lambda: to_keras(LSTM(3, 5, gate="binary"), built(layers.LSTM(5)))),
    ]
    for message, call in wrong:
        assert_refused(message, call)


onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
helper = onnx.helper

D, H = 3, 5


def written(path: Path, directions: int = 1, bias: bool = True, names: tuple[str, ...] = ("lstm",), **how: Any) -> Path:
    """A file with LSTM nodes that all read x (T, B, D). change: of the ModelProto before it is written."""
    rng, change, more = np.random.default_rng(3), how.pop("change", None), how.pop("inputs", [])
    shapes = {"W": (directions, 4 * H, D), "R": (directions, 4 * H, H), "B": (directions, 8 * H)}
    stored = [onnx.numpy_helper.from_array(rng.normal(size=s).astype(np.float32), n) for n, s in shapes.items()]
    how = {"hidden_size": H, "direction": "bidirectional" if directions == 2 else "forward", **how}
    nodes = [
        helper.make_node("LSTM", ["x", "W", "R", "B" if bias else "", *more], [f"y_{name}"], name=name, **how)
        for name in names
    ]
    float32 = onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info("x", float32, ["T", "B", D])]
    out = [helper.make_tensor_value_info(f"y_{name}", float32, None) for name in names]
    graph = helper.make_graph(nodes, "g", ends, out, initializer=stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if change:
        change(model)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("directions", [1, 2])
def test_a_node_becomes_a_layer(directions: int, bias: bool, tmp_path: Path) -> None:
    path = written(tmp_path / "model.onnx", directions, bias, activations=["Sigmoid", "Tanh", "Tanh"] * directions)
    x = np.random.default_rng(1).normal(size=(6, 2, D)).astype(np.float32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    wanted = session.run(None, {"x": x})[0].transpose(0, 2, 1, 3).reshape(6, 2, -1)  # (T, R, B, H) as (T, B, R x H)
    with torch.no_grad():
        found = from_onnx(path)(torch.from_numpy(x))[0].numpy()
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)


def test_what_onnx_cannot_be_converted(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    named = written(tmp_path / "two.onnx", names=("first", "second"))
    assert from_onnx(named, "second").hidden_size == H
    for node, message in ((None, "node: missing; the LSTM nodes are: 'first', 'second'"), ("third", "0 LSTM nodes")):
        assert_refused(message, from_onnx, named, node)

    def external(model: Any) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="/etc/passwd")

    wrong: list[tuple[dict[str, Any], str]] = [
        ({"direction": "reverse"}, "direction is 'reverse'"),
        ({"activations": ["Sigmoid", "Relu", "Tanh"]}, "activations are sigmoid, relu, tanh"),
        ({"clip": 3.0}, "neither clip nor input_forget"),
        ({"input_forget": 1}, "neither clip nor input_forget"),
        ({"inputs": ["", "", "", "P"]}, "no peephole weights"),
        ({"change": lambda model: model.graph.initializer.pop(1)}, "'R' is computed in the graph"),
        ({"change": lambda model: model.graph.node[0].ClearField("input")}, "'' is computed in the graph"),
        ({"change": external}, "'W' is stored in another file"),
        ({"change": lambda model: model.graph.initializer[0].ClearField("raw_data")}, "'W' is damaged"),
        ({"directions": 2, "direction": "forward"}, "2 directions"),
    ]
    for how, message in wrong:
        assert_refused(message, from_onnx, written(path, **how), error=(InputError, ModelFileError))
    path.write_bytes(b"no protobuf")
    link, text = tmp_path / "link.onnx", tmp_path / "text.json"
    link.symlink_to(path)
    text.write_text("{")  # onnx chooses a parser by the name
    for file, message in (
        (path, "not an ONNX file"),
        (link, "not an ONNX file"),
        (text, "not an ONNX file"),
        (tmp_path / "missing.onnx", "no such file"),
        ("\0.onnx", "not an ONNX file"),
        ("/dev/zero", "not a regular file"),
        (tmp_path, "is a directory"),
    ):
        assert_refused(message, from_onnx, file, error=ModelFileError)


def test_arrays_of_other_shapes_are_refused() -> None:
    rng = np.random.default_rng(0)
    W, R, B = (rng.normal(size=shape) for shape in ((1, 12, 5), (1, 12, 3), (1, 24)))
    for message, arrays in (
        ("W: expected", (W[:, :-1], R, B)),
        ("R: expected", (W, R[:, :-4], B)),
        ("B: expected", (W, R, W[0])),
        ("W and R", (W[0], R, B)),
    ):
        assert_refused(message, from_onnx_arrays, *arrays)
