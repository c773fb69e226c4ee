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
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gatewise import text
from gatewise.data.labelled import Labelled
from gatewise.data.schema import RowSchema
from gatewise.data.splits import cross_validation_folds, hold_out
from gatewise.data.suspects import single_classes
from gatewise.errors import InputError, counted, quote
from gatewise.members.encoded_sequence import EncodedSequence, steps_of
from gatewise.members.ngrams import check_vocab_size
from gatewise.model.preprocessor import Preprocessor, TextPreprocessor
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.network.batch import truncate
from gatewise.ragged import Ragged, concatenated, flat, rows_per_input, shaped_like
from gatewise.target import ClassificationTarget
from gatewise.text import Encoding
from gatewise.training.fields import with_values
from gatewise.training.network_data import NetworkData, TargetScaling, plan_series
from gatewise.training.recipes import RARE_WORDS, Recipe, has_small_classes
from gatewise.training.weighted_targets import WeightedTargets
from gatewise.types import Array

ClassWeight = str | Mapping[Any, float]

_LEAST_STEPS = 30  # of an epoch, which a larger batch may not go below


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingData(NetworkData):
    """Encoded rows of the data; after them rule-labelled rows, then pseudo-labelled ones, which are trained on and
    never validate.
    """

    data: Labelled
    preprocessor: Preprocessor
    with_rules: Labelled
    """The rows of the data, then the rule-labelled ones."""
    full_sequences: list[EncodedSequence]
    """Encoded inputs (n), not truncated."""
    class_weights: Array | None = None
    """Weights of the classes (K,), see `class_weights`; None without."""
    balanced: bool = False
    """Whether the class weights are "balanced"."""
    fingerprint: str = ""
    """Of the training data, without a separate validation set."""
    identity: str = ""
    """Of all that the run reads from the data: rows, weights, validation set."""
    folds: tuple[NDArray[np.int64], ...] = ()
    """The held-out rows of each fold of a cross-validation; train and validation are all rows then."""
    own_validation: bool = False
    """Whether the validation set must not be trained on: it is separate, or later than the training part."""

    @property
    def epoch_rows(self) -> NDArray[np.int64]:
        """The rows of an epoch: the training part, the rule-labelled rows and the pseudo-labelled ones."""
        return np.append(self.train, self.further_rows)

    @property
    def further_rows(self) -> NDArray[np.int64]:
        """The rule-labelled and the pseudo-labelled rows."""
        return np.arange(len(self.data), len(self.labels))

    @property
    def logit_shift(self) -> Array | None:
        """What class weights add to the logits (outputs,), to subtract after a fit; None without, and where they are
        not part of the loss.
        """
        if self.class_weights is None or self.recipe.lstm.crf:
            return None
        return self.target.each.logit_shift(self.class_weights)

    @property
    def fitted_rows(self) -> NDArray[np.int64]:
        """The rows that the fit of a member may read: not a validation set that is separate or later."""
        if self.own_validation:
            return self.epoch_rows
        return np.append(np.union1d(self.train, self.validation), self.further_rows)

    @property
    def validation_name(self) -> str:
        """What the validation set is, for the card."""
        if self.folds:
            return "cross-validation"
        return "validation set"

    @property
    def excluded_tokens(self) -> Sequence[int]:
        """Tokens that no n-gram may contain: the unknown one."""
        if self.preprocessor.unknown is None:
            return ()
        return (self.preprocessor.unknown,)

    def full(self, rows: NDArray[np.int64]) -> list[EncodedSequence]:
        """The full sequences of these rows."""
        return [self.full_sequences[n] for n in rows]

    def full_steps(self, rows: NDArray[np.int64]) -> list[Array]:
        """All steps of these rows, token ids (T,) or channels (T, C)."""
        return steps_of(self.full(rows))

    def calibration_targets(self, rows: NDArray[np.int64]) -> WeightedTargets:
        """The targets of these rows, or of their steps, with their sample_weight, of mean 1, and without class weights:
        calibrated probabilities are those of the class frequencies of the data.
        """
        targets = self.targets(rows)
        if self.further_rows.size:  # unlabelled texts are refused where rows have a sample_weight
            return targets.unweighted
        sample_weight = np.repeat(self.data.sample_weight[rows], rows_per_input(self.data.labels[rows]))
        return replace(targets, weight=sample_weight).normalised


