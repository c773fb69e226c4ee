"""ONNX files of strangers: what depends on lengths or numbers is refused by name, and nothing harmful runs."""

from pathlib import Path

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import GatewiseError, InputError, ModelFileError
from tests.refusals import assert_refused

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from gatewise.exchange import onnx_process  # noqa: E402
from gatewise.system.processes import can_limit_memory  # noqa: E402
from tests.exchange.foreign_onnx import HARMFUL, C, Node, growing, slow, write  # noqa: E402

NUMBER = np.array(0.5, np.float32)
CUTS = "it takes steps or sequences at constant places"
REFUSED: dict[str, tuple[list[Node], list[Node], dict[str, object], str]] = {
    "first 40 steps": (
        [("Slice", ["x", "a", "b", "c"], "read", {})], [],
        {"a": [0], "b": [40], "c": [1]}, rf"\(Slice, node 1 of \d\): {CUTS}",
    ),
    "last 32 steps": (
        [], [("Slice", ["h", "a", "b", "c"], "s", {}), ("ReduceMean", ["s"], "pooled", {"axes": [1], "keepdims": 0})],
        {"a": [-32], "b": [2**62], "c": [1]}, rf"\(Slice, node 6 of \d\): {CUTS}",
    ),
    "a sequence of the batch": (
        [("Slice", ["x", "a", "b", "c"], "read", {})], [],
        {"a": [0], "b": [64], "c": [0]}, rf"\(Slice, node 1 of \d\): {CUTS}",
    ),
    "no step is left": (
        [("Slice", ["x", "a", "b", "c"], "read", {})], [("ReduceMean", ["h"], "pooled", {"axes": [1], "keepdims": 0})],
        {"a": [60], "b": [2**62], "c": [1]}, r"\(LSTM, node \d of \d\): it reads no step of these inputs",
    ),
    "step 23": ([], [("Gather", ["h", "a"], "pooled", {"axis": 1})], {"a": 23}, "does not run"),
    "step -3": ([], [("Gather", ["h", "a"], "pooled", {"axis": 1})], {"a": -3}, rf"\(Gather, node 6 of 7\): {CUTS}"),
    "maximum": ([("Max", ["x", "a"], "read", {})], [], {"a": np.float32(-9)}, r"\(Max, node 1 of \d\): it limits"),
    "minimum": ([("Min", ["x", "a"], "read", {})], [], {"a": np.float32(9)}, r"\(Min, node 1 of \d\): "),
    "clip": ([("Clip", ["x", "a"], "read", {})], [], {"a": np.float32(-9)}, r"\(Clip, node 1 of \d\): "),
    "where less": (
        [("Less", ["x", "a"], "less", {}), ("Where", ["less", "x", "a"], "read", {})], [],
        {"a": np.float32(9)}, r"\(Less, node 1 of \d\): it compares numbers",
    ),
    "cast": (
        [("Cast", ["x"], "half", {"to": 10}), ("Cast", ["half"], "read", {"to": 1})], [], {},
        r"\(Cast, node 1 of \d\): it rounds or compares",
    ),
    "lengths to 40": (
        [],
        [
            ("Min", ["lengths", "a"], "n", {}), ("Sub", ["n", "one"], "n1", {}),
            ("Unsqueeze", ["n1", "one"], "n2", {}), ("GatherND", ["h", "n2"], "pooled", {"batch_dims": 1}),
        ],
        {"a": [40]}, r"\(Min, node 6 of \d+\): it limits",
    ),
    "longer than 40": (
        [],
        [
            ("Greater", ["lengths", "a"], "long", {}), ("Cast", ["long"], "f", {"to": 1}),
            ("Unsqueeze", ["f", "one"], "f1", {}), ("Gather", ["h", "last"], "end", {"axis": 1}),
            ("Mul", ["end", "f1"], "pooled", {}),
        ],
        {"a": [40]}, r"\(Greater, node 6 of \d+\): it compares",
    ),
    "pooling of 24 steps": (
        [], [
            ("Transpose", ["h"], "t", {"perm": [0, 2, 1]}), ("MaxPool", ["t"], "m", {"kernel_shape": [1]}),
            ("ReduceMax", ["m"], "pooled", {"axes": [2], "keepdims": 0}),
        ], {}, rf"\(MaxPool, node 7 of \d\): {CUTS}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_depends_on_lengths_or_numbers_is_named(name: str, tmp_path: Path) -> None:
    before, after, constants, message = REFUSED[name]
    arrays = {key: np.array(value) for key, value in constants.items()}
    pooled = "" if any(node[2] == "pooled" for node in after) else "last"
    path = write(tmp_path / "m.onnx", before, after, arrays, pooled=pooled)
    assert_refused(message, gw.from_onnx, path)


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
        path = write(tmp_path / "m.onnx", before, after, arrays, pooled=pooled)  # type: ignore[arg-type]
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
    """Without an embedding the file is refused before it runs, so the process is asked directly."""
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
    import onnx

    from tests.exchange.random_models import random_model

    random_model().export(tmp_path / "own.onnx")
    file = onnx.load_model(tmp_path / "own.onnx")
    file.graph.node.append(
        onnx.helper.make_node("Loop", ["a", "b"], ["c"], body=onnx.helper.make_graph([], "g", [], []))
    )
    (tmp_path / "own.onnx").write_bytes(file.SerializeToString())
    assert_refused(r"\(Loop, node \d+ of \d+\): it runs a graph", gw.from_onnx, tmp_path / "own.onnx")
