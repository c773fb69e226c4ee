"""Models whose network is a graph for ONNX, torch and Keras: the logits that the model predicts."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import DataWarning, InputError, ModelFileError
from gatewise.exchange.graph_model import graph_of_model
from gatewise.exchange.onnx_network import read_onnx
from gatewise.model import Model
from gatewise.model.compress import stored
from gatewise.network.graph import Graph
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import ValueType
from gatewise.network.operations.loop import Loop
from gatewise.network.operations.recurrent import Recurrent
from gatewise.network.size import symbol

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")
if find_spec("keras") is None:
    pytest.skip("keras is not installed", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn.t accept a copy:DeprecationWarning")

B, T = symbol("B"), symbol("T")


def network(outputs: int, per_step: bool = False, further: bool = False, activation: str = "") -> Graph:
    """A GRU of token ids, steps first, with a table of numbers beside the last state."""
    rng = np.random.default_rng(outputs)
    builder = GraphBuilder()

    def weights(*shape: int) -> str:
        return builder.constant(rng.normal(0, 0.5, shape).astype(np.float32))

    ids = builder.input("ids", ValueType("int64", (T, B)))
    x = builder.add("Transpose", builder.add("Gather", weights(9, 3), ids), perm=(1, 0, 2))
    h, last = builder.node(Recurrent("GRU"), (x, weights(12, 3), weights(12, 4), weights(12)))
    if per_step:
        logits = builder.add("Add", builder.add("MatMul", h, weights(4, outputs)), weights(outputs))
        logits = builder.add("Transpose", logits, perm=(1, 0, 2))  # (T, B, outputs)
    else:
        logits = builder.add("Add", builder.add("MatMul", last, weights(4, outputs)), weights(outputs))
    if further:
        numbers = builder.input("numbers", ValueType("float", (B, 2)))
        logits = builder.add("Add", logits, builder.add("MatMul", numbers, weights(2, outputs)))
    if activation:
        logits = builder.add(activation, logits)
    return builder.graph([logits])


KINDS: dict[str, tuple[Graph, dict[str, Any]]] = {
    "regression": (network(1), {"task": "regression"}),
    "three classes": (network(3, activation="Softmax"), {}),
    "two outputs": (network(2, activation="Softmax"), {}),
    "a sigmoid": (network(1, activation="Sigmoid"), {}),
    "labels": (network(4, activation="Sigmoid"), {}),
    "tags": (network(3, per_step=True, activation="Softmax"), {}),
    "further inputs": (network(3, further=True, activation="Softmax"), {}),
}


def inputs_of(graph: Graph, batch: int, steps: int) -> dict[str, Any]:
    rng = np.random.default_rng(batch)
    feeds: dict[str, Any] = {"ids": rng.integers(0, 9, (steps, batch))}
    if "numbers" in graph.inputs:
        feeds["numbers"] = rng.standard_normal((batch, 2)).astype(np.float32)
    return feeds


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_and_the_module_compute_what_the_model_predicts(kind: str, tmp_path: Path) -> None:
    """Also with a weight and a shift, as calibration gives a network."""
    graph, meaning = KINDS[kind]
    model = Model.of_graph(graph, **meaning)
    count = model.ensemble.target.outputs
    shift = np.random.default_rng(0).standard_normal(count)
    model = replace(model, ensemble=replace(model.ensemble, weights=(0.7,), shift=shift))
    report = model.export(tmp_path / "model.onnx")
    assert report.checked > 100
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    module = gw.to_torch(model)
    feeds = inputs_of(graph, 3, 5)
    outputs = session.run(None, feeds)
    of_torch = module(*(torch.from_numpy(array) for array in feeds.values())).detach().numpy()
    np.testing.assert_allclose(of_torch, outputs[0], rtol=1e-4, atol=1e-5)
    of_keras = gw.to_keras(model)(feeds if len(feeds) > 1 else feeds["ids"])
    np.testing.assert_allclose(of_keras.detach().numpy(), outputs[0], rtol=1e-4, atol=1e-5)
    rows = []
    for row in range(3):
        own: Any = feeds["ids"][:, row]
        if "numbers" in feeds:
            own = {"ids": own, "numbers": feeds["numbers"][row]}
        rows.append(own)
    encoded = model.preprocessor.encode_batch(rows)
    expected = model.ensemble.logits(encoded)
    np.testing.assert_allclose(outputs[0].reshape(-1, count), np.reshape(expected, (-1, count)), rtol=1e-4, atol=1e-5)
    read = read_onnx(tmp_path / "model.onnx").graph.run(feeds)
    names = [output.name for output in session.get_outputs()]
    for name, wanted in zip(names, outputs, strict=True):
        np.testing.assert_allclose(read[name], wanted, rtol=1e-4, atol=1e-5)
    properties = onnx.load(tmp_path / "model.onnx").metadata_props
    assert not any(entry.key.endswith(".json") for entry in properties), "no folder of a model, which it does not hold"
    if kind == "regression":
        assert names == ["values"]
        return
    assert names == ["logits", "probabilities"]
    probabilities = model.ensemble.target.probabilities(np.reshape(expected, (-1, count)))
    wanted = outputs[1].reshape(len(probabilities), -1)
    np.testing.assert_allclose(wanted[:, -probabilities.shape[1] :], probabilities, rtol=1e-4, atol=1e-5)


def wide_network() -> Graph:
    """Two directions of an LSTM of token ids, whose matrices are most of its numbers."""
    rng = np.random.default_rng(4)
    builder = GraphBuilder()

    def weights(*shape: int) -> str:
        return builder.constant(rng.normal(0, 0.3, shape).astype(np.float32))

    x = builder.add("Gather", weights(90, 16), builder.input("ids", ValueType("int64", (B, T))))
    both = []
    for reverse in (False, True):
        both.append(builder.node(Recurrent(reverse=reverse), (x, weights(128, 16), weights(128, 32), weights(128)))[1])
    product = builder.add("MatMul", builder.add("Concat", *both, axis=1), weights(64, 3))
    return builder.graph([builder.add("Softmax", product)])


@pytest.mark.parametrize(("dtype", "share"), [("int8", 0.7), ("float16", 0.48)])
def test_a_quantised_file_computes_the_rounded_model(dtype: str, share: float, tmp_path: Path) -> None:
    graph = wide_network()
    model = Model.of_graph(graph)
    whole = model.export(tmp_path / "whole.onnx")
    report = model.export(tmp_path / "model.onnx", quantize=dtype)
    assert (whole.storage, report.storage) == ("float32", dtype)
    matrices = 4 * (90 * 16 + 2 * 128 * 48)
    assert whole.bytes - report.bytes > share * matrices - 2_000  # of nodes
    ids = inputs_of(graph, 3, 5)["ids"]
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    logits = session.run(["logits"], {"ids": ids})[0]
    rows = model.preprocessor.encode_batch(list(ids))
    expected = stored(model, dtype).ensemble.logits(rows)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
    assert 1e-6 < np.abs(expected - model.ensemble.logits(rows)).max() < 0.1


@pytest.mark.parametrize("dtype", ["int8", "float16"])
def test_the_matrices_of_a_loop_are_quantised(dtype: str, tmp_path: Path) -> None:
    """And those of linear layers around it."""
    rng = np.random.default_rng(7)
    body = GraphBuilder()
    parameters = [ValueType("float", (B, 24)), ValueType("float", (B, 16)), ValueType("float", (16, 24))]
    state, row, of_input = (body.input(name, kind) for name, kind in zip("hxw", parameters, strict=True))
    of_state = body.input("u", ValueType("float", (24, 24)))
    product = body.add("Add", body.add("MatMul", row, of_input), body.add("MatMul", state, of_state))
    step = body.graph([body.add("Elu", product)])
    builder = GraphBuilder()

    def weights(*shape: int) -> str:
        return builder.constant(rng.normal(0, 0.3, shape).astype(np.float32))

    x = builder.input("x", ValueType("float", (B, T, 16)))
    start = builder.add("ConstantOfShape", input=(B, 24))
    [last] = builder.node(Loop(step, T, (1,)), (start, x, weights(16, 24), weights(24, 24)))
    model = Model.of_graph(builder.graph([builder.add("MatMul", last, weights(24, 40))]))
    whole = model.export(tmp_path / "whole.onnx")
    report = model.export(tmp_path / "model.onnx", quantize=dtype)
    numbers = 16 * 24 + 24 * 24 + 24 * 40
    again = gw.from_onnx(tmp_path / "whole.onnx")  # whose proof in float64 needs the reference evaluator of ONNX
    assert again.classes == model.classes
    assert whole.bytes - report.bytes > {"int8": 3, "float16": 2}[dtype] * numbers - 1_500  # of nodes and scales
    series = rng.normal(size=(3, 5, 16)).astype(np.float32)
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    values = session.run(["values"], {"x": series})[0]
    expected = stored(model, dtype).predict(series)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5)
    assert np.abs(expected - model.predict(series)).max() > 1e-5


@pytest.mark.parametrize("hidden", [-np.inf, -1e9])
@pytest.mark.parametrize("dtype", ["int8", "float16"])
def test_a_mask_of_attention_is_not_rounded(dtype: str, hidden: float, tmp_path: Path) -> None:
    """float16 ends at 65,504, and a row of int8 has one scale."""
    rng = np.random.default_rng(6)
    builder = GraphBuilder()
    table = builder.constant(rng.normal(0, 1, (9, 12)).astype(np.float32))
    x = builder.add("Gather", table, builder.input("ids", ValueType("int64", (B, 6))))
    scores = builder.add("MatMul", x, builder.add("Transpose", x, perm=(0, 2, 1)))
    mask = np.triu(np.full((6, 6), hidden, np.float32), 1) + np.tril(rng.normal(0, 1, (6, 6)).astype(np.float32))
    shares = builder.add("Softmax", builder.add("Add", scores, builder.constant(mask, "mask")), axis=-1)
    pooled = builder.add("ReduceMean", builder.add("MatMul", shares, x), axes=(1,), keepdims=0)
    weight = builder.constant(rng.normal(0, 1, (12, 3)).astype(np.float32))
    model = Model.of_graph(builder.graph([builder.add("Softmax", builder.add("MatMul", pooled, weight))]))
    rows = list(rng.integers(0, 9, (4, 6)))
    model.save(tmp_path / "small", storage=dtype)
    small = gw.load(tmp_path / "small")
    np.testing.assert_array_equal(small.parameters["mask"], mask)
    assert small.ensemble.network.storage
    np.testing.assert_allclose(small.predict_proba(rows), model.predict_proba(rows), atol=0.02)
    assert model.export(tmp_path / "model.onnx", quantize=dtype).max_error <= 1e-5


def test_what_the_file_does_not_have_is_refused(tmp_path: Path) -> None:
    model = Model.of_graph(network(3, activation="Softmax"))
    with pytest.raises(InputError, match="storage must be float32, float16 or int8, not 'int4'"):
        model.export(tmp_path / "model.onnx", quantize="int4")
    assert not list(tmp_path.iterdir())
    series = Model.of_graph(series_network())
    assert set(graph_of_model(series).outputs) == {"values"}
    scaled = replace(series, preprocessor=replace(series.preprocessor, mean=(1.0, 2.0)))
    with pytest.raises(InputError, match="the preprocessor standardises or fills series"):
        graph_of_model(scaled)


def series_network() -> Graph:
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, T, 2)))
    return builder.graph([builder.add("ReduceMean", x, axes=(1,), keepdims=0)])


def test_a_network_of_a_series_and_numbers_is_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    builder = GraphBuilder()

    def weights(*shape: int) -> str:
        return builder.constant(rng.normal(0, 0.5, shape).astype(np.float32))

    series = builder.input("series", ValueType("float", (B, T, 3)))
    table = builder.input("table", ValueType("float", (B, 2)))
    last = builder.node(Recurrent("LSTM"), (series, weights(16, 3), weights(16, 4), weights(16)))[1]
    rows = builder.add("Concat", last, table, axis=1)
    model = Model.of_graph(builder.graph([builder.add("MatMul", rows, weights(6, 2))]), task="regression")
    model.export(tmp_path / "model.onnx")
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    feeds = {
        "series": rng.standard_normal((3, 5, 3)).astype(np.float32),
        "table": rng.standard_normal((3, 2)).astype(np.float32),
    }
    expected = model.predict(feeds)
    np.testing.assert_allclose(session.run(None, feeds)[0], expected, rtol=1e-5, atol=1e-6)
    of_torch = gw.to_torch(model)(*map(torch.from_numpy, feeds.values()))
    np.testing.assert_allclose(of_torch.detach().numpy(), expected, rtol=1e-5, atol=1e-6)


class CellsInALoop(torch.nn.Module):
    """A loop that does something else in one step, so that it is read for the number of steps of the example alone."""

    def __init__(self, steps_first: bool) -> None:
        super().__init__()
        self.cell = torch.nn.LSTMCell(3, 5)
        self.steps_first = steps_first

    def forward(self, x: Any) -> Any:
        if self.steps_first:
            x = x.transpose(0, 1)
        h = c = torch.zeros(x.size(0), 5)
        for step in range(x.size(1)):
            h, c = self.cell(x[:, step], (h, c))
            if step == 3:
                h = h * 2
        return h


@pytest.mark.parametrize("steps_first", [False, True])
@pytest.mark.usefixtures("short_comparison")
def test_a_loop_of_a_fixed_number_of_steps_reads_series(steps_first: bool) -> None:
    """Each of its cells is a recurrence of one step, which says nothing about the steps of the input."""
    module = CellsInALoop(steps_first)
    example = torch.zeros(6, 2, 3) if steps_first else torch.zeros(2, 6, 3)
    with pytest.warns(DataWarning, match="'x' has 6 steps, as in the example"):
        model = gw.from_torch(module, example, task="regression")
    x = np.random.default_rng(7).normal(size=(4, 6, 3)).astype(np.float32)
    tensor = torch.tensor(x)
    with torch.no_grad():
        wanted = module(tensor.transpose(0, 1) if steps_first else tensor)
    np.testing.assert_allclose(model.predict(x), wanted.numpy(), atol=1e-6)
    assert model.explain(x[0]).scores.shape == (6,)
    with pytest.raises(InputError, match="the number of steps must be 6, and is 4"):
        model.predict(x[:, :4])


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_says_what_its_outputs_mean(kind: str, tmp_path: Path) -> None:
    """A file of `Model.export` opens as the model: the same labels, of the same type, with the same thresholds."""
    graph, meaning = KINDS[kind]
    model = Model.of_graph(graph, **meaning)
    target = model.ensemble.target
    names = tuple(f"name {number}" for number in range(len(target.classes)))
    if kind == "labels":
        target = replace(target, thresholds=(0.2, 0.5, 0.7, 0.9))
    model = replace(model, ensemble=replace(model.ensemble, target=replace(target, classes=names, label_type="str")))
    path = tmp_path / "model.onnx"
    model.export(path)
    again = gw.from_onnx(path)
    assert again.target == model.target
    feeds = inputs_of(graph, 3, 5)
    rows: list[Any] = list(feeds["ids"].T)
    if "numbers" in feeds:
        rows = [{"ids": ids, "numbers": numbers} for ids, numbers in zip(rows, feeds["numbers"], strict=True)]
    assert str(again.predict(rows)) == str(model.predict(rows)) or kind == "regression"
    np.testing.assert_allclose(again.logits(rows), model.logits(rows), rtol=1e-4, atol=1e-5)
    if kind == "three classes":
        assert gw.from_onnx(path, classes=["x", "y", "z"]).classes == ("x", "y", "z")
        assert gw.from_onnx(path, task="regression").task == "regression"
        file = onnx.load(path)
        [entry] = [entry for entry in file.metadata_props if entry.key == "gatewise.target"]
        entry.value = '{"classes": ["x"], "task": "guess"}'
        onnx.save(file, path)
        with pytest.raises(ModelFileError, match=r"gatewise\.target: task must be"):
            gw.from_onnx(path)
