"""Callbacks: what a run of training or pretraining reports. The command line prints its progress with one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatewise.model.model import Model
    from gatewise.model.pretrained import PretrainedLM
    from gatewise.network.architecture import Architecture
    from gatewise.training.pretrain_recipes import PretrainRecipe
    from gatewise.training.recipes import Recipe
    from gatewise.types import Task


@dataclass(frozen=True)
class RunInfo:
    """What a run is going to do."""

    recipe: Recipe | PretrainRecipe
    """A `PretrainRecipe` in pretraining."""
    source: str
    """The data, in a line."""
    train: int
    """Sequences to train on."""
    validation: int
    """Sequences held out."""
    kernel: str
    steps_per_epoch: int
    validation_how: str = ""
    """How the validation set was cut. Training only."""
    architecture: Architecture | None = None
    """The network. Training only."""
    task: Task = "classification"
    """What it predicts. Training only."""
    has_accuracy: bool = True
    """Whether its rows are right or wrong; numbers are not. Training only."""
    vocab_size: int = 0
    """Token ids of the language model. Pretraining only."""
    words: int = 0
    """Tokens of the texts. Pretraining only."""
    processes: int = 1
    """That share each batch."""


@dataclass(frozen=True)
class StepLog:
    """After an optimizer step. Pretraining counts its whole run as one epoch."""

    epoch: int
    epochs: int
    step: int
    """Steps done in this epoch, of `steps`."""
    steps: int
    loss: float
    """Mean of the epoch so far; in pretraining since the last measurement."""
    accuracy: float | None
    """Mean of the epoch so far; None in pretraining and regression."""
    seconds: float
    """Since the start of the epoch."""
    eta_seconds: float
    """To the end of the epoch, estimated."""


@dataclass(frozen=True)
class EpochLog:
    """After an epoch, in pretraining after a measurement: one line of the history. loss, accuracy: means over the
    batches since the last one, each before its step; val_loss, val_accuracy: of the validation set; best: the lowest
    val_loss so far.

    Of multi-label rows the accuracy is the subset accuracy. A regression has no accuracy but val_rmse, in the unit of
    the numbers; its losses are mean squared errors of standardised numbers. Pretraining has the steps so far and the
    perplexity of the validation texts by direction, of every fifth text until the last measurement; val_loss is the
    mean of its logarithms, without validation texts `loss`.
    """

    epoch: int
    loss: float
    accuracy: float | None
    val_loss: float
    val_accuracy: float | None
    seconds: float
    best: bool
    val_rmse: float | None = None
    step: int | None = None
    perplexity: dict[str, float] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON, without the fields that the task does not have."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class Callback:
    """Base class whose methods do nothing. Override what you need, as with `keras.callbacks.Callback`."""

    def log(self, text: str) -> None:
        """A message of one line."""

    def on_train_begin(self, run: RunInfo) -> None:
        """Before the first step of a network; a teacher and its student each begin."""

    def on_step_end(self, step: StepLog) -> None:
        """After each optimizer step."""

    def on_epoch_end(self, epoch: EpochLog) -> None:
        """After each epoch of training and its validation; in pretraining after each of ten measurements."""

    def on_train_end(self, model: Model | PretrainedLM) -> None:
        """After the run; `model` is its result."""

    def close(self) -> None:
        """At the very end, also after an error or Ctrl-C."""
