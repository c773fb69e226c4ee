"""ONNX files as graphs: the outputs of ONNX Runtime, for every size of the inputs."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.exchange.onnx_graph import graph_of
from gatewise.network.operation import Execution

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")

from onnx import TensorProto, helper  # noqa: E402

n = torch.nn
V, D, H = 17, 5, 6


class Text(n.Module):  # type: ignore[misc]
    """An embedding, and a layer that `forward` of a subclass reads."""

    def __init__(self, layer: Any = None, width: int = H) -> None:
        super().__init__()
        self.embedding = n.Embedding(V, D)
        self.layer = layer or n.LSTM(D, H, batch_first=True)
        self.dense = n.Linear(width, 3)


class LastState(Text):
    def forward(self, ids: Any) -> Any:
        return self.dense(self.layer(self.embedding(ids))[1][0][-1])


class MeanAndMax(Text):
    def __init__(self) -> None:
        super().__init__(n.LSTM(D, H, batch_first=True, bidirectional=True, num_layers=2), 4 * H)

    def forward(self, ids: Any) -> Any:
        h, _ = self.layer(self.embedding(ids))
        return self.dense(torch.cat([h.mean(1), h.amax(1)], 1))


class Attention(Text):
    def forward(self, ids: Any) -> Any:
        h, _ = self.layer(self.embedding(ids))
        scores = torch.bmm(h, h[:, -1:].transpose(1, 2))[:, :, 0]
        return self.dense(torch.bmm(torch.softmax(scores, 1).unsqueeze(1), h).squeeze(1))


class MaskedMean(Text):
    def forward(self, ids: Any) -> Any:
        mask = (ids != 0).float().unsqueeze(2)
        h, _ = self.layer(self.embedding(ids))
        return self.dense((h * mask).sum(1) / mask.sum(1).clamp(min=1))


class Convolution(Text):
    def __init__(self) -> None:
        super().__init__(n.LSTM(4, H, batch_first=True))
        self.convolution = n.Conv1d(D, 4, 3, padding=1)

    def forward(self, ids: Any) -> Any:
        x = torch.relu(self.convolution(self.embedding(ids).transpose(1, 2)))
        return self.dense(self.layer(x.transpose(1, 2))[0][:, -1])


class Gru(Text):
    def __init__(self) -> None:
        super().__init__(n.GRU(D, H, batch_first=True, bidirectional=True), 2 * H)

    def forward(self, ids: Any) -> Any:
        h, last = self.layer(self.embedding(ids))
        return torch.sigmoid(self.dense(h)), last


class Rnn(Text):
    def __init__(self) -> None:
        super().__init__(n.RNN(D, H, nonlinearity="relu"))  # (T, B, D)

    def forward(self, ids: Any) -> Any:
        return self.dense(self.layer(self.embedding(ids).transpose(0, 1))[0].transpose(0, 1))


class LearnedState(Text):
    def __init__(self) -> None:
        super().__init__()
        self.h0, self.c0 = n.Parameter(torch.randn(1, 1, H)), n.Parameter(torch.randn(1, 1, H))

    def forward(self, ids: Any) -> Any:
        start = [one.expand(-1, ids.shape[0], -1).contiguous() for one in (self.h0, self.c0)]
        h, (_, c) = self.layer(self.embedding(ids), tuple(start))
        return self.dense(h[:, 0] + c[0])


class CutAndFlip(Text):
    """Constant bounds, a comparison, and steps in reverse order: what was guessed from values was wrong here."""

    def forward(self, ids: Any) -> Any:
        x = self.embedding(ids[:, :9])
        x = torch.where(x > 0.5, 0.1 * x, x)
        h, _ = self.layer(x.flip(1))
        return self.dense(h[:, -2:].sum(1))


class Norms(Text):
    def __init__(self) -> None:
        super().__init__()
        self.norm = n.LayerNorm(H)
        self.batch_norm = n.BatchNorm1d(3)
        self.batch_norm.running_mean = torch.randn(3)
        self.batch_norm.running_var = torch.rand(3) + 0.5

    def forward(self, ids: Any) -> Any:
        h, _ = self.layer(self.embedding(ids))
        return self.batch_norm(self.dense(n.functional.gelu(self.norm(h)).reshape(ids.shape[0], -1, H).mean(1)))


MODULES = [LastState, MeanAndMax, Attention, MaskedMean, Convolution, Gru, Rnn, LearnedState, CutAndFlip, Norms]


def exported(module: Any, path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), (torch.ones(2, 12, dtype=torch.int64),), path, dynamo=False, opset_version=17,
            input_names=["ids"], dynamic_axes={"ids": {0: "B", 1: "T"}},
        )  # fmt: skip
    return onnx.load(path)


@pytest.mark.parametrize("kind", MODULES, ids=lambda kind: kind.__name__)
def test_onnx_runtime_computes_the_same(kind: Any, tmp_path: Path) -> None:
    torch.manual_seed(3)
    model = exported(kind(), tmp_path / "m.onnx")
    graph = graph_of(model, "m.onnx")
    assert graph.symbols == ("B", "T")
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(1)
    for batch, steps in ((1, 1), (1, 13), (3, 2), (2, 9), (2, 10), (5, 40)):
        ids = rng.integers(0, V, (batch, steps))
        expected = session.run(None, {"ids": ids})
        for found, wanted in zip(graph.run({"ids": ids}).values(), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5, err_msg=f"{batch} x {steps}")


@pytest.mark.parametrize(
    "kind", [MeanAndMax, Attention, MaskedMean, Convolution, CutAndFlip], ids=lambda kind: kind.__name__
)
def test_the_gradients_are_those_of_torch(kind: Any, tmp_path: Path) -> None:
    """Of the first output with respect to the weights of the dense layer and of the embedding."""
    torch.manual_seed(3)
    module = kind()
    graph = graph_of(exported(module, tmp_path / "m.onnx"), "m.onnx")
    module = module.double()
    ids = np.random.default_rng(1).integers(0, V, (3, 11))
    output = module(torch.from_numpy(ids))
    grad = torch.randn(output.shape, dtype=torch.float64)
    output.backward(grad)
    [name] = [name for name, array in graph.constants.items() if array.shape == (V, D)]
    _, grads = graph.gradients(
        {"ids": ids}, graph.outputs[0], lambda _: grad.numpy(), [name], execution=Execution(dtype=np.float64)
    )
    np.testing.assert_allclose(grads[name], module.embedding.weight.grad.numpy(), rtol=1e-5, atol=1e-8)


def model_of(nodes: list[Any], inputs: dict[str, Any], opset: int = 17, constants: Any = ()) -> Any:
    """A model whose output is y."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    graph = helper.make_graph(
        nodes, "g", values, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], list(constants)
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def test_an_axis_without_a_name_has_a_size_of_its_own() -> None:
    graph = graph_of(model_of([helper.make_node("Tanh", ["x"], ["y"])], {"x": [None, "some steps", 2]}), "m.onnx")
    assert graph.symbols == ("x_0", "some_steps")


