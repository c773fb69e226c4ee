"""`read_onnx`: the graph of an ONNX file beside the original, node by node, in float32 and float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError, ModelFileError
from gatewise.exchange.onnx_network import OnnxNetwork, read_onnx
from gatewise.network.operation import Execution
from tests.exchange.test_onnx_graph import MODULES, V, exported

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")

from onnx import TensorProto, helper  # noqa: E402


def check_values(network: OnnxNetwork, inputs: dict[str, Any]) -> None:
    """Every value of the graph that the original has too, in both dtypes."""
    for dtype, tolerance in (("float64", 1e-10), ("float32", 2e-5)):
        execution = Execution(dtype=np.dtype(dtype), keep=False)
        values = network.graph.run(inputs, execution=execution, values=network.compared)
        original = network.original_values(inputs, network.compared, dtype)
        assert set(network.graph.outputs) <= set(original) == set(network.compared)
        for name in network.compared:
            assert original[name].dtype == values[name].dtype, name
            np.testing.assert_allclose(values[name], original[name], rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("kind", MODULES, ids=lambda kind: kind.__name__)
def test_each_value_is_that_of_the_original(kind: Any, tmp_path: Path) -> None:
    torch.manual_seed(4)
    exported(kind(), tmp_path / "m.onnx")
    network = read_onnx(tmp_path / "m.onnx")
    rng = np.random.default_rng(1)
    for batch, steps in ((1, 1), (3, 12)):
        check_values(network, {"ids": rng.integers(0, V, (batch, steps))})
    network.close()


def model_of(nodes: list[Any], inputs: dict[str, Any], constants: Any = (), opset: int = 17) -> Any:
    """A model whose output is y. inputs: dtypes and shapes."""
    values = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", values, [output], list(constants))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


NODE = helper.make_node
X = {"x": (TensorProto.FLOAT, ["B", 3])}


def stored_elsewhere() -> Any:
    """A branch that is not taken, whose constant stands in another file."""
    tensor = onnx.numpy_helper.from_array(np.ones(3, np.float32), "w")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secrets.txt")
    taken = helper.make_graph([NODE("Tanh", ["x"], ["z"])], "a", [], [helper.make_empty_tensor_value_info("z")])
    other = helper.make_graph(
        [NODE("Add", ["x", "w"], ["z"])], "b", [], [helper.make_empty_tensor_value_info("z")], [tensor]
    )
    yes = onnx.numpy_helper.from_array(np.array(True), "yes")
    return model_of([NODE("If", ["yes"], ["y"], then_branch=taken, else_branch=other)], X, [yes])


def of_another_domain() -> Any:
    """A branch that is not taken, with an operation that ONNX Runtime would run."""
    model = stored_elsewhere()
    [branch] = [one.g for one in model.graph.node[0].attribute if one.name == "else_branch"]
    del branch.initializer[:]
    branch.node[0].CopyFrom(NODE("EPContext", ["x"], ["z"], domain="com.microsoft"))
    return model


def half(name: str) -> Any:
    return onnx.numpy_helper.from_array(np.ones(3, np.float16), name)


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (stored_elsewhere(), ModelFileError, "'w' is stored in another file; save the network in one file"),
        (of_another_domain(), InputError, "EPContext '', node 1 of 1: it is of the domain 'com.microsoft'"),
        (model_of([NODE("Add", ["x", "w"], ["y"])], X, [half("w")]), InputError, "float16; export the network in flo"),
        (
            model_of([NODE("Tanh", ["x"], ["y"])], {"x": (TensorProto.FLOAT16, ["B"])}),
            InputError,
            "the input 'x' has a dtype that is not read: export the network in float32",
        ),
        (
            model_of([NODE("Tanh", ["x"], ["y"])], {"x": (TensorProto.FLOAT, None)}),
            InputError,
            "how many axes the input 'x' has is not known",
        ),
        (model_of([NODE("Sizes", ["x"], ["y"])], X), InputError, "opset 17 of ONNX has no such operator"),
        (model_of([NODE("Gelu", ["x"], ["y"])], X), InputError, "opset 17 of ONNX has no such operator"),
        (model_of([NODE("Softmax", ["x"], ["y"], axis="last")], X), InputError, "axis must be a whole number"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_read_is_refused(model: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_onnx(model)


def test_large_constants_are_refused_before_they_are_computed() -> None:
    """2^40 numbers of a few bytes."""
    shape = onnx.numpy_helper.from_array(np.array([1 << 20, 1 << 20, 3]), "shape")
    one = onnx.numpy_helper.from_array(np.ones(3, np.float32), "one")
    nodes = [
        NODE("Expand", ["one", "shape"], ["large"]),
        NODE("ReduceSum", ["large"], ["sum"], keepdims=0),
        NODE("Mul", ["x", "sum"], ["y"]),
    ]
    with pytest.raises(InputError, match="Expand '', node 1 of 3: it makes 3,298,534,883,328 numbers, and the limit"):
        read_onnx(model_of(nodes, X, [shape, one]))


def test_values_that_the_original_does_not_take_have_its_reason() -> None:
    table = onnx.numpy_helper.from_array(np.ones((4, 2), np.float32), "table")
    network = read_onnx(model_of([NODE("Gather", ["table", "x"], ["y"])], {"x": (TensorProto.INT64, ["B"])}, [table]))
    for dtype in ("float32", "float64"):
        with pytest.raises(InputError, match=r"does not run: .*out of data bounds"):
            network.original_values({"x": np.array([1, 9])}, ["y"], dtype)
    network.close()


@pytest.mark.parametrize("opset", range(13, 27))
def test_files_of_every_opset_from_13_on(opset: int) -> None:
    """A group normalisation had a scale per group before opset 21, a Split no number of outputs before 18."""
    rng = np.random.default_rng(opset)
    groups = 2 if opset < 21 else 4
    constants = [
        onnx.numpy_helper.from_array(rng.standard_normal(groups).astype(np.float32), name) for name in ("scale", "bias")
    ]
    normalise = NODE("GroupNormalization", ["x", "scale", "bias"], ["n"], num_groups=2)
    chunks = {"num_outputs": 2} if opset >= 18 else {}
    nodes = [
        normalise if opset >= 18 else NODE("Identity", ["x"], ["n"]),
        NODE("Dropout", ["n"], ["d", "mask"]),
        NODE("Split", ["d"], ["first", "second"], axis=2, **chunks),
        NODE("Mul", ["first", "second"], ["y"]),
    ]
    network = read_onnx(model_of(nodes, {"x": (TensorProto.FLOAT, ["B", 4, 6])}, constants, opset))
    check_values(network, {"x": rng.standard_normal((3, 4, 6))})
    network.close()
