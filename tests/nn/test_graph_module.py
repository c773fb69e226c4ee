"""A graph as a torch module: the outputs and the gradients of the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.network.graph import Graph, Guard, Node
from gatewise.network.operation import Execution, ValueType
from gatewise.network.operations import NAMES, operation_of
from gatewise.network.size import symbol
from tests.exchange.test_graph_to_onnx import graph_with
from tests.exchange.test_onnx_graph import MODULES, V, exported
from tests.network.operations.test_operations import CASES, FAMILIES

torch = pytest.importorskip("torch")

from gatewise.exchange.onnx_graph import graph_of  # noqa: E402
from gatewise.nn import GraphModule  # noqa: E402


def check(graph: Graph, inputs: dict[str, Any]) -> None:
    """In float64 the outputs of the module are those of the graph, and so are the gradients of all floating-point
    inputs, for random gradients of the outputs.
    """
    rng = np.random.default_rng(3)
    inputs = {name: array.astype(np.float64) if array.dtype.kind == "f" else array for name, array in inputs.items()}
    module = GraphModule(graph).double()
    tensors = [torch.from_numpy(np.array(array)) for array in inputs.values()]
    floats = [tensor.requires_grad_() for tensor in tensors if tensor.is_floating_point()]
    outputs = module(*tensors)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    expected = graph.run(inputs, execution=Execution(dtype=np.float64, keep=False))
    for name, output in zip(graph.outputs, outputs, strict=True):
        wanted = expected[name]
        assert output.detach().numpy().dtype == wanted.dtype, name
        np.testing.assert_allclose(output.detach().numpy(), wanted, rtol=1e-9, atol=1e-11, err_msg=name)
        if not (output.is_floating_point() and output.requires_grad):
            continue
        grad = rng.standard_normal(wanted.shape)
        own = torch.autograd.grad(output, floats, torch.from_numpy(grad), retain_graph=True, allow_unused=True)
        names = [name for name, array in inputs.items() if array.dtype.kind == "f"]
        _, grads = graph.gradients(inputs, name, lambda _, g=grad: g, names, execution=Execution(dtype=np.float64))
        for source, of_torch in zip(names, own, strict=True):
            found = np.zeros_like(inputs[source]) if of_torch is None else of_torch.numpy()
            message = f"gradient of {name} with respect to {source}"
            np.testing.assert_allclose(found, grads[source], rtol=1e-7, atol=1e-9, err_msg=message)


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
def test_networks_are_trained_in_torch(kind: Any, tmp_path: Path) -> None:
    """The outputs, a step of an optimiser that changes every weight, and the graph with the new weights."""
    torch.manual_seed(9)
    graph = graph_of(exported(kind(), tmp_path / "m.onnx"), "m.onnx")
    module = GraphModule(graph)
    rng = np.random.default_rng(2)
    for batch, steps in ((1, 1), (3, 14)):
        ids = rng.integers(0, V, (batch, steps))
        outputs = module(torch.from_numpy(ids))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        for output, wanted in zip(outputs, graph.run({"ids": ids}).values(), strict=True):
            np.testing.assert_allclose(output.detach().numpy(), wanted, rtol=1e-5, atol=1e-5)
    before = {name: array.copy() for name, array in module.constants().items()}
    optimiser = torch.optim.SGD(module.parameters(), 0.1)
    outputs[0].square().sum().backward()
    optimiser.step()
    after = module.constants()
    names = {module.parameter_names[name] for name, _ in module.named_parameters()}
    assert names
    for name, array in after.items():
        assert np.array_equal(array, before[name]) == (name not in names), name
    trained = Graph(graph.inputs, after, graph.nodes, graph.outputs)
    own = module(torch.from_numpy(ids))
    own = own[0] if isinstance(own, tuple) else own
    np.testing.assert_allclose(own.detach().numpy(), trained.run({"ids": ids})[graph.outputs[0]], rtol=1e-4, atol=1e-4)


def test_names_of_constants_and_the_file_of_the_weights(tmp_path: Path) -> None:
    """Names with dots, and names that a module has itself."""
    rng = np.random.default_rng(1)
    constants = {name: rng.standard_normal((3, 3)).astype(np.float32) for name in ("a.b", "a_b", "forward", "graph")}
    nodes = []
    read = "x"
    for number, name in enumerate(constants):
        nodes.append(Node(f"n{number}", operation_of("MatMul", {}), (read, name), (f"y{number}",)))
        read = f"y{number}"
    graph = Graph({"x": ValueType("float", (symbol("B"), 3))}, constants, tuple(nodes), (read,))
    module = GraphModule(graph)
    assert sorted(module.parameter_names.values()) == sorted(constants)
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    zeros = Graph(graph.inputs, {name: 0 * array for name, array in constants.items()}, graph.nodes, graph.outputs)
    loaded = GraphModule(zeros)
    loaded.load_state_dict(torch.load(tmp_path / "weights.pt"))
    x = rng.standard_normal((4, 3)).astype(np.float32)
    np.testing.assert_allclose(loaded(torch.from_numpy(x)).detach(), graph.run({"x": x})[read], rtol=1e-5)


def test_what_a_graph_does_not_take_is_refused() -> None:
    T = symbol("T")
    graph = Graph(
        {"x": ValueType("int64", (symbol("B"), T))}, {"table": np.ones((4, 2), np.float32)},
        (Node("rows", operation_of("Gather", {}), ("table", "x"), ("y",), "line 3"),), ("y",), (Guard(T, "<=", 5),),
    )  # fmt: skip
    module = GraphModule(graph)
    for message, shape, value in (
        ("must be at most 5, and is", (2, 6), 1),
        (r"node 'rows' \(line 3\): the index 4 is out of range for an axis of size 4", (2, 5), 4),
        (r"the input 'x' must be int64 \(B, T\)", (2,), 1),
    ):
        with pytest.raises(InputError, match=message):
            module(torch.full(shape, value))
    with pytest.raises(InputError, match="the network has the inputs x, not 2"):
        module(torch.ones(1, 1), torch.ones(1, 1))


def test_an_operation_without_a_function_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from gatewise.nn.graph_functions import FUNCTIONS

    monkeypatch.delitem(FUNCTIONS, "Erf")
    x = ValueType("float", (symbol("B"),))
    graph = Graph({"x": x}, {}, (Node("e", operation_of("Erf", {}), ("x",), ("y",), "line 4"),), ("y",))
    with pytest.raises(InputError, match=r"node 'e' \(line 4\): Erf has no function in torch"):
        GraphModule(graph)
