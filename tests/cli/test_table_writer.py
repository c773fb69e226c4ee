"""What a table holds after writing is what was given, or writing is an error that names the column."""

import math
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from gatewise.cli.table_writer import write_table
from gatewise.errors import DataError
from tests.refusals import assert_refused

BIG = 9_223_372_036_854_775_808


def write(folder: Path, name: str, *batches: list[Any], schema: Any = None) -> list[Any]:
    """The column x of a Parquet file to which each batch was written."""
    with write_table(folder / name, ["x"], schema=schema) as writer:
        for values in batches:
            writer.write([{"x": value} for value in values])
    return parquet.read_table(folder / name)["x"].to_pylist() if name.endswith("parquet") else []  # type: ignore[no-any-return]


def test_a_value_that_parquet_would_change_is_refused(tmp_path: Path) -> None:
    for first, later, found in (
        ([4], [4, 4.5], "4.5 is not int64"),
        ([1.5], [True], "True is not double"),
        ([1.5, True], [], "True is not double"),
        ([{"a": 1}], [{"b": "lost"}], "{'b': 'lost'} is not struct<a: int64>"),
        ([{"a": [1, 2]}], [{"a": [1, 2.5]}], "{'a': [1, 2.5]} is not"),
        ([[1]], [[1.5]], "[1.5] is not list<"),
        ([["u"]], ["uv"], "uv is not list<"),
        ([[{"a": 1}]], [[{"a": 1, "b": 2}]], "'b': 2}] is not list<"),
        ([4], ["4"], "Could not convert '4'"),
        ([4], [BIG], "too large"),
    ):
        begin = r"o\.parquet': column 'x' has values of another type than in the first rows \(.*"
        message = rf"{begin}{re.escape(found)}.*\): write \.jsonl instead$"
        assert_refused(message, write, tmp_path, "o.parquet", first, later, error=DataError)


def test_values_that_fit_are_written(tmp_path: Path) -> None:
    for batches, written in (
        ([[1.5, None], [4, None]], [1.5, None, 4.0, None]),
        ([[{"a": 1, "b": "u"}], [{"b": "v", "c": None}]], [{"a": 1, "b": "u"}, {"a": None, "b": "v"}]),
        ([[[True, None]], [[], (False,)]], [[True, None], [], [False]]),
        ([[True], [False]], [True, False]),
        ([[None], ["u"]], [None, "u"]),
        ([[1.5, math.nan]], [1.5, pytest.approx(math.nan, nan_ok=True)]),
        ([[[math.nan]]], [[pytest.approx(math.nan, nan_ok=True)]]),
    ):
        assert write(tmp_path, "o.parquet", *batches) == written


@pytest.mark.parametrize("values", [[BIG], [{}], [[{}]], [4, "x"], [[1], 2], ["\ud800"]])
def test_values_without_a_type_of_parquet(tmp_path: Path, values: list[Any]) -> None:
    message = r"o\.parquet': column 'x' fits no type of Parquet \(.*\): write \.jsonl instead"
    assert_refused(message, write, tmp_path, "o.parquet", values, error=DataError)
    assert not list(tmp_path.iterdir())


WORDS = pa.dictionary(pa.int32(), pa.string())


def test_columns_with_dictionaries(tmp_path: Path) -> None:
    for kind, value in (
        (WORDS, "u"),
        (pa.list_(WORDS), ["u", "v"]),
        (pa.large_list(WORDS), ["u", "v"]),
        (pa.list_(WORDS, 2), ["u", "v"]),
        (pa.struct([("a", WORDS), ("b", pa.list_(WORDS))]), {"a": "u", "b": ["v"]}),
        (pa.map_(pa.string(), WORDS), [("u", "v")]),
    ):
        schema = pa.schema([("x", kind)])
        assert write(tmp_path, "o.parquet", [value, None], [value], schema=schema) == [value, None, value]


@pytest.mark.parametrize("name", ["o.csv", "o.tsv.gz", "o.jsonl"])
@pytest.mark.parametrize("value", [b"\xff", [b"u"], {"a": [b"u"]}])
def test_text_formats_refuse_bytes(tmp_path: Path, name: str, value: Any) -> None:
    suffix = name.removesuffix(".gz")[1:]
    message = (
        rf"{name}': column 'x' has bytes, which {suffix} cannot hold: write \.parquet instead, or leave the column out$"
    )
    assert_refused(message, write, tmp_path, name, [None], ["u", value], error=DataError)
    assert write(tmp_path, "o.parquet", [b"\xff"]) == [b"\xff"]
