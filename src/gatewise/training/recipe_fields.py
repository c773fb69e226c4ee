"""The fields of a recipe as keyword arguments, for type checkers, editors and tools that search for parameters.

`gatewise.training.recipes` documents each field. A test holds the names and types here equal to those of `Recipe`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypedDict

from gatewise.training.fields import Count, NotNegative, Number, Positive, Probability
from gatewise.types import Gate, Precision

# The choices of fields, and the ranges that recipes alone have.
Tokenization = Literal["auto", "words", "respelled", "subwords", "keras", "spaces", "word-features"]
Pooling = Literal["last", "mean", "max", "mean+max", "none"]
Truncation = Literal["front", "middle"]
Padding = Literal["none", "pre"]
Schedule = Literal["constant", "one-cycle"]
KernelPrecision = Literal[Precision, "auto"]
Split = Literal["row", "group", "time"]
Teacher = Literal["network", "stacking"]
NgramScaling = Literal["nb", "tfidf", "auto"]
Share = Annotated[float, "between 0 and 1", lambda value: 0 < value < 1]
Order = Annotated[int, "from 0 to 3", lambda value: 0 <= value <= 3]  # `gatewise.members.ngrams.MAX_ORDER`


class RecipeFields(TypedDict, total=False):
    """Changed fields of a recipe: each by its name, or as `group__field`."""

    # Tokens of texts: `text`.
    vocab_size: Count
    tokenization: Tokenization
    text__vocab_size: Count
    text__tokenization: Tokenization

    # Steps of series: `series`.
    windows: Number
    noise: NotNegative
    series__windows: Number
    series__noise: NotNegative

    # The LSTM network: `lstm`.
    embedding_dim: Count
    units: Count
    layers: Count
    bidirectional: bool
    pooling: Pooling
    crf: bool
    gate: Gate
    max_length: Number
    truncation: Truncation
    padding: Padding
    dropout_word: Probability
    dropout_embedding: Probability
    dropout_output: Probability
    probe_l2: NotNegative
    lstm__embedding_dim: Count
    lstm__units: Count
    lstm__layers: Count
    lstm__bidirectional: bool
    lstm__pooling: Pooling
    lstm__crf: bool
    lstm__gate: Gate
    lstm__max_length: Number
    lstm__truncation: Truncation
    lstm__padding: Padding
    lstm__dropout_word: Probability
    lstm__dropout_embedding: Probability
    lstm__dropout_output: Probability
    lstm__probe_l2: NotNegative

    # The training of the LSTM network: `optimisation`.
    epochs: Number
    min_steps: Number
    batch_size: Count
    min_batch_tokens: Number
    learning_rate: Positive
    schedule: Schedule
    beta_2: Probability
    embedding_lr_scale: NotNegative
    grad_clip: NotNegative
    precision: KernelPrecision
    adversarial: Probability
    direction_loss: Probability
    optimisation__epochs: Number
    optimisation__min_steps: Number
    optimisation__batch_size: Count
    optimisation__min_batch_tokens: Number
    optimisation__learning_rate: Positive
    optimisation__schedule: Schedule
    optimisation__beta_2: Probability
    optimisation__embedding_lr_scale: NotNegative
    optimisation__grad_clip: NotNegative
    optimisation__precision: KernelPrecision
    optimisation__adversarial: Probability
    optimisation__direction_loss: Probability

    # The validation set: `validation`.
    fraction: Share
    split: Split
    patience: Number
    folds: Number
    validation__fraction: Share
    validation__split: Split
    validation__patience: Number
    validation__folds: Number

    # Unlabelled texts: `unlabelled`.
    student_epochs: Number
    teacher: Teacher
    lsa_components: Number
    unlabelled__student_epochs: Number
    unlabelled__teacher: Teacher
    unlabelled__lsa_components: Number

    # The linear n-gram model of texts: `ngrams`.
    order: Order
    scaling: NgramScaling
    l2: Positive
    ngrams__order: Order
    ngrams__scaling: NgramScaling
    ngrams__l2: Positive

    # The linear model on convolutions of series: `convolutions`.
    features: Number
    convolutions__features: Number


@dataclass(kw_only=True, eq=False, repr=False)
class NetworkParameters:
    """Parameters of every estimator. None: the value of the recipe."""

    # The LSTM network.
    units: Count | None = None
    layers: Count | None = None
    bidirectional: bool | None = None
    pooling: Pooling | None = None
    gate: Gate | None = None
    max_length: Number | None = None
    truncation: Truncation | None = None
    dropout_output: Probability | None = None
    probe_l2: NotNegative | None = None

    # The training of the LSTM network.
    epochs: Number | None = None
    min_steps: Number | None = None
    batch_size: Count | None = None
    min_batch_tokens: Number | None = None
    learning_rate: Positive | None = None
    schedule: Schedule | None = None
    beta_2: Probability | None = None
    grad_clip: NotNegative | None = None
    precision: KernelPrecision | None = None
    adversarial: Probability | None = None
    direction_loss: Probability | None = None

    # The validation set.
    fraction: Share | None = None
    split: Split | None = None
    patience: Number | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class TextParameters:
    """Parameters of estimators of texts. None: the value of the recipe."""

    # Tokens of texts.
    vocab_size: Count | None = None
    tokenization: Tokenization | None = None

    # The embeddings, and the pads in front of them.
    embedding_dim: Count | None = None
    embedding_lr_scale: NotNegative | None = None
    dropout_word: Probability | None = None
    dropout_embedding: Probability | None = None
    padding: Padding | None = None

    # The linear n-gram model of texts.
    order: Order | None = None
    scaling: NgramScaling | None = None
    l2: Positive | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class UnlabelledParameters:
    """Parameters of classifiers that learn from unlabelled texts. None: the value of the recipe."""

    # Unlabelled texts.
    student_epochs: Number | None = None
    teacher: Teacher | None = None
    lsa_components: Number | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class SeriesParameters:
    """Parameters of estimators of series. None: the value of the recipe."""

    # Steps of series.
    windows: Number | None = None
    noise: NotNegative | None = None

    # The linear model on convolutions of series.
    features: Number | None = None

    # Cross-validation in place of the validation set.
    folds: Number | None = None
