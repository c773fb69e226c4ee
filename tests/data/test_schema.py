"""`RowSchema`: what a value of a column is, what the facts of training rows refuse, and rows outside of them."""

import json
import math
import re
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatewise.data import with_columns
from gatewise.data.row_columns import split_rows
from gatewise.data.schema import (
    PANDAS_MISSING,
    CategoricalColumn,
    NumericColumn,
    OutsideCounts,
    RowSchema,
    category_of,
    number_of,
    schema_from,
)
from gatewise.errors import InputError, ModelFileError
from tests.refusals import assert_refused

NUMBERS: list[tuple[Any, float]] = [
    (3, 3.0), (np.float32(0.5), 0.5), (Decimal("-2.50"), -2.5), (" 4.5 ", 4.5), ("+1e3", 1000.0), (".5", 0.5),
    (None, math.nan), (pd.NA, math.nan), ("NA", math.nan), ("#N/A", math.nan), ("none", math.nan), ("?", math.nan),
    ("", math.nan), (np.uint64(2**63), float(2**63)),
]  # fmt: skip


@pytest.mark.parametrize(("value", "number"), NUMBERS, ids=repr)
def test_numbers(value: Any, number: float) -> None:
    np.testing.assert_equal(number_of(value), number)


NO_NUMBERS = [
    True,
    np.False_,
    "true",
    "1_000",
    "\u0663",
    "1,5",
    "0x1f",
    b"1",
    1j,
    pd.Timestamp(0),
    np.timedelta64(1, "D"),
]
TOO_LARGE = ["inf", np.inf, 10**400, "1e400", 1e39, "-1e39", Decimal("1e50")]


@pytest.mark.parametrize("value", [*NO_NUMBERS, [1.0]], ids=repr)
def test_what_is_no_number(value: Any) -> None:
    assert_refused("must be a number, not", number_of, value)


@pytest.mark.parametrize("value", TOO_LARGE, ids=str)
def test_numbers_that_are_too_large(value: Any) -> None:
    assert_refused("must be a finite number", number_of, value)


@pytest.mark.parametrize("value", [*NO_NUMBERS[7:], [1], {"a": 1}, pd.NaT, np.complex64(1)], ids=repr)
def test_what_is_no_category(value: Any) -> None:
    assert_refused("must be a text, a number or true/false, not", category_of, value)


def test_a_float_does_not_hold_an_id_of_18_digits() -> None:
    ids = [123456789012345678, 123456789012345680]
    assert float(ids[0]) == float(ids[1])
    assert [category_of(one) for one in ids] == list(map(str, ids))
    for lost in (float(ids[0]), np.float64(ids[1]), 2.0**53):
        assert_refused("2\\^53 on: read the column as texts, in pandas with dtype=str", category_of, lost)
    assert category_of(2.0**53 - 1) == "9007199254740991"


def fitted(*names: str, numbers: tuple[float, ...] = ()) -> RowSchema:
    """The schema of a numeric and a categorical column, after training rows with six of each name."""
    schema = RowSchema.named(["age"], ["zip"])
    rows = [(numbers[n % len(numbers)] if numbers else 1.0, name) for n, name in enumerate(names * 6)]
    return schema.fitted(rows)


def read(schema: RowSchema, value: Any) -> float | str:
    return schema.read({"age": 1, "zip": value})["zip"]


def test_a_number_in_another_spelling_is_refused_in_both_directions() -> None:
    zeros = fitted("00501", "10001")
    assert read(zeros, "00501") == "00501"
    assert read(zeros, 10001) == read(zeros, "10001") == "10001"
    assert read(zeros, 99999) == "99999", "unknown, and equal to none"
    for lost in (501, 501.0, "501", np.int32(501), Decimal(501)):
        assert_refused("column 'zip' is '501', and the model knows '00501', an equal number", read, zeros, lost)
    assert_refused("is '00501', and the model knows '501'", read, fitted("501", "10001"), "00501")
    assert_refused("is '1.50', and the model knows '1.5'", read, fitted("1.5", "2"), "1.50")