def prepare(
    data: Labelled,
    recipe: Recipe,
    seed: int,
    preprocessor: Preprocessor | None = None,
    *,
    validation: Labelled | None = None,
    rule_labelled: Labelled | None = None,
    class_weight: ClassWeight | None = None,
    extends_vocabulary: bool = True,
) -> TrainingData:
    """Split off the validation set, fit the preprocessor, encode. Equal arguments give equal results.

    The Keras index counts the words of all of `data`, as the published one does; the tokens' vocabulary, the series'
    scaling and that of the numbers are fitted on the training part alone. preprocessor: a pretrained model's, instead,
    with the new words of the training part where `extends_vocabulary`.
    validation: the validation set, where it is not cut from `data`. rule_labelled: further rows to train on. Raises
    InputError where there is too little to train on.
    """
    _check_rows(data)
    groups = data.groups
    if recipe.validation.split == "row":  # groups do not count, in cross-validation neither
        data = replace(data, groups=data.input_keys)
    sets = _sets(data, recipe, seed, validation)
    if _is_cross_validated(recipe, sets):
        sets = _with_folds(sets, recipe.validation.folds, seed)
    every = sets.rows
    if rule_labelled is not None:
        every = _joined(every, rule_labelled)
    further = np.arange(len(sets.rows), len(every))  # the rule-labelled rows
    trained = np.append(sets.train, further)
    if preprocessor is None:
        known = np.append(np.arange(len(data)), further)
        preprocessor = _preprocessor(every, trained, known, recipe)
    else:
        preprocessor = _checked(preprocessor, every)
        if extends_vocabulary:
            preprocessor = _extended(preprocessor, every, trained)
    fitted = np.append(sets.fitted, further)
    preprocessor = replace(preprocessor, columns=_schema(every, fitted))
    encoded = _encoded(every, preprocessor, recipe, trained)
    lengths = [len(steps) for steps in encoded["sequences"]]
    _check_steps(sets.rows, lengths)
    of_classes = None
    if class_weight is not None:
        of_classes = class_weights(every, trained, class_weight)
    # The loss of a conditional random field is that of whole sequences: there the weights act on the decisions alone.
    weight = loss_weight(every, trained, None if recipe.lstm.crf else of_classes)
    scaling = _scaling(sets, weight)
    if every.kind == "series":  # whose epochs and folds follow from their number and lengths
        encoded["recipe"], count = plan_series(encoded["recipe"], lengths, len(sets.train), sets.own_validation)
        if count:
            sets = _with_folds(sets, count, seed)
    fingerprint = data.fingerprint()
    return TrainingData(
        data=sets.rows,
        target=sets.rows.target.with_scheme_of(every.labels),
        source=sets.rows.source,
        labels=every.labels,
        with_rules=every,
        train=sets.train,
        validation=sets.validation,
        **encoded,
        loss_weight=weight,
        target_scaling=scaling,
        class_weights=of_classes,
        balanced=isinstance(class_weight, str),
        fingerprint=fingerprint,
        identity=_identity(fingerprint, data, groups, sets.validation, [validation, rule_labelled], of_classes),
        validation_how=sets.how,
        folds=sets.folds,
        own_validation=sets.own_validation,
    )


def _check_rows(data: Labelled) -> None:
    """Raise InputError for rows of which nothing can be learned."""
    if not len(data):
        raise InputError(f"{data.source}: there is no row to train on")
    # Of labels per step or per row several are not told by one input.
    if data.labels.ndim == 1 and (problem := single_classes(data.inputs, flat(data.labels), data.classes)):
        raise InputError(f"{data.source}: {problem}")
    if data.target.each.column_classes is None and len(data.classes) < 2:
        raise InputError(f"{data.source}: there is one class only; a classifier needs two")


@dataclass(frozen=True, eq=False)
class _Sets:
    """The training set and the validation set, by row numbers of `rows`. how: the cut, in words. own_validation:
    whether the validation set must not be trained on. folds: the held-out rows of each fold of a cross-validation.
    """

    rows: Labelled
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    how: str
    own_validation: bool
    folds: tuple[NDArray[np.int64], ...] = ()

    @property
    def fitted(self) -> NDArray[np.int64]:
        """The rows that the fit of a member may read, see `TrainingData.fitted_rows`."""
        if self.own_validation:
            return self.train
        return np.union1d(self.train, self.validation)


