"""Where a pretraining run is, and what it tells while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from gatewise.model.pretrained import PretrainedLM
from gatewise.training.pretrain_recipes import PretrainRecipe

__all__ = ["Measurement", "PretrainCallback", "Progress"]


@dataclass(frozen=True)
class Measurement:
    """After `step` steps: mean sampled loss since the last one, perplexity of the held-out texts by direction: of
    all of them after the last step, before that of every fifth."""

    step: int
    loss: float
    perplexity: dict[str, float]
    seconds: float


@dataclass
class Progress:
    """Where a run is: steps done and steps in all; loss summed since the last measurement, over `loss_steps`."""

    step: int = 0
    steps: int = 0
    loss_sum: float = 0.0
    loss_steps: int = 0
    seconds: float = 0.0
    history: list[Measurement] = field(default_factory=list)


class PretrainCallback:
    """Listens, and does nothing. Override what you want to hear."""

    def note(self, text: str) -> None:
        """A sentence worth showing."""

    def started(self, plan: PretrainRecipe, rows: int, texts: int, words: int, kernel: str, source: str) -> None:
        """Pretraining is about to start."""

    def stepped(self, step: int, steps: int, loss: float, eta_seconds: float) -> None:
        """A step is done; loss: the mean since the last measurement."""

    def measured(self, row: Measurement) -> None:
        """The held-out texts have been read."""

    def finished(self, pretrained: PretrainedLM) -> None:
        """`base` is what is kept."""
