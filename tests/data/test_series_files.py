"""Files of series: .ts, UCR .tsv, ARFF, .npz, .npy, wide and long tables."""

import io
import re
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from gatewise.data.read import read_series
from gatewise.data.series_files import class_names, is_series_file
from gatewise.errors import DataError, GatewiseError, InputError
from tests.data.files import write
from tests.refusals import assert_refused

NAN = float("nan")
HEADER = """#about
@problemName Made
@timeStamps false
@univariate false
@equalLength false
@classLabel true 2 10 1
@data
"""
ROWS = "1,2.5,3:-4,5e-1,6:2\n\n7:8:10\n 1.0, 2 : 3,4 : 2 \n"


def ts(tmp_path: Path, content: str) -> Path:
    return write(tmp_path, "made_TRAIN.ts", content)


def test_ts_with_two_channels_and_different_lengths(tmp_path: Path) -> None:
    data = read_series(ts(tmp_path, HEADER + ROWS)).labelled()
    assert data.kind == "series"
    want = [[[1, -4], [2.5, 0.5], [3, 6]], [[7, 8]], [[1, 3], [2, 4]]]
    assert [row.tolist() for row in data.inputs if isinstance(row, np.ndarray)] == want
    assert all(isinstance(row, np.ndarray) and row.dtype == np.float32 for row in data.inputs)
    assert data.classes == ("1", "2", "10")  # all that are listed, in the order of numbers
    assert data.labels.tolist() == [1, 2, 1]
    assert data.source == "3 series of 'made_TRAIN.ts', 2 channels, 1 to 3 steps, 3 classes"
    assert data.groups[0] != data.groups[2]


def npz(tmp_path: Path, **arrays: object) -> Path:
    path = tmp_path / "made.npz"
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    return path


def test_npz_of_one_length_and_ragged(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(3, 4, 2))
    for series, label in (("inputs", "labels"), ("X", "y")):
        data = read_series(npz(tmp_path, **{series: values, label: np.array([10, 9, 10])})).labelled()
        np.testing.assert_array_equal(np.stack(data.inputs), values.astype(np.float32))  # type: ignore[arg-type]
        assert (data.classes, data.labels.tolist(), data.target.label_type) == (("9", "10"), [1, 0, 1], "int")
    flat = read_series(npz(tmp_path, inputs=values[:, :, 0], labels=np.array(list("abc"))))
    np.testing.assert_array_equal(flat.inputs[1], values[1, :, :1].astype(np.float32))
    path = npz(tmp_path, values=values[0], lengths=np.array([1, 3]), labels=np.array(list("ba")))
    data = read_series(path).labelled()
    assert [len(row) for row in data.inputs] == [1, 3]
    np.testing.assert_array_equal(data.inputs[1], values[0, 1:].astype(np.float32))
    assert data.labels.tolist() == [1, 0]


def test_npz_numbers_are_those_of_a_table_and_labels_may_be_absent(tmp_path: Path) -> None:
    values = np.random.default_rng(2).normal(size=(2, 5))
    whole = read_series(npz(tmp_path, X=values, y=np.array([1.0, 0]))).labelled()
    assert (whole.task, whole.labels.tolist(), whole.classes) == ("classification", [1, 0], ("0.0", "1.0"))
    assert whole.target.class_labels.dtype == np.float64
    with pytest.raises(DataError, match=r"made\.npz': row 0: the label is 0\.5: this looks like regression"):
        read_series(npz(tmp_path, X=values, y=np.array([0.5, 2]))).labelled()
    data = read_series(npz(tmp_path, X=values, y=np.array([0.5, 2]))).labelled("regression")
    assert (data.task, data.labels.tolist(), data.classes) == ("regression", [[0.5], [2.0]], ("value",))
    alone = read_series(npz(tmp_path, X=values))
    assert alone.labels is None
    assert_refused(r"made\.npz': the series have no labels$", alone.labelled, error=DataError)


