"""Formats of tables, their options, and rows in bounded memory."""

import contextlib
import gzip
import io
import json
import sys
import tracemalloc
import types
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import feather, parquet

from gatewise.cli.table_writer import write_table
from gatewise.data import read_table, tables
from gatewise.data.row_reader import RowReader, TableColumns
from gatewise.errors import DataError, MissingExtra
from gatewise.storage import json_records
from tests.data.files import read, write
from tests.refusals import assert_refused

GOOD = "text,label\ngood film,pos\ndull,neg\n"
ROWS = [("a good film", "pos"), ("dull; too long", "neg"), ('he said "no"', "neg"), ("line one\nline two", "pos")]


FRAME = pd.DataFrame(ROWS, columns=["text", "label"]).assign(n=[1, 2, 3, 4])


def write_format(path: Path) -> None:
    """The rows in the format of the suffix."""
    plain = path.with_name(path.name.removesuffix(".gz").removesuffix(".zst"))
    name = plain.name.lower()
    if name.endswith((".csv", ".tsv", ".tab")):
        FRAME.to_csv(plain, sep="," if name.endswith(".csv") else "\t", index=False)
    elif name.endswith((".jsonl", ".ndjson")):
        plain.write_text(FRAME.to_json(orient="records", lines=True).replace("\n", "\r\n\n"), encoding="utf-8")
    elif name.endswith(".json"):
        FRAME.to_json(plain, orient="records", indent=2)
    elif name.endswith(".parquet"):
        FRAME.to_parquet(plain, row_group_size=3)
    else:
        FRAME.to_feather(plain, compression="zstd")
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(plain.read_bytes()))
    if path.suffix == ".zst":
        with pa.CompressedOutputStream(str(path), "zstd") as file:
            file.write(plain.read_bytes())


FORMATS = ["a.csv", "a.tsv", "a.TAB", "a.jsonl", "a.NDJSON", "a.json", "a.parquet", "a.arrow", "a.feather"]
FORMATS += [f"a.{name}.{compression}" for name in ("csv", "tsv", "jsonl", "json") for compression in ("gz", "zst")]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    write_format(tmp_path / name)
    data = read_table(tmp_path / name, text="text", label="label")
    assert data.inputs == [text for text, _ in ROWS]
    assert [data.classes[k] for k in data.labels] == [label for _, label in ROWS]
    assert data.source == f"4 rows of '{name}', 2 classes by 'label'"


def test_the_names_of_compressed_files_must_fit(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(b"text,label\nx,a\ny,b\n")
    assert_refused(r"a\.csv\.gz': not gzip", read_table, tmp_path / "a.csv.gz", error=DataError)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(GOOD.encode() * 1000)[:-20])
    assert_refused(r"b\.csv\.gz': cannot be read", read_table, tmp_path / "b.csv.gz", error=DataError)
    write_format(tmp_path / "c.csv.zst")
    (tmp_path / "d.csv.zst").write_bytes((tmp_path / "c.csv.zst").read_bytes()[:-9])
    assert_refused(r"d\.csv\.zst': cannot be read", read_table, tmp_path / "d.csv.zst", error=DataError)
    (tmp_path / "e.parquet").write_bytes(b"text,label\nx,a\ny,b\n")
    assert_refused(r"e\.parquet': not a parquet file", read_table, tmp_path / "e.parquet", error=DataError)


def test_the_delimiter_is_guessed_and_said(tmp_path: Path) -> None:
    for delimiter, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
        FRAME.to_csv(tmp_path / "a.csv", sep=delimiter, index=False)
        data = read_table(tmp_path / "a.csv")
        assert data.inputs == [text for text, _ in ROWS]
        assert data.source.endswith(f"by 'label'; fields separated by {word}")
        assert read_table(tmp_path / "a.csv", delimiter=delimiter).inputs == data.inputs
        assert_refused("no column 'text'", read_table, tmp_path / "a.csv", delimiter=",", error=DataError)
    data = read(tmp_path, "text,label\na; b; c,x\nd; e,y\nf,x\n")
    assert data.inputs == ["a; b; c", "d; e", "f"]
    assert data.source.endswith("by 'label'")


