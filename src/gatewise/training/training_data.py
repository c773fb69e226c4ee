"""From labelled data and a recipe to what the loop runs on: encoder, architecture, encoded sequences, the two parts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from gatewise.data import Labelled, split
from gatewise.data.series import StandardScaler
from gatewise.errors import InputError
from gatewise.model.preprocessor import Preprocessor, SeriesPreprocessor, TextPreprocessor
from gatewise.network.architecture import Architecture
from gatewise.network.batch import truncate, unique_tokens
from gatewise.network.ngrams import check_vocab_size
from gatewise.text import KerasEncoding, TokenEncoding, keras_index
from gatewise.training.ngrams import FittedNgrams
from gatewise.training.recipes import Recipe
from gatewise.training.soft import SoftTargets
from gatewise.types import Array

__all__ = ["TrainingData", "prepare", "with_taught"]


@dataclass(frozen=True)
class TrainingData:
    """sequences (n): encoded and cut inputs; labels (n,); train, validation: row numbers of the two parts.

    trainable_rows (A,): the embedding rows that training can touch, None for series. whole (n): encoded and not cut,
    as n-grams are counted. soft: where a teacher has labelled further texts, the targets of all rows; `taught` are the
    numbers of those rows, behind all others, and `labels` has the class that the teacher holds most likely. latent:
    what a line through latent directions adds to the n-grams (`gatewise.training.lsa_classifier`).
    """

    data: Labelled
    recipe: Recipe
    preprocessor: Preprocessor
    architecture: Architecture
    sequences: list[Array]
    labels: NDArray[np.int64]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    trainable_rows: NDArray[np.int64] | None
    whole: list[Array] = field(default_factory=list)
    soft: SoftTargets | None = None
    taught: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    latent: FittedNgrams | None = None

    @property
    def rows(self) -> NDArray[np.int64]:
        """The rows that an epoch goes through."""
        return np.concatenate([self.train, self.taught])

    @property
    def validation_how(self) -> str:
        """How the validation part was cut, for the card."""
        by = "whole groups" if self.recipe.validation_by == "group" else "rows at random, equal texts together"
        return f"{self.recipe.validation_fraction:.0%} of the training data, {by}"


def prepare(data: Labelled, recipe: Recipe, seed: int, encoding: TokenEncoding | None = None) -> TrainingData:
    """Cut off the validation part, fit the encoder, encode. The same data, recipe and seed give the same result.

    The Keras index counts the words of all the data, as the published one does; the tokens' vocabulary and the series'
    scaling are fitted on the training part alone. encoding: a base's, instead. Raises InputError where there is too
    little to train on.
    """
    if len(data.classes) < 2:
        raise InputError(f"{data.source}: there is one class only; a classifier needs two")
    train, validation = split(data, 1 - recipe.validation_fraction, seed, recipe.validation_by)
    if not len(train) or not len(validation):
        raise InputError(
            f"{data.source}: {len(data.labels)} rows are too few to hold out {recipe.validation_fraction:.0%}  "
            "for validation"
        )
    missing = set(range(len(data.classes))) - set(data.labels[train].tolist())
    if missing:
        raise InputError(f"{data.source}: the training part has no row of class {data.classes[min(missing)]}")
    if encoding is not None and data.kind == "series":
        raise InputError(f"{data.source}: a base is for texts, and these are series")
    preprocessor = _encoder(data, train, recipe) if encoding is None else TextPreprocessor(encoding)
    kind: Literal["channels", "tokens"] = "channels" if isinstance(preprocessor, SeriesPreprocessor) else "tokens"
    rows = preprocessor.scaling.channels if isinstance(preprocessor, SeriesPreprocessor) else preprocessor.encoding.rows
    if kind == "channels":
        recipe = replace(recipe, ngram_order=0)
    elif recipe.ngram_order:
        check_vocab_size(rows)
    arch = recipe.architecture(kind, rows, len(data.classes))
    whole = preprocessor.encode_batch(data.inputs)
    sequences = [truncate(s, arch) for s in whole]
    trainable_rows = _trainable_rows(rows, [sequences[n] for n in train]) if kind == "tokens" else None
    return TrainingData(
        data, recipe, preprocessor, arch, sequences, data.labels, train, validation, trainable_rows, whole
    )


def with_taught(training_data: TrainingData, whole: list[Array], teacher: NDArray[np.float64]) -> TrainingData:
    """`prepared` and m more texts (encoded, not cut), of which a teacher has given the probabilities (m, K):
    what a student learns from.
    """
    arch, labels = training_data.architecture, training_data.labels
    recipe = replace(training_data.recipe, epochs=training_data.recipe.student_epochs)
    sequences = training_data.sequences + [truncate(s, arch) for s in whole]
    taught = len(labels) + np.arange(len(whole), dtype=np.int64)
    return replace(
        training_data,
        recipe=recipe,
        sequences=sequences,
        whole=training_data.whole + whole,
        labels=np.concatenate([labels, teacher.argmax(axis=1)]),
        trainable_rows=_trainable_rows(
            arch.vocab_size, [sequences[n] for n in np.concatenate([training_data.train, taught])]
        ),
        soft=SoftTargets.of(labels, teacher, recipe.student_weight),
        taught=taught,
    )


def _trainable_rows(rows: int, sequences: list[Array]) -> NDArray[np.int64]:
    """The embedding rows that these sequences touch, ascending, and PAD."""
    return unique_tokens(np.concatenate(sequences), rows, with_pad=True)[0]


def _encoder(data: Labelled, train: NDArray[np.int64], recipe: Recipe) -> TextPreprocessor | SeriesPreprocessor:
    if data.kind == "series":
        return SeriesPreprocessor(StandardScaler.fit([data.inputs[n] for n in train]))
    texts = cast(list[str], data.inputs)
    if recipe.encoding == "keras":
        return TextPreprocessor(KerasEncoding(keras_index(texts), recipe.vocab_size))
    return TextPreprocessor(TokenEncoding.fit([texts[n] for n in train], size=recipe.vocab_size))
