"""Targets: files of texts and series."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gatewise.cli.text_lines import open_lines
from gatewise.data.read import read_series, read_table
from gatewise.data.rows import Rows
from gatewise.data.schema import NUMBER
from gatewise.data.tables import Table, long_fields, open_table
from gatewise.errors import GatewiseError
from trust.attack import check_message
from trust.fuzzing.target import Target

Records = list[dict[str, Any]]


def _written(raw: bytes, folder: Path, name: str) -> Path:
    file = folder / name
    file.write_bytes(raw)
    return file


def _read_table(raw: bytes, folder: Path, name: str) -> tuple[Table, Records, list[int]]:
    """The table, its good rows, and the lines of its bad ones."""
    with closing(open_table(_written(raw, folder, name))) as table:
        found = list(table.rows(lambda: False))
    rows = [row for _, row in found if isinstance(row, dict)]
    return table, rows, [line for line, row in found if isinstance(row, str)]


def _other_reader(raw: bytes, folder: Path, name: str) -> None:
    """One of the readers that take their texts, labels and series from a table, chosen by the length of the input."""
    file = folder / name
    calls: list[Callable[[], Any]] = [
        partial(read_table, file),
        partial(read_table, file, task="regression", one_class=True),
        partial(read_table, file, label_separator=",", one_class=True),
        partial(read_series, file),
        partial(read_series, file, time="time"),
        lambda: list(open_lines(file).rows(lambda: False)),
    ]
    _may_refuse(calls[len(raw) % len(calls)])


def _may_refuse(call: Callable[[], Any]) -> None:
    """It reads what it is given, or refuses it in one line."""
    try:
        call()
    except GatewiseError as error:
        check_message(error)


def _compare_csv(raw: bytes, value: tuple[Table, Records, list[int]], folder: Path, name: str) -> None:
    table, rows, bad = value
    others = _csv_rows(raw, table)
    if bad:
        assert others is None, f"the lines {bad} are refused, but csv reads {others!r}"
    else:
        found = [list(table.columns), *(list(row.values()) for row in rows)]
        assert others == found, f"csv reads {others!r}, not {found!r}"
        _compare_pandas(raw, table, found)
    _other_reader(raw, folder, name)


def _csv_rows(raw: bytes, table: Table) -> list[list[str]] | None:
    """The rows that the csv module reads from the whole text; None where one is refused."""
    plain = "quotes are part" in table.note
    try:
        with long_fields(), io.StringIO(raw.decode("utf-8-sig"), newline="") as text:
            quoting: Any = csv.QUOTE_NONE if plain else csv.QUOTE_MINIMAL
            rows = [row for row in csv.reader(text, delimiter=table.delimiter, quoting=quoting, strict=True) if row]
    except (csv.Error, UnicodeDecodeError):
        return None
    return rows if b"\0" not in raw and {len(row) for row in rows} == {len(table.columns)} else None


def _compare_pandas(raw: bytes, table: Table, found: list[list[str]]) -> None:
    """pandas skips lines of spaces, and reads a quote within a field, an empty line and a carriage return as other
    programs do.
    """
    if any(mark in raw for mark in (b"\r", b"\n\n", b"\n ")) or raw[:1].isspace() or len(table.columns) < 2:
        return
    quoting = csv.QUOTE_NONE if "quotes are part" in table.note else csv.QUOTE_MINIMAL
    options: dict[str, Any] = {"header": None, "dtype": str, "na_filter": False, "quoting": quoting}
    frame = pd.read_csv(io.BytesIO(raw), sep=table.delimiter, **options)
    rows = frame.to_numpy().tolist()
    assert rows == found, f"pandas reads {rows!r}, not {found!r}"


_CSV = [
    b'text,label\na good film,pos\n"bad, ""very"" bad",neg\n"two\nlines",neg\n',
    b"text\tlabel\tweight\tgroup\nx y\t1\t0.5\ta\nz\t0\t1\tb\n",
    b"\xef\xbb\xbftime;a;b;label\r\n2024-01-01;1;2.5;x\r\n2024-01-02;?;-1e3;x\r\n",
    b"0|1|label\n1.5||a\n2|nan|b\n",
]
CSV_WORDS = (b"\r\n", b"\t", b"\0", b"\xef\xbb\xbf", b"\x85", *b'" "" ; | text label time nan'.split())


CSV = Target(partial(_read_table, name="input.csv"), lambda: _CSV, partial(_compare_csv, name="input.csv"), CSV_WORDS)
TSV = Target(partial(_read_table, name="input.tsv"), lambda: _CSV, partial(_compare_csv, name="input.tsv"), CSV_WORDS)


def _compare_json_rows(raw: bytes, value: tuple[Table, Records, list[int]], folder: Path) -> None:
    _, rows, bad = value
    text = raw.decode("utf-8-sig", "replace" if bad else "strict")
    if not bad:
        lines = text.strip("\ufeff \t\r\n").startswith("[") or [line for line in text.split("\n") if line.strip()]
        others = json.loads(text) if lines is True else [json.loads(line) for line in lines]
        assert repr(rows) == repr(others), f"json reads {others!r}, not {rows!r}"
    _other_reader(raw, folder, "input.json")


JSON_ROWS = Target(
    partial(_read_table, name="input.json"),
    lambda: [
        b'{"text": "a good film", "label": "pos"}\n\n{"text": "bad", "label": "neg", "weight": 0.5}\r\n',
        b'[{"text": "a, ]", "label": 1},\n {"text": "\\"}{", "label": 0, "more": [{"a": []}]}\n]\n',
        b'[{"time": 1, "a": 2.5, "label": null}, {"time": 2, "a": -3, "label": null}]',
    ],
    _compare_json_rows,
    (b'"\\"', b"\n", b"\xef\xbb\xbf", b"\0", *b'[ ] {} },{ "text": "label": "time": null []'.split()),
)


def _read_series(raw: bytes, folder: Path, name: str) -> Rows:
    return read_series(_written(raw, folder, name))


def _compare_series(raw: bytes, rows: Rows, folder: Path) -> None:
    """The form of the result, and of its labels."""
    for series in rows.inputs:
        right = series.dtype.kind == "f" and series.ndim == 2 and series.shape[1] == rows.inputs[0].shape[1]
        assert right, f"a series of {series.shape} {series.dtype}"
        assert series.size, "an empty series"
        assert not np.isinf(series).any(), f"a series that is not finite: {series!r}"
    if rows.labels is not None:
        right = len(rows.labels) == len(rows.inputs) and not any(label == "" for label in rows.labels)
        assert right, f"{len(rows.inputs)} series with the labels {rows.labels!r}"
        _may_refuse(rows.labelled)
        _may_refuse(partial(rows.labelled, "regression"))


def _compare_ts(raw: bytes, rows: Rows, folder: Path) -> None:
    """Every field is a number of the file's grammar, with the value that Python's float gives it."""
    lines = [line.strip() for line in io.StringIO(raw.decode("utf-8-sig"), newline=None)]
    lines = [line for line in lines if line and line[0] not in "#%"]
    data = lines[next(n for n, line in enumerate(lines) if line.split()[0].lower() == "@data") + 1 :]
    assert len(data) == len(rows.inputs), f"{len(data)} lines of data and {len(rows.inputs)} series"
    for line, series in zip(data, rows.inputs, strict=True):
        for channel, values in zip(line.split(":"), series.T, strict=False):
            fields = channel.split(",")
            assert all(map(NUMBER.fullmatch, fields)), f"a field of {channel!r} is not a number"
            others = np.array([float(field.replace("?", "nan")) for field in fields])
            same = np.array_equal(values, others, equal_nan=True)
            assert same, f"the channel {channel!r} is {values!r}, not {others!r}"
    _compare_series(raw, rows, folder)


_NUMBERS = (b",", b":", b"?", b"nan", b"1e39", b"-0", b"1_0", b"\xd9\xa1", b"inf", b"\r", b" ", b"#", b"%")
TS = Target(
    partial(_read_series, name="input.ts"),
    lambda: [
        b"# x\n@problemName x\n@timeStamps false\n@classLabel true a b\n@data\n1,2,?:3,4,5:a\n1.5,-2e3:nan,0:b\n",
        b"@targetLabel true\n@data\n1,2:0.5\n3:-1e2\n",
        b"@classLabel false\n@data\n1,2,3\n4,5\n",
    ],
    _compare_ts,
    (b"@data\n", b"@classLabel true ", b"@targetLabel true\n", b"@timeStamps true\n", *_NUMBERS),
)
ARFF = Target(
    partial(_read_series, name="input.arff"),
    lambda: [
        b"% c\n@relation x\n@attribute a numeric\n@attribute 'b c' real\n@attribute d {x,'y'}\n"
        b"@data\n1,2,x\n?,1e2,'y'\n",
        b"@relation m\n@attribute r relational\n@attribute t1 numeric\n@attribute t2 numeric\n@end r\n"
        b"@attribute class {1,2}\n@data\n'1,2\\n3,4',1\n\"5,?\\n7,8\",2\n",
    ],
    _compare_series,
    (b"@attribute ", b"@data\n", b"@end r\n", b" relational\n", b" {a,b}\n", b"'", b"\\n", b"{", *_NUMBERS),
)
UCR = Target(
    partial(_read_series, name="input.tsv"),
    lambda: [b"1\t0.5\t2\t-3e2\n2\t1\tNaN\t4\n", b"1.0,2,3\n-1.0,4,5\n", b"  1 5 3\n 2 3 nan\n"],
    _compare_series,
    (b"\t", *_NUMBERS),
)

_MAGIC = b"\x93NUMPY"
_NAMES = {b"X": ("X.npy", "y.npy"), b"V": ("values.npy", "lengths.npy", "labels.npy")}


def _npz(raw: bytes, folder: Path) -> Path:
    """The file that `raw` stands for: an .npz or .npy file, or members that a zip file with correct checksums is made
    of, which changed bytes hardly give.
    """
    if raw[:1] not in _NAMES:
        return _written(raw, folder, "input.npy" if raw.startswith(_MAGIC) else "input.npz")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as bundle:
        for name, part in zip(_NAMES[raw[:1]], raw.split(_MAGIC)[1:], strict=False):
            bundle.writestr(name, _MAGIC + part)
    return _written(stream.getvalue(), folder, "input.npz")


def _compare_npz(raw: bytes, rows: Rows, folder: Path) -> None:
    """The values are those that NumPy reads."""
    if rows.paths[0].endswith(".npy"):
        arrays = {"X": np.load(rows.paths[0], allow_pickle=False)}
    else:
        with np.lib.npyio.NpzFile(open(rows.paths[0], "rb"), own_fid=True) as bundle:
            arrays = dict(bundle)  # np.load takes no zip file that begins with other bytes
    name = next(name for name in ("X", "inputs", "values") if name in arrays)
    stored = arrays[name].astype(np.float32).ravel()
    values = np.concatenate([series.ravel() for series in rows.inputs])
    same = arrays[name].ndim >= 3 or np.array_equal(stored, values, equal_nan=True)
    assert same, f"the values are {values!r}, not {stored!r}"
    _compare_series(raw, rows, folder)


def _npz_seeds() -> list[bytes]:
    def member(array: Any) -> bytes:
        stream = io.BytesIO()
        np.save(stream, array)
        return stream.getvalue()

    values, labels = np.arange(12, dtype=np.float32).reshape(3, 4), np.array([1, 2, 1])
    bundle = io.BytesIO()
    np.savez_compressed(bundle, inputs=values.reshape(3, 4, 1), labels=np.array(["a", "b", "a"]))
    return [
        b"X" + member(values) + member(labels),
        b"X" + member(values.astype("f8")) + member(np.array([0.5, 1, 2])),
        b"V" + member(values.reshape(6, 2)) + member(np.array([1, 3, 2])) + member(np.array([True, False, True])),
        member(values.astype("i2")),
        bundle.getvalue(),
    ]


NPZ = Target(
    lambda raw, folder: read_series(_npz(raw, folder)),
    _npz_seeds,
    _compare_npz,
    (
        b"'descr': '<f4'",
        b"'shape': (3, 4)",
        b"'fortran_order': True",
        b"{[]: 1}",
        _MAGIC,
        *b"'|O' ( - 9999999999".split(),
    ),
)
