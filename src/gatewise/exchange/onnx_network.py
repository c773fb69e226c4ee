"""`read_onnx`: an ONNX file as a graph, beside the original, which runs in a child process.

In float32 ONNX Runtime computes the original. In float64 it computes a copy of the file with double tensors; where
ONNX Runtime has no double kernels, as for LSTM and Conv, the reference evaluator of the ONNX project computes the copy
(`gatewise.exchange.onnx_reference`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from gatewise.errors import InputError, ModelFileError, quote, required
from gatewise.exchange.onnx_graph import graph_of
from gatewise.exchange.onnx_limits import check_self_contained, check_sizes
from gatewise.exchange.onnx_process import Engine, OnnxProcess
from gatewise.exchange.read_network import ReadNetwork
from gatewise.members.onnx.graph import array_of, load
from gatewise.types import Array

_FLOAT = 1  # the numbers of the dtypes in TensorProto
_DOUBLE = 11
_FLOAT_TYPES = {"float32": _FLOAT, "float64": _DOUBLE}
_DTYPE_ATTRIBUTES = ("to", "dtype")
_ROUNDED = {"Gelu", "GroupNormalization", "HardSwish"}
"""Operations whose definition has float32 numbers in it, which ONNX Runtime uses in float64 too."""


def read_onnx(source: Any, where: str = "") -> OnnxNetwork:
    """The network of an ONNX file, by its path or as a ModelProto. where: names the file in messages, where that is not
    its path.

    Functions that the file defines are inlined. Nothing of the file runs, and nothing large is computed. Raises
    MissingExtra without onnx or onnxruntime, ModelFileError for a damaged file and for one whose constants stand in
    other files, and InputError naming the node that is not read, or that makes too many numbers.
    """
    required("onnx", "onnx", "the ONNX format")
    from onnx.inliner import inline_local_functions

    if isinstance(source, (str, Path)):
        model = load(source)
        where = where or quote(source, 200)
    else:
        model = source
        where = where or quote(model.graph.name or "the ONNX model", 200)
    check_self_contained(model, where)
    if len(model.functions):
        try:
            model = inline_local_functions(model)
        except Exception as error:  # onnx has no class of its own for a function that does not fit
            raise ModelFileError(f"{where}: its functions cannot be inlined: {quote(error)}") from error
    graph = graph_of(model, where)
    check_sizes(graph, where)
    names = {name for node in model.graph.node for name in node.output}
    compared = tuple(name for node in graph.nodes for name in node.outputs if name in names)
    # An output that no node computes is an input or a constant, which both have.
    compared += tuple(name for name in graph.outputs if name not in compared)
    return OnnxNetwork(graph, compared, model, where)


@dataclass(frozen=True, eq=False)
class OnnxNetwork(ReadNetwork):
    """model: the ModelProto, whose values have the names of those of the graph. where: names the file in messages."""

    framework: ClassVar[str] = "ONNX"
    model: Any
    where: str
    _processes: dict[tuple[str, Engine], OnnxProcess] = field(default_factory=dict, init=False, repr=False)
    """By dtype and engine, started when they are needed: what one file may take is limited in all its runs."""
    _refusals: dict[tuple[str, Engine], str] = field(default_factory=dict, init=False, repr=False)
    """Why an engine does not open the file."""
    _engines: dict[str, Engine] = field(default_factory=dict, init=False, repr=False)
    """Those that have computed values, by dtype."""

    @property
    def undefined_for_nan(self) -> frozenset[str]:
        # The specification does not say it: kernels of ONNX Runtime return NaN, the other numbers or the lowest float.
        return frozenset({"MaxPool", "GlobalMaxPool"})

    def original_values(self, inputs: Mapping[str, Array], names: Sequence[str], dtype: str) -> dict[str, Array]:
        """See `ReadNetwork`. "float64": by the reference evaluator where ONNX Runtime has no double kernels."""
        feed = self._feed(inputs, dtype)
        if dtype in self._engines:
            return self._processes[dtype, self._engines[dtype]].run(feed, names)
        reasons = []
        for engine in self._possible_engines(dtype):
            try:
                values = self._process(dtype, engine).run(feed, names)
            except (InputError, ModelFileError) as error:
                reasons.append(str(error))
                continue
            self._engines[dtype] = engine
            return values
        raise InputError("; ".join(reasons))

    def _possible_engines(self, dtype: str) -> tuple[Engine, ...]:
        if dtype == "float32":
            return (Engine.RUNTIME,)
        if any(node.op_type in _ROUNDED for node in self.model.graph.node):
            return (Engine.REFERENCE,)
        return (Engine.RUNTIME, Engine.REFERENCE)

    def _process(self, dtype: str, engine: Engine) -> OnnxProcess:
        """The process that computes the file. Raises ModelFileError where it does not open it."""
        key = dtype, engine
        if key in self._refusals:
            raise ModelFileError(self._refusals[key])
        if key not in self._processes:
            raw = with_float_type(self.model, _FLOAT_TYPES[dtype], self.compared)
            try:
                self._processes[key] = OnnxProcess(raw, self.where, optimize=False, engine=engine)
            except ModelFileError as error:
                self._refusals[key] = str(error)
                raise
        return self._processes[key]

    def close(self) -> None:
        """End the processes."""
        for process in self._processes.values():
            process.close()
        self._processes.clear()

    def _feed(self, inputs: Mapping[str, Array], dtype: str) -> dict[str, Array]:
        """The inputs in the dtypes of the file, floating-point numbers in this one."""
        feed = {}
        for name, value_type in self.graph.inputs.items():
            kind = dtype if value_type.dtype == "float" else value_type.dtype
            feed[name] = np.asarray(inputs[name], dtype=np.dtype(kind))
        return feed


def with_float_type(model: Any, to: int, outputs: Sequence[str] = ()) -> bytes:
    """The file with all floating-point numbers float32 or float64, by their number in TensorProto, and more outputs."""
    copy = type(model)()
    copy.CopyFrom(model)
    _retype_graph(copy.graph, to)
    shown = {value.name for value in copy.graph.output}
    for name in outputs:
        if name not in shown:
            copy.graph.output.add().name = name
    raw: bytes = copy.SerializeToString()
    return raw


def _retype_graph(graph: Any, to: int) -> None:
    for tensor in graph.initializer:
        _retype_tensor(tensor, to)
    for value in [*graph.input, *graph.output]:
        if value.type.tensor_type.elem_type in _FLOAT_TYPES.values():
            value.type.tensor_type.elem_type = to
    del graph.value_info[:]
    for node in graph.node:
        if node.op_type == "ConstantOfShape" and not node.attribute:
            helper = required("onnx", "onnx", "the ONNX format").helper
            # Without a value it makes zeros of float32.
            node.attribute.append(helper.make_attribute("value", helper.make_tensor("", _FLOAT, [1], [0.0])))
        for attribute in node.attribute:
            _retype_attribute(node, attribute, to)


def _retype_attribute(node: Any, attribute: Any, to: int) -> None:
    if attribute.HasField("t"):
        _retype_tensor(attribute.t, to)
    if attribute.HasField("g"):
        _retype_graph(attribute.g, to)
    if attribute.name in _DTYPE_ATTRIBUTES and attribute.i in _FLOAT_TYPES.values():
        attribute.i = to
    # A constant that is written as numbers is float32.
    if node.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
        helper = required("onnx", "onnx", "the ONNX format").helper
        numbers = np.asarray(helper.get_attribute_value(attribute), dtype=np.float32)
        tensor = required("onnx", "onnx", "the ONNX format").numpy_helper.from_array(numbers)
        _retype_tensor(tensor, to)
        attribute.CopyFrom(helper.make_attribute("value", tensor))


def _retype_tensor(tensor: Any, to: int) -> None:
    if tensor.data_type not in _FLOAT_TYPES.values() or tensor.data_type == to:
        return
    onnx = required("onnx", "onnx", "the ONNX format")
    array = array_of(tensor, "the file").astype(np.float64 if to == _DOUBLE else np.float32)
    tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
