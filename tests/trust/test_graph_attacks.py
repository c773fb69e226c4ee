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

from gatewise.exchange import keras_layers, torch_graph, torch_guards, torch_leaves
from gatewise.exchange.torch_call import Call
from gatewise.network.weight_layouts import KERAS_GATES
from trust.attacks import graph_cases
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


@pytest.mark.parametrize(
    ("name", "plant", "number"),
    [
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