def _check_steps(data: Labelled, lengths: Sequence[int]) -> None:
    """Raise InputError where a row has another number of labels than of encoded steps. lengths: of the sequences."""
    if isinstance(data.labels, Ragged) and data.labels.lengths.tolist() != lengths[: len(data)]:
        raise InputError(f"{data.source}: the pretrained model reads other steps than those that have labels")


def _scaling(sets: _Sets, weight: NDArray[np.float32] | Ragged | None) -> TargetScaling | None:
    """The mean and deviation of the numbers of the training set; None for classes. weight: see `loss_weight`."""
    rows = sets.rows
    if not rows.target.each.loss.has_unit:
        return None
    of_train = None
    if weight is not None:
        of_train = weight[sets.train]
    return TargetScaling.fit(rows.labels[sets.train], of_train)


def _sets(data: Labelled, recipe: Recipe, seed: int, validation: Labelled | None) -> _Sets:
    """Cut the validation set from the data, or take the separate one. Raises InputError for too few rows."""
    if validation is not None:
        rows = _joined(data, validation)
        train = np.arange(len(data))
        held_out = np.arange(len(data), len(rows))
        how = f"a separate validation set: {validation.source}"
    else:
        rows = data
        train, held_out = hold_out(data, recipe.validation.fraction, seed, recipe.validation.split)
        how = _validation_how(data, recipe)
    if not len(train) or not len(held_out):
        rows_of_data = f"{counted(len(data), 'row is', 'rows are')} too few"
        groups = len(np.unique(data.groups))
        if groups < len(data) and recipe.validation.split == "group":  # equal rows are a group, too
            rows_of_data = f"{counted(len(data), 'row')} in {counted(groups, 'group is', 'groups are')} too few"
        raise InputError(
            f"{data.source}: {rows_of_data} to hold out {recipe.validation.fraction:.0%} for validation, with rows of "
            "each class to train on"
        )
    counts = data.target.class_counts(rows.labels[train])
    if counts is not None and not counts.all():
        name = quote(data.classes[int(counts.argmin())])
        raise InputError(f"{data.source}: the training part has no row of class {name}")
    own_validation = validation is not None or recipe.validation.split == "time"
    return _Sets(rows, train, held_out, how, own_validation)


def _is_cross_validated(recipe: Recipe, sets: _Sets) -> bool:
    """Whether all members have held-out logits of all rows by themselves, so that no row needs to be kept from
    training: a ridge regression on frozen layers, and n-grams of another scaling than "nb", of classes.
    """
    if sets.own_validation or sets.rows.task != "classification":
        return False
    return recipe.frozen and recipe.validation.folds > 0 and recipe.ngrams.scaling != "nb"


def _with_folds(sets: _Sets, count: int, seed: int) -> _Sets:
    """All rows are trained on, and each validates the fits without its fold."""
    folds = tuple(held_out for _, held_out in cross_validation_folds(sets.rows, count, seed))
    every = np.arange(len(sets.rows))
    how = f"{len(folds)}-fold cross-validation; the model itself is fitted to all rows"
    return replace(sets, train=every, validation=every, how=how, folds=folds)


def _checked(preprocessor: Preprocessor, data: Labelled) -> Preprocessor:
    """The preprocessor of a pretrained model. Raises InputError for one of other inputs."""
    if preprocessor.inputs.nouns != data.nouns:
        read = preprocessor.inputs.nouns.many
        raise InputError(f"{data.source}: the pretrained model is for {read}, and these are {data.nouns.many}")
    return preprocessor


def _extended(preprocessor: Preprocessor, data: Labelled, trained: NDArray[np.int64]) -> Preprocessor:
    """The preprocessor of a pretrained model, with the new words of the rows `trained`."""
    if not isinstance(preprocessor, TextPreprocessor) or preprocessor.encoding.kind not in ("tokens", "subwords"):
        return preprocessor
    encoding = cast(text.TokenEncoding, preprocessor.encoding)
    texts = cast(list[str], data.inputs)
    return replace(preprocessor, encoding=encoding.extended([texts[row] for row in trained]))


