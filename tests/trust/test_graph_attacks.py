"""The attacks on the readers of graphs find planted defects of the readers.

A reader compares what it reads, and the proof does so again: both are switched off here, so that an attack alone can
find the defect.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.exchange import keras_layers, onnx_recurrence, torch_graph, torch_guards, torch_leaves
from gatewise.exchange.torch_call import Call
from gatewise.network.graph import Graph
from gatewise.network.weight_layouts import KERAS_GATES
from gatewise.types import Array
from trust.attacks import graph_cases, graphs_onnx
from trust.onnx_peer import OnnxPeer
from trust.registry import ATTACKS

pytest.importorskip("torch")
pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def without_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    """No reader compares, and a failure is not searched for a smaller one."""
    monkeypatch.setattr(torch_graph, "agrees", lambda *_: True)
    monkeypatch.setattr(torch_guards, "agrees", lambda *_: True)
    monkeypatch.setattr(graph_cases, "prove", lambda _: None)
    monkeypatch.setattr(graph_cases, "_SHRUNK", 0)


Plant = Callable[[pytest.MonkeyPatch], None]


def failure_of(name: str, number: int, folder: Path) -> str:
    """What a try of an attack reports, in this process; "" where it holds."""
    try:
        ATTACKS[name].attempt(np.random.default_rng([1, number]), folder)
    except graph_cases.Wrong as error:
        return str(error)
    return ""


def swap_gates_in_torch(patch: pytest.MonkeyPatch) -> None:
    """The first two gates of a GRU of PyTorch change places."""
    list_of = Call.list_of

    def swapped(call: Call, name: str, dtype: Any = None) -> list[str]:
        weights = list_of(call, name, dtype)
        if name != "weights" or call["cell"] != "GRU":
            return weights
        constants = call.builder.constants
        gates = [np.split(constants[weight], 3) for weight in weights]
        return [call.builder.constant(np.concatenate([z, r, n])) for r, z, n in gates]

    patch.setattr(Call, "list_of", swapped)


def read_one_step_more_in_torch(patch: pytest.MonkeyPatch) -> None:
    """A packed sequence has one step more than its length says."""

    def steps_read(call: Call) -> str:
        place = call.add("Range", start=0, limit=call.shape_of("data")[1], delta=1)
        lengths = call.add("Unsqueeze", call.value("lengths", "int64"), axes=(1,))
        return call.add("LessOrEqual", place, lengths)

    patch.setattr(torch_leaves, "_steps_read", steps_read)


def swap_gates_in_keras(patch: pytest.MonkeyPatch) -> None:
    """The first two gates of a GRU of Keras change places."""
    first, second, last = KERAS_GATES["GRU"]
    patch.setitem(KERAS_GATES, "GRU", (second, first, last))


def ignore_masks_in_keras(patch: pytest.MonkeyPatch) -> None:
    """A recurrent layer reads the steps that are masked."""
    patch.setattr(keras_layers, "_mask", lambda *_: "")


def swap_gates_in_onnx(patch: pytest.MonkeyPatch) -> None:
    """The gates of an LSTM of ONNX are read in the order of a graph."""
    patch.setitem(onnx_recurrence.GATES, "LSTM", (0, 1, 2, 3))


@pytest.mark.parametrize(
    ("name", "plant", "number"),
    [
        ("imports-onnx-graph", swap_gates_in_onnx, 7),
        ("imports-torch-graph", swap_gates_in_torch, 16),
        ("imports-torch-graph", read_one_step_more_in_torch, 3),
        ("imports-keras-graph", swap_gates_in_keras, 9),
        ("imports-keras-graph", ignore_masks_in_keras, 10),
    ],
)
def test_a_planted_defect_is_found(
    name: str, plant: Plant, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """number: of a try whose network has what is read wrongly. It holds without the defect."""
    if reason := ATTACKS[name].unavailable():
        pytest.skip(reason)
    ATTACKS[name].prepare()
    assert not failure_of(name, number, tmp_path)
    plant(monkeypatch)
    assert "is off by" in failure_of(name, number, tmp_path)


def test_a_number_on_either_side_of_a_discontinuity_is_right() -> None:
    """sin(π) is 1e-16 in float64, where another correct computation may have -1e-16: floor makes 0 and -1 of them.
    A number on neither side is wrong, and so is the other side where the network is not discontinuous.
    """
    torch = pytest.importorskip("torch")

    class FloorOfSine(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return torch.floor(torch.sin(x))

    graph = torch_graph.read_torch(FloorOfSine(), torch.rand(3, 1)).graph

    def check(x: float, outputs: float) -> None:
        def run(arguments: Any, dtype: str, change: graph_cases.Change | None = None) -> list[Array]:
            return [np.array([[outputs], [0.0]], dtype)]

        graph_cases.check_outputs(graph, run, (np.array([[x], [0.5]]),))

    check(np.pi, -1.0)
    for x, outputs in ((np.pi, -0.5), (np.pi - 1e-9, -1.0), (1.0, -1.0)):
        with pytest.raises(graph_cases.Wrong, match="output 0 in float64 is off by"):
            check(x, outputs)


def test_zeros_that_are_exact_have_one_side() -> None:
    """A mask of zeros is not discontinuous: a graph with another comparison of 0 is wrong."""
    torch = pytest.importorskip("torch")

    class Positive(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return (x * 0.7 >= 0).to(x.dtype)

    graph = torch_graph.read_torch(Positive(), torch.rand(3, 1)).graph

    def run(arguments: Any, dtype: str, change: graph_cases.Change | None = None) -> list[Array]:
        return [(arguments[0] * 0.7 > 0).astype(dtype)]

    graph_cases.check_outputs(graph, run, (np.array([[-0.3], [0.4]]),))
    with pytest.raises(graph_cases.Wrong, match="output 0 in float64 is off by 1"):
        graph_cases.check_outputs(graph, run, (np.array([[-0.3], [0.0]]),))


def test_a_crash_of_onnx_runtime_is_counted_and_the_graph_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = ATTACKS["imports-onnx-graph"]
    if reason := attack.unavailable():
        pytest.skip(reason)
    attack.prepare()
    peer = OnnxPeer("tests.trust.crashing_peer")
    monkeypatch.setattr(graphs_onnx, "_peer", lambda: peer)
    assert attack.attempt(np.random.default_rng([1, 7]), tmp_path) == "opens; ONNX Runtime crashed"
    swap_gates_in_onnx(monkeypatch)
    assert "is off by" in failure_of("imports-onnx-graph", 7, tmp_path)
    peer.stop()


def test_a_network_without_rounding_by_chance() -> None:
    """The sum of numbers without their mean is rounding alone in float32, and 0 of a network that has none by chance. A
    number that is farther than rounding leads is wrong.
    """
    torch = pytest.importorskip("torch")

    class Residue(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return (x - x.mean(1, keepdim=True)).sum(1)

    graph = torch_graph.read_torch(Residue(), torch.rand(2, 9)).graph
    x = np.random.default_rng(0).normal(0, 1e3, (3, 37)).astype(np.float32)

    def run(arguments: Any, dtype: str, change: graph_cases.Change | None = None) -> list[Array]:
        return [np.zeros(3, dtype)]

    graph_cases.check_outputs(graph, run, (x,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Graph, "run", _with_an_error(0.1))
        with pytest.raises(graph_cases.Wrong, match="output 0 in float32 is off by"):
            graph_cases.check_outputs(graph, run, (x,))


def _with_an_error(size: float) -> Callable[..., dict[str, Array]]:
    """`Graph.run`, whose outputs in float32 are off by `size`."""
    exact = Graph.run

    def run(graph: Graph, *arguments: Any, **options: Any) -> dict[str, Array]:
        values = dict(exact(graph, *arguments, **options))
        if options["execution"].dtype == np.float32:
            values = {name: array + np.float32(size) for name, array in values.items()}
        return values

    return run


def test_numbers_too_small_for_float32_are_zero() -> None:
    """The sign of 1e-30 squared is 1, and 0 in float32. The sign of 1e-15 squared is 1 in both."""
    torch = pytest.importorskip("torch")

    class SignOfSquare(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return torch.sign(x * x * 0.7)

    graph = torch_graph.read_torch(SignOfSquare(), torch.rand(3, 1)).graph

    def check(x: float) -> None:
        def run(arguments: Any, dtype: str, change: graph_cases.Change | None = None) -> list[Array]:
            return [np.ones((2, 1), dtype)]

        graph_cases.check_outputs(graph, run, (np.array([[x], [0.5]]),))

    check(1e-15)
    check(1e-30)
