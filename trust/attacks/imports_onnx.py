"""ONNX files of strangers: what is opened is what ONNX Runtime computes, and nothing harmful runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

import gatewise as gw
from gatewise.errors import GatewiseError
from gatewise.types import Array
from trust.attack import Attacks, check_message, missing
from trust.attacks.graph_cases import reason_of
from trust.attacks.import_cases import check_outputs
from trust.mutate import Rng, choice

ATTACKS = Attacks()
CHANNELS = 3
Node = tuple[str, list[Any], str, dict[str, Any]]  # operation, inputs, output, attributes
LENGTHS = (1, 2, 7, 23, 24, 25, 41, 65, 200)


def _unavailable() -> str:
    return missing("onnx", "onnxruntime")


def _hostile(rng: Rng, x: str, name: str, floats: bool) -> list[Node]:
    """Nodes from the value x (batch, steps, ...) to `name`, that do something for long sequences or large numbers only.
    Arrays among the inputs are constants.
    """
    bound = int(choice(rng, [1, 24, 30, 64, 100]))
    number = np.float32(choice(rng, [3.0, 9.0, 50.0, 500.0])) if floats else np.int64(bound)
    start, end = choice(rng, [(0, bound), (-bound, 2**62), (0, -bound), (1, 2**62)])
    take: list[Node] = [("Slice", [x, np.array([start]), np.array([end]), np.array([1])], name, {})]
    compare = str(choice(rng, ["Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"]))
    where: list[Node] = [
        (compare, [x, number], f"{name}_c", {}),
        ("Where", [f"{name}_c", x, np.zeros_like(number)], name, {}),
    ]
    limits: list[list[Node]] = [
        [("Max", [x, -number], name, {})],
        [("Min", [x, number], name, {})],
        [("Clip", [x, -number, number], name, {})],
        [("Cast", [x], f"{name}_c", {"to": 10}), ("Cast", [f"{name}_c"], name, {"to": 1 if floats else 7})],
    ]
    return choice(rng, [take, where, *limits])


def _network(rng: Rng, folder: Path) -> tuple[Path, int, bool]:
    """A file with a random network, the size of its vocabulary, 0 for a series, and whether it reads lengths. With some
    probability an operation at a random place depends on numbers or lengths.
    """
    from onnx import TensorProto, helper, numpy_helper

    vocabulary = int(choice(rng, [0, 40, 3000]))
    lengths = rng.random() < 0.3
    hostile = choice(rng, ["", "", "inputs", "read", "states"])
    constants: list[Any] = []
    nodes: list[Any] = []

    def add(op: str, inputs: list[Any], output: str, **settings: Any) -> str:
        names = []
        for value in inputs:
            if not isinstance(value, str):
                constants.append(numpy_helper.from_array(np.asarray(value), f"c{len(constants)}"))
                value = constants[-1].name
            names.append(value)
        nodes.append(helper.make_node(op, names, [output], **settings))
        return output

    def attacked(value: str, place: str, floats: bool) -> str:
        if hostile != place:
            return value
        for op, inputs, output, settings in _hostile(rng, value, f"{place}_h", floats):
            value = add(op, inputs, output, **settings)
        return value

    value = attacked("x", "inputs", not vocabulary)
    width = CHANNELS
    if vocabulary:
        width = int(rng.integers(2, 6))
        value = add("Gather", [rng.normal(size=(vocabulary, width)).astype(np.float32), value], "vectors")
    value = attacked(value, "read", True)
    for layer in range(int(rng.integers(1, 3))):
        units = int(rng.integers(2, 7))
        direction = choice(rng, ["forward", "reverse", "bidirectional"])
        count = 2 if direction == "bidirectional" else 1
        weights = [
            rng.normal(0, 0.7, shape).astype(np.float32)
            for shape in ((count, 4 * units, width), (count, 4 * units, units), (count, 8 * units))
        ]
        read = add("Transpose", [value], f"t{layer}", perm=[1, 0, 2])
        also = ["lengths32"] if lengths else []
        states = add("LSTM", [read, *weights, *also], f"l{layer}", hidden_size=units, direction=direction)
        states = add("Transpose", [states], f"b{layer}", perm=[2, 0, 1, 3])  # (batch, steps, directions, units)
        width = units * count
        value = add("Reshape", [states, np.array([0, 0, width])], f"h{layer}")
    if lengths:
        nodes.insert(0, helper.make_node("Cast", ["lengths"], ["lengths32"], to=TensorProto.INT32))
    value = attacked(value, "states", True)
    how = choice(rng, ["last", "max", "mean", "slice"])
    if how == "last":
        value = add("Gather", [value, np.array(-1)], "pooled", axis=1)
    elif how == "slice":
        value = add("Slice", [value, np.array([-1]), np.array([2**62]), np.array([1])], "end")
        value = add("Squeeze", [value, np.array([1])], "pooled")
    else:
        value = add("ReduceMax" if how == "max" else "ReduceMean", [value], "pooled", axes=[1], keepdims=0)
    if rng.random() < 0.5:
        value = add("Gemm", [value, rng.normal(size=(width, 5)).astype(np.float32)], "hidden")
        value, width = add(choice(rng, ["Relu", "Tanh", "LeakyRelu", "Elu"]), [value], "active"), 5
    add("Gemm", [value, rng.normal(size=(width, 2)).astype(np.float32)], "y")
    shape: list[Any] = ["b", "t"] if vocabulary else ["b", "t", CHANNELS]
    kind = TensorProto.INT64 if vocabulary else TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info("x", kind, shape)]
    inputs += [helper.make_tensor_value_info("lengths", TensorProto.INT64, ["b"])] if lengths else []
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", 2])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "network.onnx"
    path.write_bytes(model.SerializeToString())
    return path, vocabulary, lengths


def random_batch(rng: Rng, vocabulary: int, length: int) -> Array:
    """Ids (3, length), or series (3, length, channels) of magnitudes from 1e-3 to 1e3."""
    if vocabulary:
        return rng.integers(0, vocabulary, (3, length))
    scale = 10.0 ** rng.uniform(-3, 3)
    series: Array = scale * rng.normal(size=(3, length, CHANNELS))
    return series.astype(np.float32)


@ATTACKS.add("imports-onnx", 6, 2_000, unavailable=_unavailable, memory=0)
def _onnx(rng: Rng, folder: Path) -> str:
    """A model of a network in an ONNX file computes what ONNX Runtime computes with it, to 1e-5 of the largest number
    and ten times by what ONNX Runtime is off in float32, or the file is refused in one line.

    random networks of ids and series, with lengths and without; half of them have a slice, comparison, limit or
    rounding at a random place; 1 to 2,000 steps, numbers from 1e-3 to 1e3, all ids
    """
    import onnx
    import onnxruntime

    from gatewise.exchange.onnx_network import with_float_type
    from gatewise.exchange.onnx_reference import evaluator

    path, vocabulary, lengths = _network(rng, folder)
    try:
        model = gw.from_onnx(path, task="regression")
    except GatewiseError as error:
        return reason_of(error).replace(str(folder), "FOLDER")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    double = evaluator(with_float_type(onnx.load(path), onnx.TensorProto.DOUBLE))

    def check(feed: dict[str, Array], where: str) -> None:
        try:
            [rounded] = session.run(None, feed)
        except Exception:  # ONNX Runtime has its own; of a step that is not there, for example
            return
        wide = {name: array.astype(np.float64) if array.dtype.kind == "f" else array for name, array in feed.items()}
        [exact] = double.run(None, wide)
        # What is not finite in both, such as the mean of no step, is the same.
        finite = np.isfinite(rounded)
        outputs = _outputs(model, feed)
        assert np.array_equal(np.isfinite(outputs), finite), f"{where}: other numbers are not finite"
        check_outputs([outputs[finite]], [rounded[finite]], [exact[finite]], where)

    for length in (*rng.choice(LENGTHS, 3).tolist(), int(rng.integers(1, 2_001))):
        feed = {"x": random_batch(rng, vocabulary, length)}
        if lengths:
            feed["lengths"] = rng.integers(1, length + 1, 3)
        check(feed, f"{length} steps")
    if vocabulary:
        every = np.resize(np.arange(vocabulary), (1, -(-vocabulary // 500) * 500)).reshape(-1, 500)
        feed = {"x": every} | ({"lengths": np.full(len(every), 500)} if lengths else {})
        check(feed, "all ids")
    return "a graph" if _is_graph(model) else "an architecture"


def _is_graph(model: gw.Model) -> bool:
    return model.ensemble.network.kind == "graph"


def _outputs(model: gw.Model, feed: dict[str, Array]) -> Array:
    """Of the model: a graph reads arrays, an architecture sequences of their own lengths."""
    if _is_graph(model):
        return model.predict_outputs(feed)["y"]
    x = feed["x"]
    counts = feed.get("lengths", np.full(len(x), x.shape[1]))
    logits: Array = model.logits([row[:count] for row, count in zip(x, counts, strict=True)])
    return logits


def compare(found: Any, wanted: Array, where: str) -> None:
    """Assert that outputs are equal to 1e-5 of the largest number, and 1e-5 below 1."""
    most = max(1.0, float(np.abs(wanted).max()))
    off = float(np.abs(np.asarray(found) - wanted).max()) / most
    assert off <= 1e-5, f"{where}: off by {off:.2g}"


@ATTACKS.add("imports-harmful-onnx", 5, 200, unavailable=_unavailable, memory=0)
def _harmful(rng: Rng, folder: Path) -> None:
    """A harmful ONNX file is refused in one line within seconds, and the process does not grow by more than 200 MB.

    endless loops, one node that makes 2^36 numbers, values that double 40 times, sizes and functions that do,
    constants that take hours, other domains, data in other files; changed bytes
    """
    import resource

    from tests.exchange.foreign_onnx import HARMFUL, growing
    from trust.mutate import change_bytes

    name = choice(rng, [*HARMFUL, "growing"])
    path = (growing if name == "growing" else HARMFUL[name][0])(folder / "harmful.onnx")
    if rng.random() < 0.3:
        path.write_bytes(change_bytes(rng, path.read_bytes()))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    try:
        gw.from_onnx(path)
    except GatewiseError as error:
        check_message(error)
    else:
        raise AssertionError(f"{name} was opened")
    assert time.monotonic() - start < 60
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000, f"{name}: the process has grown by {grown:,} KB"
