"""Callbacks that record a run or interrupt it, and the comparison of what two runs gave.

The signal goes to the calling thread, which is the main one: one that goes to the process may wait for any thread that
takes it, and the run would be some steps further.
"""

import signal

from gatewise.model.model import Model
from gatewise.model.pretrained import PretrainedLM
from gatewise.training import Callback, EpochLog, RunInfo, StepLog
from gatewise.training.members import Run
from gatewise.training.run import RunFolder


class Recorder(Callback):
    """Records what the run reports; presses Ctrl-C after `interrupt_after` steps, of teacher and student together."""

    def __init__(self, interrupt_after: int = 0) -> None:
        self.interrupt_after = interrupt_after
        self.messages: list[str] = []
        self.run: RunInfo | None = None
        self.steps: list[StepLog] = []
        self.epochs: list[EpochLog] = []

    def log(self, text: str) -> None:
        self.messages.append(text)

    def on_train_begin(self, run: RunInfo) -> None:
        self.run = run

    def on_step_end(self, step: StepLog) -> None:
        self.steps.append(step)
        if len(self.steps) == self.interrupt_after:
            signal.raise_signal(signal.SIGINT)

    def on_epoch_end(self, epoch: EpochLog) -> None:
        self.epochs.append(epoch)


class InterruptAt(Callback):
    """Presses Ctrl-C after a step of an epoch."""

    def __init__(self, epoch: int, step: int) -> None:
        self.at = epoch, step

    def on_step_end(self, step: StepLog) -> None:
        if (step.epoch, step.step) == self.at:
            signal.raise_signal(signal.SIGINT)


def assert_same(a: Model | PretrainedLM, b: Model | PretrainedLM) -> None:
    """Models of equal bits, whose epochs were equal but for the time that they took."""
    assert a.parameters.keys() == b.parameters.keys()
    for name, array in a.parameters.items():
        assert array.tobytes() == b.parameters[name].tobytes(), name
    rows = [[line.split('"seconds"')[0] for line in one.history_jsonl.splitlines()] for one in (a, b)]
    assert rows[0] == rows[1]
    if isinstance(a, Model) and isinstance(b, Model):
        assert a.ensemble.to_files() == b.ensemble.to_files()
        assert (a.target, a.metadata.calibration) == (b.target, b.metadata.calibration)


def run_of(callback: Callback | None = None, seed: int = 0) -> Run:
    """A run without a folder, for the fit of one member."""
    return Run(seed, callback or Callback(), RunFolder(None, None, False))