def test_layout_of_arrays_in_files(tmp_path: Path) -> None:
    values = np.random.default_rng(2).normal(size=(3, 2, 5)).astype(np.float32)
    np.save(tmp_path / "x.npy", values)
    for path in (tmp_path / "x.npy", npz(tmp_path, X=values)):
        assert_refused(r"may have channels first: pass layout", read_series, path, error=DataError)
        found = read_series(path, layout="channels-first")
        np.testing.assert_array_equal(found.inputs[1], values[1].T)
        assert found.labels is None
    (tmp_path / "y.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-4])
    with pytest.raises(DataError, match=r"'y\.npy' does not have the size that it declares"):
        read_series(tmp_path / "y.npy")
    with pytest.raises(InputError, match=r"the option layout is not for \.ts files"):
        read_series(ts(tmp_path, HEADER + ROWS), layout="time-first")


ONES = np.ones((2, 3, 1))


def test_a_bad_npz_is_refused(tmp_path: Path) -> None:
    for arrays, message in (
        ({"labels": [0, 1]}, "must have X, inputs, or values with lengths; it has 'labels'"),
        ({"labels": [0, 1], "values": np.ones((3, 1))}, "must have X, inputs, or values with lengths"),
        ({"labels": [0, 1], "X": ONES, "inputs": ONES}, "has both 'X' and 'inputs'"),
        ({"labels": [0.5, NAN], "inputs": ONES}, "labels: row 1 is not finite"),
        ({"labels": [[0, 1]], "inputs": ONES}, "labels must be"),
        ({"labels": [0, 1], "inputs": np.ones(2)}, "inputs: got one series of 2 steps"),
        ({"labels": [0, 1], "inputs": np.array([["a"], ["b"]])}, "inputs: the series: series must be real numbers"),
        ({"labels": [0, 1], "inputs": ONES * np.inf}, "inputs: row 0, step 1, channel 1: inf is not finite"),
        ({"labels": [0, 1], "inputs": ONES * 1e99}, "too large for float32"),
        ({"labels": [0, 1, 2], "inputs": ONES}, "2 series and 3 labels"),
        ({"labels": ["a", ""], "inputs": ONES}, "row 1 is an empty label"),
        ({"labels": [0, 1], "values": np.ones((3, 1)), "lengths": [1, 1]}, "lengths must be .* with the sum 3"),
        ({"labels": [0, 1], "values": np.ones((3, 1)), "lengths": [3, 0]}, "lengths must be"),
        ({"labels": [0, 1], "inputs": np.array([{}, []], dtype=object)}, r"'inputs\.npy' holds Python objects"),
        (
            {"y": np.array(["a", None], dtype=object), "X": ONES},
            r"made\.npz': 'y\.npy' holds Python objects: save numbers or strings",
        ),
    ):
        assert_refused(message, read_series, npz(tmp_path, **arrays), error=DataError)


def test_a_hostile_header_of_an_npy_file_is_one_line(tmp_path: Path) -> None:
    for text, message in (
        ("{[]: 1}", "malformed header"),
        ("-" * 8000 + "1", "malformed header"),
        (f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({2**50}, 0)}}\n", "row 0 is an empty series"),
        (f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({2**50}, 3, 0)}}\n", "row 0 is an empty series"),
    ):
        header, path = text.encode(), tmp_path / "a.npy"
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
        assert_refused(message, read_series, path, layout="time-first", error=DataError)


def test_a_damaged_npz_is_refused(tmp_path: Path) -> None:
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 1)})
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as bundle:
        bundle.writestr("inputs.npy", member.getvalue() + b"\0" * 80)
    message = r"'inputs\.npy' does not have the size that it declares"
    assert_refused(message, read_series, tmp_path / "bomb.npz", error=DataError)
    whole = npz(tmp_path, inputs=np.random.default_rng(3).normal(size=(2, 3, 1)), labels=[0, 1]).read_bytes()
    path = tmp_path / "cut.npz"
    for end in range(0, len(whole), 37):
        path.write_bytes(whole[:end])
        assert_refused(r"cut\.npz': not a valid \.npz file", read_series, path, error=DataError)


def nan_lists(series: list[Any]) -> list[Any]:
    """Lists in which NaN is None, so that they compare equal."""
    return [[[None if np.isnan(v) else v for v in step] for step in one.tolist()] for one in series]


