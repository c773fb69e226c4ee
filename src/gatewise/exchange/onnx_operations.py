"""The operations of an ONNX graph, run by ONNX Runtime: `gatewise.network.value_matching` reads them.

What does not depend on the inputs of the graph is a constant, computed or stored. A node with a constant matrix or
vector is an embedding, a dense layer or a normalisation.
"""

from pathlib import Path
from typing import Any

import numpy as np

from gatewise.errors import InputError, ModelFileError, quote, required
from gatewise.exchange.onnx_limits import check_file
from gatewise.exchange.onnx_origins import Origins
from gatewise.exchange.onnx_process import OnnxProcess
from gatewise.network import Layer
from gatewise.network.value_matching import ACTIVATIONS, Act, Affine, Operation, Source, applied, near
from gatewise.network.weight_layouts import from_onnx_arrays, onnx_direction
from gatewise.types import Array

_SETTINGS = {"Elu": ("alpha", 1.0, 1.0), "HardSigmoid": ("alpha", 0.2, 1 / 6)}  # default, and what gatewise computes
_ARRANGE = """
    Transpose Reshape Squeeze Unsqueeze Slice Gather GatherND Concat Shape Cast ReduceMean ReduceMax ReduceSum Identity
    GlobalMaxPool GlobalAveragePool MaxPool AveragePool Dropout Flatten Expand ConstantOfShape Split ReverseSequence Add
    Sub Mul Div Where Equal Not Pad Tile Range Max Less Greater And CastLike Size
"""
_COMPOSED = {"Erf": "gelu", "Sigmoid": "silu"}  # activations that exporters write as several nodes, by one of these
_DIRECTIONS: dict[str, Any] = {"forward": "forward", "reverse": "backward", "bidirectional": "both"}
_TYPES = {"tensor(int64)": "int64", "tensor(int32)": "int32", "tensor(double)": "float64"}


