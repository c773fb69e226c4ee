"""`Graph`: an ONNX graph as it is written down, node by node. Values are named; arrays become constants.

`load` and `array_of` read the files of strangers.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.errors import ModelFileError, quote, required
from gatewise.storage.atomic import read_regular
from gatewise.storage.compact import ROWS, SCALE, pack, storage_table
from gatewise.storage.folder import MAX_BYTES
from gatewise.types import Array

OPSET = 17  # of ONNX
ML_OPSET = 3  # of ai.onnx.ml
IR_VERSION = 8  # of the first onnx release with OPSET, so that every runtime with that opset reads the file
Value = str | Array  # a value's name, or a constant


def ints(*values: int) -> Array:
    """A constant (n,) int64: axes, shapes, pads."""
    return np.array(values, dtype=np.int64)


def scalar(value: float, dtype: Any = np.int64) -> Array:
    """A constant without axes."""
    return np.array(value, dtype=dtype)


class Graph:
    """Nodes and constants of a graph, in the order in which they were added. owner: the member that adds them. storage:
    the dtype of its large matrices, as `gatewise.storage.compact`; they are float32 again where the graph computes.
    """

    def __init__(self, storage: str = "float32") -> None:
        self.storage = storage
        self.owner = ""
        self.reserved: set[str] = set()  # names that no new value gets, because they belong to others
        self._onnx = required("onnx", "onnx", "the ONNX format")
        self._nodes: list[Any] = []
        self._numbers = itertools.count()  # of the nodes, for their names
        self._constants: list[Any] = []
        self.inputs: dict[str, tuple[Any, list[str | int]]] = {}  # dtype and shape of those that members read by name
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}  # dtype, shape and SHA-256 of each constant

    def add(self, op: str, *inputs: Value, **attributes: Any) -> str:
        """The name of the output of a new node. An empty name stands for an input that is left out."""
        return self.add_several(op, 1, *inputs, **attributes)[0]

    def add_several(self, op: str, outputs: int, *inputs: Value, **attributes: Any) -> list[str]:
        """The names of the outputs of a new node."""
        name = f"{op}_{next(self._numbers)}"
        while name in self.reserved:
            name += "_"
        names = [name if n == 0 else f"{name}_{n}" for n in range(outputs)]
        input_names = [self.name_of(value) for value in inputs]
        self._nodes.append(self._onnx.helper.make_node(op, input_names, names, name=name, **attributes))
        return names

    @property
    def node_count(self) -> int:
        """The number of nodes so far, for `give_name`."""
        return len(self._nodes)

    def give_name(self, value: str, name: str, since: int) -> None:
        """Call a value `name`, and its node, which was added since `node_count` was `since`. A value that no such node
        returns gets an Identity.
        """
        producers = [node for node in self._nodes[since:] if value in node.output]
        if not producers:
            self.rename(value, name)
            return
        [producer] = producers
        producer.output[[*producer.output].index(value)] = name
        producer.name = name
        for node in self._nodes[since:]:
            for place, read in enumerate(node.input):
                if read == value:
                    node.input[place] = name

    def name_of(self, value: Value) -> str:
        """The name of a value; a constant is added."""
        return value if isinstance(value, str) else self._constant(value)

    def keep(self, name: str, array: Array) -> str:
        """A constant that `Member.file_of_onnx` finds by its name. Returns that name, with the owner's in front."""
        return self.keep_as(f"{self.owner}.{name}", array)

    def keep_as(self, name: str, array: Array) -> str:
        """A constant with a name. Returns the name."""
        self._constants.append(self._onnx.numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def matrix(self, name: str, array: Array) -> str:
        """A constant (..., N) float32 in the dtype `storage`, of which only float32 has the name. Runtimes convert
        others once, when they open the file.
        """
        if self.storage == "float32":
            return self.keep_as(name, array)
        return self.add("Reshape", self.lookup(name, array.reshape(-1, array.shape[-1])), ints(*array.shape))

    def lookup(self, name: str, table: Array, rows: Value | None = None) -> str:
        """The rows (..., N) of a constant (R, N), see `matrix`; None: all of them."""
        if self.storage == "float32":
            kept = self.keep_as(name, table)
            return kept if rows is None else self.add("Gather", kept, rows)
        stored = pack({"": table}, storage_table({"": table}, self.storage))
        if ROWS in stored:
            shared = self.cast(stored[ROWS], np.int64)
            rows = shared if rows is None else self.add("Gather", shared, rows)
        parts = [stored[key].reshape(len(stored[key]), -1) for key in ("", SCALE) if key in stored]
        values, *scales = (part if rows is None else self.add("Gather", part, rows) for part in parts)
        return self.add("Mul", self.cast(values, np.float32), *scales) if scales else self.cast(values, np.float32)

    def cast(self, value: Value, dtype: Any) -> str:
        """The value in another dtype."""
        return self.add("Cast", value, to=self._type(dtype))

    def size(self, value: Value, axis: int) -> str:
        """The length of an axis, (1,) int64."""
        return self.add("Gather", self.add("Shape", value), ints(axis))

    def count(self, size: str) -> str:
        """0, 1, ... size - 1 as (size,) int64. size: (1,) int64."""
        return self.add("Range", scalar(0), self.add("Squeeze", size, ints(0)), scalar(1))

    def column(self, value: Value) -> str:
        """(B,) as (B, 1)."""
        return self.add("Unsqueeze", value, ints(1))

    def tensor(self, array: Array) -> Any:
        """A TensorProto, for attributes."""
        return self._onnx.numpy_helper.from_array(array)

    def rename(self, value: str, name: str) -> str:
        """The value under the name of an output of the graph."""
        next(self._numbers)
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name], name=name))
        return name

    def body(self) -> Graph:
        """An empty graph inside of this one, for Scan: its nodes may read the values of this one."""
        body = Graph(self.storage)
        body.reserved = self.reserved
        body._numbers = self._numbers
        body._constants = self._constants
        body._known = self._known
        return body

    def body_proto(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Any:
        """The GraphProto of a graph inside of another one. inputs, outputs: see `model`."""
        return self._onnx.helper.make_graph(self._nodes, "body", self._infos(inputs), self._infos(outputs))

    def model(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any], metadata: Mapping[str, str]) -> Any:
        """The checked ModelProto. inputs, outputs: name to (dtype, shape), where a str is an axis of any length.

        metadata: `metadata_props`.
        """
        from gatewise._version import __version__

        helper = self._onnx.helper
        infos = (self._infos(inputs), self._infos(outputs))
        nodes, read = _read_nodes(self._nodes, outputs)
        unnamed = set(self._known.values())
        constants = [tensor for tensor in self._constants if tensor.name in read or tensor.name not in unnamed]
        graph = helper.make_graph(nodes, "gatewise", *infos, initializer=constants)
        domains = {"": OPSET} | {node.domain: ML_OPSET for node in nodes if node.domain}
        opsets: Sequence[Any] = [helper.make_opsetid(*domain) for domain in domains.items()]
        model = helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=IR_VERSION,
            producer_name="gatewise",
            producer_version=__version__,
        )
        helper.set_model_props(model, dict(metadata))
        self._onnx.checker.check_model(model, full_check=True)
        return model

    def _constant(self, array: Array) -> str:
        key = (array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest())
        if key not in self._known:
            name = f"constant_{len(self._known)}"
            while name in self.reserved:
                name += "_"
            self._known[key] = name
            self._constants.append(self._onnx.numpy_helper.from_array(np.array(array, order="C"), name))
        return self._known[key]

    def _infos(self, values: Mapping[str, Any]) -> list[Any]:
        make = self._onnx.helper.make_tensor_value_info
        return [make(name, self._type(dtype), shape) for name, (dtype, shape) in values.items()]

    def _type(self, dtype: Any) -> int:
        """The number of a dtype in ONNX."""
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _read_nodes(nodes: Sequence[Any], outputs: Iterable[str]) -> tuple[list[Any], set[str]]:
    """The nodes on which the outputs depend, and the names of all values that these read."""
    read = set(outputs)
    kept = []
    for node in reversed(nodes):
        if read.intersection(node.output):
            kept.append(node)
            read |= _names_read(node)
    return kept[::-1], read


