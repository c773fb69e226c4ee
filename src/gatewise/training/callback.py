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
    """The LSTM; None for a network of another form. Training only."""
    layers: tuple[tuple[str, str, int], ...] = ()
    """Name, output shape and number of parameters of each layer of the network. Training only."""
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
    """After an epoch, in pretraining after a measurement: one line of the history.

    The losses of a regression are mean squared errors of standardised numbers. The accuracy of multi-label rows is the
    subset accuracy.
    """

    epoch: int
    loss: float
    """Mean over the batches since the last line, each before its step."""
    accuracy: float | None
    """Mean over these batches; None in pretraining and regression."""
    val_loss: float
    """Of the validation set. In pretraining the mean of the logarithms of `perplexity`, or `loss`."""
    val_accuracy: float | None
    """Of the validation set; None in pretraining and regression."""
    seconds: float
    """From the start of the epoch to its validation; in pretraining from the start of the run."""
    best: bool
    """Whether val_loss is the lowest so far."""
    val_rmse: float | None = None
    """Of the validation set, in the unit of the numbers. Regression only."""
    step: int | None = None
    """Steps so far. Pretraining only."""
    perplexity: dict[str, float] | None = None
    """Of the validation texts by direction, until the last measurement of every fifth text. Pretraining only."""

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
