"""What a recipe is: every field of a training run that is not the data. `gatewise.training.recipes` names some."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gatewise.errors import InputError, quote
from gatewise.kernels import Precision
from gatewise.kernels import fastest_precision as fastest_precision
from gatewise.network.architecture import Architecture
from gatewise.network.ngrams import MAX_ORDER
from gatewise.types import Gate

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """encoding, words: how texts become ids, and how many words are told apart. Up to `gate`: see Architecture.

    drop_*: dropout probability on whole words, on numbers of the embedding, on units of h_{t-1} (the same at every
    step), between layers, before the dense layer. precision: what the kernel multiplies in, "float32" or "bf16", or
    "auto": whichever is faster here. schedule: the learning rate stays ("constant"), or rises to `learning_rate` over
    the first fifth of all steps and falls to nothing over the rest ("one-cycle", Smith 2018). clip: largest gradient
    norm, 0 for any. patience: epochs without a better validation before it stops, 0 for never. validation: the part of
    the training data kept for choosing the epoch, cut by "row" (at random) or by "group" (all of a film's reviews on
    one side). grouped: similar lengths share a batch. rate_embedding: its part of the learning rate. adversarial: the
    network must also be right where a sequence's inputs move against it by this part of their length
    (`gatewise.training.adversarial`), 0 for not. least_steps: where all epochs together have fewer steps than this,
    there are more epochs. student_epochs: where there are texts without labels, the network is the teacher of a second
    one, which starts where it started and learns for so many epochs from the labels and from what the teacher (with its
    n-grams, where there are any) says of those texts, each of which counts `student_weight`; 0 leaves them out. head:
    from a base, the penalty under which the dense layer is fitted before the rest may move (`training.linear_probe`);
    0 draws it. latent: with texts without labels, so many latent directions of all the texts: a line through them joins
    the n-grams (`gatewise.training.lsa_classifier`). teacher: a "network", or "readers", which are such directions and
    n-grams alone (`gatewise.training.stacking`; a network where the recipe lacks either). student_most: of how many of
    the texts without labels the student learns, evenly taken, 0 for all.

    ngrams: 0, or the order of a linear path over a text's n-grams beside the network (a series has none), fitted once
    the best epoch is known (ngram_minimum, ngram_l2, ngram_most: see `gatewise.training.ngrams.fit_ngrams`); both are
    then weighed on the validation part, which calibrates their sum. calibrate: do that for a network alone as well.
    """

    name: str
    encoding: Literal["keras", "tokens"]
    words: int
    embedding: int
    units: int
    layers: int = 1
    bidirectional: bool = False
    pooling: Literal["last", "mean", "max", "mean+max"] = "last"
    length: int = 0
    cut: Literal["front", "middle"] = "front"
    padding: Literal["none", "pre"] = "none"
    gate: Gate = "sigmoid"
    drop_word: float = 0.0
    drop_embedding: float = 0.0
    drop_recurrent: float = 0.0
    drop_layer: float = 0.0
    drop_output: float = 0.0
    epochs: int = 5
    batch: int = 64
    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-7
    schedule: Literal["constant", "one-cycle"] = "constant"
    clip: float = 0.0
    patience: int = 0
    validation: float = 0.2
    validation_by: Literal["row", "group"] = "group"
    grouped: bool = True
    precision: Precision | Literal["auto"] = "float32"
    rate_embedding: float = 1.0
    adversarial: float = 0.0
    student_epochs: int = 0
    student_weight: float = 1.0
    student_most: int = 0
    least_steps: int = 0
    head: float = 0.0
    latent: int = 0
    teacher: Literal["network", "readers"] = "network"
    ngrams: int = 0
    ngram_minimum: int = 2
    ngram_l2: float = 4.0
    ngram_most: int = 0
    calibrate: bool = False

    def __post_init__(self) -> None:
        for name in ("words", "epochs", "batch"):
            if getattr(self, name) < 1:
                raise InputError(f"recipe: {name} must be at least 1, not {getattr(self, name)}")
        for name in ("drop_word", "drop_embedding", "drop_recurrent", "drop_layer", "drop_output", "adversarial"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"recipe: {name} must be from 0 to below 1, not {getattr(self, name)}")
        for name, what in (("drop_recurrent", "mask"), ("adversarial", "movement")):
            if getattr(self, name) and self.padding == "pre":
                raise InputError(f"recipe: {name} is another {what} a sequence, which cannot share its pads (padding)")
        if not 0 < self.validation < 1:
            raise InputError(f"recipe: validation must lie between 0 and 1, not {self.validation}")
        if not 0 <= self.ngrams <= MAX_ORDER or self.ngram_minimum < 1 or self.ngram_l2 <= 0 or self.ngram_most < 0:
            raise InputError(
                f"recipe: ngrams must be from 0 to {MAX_ORDER}, ngram_minimum at least 1, ngram_l2 above 0, ngram_most "
                "at least 0"
            )
        for name in ("clip", "patience", "student_epochs", "least_steps"):
            if getattr(self, name) < 0:
                raise InputError(f"recipe: {name} must be at least 0, not {getattr(self, name)}")
        if self.learning_rate <= 0 or self.rate_embedding < 0 or self.student_weight <= 0:
            raise InputError("recipe: learning_rate and student_weight must be above 0, rate_embedding at least 0")
        if self.teacher not in ("network", "readers"):
            raise InputError(f"recipe: teacher must be 'network' or 'readers', not {quote(self.teacher)}")
        if self.head < 0 or self.latent < 0 or self.student_most < 0:
            raise InputError("recipe: head, latent and student_most must be at least 0")

    def architecture(self, inputs: Literal["tokens", "channels"], rows: int, classes: int) -> Architecture:
        """The network for data of that kind: `rows` vocabulary rows or channels, `classes` classes."""
        tokens = inputs == "tokens"
        return Architecture(
            inputs=inputs,
            vocab_size=rows,
            embedding_dim=self.embedding if tokens else 0,
            units=self.units,
            layers=self.layers,
            bidirectional=self.bidirectional,
            pooling=self.pooling,
            outputs=1 if classes == 2 else classes,
            max_length=self.length,
            truncation=self.cut,
            padding=self.padding if tokens else "none",
            gate=self.gate,
        )

    @property
    def has_line(self) -> bool:
        """Whether a line through latent directions joins the n-grams, where there are texts without labels."""
        return self.teacher == "network" and self.latent > 0 and self.ngrams > 0

    @property
    def uses_unlabelled(self) -> bool:
        """Whether texts without labels are of any use to it."""
        return self.student_epochs > 0 or self.has_line

    @property
    def products(self) -> Precision:
        """What the kernel multiplies in, on this machine."""
        return fastest_precision() if self.precision == "auto" else self.precision

    @property
    def dropout(self) -> dict[str, float]:
        """Dropout by part, as `gatewise.nn.Network` takes it."""
        return {
            "word": self.drop_word,
            "embedding": self.drop_embedding,
            "recurrent": self.drop_recurrent,
            "layer": self.drop_layer,
            "output": self.drop_output,
        }
