"""`gw.nn.from_onnx`: the layer computes what ONNX Runtime computes for the node; other nodes and files are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gatewise.errors import InputError, ModelFileError
from gatewise.nn import from_onnx

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


def test_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    named = written(tmp_path / "two.onnx", names=("first", "second"))
    assert from_onnx(named, "second").hidden_size == H
    for node, message in ((None, "node: missing; the LSTM nodes are: 'first', 'second'"), ("third", "0 LSTM nodes")):
        with pytest.raises(InputError, match=message):
            from_onnx(named, node)

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
        ({"change": external}, "'W' is stored in another file"),
        ({"change": lambda model: model.graph.initializer[0].ClearField("raw_data")}, "'W' is damaged"),
        ({"directions": 2, "direction": "forward"}, "2 directions"),
    ]
    for how, message in wrong:
        with pytest.raises((InputError, ModelFileError), match=message):
            from_onnx(written(path, **how))
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
        with pytest.raises(ModelFileError, match=message):
            from_onnx(file)