def test_ts_with_missing_values_targets_and_without_labels(tmp_path: Path) -> None:
    found = read_series(ts(tmp_path, HEADER + "?,2:NaN,4:2\n1,?:3,4:1\n"))
    assert nan_lists(found.inputs) == [[[None, None], [2, 4]], [[1, 3], [None, 4]]]
    assert found.source == "2 series of 'made_TRAIN.ts', 2 channels, 2 steps, 3 of 8 values missing"
    numbers = read_series(ts(tmp_path, "@targetlabel true\n@data\n1,2:0.5\n3:-2e1\n")).labelled()
    assert (numbers.task, numbers.labels.tolist()) == ("regression", [[0.5], [-20]])
    for header, rows in (("", "1,2:3,4\n5:6\n"), ("@classLabel true a\n", "1,2:3,4:?\n5:6:?\n")):
        unlabelled = read_series(ts(tmp_path, header + "@data\n" + rows))
        assert unlabelled.labels is None
        assert nan_lists(unlabelled.inputs) == [[[1, 3], [2, 4]], [[5, 6]]]


@pytest.mark.parametrize("separator", ["\t", ",", "  "])
def test_ucr_text(tmp_path: Path, separator: str) -> None:
    rows = [["2.0000e+00", "0.5", "-1e-2", "3"], ["-1", "NaN", "7", "NaN"], ["2", "1", "NaN", "NaN"]]
    path = write(tmp_path, "made.tsv" if separator == "\t" else "made.txt", "\n".join(map(separator.join, rows)))
    assert is_series_file(path)
    data = read_series(path)
    first = np.array([[0.5], [-1e-2], [3]])
    assert nan_lists(data.inputs) == [first.tolist(), [[None], [7]], [[1]]]
    assert data.labels == ["2", "-1", "2"]
    assert data.labelled().classes == ("-1", "2")
    everything = read_series(path, label="")
    assert everything.labels is None
    assert len(everything.inputs[0]) == 4


HINT = "; name their column with label (--label), if there is one"


def test_a_column_of_labels_is_asked_for_where_there_may_be_one(tmp_path: Path) -> None:
    for name, content, hint in (
        ("a.ts", "@data\n1,2\n3,4\n", ""),
        ("a.tsv", "NaN\t1\t2\n?\t3\t4\n", ""),
        ("a.csv", "s,t\n1,2\n3,4\n", HINT),
        ("a.csv", "s,t,label\n1,2,\n3,4,\n", ""),
        ("a.arff", "@relation x\n@attribute s numeric\n@attribute t numeric\n@data\n1,2\n3,4\n", HINT),
        ("a.arff", "@relation x\n@attribute s numeric\n@attribute c {u}\n@data\n1,?\n3,?\n", ""),
    ):
        rows = read_series(write(tmp_path, name, content))
        assert_refused(re.escape(f"{name}': the series have no labels{hint}") + "$", rows.labelled, error=DataError)


def test_a_tsv_with_a_header_is_a_table(tmp_path: Path) -> None:
    for content in ("text\tlabel\ngood\t1\n", "0\t1\t2\n3\t4\t5\n", "1\t2\n5\tsome text\n", ""):
        assert not is_series_file(write(tmp_path, "a.tsv", content))


def test_arff_univariate(tmp_path: Path) -> None:
    header = "% about\n@RELATION Made\n\n@ATTRIBUTE att0 NUMERIC\n@attribute 'att 1' real\n@attribute a2 numeric\n"
    path = write(tmp_path, "a.arff", header + "@attribute target {b, 'a c'}\n@data\n1,?,3,b\n4.5, 5,?,'a c'\n")
    found = read_series(path)
    assert nan_lists(found.inputs) == [[[1], [None], [3]], [[4.5], [5]]]
    assert (found.labels, found.classes) == (["b", "a c"], ("a c", "b"))
    path = write(tmp_path, "b.arff", header + "@data\n1,2,3\n4,5,6\n")
    assert read_series(path).labels is None
    numbers = read_series(path, label="a2").labelled()
    assert (numbers.task, numbers.labels.tolist(), numbers.classes) == ("regression", [[3], [6]], ("a2",))
    path = write(tmp_path, "c.arff", "@attribute a real\n@attribute b real\n@attribute y {u,v}\n@data\n1,2,u\n")
    assert read_series(path, label="Y").labels == ["u"]
    assert_refused(":4: no column 'z'; there are 'a', 'b', 'y'", read_series, path, label="z", error=DataError)


