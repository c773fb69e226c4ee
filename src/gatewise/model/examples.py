"""Rows of a user's data that a model keeps, on request only, as examples for the page."""

from collections import Counter
from dataclasses import replace
from operator import itemgetter

import numpy as np

from gatewise.data.labelled import Labelled
from gatewise.model.card import KeptExample
from gatewise.model.model import Model
from gatewise.target import Target

_MAX_TEXT = 600  # characters
_MAX_STEPS = 2_000
_MAX_NUMBERS = 20_000  # of all series together: 32 bytes each in config.json


def with_examples(model: Model, data: Labelled, count: int = 4) -> Model:
    """A copy that keeps at most `count` rows of `data` in its metadata, which the page then offers as examples.

    They are part of the model folder: whoever gets the folder can read them. The rows are drawn at random but always
    the same, from as many classes as possible, texts of at most 600 characters and series of at most 2,000 steps only,
    20,000 numbers of series together. Raises InputError for data of another task.
    """
    examples = _examples(data, model.target, count)
    return replace(model, metadata=replace(model.metadata, examples=examples))


def _examples(data: Labelled, target: Target, count: int) -> tuple[KeptExample, ...]:
    """At most `count` rows, one class after the other; of long rows none. Raises InputError for another task."""
    target.check_data(data.target)
    strata = data.target.strata(data.labels)
    # One class after the other; inputs without a class of their own come in the order of the permutation.
    by_class = data.target.each.column_classes is None and not data.target.per_step
    turns: Counter[int] = Counter()
    order: list[tuple[int, int]] = []
    for row in np.random.default_rng(0).permutation(len(data)).tolist():
        item = data.inputs[row]
        text = isinstance(item, str)
        if len(item) <= _MAX_TEXT if text else len(item) <= _MAX_STEPS and item.size <= _MAX_NUMBERS:
            label = strata[row][0] if by_class else len(order)
            order.append((turns[label], row))  # the first row of each class, then the second of each
            turns[label] += 1
    kept: list[KeptExample] = []
    numbers = 0
    for _, row in sorted(order, key=itemgetter(0)):
        item = data.inputs[row]
        numbers += 0 if isinstance(item, str) else item.size
        if len(kept) == count or numbers > _MAX_NUMBERS:
            break
        named = data.row_columns[row].items() if data.row_columns else ()
        columns = {name: value for name, value in named if value == value and value != ""}  # NaN is not equal
        if isinstance(item, str):
            kept.append(KeptExample(data.target.label_text(data.labels[row]), text=str(item), columns=columns))
        else:
            steps = (tuple(None if np.isnan(x) else float(f"{x:.6g}") for x in step) for step in item)
            kept.append(KeptExample(data.target.label_text(data.labels[row]), series=tuple(steps), columns=columns))
    return tuple(kept)
