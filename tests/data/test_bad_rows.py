"""Rows of tables that cannot be read: skipped into a list, or refused with their place."""

import csv
from pathlib import Path

import pytest

from gatewise.data import read_table
from gatewise.data.columns import Columns, RowReader
from gatewise.errors import DataError, InputError

BAD_ROWS = b'text,label\nx,a\ny\n"z"z,a\nw,b\nv\0,a\n\xe9,b\n"u\n\xff",a\nt,\n ,a\ns,a\n'


def test_bad_rows_are_skipped_into_a_file(tmp_path: Path) -> None:
    path, out = tmp_path / "a.csv", tmp_path / "bad.csv"
    path.write_bytes(BAD_ROWS)
    with pytest.warns(UserWarning, match=r"7 bad rows of 10 skipped: see .*bad\.csv"):
        data = read_table(path, skip_bad_rows=out)
    assert data.inputs == ["x", "w", "s"]
    assert data.source.endswith("; 7 bad rows skipped")
    with open(out, encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["file", "line", "reason"]
    assert {row[0] for row in rows} == {str(path)}
    assert [(int(line), reason) for _, line, reason in rows] == [
        (3, "1 field, but the header has 2"),
        (4, "bad row: ',' expected after '\"'"),
        (6, "a NUL byte"),
        (7, "not valid UTF-8: byte 0xE9"),
        (9, "not valid UTF-8: byte 0xFF"),
        (10, "'label' is empty"),
        (11, "the text is empty"),
    ]
    with pytest.raises(DataError, match=r"a\.csv':3: 1 field, .* \(7 bad rows: lines 3, 4, 6, 7, 9, …\)"):
        read_table(path)


def test_only_a_list_of_bad_rows_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\nx,a\ny\nz,b\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.csv': exists, and is not a list of bad rows: it is not overwritten"):
        read_table(path, skip_bad_rows=path)
    for _ in range(2):
        with pytest.warns(UserWarning, match="1 bad row of 3"):
            read_table(path, skip_bad_rows=tmp_path / "bad.csv")


def test_a_list_of_bad_rows_is_no_input(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("file,line,reason\na,1,x\nb,2\nc,3,y\n", encoding="utf-8")
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"a\.csv': the list of bad rows is an input"):
        read_table(path, text="file", label="reason", skip_bad_rows=path)
    assert path.read_bytes() == before


def test_the_list_of_an_earlier_run_stays_without_an_input(tmp_path: Path) -> None:
    path, out = tmp_path / "a.csv", tmp_path / "bad.csv"
    with pytest.raises(DataError, match=r"a\.csv': not found"):
        read_table(path, skip_bad_rows=out)
    assert not out.exists()
    path.write_text("text,label\nx,a\ny\nz,b\n", encoding="utf-8")
    with pytest.warns(UserWarning, match="1 bad row of 3"):
        read_table(path, skip_bad_rows=out)
    before = out.read_text(encoding="utf-8")
    with pytest.raises(DataError, match="no column 'review'"):
        read_table(path, text="review", skip_bad_rows=out)
    assert out.read_text(encoding="utf-8") == before
    path.write_text("text,label\nx,a\nz,b\n", encoding="utf-8")
    read_table(path, skip_bad_rows=out)
    assert out.read_bytes() == b"file,line,reason\r\n"


@pytest.mark.parametrize("rows", [100, 2_000])  # the disk is full when the list is closed, and before
def test_a_list_that_cannot_be_written_is_an_error_with_its_name(tmp_path: Path, rows: int) -> None:
    resource = pytest.importorskip("resource")
    path, out = tmp_path / "a.csv", tmp_path / "bad.csv"
    path.write_text("text,label\nx,a\ny,b\n" + "z\n" * rows, encoding="utf-8")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
    try:
        with pytest.raises(DataError, match=r"bad\.csv': cannot be written: File too large"):
            read_table(path, skip_bad_rows=out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not out.exists()


@pytest.mark.parametrize(
    ("first", "as_list"), [("7", False), ("7", True), ('{"text": }', True), ('{"text": "a', False)]
)
def test_bad_json_records_before_the_first_good_one(tmp_path: Path, first: str, as_list: bool) -> None:
    records = [first, '{"text": "x", "label": "a"}', '{"text": 3, "label": "a"}', '{"text": "y", "label": "b"}']
    path, out = tmp_path / ("a.json" if as_list else "a.jsonl"), tmp_path / "bad.csv"
    path.write_text("[" + ",\n".join(records) + "]" if as_list else "\n".join(records), encoding="utf-8")
    with pytest.raises(DataError, match=r":1: .* \(2 bad rows: lines 1, 3\)"):
        read_table(path)
    with pytest.warns(UserWarning, match="2 bad rows of 4 skipped"):
        assert read_table(path, skip_bad_rows=out).inputs == ["x", "y"]
    with open(out, encoding="utf-8", newline="") as file:
        assert [row["line"] for row in csv.DictReader(file)] == ["1", "3"]
    chosen = []
    with RowReader.open(path, Columns(), skip_bad_rows=out) as reader:
        reader.chosen = lambda _, row: bool(chosen.append(row)) or row == 3
        assert [row.input for row in reader] == ["y"]
    assert (chosen, reader.n_bad) == ([0, 1, 2, 3], 0)


@pytest.mark.parametrize("records", [1, 1_001, 5_000])
def test_a_json_file_without_a_good_record(tmp_path: Path, records: int) -> None:
    path, out = tmp_path / "a.jsonl", tmp_path / "bad.csv"
    path.write_text("no\n" * records, encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.jsonl':1: record: not JSON at column 1"):
        read_table(path, skip_bad_rows=out)
    assert not out.exists()


def test_a_whole_number_that_is_no_float(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"n": {10**400}, "review": "a film", "label": "x"}}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r":1: no column 'text'; there are 'n', 'review', 'label'"):
        read_table(path)


def test_a_file_of_bad_rows_stops_early(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "x\n" * 1_500, encoding="utf-8")
    with pytest.raises(DataError, match="1,000 bad rows"):
        read_table(path)
