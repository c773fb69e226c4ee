"""ONNX files of strangers: what depends on lengths or numbers is computed exactly, and nothing harmful runs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import GatewiseError, InputError, ModelFileError
from gatewise.types import Array
from tests.refusals import assert_refused

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import TensorProto  # noqa: E402

from gatewise.exchange import onnx_process  # noqa: E402
from gatewise.exchange.onnx_network import read_onnx, with_float_type  # noqa: E402
from gatewise.exchange.onnx_reference import evaluator  # noqa: E402
from gatewise.network.operation import Execution  # noqa: E402
from gatewise.system.processes import can_limit_memory  # noqa: E402
from tests.exchange.foreign_onnx import HARMFUL, TRANSLATED, C, Node, growing, slow, write  # noqa: E402

Network = tuple[list[Node], list[Node], dict[str, Any], tuple[int, ...]]  # before, after, constants, steps
OPENED: dict[str, Network] = {
    "first 40 steps": (
        [("Slice", ["x", "a", "b", "c"], "read", {})], [], {"a": [0], "b": [40], "c": [1]}, (1, 39, 40, 41, 90),
    ),
    "last 32 steps": (
        [], [("Slice", ["h", "a", "b", "c"], "s", {}), ("ReduceMean", ["s"], "pooled", {"axes": [1], "keepdims": 0})],
        {"a": [-32], "b": [2**62], "c": [1]}, (1, 31, 32, 33, 90),
    ),
    "no step is left": (
        [("Slice", ["x", "a", "b", "c"], "read", {})], [("ReduceMean", ["h"], "pooled", {"axes": [1], "keepdims": 0})],
        {"a": [60], "b": [2**62], "c": [1]}, (61, 62, 90),
    ),
    "step 23": ([], [("Gather", ["h", "a"], "pooled", {"axis": 1})], {"a": 23}, (24, 25, 90)),
    "step -3": ([], [("Gather", ["h", "a"], "pooled", {"axis": 1})], {"a": -3}, (3, 4, 90)),
    "maximum": ([("Max", ["x", "a"], "read", {})], [], {"a": np.float32(-0.4)}, (1, 7)),
    "minimum": ([("Min", ["x", "a"], "read", {})], [], {"a": np.float32(0.3)}, (1, 7)),
    "clip": ([("Clip", ["x", "a"], "read", {})], [], {"a": np.float32(-0.2)}, (1, 7)),
    "where less": (
        [("Less", ["x", "a"], "less", {}), ("Where", ["less", "x", "a"], "read", {})], [],
        {"a": np.float32(0.6)}, (1, 7),
    ),
    "lengths to 40": (
        [],
        [
            ("Min", ["lengths", "a"], "n", {}), ("Sub", ["n", "one"], "n1", {}),
            ("Unsqueeze", ["n1", "one"], "n2", {}), ("GatherND", ["h", "n2"], "pooled", {"batch_dims": 1}),
        ],
        {"a": [40]}, (1, 39, 40, 41, 90),
    ),
    "longer than 40": (
        [],
        [
            ("Greater", ["lengths", "a"], "long", {}), ("Cast", ["long"], "f", {"to": 1}),
            ("Unsqueeze", ["f", "one"], "f1", {}), ("Gather", ["h", "last"], "end", {"axis": 1}),
            ("Mul", ["end", "f1"], "pooled", {}),
        ],
        {"a": [40]}, (1, 40, 41, 90),
    ),
    "pooling of each step": (
        [], [
            ("Transpose", ["h"], "t", {"perm": [0, 2, 1]}), ("MaxPool", ["t"], "m", {"kernel_shape": [1]}),
            ("ReduceMax", ["m"], "pooled", {"axes": [2], "keepdims": 0}),
        ], {}, (1, 7, 90),
    ),
}  # fmt: skip
REFUSED: dict[str, tuple[list[Node], dict[str, Any], str]] = {
    "a sequence of the batch": (
        [("Slice", ["x", "a", "b", "c"], "read", {})], {"a": [0], "b": [64], "c": [0]},
        r"the output 'y' is float \(min\(64, batch\), 2\), without an axis of batch sequences",
    ),
    "half precision": (
        [("Cast", ["x"], "half", {"to": 10}), ("Cast", ["half"], "read", {"to": 1})], {},
        "m.onnx': Cast '', node 1 of 8: Cast: the data type 10 of ONNX is none of a graph",
    ),
}  # fmt: skip


def written(path: Path, before: list[Node], after: list[Node], constants: dict[str, Any]) -> Path:
    arrays = {name: np.array(value) for name, value in constants.items()}
    pooled = "" if any(node[2] == "pooled" for node in after) else "last"
    return write(path, before, after, arrays, pooled=pooled)


def random_inputs(path: Path, batch: int, steps: int, rng: np.random.Generator) -> dict[str, Array]:
    """Series, and lengths where the file reads them."""
    inputs: dict[str, Array] = {"x": rng.normal(size=(batch, steps, C))}
    if len(onnx.load(path).graph.input) == 2:
        inputs["lengths"] = rng.integers(1, steps + 1, batch)
    return inputs


@pytest.mark.usefixtures("short_comparison")
@pytest.mark.parametrize("name", OPENED)
def test_what_depends_on_lengths_or_numbers_is_computed_exactly(name: str, tmp_path: Path) -> None:
    """As ONNX Runtime computes it in float32, and the reference evaluator in float64."""
    before, after, constants, lengths = OPENED[name]
    path = written(tmp_path / "m.onnx", before, after, constants)
    model = gw.from_onnx(path)
    runtime = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    double = evaluator(with_float_type(onnx.load(path), TensorProto.DOUBLE))
    graph = read_onnx(path).graph
    rng = np.random.default_rng(7)
    for steps in lengths:
        for batch in (1, 5):
            inputs = random_inputs(path, batch, steps, rng)
            [exact] = double.run(None, inputs)
            computed = graph.run(inputs, execution=Execution(dtype=np.dtype("float64"), keep=False))["y"]
            np.testing.assert_allclose(computed, exact, rtol=1e-10, atol=1e-10)
            single = {**inputs, "x": inputs["x"].astype(np.float32)}
            [wanted] = runtime.run(None, single)
            np.testing.assert_allclose(model.predict_outputs(single)["y"], wanted, rtol=1e-5, atol=1e-5)
            assert np.isfinite(wanted).all()


@pytest.mark.usefixtures("short_comparison")
def test_a_step_that_is_not_there_is_refused_when_the_model_predicts(tmp_path: Path) -> None:
    model = gw.from_onnx(written(tmp_path / "m.onnx", *OPENED["step -3"][:3]))
    assert_refused(
        "the number of steps must be at least 3, and is 2", model.predict_outputs, {"x": np.ones((2, 2, C), np.float32)}
    )


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_read_is_named(name: str, tmp_path: Path) -> None:
    before, constants, message = REFUSED[name]
    assert_refused(message, gw.from_onnx, written(tmp_path / "m.onnx", before, [], constants))


@pytest.mark.usefixtures("short_comparison")
@pytest.mark.parametrize("name", TRANSLATED)
def test_loops_branches_and_functions_are_translated(name: str, tmp_path: Path) -> None:
    """They become nodes of the graph, whose sizes and steps are checked. A prediction runs nothing of the file."""
    path = TRANSLATED[name](tmp_path / "m.onnx")
    model = gw.from_onnx(path, task="regression")
    runtime = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(8)
    for batch, steps in ((1, 1), (3, 4), (2, 61)):
        x = rng.normal(size=(batch, steps, C)).astype(np.float32)
        [wanted] = runtime.run(None, {"x": x})
        np.testing.assert_allclose(model.predict_outputs({"x": x})["y"], wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("short_comparison")
def test_what_exporters_write_is_read(tmp_path: Path) -> None:
    """The last step by several ways, whole slices, the mean and the last state by the lengths, shapes with -1."""
    whole = {"a": np.array([0]), "b": np.array([2**62]), "c": np.array([1])}
    end = {"a": np.array([-1]), "b": np.array([2**62]), "c": np.array([1])}
    at_length: list[Node] = [
        ("Sub", ["lengths", "one"], "n1", {}), ("Unsqueeze", ["n1", "one"], "n2", {}),
        ("GatherND", ["h", "n2"], "pooled", {"batch_dims": 1}),
    ]  # fmt: skip
    mean: list[Node] = [
        ("Shape", ["h"], "shape", {}), ("Gather", ["shape", "index"], "steps_", {}),
        ("Range", ["start", "steps_", "delta"], "range", {}), ("Unsqueeze", ["lengths", "one"], "n", {}),
        ("Less", ["range", "n"], "mask", {}), ("Unsqueeze", ["mask", "two"], "mask3", {}),
        ("Where", ["mask3", "h", "nothing"], "kept", {}),
        ("ReduceSum", ["kept", "one"], "sum", {"keepdims": 0}), ("Cast", ["n"], "count", {"to": 1}),
        ("Div", ["sum", "count"], "pooled", {}),
    ]  # fmt: skip
    for_mean = {
        "index": np.array(1), "start": np.array(0), "delta": np.array(1), "two": np.array([2]),
        "nothing": np.float32(0),
    }  # fmt: skip
    for before, after, constants, pooling in (
        ([("Slice", ["x", "a", "b", "c"], "read", {})], [], whole, "last"),
        ([], [("Slice", ["h", "a", "b", "c"], "s", {}), ("Squeeze", ["s", "one"], "pooled", {})], end, "last"),
        ([], at_length, {}, "last"),
        ([], mean, for_mean, "mean"),
        ([], [("ReduceMax", ["h"], "pooled", {"axes": [1], "keepdims": 0})], {}, "max"),
    ):
        arrays = {key: np.asarray(value) for key, value in constants.items()}
        pooled = "" if after else "last"
        path = write(tmp_path / "m.onnx", before, after, arrays, pooled=pooled)
        model = gw.from_onnx(path)
        assert model.architecture.pooling == pooling
        x = np.random.default_rng(5).normal(size=(4, 90, C)).astype(np.float32)
        feed = {"x": x} | ({"lengths": np.full(4, 90)} if "lengths" in {i for node in after for i in node[1]} else {})
        [wanted] = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, feed)
        np.testing.assert_allclose(model.logits(list(x)), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", HARMFUL)
def test_nothing_harmful_is_opened(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("ONNX Runtime was started")

    monkeypatch.setattr(onnx_process.subprocess, "Popen", never)
    harmful, message = HARMFUL[name]
    assert_refused(message, gw.from_onnx, harmful(tmp_path / "m.onnx"), error=(InputError, ModelFileError))


def run_alone(path: Path, message: str) -> None:
    """The file is refused before it runs, so the process is asked directly."""
    with (
        onnx_process.OnnxProcess(path.read_bytes(), "m", optimize=False) as process,
        pytest.raises(GatewiseError, match=message),
    ):
        process.run({"x": np.ones((3, 5), np.int64)})
    assert process._process.poll() is not None, "it has ended"


@pytest.mark.skipif(not can_limit_memory(), reason="this system has no limit of memory")
def test_what_runs_has_a_limit_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_process, "MEMORY", 1 << 29)
    run_alone(growing(tmp_path / "m.onnx"), "m: it does not run|m: ONNX Runtime ended without an answer")


def test_what_runs_has_a_limit_of_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_process, "SECONDS", 1.0)
    run_alone(slow(tmp_path / "m.onnx"), "m: ONNX Runtime was stopped after 1 s")


def test_a_file_that_says_it_is_of_gatewise_is_checked_too(tmp_path: Path) -> None:
    from tests.exchange.random_models import random_model

    random_model().export(tmp_path / "own.onnx")
    file = onnx.load_model(tmp_path / "own.onnx")
    file.graph.node.append(
        onnx.helper.make_node("Loop", ["a", "b"], ["c"], body=onnx.helper.make_graph([], "g", [], []))
    )
    (tmp_path / "own.onnx").write_bytes(file.SerializeToString())
    assert_refused(
        r"Loop '', node \d+ of \d+: it runs a graph inside of the graph", gw.from_onnx, tmp_path / "own.onnx"
    )
