"""What stands around a step of training: the request to stop, the clocks, the message of a loss that is not finite."""

import threading
import time

import numpy as np
import pytest
import torch

from gatewise.errors import TrainingError
from gatewise.training import checkpoint
from gatewise.training.checkpoint import CheckpointClock, Progress
from gatewise.training.loop import EpochClock, StepBatch, StopFlag, _require_finite
from gatewise.training.optim import clip_scale


class Clock:
    """A clock that tests set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)


def test_several_processes_stop_by_the_sum_alone() -> None:
    """Else the one that has the signal would stop a step before the others, which wait for it."""
    event = threading.Event()
    alone = StopFlag(event, processes=1)
    several = StopFlag(event, processes=2)
    assert not alone.raised
    event.set()
    assert alone.raised
    assert several.set_here
    assert not several.raised
    several.agreed = True
    assert several.raised


def test_a_checkpoint_is_due_after_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 7.0)
    writer = CheckpointClock(writes=True)
    other = CheckpointClock(writes=False)
    for process in (writer, other):
        process.restart()
    clock.now += 6.9
    assert not writer.due_here
    clock.now += 0.2
    assert writer.due_here
    assert not other.due_here, "it has no folder"
    writer.restart()
    assert not writer.due_here


def test_the_seconds_before_an_interruption_count_but_say_nothing_of_the_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    epoch = EpochClock()
    epoch.start(step=13, seconds=400.0)
    clock.now += 6.0
    assert epoch.seconds() == 406.0
    assert epoch.remaining(step=16, steps_left=5, seconds=epoch.seconds()) == pytest.approx(5 * 6.0 / 3)


def test_losses_are_weighted_by_rows_until_a_validation() -> None:
    progress = Progress()
    progress.add_step(0.5, correct=3, n=4)
    progress.add_step(2.0, correct=1, n=1)
    assert progress.loss == pytest.approx((0.5 * 4 + 2.0) / 5)
    assert progress.accuracy == pytest.approx(4 / 5)
    assert progress.step == 2


@pytest.mark.parametrize(("loss", "norm", "quantity"), [(float("nan"), 1.5, "loss"), (0.3, float("inf"), "gradient")])
def test_the_message_names_the_step_and_its_rows(loss: float, norm: float, quantity: str) -> None:
    few = StepBatch(step=6, rows=np.array([11, 3]))
    many = StepBatch(step=6, rows=np.arange(20, 40))
    with pytest.raises(TrainingError, match=rf"^the {quantity} is not finite at step 7, rows 11, 3; a lower"):
        _require_finite(loss, norm, few)
    with pytest.raises(TrainingError, match=r"rows 20, 21, 22, 23, 24, 25, 26, 27, \.\.\.; a lower"):
        _require_finite(loss, norm, many)
    with pytest.raises(TrainingError, match=r"at step 7; a lower"):
        _require_finite(loss, norm, StepBatch(step=6))
    _require_finite(0.3, 1.5, few)


@pytest.mark.parametrize("largest", [0.07, 3.0, 50.0])
def test_gradients_are_clipped_as_in_torch(largest: float) -> None:
    rng = np.random.default_rng(4)
    gradient = rng.standard_normal((5, 3))
    parameter = torch.nn.Parameter(torch.zeros(5, 3, dtype=torch.float64))
    parameter.grad = torch.from_numpy(gradient.copy())
    norm = float(torch.nn.utils.clip_grad_norm_([parameter], largest))
    np.testing.assert_allclose(clip_scale(norm, largest) * gradient, parameter.grad.numpy(), rtol=1e-12)
    assert clip_scale(norm, 0.0) == 1.0