def _identity(
    fingerprint: str,
    data: Labelled,
    groups: NDArray[np.int64],
    validation: NDArray[np.int64],
    others: Sequence[Labelled | None],
    class_weights: Array | None,
) -> str:
    """See `TrainingData.identity`. fingerprint: of the data; groups: as the user gave them; others: further sets of
    rows.
    """
    identity = fingerprint + "".join(other.fingerprint() for other in others if other is not None)
    if data.time.size or (groups != data.input_keys).any():  # they cut the sets and the folds
        cut = (validation.astype("<i8"), groups.astype("<i8"), data.time.astype("<f8"))
        identity += hashlib.sha256(b"".join(array.tobytes() for array in cut)).hexdigest()
    if class_weights is not None:
        identity += hashlib.sha256(class_weights.tobytes()).hexdigest()
    return identity


def with_encoding(training_data: TrainingData, encoding: Encoding, recipe: Recipe) -> TrainingData:
    """The training data of texts in another encoding. recipe: the one that `prepare` got."""
    preprocessor = replace(cast(TextPreprocessor, training_data.preprocessor), encoding=encoding)
    return replace(training_data, **_encoded(training_data.with_rules, preprocessor, recipe, training_data.epoch_rows))


def _encoded(data: Labelled, preprocessor: Preprocessor, recipe: Recipe, train: NDArray[np.int64]) -> dict[str, Any]:
    """The fields of `TrainingData` that follow from the encoding, the batch size of the recipe among them.

    A batch has `min_batch_tokens` tokens on average, as long as an epoch keeps `_LEAST_STEPS` steps.
    """
    inputs = preprocessor.inputs
    assert inputs.kind != "windows"  # which the fit of a forecaster reads
    arch = recipe.architecture(inputs.kind, inputs.size, data.target.outputs, _repeated_features(preprocessor))
    if data.kind != "text":  # which alone has n-grams
        recipe = with_values(recipe, {"ngrams.order": 0})
    if recipe.ngrams.order:
        check_vocab_size(inputs.size)
    full_sequences = list(preprocessor.encode_batch(data.rows))
    sequences = [truncate(sequence.steps, arch) for sequence in full_sequences]
    settings = recipe.optimisation
    if settings.min_batch_tokens:
        tokens = max(1, sum(len(sequences[row]) for row in train))
        wanted = settings.min_batch_tokens * len(train) // tokens
        most = len(train) // _LEAST_STEPS
        recipe = with_values(recipe, {"batch_size": max(settings.batch_size, min(wanted, most))})
    return {
        "recipe": recipe,
        "preprocessor": preprocessor,
        "architecture": arch,
        "sequences": sequences,
        "full_sequences": full_sequences,
    }


def _repeated_features(preprocessor: Preprocessor) -> int:
    """The number of the ids of features that the LSTM has embeddings of: those seen at least twice, and none."""
    if not preprocessor.inputs.word_features:
        return 0
    encoding = cast(text.FeatureEncoding, cast(TextPreprocessor, preprocessor).encoding)
    return encoding.features.repeated + 1


def _schema(data: Labelled, fitted: NDArray[np.int64]) -> RowSchema:
    """The schema of the columns with the facts of the rows that members are fitted to. Raises InputError for a column
    without a value.
    """
    schema = RowSchema.of(data.columns)
    if not schema:
        return schema
    schema = schema.fitted([schema.values(data.row_columns[n]) for n in fitted])
    schema.check_filled(data.source, len(fitted))
    return schema


def _validation_how(data: Labelled, recipe: Recipe) -> str:
    how = {
        "group": "whole groups",
        "row": f"rows at random, equal {data.nouns.many} together",
        "time": "the last rows in the order of time",
    }[recipe.validation.split]
    if data.target.strata_noun and recipe.validation.split != "time":
        how += f", stratified by {data.target.strata_noun}"
    return f"{recipe.validation.fraction:.0%} of the training data, {how}"


