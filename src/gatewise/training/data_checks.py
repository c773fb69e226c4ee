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
from gatewise.model.card import FEW_ROWS, OPTIMISTIC, NearDuplicates
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.network.batch import describe_truncation
from gatewise.training.training_data import TrainingData

if TYPE_CHECKING:
    from gatewise.training.pretrained import Pretrained

IMBALANCE = 20  # rows of the largest class per row of the smallest
MANY_CHARACTERS = 10  # of a text that ought to have more than one token


def warn_about_data(
    training_data: TrainingData,
    given: Labelled,
    rows: NDArray[np.int64],
    pretrained: Pretrained | None,
    near: NearDuplicates | None = None,
) -> None:
    """A DataWarning for each finding in the data of a run. given: the n rows without a separate validation set and
    without rows of weight 0; rows (n,): where each stood in what the user gave. near: see `count_near_duplicates`.
    """
    data, recipe, arch = training_data.data, training_data.recipe, training_data.architecture
    found = [single_rows(data)]
    if len(given) < FEW_ROWS:
        few = counted(len(given), "row is", "rows are")
        found.append(f"{few} few: below {FEW_ROWS}, accuracy and probabilities are rough estimates")
    found += [different_labels(given, rows), imbalance(given) if training_data.weights is None else ""]
    lengths = [len(sequence) for sequence in training_data.full_sequences[: len(data)]]
    cut = describe_truncation(lengths, arch)
    if cut:
        others = "; the n-gram model reads all tokens" if recipe.ngrams.order else ""
        limit = f"recipe {recipe.name} has max_length {arch.max_length:,}, 0 has no limit"
        found.append(f"the network reads the {cut}{others} ({limit})")
    if isinstance(training_data.preprocessor, TextPreprocessor):
        encoding, texts = training_data.preprocessor.encoding, [str(text) for text in data.inputs]
        first = len(encoding.encode(""))
        found.append(one_token(texts, [length - first for length in lengths]))
        ids = np.concatenate(training_data.full_sequences)
        share = int((ids == encoding.unknown).sum()) / max(1, len(ids))
        found.append(f"{share:.0%} of the tokens are not in the vocabulary of the model" if share > 0.5 else "")
    else:
        found.append(missing_values(data))
    found.append(optimistic_validation(near, training_data))
    model = None if pretrained is None else pretrained.model
    separate = training_data.own_validation and recipe.validation.split != "time"
    if model is not None and model.metadata.fingerprint == training_data.fingerprint and not separate:
        found.append(
            "the pretrained model was trained on these data, rows of the validation set among them: scores on this set "
            "are higher than on new data; give a separate validation set"
        )
    for message in found:
        if message:
            warn(message)


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
    parts = [(training_data.train, training_data.validation)]
    if training_data.folds:
        parts = [(np.setdiff1d(training_data.train, fold), fold) for fold in training_data.folds]
    most = MOST_ROWS // len(parts)
    counts = [
        near_duplicates(training_data.full_sequences, others, held_out, preprocessor.unknown, most)
        for others, held_out in parts
    ]
    compared, found = np.sum(counts, axis=0).tolist()
    return NearDuplicates(compared, found) if compared else None


def optimistic_validation(near: NearDuplicates | None, training_data: TrainingData) -> str:
    """Many validation rows with a near-duplicate in the training set."""
    if near is None or near.share < OPTIMISTIC:
        return ""
    data = training_data.data
    advice = "leave them out of one of the two"
    if not training_data.own_validation:
        grouped = bool((data.groups != data.input_keys).any())
        advice = "pass groups that hold near-duplicates together" if grouped else "pass groups=..."
    return f"validation is optimistic: {near} have a near-duplicate in the training set; {advice}"


def single_rows(data: Labelled) -> str:
    """Classes with one row in all."""
    counts = data.target.class_counts(data.labels)
    if counts is None or not (counts == 1).any():
        return ""
    single = [data.classes[c] for c in np.flatnonzero(counts == 1)]
    shown = ", ".join(map(quote, single[:5])) + (", ..." if len(single) > 5 else "")
    have = f"{len(single)} of {len(counts)} classes {'have' if len(single) > 1 else 'has'} one row"
    return f"{data.source}: {have} ({shown}), in the training part: the validation set does not measure them"


def different_labels(data: Labelled, numbers: NDArray[np.int64]) -> str:
    """Equal inputs with different labels. numbers (n,): of the rows, for the message."""
    if data.target.class_counts(data.labels) is None:
        return ""
    label = np.unique([one.tobytes().hex() for one in data.labels], return_inverse=True)[1].ravel()
    _, group = np.unique(data.keys, return_inverse=True)
    pairs = np.unique(np.stack([group, label], axis=1), axis=0)  # (pairs, 2)
    mixed = np.flatnonzero(np.bincount(pairs[:, 0]) > 1)
    if not len(mixed):
        return ""
    rows = np.flatnonzero(np.isin(group, mixed))
    first = np.flatnonzero(group == group[rows[0]])
    second = first[label[first] != label[first[0]]][0]
    nouns = data.nouns
    different = counted(len(mixed), f"different {nouns.one}", f"different {nouns.many}")
    return (
        f"{len(rows):,} rows are equal {nouns.many} with different labels, {different}; the first are "
        f"rows {numbers[first[0]]:,} and {numbers[second]:,}"
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


def one_token(texts: Sequence[str], tokens: Sequence[int]) -> str:
    """More than half of the texts are one token, although they have many characters."""
    alone = sum(n <= 1 and len(text.strip()) >= MANY_CHARACTERS for text, n in zip(texts, tokens, strict=True))
    if 2 * alone <= len(texts):
        return ""
    are = "is one token although it has" if alone == 1 else "are one token although they have"
    return (
        f"{alone:,} of {counted(len(texts), 'text')} {are} {MANY_CHARACTERS} characters or more: "
        "the tokenisation does not split words of this script"
    )


def missing_values(data: Labelled) -> str:
    """Missing values in series."""
    missing = [int(np.isnan(series).sum()) for series in data.inputs]
    if not any(missing):
        return ""
    values, n = sum(np.size(series) for series in data.inputs), sum(missing)
    return (
        f"{n:,} of {counted(values, 'value')} {'is' if n == 1 else 'are'} missing, in {sum(map(bool, missing)):,} of "
        f"{len(data):,} series: they are interpolated, and a mask channel says where"
    )
