"""`Model.export` and `gatewise.load` find what satellites registered, and a new format is one function and one line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError
from gatewise.extensions import EXPORT_FORMATS, FOLDER_KINDS, FOLDER_SOURCES
from gatewise.model.export import ExportReport
from gatewise.storage.folder import load_folder
from gatewise.text import TokenEncoding
from tests.refusals import assert_refused
from tests.small_models import small_model


def random_model() -> gw.Model:
    return small_model(TokenEncoding.of_words(["<pad>", "<unk>", "a", "b", "c"]))


def export_bias(model: gw.Model, path: Path, *, digits: int = 3) -> ExportReport:
    """The toy format: the bias of the dense layer as text."""
    text = " ".join(f"{number:.{digits}f}" for number in model.parameters["dense.bias"])
    path.write_text(text, encoding="utf-8")
    return ExportReport(str(path), len(text), 0, 0, 0.0, "nothing", "float32")


def test_a_new_format_is_a_function_and_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXPORT_FORMATS, "bias", export_bias)
    model = random_model()
    expected = float(model.parameters["dense.bias"][0])

    report = model.export(tmp_path / "m.bias")  # the ending names the format
    assert report.bytes == len((tmp_path / "m.bias").read_text(encoding="utf-8"))
    assert float((tmp_path / "m.bias").read_text(encoding="utf-8").split()[0]) == pytest.approx(expected, abs=5e-4)

    model.export(tmp_path / "m.txt", "bias", digits=6)
    assert float((tmp_path / "m.txt").read_text(encoding="utf-8").split()[0]) == pytest.approx(expected, abs=5e-7)
    assert_refused("no format is called 'bais'; there are onnx, web, bias; did you", model.export, "m.txt", "bais")


@pytest.mark.parametrize("path", ["model", "model.", "model.h5", "web", ".onnx/model"])
def test_a_path_without_a_format_is_refused(path: str, tmp_path: Path) -> None:
    assert_refused("does not end in a format: give format, one of onnx, web", random_model().export, tmp_path / path)
    assert list(tmp_path.iterdir()) == []


def test_a_new_address_and_a_new_kind_of_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model()
    model.save(tmp_path / "m")
    monkeypatch.setitem(
        FOLDER_SOURCES, "shelf", lambda address: load_folder(tmp_path / address.removeprefix("shelf://"))
    )
    inputs = ["a b", "b a c"]
    np.testing.assert_array_equal(gw.load("shelf://m").logits(inputs), model.logits(inputs))

    opened: list[Any] = []
    monkeypatch.setitem(FOLDER_KINDS, "model", lambda folder, precision: opened.append((folder.fingerprint, precision)))
    gw.load(tmp_path / "m", precision="float32")
    assert opened == [(load_folder(tmp_path / "m").fingerprint, "float32")]


def test_an_address_that_nobody_serves_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(gw.errors.ModelFileError, match="an address; only hf:// is downloaded"):
        gw.load("ftp://owner/name")
    with pytest.raises(InputError):
        gw.load("hf://owner")  # of the Hub's form