def test_quotes_within_the_texts_of_a_tsv(tmp_path: Path) -> None:
    rows = '"Fine" they said\tx\nhe said "no"\ty\n"\tx\n'
    data = read(tmp_path, f"text\tlabel\n{rows}", "a.tsv")
    assert data.inputs == ['"Fine" they said', 'he said "no"', '"']
    assert data.source.endswith("by 'label'; quotes are part of the fields")
    quoted = read(tmp_path, 'text\tlabel\n"a\nb"\tx\n"c ""d"""\ty\n', "b.tsv")
    assert (quoted.inputs, "quotes" in quoted.source) == (["a\nb", 'c "d"'], False)
    separators = read(tmp_path, 'text\tlabel\n"no"\u2028she said\tx\n"\x0c\ty\n', "d.tsv")
    assert separators.inputs == ['"no"\u2028she said', '"\x0c']
    with pytest.raises(DataError, match=":2: bad row"):  # not every line has two fields
        read(tmp_path, f"text\tlabel\n{rows}z\n", "c.tsv")


def test_header_names_fit_without_case_and_spaces(tmp_path: Path) -> None:
    assert read(tmp_path, " Text ,LABEL\nx,a\ny,b\n").inputs == ["x", "y"]
    assert read(tmp_path, "Text,text,label\nx,z,a\ny,z,b\n").inputs == ["z", "z"]  # the one that is equal
    assert_refused("'text' may be 'Text' or 'TEXT'", read, tmp_path, "Text,TEXT,label\nx,z,a\ny,z,b\n", error=DataError)
    with pytest.raises(DataError, match=r"there are 'review', 'stars'; choose one, for example --text review"):
        read(tmp_path, "review,stars\na long review,5\nanother one,1\n")
    with pytest.raises(DataError, match=r"; choose one, for example --text 'long text'$"):  # as a shell reads it
        read(tmp_path, "kind,long text\nx,a long text\ny,another\n")
    assert_refused("'label' is named as text and as label", read_table, write(tmp_path, "a.csv", GOOD), text="label")
    with pytest.raises(DataError, match=r"no column 'label'; .* for example --label kind"):
        read(tmp_path, "id,text,kind,n\n1,a long text,x,1\n2,another text,y,2\n3,a third one,x,3\n")


def test_several_files_and_patterns(tmp_path: Path) -> None:
    for name, rows in (("b", "x,1\n"), ("a", "y,2\nz,1\n"), ("c", "w,3\n")):
        (tmp_path / f"{name}.csv").write_text(f"text,label\n{rows}", encoding="utf-8")
    (tmp_path / "d.jsonl").write_text('{"label": "1", "text": "v"}', encoding="utf-8")
    assert read_table(tmp_path / "*.csv").inputs == ["y", "z", "x", "w"]
    data = read_table([tmp_path / "c.csv", tmp_path / "d.jsonl"])
    assert (data.inputs, data.source) == (["w", "v"], "2 rows of 'c.csv', 'd.jsonl', 2 classes by 'label'")
    assert_refused("no file fits the pattern", read_table, tmp_path / "*.tsv", error=DataError)


def test_stdin_is_csv_or_json(monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (GOOD, '{"text": "A fine film.", "label": "pos"}\n{"text": "x", "label": "neg"}'):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
        data = read_table("-")
        assert data.classes == ("neg", "pos")
        assert data.source.startswith(f"{len(data)} rows of stdin")
    monkeypatch.setattr("sys.stdin", None)
    assert_refused(r"^stdin: is closed$", read_table, "-", error=DataError)


def test_several_text_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "title,body,label\nT,B,a\n,only a body,b\n")
    assert read_table(path, text=["title", "body"]).inputs == ["T\nB", "\nonly a body"]
    path.write_text("title,body,label\nT,B,a\n, ,b\n", encoding="utf-8")
    assert_refused(r"a\.csv':3: the text is empty", read_table, path, text=["title", "body"], error=DataError)


def not_utf_8() -> pa.Array:
    raw = pa.array([b"u", b"v\xff", b"w"])
    return pa.StringArray.from_buffers(3, *raw.buffers()[1:])


BROKEN = {
    "a text": (not_utf_8(), "'x' is not valid UTF-8: byte 0xFF"),
    "a time": (pa.array([1, 2**62, 3]).cast(pa.timestamp("us")), "'x' has a value that cannot be read: date value out"),
    "a day": (pa.array([1, 2**31 - 1, 3], pa.int32()).cast(pa.date32()), "'x' has a value that cannot be read: days="),
}


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
@pytest.mark.parametrize("case", BROKEN)
def test_cells_of_arrow_that_python_cannot_hold(tmp_path: Path, case: str, suffix: str) -> None:
    column, reason = BROKEN[case]
    block = pa.table({"text": ["a", "b", "c"], "label": ["u", "v", "w"], "x": column})
    path, out = tmp_path / f"a.{suffix}", tmp_path / "bad.csv"
    parquet.write_table(block, path) if suffix == "parquet" else feather.write_feather(block, path)
    assert "iconv" not in assert_refused(rf"a\.{suffix}':2: {reason}", read_table, path, error=DataError)
    with pytest.warns(UserWarning, match="1 bad row of 3 skipped"):
        assert read_table(path, skip_bad_rows=out).inputs == ["a", "c"]