def _names_read(node: Any) -> set[str]:
    """The values that a node reads, also inside of its graph, as of Scan."""
    names = set(node.input)
    for attribute in node.attribute:
        for inner in attribute.g.node:
            names |= _names_read(inner)
        names.update(value.name for value in attribute.g.output)
    return names


def load(path: str | Path) -> Any:
    """The ModelProto of a file, without what it refers to in other files. Raises ModelFileError."""
    onnx = required("onnx", "onnx", "the ONNX format")
    from google.protobuf.message import DecodeError

    try:
        raw = read_regular(Path(os.path.realpath(path)), MAX_BYTES)  # caches have links
        return onnx.load_model_from_string(raw)
    except (DecodeError, ValueError) as error:
        raise ModelFileError(f"{quote(path, 200)}: not an ONNX file: {quote(error)}") from error


def array_of(tensor: Any, where: str) -> Array:
    """The array of a TensorProto. Raises ModelFileError where it is in another file, or damaged."""
    onnx = required("onnx", "onnx", "the ONNX format")
    name = quote(tensor.name)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise ModelFileError(f"{where}: {name} is stored in another file")
    try:
        array = np.asarray(onnx.numpy_helper.to_array(tensor))
        if array.shape != tuple(tensor.dims):  # NumPy reads -1 as the rest
            raise ValueError(f"its dims are {list(tensor.dims)}")
    except Exception as error:  # onnx has no class of its own for a tensor that it does not know
        raise ModelFileError(f"{where}: {name} is damaged: {quote(error)}") from error
    return array


def step_mask(graph: Graph, x: str, lengths: str) -> str:
    """Whether a step of x (B, T, ...) is within its sequence: (B, T)."""
    return graph.add("Less", graph.count(graph.size(x, 1)), graph.column(lengths))
