"""How large a language model, and for how long: one dial, minutes.

More time is better spent on a larger network than on another pass of a small one, as long as every word is read about
once (docs/log/accuracy.md, 2026-11-24); docs/accuracy.md has what classifiers from `medium` and `large` reach.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from gatewise.errors import InputError, quote

__all__ = ["SIZES", "PretrainPlan", "plan_for"]


@dataclass(frozen=True)
class PretrainPlan:
    """Everything about a pretraining run that is not the texts.

    words: rows of the vocabulary. embedding, units: D, H; units 0 trains word vectors alone. minutes: how long it may
    take; epochs: how often the texts are read; of the two the other one is 0. batch, steps: streams, and tokens of each
    a step. samples: candidates of the sampled softmax. drop_*: see `gatewise.nn.LanguageModel`.
    """

    size: str
    embedding: int
    units: int
    words: int = 40_000
    minutes: float = 0.0
    epochs: float = 0.0
    batch: int = 64
    steps: int = 70
    samples: int = 1024
    learning_rate: float = 0.003
    drop_word: float = 0.1
    drop_output: float = 0.1
    clip: float = 1.0
    precision: str = "auto"

    def __post_init__(self) -> None:
        if (self.minutes > 0) == (self.epochs > 0) or self.minutes < 0 or self.epochs < 0:
            raise InputError("pretraining needs either minutes or epochs, above 0")
        for name in ("embedding", "batch", "steps", "samples"):
            if getattr(self, name) < 1:
                raise InputError(f"pretraining: {name} must be at least 1, not {getattr(self, name)}")
        if self.units < 0 or self.words < 3 or self.learning_rate <= 0 or self.clip <= 0:
            raise InputError("pretraining: units must be 0 or more, words 3 or more, learning_rate and clip above 0")
        if not (0 <= self.drop_word < 1 and 0 <= self.drop_output < 1):
            raise InputError("pretraining: drop_word and drop_output must be from 0 to below 1")
        if self.precision not in ("auto", "float32", "bf16"):
            raise InputError(f"pretraining: precision must be auto, float32 or bf16, not {quote(self.precision)}")


SIZES: dict[str, PretrainPlan] = {
    "vectors": PretrainPlan("vectors", embedding=128, units=0, epochs=2),
    "small": PretrainPlan("small", embedding=128, units=128, epochs=1),
    "medium": PretrainPlan("medium", embedding=128, units=256, epochs=1),
    "large": PretrainPlan("large", embedding=256, units=512, epochs=1, learning_rate=0.002),
}
# From how many minutes on a size is taken, for 20 million words on two cores.
_FROM = {"vectors": 0.0, "small": 4.0, "medium": 8.0, "large": 20.0}


def plan_for(size: str | None = None, minutes: float | None = None, **changes: Any) -> PretrainPlan:
    """The plan for a size, or for the minutes there are. Raises InputError for a size that does not exist, and for both
    minutes and epochs.
    """
    if minutes is not None and "epochs" in changes:
        raise InputError("pretraining needs either minutes or epochs, not both")
    if size is None:
        available = 10.0 if minutes is None else minutes
        size = next(name for name in reversed(_FROM) if available >= _FROM[name] or name == "vectors")
        minutes = available if "epochs" not in changes else minutes
    if size not in SIZES:
        raise InputError(f"no size is called {quote(size)}; there are {', '.join(SIZES)}")
    if minutes is not None:
        changes |= {"minutes": minutes, "epochs": 0.0}
    return replace(SIZES[size], **changes)
