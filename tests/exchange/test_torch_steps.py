"""Loops of Python over the steps are read from modules of PyTorch; what depends on the number of a step is not."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gatewise.network.operation import Execution
from gatewise.network.operations.loop import Loop

torch = pytest.importorskip("torch")
nn = torch.nn
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]  # of torch itself


def read(module: Any, *example: Any) -> Any:
    from gatewise.exchange.torch_graph import read_torch

    torch.manual_seed(7)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return read_torch(module, example)


def check(module: Any, graph: Any, *inputs: Any) -> None:
    expected = module.double()(*(x.double() if x.is_floating_point() else x for x in inputs))
    module.float()
    feeds = {name: x.numpy() for name, x in zip(graph.inputs, inputs, strict=True)}
    (computed,) = graph.run(feeds, execution=Execution(dtype=np.float64)).values()
    np.testing.assert_allclose(computed, expected.detach().numpy(), rtol=1e-9, atol=1e-9)


class Attending(nn.Module):
    """A GRUCell that reads the target, and attends to the steps of the source."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(5, 3)
        self.key = nn.Linear(2, 3)

    def forward(self, source: Any, target: Any) -> Any:
        keys = self.key(source)
        h = keys.mean(1)
        outputs = []
        for t in range(target.shape[1]):
            weights = torch.softmax((keys * h.unsqueeze(1)).sum(-1), dim=1)
            context = (weights.unsqueeze(-1) * keys).sum(1)
            h = self.cell(torch.cat([target[:, t], context], 1), h)
            outputs.append(h)
        return torch.stack(outputs, 1)


def test_a_decoder_with_attention() -> None:
    module = Attending()
    graph = read(module, torch.randn(2, 6, 2), torch.randn(2, 5, 2)).graph
    assert any(isinstance(node.operation, Loop) for node in graph.nodes)
    assert [str(value_type) for value_type in graph.inputs.values()] == ["float (B, T, 2)", "float (B, target_1, 2)"]
    for batch, source, target in ((1, 1, 1), (3, 2, 9), (2, 11, 4)):
        check(module, graph, torch.randn(batch, source, 2), torch.randn(batch, target, 2))


class Late(nn.Module):
    """Another step from the 21st on."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.RNNCell(2, 3)

    def forward(self, x: Any) -> Any:
        h = x.new_zeros(x.shape[0], 3)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
            if t > 20:
                h = torch.relu(h)
        return h


LATE = Late.forward.__code__.co_firstlineno + 5


def test_a_condition_on_the_number_of_a_step_is_not_read_as_a_loop() -> None:
    network = read(Late(), torch.randn(2, 6, 2))
    assert str(network.graph.inputs["x"]) == "float (B, 6, 2)"
    assert f"test_torch_steps.py:{LATE} runs for some numbers of steps alone" in network.notes[0]


calls: list[Any] = []
late_calls: list[Any] = []


def later_another_line(*arguments: Any) -> None:
    """Runs a line from the 101st call of a run on that did not run before, as code with a limit or a clock does."""
    calls.append(arguments)
    if len(calls) > 100:
        late_calls.append(arguments)


class Unreachable:
    """An object that only the garbage collector deletes."""

    def __init__(self) -> None:
        self.itself = self
        weakref.finalize(self, later_another_line)

    def __del__(self) -> None:
        later_another_line()


class Collected(nn.Module):
    """The garbage collector runs in the middle of each step, as it may in any code."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.cell = nn.RNNCell(2, 3)
        self.last = last

    def forward(self, x: Any) -> Any:
        calls.clear()
        h = x.new_zeros(x.shape[0], 3)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
            Unreachable()
            gc.collect(0)
            if t > self.last:
                h = torch.relu(h)
        return h


RELU = Collected.forward.__code__.co_firstlineno + 8


@pytest.fixture
def collector_calls_back() -> Iterator[None]:
    gc.callbacks.append(later_another_line)
    yield
    gc.callbacks.remove(later_another_line)


@pytest.mark.usefixtures("collector_calls_back")
def test_what_the_garbage_collector_calls_is_not_code_of_the_module() -> None:
    callbacks = list(gc.callbacks)
    late_calls.clear()
    module = Collected(last=10_000)
    network = read(module, torch.randn(2, 6, 2))
    assert gc.callbacks == callbacks
    assert late_calls
    assert not network.notes
    assert str(network.graph.inputs["x"]) == "float (B, T, 2)"
    check(module, network.graph, torch.randn(3, 9, 2))


@pytest.mark.usefixtures("collector_calls_back")
def test_what_the_module_runs_after_a_garbage_collection_is_its_code() -> None:
    network = read(Collected(last=200), torch.randn(2, 6, 2))
    assert f"test_torch_steps.py:{RELU} runs for some numbers of steps alone" in network.notes[0]
