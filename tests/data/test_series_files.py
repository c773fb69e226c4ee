"""Time series: .ts and .npz files."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gatewise.data.series_files import read_npz, read_ts
from gatewise.errors import DataError

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
    path = tmp_path / "made_TRAIN.ts"
    path.write_text(content, encoding="utf-8")
    return path


def test_ts_with_two_channels_and_different_lengths(tmp_path: Path) -> None:
    data = read_ts(ts(tmp_path, HEADER + ROWS))
    assert data.kind == "series"
    want = [[[1, -4], [2.5, 0.5], [3, 6]], [[7, 8]], [[1, 3], [2, 4]]]
    assert [row.tolist() for row in data.inputs if isinstance(row, np.ndarray)] == want
    assert all(isinstance(row, np.ndarray) and row.dtype == np.float32 for row in data.inputs)
    assert data.classes == ("1", "2", "10")  # all that are listed, in the order of numbers
    assert data.labels.tolist() == [1, 2, 1]
    assert data.source == "3 series of 'made_TRAIN.ts', 2 channels, 3 classes"
    assert data.groups[0] != data.groups[2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER + "1,2:3,4:2\n1,2:3:2\n", ":9: channel 2 has 1 steps, channel 1 has 2"),
        (HEADER + "1,2:3,4:2\n1,2:2\n", ":9: 1 channels, expected 2"),
        (HEADER + "2\n", ":8: 0 channels, expected one or more"),
        (HEADER + "1,2:3,4:7\n", ":8: class '7' is not among those of @classLabel"),
        (HEADER + "1,?:3,4:2\n", ":8: channel 1 has a missing value"),
        (HEADER + "1,2:3,x:2\n", ":8: channel 2 has an invalid number, '3,x'"),
        (HEADER + "1,NaN:3,4:2\n", ":8: channel 1 has a value that is not finite"),
        (HEADER + "1,1e99:3,4:2\n", ":8: channel 1 has a value that is not finite"),
        (HEADER + ":3,4:2\n", ":8: channel 1 has an invalid number, ''"),
        (HEADER, "has no series after '@data'"),
        ("", "has no series after '@data'"),
        ("@data\n1:2\n", ":2: '@classLabel true' with the classes is missing"),
        ("@classLabel false\n@data\n1:2\n", ":3: '@classLabel true' with the classes is missing"),
        ("@timestamps true\n@data\n", ":1: time stamps are not supported"),
        ("@targetlabel true\n@data\n", ":1: the set has target numbers, not classes"),
        ("1,2:3\n", ":1: neither a comment nor an @ line before '@data': '1,2:3'"),
    ],
)
def test_a_bad_ts_file_is_one_line_with_its_place(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_ts(ts(tmp_path, content))
    assert message in str(caught.value)
    assert "made_TRAIN.ts'" in str(caught.value)


def test_ts_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.ts': not found"):
        read_ts(tmp_path / "none.ts")
    (tmp_path / "x.ts").write_bytes(b"@a\n\xff")
    with pytest.raises(DataError, match="not valid UTF-8 at byte 3"):
        read_ts(tmp_path / "x.ts")


def npz(tmp_path: Path, **arrays: object) -> Path:
    path = tmp_path / "made.npz"
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    return path


def test_npz_of_one_length_and_ragged(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(3, 4, 2))
    data = read_npz(npz(tmp_path, inputs=values, labels=np.array([10, 9, 10])))
    np.testing.assert_array_equal(np.stack(data.inputs), values.astype(np.float32))  # type: ignore[arg-type]
    assert (data.classes, data.labels.tolist()) == (("9", "10"), [1, 0, 1])
    flat = read_npz(npz(tmp_path, inputs=values[:, :, 0], labels=np.array(list("abc"))))
    np.testing.assert_array_equal(flat.inputs[1], values[1, :, :1].astype(np.float32))
    data = read_npz(npz(tmp_path, values=values[0], lengths=np.array([1, 0, 3]), labels=np.array(list("bab"))))
    assert [len(row) for row in data.inputs] == [1, 0, 3]
    np.testing.assert_array_equal(data.inputs[2], values[0, 1:].astype(np.float32))
    assert data.labels.tolist() == [1, 0, 1]


ONES = np.ones((2, 3, 1))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"inputs": ONES}, "must have labels, and inputs or values with lengths; it has 'inputs'"),
        ({"labels": [0, 1], "values": np.ones((3, 1))}, "must have labels, and inputs or values"),
        ({"labels": [0.5, 1], "inputs": ONES}, "labels must be"),
        ({"labels": [[0, 1]], "inputs": ONES}, "labels must be"),
        ({"labels": [0, 1], "inputs": np.ones(2)}, "inputs must be numbers"),
        ({"labels": [0, 1], "inputs": np.array([["a"], ["b"]])}, "inputs must be numbers"),
        ({"labels": [0, 1], "inputs": ONES * np.nan}, "inputs has a value that is not finite"),
        ({"labels": [0, 1], "inputs": ONES * 1e99}, "inputs has a value that is not finite"),
        ({"labels": [0, 1, 2], "inputs": ONES}, "2 series and 3 labels"),
        ({"labels": ["a", ""], "inputs": ONES}, "no empty label"),
        ({"labels": [0, 1], "values": np.ones((3, 1)), "lengths": [1, 1]}, "lengths must be .* with the sum 3"),
        ({"labels": [0, 1], "values": np.ones((3, 1)), "lengths": [4, -1]}, "lengths must be"),
        ({"labels": [0, 1], "inputs": np.array([{}, []], dtype=object)}, "does not have the size that it declares"),
    ],
)
def test_a_bad_npz_is_refused(tmp_path: Path, arrays: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_npz(npz(tmp_path, **arrays))


def test_an_npz_that_declares_more_than_it_has(tmp_path: Path) -> None:
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 1)})
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("inputs.npy", member.getvalue() + b"\0" * 80)
    with pytest.raises(DataError, match=r"'inputs\.npy' does not have the size that it declares"):
        read_npz(path)


def test_a_damaged_npz_is_refused(tmp_path: Path) -> None:
    whole = npz(tmp_path, inputs=np.random.default_rng(3).normal(size=(2, 3, 1)), labels=[0, 1]).read_bytes()
    path = tmp_path / "cut.npz"
    for end in range(0, len(whole), 37):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match=r"cut\.npz': not a valid \.npz file"):
            read_npz(path)
    with pytest.raises(DataError, match=r"none\.npz': not found"):
        read_npz(tmp_path / "none.npz")