def body() -> Any:
    return helper.make_graph([], "body", [], [])


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([helper.make_node("NonZero", ["x"], ["y"], name="a")], r"m.onnx: NonZero 'a', node 1 of 1: gatewise does not"),
        ([helper.make_node("Tanh", ["x"], ["y"], domain="com.example")], "of the domain 'com.example'"),
        ([helper.make_node("If", ["x"], ["y"], then_branch=body())], "If '', node 1 of 1: its condition depends on"),
        ([helper.make_node("Softmax", ["x"], ["y"], temperature=2.0)], "the attribute 'temperature' is not known"),
        ([helper.make_node("Add", ["x"], ["y"])], "Add does not take 1 inputs"),
        ([helper.make_node("Tanh", ["nowhere"], ["y"])], "reads 'nowhere', which no earlier node computes"),
        ([helper.make_node("Tanh", ["x"], ["x"])], "two values are called 'x'"),
    ],
)
def test_what_is_not_read_is_named(nodes: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        graph_of(model_of(nodes, {"x": ["B", 3]}), "m.onnx")


def test_an_old_opset_is_refused() -> None:
    with pytest.raises(InputError, match="its opset is 9; export the network with opset 13 or later"):
        graph_of(model_of([helper.make_node("Tanh", ["x"], ["y"])], {"x": ["B", 3]}, opset=9), "m.onnx")


def ints(name: str, *values: int) -> Any:
    return onnx.numpy_helper.from_array(np.array(values, dtype=np.int64), name)


NODE = helper.make_node
SIZES: dict[str, list[Any]] = {
    "a size as a bool is 1": [NODE("Cast", ["s"], ["b"], to=9), NODE("Cast", ["b"], ["n"], to=7)],
    "a remainder of a negative size": [
        NODE("Sub", ["s", "nine"], ["d"]),
        NODE("Mod", ["d", "four"], ["n"], fmod=1),
    ],
    "a remainder with the sign of the divisor": [NODE("Sub", ["s", "nine"], ["d"]), NODE("Mod", ["d", "four"], ["n"])],
    "a negative size divided": [NODE("Sub", ["s", "nine"], ["d"]), NODE("Div", ["d", "four"], ["n"])],
    "a comparison that depends on the inputs": [
        NODE("Equal", ["s", "four"], ["e"]),
        NODE("Where", ["e", "nine", "s"], ["n"]),
    ],
    "a size for each of several": [NODE("Mul", ["s", "four"], ["m"]), NODE("Max", ["m", "nine"], ["n"])],
    "a vector of more sizes than are followed": [NODE("Expand", ["four", "hundred"], ["h"]),
        NODE("ReduceSum", ["h"], ["t"], keepdims=1), NODE("Add", ["s", "t"], ["n"])],
}  # fmt: skip


@pytest.mark.parametrize("nodes", SIZES.values(), ids=SIZES)
def test_numbers_made_of_sizes_are_those_of_onnx_runtime(nodes: list[Any]) -> None:
    """y = x plus each number that the nodes make of the sizes s of x."""
    every = [
        NODE("Shape", ["x"], ["s"]),
        *nodes,
        NODE("Cast", ["n"], ["f"], to=1),
        NODE("ReduceSum", ["f"], ["total"], keepdims=0),
        NODE("Add", ["x", "total"], ["y"]),
    ]
    constants = (ints("four", 4), ints("nine", 9), ints("hundred", 100))
    model = model_of(every, {"x": ["B", "T"]}, constants=constants)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    graph = graph_of(model, "m.onnx")
    for shape in ((1, 1), (3, 4), (4, 11), (9, 2)):
        x = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
        [wanted] = session.run(None, {"x": x})
        np.testing.assert_allclose(graph.run({"x": x})["y"], wanted, rtol=1e-6, err_msg=str(shape))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([NODE("Gather", ["s", "nine"], ["n"])], "index 9 of 2 sizes"),
        ([NODE("ConstantOfShape", ["huge"], ["c"], value=ints("", 1)), NODE("Add", ["c", "s"], ["n"])], "do not fit"),
    ],
    ids=["a place that is not there", "a vector of 2^40 numbers"],
)
def test_sizes_that_are_not_there_are_refused(nodes: list[Any], message: str) -> None:
    every = [NODE("Shape", ["x"], ["s"]), *nodes, NODE("Cast", ["n"], ["y"], to=1)]
    with pytest.raises(InputError, match=message):
        graph_of(model_of(every, {"x": ["B", "T"]}, constants=(ints("nine", 9), ints("huge", 1 << 40))), "m.onnx")