def test_the_types_of_columns_of_one_name(tmp_path: Path) -> None:
    block = pa.Table.from_arrays([pa.array(["a"]), pa.array([1]), pa.array(["u"])], names=["text", "n", "n"])
    parquet.write_table(block, tmp_path / "a.parquet")
    with contextlib.closing(tables.open_table(tmp_path / "a.parquet")) as table:
        schema = table.schema
    assert (schema.names, schema.types[1:]) == (["text", "n", "n (2)"], [pa.int64(), pa.string()])


def test_regression_from_tables(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text,price,rent\nx,1.5,2\ny,-3e2,0\n")
    one = read_table(path, label="price", task="regression")
    assert (one.task, one.classes, one.labels.tolist()) == ("regression", ("price",), [[1.5], [-300]])
    two = read_table(path, label=["rent", "price"], task="regression")
    assert (two.classes, two.labels.tolist()) == (("rent", "price"), [[2, 1.5], [0, -300]])
    assert_refused(r":2: 'price' is 1\.5: this looks like regression", read_table, path, label="price", error=DataError)
    assert read_table(path, label="price", task="classification").classes == ("-3e2", "1.5")
    for value in ("", "nan", "inf", "1,5", "1_000", "high"):
        path.write_text(f'text,price\nx,1\ny,"{value}"\n', encoding="utf-8")
        with pytest.raises(DataError, match=r":3: 'price' (is empty|must be a)"):
            read_table(path, label="price", task="regression")


def test_multilabel_from_tables(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text,topics\nx,news; sport\ny,\nz,art\n")
    data = read_table(path, label="topics", label_separator=";")
    assert (data.task, data.classes) == ("multilabel", ("art", "news", "sport"))
    assert data.labels.tolist() == [[0, 1, 1], [0, 0, 0], [1, 0, 0]]
    assert_refused("the label separator is empty", read_table, path, label="topics", label_separator="")
    path.write_text("text,news,sport\nx,1,0\ny,true,False\nz,0,1\n", encoding="utf-8")
    data = read_table(path, label=["sport", "news"], task="multilabel")
    assert (data.classes, data.labels.tolist()) == (("sport", "news"), [[0, 1], [0, 1], [1, 0]])
    assert_refused("there are 2 label columns: the task must be multilabel", read_table, path, label=["sport", "news"])
    path.write_text("text,news,sport\nx,1,0\ny,2,0\n", encoding="utf-8")
    with pytest.raises(DataError, match=":3: 'news' must be 0 or 1, not '2'"):
        read_table(path, label=["sport", "news"], task="multilabel")
    lists = write(tmp_path, "a.jsonl", '{"text": "x", "label": ["b", "a"]}\n{"text": "y", "label": []}')
    assert read_table(lists).labels.tolist() == [[1, 1], [0, 0]]


def test_weights_groups_and_times(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "text,label,w,who,when\nx,a,2,Bo,1970-01-02\ny,b,0.5,Al,1970-01-01T00:00:10Z\nz,a,1,Bo,1969-12-31\n"
    )
    data = read_table(path, weight="w", group="who", time="when")
    assert data.sample_weight.tolist() == [2, 0.5, 1]
    assert data.groups.tolist() == [1, 0, 1]
    assert data.time.tolist() == [86_400, 10, -86_400]
    assert data.take([2, 0]).time.tolist() == [-86_400, 86_400]
    path.write_text("text,label,w\nx,a,2\ny,b,-1\n")
    assert_refused(":3: 'w', a weight, must be at least 0, not '-1'", read_table, path, weight="w", error=DataError)
    path.write_text("text,label,w\nx,a,2000-01-01\ny,b,soon\n")
    assert_refused(":3: the time 'soon' is neither a number nor a date", read_table, path, time="w", error=DataError)
    path.write_text("text,label,w\nx,a,2024\ny,b,2023-05-01\n")
    assert_refused(":3: 2023-05-01 and 2024 are not of one kind", read_table, path, time="w")


@pytest.mark.parametrize("text", ["a\rb", "a\r\nb", "a\n", "\r", 'a"b', ","])
def test_texts_with_line_ends_are_written_and_read(tmp_path: Path, text: str) -> None:
    with write_table(tmp_path / "o.csv", ["text", "label"]) as writer:
        writer.write([{"text": text + "x", "label": "a"}, {"text": "y", "label": "b"}])
    assert read(tmp_path, (tmp_path / "o.csv").read_bytes()).inputs == [text + "x", "y"]


JSON_LIST = {
    "not closed": ('[{"text": "a", "label": 1}', ":1: not JSON: the list is not closed"),
    "an object not closed": ('[{"text": "a", "label": 1},\n{"text": "', ":1: not JSON: the list is not closed"),
    "no comma": ('[{"text": "a", "label": 1}\n{"text": "b"}]', ":1: not JSON: there must be one comma"),
    "a comma too many": ('[{"text": "a", "label": 1},\n]', ":1: not JSON: there must be one comma"),
    "another space": ('[{"text": "a", "label": 1}\v,{"text": "b"}]', ":1: not JSON: there must be one comma"),
    "something far after": ('[{"text": "a", "label": 1}]' + " " * 200_000 + "x", ":1: not JSON: there is something"),
    "something after": ('[{"text": "a", "label": 1}] x', ":1: not JSON: there is something after the end"),
    "a number": ('[{"text": "a", "label": 1},\n 7]', ":2: not a JSON object"),
    "in a later line": ('[{"text": "a", "label": 1},\n{"text":\n "b" "c"}]', ":3: record: not JSON at column 6"),
    "a bad object": ('[{"text": "a", "label": 1},\n\n{"text": }]', ":3: record: not JSON at column 10"),
}


@pytest.mark.parametrize("case", JSON_LIST)
def test_a_bad_json_list_is_one_line_with_its_place(tmp_path: Path, case: str) -> None:
    content, message = JSON_LIST[case]
    assert_refused(rf"a\.json'{message}", read, tmp_path, content, "a.json", error=DataError)


def test_a_long_record_of_a_json_list_is_searched_a_few_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched = []

    def count(buffer: bytes, begin: int) -> int:
        searched.append(len(buffer) - begin)
        return find(buffer, begin)

    find = json_records._element_end
    monkeypatch.setattr(json_records, "_element_end", count)
    content = json.dumps([{"text": "a" * 3_000_000, "label": 0}, {"text": "b", "label": 1}])
    assert [len(text) for text in read(tmp_path, content, "a.json").inputs if isinstance(text, str)] == [3_000_000, 1]
    assert sum(searched) < 4 * len(content)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.text('a]}[{"\\,\n é')), max_size=5), st.integers(0, 3))
