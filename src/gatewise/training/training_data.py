"""From labelled data and a recipe to what the loop runs on: encoder, architecture, encoded sequences, the two parts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from gatewise.data import Labelled, split
from gatewise.data.series import Standardise
from gatewise.errors import InputError
from gatewise.model.preprocessor import Encoder, SeriesEncoder, TextEncoder
from gatewise.network.architecture import Architecture
from gatewise.network.batch import cut, distinct_of
from gatewise.network.ngrams import check_rows
from gatewise.text import KerasEncoding, TokenEncoding, keras_index
from gatewise.training.ngrams import FittedNgrams
from gatewise.training.recipe_fields import Recipe
from gatewise.training.soft import Soft
from gatewise.types import Array

__all__ = ["Prepared", "prepare", "with_taught"]


@dataclass(frozen=True)
class Prepared:
    """sequences (n): encoded and cut inputs; labels (n,); train, validation: row numbers of the two parts.

    active (A,): the embedding rows that training can touch, None for series. whole (n): encoded and not cut, as n-grams
    are counted. soft: where a teacher has labelled further texts, the targets of all rows; `taught` are the numbers of
    those rows, behind all others, and `labels` has the class that the teacher holds most likely. latent: what a line
    through latent directions adds to the n-grams (`gatewise.training.lsa_classifier`).
    """

    data: Labelled
    recipe: Recipe
    encoder: Encoder
    architecture: Architecture
    sequences: list[Array]
    labels: NDArray[np.int64]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    active: NDArray[np.int64] | None
    whole: list[Array] = field(default_factory=list)
    soft: Soft | None = None
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
        return f"{self.recipe.validation:.0%} of the training data, {by}"


def prepare(data: Labelled, recipe: Recipe, seed: int, encoding: TokenEncoding | None = None) -> Prepared:
    """Cut off the validation part, fit the encoder, encode. The same data, recipe and seed give the same result.

    The Keras index counts the words of all the data, as the published one does; the tokens' vocabulary and the series'
    scaling are fitted on the training part alone. encoding: a base's, instead. Raises InputError where there is too
    little to train on.
    """
    if len(data.classes) < 2:
        raise InputError(f"{data.source}: there is one class only; a classifier needs two")
    train, validation = split(data, 1 - recipe.validation, seed, recipe.validation_by)
    if not len(train) or not len(validation):
        raise InputError(
            f"{data.source}: {len(data.labels)} rows are too few to keep {recipe.validation:.0%} for validation"
        )
    missing = set(range(len(data.classes))) - set(data.labels[train].tolist())
    if missing:
        raise InputError(f"{data.source}: the training part has no row of class {data.classes[min(missing)]}")
    if encoding is not None and data.kind == "series":
        raise InputError(f"{data.source}: a base is for texts, and these are series")
    encoder = _encoder(data, train, recipe) if encoding is None else TextEncoder(encoding)
    kind: Literal["channels", "tokens"] = "channels" if isinstance(encoder, SeriesEncoder) else "tokens"
    rows = encoder.scaling.channels if isinstance(encoder, SeriesEncoder) else encoder.encoding.rows
    if kind == "channels":
        recipe = replace(recipe, ngrams=0)
    elif recipe.ngrams:
        check_rows(rows)
    arch = recipe.architecture(kind, rows, len(data.classes))
    whole = encoder.encode_all(data.inputs)
    sequences = [cut(s, arch) for s in whole]
    active = _active(rows, [sequences[n] for n in train]) if kind == "tokens" else None
    return Prepared(data, recipe, encoder, arch, sequences, data.labels, train, validation, active, whole)


def with_taught(prepared: Prepared, whole: list[Array], teacher: NDArray[np.float64]) -> Prepared:
    """`prepared` and m more texts (encoded, not cut), of which a teacher has given the probabilities (m, K):
    what a student learns from.
    """
    arch, labels = prepared.architecture, prepared.labels
    recipe = replace(prepared.recipe, epochs=prepared.recipe.student_epochs)
    sequences = prepared.sequences + [cut(s, arch) for s in whole]
    taught = len(labels) + np.arange(len(whole), dtype=np.int64)
    return replace(
        prepared,
        recipe=recipe,
        sequences=sequences,
        whole=prepared.whole + whole,
        labels=np.concatenate([labels, teacher.argmax(axis=1)]),
        active=_active(arch.rows, [sequences[n] for n in np.concatenate([prepared.train, taught])]),
        soft=Soft.of(labels, teacher, recipe.student_weight),
        taught=taught,
    )


def _active(rows: int, sequences: list[Array]) -> NDArray[np.int64]:
    """The embedding rows that these sequences touch, ascending, and PAD."""
    return distinct_of(np.concatenate(sequences), rows, with_pad=True)[0]


def _encoder(data: Labelled, train: NDArray[np.int64], recipe: Recipe) -> TextEncoder | SeriesEncoder:
    if data.kind == "series":
        return SeriesEncoder(Standardise.fit([data.inputs[n] for n in train]))
    texts = cast(list[str], data.inputs)
    if recipe.encoding == "keras":
        return TextEncoder(KerasEncoding(keras_index(texts), recipe.words))
    return TextEncoder(TokenEncoding.fit([texts[n] for n in train], size=recipe.words))
