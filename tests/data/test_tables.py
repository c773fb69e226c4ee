"""Tables, folders and unlabelled texts: valid input, errors with their line, bad rows that are skipped into a list."""

import csv
import gzip
import json
import re
from pathlib import Path

import pytest

from gatewise.data import Unlabelled, imdb, imdb_texts, read_folder, read_table, read_texts
from gatewise.data.row_reader import RowReader, TableColumns
from gatewise.errors import DataError, DataWarning
from tests.data.files import read, write, write_folder
from tests.refusals import assert_refused

GOOD = "text,label\ngood film,yes\ndull,no\n"


def test_a_csv(tmp_path: Path) -> None:
    data = read(tmp_path, 'id,label,text,x\n1, yes ,"a ""good"", film\nin two lines",\n\n2,no,dull,\n3,maybe,é,7\n')
    assert data.inputs == ['a "good", film\nin two lines', "dull", "é"]
    assert data.classes == ("maybe", "no", "yes")
    assert data.labels.tolist() == [2, 1, 0]
    assert data.source == "3 rows of 'reviews.csv', 3 classes by 'label'"
    assert data.kind == "text"


def test_the_same_table_written_otherwise(tmp_path: Path) -> None:
    for content in (
        GOOD,
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        GOOD.rstrip("\n"),
        "\n" + GOOD + "\n\n",
        GOOD.replace("dull", '"dull"'),
    ):
        data = read(tmp_path, content)
        assert (data.inputs, data.labels.tolist(), data.classes) == (["good film", "dull"], [1, 0], ("no", "yes"))


@pytest.mark.parametrize("content", [b"text\rx", b"text\r\rx\r", b"text\nx", b"\rtext\rx\n"])
def test_lines_that_end_in_a_carriage_return(tmp_path: Path, content: bytes) -> None:
    assert read_texts([str(write(tmp_path, "reviews.csv", content))]).texts == ["x"]


def test_number_labels_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"text": "x", "label": label}) + "\n" for label in (10, 9, -1))
    assert read(tmp_path, lines, "a.jsonl").classes == ("-1", "9", "10")
    both = '{"text": "x", "label": true}\n{"text": "y", "label": false}'
    assert read(tmp_path, both, "a.jsonl").classes == ("False", "True")


