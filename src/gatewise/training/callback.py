"""What a training run tells while it runs. The command line draws it; a test or a notebook may listen as well."""

from __future__ import annotations

from dataclasses import dataclass

from gatewise.model.model import Model
from gatewise.network.architecture import Architecture
from gatewise.training.recipes import Recipe

__all__ = ["Callback", "EpochLog", "RunInfo", "StepLog"]


@dataclass(frozen=True)
class RunInfo:
    """What is about to happen: sequences to train on and to validate on, batches an epoch, data source, kernel."""

    recipe: Recipe
    architecture: Architecture
    train: int
    validation: int
    batches: int
    source: str
    validation_how: str
    kernel: str


@dataclass(frozen=True)
class StepLog:
    """After a step: loss and accuracy are means over the epoch so far; seconds since the start of the epoch and to
    its end.
    """

    epoch: int
    epochs: int
    batch: int
    batches: int
    loss: float
    accuracy: float
    seconds: float
    eta_seconds: float


@dataclass(frozen=True)
class EpochLog:
    """After an epoch. loss, accuracy: over the epoch's batches, as they were met; val_*: the whole validation part
    after it.
    """

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float
    best: bool


class Callback:
    """Listens, and does nothing. Override what you want to hear."""

    def note(self, text: str) -> None:
        """A sentence worth showing."""

    def started(self, plan: RunInfo) -> None:
        """Training is about to start."""

    def stepped(self, step: StepLog) -> None:
        """One batch is done."""

    def epoch_ended(self, row: EpochLog) -> None:
        """One epoch is done and validated."""

    def finished(self, model: Model) -> None:
        """The best epoch has been restored; `model` is what is kept."""