def test_a_column_that_spells_one_number_in_two_ways_takes_texts() -> None:
    versions = fitted("3.1", "3.10", "3.2")
    assert [read(versions, one) for one in ("3.1", "3.10", "3.2", "", None)] == ["3.1", "3.10", "3.2", "", ""]
    assert_refused("the number 3.1, and the model tells '3.1' from '3.10'", read, versions, 3.1)


@pytest.mark.parametrize("name", [one for one in PANDAS_MISSING if one])
def test_nan_is_refused_where_a_category_is_read_as_nan(name: str) -> None:
    schema = fitted(name, "EU")
    for lost in (math.nan, pd.NA, np.float32("nan")):
        message = f"and the model knows a category '{name}', which pandas reads as NaN: .*keep_default_na=False"
        assert_refused(message, read, schema, lost)
    assert [read(schema, one) for one in (name, "", None)] == [name, "", ""]
    assert read(fitted("EU", "US"), math.nan) == ""


def test_the_missing_texts_are_those_of_pandas() -> None:
    from pandas._libs.parsers import STR_NA_VALUES

    assert set(PANDAS_MISSING) == set(STR_NA_VALUES)


def test_a_missing_column_is_named_with_those_that_are_there() -> None:
    message = "column 'zip' is missing, which the model reads; there are 'age', 'Zip code'"
    assert_refused(message, fitted("1").read, {"age": 1, "Zip code": 5})


def test_the_facts_of_training_rows() -> None:
    rows = [(2.5, "a")] * 7 + [(math.nan, "b")] * 4 + [(-1.0, "")] * 3
    schema = RowSchema.named(["age"], ["zip"]).fitted(rows)
    assert (schema.numeric[0].low, schema.numeric[0].high) == (-1.0, 2.5)
    assert schema.categorical[0].categories == ("a",)
    assert schema.categorical[0].unknown_share == pytest.approx(4 / 11)
    assert schema_from(json.loads(json.dumps(asdict(schema))), "columns") == schema


FILES: list[tuple[Any, str]] = [
    ({"numeric": ["age"]}, "have names alone, as an earlier gatewise wrote them: train again"),
    ({"numeric": [{"name": "age", "low": 2.0, "high": 1.0}]}, "has no range from 2.0 to 1.0"),
    ({"numeric": [{"name": "age", "low": 2.0}]}, "has no range"),
    ({"numeric": [{"name": "age", "low": -1e300, "high": 1.0}]}, "has no range"),
    ({"categorical": [{"name": "shop", "categories": ["A", "A"]}]}, "has a category twice"),
    ({"categorical": [{"name": "shop", "categories": ["A", 5]}]}, "must be a text"),
    ({"categorical": [{"name": "shop", "unknown_share": 1.5}]}, "has no share of 1.5"),
    ({"numeric": [{"name": f"n{k}"} for k in range(1_001)]}, "there are 1,001 columns"),
    ({"numeric": 5}, "must be a list"),
    ([], "must be an object"),
]


