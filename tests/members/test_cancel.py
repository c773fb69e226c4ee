"""Long computations stop between their batches when nobody waits for them."""

import pytest

from gatewise.explain import METHODS, method_named
from gatewise.explain.attribution import integrated_gradients
from gatewise.explain.attribution.method import attribute
from gatewise.explain.example import Example
from gatewise.members import lstm as lstm_module
from gatewise.system.cancel import Cancelled, cancel_when, check_cancelled
from tests.explain.random_net import ARCHITECTURES, explained, parameters_of, sequence_of


def example() -> Example:
    arch = ARCHITECTURES["bidirectional, mean"]
    return Example(explained(parameters_of(arch, 3), arch), sequence_of(arch, 12, 3))


def test_outside_of_a_block_nothing_is_cancelled() -> None:
    check_cancelled()
    with pytest.raises(Cancelled), cancel_when(lambda: True):
        check_cancelled()
    check_cancelled()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_cancelled(method: str) -> None:
    with pytest.raises(Cancelled), cancel_when(lambda: True):
        attribute(method_named(method), [example()])


def test_the_check_comes_before_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    one = example()
    monkeypatch.setattr(lstm_module, "_STEPS_PER_BATCH", 24)
    monkeypatch.setattr(integrated_gradients, "_STEPS_PER_BATCH", 24)
    asked: list[int] = []

    def at_the_third() -> bool:
        asked.append(1)
        return len(asked) == 3

    for run in (
        lambda: one.lstm.logits(one.sequence for _ in range(10)),
        lambda: attribute(method_named("integrated-gradients"), [one]),
    ):
        asked.clear()
        with pytest.raises(Cancelled), cancel_when(at_the_third):
            run()


def test_a_wide_network_runs_fewer_steps_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    one, batches = example(), []
    width = one.lstm.arch.top.units * 2
    monkeypatch.setattr(lstm_module, "_STATES_PER_BATCH", 24 * width)
    with cancel_when(lambda: bool(batches.append(1))):
        found = one.lstm.logits(one.sequence for _ in range(10))
    assert len(batches) == 5
    monkeypatch.undo()
    assert (abs(found - one.lstm.logits([one.sequence] * 10)) < 1e-6).all()