def test_arff_multivariate(tmp_path: Path) -> None:
    header = "@relation Made\n@attribute r relational\n@attribute x1 numeric\n@attribute x2 numeric\n@end r\n"
    path = write(tmp_path, "a.arff", header + "@attribute c {u,v}\n@data\n'1,2\\n3,?',v\n\"4,?\\n6,?\",u\n")
    found = read_series(path)
    assert nan_lists(found.inputs) == [[[1, 3], [2, None]], [[4, 6]]]
    assert found.labels == ["v", "u"]


def write_table(tmp_path: Path, suffix: str, header: list[str], rows: list[list[Any]]) -> Path:
    path, frame = tmp_path / f"made{suffix}", pd.DataFrame(rows, columns=header)
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, sep="," if suffix == ".csv" else "\t", index=False)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_wide_table(tmp_path: Path, suffix: str) -> None:
    rows = [["p", "up", 1.0, None, 3.5], ["q", "down", 4.0, 5.0, None]]
    path = write_table(tmp_path, suffix, ["name", "class", "t0", "t1", "t2"], rows)
    found = read_series(path, label="class", id="name")
    assert nan_lists(found.inputs) == [[[1], [None], [3.5]], [[4], [5]]]
    assert (found.labels, found.ids) == (["up", "down"], ["p", "q"])
    assert_refused("'name' must be a number, not 'p'", read_series, path, label="class", error=DataError)
    with pytest.raises(DataError, match="no column 'kind'; there are 'name', 'class', 't0'"):
        read_series(path, label="kind")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_long_table(tmp_path: Path, suffix: str) -> None:
    rows = [["b", 2, 1.5, 10.0, "x"], ["a", 10, 3.0, None, "y"], ["a", 9, 4.0, 40.0, "y"], ["b", 1, 5.0, 50.0, "x"]]
    path = write_table(tmp_path, suffix, ["id", "t", "u", "v", "class"], rows)
    found = read_series(path, id="id", time="t", label="class")
    assert nan_lists(found.inputs) == [[[5, 50], [1.5, 10]], [[4, 40], [3, None]]]
    assert (found.ids, found.labels) == (["b", "a"], ["x", "y"])


def test_the_hour_that_occurs_twice_in_autumn(tmp_path: Path) -> None:
    zone = ZoneInfo("Europe/Berlin")
    first = datetime(2024, 10, 26, 23, tzinfo=UTC)
    rows = [["a", (first + timedelta(hours=k)).astimezone(zone), float(k)] for k in (2, 1, 0, 3)]
    found = read_series(write_table(tmp_path, ".parquet", ["id", "t", "u"], rows), id="id", time="t")
    assert nan_lists(found.inputs) == [[[0], [1], [2], [3]]]


def test_label_numbers_of_a_table(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "y,t0,t1\n0.5,1,2\n2,3,4\n")
    with pytest.raises(DataError, match=r"'y' is 0\.5: this looks like regression: pass task=.regression"):
        read_series(path, label="y").labelled()
    data = read_series(path, label="y").labelled("regression")
    assert (data.labels.tolist(), data.classes) == ([[0.5], [2]], ("y",))
    with pytest.raises(DataError, match=r"b\.csv':2: the label 'x' is not a number"):
        read_series(write(tmp_path, "b.csv", "y,t0\nx,1\n"), label="y").labelled("regression")


def test_files_that_are_not_there_or_of_no_format(tmp_path: Path) -> None:
    assert_refused("not valid UTF-8 at byte 3", read_series, write(tmp_path, "x.ts", b"@a\n\xff"), error=DataError)
    assert_refused(r"the name must end in one of \.ts \.arff", read_series, tmp_path / "a.xyz", error=DataError)
    for name in ("a.ts", "a.csv", "a.arff", "a.npy", "a.npz", "a.tsv", "a.parquet"):
        assert_refused(r"not found|cannot be read", read_series, tmp_path / name, error=GatewiseError)


def test_class_names() -> None:
    assert class_names(["1.0", "2.0000e+00", "-3"]) == ["1", "2", "-3"]
    assert class_names(["1.5", "2.0"]) == ["1.5", "2.0"]
    assert class_names(["9007199254740993", "9007199254740992.0"]) == ["9007199254740993", "9007199254740992"]
    assert class_names(["1e-400", "0"]) == ["1e-400", "0"]


