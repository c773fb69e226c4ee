"""The choice of the model: a folder that is named, or the bundled model; never a guess between the two."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from gatewise.model import bundled
from gatewise.model.card import CalibrationReport
from gatewise.model.model import Model
from tests.cli.conftest import Run
from tests.cli.test_bad_input import refused

MESSAGE = "gatewise: using the bundled model 'sentiment'"


@pytest.fixture
def bundled_folder(keras_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small model as the bundled model, and an empty working directory."""
    place = tmp_path / "package" / "sentiment"
    shutil.copytree(keras_folder, place)
    monkeypatch.setattr(bundled, "FOLDER", place)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return place


def test_a_text_is_for_the_bundled_model(run: Run, bundled_folder: Path, keras_model: Model) -> None:
    for words in (
        ["good"],
        ["it was good was it"],
        ["the film was bad", "good"],
        ["10/10", "and/or", "good.bad"],
        ["-m", "bundled", "good", "bad"],
    ):
        texts = [word for word in words if word not in ("-m", "bundled")]
        result = run("predict", *words)
        assert [line.split("\t")[0] for line in result.stdout.splitlines()] == keras_model.predict(texts).tolist()
        assert result.stderr == f"{MESSAGE}\n" * (words[0] != "-m")


def test_a_model_folder_prints_no_message(run: Run, bundled_folder: Path, tokens_folder: Path) -> None:
    shutil.copytree(tokens_folder, "my model")
    assert run("predict", "-m", "my model", "good").stderr == ""
    assert "Error" not in run("predict", "-m", "my model", "good").stdout
    assert run.json("predict", "-m", "my model", "good")["model"] == "my model"
    assert run.json("predict", "good")["model"] == "sentiment (bundled)"


def test_the_bundled_model_is_read_only(run: Run, bundled_folder: Path, reviews_csv: Path) -> None:
    reviews_csv.write_text("text,label\ngood,positive\nbad bad,negative\nthe end,negative\n")
    before = {file.name: file.read_bytes() for file in bundled_folder.iterdir()}
    result = run("explain", "--data", reviews_csv)
    assert "not saved: the bundled model is read-only" in result.stderr
    assert "unit" in result.stdout
    assert {file.name: file.read_bytes() for file in bundled_folder.iterdir()} == before


def test_evaluate_and_info(run: Run, bundled_folder: Path, keras_folder: Path, reviews_csv: Path) -> None:
    reviews_csv.write_text("text,label\ngood,positive\nbad bad,negative\nthe end,negative\n")
    shown = run.json("evaluate", reviews_csv)
    assert shown["model"] == "sentiment (bundled)"
    named = run.json("evaluate", "-m", keras_folder, reviews_csv)
    assert shown["loss"] == named["loss"]
    both = run.json("evaluate", "-m", keras_folder, reviews_csv, reviews_csv)
    assert both["n"] == 2 * named["n"]
    assert "bundled    sentiment" in run("info").stdout
    assert "sentiment (bundled)\nThis model classifies texts into 2 classes" in run("info", "-m", "bundled").stdout


def test_without_a_bundled_model_the_error_says_how_to_make_it(run: Run, bundled_folder: Path) -> None:
    shutil.rmtree(bundled_folder)
    for words in (["predict", "good"], ["explain", "good"], ["evaluate", "imdb"], ["info", "-m", "bundled"]):
        line = refused(run, *words)
        assert "the bundled model is missing; give a model folder, or make it: gatewise train" in line
        assert f"gatewise compress -m models/big -o {bundled.FOLDER}" in line
    assert "bundled    the bundled model is missing" in run("info").stdout
    assert run.json("info")["bundled_model"] is None


def test_calibrated_probabilities_are_reported(run: Run, keras_model: Model, tmp_path: Path) -> None:
    report = CalibrationReport("network x 0.50, shift +0.10", "the validation set", 60, 0.5, 0.4, 0.08, 0.02)
    metadata = dataclasses.replace(keras_model.metadata, calibration=report)
    dataclasses.replace(keras_model, metadata=metadata).save(tmp_path / "m")
    result = run("predict", "-m", tmp_path / "m", "good")
    assert result.stderr == "gatewise: probabilities are calibrated\n"
    assert run.json("predict", "-m", tmp_path / "m", "good")["calibrated"] is True
    assert "(calibrated)" in run("explain", "-m", tmp_path / "m", "good").stdout
    assert "(calibrated)" in run("explain", "-m", tmp_path / "m", "good", "--compare", "bad").stdout
    assert run.json("explain", "-m", tmp_path / "m", "good")["calibrated"] is True
    assert "calibrated      network x 0.50" in run("info", "-m", tmp_path / "m").stdout
    assert "(calibrated)" not in run("explain", "--help").stdout