def test_a_json_list_is_split_at_its_objects(records: list[dict[str, str]], indent: int) -> None:
    content = json.dumps([{"first": 0}, *records], indent=indent or None, ensure_ascii=bool(indent % 2))

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(3)

    stream = types.SimpleNamespace(raw=Slow(content.encode()), where="x", errors=contextlib.nullcontext)
    assert [json.loads(raw) for _, raw in json_records._json_list(stream)] == [{"first": 0}, *records]


def test_rows_are_read_in_bounded_memory(tmp_path: Path) -> None:
    """5 MB of each format take less than 3 MB of Python objects."""
    rows = [{"text": f"{n} " + "word " * 50, "label": n} for n in range(1_000)]
    block = pa.Table.from_pylist(rows)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    for name in ("a.csv", "a.jsonl", "a.json", "a.parquet"):
        path = tmp_path / name
        if name == "a.parquet":
            with parquet.ParquetWriter(path, block.schema) as writer:
                for _ in range(5):
                    writer.write_table(block)
        elif name == "a.json":
            path.write_text("[" + ",".join([lines.strip().replace("\n", ",")] * 5) + "]")
        else:
            csv_lines = "".join(f"{row['text']},{row['label']}\n" for row in rows)
            path.write_text("text,label\n" + csv_lines * 5 if name == "a.csv" else lines * 5)
        tracemalloc.start()
        with RowReader.open(path, TableColumns()) as reader:
            assert sum(1 for _ in reader) == 5_000
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 3e6, name


def test_without_pyarrow_text_formats_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("a.csv", "a.jsonl.gz", "a.json", "a.parquet", "a.csv.zst")
    for name in names:
        write_format(tmp_path / name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for name in names[:3]:
        assert len(read_table(tmp_path / name)) == 4
    for name in names[3:]:
        with pytest.raises(MissingExtra, match=r"needs pyarrow: pip install 'gatewise\[data\]'"):
            read_table(tmp_path / name)
    with pytest.raises(MissingExtra, match="parquet needs pyarrow"), write_table(tmp_path / "out.parquet", ["a"]):
        pass
