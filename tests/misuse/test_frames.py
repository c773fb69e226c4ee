"""Columns that hold no inputs, indexes that differ, inputs that hold their label."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import gatewise as gw
from gatewise.data import Labelled
from gatewise.errors import InputError
from gatewise.sklearn import LSTMSeriesClassifier, LSTMTextClassifier, LSTMTextRegressor
from tests.misuse.cases import (
    FRAME,
    KINDS,
    NAMES,
    RNG,
    TEXTS,
    WAVES,
    Call,
    Case,
    N,
    data,
    fail_with,
    of_series,
    of_texts,
    warned,
    with_column,
)

STEP = "the column '{}' would be read as values of the series"
COLUMNS = ["label", "Labels", " class ", "Classes", "target", "Target", "id", "ID", "index", "Index", "Unnamed: 0", ""]
COLUMNS += ["__index_level_0__"]
ARROW = {name: pa.Table.from_pandas(with_column(name), preserve_index=False) for name in ("label", "index")}
COLUMN, TURNED = pd.Series(TEXTS), pd.Series(NAMES, index=range(N)[::-1])
LATER = pd.Series(range(N), index=range(5, N + 5))
FRAMES: dict[str, Case] = {
    **{f"a column {name!r} among series": (data(with_column(name), KINDS), STEP.format(name)) for name in COLUMNS},
    **{f"{name!r} in polars": (data(pl.DataFrame(with_column(name)), KINDS), STEP.format(name)) for name in ARROW},
    **{f"{name!r} in an Arrow table": (data(table, KINDS), STEP.format(name)) for name, table in ARROW.items()},
    "the column of the labels by its own name": (
        lambda: Labelled.of(frame := with_column("quality"), frame["quality"]),
        f"{STEP.format('quality')}, but has the name of the labels",
    ),
    "an id column in predict": (lambda: of_series().predict(with_column("id")), STEP.format("id")),
    "a label column in score": (lambda: of_series().score(with_column("label"), KINDS), STEP.format("label")),
    "a step that is named as an index": (data(with_column("index"), KINDS), "or rename it if it is a step"),
    "a text among numbers": (
        data(pd.DataFrame({"review": TEXTS, "stars": KINDS, "votes": KINDS}), NAMES),
        "column 'review' of the data frame holds a text",
    ),
    "differences that float32 rounds away, in an estimator": (
        lambda: LSTMSeriesClassifier().fit(WAVES + 1e8, KINDS),
        "subtract an offset from this channel first",
    ),
    "the label's own column in an estimator": (
        lambda: LSTMSeriesClassifier().fit(frame := with_column("quality"), frame["quality"]),
        STEP.format("quality"),
    ),
    "a frame per series with an id": (data([FRAME.assign(id=3)] * N, KINDS), STEP.format("id")),
    "another index": (
        data(COLUMN, TURNED),
        "the inputs and the labels have different indexes: row 0 is '0' and '59'; rows are matched by position",
    ),
    "a shuffled index": (
        data(COLUMN, pd.Series(NAMES).sample(frac=1, random_state=1)),
        "the inputs and the labels have different indexes: row 0 is",
    ),
    "a frame and labels": (data(FRAME, pd.Series(KINDS, index=range(1, N + 1))), "row 0 is '0' and '1'"),
    "weights": (
        data(COLUMN, NAMES, sample_weight=LATER + 1.0),
        "the inputs and the sample_weight have different indexes",
    ),
    "groups": (data(COLUMN, NAMES, groups=LATER), "the inputs and the groups have different indexes"),
    "another index in train": (lambda: gw.train(COLUMN, TURNED), "have different indexes"),
    "another index in evaluate": (lambda: of_texts().score(COLUMN, TURNED), "have different indexes"),
    "in an estimator": (
        lambda: LSTMTextClassifier().fit(COLUMN, TURNED),
        "the inputs and the y have different indexes",
    ),
    "in a regressor": (lambda: LSTMTextRegressor().fit(COLUMN, LATER * 1.5), "have different indexes"),
}


@pytest.mark.parametrize("case", FRAMES)
def test_frames(case: str) -> None:
    fail_with(*FRAMES[case], InputError)


def joined(form: str) -> list[str]:
    return [form.format(n, t) for n, t in zip(NAMES, TEXTS, strict=True)]


EQUAL, ORDERS = "is equal to the labels", "orders the classes perfectly"
LEAKS: dict[str, Case] = {
    "a column of another name": (data(with_column("quality"), KINDS), f"the column 'quality' {EQUAL}"),
    "a column of codes": (data(with_column("z", 7 - 3 * KINDS), NAMES), f"the column 'z' {EQUAL}"),
    "a column that orders them": (
        data(with_column("z", KINDS * 10 + RNG.random(N)), KINDS),
        f"the column 'z' {ORDERS}",
    ),
    "row numbers": (data(with_column("nr", range(N)), np.repeat([0, 1, 2], N // 3)), f"the column 'nr' {ORDERS}"),
    "an array": (data(np.column_stack([WAVES, KINDS]), KINDS), f"step 13 {EQUAL}"),
    "the first of an array": (data(np.column_stack([KINDS, WAVES]), KINDS), f"step 1 {EQUAL}"),
    "lists": (data(np.column_stack([WAVES, KINDS]).tolist(), KINDS), f"step 13 {EQUAL}"),
    "the end of series of any length": (
        data([[*row[: 5 + n % 7], k] for n, (row, k) in enumerate(zip(WAVES, KINDS, strict=True))], KINDS),
        f"the last step {EQUAL}",
    ),
    "a channel": (
        data(np.stack([WAVES, np.where(np.arange(12) == 4, KINDS[:, None], WAVES)], axis=2), KINDS),
        f"step 5 of channel 2 {EQUAL}",
    ),
    "numbers": (
        data(with_column("price", WAVES[:, 0] * 3), WAVES[:, 0] * 3, task="regression"),
        f"the column 'price' {EQUAL}",
    ),
    "the first word": (data(joined("{}: {}"), NAMES), "word 1 of each text tells"),
    "the last word": (data(joined("{1} {0}"), NAMES), "word 1 from the end"),
    "fastText": (data(joined("__label__{} {}"), NAMES), "word 1 of each text tells the class, as '__label__"),
    "a field of JSON": (
        data([f'{{"label": {k}, "text": "{t}"}}' for k, t in zip(KINDS, TEXTS, strict=True)], NAMES),
        "word 2 of each text tells the class",
    ),
    "a second field": (
        data([f"{n},{k},{t}" for n, (k, t) in enumerate(zip(KINDS, TEXTS, strict=True))], KINDS),
        "word 2 of each text tells the class, as",
    ),
    "another language": (
        data([f"{t} ({('schlecht', 'gut')[k]})" for k, t in zip(KINDS, TEXTS, strict=True)], KINDS),
        "as 'schlecht', 'gut'" if KINDS[0] == 0 else "as 'gut', 'schlecht'",
    ),
}


@pytest.mark.parametrize("case", LEAKS)
def test_inputs_that_hold_their_label(case: str) -> None:
    call, message = LEAKS[case]
    assert any(message in one for one in warned(call)), warned(call)


NO_LEAKS: dict[str, Call] = {
    "noise": data(FRAME, KINDS),
    "texts": data(TEXTS, NAMES),
    "a level that differs everywhere": data(WAVES + 100 * KINDS[:, None], KINDS),
    "few rows": data(with_column("z")[:6], KINDS[:6]),
    "two features of iris": data(
        with_column("z", KINDS + RNG.random(N) / 2).assign(y=KINDS - RNG.random(N) / 2), NAMES
    ),
    "a bump": data(WAVES + 9 * KINDS[:, None] * np.exp(-((np.arange(12) - 5) ** 2)), KINDS),
    "a constant column": data(with_column("z", 1.0), KINDS),
    "one label": data(with_column("z"), [1] * N),
    "a first word that most have": data(joined("{} {}"), NAMES[1:] + NAMES[:1]),
}


@pytest.mark.parametrize("case", NO_LEAKS)
def test_inputs_that_hold_no_label(case: str) -> None:
    assert not warned(NO_LEAKS[case])


TAGS = [np.array(["x", "y"][: 1 + k]) for k in KINDS]
ORDINARY: dict[str, Call] = {
    "arrays of labels in a frame, as from Parquet": data(TEXTS, pd.DataFrame({"tags": TAGS}), task="multilabel"),
    "sets of labels in a frame": data(TEXTS, pd.DataFrame({"tags": map(set, TAGS)}), task="multilabel"),
    "arrays of words": data(pd.Series([np.array(text.split()) for text in TEXTS]), [["O"] * 8] * N, task="tagging"),
    "degrees of latitude": data(WAVES * 1e-4 + 52.5, KINDS),
    "texts that are names": data([f"name{n}.md" for n in range(N)], NAMES),
    "codes of industries": data(TEXTS, [f"{n % 25:02}.{n % 5}.{n % 3}" for n in range(N)]),
    "groups of age": data(TEXTS, [f"{n % 25}-{n % 25 + 1}" for n in range(N)]),
}


@pytest.mark.parametrize("case", ORDINARY)
def test_ordinary_data(case: str) -> None:
    """Neither refused nor warned about."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(ORDINARY[case]()) == N
