"""Warnings about data that trains, but not as its owner may expect; each names a number.

They are `DataWarning`s, so that `warnings.filterwarnings("ignore", category=gw.errors.DataWarning)` turns them off.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.data import Labelled, Unlabelled
from gatewise.data.frames import is_frame
from gatewise.errors import DataWarning, InputError, counted, quote
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.network.batch import describe_truncation
from gatewise.training.pretrained import Pretrained
from gatewise.training.recipes import Recipe
from gatewise.training.training_data import TrainingData
from gatewise.types import Array, Task

FEW_ROWS = 50
IMBALANCE = 20  # rows of the largest class per row of the smallest
MANY_CHARACTERS = 10  # of a text that ought to have more than one token


def warn_about_data(training_data: TrainingData, given: Labelled, rows: NDArray[np.int64]) -> None:
    """A DataWarning for each finding in the data of a run. given: the n rows without a separate validation set and
    without rows of weight 0; rows (n,): where each stood in what the user gave.
    """
    data, recipe = training_data.data, training_data.recipe
    found = [few_rows(given), different_labels(given, rows), imbalance(given) if training_data.weights is None else ""]
    lengths = [len(sequence) for sequence in training_data.full_sequences]
    cut = describe_truncation(lengths, training_data.architecture)
    if cut:
        others = "; the n-gram model reads all tokens" if recipe.ngrams.order else ""
        limit = f"recipe {recipe.name} has max_length {training_data.architecture.max_length:,}, 0 has no limit"
        found.append(f"the network reads the {cut}{others} ({limit})")
    if isinstance(training_data.preprocessor, TextPreprocessor):
        encoding, texts = training_data.preprocessor.encoding, [str(text) for text in data.inputs]
        first = len(encoding.encode(""))
        found.append(one_token(texts, [length - first for length in lengths]))
        found.append(unknown_tokens(training_data.full_sequences, encoding.unknown))
    else:
        found.append(missing_values(data))
    warn(found)


def warn_about_overlap(train: Labelled, other: Labelled, name: str) -> None:
    """A DataWarning where rows of `other`, the validation or test set `name`, are training rows too."""
    warn([overlap(train, other, name)])


def warn_about_pretrained(training_data: TrainingData, pretrained: Pretrained | None) -> None:
    """A DataWarning where the validation set is cut from the data that the pretrained classifier was trained on."""
    model = None if pretrained is None else pretrained.model
    if model is None or model.metadata.fingerprint != training_data.fingerprint:
        return
    if training_data.own_validation and training_data.recipe.validation.split != "time":
        return
    warn(
        [
            "the pretrained model was trained on these data, rows of the validation set among them: scores on this set "
            "are higher than on new data; give a separate validation set"
        ]
    )


def warn(messages: Sequence[str]) -> None:
    """A DataWarning for each message that is not empty."""
    for message in messages:
        if message:
            warnings.warn(message, DataWarning, stacklevel=4)


def few_rows(data: Labelled) -> str:
    """Fewer than 50 rows."""
    if len(data) >= FEW_ROWS:
        return ""
    few = counted(len(data), "row is", "rows are")
    return f"{few} few: below {FEW_ROWS}, accuracy and probabilities are rough estimates"


def different_labels(data: Labelled, numbers: NDArray[np.int64] | None = None) -> str:
    """Equal inputs with different labels. numbers (n,): of the rows, for the message; 0, 1, ... by default."""
    if data.task == "regression" or not len(data):
        return ""
    label = data.labels if data.labels.ndim == 1 else np.unique(data.labels, axis=0, return_inverse=True)[1].ravel()
    _, group = np.unique(data.keys, return_inverse=True)
    pairs = np.unique(np.stack([group, label], axis=1), axis=0)  # (pairs, 2)
    mixed = np.flatnonzero(np.bincount(pairs[:, 0]) > 1)
    if not len(mixed):
        return ""
    rows = np.flatnonzero(np.isin(group, mixed))
    first = np.flatnonzero(group == group[rows[0]])
    second = first[label[first] != label[first[0]]][0]
    numbers = np.arange(len(data)) if numbers is None else numbers
    one, what = ("text", "texts") if data.kind == "text" else ("series", "series")
    different = counted(len(mixed), f"different {one}", f"different {what}")
    return (
        f"{len(rows):,} rows are equal {what} with different labels, {different}; the first are "
        f"rows {numbers[first[0]] + 1:,} and {numbers[second] + 1:,}"
    )


def imbalance(data: Labelled) -> str:
    """A class with one row for 20 of the largest class or more."""
    if data.task == "regression" or not len(data):
        return ""
    if data.task == "multilabel":
        counts = data.labels.sum(axis=0)
        largest, of = len(data) - int(counts.min()), "without it"
    else:
        counts = np.bincount(data.labels, minlength=len(data.classes))
        largest, of = int(counts.max()), f"of {quote(data.classes[int(counts.argmax())], 40)}"
    smallest = int(counts.argmin())
    if not counts[smallest] or largest < IMBALANCE * counts[smallest]:
        return ""
    return (
        f"class {quote(data.classes[smallest], 40)} has {counted(int(counts[smallest]), 'row')} and there are "
        f"{largest:,} rows {of}, 1:{largest / counts[smallest]:.0f}; class_weight='balanced' gives the classes equal "
        "weight"
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


def unknown_tokens(sequences: Sequence[Array], unknown: int) -> str:
    """More than half of all tokens are outside the vocabulary."""
    ids = np.concatenate([np.zeros(0, dtype=np.int64), *sequences])
    missing = int((ids == unknown).sum())
    if 2 * missing <= len(ids):
        return ""
    return f"{missing / len(ids):.0%} of the tokens are not in the vocabulary of the model"


def missing_values(data: Labelled) -> str:
    """Missing values in series."""
    missing = [int(np.isnan(series).sum()) for series in data.inputs]
    if not any(missing):
        return ""
    values, n = sum(np.size(series) for series in data.inputs), sum(missing)
    where = f"in {sum(map(bool, missing)):,} of {len(data):,} series"
    return (
        f"{n:,} of {counted(values, 'value')} {_are(n)} missing, {where}: "
        "they are interpolated, and a mask channel says where"
    )


def overlap(train: Labelled, other: Labelled, name: str) -> str:
    """Rows of `other` that are equal to a training row."""
    shared = np.isin(other.keys, train.keys)
    if not shared.any():
        return ""
    first, n = int(np.flatnonzero(shared)[0]), int(shared.sum())
    return (
        f"{n:,} of {counted(len(other), 'row')} of the {name} set {_are(n)} equal to training rows, the first is row "
        f"{first + 1:,}: scores on this set are higher than on new data"
    )


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def labelled_of(
    data: Any, labels: Any, task: Task | None, groups: Any, sample_weight: Any, layout: str | None
) -> Labelled:
    """The arguments of `train` as Labelled. Raises InputError for what stands in the data already."""
    if isinstance(data, Labelled):
        given = {"labels": labels, "task": task, "groups": groups, "sample_weight": sample_weight, "layout": layout}
        for name, value in given.items():
            if value is not None:
                raise InputError(f"{name} {'are' if name.endswith('s') else 'is'} part of the data already")
        return data
    if labels is None:
        hint = "; Labelled.from_frame takes both from a data frame" if is_frame(data) else ""
        raise InputError(f"labels are missing: one for each text or series{hint}")
    return Labelled.of(data, labels, task=task, groups=groups, sample_weight=sample_weight, layout=layout)


def validation_of(validation: Any, data: Labelled, layout: str | None) -> Labelled:
    """A separate validation set as Labelled, with the task of the training data; warns of rows that both have."""
    if not isinstance(validation, Labelled):
        if not isinstance(validation, tuple | list) or len(validation) != 2:
            raise InputError("validation must be (inputs, labels) or Labelled")
        names = None if data.task == "classification" else data.classes
        (inputs, labels), source = validation, "the validation set given"
        validation = Labelled.of(inputs, labels, source, task=data.task, classes=names, layout=layout)
    found: Labelled = validation
    warn_about_overlap(data, found, "validation")
    return found


def unlabelled_of(unlabelled: Any, data: Labelled, recipe: Recipe) -> Unlabelled:
    """Unlabelled texts. Raises InputError where a run cannot learn from them."""
    if not recipe.uses_unlabelled:
        raise InputError(f"recipe {recipe.name} cannot use unlabelled texts (student_epochs, lsa_components)")
    found = unlabelled if isinstance(unlabelled, Unlabelled) else Unlabelled.of(unlabelled)
    if data.task != "classification":
        raise InputError(f"{data.source}: only classifiers learn from unlabelled texts, not {data.task}")
    if data.kind == "series":
        raise InputError(f"{data.source}: series cannot learn from unlabelled texts")
    if (data.sample_weight != 1).any():
        raise InputError(f"{data.source}: sample_weight does not reach unlabelled texts: leave one of them out")
    return found


def without_weight_0(data: Labelled, times: Any) -> tuple[Labelled, Any, NDArray[np.int64]]:
    """The data and times without rows of weight 0, and the numbers of the others. Raises InputError for as many times
    as there are no rows.
    """
    if times is not None and len(times) != len(data):
        raise InputError(f"there are {len(data):,} inputs but {len(times):,} times")
    rows = np.flatnonzero(data.sample_weight > 0)
    if len(rows) == len(data):
        return data, times, rows
    return data.take(rows), None if times is None else [times[row] for row in rows], rows
