"""`PretrainRecipe`: the hyperparameters of a pretraining run, and the sizes that are called by name."""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from gatewise.errors import InputError, did_you_mean, quote
from gatewise.kernels import for_training
from gatewise.kernels.interface import Kernel
from gatewise.training.fields import Count, NotNegative, Number, Positive, Probability, check_values
from gatewise.types import Precision

DEFAULT_MINUTES = 10.0


@dataclass(frozen=True)
class PretrainRecipe:
    """Hyperparameters of a pretraining run. Raises InputError for a value out of range."""

    size: str
    """Name of the size, written to the card."""
    embedding_dim: Count
    """Dimension D of the word embeddings."""
    units: Number
    """Hidden units H of each LSTM, one per direction. 0: word embeddings alone."""
    vocab_size: Annotated[int, "at least 3", lambda value: value >= 3] = 40_000
    """Number of token ids, special tokens included."""
    minutes: NotNegative = 0.0
    """Time limit. Either `minutes` or `epochs` is above 0: the first steps are timed, and as many are made as fit."""
    epochs: NotNegative = 0.0
    """Passes over the texts."""
    batch_size: Count = 64
    """Parallel streams of text per step."""
    bptt: Count = 70
    """Tokens of each stream per step: truncated backpropagation through time (Williams & Peng 1990)."""
    num_sampled: Count = 1024
    """Candidates of the sampled softmax. TensorFlow: `sampled_softmax_loss(num_sampled)`."""
    learning_rate: Positive = 0.003
    """Peak learning rate of Adam in one-cycle."""
    dropout_word: Probability = 0.0
    """Probability of dropping a whole word's embedding. Ten epochs over 2,000 texts gain from 0.1."""
    dropout_output: Probability = 0.0
    """Dropout probability before the decoder. Ten epochs over 2,000 texts gain from 0.1."""
    grad_clip: Positive = 1.0
    """Largest norm of the gradient of all parameters."""
    precision: Literal[Precision, "auto"] = "auto"
    """Precision of the kernel's matrix products. "auto": the fastest one on this processor."""

    def __post_init__(self) -> None:
        check_values(self, "pretraining")
        if (self.minutes > 0) == (self.epochs > 0):
            raise InputError("pretraining needs either minutes or epochs, above 0")

    def kernel(self) -> Kernel:
        """The kernel of the precision. Raises KernelUnavailable."""
        return for_training(self.precision)


SIZES: dict[str, PretrainRecipe] = {
    "embeddings": PretrainRecipe("embeddings", embedding_dim=128, units=0, epochs=2),
    "small": PretrainRecipe("small", embedding_dim=128, units=128, epochs=1),
    "medium": PretrainRecipe("medium", embedding_dim=128, units=256, epochs=1, learning_rate=0.012),
    "large": PretrainRecipe("large", embedding_dim=256, units=512, epochs=1, learning_rate=0.006),
}
# More time is better spent on a larger network than on another pass of a small one, as long as every word is read about
# once (docs/log/accuracy.md). The fewest minutes for which a size is chosen, for 20 million words on two
# cores:
_MIN_MINUTES = {"embeddings": 0.0, "small": 4.0, "medium": 8.0, "large": 20.0}


def pretrain_recipe(size: str | None = None, minutes: float | None = None, **changes: Any) -> PretrainRecipe:
    """The recipe for a size, or the largest size for the minutes (10). Raises InputError for an unknown size, or for
    both minutes and epochs.
    """
    if minutes is not None and "epochs" in changes:
        raise InputError("pretraining needs either minutes or epochs, not both")
    if size is None:
        available = DEFAULT_MINUTES if minutes is None else minutes
        size = _largest_size(available)
        if "epochs" not in changes:
            minutes = available
    if size not in SIZES:
        raise InputError(f"no size is called {quote(size)}; there are {', '.join(SIZES)}{did_you_mean(size, SIZES)}")
    if minutes is not None:
        changes |= {"minutes": minutes, "epochs": 0.0}
    return replace(SIZES[size], **changes)


def _largest_size(minutes: float) -> str:
    """The largest size that so many minutes suffice for; the smallest one for fewer."""
    for name in reversed(_MIN_MINUTES):
        if minutes >= _MIN_MINUTES[name]:
            return name
    return "embeddings"
