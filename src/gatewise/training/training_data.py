"""From labelled data and a recipe to what the loop trains on: preprocessor, architecture, encoded sequences, split."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from gatewise.data import Labelled
from gatewise.data.split import hold_out
from gatewise.errors import InputError, quote
from gatewise.model.preprocessor import Preprocessor, SeriesPreprocessor, TextPreprocessor
from gatewise.network.architecture import Architecture
from gatewise.network.batch import truncate, unique_tokens
from gatewise.network.ngrams import check_vocab_size
from gatewise.text import KerasEncoding, TokenEncoding, keras_index
from gatewise.training.ngrams import NgramModel, targets_of
from gatewise.training.recipes import Recipe
from gatewise.training.soft_labels import SoftTargets
from gatewise.training.target_scaling import TargetScaling
from gatewise.types import Array


@dataclass(frozen=True)
class TrainingData:
    """Encoded rows of the data, and pseudo-labelled rows after them."""

    data: Labelled
    recipe: Recipe
    preprocessor: Preprocessor
    architecture: Architecture
    sequences: list[Array]
    """Encoded and truncated inputs (n)."""
    labels: NDArray[Any]
    """Labels of all rows as in `Labelled`; of a pseudo-labelled row the most probable class."""
    train: NDArray[np.int64]
    """Row numbers of the training part."""
    validation: NDArray[np.int64]
    """Row numbers of the validation part."""
    trainable_rows: NDArray[np.int64] | None
    """Embedding rows that occur in training, None for series."""
    full_sequences: list[Array] = field(default_factory=list)
    """Encoded inputs (n), not truncated: what n-grams are counted in."""
    soft_targets: SoftTargets | None = None
    """Targets of all rows, with pseudo-labelled rows."""
    pseudo_labelled: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Row numbers of the pseudo-labelled texts."""
    lsa_classifier: NgramModel | None = None
    """What unlabelled texts add to the n-gram model (`gatewise.training.lsa`)."""
    weights: NDArray[np.float32] | None = None
    """Weight of each row in the loss (n,), for multi-label of each label (n, K); mean 1 over the training part. None
    where all are 1."""
    target_scaling: TargetScaling | None = None
    """Mean and deviation of the numbers over the training part; None but for regression."""
    transferred: NgramModel | None = None
    """What a pretrained classifier adds to it (`gatewise.training.transfer`)."""

    @property
    def epoch_rows(self) -> NDArray[np.int64]:
        """The rows of an epoch."""
        return np.concatenate([self.train, self.pseudo_labelled])

    def targets(self, rows: NDArray[np.int64]) -> Array:
        """What a linear model fits on these rows (n, outputs) float64: probabilities, see `targets_of`, or standardised
        numbers.
        """
        labels = self.labels[rows]
        if self.target_scaling is not None:
            return self.target_scaling.transform(labels)
        if self.data.task == "multilabel":
            return labels.astype(np.float64)
        return targets_of(labels, len(self.data.classes))

    def sample_weight(self, rows: NDArray[np.int64]) -> Array | None:
        """The weights of these rows of the data (n,), None where all are 1."""
        weights = self.data.sample_weight
        return None if (weights == 1).all() else weights[rows]

    @property
    def excluded_tokens(self) -> list[int]:
        """Tokens that no n-gram may contain: the unknown one."""
        unknown = self.preprocessor.unknown
        return [] if unknown is None else [unknown]

    @property
    def validation_how(self) -> str:
        """How the validation part was cut, for the card."""
        how = {
            "group": "whole groups",
            "row": "rows at random, equal texts together",
            "time": "the last rows in the order of time",
        }[self.recipe.validation_by]
        if self.data.task != "classification" and self.recipe.validation_by != "time":
            how += ", stratified by label" if self.data.task == "multilabel" else ", stratified by number"
        return f"{self.recipe.validation_fraction:.0%} of the training data, {how}"