@pytest.mark.parametrize(("entry", "message"), FILES, ids=lambda one: one if isinstance(one, str) else "")
def test_other_files_are_refused(entry: Any, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        schema_from(entry, "preprocessor: columns")


def counted(schema: RowSchema, rows: list[tuple[float, str]]) -> list[str]:
    counts = OutsideCounts(schema)
    half = len(rows) // 2
    counts.add(rows[:half])
    counts.add(rows[half:])
    return counts.messages()


def test_rows_outside_of_the_training_data() -> None:
    schema = RowSchema(
        (NumericColumn("age", 10.0, 30.0),), (CategoricalColumn("shop", ("A", "B"), 0.1),)
    )  # one row of ten has a rare category
    assert counted(schema, [(-10.0, "A"), (50.0, "B"), (math.nan, ""), (20.0, "A")]) == []
    [message] = counted(schema, [(51.0, "A"), (20.0, "B"), (-11.0, "A"), (math.nan, "A")])
    assert message.startswith("column 'age' is beyond the training range, 10 to 30, by more than its width, in 66.7%")
    usual = [(20.0, "rare" if n % 10 == 0 else "A") for n in range(200)]
    assert counted(schema, usual) == []
    [message] = counted(schema, [(20.0, "new" if n % 3 == 0 else "B") for n in range(200)])
    assert message == (
        "column 'shop' has categories that the model does not know, in 33.5% of the rows (67 of 200 with a value); in "
        "training 10.0%"
    )
    never = RowSchema((), (CategoricalColumn("shop", ("A", "B"), 0.0),))
    counts = OutsideCounts(never)
    counts.add([("new",)])
    assert re.search("in 100.0% of the rows", counts.messages()[0])


def test_an_empty_column_is_refused_at_training() -> None:
    with pytest.raises(InputError, match=r"t\.csv: the column 'age' has no number in any of 6 training rows"):
        RowSchema.named(["age"], ["zip"]).fitted([(math.nan, "a")] * 6).check_filled("t.csv", 6)
    with pytest.raises(InputError, match="the column 'zip' has no category"):
        RowSchema.named(["age"], ["zip"]).fitted([(1.0, "")] * 6).check_filled("t.csv", 6)


ONE_COLUMN = RowSchema.named(["x"])
ROWS = with_columns(["a b", "c"], {"x": ["1.5", None], "other": [3, 4]})


@pytest.mark.parametrize("make", [list, tuple, iter, pd.Series, lambda rows: np.array(rows, dtype=object)])
def test_rows_in_any_container_are_split(make: Any) -> None:
    inputs, columns = split_rows(make(ROWS), ONE_COLUMN)
    assert (list(inputs), repr(columns)) == (["a b", "c"], "[{'x': 1.5}, {'x': nan}]")
    inputs, columns = split_rows(make(ROWS))
    assert (list(inputs), columns) == (["a b", "c"], [])
    assert_refused("the rows carry columns: name those", split_rows, make(ROWS), refuse_unread=True)


def test_one_row_and_what_is_no_row() -> None:
    assert split_rows(ROWS[0], ONE_COLUMN) == (["a b"], [{"x": 1.5}])
    assert list(map(len, ROWS)) == [3, 1]
    [again] = with_columns(ROWS[:1], {"x": [7]})
    assert (again.input, again.columns) == ("a b", {"x": 7})
    message = "row 1: the model reads the columns x too, and the row has none: pass a data frame or gatewise"
    assert_refused(message, split_rows, [ROWS[0], "c"], ONE_COLUMN)
    frame = pd.DataFrame({"text": ["a", "b"], "X": [2, 3]})
    rest, columns = split_rows(frame, ONE_COLUMN)
    assert (list(rest.columns), columns) == (["text"], [{"x": 2.0}, {"x": 3.0}])
    assert split_rows(frame)[0] is frame


def test_with_columns_checks_the_indexes_of_pandas() -> None:
    texts = pd.Series(["a b", "c d", "e f"], index=[4, 7, 9])
    frame = pd.DataFrame({"x": [1.5, 2.5, 3.5]}, index=[7, 4, 9])
    message = "the inputs and the columns have different indexes: row 0 is '4' and '7'"
    assert_refused(message, with_columns, texts, frame)
    assert_refused("the inputs and the column x have different indexes", with_columns, texts, {"x": frame.x})
    assert_refused("and the column y have different indexes", with_columns, ["a", "b", "c"], {"x": texts, "y": frame.x})
    rows = with_columns(texts, frame.loc[texts.index])
    assert [one.columns["x"] for one in rows] == [2.5, 1.5, 3.5]
    assert with_columns(texts.tolist(), frame)[0].columns == {"x": 1.5}