REFUSED = {
    "no such column": ("a,label\nx,y\n", ":1: no column 'text'; there are 'a', 'label'"),
    "numbers": ("u,v,w\n1,2,3\n", ":1: no column 'text'; there are 'u', 'v', 'w'; the cells are numbers: add --series"),
    "doubled column": ("text,label,text\nx,y,z\n", ":1: there are 2 columns 'text'"),
    "short row": ("text,label\nx,y\nz\n", ":3: 1 field, but the header has 2"),
    "long row": ('text,label\n"x\ny",y\nz,a,b\n', ":4: 3 fields, but the header has 2"),
    "open quote": ('text,label\nx,y\n"z,a\nb,c\n', ":3: a quote opened in this row is not closed (lines 3 to 4)"),
    "a label that is NaN": ("text,label\nx,1\ny,nan\nz,0\n", ":3: 'label' is 'nan': neither a class nor a number"),
    "a label that is infinite": ("text,label\nx,1\ny,inf\n", ":3: 'label' is 'inf'"),
    "open quote in the header": ('"text,label\nx,y\n', ":1: a quote opened"),
    "text behind a quote": ('text,label\n\n"x"y,z\n', ":3: bad row"),
    "empty label": ("text,label\nx,\ny,a\nz, \n", ":2: 'label' is empty (2 bad rows: lines 2, 4)"),
    "empty text": ("text,label\nx,a\n   ,b\n", ":3: the text is empty"),
    "many empty texts": ("text,label\n" + ",a\n" * 7, ":2: the text is empty (7 bad rows: lines 2, 3, 4, 5, 6, …)"),
    "one class": ("text,label\nx,a\ny,a\n", "only 'a' in 'label'; a classifier needs two classes"),
    "header only": ("text,label\n", "no row in 'label'"),
    "nothing": ("", "is empty"),
    "blank lines": ("\n\n", "is empty"),
    "NUL": ("text,label\nx,a\ny\0,b\n", ":3: a NUL byte"),
    "not UTF-8": (
        b"text,label\nx,a\n\xe9t\xe9,b\n",
        ":3: not valid UTF-8: byte 0xE9; convert the file, for example: iconv -f latin1 -t utf-8",
    ),
    "UTF-16": (GOOD.encode("utf-16"), "not text in UTF-8; convert the file, for example: iconv -f utf-16"),
    "gzip": (gzip.compress(GOOD.encode()), "this is gzip"),
    "Parquet": (b"PAR1\x15\x04", "this is Parquet"),
    "xlsx": (b"PK\x03\x04", "this is a zip or Excel file"),
    "a column of texts as label": (
        "text,label\n" + "".join(f"x,label {n}\n" for n in range(1_001)),
        "'label' has 1,001 different labels; is it the right column?",
    ),
    "a quote closed far away": ('text,label\n"' + "x" * 10_000_001 + '",a\nb,c\n', ":2: a quote opened"),
}
REFUSED_JSON = {
    "not JSON": ('{"text": "a", "label": 1}\n{"text"\n', ":2: record: not JSON at column 8: Expecting ':' delimiter"),
    "a list": ('["a", 1]\n', ":1: not a JSON object"),
    "no key": ('{"text": "a", "label": 1}\n{"label": 1, "body": "a"}', ":2: no key 'text'; there are 'label', 'body'"),
    "a key twice": ('{"text": "a", "text": "b", "label": 1}', ":1: record: duplicate key ('text')"),
    "NaN": ('{"text": "a", "label": NaN}', ":1: record: NaN and Infinity are not JSON ('NaN')"),
    "a fraction": ('{"text": "a", "label": 0.5}', ":1: 'label' is 0.5: this looks like regression"),
    "null": ('{"text": "a", "label": null}', ":1: 'label' is empty"),
    "a number as text": ('{"text": 7, "label": 1}', ":1: column 'text' is a number (7), not a text"),
    "nested too deep": ('{"text": ' + "[" * 200_000, ":1: record: nested more than 16 levels deep"),
    "a long number": ('{"text": "a", "label": ' + "9" * 5_000 + "}", ":1: record: a number has too many digits"),
    "a lone surrogate": ('{"text": "a\\ud800", "label": 1}', ":1: record: contains a lone surrogate"),
    "two types": ('{"text": "a", "label": "x"}\n{"text": "b", "label": 7}', ":2: 'label' is a number (7), but "),
    "an empty label": ('{"text": "a", "label": " "}', ":1: 'label' is empty"),
    "no float": (f'{{"n": {10**400}, "body": "a b", "c": 1}}', ":1: no column 'text'; there are 'n', 'body', 'c'"),
}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        *(pytest.param("reviews.csv", *case, id=name) for name, case in REFUSED.items()),
        *(pytest.param("reviews.jsonl", *case, id=name) for name, case in REFUSED_JSON.items()),
    ],
)
def test_a_bad_table_is_one_line_with_its_place(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    assert f"{name}'" in assert_refused(re.escape(message), read, tmp_path, content, name, error=DataError)


def test_equal_numbers_are_one_class(tmp_path: Path) -> None:
    """As a numeric column of pandas: 1 and 1.0 are equal. Texts that contain numbers stay as they are."""
    with pytest.warns(
        DataWarning, match=r"reviews\.csv': 'label': '1' and '1\.0' are equal numbers, and one class '1'"
    ):
        data = read(tmp_path, "text,label\na,1\nb,0.0\nc,1.0\nd,20.00\n")
    assert (data.classes, data.labels.tolist()) == (("0", "1", "20"), [1, 0, 1, 2])
    for labels, classes in (
        (("1.0", "0.0"), ("0.0", "1.0")),
        (("1", "1.0", "none"), ("1", "1.0", "none")),
        (("123456789012345678901", "123456789012345678902"), ("123456789012345678901", "123456789012345678902")),
    ):
        content = "text,label\n" + "".join(f"t,{label}\n" for label in labels)
        assert read_table(write(tmp_path, "reviews.csv", content), task="classification").classes == classes


def test_one_class_is_enough_where_a_model_has_the_others(tmp_path: Path) -> None:
    data = read_table(write(tmp_path, "reviews.csv", "text,label\nx,a\ny,a\n"), one_class=True)
    assert (data.classes, data.labels.tolist()) == (("a",), [0, 0])
    assert data.source == "2 rows of 'reviews.csv', 1 class by 'label'"
    one = read_table(write(tmp_path, "reviews.csv", "text,label\nx,a\n"), one_class=True)
    assert one.source == "1 row of 'reviews.csv', 1 class by 'label'"
    assert read_folder(write_folder(tmp_path / "texts", {"a/1.txt": b"x"}), one_class=True).source == (
        "1 file of the folder 'texts', 1 class"
    )


def test_errors_in_several_files_name_the_file(tmp_path: Path) -> None:
    for name, contents, message in (
        (
            "csv",
            ("text,label\nx,1\n,2\n", "text,label\n,1\ny\n"),
            "{a}:3: the text is empty (3 bad rows: {a}:3, {b}:2, {b}:3)",
        ),
        (
            "jsonl",
            ('{"text": "a", "label": "x"}\n', '\n{"text": "b", "label": 7}\n'),
            "{b}:2: 'label' is a number (7), but {a}:1: 'label' is a text ('x')",
        ),
    ):
        paths = [write(tmp_path, f"{n}.{name}", content) for n, content in zip("ab", contents, strict=True)]
        a, b = (f"'{path}'" for path in paths)
        assert assert_refused(".", read_table, paths, error=DataError) == message.format(a=a, b=b)


def test_a_long_field_is_read_and_the_limit_of_csv_stays(tmp_path: Path) -> None:
    csv.field_size_limit(131_072)
    assert len(read(tmp_path, f"text,label\n{'x' * 5_000_000},a\ny,b\n").inputs[0]) == 5_000_000
    with pytest.raises(DataError):
        read(tmp_path, "text,label\nx\n")
    assert csv.field_size_limit() == 131_072


def test_a_file_that_is_no_table(tmp_path: Path) -> None:
    assert_refused(r"none\.csv': not found", read_table, tmp_path / "none.csv", error=DataError)
    (tmp_path / "folder.csv").mkdir()
    assert_refused(r"folder\.csv': a folder, and files are read", read_table, tmp_path / "folder.csv", error=DataError)
    ends = r"must end in one of \.csv \.tsv \.tab \.jsonl \.ndjson \.json \.parquet"
    assert_refused(ends, read, tmp_path, GOOD, "a.txt", error=DataError)


def test_a_folder_a_class(tmp_path: Path) -> None:
    files = {"10/b.txt": "two", "10/a.txt": "\ufeffé", "9/x.txt": "three"}
    ignored = {"9/notes.md": "", ".git/a.txt": "x", "9/.hidden.txt": "", "readme.txt": "x"}
    data = read_folder(write_folder(tmp_path, files | ignored))
    assert (data.inputs, data.classes, data.labels.tolist()) == (["é", "two", "three"], ("9", "10"), [1, 1, 0])
    assert data.source == f"3 files of the folder '{tmp_path.name}', 2 classes"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a/1.txt": b"x"}, "has 1 folder; a classifier needs two"),
        ({"a/1.txt": b"x", "b/1.md": b"x"}, "b': has no .txt file"),
        ({"a/1.txt": b"x", "b/1.txt": b" "}, r"1.txt': the text is empty"),
        ({"a/1.txt": b"x", "b/1.txt": b"a\xff"}, r"1.txt': not valid UTF-8 at byte 1"),
        ({"a/1.txt": b"x", "b/1.txt": b"x" * 10_485_761}, r"1.txt': more than 10,485,760 bytes"),
    ],
)
def test_a_bad_folder_is_refused(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    assert_refused(message, read_folder, write_folder(tmp_path, files), error=DataError)


def test_a_link_in_a_folder_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a/1.txt": b"x", "b/1.txt": b"y"})
    (tmp_path / "b" / "2.txt").symlink_to(tmp_path / "a" / "1.txt")
    assert_refused(r"2\.txt': not a plain file", read_folder, tmp_path, error=DataError)
    assert_refused("nowhere': not found", read_folder, tmp_path / "nowhere", error=DataError)


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
    assert_refused(r"a\.csv':3: 1 field, .* \(7 bad rows: lines 3, 4, 6, 7, 9, …\)", read_table, path, error=DataError)


def test_only_a_list_of_bad_rows_is_overwritten_and_it_is_no_input(tmp_path: Path) -> None:
    for content, message in (
        ("text,label\nx,a\ny\nz,b\n", "exists, and is not a list of bad rows: it is not overwritten"),
        ("file,line,reason\na,1,x\nb,2\nc,3,y\n", "the list of bad rows is an input"),
    ):
        path = write(tmp_path, "a.csv", content)
        assert_refused(rf"a\.csv': {message}", read_table, path, skip_bad_rows=path)
        assert path.read_text() == content


def test_the_list_of_an_earlier_run_stays_without_an_input(tmp_path: Path) -> None:
    path, out = tmp_path / "a.csv", tmp_path / "bad.csv"
    assert_refused(r"a\.csv': not found", read_table, path, skip_bad_rows=out, error=DataError)
    assert not out.exists()
    path.write_text("text,label\nx,a\ny\nz,b\n", encoding="utf-8")
    with pytest.warns(UserWarning, match="1 bad row of 3"):
        read_table(path, skip_bad_rows=out)
    before = out.read_text(encoding="utf-8")
    assert_refused("no column 'review'", read_table, path, text="review", skip_bad_rows=out, error=DataError)
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
    assert_refused(r":1: .* \(2 bad rows: lines 1, 3\)", read_table, path, error=DataError)
    with pytest.warns(UserWarning, match="2 bad rows of 4 skipped"):
        assert read_table(path, skip_bad_rows=out).inputs == ["x", "y"]
    with open(out, encoding="utf-8", newline="") as file:
        assert [row["line"] for row in csv.DictReader(file)] == ["1", "3"]
    chosen = []
    with RowReader.open(path, TableColumns(), skip_bad_rows=out) as reader:
        reader.chosen = lambda _, row: bool(chosen.append(row)) or row == 3
        assert [row.input for row in reader] == ["y"]
    assert (chosen, reader.n_bad) == ([0, 1, 2, 3], 0)


@pytest.mark.parametrize("records", [1, 1_001, 5_000])
def test_a_json_file_without_a_good_record(tmp_path: Path, records: int) -> None:
    path, out = tmp_path / "a.jsonl", tmp_path / "bad.csv"
    path.write_text("no\n" * records, encoding="utf-8")
    assert_refused(r"a\.jsonl':1: record: not JSON at column 1", read_table, path, skip_bad_rows=out, error=DataError)
    assert not out.exists()


def test_a_file_of_bad_rows_stops_early(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text,label\n" + "x\n" * 1_500)
    assert_refused("1,000 bad rows", read_table, path, error=DataError)


def test_each_kind_of_source(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "f", {"b/two.txt": "zwei", "a.txt": "eins", ".hidden.txt": "no", "note.md": "no"})
    table = write(tmp_path, "t.csv", 'body,n\n"drei, mit Komma",1\nvier,2\n')
    lines = write(tmp_path, "l.txt", "fünf\n\nsechs\n")
    found = read_texts([str(folder), str(table), str(lines)], text="body")
    assert found.texts == ["eins", "zwei", "drei, mit Komma", "vier", "fünf", "sechs"]
    assert found.source == "2 files of the folder 'f'; 2 rows of 't.csv'; 2 lines of 'l.txt'"


def test_reviews_of_the_test_half_are_left_out(tmp_path: Path) -> None:
    files = {}
    for half in ("train", "test"):
        for label, number in (("pos", 8), ("neg", 2)):
            files[f"{half}/{label}/0_{number}.txt"] = f"{half} {label}"
    files |= {"train/unsup/0_0.txt": "of its own", "train/unsup/1_0.txt": "TEST  pos", "train/pos/1_9.txt": "test neg"}
    found = imdb_texts(write_folder(tmp_path / "aclImdb", files))
    assert sorted(found.texts) == ["of its own", "train neg", "train pos"]
    assert "2 duplicates of test reviews removed" in found.source
    known = imdb(tmp_path / "aclImdb")
    again = imdb_texts(tmp_path / "aclImdb", known=known)
    assert (again.texts, again.source) == (found.texts, found.source)


def test_bytes_that_are_no_text_are_an_error(tmp_path: Path) -> None:
    files = {f"{half}/{c}/0_5.txt": f"{half} {c}" for half in ("train", "test") for c in ("pos", "neg")}
    root = write_folder(tmp_path / "aclImdb", {**files, "train/unsup/7_0.txt": b"ab\xff"})
    assert_refused(r"unsup/7_0\.txt: not valid UTF-8 at byte 2", imdb_texts, root, error=DataError)


def test_the_same_texts_have_the_same_fingerprint() -> None:
    one, other = Unlabelled.of(["a", "bc"]), Unlabelled.of(["ab", "c"])
    assert one.fingerprint() == Unlabelled(["a", "bc"], "elsewhere").fingerprint() != other.fingerprint()


def test_sources_that_cannot_be_read(tmp_path: Path) -> None:
    assert_refused(r"no \.txt file", read_texts, [str(tmp_path)], error=DataError)
    assert_refused("not found", read_texts, [str(tmp_path / "no.txt")], error=DataError)
    assert_refused("at least one source", read_texts, [])
    for name, content, says in (
        ("x.pdf", "x", "must end in one of"),
        ("x.csv", "body\n", "has no row"),
        ("x.csv", "body\n \n", "the text is empty"),
        ("x.csv", "other\na\n", "no column 'body'"),
        ("x.jsonl", '{"body": 3}\n', "is a number .3., not a text"),
        ("x.txt", "", "the text is empty"),
    ):
        (tmp_path / name).write_text(content)
        assert_refused(says, read_texts, [str(tmp_path / name)], text="body", error=DataError)