R = "@relation x\n"
A = R + "@attribute a "
LONG = {"id": "id", "time": "t", "label": "c"}
NONE: dict[str, Any] = {}
REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    ("made_TRAIN.ts", HEADER + "1,2:3,4:2\n1,2:3:2\n", NONE, ":9: channel 2 has 1 step, channel 1 has 2"),
    ("made_TRAIN.ts", HEADER + "1,2:3,4:2\n1,2:2\n", NONE, ":9: 1 channel, expected 2"),
    ("made_TRAIN.ts", HEADER + "2\n", NONE, ":8: 0 channels, expected one or more"),
    ("made_TRAIN.ts", HEADER + "1,2:3,4:7\n", NONE, ":8: class '7' is not among those of @classLabel"),
    ("made_TRAIN.ts", HEADER + "1,2:3,x:2\n", NONE, ":8: channel 2 has an invalid number, 'x'"),
    ("made_TRAIN.ts", HEADER + "1,2:3,1_0:2\n", NONE, ":8: channel 2 has an invalid number, '1_0'"),
    ("made_TRAIN.ts", HEADER + "1,\u0662:3,4:2\n", NONE, ":8: channel 1 has an invalid number, '\u0662'"),
    ("made_TRAIN.ts", HEADER + "1,inf:3,4:2\n", NONE, ":8: channel 1 has a value that is not finite"),
    ("made_TRAIN.ts", HEADER + "1,2:3,4:?\n1,2:3,4:2\n", NONE, ":8: the label is empty"),
    ("made_TRAIN.ts", HEADER + "1,1e99:3,4:2\n", NONE, ":8: channel 1 has a value that is not finite"),
    ("made_TRAIN.ts", HEADER + ":3,4:2\n", NONE, ":8: channel 1 has an invalid number, ''"),
    ("made_TRAIN.ts", HEADER, NONE, "has no series after '@data'"),
    ("made_TRAIN.ts", "", NONE, "has no series after '@data'"),
    ("made_TRAIN.ts", "@classLabel true\n@data\n1:2\n", NONE, ":1: '@classLabel true' must list the classes"),
    ("made_TRAIN.ts", "@timestamps true\n@data\n", NONE, ":1: time stamps are not supported"),
    ("made_TRAIN.ts", "@targetlabel true\n@data\n1,2:x\n", NONE, ":3: the target 'x' is not a finite number"),
    ("made_TRAIN.ts", "1,2:3\n", NONE, ":1: neither a comment nor an @ line before '@data': '1,2:3'"),
    ("a.tsv", "1\t3\t3\n2\t4\t5\n1\t6\t7\n1\tx\t3\n", NONE, ":4: channel 1 has an invalid number, 'x'"),
    ("a.tsv", "1\t3\t3\n1\t2\tinf\n", NONE, ":2: channel 1 has a value that is not finite"),
    ("a.tsv", "1\t3\t3\nNaN\t2\t4\n", NONE, ":2: the label is empty"),
    ("a.tsv", "1\t3\t3\n1\tNaN\tNaN\n", NONE, ":2: the series has no value"),
    ("a.arff", R + "@attribute a numeric\n@attribute c {u}\n@data\n1,2,u\n", NONE, ":5: 3 values, but 2"),
    ("a.arff", R + "@attribute a numeric\n@attribute c {u}\n@data\n1,w\n", NONE, ":5: class 'w' is not among"),
    ("a.arff", A + "string\n", NONE, ":2: attribute 'a' is neither numeric nor nominal: 'string'"),
    ("a.arff", A + "{u}\n@attribute b {v}\n@data\n", NONE, ":4: 2 nominal attributes, 'a', 'b': name"),
    ("a.arff", A + "relational\n@attribute q numeric\n@end a\n@data\n'1,2\n", NONE, ":6: a quote is not"),
    ("a.arff", "1,2,3\n", NONE, ":1: not an ARFF header: '1,2,3'"),
    ("a.arff", R + "@attribute a numeric\n@data\n", NONE, "has no series after '@data'"),
    ("a.csv", "id,t,u,c\na,1,2,x\na,1,3,x\n", LONG, r":3: two rows of series 'a' have the time '1'"),
    ("a.csv", "id,t,u,c\na,1,2,x\na,2,3,y\n", LONG, ":3: the label of series 'a' is 'y', but 'x' in .*:2"),
    ("a.csv", "id,t,u,c\na,1,2,x\na,2024-01-01,3,x\n", LONG, ":3: 't': 2024-01-01 and 1 are not of one kind"),
    ("a.csv", "id,t,u,c\na,2024-01-01,2,x\na,2024-01-02T00:00Z,3,x\n", LONG, ":3: 't': .* are not of one kind"),
    ("a.csv", "id,t,u,c\na,0001-01-01T00:00+05:00,2,x\n", LONG, r":2: the time 0001-.* is outside the years 1 to 9999"),
    ("a.csv", "id,t,u,c\na,31/01/2024,2,x\n", LONG, ":2: the time '31/01/2024' is neither a number nor a date"),
    ("a.csv", "id,t,u,c\na,1,x,x\n", LONG, ":2: 'u' must be a number, not 'x'; name a label or id column"),
    ("a.csv", "id,t,u,c\na,1,1_0,x\n", LONG, ":2: 'u' must be a number, not '1_0'"),
    ("a.csv", "id,t,u,c\na,1,1\x1c,x\n", LONG, ":2: 'u' must be a number, not '1"),
    ("a.csv", ";;;\n1;2;3;4\n", LONG, ":1: no column 'c'; there are '', '', '', ''"),
    ("a.csv", "id,t,u,c\na,1,inf,x\n", LONG, ":2: 'u' must be a finite number, not 'inf'"),
    ("a.csv", "id,t,u,c\n,1,2,x\n", LONG, ":2: 'id' is empty"),
    ("a.csv", "id,t,u,c\na,1,2\n", LONG, ":2: 3 fields, but the header has 4"),
    ("a.csv", "id,t,c\na,1,x\n", LONG, ":1: there is no column for the values"),
    ("a.csv", "id,t,u,c\na,1,2,\nb,1,2,x\n", LONG, "'c' is empty"),
    ("a.csv", "id,t,u,c\na,1,2,0\nb,1,2,nan\n", LONG, ":3: 'c' is empty"),
    ("a.csv", "1.5,2,3\n4,5,6\n", NONE, ":1: the first line holds numbers only"),
    ("a.csv", "a,a\n1,2\n", NONE, ":1: the header has 2 columns 'a'"),
    ("a.csv", ",u\n0,2\n1,3\n", NONE, ":1: the column '' would be read as values"),
    ("a.csv", "ID,u\n7,2\n8,3\n", NONE, ":1: the column 'ID' .* name it with --id"),
    ("a.csv", "t0,t1,class\n1,2,0\n2,3,1\n", NONE, ":1: the column 'class' would be read as values"),
    ("a.csv", "t0,t1,target\n1,2,0\n2,3,1\n", NONE, "name it with --label, or take it out"),
    ("a.csv", "n,u\nx,2\ny,3\n", NONE, "must be a number, not 'x'; name a label or id"),
    ("a.csv", ",id,t,u,c\n0,a,1,2,x\n1,a,2,3,x\n", LONG, ":1: the column '' would be read as values"),
    ("a.csv", "a,b\n", NONE, "has no row"),
    ("a.jsonl", '{"t0": 5, "t1": 4}\n{"t0": 1}\n', NONE, ":2: no key 't1'; there are 't0'"),
    ("a.jsonl", '{"t0": 5}\n{"t0": 1, "t2": 3}\n', NONE, ":2: the key 't2' is not in the first"),
    ("a.jsonl", f'{{"t": 1, "a": 5}}\n{{"t": {10**391}, "a": 5}}\n', {"time": "t"}, ":2: the time '10*…' is not"),
    ("a.csv", "", NONE, "is empty"),
]


@pytest.mark.parametrize(("name", "content", "options", "message"), REFUSED)
def test_a_bad_file_is_one_line_with_its_place(
    tmp_path: Path, name: str, content: str, options: dict[str, Any], message: str
) -> None:
    path = write(tmp_path, name, content)
    assert_refused(f"{name}'.*{message}", read_series, path, **options, error=DataError)
