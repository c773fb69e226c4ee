"""`GraphModule`: a graph as a torch.nn.Module, whose weights are parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatewise.errors import InputError
from gatewise.network.graph import Graph, Node
from gatewise.network.size import value_of
from gatewise.network.trainable_graph import weights_of
from gatewise.nn.graph_functions import FUNCTIONS, Run
from gatewise.nn.graph_recurrence import recurrent


class GraphModule(torch.nn.Module):
    """The network of a graph on functions of torch.

    >>> module = GraphModule(graph)  # doctest: +SKIP
    >>> module(torch.tensor([[4, 12, 7]])).shape  # doctest: +SKIP
    torch.Size([1, 2])

    forward(*inputs): the output, or a tuple of several, for the inputs in the order of the graph; its sequences have
    the same number of steps, or the graph reads their lengths or a mask. The weights of layers are parameters, and the
    other constants are buffers: factors, masks and the statistics of batch normalisation. `parameter_names` has the
    names of the constants by those of parameters and buffers.

    It computes as at inference: there is no dropout. Raises InputError naming a node that has no function in torch, and
    in `forward` for inputs that the graph does not take.
    """

    _like: Tensor

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        _check(graph)
        self.graph = graph
        self.parameter_names: dict[str, str] = {}
        # It has the dtype and the device of the module, also where the graph has no constant.
        self.register_buffer("_like", torch.empty(0), persistent=False)
        weights = set(weights_of(graph))
        for name, array in graph.constants.items():
            own = self._unused(name)
            self.parameter_names[own] = name
            tensor = _tensor(array)
            if name in weights:
                self.register_parameter(own, torch.nn.Parameter(tensor))
            else:
                self.register_buffer(own, tensor)

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The output of the graph, or a tuple of several."""
        names = list(self.graph.inputs)
        if len(inputs) != len(names):
            raise InputError(f"the network has the inputs {', '.join(names)}, not {len(inputs)}")
        given = dict(zip(names, inputs, strict=True))
        # Of shapes alone: nothing is copied from the device.
        shapes = {name: _shape_of(tensor) for name, tensor in given.items()}
        sizes = self.graph.sizes(shapes)
        run = Run(sizes, (), self._like.dtype, self._like.device)
        values: dict[str, Any] = {}
        for name, tensor in given.items():
            values[name] = tensor.to(run.device, run.dtype(self.graph.inputs[name].dtype))
        for own, name in self.parameter_names.items():
            values[name] = getattr(self, own)
        _compute(self.graph, values, run)
        outputs = tuple(values[name] for name in self.graph.outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def constants(self) -> dict[str, Any]:
        """The constants of the graph with the present weights, as arrays."""
        arrays = {}
        for own, name in self.parameter_names.items():
            arrays[name] = getattr(self, own).detach().cpu().numpy().astype(self.graph.constants[name].dtype)
        return arrays

    def _unused(self, name: str) -> str:
        """The name of a constant as torch allows it: without dots, and none of its own."""
        own = name.replace(".", "_").strip("/") or "constant"
        while hasattr(self, own) or own in self.parameter_names:
            own += "_"
        return own


def _check(graph: Graph) -> None:
    """Refuse a graph with an operation that has no function in torch, in loops too."""
    for node in graph.nodes:
        operation: Any = node.operation
        if operation.name() == "Loop":
            _check(operation.body)
        elif operation.name() != "Recurrent" and operation.name() not in FUNCTIONS:
            raise InputError(f"{node.shown}: {operation.name()} has no function in torch")


def _compute(graph: Graph, values: dict[str, Any], run: Run) -> None:
    """Add the values of all nodes."""
    for node in graph.nodes:
        shapes = tuple(tuple(value_of(dim, run.sizes) for dim in graph.types[name].shape) for name in node.outputs)
        own = Run(run.sizes, shapes, run.float_dtype, run.device)
        inputs = [values[name] if name else None for name in node.inputs]
        try:
            outputs = _computed(node, own, inputs)
        except InputError as error:
            raise InputError(f"{node.shown}: {error}") from None
        values |= zip(node.outputs, outputs, strict=True)


def _computed(node: Node, run: Run, inputs: Sequence[Any]) -> tuple[Tensor, ...]:
    operation: Any = node.operation
    if operation.name() == "Recurrent":
        return recurrent(operation, run, *inputs)
    if operation.name() == "Loop":
        return _loop(operation, run, inputs)
    outputs = FUNCTIONS[operation.name()](operation, run, *inputs)
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _loop(operation: Any, run: Run, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The states after the last step, and the rows of all steps, stacked."""
    count = operation.states + len(operation.axes)
    states = list(inputs[: operation.states])
    sequences = [x.movedim(axis, 0) for x, axis in zip(inputs[operation.states :], operation.axes, strict=False)]
    rows: list[list[Tensor]] = [[] for _ in operation.output_axes]
    for step in range(run.size(operation.steps)):
        read = [*states, *(sequence[step] for sequence in sequences), *inputs[count:]]
        values = dict(zip(operation.body.inputs, read, strict=True))
        _compute(operation.body, values, run)
        returned = [values[name] for name in operation.body.outputs]
        states = returned[: operation.states]
        for of_output, row in zip(rows, returned[operation.states :], strict=True):
            of_output.append(row)
    stacked = []
    for number, (of_output, axis) in enumerate(zip(rows, operation.output_axes, strict=True), operation.states):
        if of_output:
            stacked.append(torch.stack(of_output, axis))
        else:
            dtype = run.dtype(operation.body.types[operation.body.outputs[number]].dtype)
            stacked.append(torch.zeros(run.shapes[number], dtype=dtype, device=run.device))
    return (*states, *stacked)


def _tensor(array: Any) -> Tensor:
    """A constant: floating-point numbers are float32."""
    array = np.asarray(array)
    return torch.from_numpy(np.array(array, dtype=np.float32 if array.dtype.kind == "f" else array.dtype))


def _shape_of(tensor: Tensor) -> Any:
    """An array of the shape and the kind of a tensor, without memory."""
    kind: Mapping[bool, Any] = {True: np.float32, False: np.bool_ if tensor.dtype == torch.bool else np.int64}
    return np.broadcast_to(np.zeros((), kind[tensor.is_floating_point()]), tuple(tensor.shape))