def test_rows_that_nothing_reads_are_needed() -> None:
    """ONNX Runtime runs each node: without the fourth step it refuses the inputs, though no output depends on it."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", "T", 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    nodes = [
        helper.make_node("Gather", ["x", "place"], ["step"], axis=-2),
        helper.make_node("Shape", ["step"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("ReduceSum", ["x", "axis"], ["sum"], keepdims=0),
        helper.make_node("Add", ["sum", "zeros"], ["y"]),
    ]
    for place in (3, -4):
        constants = [helper.make_tensor("place", TensorProto.INT64, [], [place])]
        constants.append(helper.make_tensor("axis", TensorProto.INT64, [1], [1]))
        model = helper.make_model(
            helper.make_graph(nodes, "rows", [x], [y], constants), opset_imports=[helper.make_opsetid("", 17)]
        )
        model.ir_version = 9
        graph = graph_of(model, "rows.onnx")
        session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        feed = {"x": np.arange(8, dtype=np.float32).reshape(1, 4, 2)}
        np.testing.assert_array_equal(graph.run(feed)["y"], session.run(None, feed)[0])
        short = {"x": feed["x"][:, :3]}
        with pytest.raises(InputError, match="must be at least 4, and is 3"):
            graph.run(short)
        with pytest.raises(Exception, match="out of data bounds"):
            session.run(None, short)
