"""The message names the real cause: arguments that are swapped, the wrong column, a container of another library."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import gatewise as gw
from gatewise.data import Labelled
from gatewise.data.read import read_series
from gatewise.errors import GatewiseError
from gatewise.sklearn import LSTMTextClassifier
from tests.cli.conftest import Run
from tests.misuse.cases import FRAME, KINDS, NAMES, TEXTS, WAVES, Call, N, data, fail_with, of_series, of_texts

HOLDS, DAY, POLARS = "of the data frame holds", pd.Timestamp("2024-01-01"), pl.DataFrame(FRAME)
SWAPPED = "are inputs and labels swapped?"
NESTED = pd.DataFrame({"dim_0": [pd.Series(row) for row in WAVES]})
ADDRESS = "an address, and only files are read: download it first"
UNIQUE = [f"{text} {n}" for n, text in enumerate(TEXTS)]


def train(inputs: Any, labels: Any, **given: Any) -> Call:
    return lambda: gw.train(inputs, labels, verbose=0, **given)


CAUSES: dict[str, tuple[Call, str]] = {
    "no rows": (train([], []), "the data given: there is no row to train on"),
    "no rows of an array": (train(np.zeros((0, 5)), []), "there is no row to train on"),
    "no rows of an estimator": (lambda: LSTMTextClassifier().fit([], []), "X has 0 samples"),
    "no labels": (lambda: gw.train(TEXTS), "labels are missing: one for each text or series"),
    "a column as labels": (
        train(pd.DataFrame({"text": TEXTS, "kind": NAMES}), "kind"),
        "labels are one per row: name a column of the data frame with label='kind'",
    ),
    "tags without a task": (
        train([["a", "film"], ["no", "good", "end"]], [["D", "N"], ["D", "A", "N"]]),
        "row 0 is a list, not a text; for a label per word pass task='tagging'",
    ),
    "lists that are no words": (train([["a", "film"], ["no"]], [["D"], ["N"]]), "row 0 is a list, not a text"),
    "a frame to explain": (
        lambda: of_texts().explain(pd.DataFrame({"text": TEXTS[:1]})),
        "one text is read, not a DataFrame: pass a text of it",
    ),
    "one class per group": (
        train(UNIQUE, NAMES, groups=NAMES, epochs=1),
        "60 rows in 2 groups are too few to hold out 10% for validation, with rows of each class to train on",
    ),
    "no labels for a frame": (lambda: gw.train(FRAME), "no column 'text'; there are 't0', 't1'"),
    "one class": (train(TEXTS, ["a"] * N), "there is one class only; a classifier needs two"),
    "one row": (train(TEXTS[:1], NAMES[:1]), "there is one class only"),
    "names and texts swapped": (train(NAMES, UNIQUE), SWAPPED),
    "numbers and texts swapped": (train(KINDS, UNIQUE), f"row 0 is a number ({KINDS[0]}), not a text; {SWAPPED}"),
    "a list of numbers and texts": (train(KINDS.tolist(), UNIQUE), SWAPPED),
    "the texts as labels": (train(UNIQUE, UNIQUE), "the labels are the texts themselves"),
    "other texts as labels": (train(UNIQUE, [text[::-1] for text in UNIQUE]), "the labels look like texts"),
    "a class per row": (train(UNIQUE, [f"c{n}" for n in range(N)]), "60 of 60 classes have one row, as 'c0'"),
    "ids as labels": (train(UNIQUE, [f"{n:04x}-{n}" for n in range(N)]), "a class needs two rows or more"),
    "most of one row": (train(UNIQUE, [f"c{max(n - 20, 0)}" for n in range(N)]), "39 of 40 classes have one row"),
    "fewer labels": (train(TEXTS, NAMES[1:]), "there are 60 inputs but 59 labels"),
    "fewer weights": (data(TEXTS, NAMES, sample_weight=[1.0]), "there are 60 inputs but 1 sample_weight"),
    "dates among series": (data(FRAME.assign(when=DAY), KINDS), f"column 'when' {HOLDS} dates, not numbers"),
    "dates in front": (
        data(pd.concat([pd.DataFrame({"when": [DAY] * N}), FRAME], axis=1), KINDS),
        f"'when' {HOLDS} dates",
    ),
    "durations": (data(FRAME.assign(age=pd.Timedelta("1D")), KINDS), f"column 'age' {HOLDS} durations"),
    "texts among series": (data(FRAME.assign(name="x"), KINDS), f"column 'name' {HOLDS} a text ('x')"),
    "bools among series": (data(FRAME.assign(on=True), KINDS), f"column 'on' {HOLDS} True and False"),
    "lists among series": (data(FRAME.assign(v=[[1, 2]] * N), KINDS), f"column 'v' {HOLDS} a list"),
    "polars dates": (data(POLARS.with_columns(when=pl.date(2024, 1, 1)), KINDS), f"column 'when' {HOLDS}"),
    "polars texts": (data(POLARS.with_columns(s=pl.lit("x")), KINDS), f"column 's' {HOLDS}"),
    "a nested frame of sktime": (data(NESTED, KINDS), "a nested data frame: each cell of 'dim_0' is a Series: pass an"),
    "a nested frame of two channels": (data(NESTED.assign(dim_1=NESTED["dim_0"]), KINDS), "a nested data frame"),
    "a nested frame in predict": (lambda: of_series().predict(NESTED), f"column 'dim_0' {HOLDS} a Series"),
    "a frame of text and numbers": (
        data(pd.DataFrame({"text": TEXTS, "n": range(N)}), KINDS),
        "a data frame with columns text, n: pass one column, for example df['text']",
    ),
    "a grouped frame": (data(pd.DataFrame({"text": TEXTS}).groupby("text"), KINDS), "row 0 is a tuple, not a text"),
    "s3": (lambda: gw.data.read_table("s3://bucket/a.csv"), ADDRESS),
    "gs as a Path": (lambda: gw.data.read_table(Path("gs://bucket/a.parquet")), ADDRESS),
    "series of s3": (lambda: read_series("s3://bucket/a.ts"), ADDRESS),
    "arrays of s3": (lambda: read_series("s3://bucket/a.npz"), ADDRESS),
    "a model of s3": (lambda: gw.load("s3://bucket/model"), "an address; only hf:// is downloaded"),
    "an address as a text": (lambda: of_texts().predict("s3://bucket/a.csv"), "'s3://bucket/a.csv' is an address"),
    "an address in train": (lambda: gw.train("gs://bucket/a.csv", NAMES), "'gs://bucket/a.csv' is an address"),
    "rules without texts": (
        train(TEXTS, NAMES, rules=[("9/10", "good")]),
        "rules label unlabelled texts, and there are",
    ),
    "a rule of another class": (
        train(TEXTS, NAMES, unlabelled=UNIQUE, rules=[("slow", "bad"), ("honest", "fine")]),
        "rule 2: there is no class 'fine'; the classes are bad, good",
    ),
    "a rule of a glob pattern": (
        train(TEXTS, NAMES, unlabelled=UNIQUE, rules=[("*honest*", "good")]),
        "rule 1: '*honest*' is not a regular expression: nothing to repeat at position 0",
    ),
    "a rule that fits all": (
        train(TEXTS, NAMES, unlabelled=UNIQUE, rules=[("(honest)?", "good")]),
        "rule 1: '(honest)?' fits every text, as it fits the empty one",
    ),
    "rules and texts swapped": (
        train(TEXTS, NAMES, unlabelled=[("honest", "good")], rules=UNIQUE),
        "row 0 is a tuple, not a text",
    ),
    "a row of predict": (lambda: of_texts().predict(["a", " "]), "row 1 is empty"),
    "a row of no words": (lambda: of_texts().predict(["a", "b", "\u200b"]), "row 2 has no word"),
    "a row of a lone surrogate": (lambda: of_texts().predict(["a", "\ud800"]), "row 1: the text is not valid Unicode"),
    "a row of a list": (lambda: of_texts().predict(["a", 3]), "row 1 is a int, not a string"),
}


@pytest.mark.process  # which searches for the patterns of rules
@pytest.mark.parametrize("case", CAUSES)
def test_the_real_cause_is_named(case: str) -> None:
    fail_with(*CAUSES[case], GatewiseError)


def test_a_frame_of_nullable_numbers_is_one_of_series() -> None:
    """A missing value in the first row made it a frame of texts."""
    frame = FRAME.astype("Float64").mask(FRAME > 1)
    frame.iloc[0, 0] = pd.NA
    found = Labelled.of(frame, KINDS)
    assert found.kind == "series"
    np.testing.assert_array_equal(np.isnan(np.stack(found.inputs)[:, :, 0]), frame.isna().to_numpy())


def test_the_delimiter_of_excel(tmp_path: Path, run: Run) -> None:
    for mark, end in ((";", "\n"), ("|", "\r\n"), ("\t", "\n")):
        rows = [["text", "label"], *([text, f"{name}"] for text, name in zip(UNIQUE, NAMES, strict=True))]
        path = tmp_path / "excel.csv"
        path.write_text(f"sep={mark}{end}" + end.join(mark.join(row) for row in rows) + end)
        found = gw.data.read_table(path)
        assert found.inputs == UNIQUE
        path.write_text(f"sep={mark}{end}text{mark}label{end}a{mark}x{end}b{end}")
        fail_with(lambda path=path: gw.data.read_table(path), "excel.csv':4: 1 field, but the header has 2")


def test_a_blank_line_does_not_end_a_stream(run: Run) -> None:
    with pytest.warns(gw.errors.DataWarning, match="^stdin:2: a blank line is left out, as each one that follows"):
        shown = run("predict", "-i", "-", input="a good film\n\na bad one\n \n\nfine\n\n")
    assert shown.exit_code == 0
    assert len(shown.stdout.splitlines()) == 3


FORMULAS = ["=1+1", "+cmd", "-cmd", "@sum", "\tx", "-5", "+1e3", "plain", "- a list"]


def test_cells_that_a_spreadsheet_would_run(run: Run, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.csv"
    source.write_text("".join(json.dumps({"text": f"{one} film", "more": one}) + "\n" for one in FORMULAS))
    for options, want in (
        ([], FORMULAS),
        (["--escape-formulas"], [f"'{one}" if n not in (5, 6, 7) else one for n, one in enumerate(FORMULAS)]),
    ):
        shown = run("predict", "-i", source, "-o", out, "--overwrite", *options)
        assert shown.exit_code == 0, shown.output
        with open(out, newline="") as file:
            assert [row["more"] for row in csv.DictReader(file)] == want
    assert run("predict", "a text", "--escape-formulas").exit_code == 2


def test_a_nul_is_not_written_to_a_csv(run: Run, tmp_path: Path) -> None:
    """The file that was written was refused."""
    source, out = tmp_path / "in.jsonl", tmp_path / "out.csv"
    source.write_text('{"text": "a\\u0000b film"}\n')
    shown = run("predict", "-i", source, "-o", out)
    assert shown.exit_code == 2
    assert "column 'text' has a NUL character, which .csv cannot hold" in shown.output
    assert not out.exists()
    assert run("predict", "-i", source, "-o", tmp_path / "out.jsonl").exit_code == 0