def _joined(data: Labelled, validation: Labelled) -> Labelled:
    """The rows of the training data, and the rows of the validation set, or rule-labelled ones, after them."""
    if not len(validation):
        raise InputError(f"{validation.source}: there are no validation rows")
    ours = f"{data.kind} for {data.task}"
    theirs = f"{validation.kind} for {validation.task}"
    if theirs != ours:
        raise InputError(f"{validation.source}: the validation set is {theirs}, the training data {ours}")
    inputs: Any = [*data.inputs, *validation.inputs]
    return replace(
        data,
        inputs=inputs,
        labels=concatenated(data.labels, validation.labels_among(data.classes, "the training data")),
        groups=np.concatenate([data.groups, validation.groups]),
        sample_weight=np.concatenate([data.sample_weight, validation.sample_weight]),
        time=data.time[:0],  # nothing is split
        row_columns=[*data.row_columns, *validation.row_columns],
    )


def _preprocessor(
    data: Labelled, train: NDArray[np.int64], known: NDArray[np.int64], recipe: Recipe
) -> TextPreprocessor | SeriesPreprocessor:
    """Of the rows `train`. known: the rows besides a separate validation set, whose words the Keras index counts."""
    if data.kind == "series":
        return SeriesPreprocessor.fit([data.inputs[row] for row in train], recipe.series.windows)
    texts = cast(list[str], data.inputs)
    size = recipe.text.vocab_size
    tokenization = recipe.text.tokenization
    if tokenization == "keras":
        return TextPreprocessor(text.KerasEncoding(text.keras_index([texts[row] for row in known]), size))
    read = [texts[row] for row in train]
    if tokenization == "subwords":
        return TextPreprocessor(text.SubwordEncoding.fit(read, size))
    if tokenization == "word-features":
        return TextPreprocessor(text.FeatureEncoding.fit(read, size))
    if tokenization == "spaces":
        return TextPreprocessor(text.SpaceEncoding.fit(read, size))
    min_count = 2
    # A word of a single row is a good part of what is known of a small class.
    is_classifier = isinstance(data.target, ClassificationTarget)
    if is_classifier and has_small_classes(data.target.outputs, len(known), RARE_WORDS):
        min_count = 1
    encoding = text.TokenEncoding.fit(read, size, min_count)
    if tokenization == "respelled":
        encoding = encoding.respelling()
    return TextPreprocessor(encoding)


def class_weights(data: Labelled, train: NDArray[np.int64], class_weight: ClassWeight) -> Array:
    """Weights (K,) of the classes, or for multi-label of a row with the label against a row without it.

    "balanced": in inverse proportion to the rows in the training part, n / (K n_k) as in scikit-learn; for multi-label
    (n - n_k) / n_k. A mapping has a weight above 0 per label; other labels have 1. Raises InputError for regression and
    for unknown labels.
    """
    balanced = data.target.balanced_weights(data.labels[train])  # also refuses a regression
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise InputError(f"class_weight must be 'balanced' or a weight per class, not {quote(class_weight)}")
        return balanced
    if not isinstance(class_weight, Mapping):
        raise InputError(f"class_weight must be 'balanced' or a mapping, not {type(class_weight).__name__}")
    weights = np.ones(len(data.classes))
    labels = data.target.each.class_labels.tolist()
    for label, weight in class_weight.items():
        if label in labels:
            place = labels.index(label)
        elif str(label) in data.classes:
            place = data.classes.index(str(label))
        else:
            raise InputError(f"class_weight: the data has no class {quote(str(label))}")
        try:
            weights[place] = weight
        except (TypeError, ValueError):
            raise InputError(f"class_weight: the weight of {quote(str(label))} is not a number") from None
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise InputError("class_weight: the weights must be finite and above 0")
    return weights


def loss_weight(
    data: Labelled, train: NDArray[np.int64], of_classes: Array | None
) -> NDArray[np.float32] | Ragged | None:
    """`NetworkData.loss_weight` of labelled rows. train: the rows over which the mean is 1; of_classes: weights of the
    classes (K,).
    """
    weight = np.repeat(data.sample_weight, rows_per_input(data.labels))
    if of_classes is not None:
        weight = data.target.loss_weight(weight, data.labels, of_classes)
    if (weight == weight.flat[0]).all():
        return None
    by_input = shaped_like(weight, data.labels)
    mean = flat(by_input[train]).mean()
    return shaped_like((weight / mean).astype(np.float32), data.labels)
