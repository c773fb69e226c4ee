"""From labelled data and a recipe to what members are fitted to: preprocessor, encoded sequences, split, weights.

Class weights say how much more a row of a rare class counts in the loss than one of a frequent class. Training with
weight w_k for class k fits the probabilities of a population in which class k is w_k times as frequent. Subtracting
log w_k from each logit gives the probabilities of the data's own frequencies again (Elkan 2001, theorem 2):

    logit_k ← logit_k - log w_k

Each part of a model is corrected right after its fit, so that calibration, evaluation and probabilities are those of
the data as they are. The weights act on what the parts learn, and on the decisions (`gatewise.training.stack`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from gatewise import text
from gatewise.data.labelled import Labelled
from gatewise.data.splits import cross_validation_folds, hold_out
from gatewise.data.suspects import single_classes
from gatewise.errors import InputError, counted, quote
from gatewise.members.ngrams import check_vocab_size
from gatewise.model.preprocessor import Preprocessor, TextPreprocessor
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.network.architecture import Architecture
from gatewise.network.batch import truncate
from gatewise.target import by_input, by_row
from gatewise.text import Encoding
from gatewise.training.fields import with_values
from gatewise.training.recipes import RARE_WORDS, Recipe, has_small_classes
from gatewise.types import Array

ClassWeight = str | Mapping[Any, float]
MAX_TIME_STEPS = 6_000_000
"""Time steps (rows x length x epochs) that the networks of a run on series train on. Above it there is no
cross-validation, then there are fewer epochs, unless `optimisation.epochs` is set."""
MOST_ROWS = 3_000
"""Series whose convolutions are cross-validated: their kernel matrix is decomposed in seconds. The network of more rows
is not cross-validated either, as the stack reads the same rows of both."""


@dataclass(frozen=True)
class TargetScaling:
    """Standardised targets of a regression: fits see numbers of mean 0 and variance 1, the model predicts in the unit.

        y = mean + scale z        weight ← scale weight,  bias ← mean + scale bias

    mean, scale (M,) float64 of M numbers; scale is 1 for a constant number.
    """

    mean: Array
    scale: Array

    @classmethod
    def fit(cls, numbers: Array, sample_weight: Array | None = None) -> Self:
        """From numbers (n, M) and their weights (n,)."""
        mean = np.average(numbers, axis=0, weights=sample_weight)
        scale = np.sqrt(np.average(np.square(numbers - mean), axis=0, weights=sample_weight))
        # Rounding leaves a constant number with a deviation of some 1e-16 of its size.
        constant = scale <= 1e-12 * np.abs(numbers).max(axis=0)
        return cls(mean, np.where(constant, 1.0, scale))

    def transform(self, numbers: Array) -> Array:
        """z (n, M) from numbers (n, M)."""
        return np.asarray((numbers - self.mean) / self.scale)

    def fold(self, parameters: Mapping[str, Array]) -> dict[str, Array]:
        """Parameters whose network predicts numbers, from those of a network that predicts z."""
        weight, bias = parameters["dense.weight"], parameters["dense.bias"]  # (M, F), (M,)
        return {
            **parameters,
            "dense.weight": (self.scale[:, None] * weight).astype(weight.dtype),
            "dense.bias": (self.mean + self.scale * bias).astype(bias.dtype),
        }


@dataclass(frozen=True, eq=False)
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
    """Row numbers of the validation set."""
    full_sequences: list[Array]
    """Encoded inputs (n), not truncated."""
    soft_targets: NDArray[np.float32] | None = None
    """Probabilities of the classes (n, K), where there are pseudo-labelled rows."""
    weights: NDArray[np.float32] | None = None
    """Weight of each row in the loss (n,), for multi-label of each label (n, K); mean 1 over the training part. None
    where all are 1."""
    target_scaling: TargetScaling | None = None
    """Mean and deviation of the numbers over the training part; None but for regression."""
    class_weights: Array | None = None
    """Weights of the classes (K,), see `class_weights`; None without."""
    logit_shift: Array | None = None
    """What class weights have added to the logits (outputs,); None without."""
    balanced: bool = False
    """Whether the class weights are "balanced"."""
    fingerprint: str = ""
    """Of the training data, without a separate validation set."""
    identity: str = ""
    """Of all that the run reads from the data: rows, weights, validation set."""
    validation_how: str = ""
    """How the validation set was cut, for the card."""
    validation_name: str = "validation set"
    """What the validation set is, for the card."""
    folds: tuple[NDArray[np.int64], ...] = ()
    """The held-out rows of each fold of a cross-validation; train and validation are all rows then."""
    own_validation: bool = False
    """Whether the validation set must not be trained on: it is separate, or later than the training part."""
    excluded_tokens: Sequence[int] = ()
    """Tokens that no n-gram may contain: the unknown one."""

    @property
    def epoch_rows(self) -> NDArray[np.int64]:
        """The rows of an epoch: the training part and the pseudo-labelled rows."""
        pseudo_labelled = () if self.soft_targets is None else (np.arange(len(self.data), len(self.labels)),)
        return np.concatenate([self.train, *pseudo_labelled])

    def full(self, rows: NDArray[np.int64]) -> list[Array]:
        """The full sequences of these rows."""
        return [self.full_sequences[n] for n in rows]

    def targets(self, rows: NDArray[np.int64]) -> Array:
        """What a linear model fits on these rows (n, outputs) float64, with a label per step on their steps (N,
        outputs): probabilities, those of the second one of two classes, or standardised numbers.
        """
        labels, classes = self.labels[rows], len(self.data.classes)
        if self.target_scaling is not None:
            return self.target_scaling.transform(labels)
        if self.data.task == "multilabel":
            return labels.astype(np.float64)
        p = np.eye(classes)[by_row(labels)] if self.soft_targets is None else self.soft_targets[rows]
        return p[:, 1 if classes == 2 else 0 :].astype(np.float64)

    def sample_weight(self, rows: NDArray[np.int64]) -> Array | None:
        """The sample_weight of these rows (n,), or of their steps (N,), with mean 1; None where all are equal."""
        weights = np.repeat(self.data.sample_weight[rows], row_counts(self.data.labels[rows]))
        return None if (weights == weights[0]).all() else weights / weights.mean()


def prepare(
    data: Labelled,
    recipe: Recipe,
    seed: int,
    preprocessor: Preprocessor | None = None,
    *,
    validation: Labelled | None = None,
    class_weight: ClassWeight | None = None,
) -> TrainingData:
    """Split off the validation set, fit the preprocessor, encode. Equal arguments give equal results.

    The Keras index counts the words of all of `data`, as the published one does; the tokens' vocabulary, the series'
    scaling and that of the numbers are fitted on the training part alone. preprocessor: a pretrained model's, instead.
    validation: the validation set, where it is not cut from `data`. Raises InputError where there is too little to
    train on.
    """
    if not len(data):
        raise InputError(f"{data.source}: there is no row to train on")
    of_rows = data.task == "classification" and not data.target.per_step
    if of_rows and (problem := single_classes(data.inputs, data.labels, data.classes)):
        raise InputError(f"{data.source}: {problem}")
    if data.task == "classification" and len(data.classes) < 2:
        raise InputError(f"{data.source}: there is one class only; a classifier needs two")
    groups = data.groups
    if recipe.validation.split == "row":  # groups do not count, in cross-validation neither
        data = replace(data, groups=data.input_keys)
    if validation is None:
        train, held_out = hold_out(data, recipe.validation.fraction, seed, recipe.validation.split)
        rows, how = data, _validation_how(data, recipe)
    else:
        rows, how = _joined(data, validation), f"a separate validation set: {validation.source}"
        train, held_out = np.arange(len(data)), np.arange(len(data), len(rows))
    if not len(train) or not len(held_out):
        fraction = f"{recipe.validation.fraction:.0%}"
        raise InputError(
            f"{data.source}: {counted(len(data), 'row is', 'rows are')} too few to hold out {fraction} for validation"
        )
    if data.task != "regression":
        missing = np.flatnonzero(class_counts(rows.labels[train], len(data.classes)) == 0)
        if len(missing):
            raise InputError(f"{data.source}: the training part has no row of class {quote(data.classes[missing[0]])}")
    folds: tuple[NDArray[np.int64], ...] = ()
    own_validation = validation is not None or recipe.validation.split == "time"
    if recipe.cross_validates_texts and data.kind == "text" and data.task == "classification" and not own_validation:
        folds = tuple(held for _, held in cross_validation_folds(rows, recipe.validation.folds, seed))
        train = held_out = np.arange(len(rows))
    if preprocessor is None:
        preprocessor = _preprocessor(data, train, recipe)
    elif isinstance(preprocessor, TextPreprocessor) != (data.kind == "text"):
        kinds = ("texts", "series") if data.kind == "series" else ("series", "texts")
        raise InputError(f"{data.source}: the pretrained model is for {kinds[0]}, and these are {kinds[1]}")
    elif isinstance(preprocessor, TextPreprocessor) and preprocessor.encoding.kind in ("tokens", "subwords"):
        encoding = cast(text.TokenEncoding, preprocessor.encoding)
        texts = cast(list[str], data.inputs)
        preprocessor = replace(preprocessor, encoding=encoding.extended([texts[n] for n in train]))
    preprocessor = replace(preprocessor, columns=data.columns.row)
    encoded = _encoded(rows, preprocessor, recipe, train)
    if data.target.per_step and list(map(len, rows.labels)) != list(map(len, encoded["sequences"])):
        raise InputError(f"{data.source}: the pretrained model reads other steps than those that have labels")
    of_classes = None if class_weight is None else class_weights(rows, train, class_weight)
    weights = row_weights(rows, train, of_classes)
    scaling = None
    if data.task == "regression":
        scaling = TargetScaling.fit(rows.labels[train], None if weights is None else weights[train])
    if data.kind == "series":
        lengths = [len(s) for s in encoded["sequences"]]
        encoded["recipe"], count = plan_series(encoded["recipe"], lengths, len(train), own_validation)
        if count:
            folds = tuple(held for _, held in cross_validation_folds(rows, count, seed))
            train = held_out = np.arange(len(rows))
    if folds:
        how = f"{len(folds)}-fold cross-validation; the model itself is fitted to all rows"
    fingerprint = data.fingerprint()
    identity = fingerprint if validation is None else fingerprint + validation.fingerprint()
    if data.time.size or (groups != data.input_keys).any():  # they cut the sets and the folds
        parts = (held_out.astype("<i8"), groups.astype("<i8"), data.time.astype("<f8"))
        identity += hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
    if of_classes is not None:
        identity += hashlib.sha256(of_classes.tobytes()).hexdigest()
    return TrainingData(
        data=rows,
        labels=rows.labels,
        train=train,
        validation=held_out,
        **encoded,
        weights=weights,
        target_scaling=scaling,
        class_weights=of_classes,
        logit_shift=None if of_classes is None else logit_shift(of_classes, data.task),
        balanced=isinstance(class_weight, str),
        fingerprint=fingerprint,
        identity=identity,
        validation_how=how,
        validation_name="cross-validation" if folds else "validation set",
        folds=folds,
        own_validation=own_validation,
    )


def with_encoding(training_data: TrainingData, encoding: Encoding, recipe: Recipe) -> TrainingData:
    """The training data of texts in another encoding. recipe: the one that `prepare` got."""
    preprocessor = cast(TextPreprocessor, training_data.preprocessor)
    encoded = _encoded(training_data.data, replace(preprocessor, encoding=encoding), recipe, training_data.train)
    return replace(training_data, **encoded)


def _encoded(data: Labelled, preprocessor: Preprocessor, recipe: Recipe, train: NDArray[np.int64]) -> dict[str, Any]:
    """The fields of `TrainingData` that follow from the encoding, the batch size of the recipe among them.

    A batch has `min_batch_tokens` tokens on average, as long as an epoch keeps 30 steps.
    """
    size = preprocessor.inputs.size
    if data.kind == "series":
        recipe = with_values(recipe, {"ngrams.order": 0})
    if recipe.ngrams.order:
        check_vocab_size(size)
    arch = recipe.architecture("tokens" if data.kind == "text" else "channels", size, data.target.outputs)
    arch = replace(arch, unread=preprocessor.inputs.unread)
    full_sequences = preprocessor.encode_batch(data.inputs)
    sequences, settings = [truncate(s, arch) for s in full_sequences], recipe.optimisation
    if settings.min_batch_tokens:
        wanted = settings.min_batch_tokens * len(train) // max(1, sum(len(sequences[n]) for n in train))
        size = max(settings.batch_size, min(wanted, len(train) // 30))
        recipe = with_values(recipe, {"batch_size": size})
    return {
        "recipe": recipe,
        "preprocessor": preprocessor,
        "architecture": arch,
        "sequences": sequences,
        "full_sequences": full_sequences,
        "excluded_tokens": () if preprocessor.unknown is None else (preprocessor.unknown,),
    }


def plan_series(recipe: Recipe, lengths: Sequence[int], rows: int, own_validation: bool) -> tuple[Recipe, int]:
    """The recipe with its number of epochs, and the number of folds, 0 without cross-validation, for series of these
    lengths (n,) of which `rows` are in the training part.
    """
    settings, folds, steps = recipe.optimisation, recipe.validation.folds, max(sum(lengths), 1)
    # The convolutions of more rows are not cross-validated, and the ensemble needs the same rows of both.
    possible = not own_validation and (not recipe.convolutions.features or len(lengths) <= MOST_ROWS)

    def epochs(rows: int) -> int:
        return max(settings.epochs, -(-settings.min_steps // -(-rows // settings.batch_size)))

    if folds > 1 and possible and steps * epochs(len(lengths)) * folds <= MAX_TIME_STEPS:
        return with_values(recipe, {"epochs": epochs(len(lengths)), "min_steps": 0}), folds
    # Epochs that are set stay.
    most = MAX_TIME_STEPS * len(lengths) // (steps * rows) if settings.min_steps else epochs(rows)
    return with_values(recipe, {"epochs": max(1, min(most, epochs(rows))), "min_steps": 0}), 0


def _validation_how(data: Labelled, recipe: Recipe) -> str:
    how = {
        "group": "whole groups",
        "row": f"rows at random, equal {'texts' if data.kind == 'text' else 'series'} together",
        "time": "the last rows in the order of time",
    }[recipe.validation.split]
    if data.task != "classification" and recipe.validation.split != "time":
        how += ", stratified by label" if data.task == "multilabel" else ", stratified by number"
    return f"{recipe.validation.fraction:.0%} of the training data, {how}"


def _joined(data: Labelled, validation: Labelled) -> Labelled:
    """The rows of the training data, and the rows of the validation set after them."""
    if not len(validation):
        raise InputError(f"{validation.source}: there are no validation rows")
    if (validation.kind, validation.task) != (data.kind, data.task):
        raise InputError(
            f"{validation.source}: the validation set is {validation.kind} for {validation.task}, the training data "
            f"{data.kind} for {data.task}"
        )
    inputs: Any = [*data.inputs, *validation.inputs]
    return replace(
        data,
        inputs=inputs,
        labels=np.concatenate([data.labels, validation.labels_among(data.classes, "the training data")]),
        groups=np.concatenate([data.groups, validation.groups]),
        sample_weight=np.concatenate([data.sample_weight, validation.sample_weight]),
        time=data.time[:0],  # nothing is split
    )


def _preprocessor(data: Labelled, train: NDArray[np.int64], recipe: Recipe) -> TextPreprocessor | SeriesPreprocessor:
    if data.kind == "series":
        return SeriesPreprocessor.fit([data.inputs[n] for n in train], recipe.series.windows)
    texts, size = cast(list[str], data.inputs), recipe.text.vocab_size
    if recipe.text.tokenization == "keras":
        return TextPreprocessor(text.KerasEncoding(text.keras_index(texts), size))
    kinds, read = {"subwords": "SubwordEncoding", "spaces": "SpaceEncoding"}, [texts[n] for n in train]
    encoding = getattr(text, kinds.get(recipe.text.tokenization, "TokenEncoding"))  # which imports this one
    words = encoding.kind == "tokens" and data.task == "classification"
    more = {"min_count": 1} if words and has_small_classes(data.target.outputs, len(data), RARE_WORDS) else {}
    found = encoding.fit(read, size, **more)
    return TextPreprocessor(found.respelling() if recipe.text.tokenization == "respelled" else found)


def class_counts(labels: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """How many rows, or steps, have each class (K,), from their classes (n,) or labels (n, K)."""
    labels = by_row(labels)
    return np.bincount(labels, minlength=classes) if labels.ndim == 1 else np.asarray(labels.sum(axis=0))


def class_weights(data: Labelled, train: NDArray[np.int64], class_weight: ClassWeight) -> Array:
    """Weights (K,) of the classes, or for multi-label of a row with the label against a row without it.

    "balanced": in inverse proportion to the rows in the training part, n / (K n_k) as in scikit-learn; for multi-label
    (n - n_k) / n_k. A mapping has a weight above 0 per label; other labels have 1. Raises InputError for regression and
    for unknown labels.
    """
    if data.task == "regression":
        raise InputError("class_weight is for classes: a regression has none; use sample_weight")
    k = len(data.classes)
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise InputError(f"class_weight must be 'balanced' or a weight per class, not {quote(class_weight)}")
        rows = class_counts(data.labels[train], k)
        if data.task == "multilabel":
            return np.asarray((len(train) - rows) / np.maximum(rows, 1)).clip(min=1 / len(train))
        return np.asarray(rows.sum() / (k * np.maximum(rows, 1)))
    if not isinstance(class_weight, Mapping):
        raise InputError(f"class_weight must be 'balanced' or a mapping, not {type(class_weight).__name__}")
    weights, own = np.ones(k), data.target.class_labels.tolist()
    for label, weight in class_weight.items():
        if label not in own and str(label) not in data.classes:
            raise InputError(f"class_weight: the data has no class {quote(str(label))}")
        try:
            weights[own.index(label) if label in own else data.classes.index(str(label))] = weight
        except (TypeError, ValueError):
            raise InputError(f"class_weight: the weight of {quote(str(label))} is not a number") from None
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise InputError("class_weight: the weights must be finite and above 0")
    return weights


def logit_shift(weights: Array, task: str) -> Array:
    """What to subtract from the logits (outputs,) of a part that was fitted with class weights (K,)."""
    shift = np.log(weights)
    return np.asarray(shift[1:] - shift[0] if task == "classification" and len(shift) == 2 else shift)


def row_counts(labels: NDArray[Any]) -> Array:
    """How many rows of logits each of the labels (n, ...) is for: its steps, or 1."""
    return np.array(list(map(len, labels))) if labels.dtype == object else np.ones(len(labels), dtype=np.intp)


def row_weights(data: Labelled, train: NDArray[np.int64], weights: Array | None) -> NDArray[np.float32] | None:
    """Weight of each row in the loss (n,), for multi-label with class weights of each label (n, K), with a label per
    step of each step (n,) of arrays (T,): its sample_weight times the weight of its class. The mean over the training
    rows is 1; None where all are equal.
    """
    each = np.repeat(data.sample_weight, row_counts(data.labels))
    if weights is not None and data.task == "multilabel":
        each = each[:, None] * np.where(data.labels == 1, weights, 1.0)
    elif weights is not None:
        each = each * weights[by_row(data.labels)]
    if (each == each.flat[0]).all():
        return None
    mean = by_row(by_input(each, data.labels)[train]).mean()
    return by_input((each / mean).astype(np.float32), data.labels)
