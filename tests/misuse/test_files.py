"""Files: names in place of texts, tables with other columns than their owner thinks."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import gatewise as gw
from gatewise.cli.inputs import check_text
from gatewise.data.row_reader import RowReader, TableColumns
from gatewise.errors import DataError, InputError
from gatewise.storage import expansion
from tests.cli.conftest import Run
from tests.misuse.cases import NAMES, fail_with, of_texts

ABSENT = "is the name of a file that does not exist"
FILE_NAMES = ["reviews.xlsx", "reviews.csv", "reviews.pkl", "manual.md", "model.h5", "a.parquet", "b.JSONL", "s.npz"]
FILE_NAMES += ["c.csv.gz", "x.ts", "notes.txt", "page.html", "archive.zip", "data/reviews", "./reviews", "../reviews"]
FILE_NAMES += ["~/reviews", "/no/such/file", "C:\\data\\reviews", "data\\reviews.sav", "a.json", "a.tsv", "a.feather"]
FILE_NAMES += ["a.arrow", "a.arff", "a.npy", "a.csv.zst", "a.docx", "a.sqlite", "A.CSV"]
NO_NAMES = ["10/10", "10/10.", "he/she", "U.S./U.K.", "and/or", "U.S.A.", "3.5", "www.example.org", "e.g.", "Meh."]
NO_NAMES += ["good...bad", "24/7", "km/h", "No.1", "a. b", "Mr.Smith", "1/2 of it", "5/5!"]


@pytest.mark.parametrize("name", FILE_NAMES)
def test_the_name_of_a_file_that_is_not_there(name: str, run: Run) -> None:
    for call in (
        lambda: of_texts().predict(name),
        lambda: of_texts().explain(name),
        lambda: gw.train(name, NAMES),
    ):
        fail_with(call, f"{gw.errors.quote(name)} {ABSENT}", InputError)
    fail_with(lambda: check_text(name), f"{ABSENT}, not a text: give files with -i", InputError)
    for command in ("predict", "explain") if name == FILE_NAMES[0] else ():
        shown = run(command, name)
        assert shown.exit_code == 2
        assert f"{ABSENT}, not a text: give files with -i" in shown.output.replace("\n", " ")


@pytest.mark.parametrize("text", NO_NAMES)
def test_a_text_that_is_no_name_of_a_file(text: str) -> None:
    assert of_texts().predict(text).tolist() == of_texts().predict([text]).tolist()
    assert of_texts().explain(text + " ").prediction


def small_and_large(rows: int) -> pa.Table:
    """A table whose rows are equal, so that a compressed file of it is small."""
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int8)), pa.array(["a good film"]))
    return pa.table({"text": text, "label": text})


def long_text(size: int) -> pa.Table:
    return pa.table({"text": ["a" * size, "b"], "label": ["x", "y"]})


def long_entries(rows: int) -> pa.Table:
    """A long text in each row, which the file holds once."""
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int8)), pa.array(["a b " * 100_000]))
    return pa.table({"text": text, "label": ["x"] * rows})


def long_lists(size: int) -> pa.Table:
    lists = pa.FixedSizeListArray.from_arrays(pa.nulls(2 * size), size)
    return pa.table({"text": ["a", "b"], "label": ["x", "y"], "more": lists})


def write(path: Path, table: pa.Table) -> None:
    """In the format of its name, compressed; of CSV, 600 equal rows."""
    if path.suffix == ".parquet":
        parquet.write_table(table, path, compression="zstd")
    elif path.suffix in (".gz", ".zst"):
        rows = b"text,label\n" + (b"a film " * 10_000 + b",x\n") * 600
        path.write_bytes(gzip.compress(rows) if path.suffix == ".gz" else pa.compress(rows, "zstd", asbytes=True))
    else:
        made, codec = (pa.ipc.new_file, "zstd") if path.suffix == ".arrow" else (pa.ipc.new_stream, "lz4")
        with made(path, table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as file:
            file.write_table(table)


EXPANDING: dict[str, tuple[str, Callable[[int], pa.Table], int]] = {
    "rows of Parquet": ("a.parquet", small_and_large, 5_000_000),
    "a text of Parquet": ("a.parquet", long_text, 40_000_000),
    "rows of Arrow": ("a.arrow", small_and_large, 5_000_000),
    "a text of Arrow": ("a.arrow", long_text, 40_000_000),
    "a text of an Arrow stream": ("a.feather", long_text, 40_000_000),
    "entries of a dictionary, Parquet": ("a.parquet", long_entries, 600),
    "entries of a dictionary, Arrow": ("a.arrow", long_entries, 600),
    "lists of nothing": ("a.arrow", long_lists, 3_000_000),
    "a CSV file, gzip": ("a.csv.gz", long_text, 1),
    "a CSV file, zstd": ("a.csv.zst", long_text, 1),
}


@pytest.mark.parametrize("case", EXPANDING)
def test_a_small_file_that_becomes_a_large_one(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, table, size = EXPANDING[case]
    monkeypatch.setattr(expansion, "_FREE", 16 << 20)
    write(tmp_path / name, table(size))
    before = pa.total_allocated_bytes()
    fail_with(lambda: gw.data.read_table(tmp_path / name), "if it is right, set GATEWISE_MAX_EXPANSION=", DataError)
    assert pa.total_allocated_bytes() < before + (20 << 20)
    if size > 1:  # the others take seconds
        monkeypatch.setenv("GATEWISE_MAX_EXPANSION", "1000000")
        with RowReader.open(tmp_path / name, TableColumns()) as reader:
            assert next(iter(reader)).input
    monkeypatch.setenv("GATEWISE_MAX_EXPANSION", "much")
    fail_with(lambda: gw.data.read_table(tmp_path / name), "must be a whole number, not 'much'", InputError)


def test_an_ordinary_table_that_compresses_well(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of equal series: a tenth of 300,000 rows in 60 kB, and of the bytes that any file may have."""
    monkeypatch.setattr(expansion, "_FREE", 26 << 20)
    rows, steps = 300, 100
    columns = {"id": np.repeat(range(rows), steps), "t": np.tile(range(steps), rows)}
    columns |= {"x": columns["t"] % 7, "label": columns["id"] % 2}
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet", compression="zstd")
    shown = run("data", tmp_path / "a.parquet", "--series", "--id", "id", "--time", "t", "--label", "label")
    assert shown.exit_code == 0, shown.output


def test_the_rows_of_a_file_may_be_names_of_files(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("he/she\nREADME.md\n")
    for command in (["predict"], ["explain", "--row", "1"]):
        assert run(*command, "-i", tmp_path / "in.txt").exit_code == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without FIFOs")
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "csv.gz", "parquet", "ts", "arff", "npz", "npy", "conll"])
def test_a_fifo_is_refused(suffix: str, run: Run, tmp_path: Path) -> None:
    """It hung: what was read to see what the file is was gone."""
    path = tmp_path / f"in.{suffix}"
    os.mkfifo(path)
    for command in (["train", path], ["data", path], ["evaluate", path], ["predict", "-i", path]):
        shown = run(*command)
        assert shown.exit_code == 2
        of_series = command[0] != "train" and "the model reads texts, not series" in shown.output
        assert of_series or "a FIFO: give a file, or its content on stdin (-)" in shown.output.replace("\n", " ")