class OnnxSource(Source):
    """A file with one input of ids or series, and optionally one of lengths (B,). Of several outputs it has the first.
    Raises ModelFileError for one that does not run.
    """

    framework = "ONNX"

    def __init__(self, model: Any, path: str | Path) -> None:
        """model: the ModelProto that was read from `path`, which is changed."""
        onnx = required("onnx", "onnx", "the ONNX format")
        self.where = quote(path, 200)
        graph = model.graph
        if not len(graph.output):
            raise ModelFileError(f"{self.where}: its graph has no output")
        self.output = graph.output[0].name
        self.nodes = _needed(graph.node, self.output)
        del graph.node[:], graph.output[1:]
        graph.node.extend(self.nodes)
        check_file(model, self.where)
        named = {one.name for one in (*graph.output, *graph.input)}
        for name in dict.fromkeys(name for node in graph.node for name in (*node.input, *node.output)):
            if name and name not in named:
                graph.output.append(onnx.ValueInfoProto(name=name))  # so that it is returned
        stored = {one.name: one.dims for one in graph.initializer}
        self.process = OnnxProcess(model.SerializeToString(), self.where, optimize=False)
        given = [one for one in self.process.inputs if one[0] not in stored]
        given.sort(key=lambda one: len(one[2]) == 1 and len(given) == 2)  # the lengths last
        if len(given) not in (1, 2) or (len(given) == 2 and len(given[1][2]) != 1):
            raise InputError(
                f"{self.where}: {len(given)} inputs; expected ids or series, and optionally the lengths (B,)"
            )
        self.names = [name for name, _, _ in given]
        self.types = [_TYPES.get(kind, "float32") for _, kind, _ in given]
        shape = [axis if isinstance(axis, int) else None for axis in given[0][2]]
        tables = [stored[one.input[0]] for one in self.nodes if one.op_type == "Gather" and one.input[0] in stored]
        sizes = [dims[0] for dims in tables if len(dims) == 2]
        tokens = self.types[0].startswith("int") or (len(shape) == 2 and bool(sizes))
        if not tokens and len(shape) == 3 and not shape[2]:
            raise InputError(f"{self.where}: the number of channels of its series must be fixed, not {given[0][2]}")
        size = (sizes or [0])[0] if tokens else shape.pop() or 0
        if tokens and not size:
            raise InputError(f"{self.where}: its inputs are ids, and it has no embedding of them (Gather)")
        self.origins: Origins | None = None  # until the axis of the steps is known
        super().__init__(tokens, size, shape, masked=len(given) == 2)
        self.origins = Origins(self.nodes, self.names, self._probes(), tokens)

    def _probes(self) -> list[dict[str, Any]]:
        """The values of all nodes for two batches that differ in the size of each axis of any length."""
        found = []
        for batch, steps in ((3, 5), (4, 7)):
            shape = (self.batch or batch, self.steps or steps)
            x = np.zeros(shape if self.tokens else (*shape, self.size))
            x = x[0] if self.single else x.swapaxes(0, 1) if self.time_first else x
            found.append(self._values(x, np.full(shape[0], shape[1])))
        return found

    def _values(self, x: Array, lengths: Array) -> dict[str, Any]:
        """All values of the graph by name."""
        given = (x, lengths)
        feed = {name: given[n].astype(self.types[n]) for n, name in enumerate(self.names)}
        return self.process.run(feed) | feed

    def run(self, x: Array, lengths: Array) -> list[Operation]:
        values = self._values(x, lengths)
        steps_axis = 0 if self.single or self.time_first else 1
        inside = np.arange(x.shape[steps_axis]) < lengths[:, None]  # (B, T)
        tracked, found = set(self.names[:1]), []
        composed = self._composed(values)
        for number, node in enumerate(self.nodes, 1):
            own = Operation(node.name or node.output[0], node.op_type, f"node {number} of {len(self.nodes)}")
            if self.origins is not None:
                self.origins.check(node, own, values, inside, steps_axis)
            if not tracked.isdisjoint(node.input):
                tracked |= set(node.output)
                if node.output[0] not in composed:
                    found.append(self._operation(node, own, values, tracked))
                elif (whole := composed[node.output[0]]) is not None:
                    found.append(own.ran(*whole, values[node.output[0]]))
        return [*found, Operation("output", "output", "the end").ran(None, values[self.output])]

    def _composed(self, values: dict[str, Any]) -> dict[str, tuple[Act, Any] | None]:
        """The activations of several nodes: for the last output of each what it is and the array that it reads, for the
        others None. GELU is x (1 + Erf(x / √2)) / 2, with its factors in any order, and SiLU x Sigmoid(x).
        """
        made = {name: node for node in self.nodes for name in node.output}
        used = {name: node for node in self.nodes for name in node.input}
        found: dict[str, tuple[Act, Any] | None] = {}
        for first in (node for node in self.nodes if node.op_type in _COMPOSED):
            act, scaled = Act(_COMPOSED[first.op_type]), made.get(first.input[0])
            reads = [first.input[0], *(scaled.input if scaled is not None and scaled.op_type in ("Div", "Mul") else ())]
            chain = [first]
            while len(chain) < 4 and (after := used.get(chain[-1].output[0])) is not None:
                chain.append(after)
                y = values[after.output[0]]
                same = [x for x in reads if values[x].shape == y.shape and near(applied(values[x], act), y)]
                if after.op_type != "Mul" or not same:
                    continue
                parts = {name for node in chain for name in node.input if name in made and name != same[0]}
                inner = {name for name in parts if same[0] in made[name].input or made[name] in chain}
                found |= dict.fromkeys(inner) | {after.output[0]: (act, values[same[0]])}
                break
        return found

    def _operation(self, node: Any, own: Operation, values: dict[str, Any], tracked: set[str]) -> Operation:
        kind, settings = node.op_type, {one.name: one.f if one.type == 1 else one.i for one in node.attribute}
        inputs: list[Any] = [values.get(name) for name in node.input]
        constants: list[Any] = [None if name in tracked else values.get(name) for name in node.input]
        x: Any = inputs[0]
        y: Any = values.get(node.output[0])
        matrix = constants[1] if len(constants) > 1 and constants[1] is not None and constants[1].ndim == 2 else None
        if kind == "Gather" and constants[0] is not None and x.ndim == 2 and not settings.get("axis"):
            return own.ran(np.asarray(x, np.float64), inputs[1], y)
        if kind == "LSTM":
            return self._lstm(node, own, inputs, y, settings.get("layout", 0))
        if kind.lower() in ACTIVATIONS:
            setting, default, computed = _SETTINGS.get(kind, ("", 0.0, 0.0))
            if abs(settings.get(setting, default) - computed) > 1e-6 or settings.get("beta", 0.5) != 0.5:
                own.refuse(f"gatewise computes {setting}={computed:.4g} only")
            slope = float(settings.get("alpha", 0.01)) if kind == "LeakyRelu" else 0.01
            return own.ran(Act(ACTIVATIONS[kind.lower()], slope), x, y)
        if kind == "Gemm" and matrix is not None and not settings.get("transA"):
            weight = (matrix if settings.get("transB") else matrix.T) * settings.get("alpha", 1.0)
            bias = constants[2] * settings.get("beta", 1.0) if len(constants) == 3 else np.zeros(1)
            return own.ran(Affine.dense(weight, np.broadcast_to(bias, len(weight))), x, y)
        if kind == "MatMul" and matrix is not None:
            return own.ran(Affine.dense(matrix.T), x, y)
        if kind == "BatchNormalization":
            gamma, beta, mean, variance = (np.asarray(one, np.float64) for one in inputs[1:5])
            scale = gamma / np.sqrt(variance + settings.get("epsilon", 1e-5))
            x, y = (np.moveaxis(one, 1, -1) for one in (x, y))  # (B, F, T): features in the middle
            return own.ran(Affine.scaling(scale, beta - mean * scale), x, y)
        if kind in ("Add", "Sub", "Mul", "Div") and (constants[1] is not None or kind in ("Add", "Mul")):
            vector, x = (constants[1], x) if constants[1] is not None else (constants[0], inputs[1])
            width = x.shape[-1] if x.ndim > 1 and x.dtype.kind == "f" else 0
            if vector is not None and width and np.size(vector) in (1, width):
                values_, one = np.broadcast_to(np.ravel(vector).astype(np.float64), width), np.ones(width)
                scale = {"Mul": values_, "Div": 1 / values_ if kind == "Div" else one}.get(kind, one)
                return own.ran(Affine.scaling(scale, {"Add": values_, "Sub": -values_}.get(kind, 0.0)), x, y)
        return own if kind in _ARRANGE.split() else own.refuse()

    def _lstm(self, node: Any, own: Operation, inputs: list[Any], y: Any, layout: int) -> Operation:
        """y: (T, directions, B, H), or (B, T, directions, H)."""
        x, W, R, B, _, *states = [*inputs, None, None, None][:7]
        if not x.size:
            own.refuse("it reads no step of these inputs: other nodes cut all of them")
        if any(one is not None and np.any(one) for one in states):
            own.refuse("it starts from states other than zero; gatewise starts each sequence from zero")
        try:
            direction = _DIRECTIONS[onnx_direction(node, "")]
            weights = from_onnx_arrays(*(None if one is None else np.asarray(one, np.float64) for one in (W, R, B)))  # type: ignore[arg-type]
        except InputError as error:
            own.refuse(str(error).removeprefix(": "))
        x, y = (x, y) if layout else (x.swapaxes(0, 1), None if y is None else y.transpose(2, 0, 1, 3))
        y = None if y is None else y.reshape(*x.shape[:2], -1)
        return own.ran([(Layer(R.shape[2], direction), weights)], x, y)


def _needed(nodes: Any, output: str) -> list[Any]:
    """The nodes on which an output depends, in their order."""
    names, found = {output}, []
    for node in reversed(nodes):
        if not names.isdisjoint(node.output):
            found.append(node)
            names |= set(node.input)
    return found[::-1]
