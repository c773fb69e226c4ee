"""Hyperparameters of language-model pretraining, by size of the network or by minutes.

More time is better spent on a larger network than on another pass of a small one, as long as every word is read about
once (docs/log/accuracy.md, 2026-11-24); docs/accuracy.md has what classifiers from `medium` and `large` reach.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from gatewise.errors import InputError, did_you_mean, quote
from gatewise.kernels import fastest_precision
from gatewise.training.fields import Count, Number, Positive, Probability, Range, checked
from gatewise.types import Precision


@dataclass(frozen=True)
class PretrainRecipe:
    """Hyperparameters of a pretraining run. Raises InputError for a value out of range."""

    size: str
    """Name of the size, written to the card."""
    embedding_dim: Count
    """Dimension D of the word embeddings."""
    units: Number
    """Hidden units H of each LSTM, one per direction. 0: word embeddings alone."""
    vocab_size: Annotated[int, Range(3)] = 40_000
    """Number of token ids, special tokens included."""
    minutes: Annotated[float, Range(0)] = 0.0
    """Time limit. Either `minutes` or `epochs` is above 0: the first steps are timed, and as many are made as fit."""
    epochs: Annotated[float, Range(0)] = 0.0
    """Passes over the texts."""
    batch_size: Count = 64
    """Parallel streams of text per step."""
    bptt: Count = 70
    """Tokens of each stream per step: truncated backpropagation through time (Williams & Peng 1990)."""
    num_sampled: Count = 1024
    """Candidates of the sampled softmax. TensorFlow: `sampled_softmax_loss(num_sampled)`."""
    learning_rate: Positive = 0.003
    """Peak learning rate of Adam in one-cycle."""
    dropout_word: Probability = 0.1
    """Probability of dropping a whole word's embedding."""
    dropout_output: Probability = 0.1
    """Dropout probability before the decoder."""
    grad_clip: Positive = 1.0
    """Largest norm of the gradient of all parameters."""
    precision: Precision | Literal["auto"] = "auto"
    """Precision of the kernel's matrix products. "auto": the fastest one on this processor."""

    def __post_init__(self) -> None:
        try:
            for name, value in checked(self).items():
                object.__setattr__(self, name, value)
        except InputError as error:
            raise InputError(f"pretraining: {error}") from None
        if (self.minutes > 0) == (self.epochs > 0):
            raise InputError("pretraining needs either minutes or epochs, above 0")

    @property
    def kernel_precision(self) -> Precision:
        """The precision of the kernel's products on this machine."""
        return fastest_precision() if self.precision == "auto" else self.precision


SIZES: dict[str, PretrainRecipe] = {
    "embeddings": PretrainRecipe("embeddings", embedding_dim=128, units=0, epochs=2),
    "small": PretrainRecipe("small", embedding_dim=128, units=128, epochs=1),
    "medium": PretrainRecipe("medium", embedding_dim=128, units=256, epochs=1),
    "large": PretrainRecipe("large", embedding_dim=256, units=512, epochs=1, learning_rate=0.002),
}
# The fewest minutes for which a size is chosen: for 20 million words on two cores.
_MIN_MINUTES = {"embeddings": 0.0, "small": 4.0, "medium": 8.0, "large": 20.0}


def pretrain_recipe(size: str | None = None, minutes: float | None = None, **changes: Any) -> PretrainRecipe:
    """The recipe for a size, or the largest size for the minutes (10). Raises InputError for an unknown size, or for
    both minutes and epochs.
    """
    if minutes is not None and "epochs" in changes:
        raise InputError("pretraining needs either minutes or epochs, not both")
    if size is None:
        available = 10.0 if minutes is None else minutes
        size = next(name for name in reversed(_MIN_MINUTES) if available >= _MIN_MINUTES[name] or name == "embeddings")
        minutes = available if "epochs" not in changes else minutes
    if size not in SIZES:
        raise InputError(f"no size is called {quote(size)}; there are {', '.join(SIZES)}{did_you_mean(size, SIZES)}")
    if minutes is not None:
        changes |= {"minutes": minutes, "epochs": 0.0}
    return replace(SIZES[size], **changes)