def prepare(data: Labelled, recipe: Recipe, seed: int, preprocessor: Preprocessor | None = None) -> TrainingData:
    """Split off the validation part, fit the preprocessor, encode. Equal arguments give equal results.

    The Keras index counts the words of all the data, as the published one does; the tokens' vocabulary, the series'
    scaling and that of the numbers are fitted on the training part alone. preprocessor: a pretrained model's, instead.
    Raises InputError where there is too little to train on.
    """
    if data.task == "classification" and len(data.classes) < 2:
        raise InputError(f"{data.source}: there is one class only; a classifier needs two")
    train, validation = hold_out(data, recipe.validation_fraction, seed, recipe.validation_by)
    if not len(train) or not len(validation):
        fraction = f"{recipe.validation_fraction:.0%}"
        raise InputError(f"{data.source}: {len(data.labels)} rows are too few to hold out {fraction} for validation")
    _check_classes(data, train)
    if preprocessor is None:
        preprocessor = _preprocessor(data, train, recipe)
    elif isinstance(preprocessor, TextPreprocessor) != (data.kind == "text"):
        kinds = ("texts", "series") if data.kind == "series" else ("series", "texts")
        raise InputError(f"{data.source}: the pretrained model is for {kinds[0]}, and these are {kinds[1]}")
    inputs: Literal["channels", "tokens"]
    if isinstance(preprocessor, SeriesPreprocessor):
        inputs, vocab_size = "channels", preprocessor.channels
        recipe = replace(recipe, ngram_order=0)
    else:
        inputs, vocab_size = "tokens", cast(TextPreprocessor, preprocessor).encoding.vocab_size
    if recipe.ngram_order:
        check_vocab_size(vocab_size)
    arch = recipe.architecture(inputs, vocab_size, data.target.outputs)
    full_sequences = preprocessor.encode_batch(data.inputs)
    sequences = [truncate(s, arch) for s in full_sequences]
    rows = _trainable_rows(vocab_size, [sequences[n] for n in train]) if inputs == "tokens" else None
    weights = row_weights(data, train)
    scaling = None
    if data.task == "regression":
        scaling = TargetScaling.fit(data.labels[train], None if weights is None else weights[train])
    return TrainingData(
        data,
        recipe,
        preprocessor,
        arch,
        sequences,
        data.labels,
        train,
        validation,
        rows,
        full_sequences,
        weights=weights,
        target_scaling=scaling,
    )


def row_weights(data: Labelled, train: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """Weights in the loss (n,), with mean 1 over the training rows; None where all rows have the same."""
    weights = data.sample_weight
    if (weights == weights[0]).all():
        return None
    return np.asarray(weights / weights[train].mean(), dtype=np.float32)


def _check_classes(data: Labelled, train: NDArray[np.int64]) -> None:
    """Raise InputError for a class without a row in the training part; warn of classes with one row in all."""
    if data.task == "regression":
        return
    k = len(data.classes)
    trained, rows = (
        np.bincount(data.labels[part], minlength=k) if data.task == "classification" else data.labels[part].sum(axis=0)
        for part in (train, np.arange(len(data)))
    )
    missing = np.flatnonzero(trained == 0)
    if len(missing):
        raise InputError(f"{data.source}: the training part has no row of class {quote(data.classes[missing[0]])}")
    single = [data.classes[c] for c in np.flatnonzero(rows == 1)]
    if single:
        shown = ", ".join(map(quote, single[:5])) + (", ..." if len(single) > 5 else "")
        what = f"{len(single)} of {k} classes have one row" if len(single) > 1 else f"1 of {k} classes has one row"
        warnings.warn(
            f"{data.source}: {what} ({shown}), in the training part: the validation part does not measure them",
            UserWarning,
            stacklevel=2,
        )


def with_pseudo_labels(
    training_data: TrainingData, full_sequences: list[Array], soft_labels: NDArray[np.float64]
) -> TrainingData:
    """A student's training data: m more texts (full sequences) with soft labels (m, K)."""
    arch, labels = training_data.architecture, training_data.labels
    recipe = replace(training_data.recipe, epochs=training_data.recipe.student_epochs)
    sequences = training_data.sequences + [truncate(s, arch) for s in full_sequences]
    pseudo_labelled = len(labels) + np.arange(len(full_sequences), dtype=np.int64)
    epoch_rows = np.concatenate([training_data.train, pseudo_labelled])
    return replace(
        training_data,
        recipe=recipe,
        sequences=sequences,
        full_sequences=training_data.full_sequences + full_sequences,
        labels=np.concatenate([labels, soft_labels.argmax(axis=1)]),
        trainable_rows=_trainable_rows(arch.vocab_size, [sequences[n] for n in epoch_rows]),
        soft_targets=SoftTargets.of(labels, soft_labels, recipe.student_weight),
        pseudo_labelled=pseudo_labelled,
    )


def _trainable_rows(vocab_size: int, sequences: list[Array]) -> NDArray[np.int64]:
    """The tokens of these sequences, ascending, and PAD."""
    return unique_tokens(np.concatenate(sequences), vocab_size, with_pad=True)[0]


def _preprocessor(data: Labelled, train: NDArray[np.int64], recipe: Recipe) -> TextPreprocessor | SeriesPreprocessor:
    if data.kind == "series":
        return SeriesPreprocessor.fit([data.inputs[n] for n in train])
    texts = cast(list[str], data.inputs)
    if recipe.encoding == "keras":
        return TextPreprocessor(KerasEncoding(keras_index(texts), recipe.vocab_size))
    return TextPreprocessor(TokenEncoding.fit([texts[n] for n in train], vocab_size=recipe.vocab_size))
