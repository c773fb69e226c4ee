"""Warnings about data that trains, but not as its owner may expect: `DataWarning`s with a number each.

`warnings.filterwarnings("ignore", category=gw.errors.DataWarning)` turns them off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gatewise.data.labelled import Labelled
from gatewise.data.near_duplicates import MOST_ROWS, near_duplicates
from gatewise.errors import counted, quote, warn
from gatewise.members.encoded_sequence import tokens_of
from gatewise.model.card import FEW_ROWS, OPTIMISTIC, NearDuplicates
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.network.batch import describe_truncation
from gatewise.training.training_data import TrainingData

if TYPE_CHECKING:
    from gatewise.training.pretrained import Pretrained

IMBALANCE = 20  # rows of the largest class per row of the smallest
MANY_CHARACTERS = 10  # of a text that ought to have more than one token
MOST_SHOWN = 5  # names in a message


def warn_about_data(
    training_data: TrainingData,
    labelled: Labelled,
    rows: NDArray[np.int64],
    pretrained: Pretrained | None,
    near: NearDuplicates | None = None,
) -> None:
    """A DataWarning for each finding in the data of a run. labelled: the n rows without a separate validation set and
    without rows of weight 0; rows (n,): the row number of each in what the user passed. near: see
    `count_near_duplicates`.
    """
    findings = [single_rows(training_data.data), few_rows(labelled), different_labels(labelled, rows)]
    if training_data.loss_weight is None:
        findings.append(imbalance(labelled))
    findings.append(truncation(training_data))
    if isinstance(training_data.preprocessor, TextPreprocessor):
        texts = [str(text) for text in training_data.data.inputs]
        findings.append(one_token(texts, _token_counts(training_data, training_data.preprocessor)))
        findings.append(unknown_tokens(training_data, training_data.preprocessor))
    findings.append(missing_values(training_data.data))
    findings.append(optimistic_validation(near, training_data))
    findings.append(seen_by_pretrained(training_data, pretrained))
    for finding in findings:
        if finding:
            warn(finding)


def warn_about_overlap(train: Labelled, other: Labelled, name: str) -> None:
    """A DataWarning where rows of `other`, the validation or test set `name`, are equal to a training row."""
    shared = np.flatnonzero(np.isin(other.keys, train.keys))
    if len(shared):
        are = "is" if len(shared) == 1 else "are"
        warn(
            f"{len(shared):,} of {counted(len(other), 'row')} of the {name} set {are} equal to training rows, the "
            f"first is row {shared[0]:,}: scores on this set are higher than on new data"
        )


def count_near_duplicates(training_data: TrainingData) -> NearDuplicates | None:
    """The near-duplicates of validation rows among the training rows of texts; of folds, among the other folds; None
    for series, and where no row has a shingle.
    """
    preprocessor = training_data.preprocessor
    if not isinstance(preprocessor, TextPreprocessor):
        return None
    splits = [(training_data.train, training_data.validation)]
    if training_data.folds:
        splits = [(np.setdiff1d(training_data.train, fold), fold) for fold in training_data.folds]
    most = MOST_ROWS // len(splits)
    counts = [
        near_duplicates(tokens_of(training_data.full_sequences), train, held_out, preprocessor.unknown, most)
        for train, held_out in splits
    ]
    compared, with_duplicate = np.sum(counts, axis=0).tolist()
    if not compared:
        return None
    return NearDuplicates(compared, with_duplicate)


def optimistic_validation(near: NearDuplicates | None, training_data: TrainingData) -> str:
    """Many validation rows with a near-duplicate in the training set."""
    if near is None or near.share < OPTIMISTIC:
        return ""
    data = training_data.data
    has_groups = bool((data.groups != data.input_keys).any())
    if training_data.own_validation:
        advice = "leave them out of one of the two"
    elif has_groups:
        advice = "pass groups that hold near-duplicates together"
    else:
        advice = "pass groups=..."
    return f"validation is optimistic: {near} have a near-duplicate in the training set; {advice}"


def seen_by_pretrained(training_data: TrainingData, pretrained: Pretrained | None) -> str:
    """A validation set that the pretrained model was trained on."""
    if pretrained is None or pretrained.model is None:
        return ""
    # The fingerprint is that of the data without a separate validation set; one that is cut by time is part of them.
    separate = training_data.own_validation and training_data.recipe.validation.split != "time"
    if separate or pretrained.model.metadata.fingerprint != training_data.fingerprint:
        return ""
    return (
        "the pretrained model was trained on these data, rows of the validation set among them: scores on this set "
        "are higher than on new data; give a separate validation set"
    )


def few_rows(data: Labelled) -> str:
    """So few rows that no figure is exact."""
    if len(data) >= FEW_ROWS:
        return ""
    rows = counted(len(data), "row is", "rows are")
    return f"{rows} few: below {FEW_ROWS}, accuracy and probabilities are rough estimates"


def truncation(training_data: TrainingData) -> str:
    """Sequences that are longer than the network reads."""
    recipe = training_data.recipe
    arch = training_data.architecture
    truncated = describe_truncation(_lengths(training_data), arch)
    if not truncated:
        return ""
    others = ""
    if recipe.ngrams.order:
        others = "; the n-gram model reads all tokens"
    limit = f"recipe {recipe.name} has max_length {arch.max_length:,}, 0 has no limit"
    return f"the network reads the {truncated}{others} ({limit})"


def _lengths(training_data: TrainingData) -> list[int]:
    """Of the rows of the data (n), without pseudo-labelled ones."""
    return [len(sequence) for sequence in training_data.full_sequences[: len(training_data.data)]]


def single_rows(data: Labelled) -> str:
    """Classes with one row in all."""
    counts = data.target.class_counts(data.labels)
    if counts is None or not (counts == 1).any():
        return ""
    single = [data.classes[number] for number in np.flatnonzero(counts == 1)]
    shown = ", ".join(map(quote, single[:MOST_SHOWN]))
    if len(single) > MOST_SHOWN:
        shown += ", ..."
    have = "have" if len(single) > 1 else "has"
    return (
        f"{data.source}: {len(single)} of {len(counts)} classes {have} one row ({shown}), in the training part: the "
        "validation set does not measure them"
    )


def different_labels(data: Labelled, numbers: NDArray[np.int64]) -> str:
    """Equal inputs with different labels. numbers (n,): of the rows, for the message."""
    if data.target.class_counts(data.labels) is None:
        return ""
    # Equal labels and equal inputs have equal numbers.
    _, label = np.unique([row_label.tobytes().hex() for row_label in data.labels], return_inverse=True)
    label = label.ravel()
    _, group = np.unique(data.keys, return_inverse=True)
    pairs = np.unique(np.stack([group, label], axis=1), axis=0)  # (pairs, 2)
    mixed_groups = np.flatnonzero(np.bincount(pairs[:, 0]) > 1)
    if not len(mixed_groups):
        return ""
    mixed_rows = np.flatnonzero(np.isin(group, mixed_groups))
    equal_rows = np.flatnonzero(group == group[mixed_rows[0]])
    first = equal_rows[0]
    second = equal_rows[label[equal_rows] != label[first]][0]
    nouns = data.nouns
    different = counted(len(mixed_groups), f"different {nouns.one}", f"different {nouns.many}")
    return (
        f"{len(mixed_rows):,} rows are equal {nouns.many} with different labels, {different}; the first are "
        f"rows {numbers[first]:,} and {numbers[second]:,}"
    )


def imbalance(data: Labelled) -> str:
    """A class with one row for 20 of the largest class or more."""
    counts = data.target.class_counts(data.labels)
    if counts is None:
        return ""
    rivals = data.target.rivals(counts, len(data))
    smallest = int(counts.argmin())
    rare = int(counts[smallest])
    if rivals is None or not rare or rivals.rows < IMBALANCE * rare:
        return ""
    return (
        f"class {quote(data.classes[smallest], 40)} has {counted(rare, 'row')} and there are {rivals.rows:,} rows "
        f"{rivals.name}, 1:{rivals.rows / rare:.0f}; class_weight='balanced' gives the classes equal weight"
    )


def _token_counts(training_data: TrainingData, preprocessor: TextPreprocessor) -> list[int]:
    """The tokens of each text (n,), without the start token."""
    added = len(preprocessor.encoding.encode(""))
    return [length - added for length in _lengths(training_data)]


def one_token(texts: Sequence[str], tokens: Sequence[int]) -> str:
    """More than half of the texts are one token, although they have many characters. tokens: how many each has (n,)."""
    n = sum(count <= 1 and len(text.strip()) >= MANY_CHARACTERS for text, count in zip(texts, tokens, strict=True))
    if 2 * n <= len(texts):
        return ""
    are = "is one token although it has" if n == 1 else "are one token although they have"
    return (
        f"{n:,} of {counted(len(texts), 'text')} {are} {MANY_CHARACTERS} characters or more: "
        "the tokenisation does not split words of this script"
    )


def unknown_tokens(training_data: TrainingData, preprocessor: TextPreprocessor) -> str:
    """More than half of the tokens are none of the vocabulary."""
    tokens = np.concatenate(tokens_of(training_data.full_sequences))
    share = int((tokens == preprocessor.encoding.unknown).sum()) / max(1, len(tokens))
    if share <= 0.5:
        return ""
    return f"{share:.0%} of the tokens are not in the vocabulary of the model"


def missing_values(data: Labelled) -> str:
    """Missing values in series."""
    all_series = data.input_kind.series(data.inputs)
    missing = [int(np.isnan(series).sum()) for series in all_series]
    n = sum(missing)
    if not n:
        return ""
    n_series = sum(count > 0 for count in missing)
    values = counted(sum(np.size(series) for series in all_series), "value")
    are = "is" if n == 1 else "are"
    return (
        f"{n:,} of {values} {are} missing, in {n_series:,} of {len(data):,} series: they are interpolated, and a mask "
        "channel says where"
    )
