"""The readers of the series benchmark: one file of each kind, as the packages have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.own_data.series import mean, summary
from benchmarks.own_data.series_data import CLASSIFICATION, FILES, FIRST, read

TS = "#comment\n@problemName X\n@data\n1,2.5,3:4,5,6:walk\n7,8:9,-10:run\n"


def write(folder: Path, name: str, part: str, text: str) -> None:
    path = folder / FILES[name].format(part=part)
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")


def test_ts_files_have_channels_and_unequal_lengths(tmp_path: Path) -> None:
    write(tmp_path, "BasicMotions", "TRAIN", TS)
    part = read("BasicMotions", "TRAIN", tmp_path)
    assert part.labels == ["walk", "run"]
    assert [row.tolist() for row in part.inputs] == [[[1, 4], [2.5, 5], [3, 6]], [[7, 9], [8, -10]]]


def test_numbers_are_the_targets_of_a_regression(tmp_path: Path) -> None:
    write(tmp_path, "Tecator", "TEST", "@data\n1.5 2.5 3.5:22.5\n")
    part = read("Tecator", "TEST", tmp_path)
    assert part.labels == [22.5]
    assert part.inputs[0].tolist() == [[1.5], [2.5], [3.5]]


def test_text_and_npz_files(tmp_path: Path) -> None:
    write(tmp_path, "Coffee", "TRAIN", " 0.0 1.5 2.5\n 1.0 3.5 4.5\n")
    coffee = read("Coffee", "TRAIN", tmp_path)
    assert coffee.labels == ["0", "1"]
    assert coffee.inputs[1].tolist() == [[3.5], [4.5]]
    path = tmp_path / FILES["Trace"]
    path.parent.mkdir(parents=True)
    np.savez(path, X_train=np.arange(6.0).reshape(2, 3), y_train=np.array([1, 3]))
    trace = read("Trace", "TRAIN", tmp_path)
    assert trace.labels == ["1", "3"]
    assert trace.inputs[1].tolist() == [[3], [4], [5]]


def test_summary_needs_every_data_set() -> None:
    one = {"gatewise": [{"accuracy": 0.75}, {"accuracy": 0.25}], "minirocket": [{"accuracy": 0.25}]}
    assert mean(one["gatewise"], "accuracy") == pytest.approx(0.5)
    assert summary(dict.fromkeys(FIRST, one)) == "mean accuracy, first 8: gatewise 0.5000, MiniRocket 0.2500"
    assert len(summary(dict.fromkeys(CLASSIFICATION, one)).splitlines()) == 2
    assert summary({"Trace": one}) == ""
