"""Which model answers: a folder that is named, or the one in the box; never a guess between the two."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import gatewise as gw
from gatewise.cli.model_argument import which_model
from gatewise.data.labelled import Labelled
from gatewise.errors import InputError, ModelFileError
from gatewise.model import bundled as bundled
from gatewise.model.calibrate import calibrated
from gatewise.model.model import Model
from tests.cli.conftest import TEXTS, Run
from tests.cli.test_bad_input import refused

SAID = "gatewise: the model in the box answers: sentiment"


@pytest.fixture
def in_the_box(keras_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A box of our own, with the small model in it; and an empty folder to work in."""
    place = tmp_path / "package" / "sentiment"
    shutil.copytree(keras_folder, place)
    monkeypatch.setattr(bundled, "FOLDER", place)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return place


@pytest.fixture
def no_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "FOLDER", tmp_path / "package" / "sentiment")


def test_the_library(in_the_box: Path, keras_model: Model) -> None:
    np.testing.assert_array_equal(gw.load().logits(TEXTS), keras_model.logits(TEXTS))


@pytest.mark.parametrize(
    "words",
    [
        ["good"],
        ["it was good was it"],
        ["the film was bad", "good"],
        ["either/or, a film"],
        ["1/2 good"],
        ["--box", "good", "bad"],
        ["--box", "./good"],
    ],
)
def test_a_text_is_read_by_the_model_in_the_box(
    run: Run, in_the_box: Path, keras_model: Model, words: list[str]
) -> None:
    texts = [word for word in words if word != "--box"]
    result = run("predict", *words)
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == keras_model.predict(texts)
    assert result.stderr == f"{SAID}\n"


def test_stdin_and_files(run: Run, in_the_box: Path, keras_model: Model) -> None:
    want = keras_model.predict(TEXTS)
    Path("texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    for result in (run("predict", "-", input="\n".join(TEXTS)), run("predict", "--file", "texts.txt")):
        assert [line.split("\t")[0] for line in result.stdout.splitlines()] == want
        assert SAID in result.stderr


def test_a_folder_is_a_model_and_says_nothing(run: Run, in_the_box: Path, tokens_folder: Path) -> None:
    shutil.copytree(tokens_folder, "my model")
    assert run("predict", "my model", "good").stderr == ""
    assert "Error" not in run("predict", "my model", "good").stdout
    assert "either texts" in refused(run, "predict", "my model")
    assert json.loads(run("predict", "my model", "good", "--json").stdout)["model"] == "my model"
    assert json.loads(run("predict", "good", "--json").stdout)["model"] == "sentiment (in the box)"


@pytest.mark.parametrize("path", ["./good", "models/good", "/good one", "../my models/good", "~/models/good", "good/"])
def test_what_looks_like_a_path_is_one(run: Run, in_the_box: Path, path: str) -> None:
    assert "cannot open the model folder" in refused(run, "predict", path, "good")
    assert "cannot open the model folder" in refused(run, "predict", path)
    assert "cannot open the model folder" in refused(run, "explain", path, "good")
    assert "cannot open the model folder" in refused(run, "evaluate", path, "imdb")


def test_what_is_there_and_is_no_model_is_not_taken_for_a_text(run: Run, in_the_box: Path) -> None:
    Path("good").write_text("a file")
    Path("a folder").mkdir()
    assert "is a file, not a model folder" in refused(run, "predict", "good")
    assert "manifest.json is missing" in refused(run, "predict", "a folder", "bad")
    assert run("predict", "--box", "good").exit_code == 0


def test_what_may_be_a_mistyped_name_is_refused(run: Run, in_the_box: Path) -> None:
    assert "'imdb-fst' is no model folder; if it is a text for the model in the box, say --box" in refused(
        run, "predict", "imdb-fst", "a good film"
    )
    assert "'a film' is no model folder" in refused(run, "explain", "a film", "good")
    assert "'imdb-fst' is no model folder" in refused(run, "evaluate", "imdb-fst", "imdb")


def test_explain(run: Run, in_the_box: Path, keras_model: Model) -> None:
    result = run("explain", "it was a good film", "--json")
    assert json.loads(result.stdout)["scores"] == keras_model.explain("it was a good film").scores.tolist()
    assert result.stderr == f"{SAID}\n"
    assert "too many arguments: 'end' is left over" in refused(run, "explain", "--box", "good", "end")
    assert "give one of" in run("explain").stderr


def test_the_box_stays_as_it_came(run: Run, in_the_box: Path, reviews_csv: Path) -> None:
    reviews_csv.write_text("text,label\ngood,positive\nbad bad,negative\nthe end,negative\n")
    before = {file.name: file.read_bytes() for file in in_the_box.iterdir()}
    result = run("explain", "--data", reviews_csv)
    assert "not kept: the box stays as it is" in result.stderr
    assert "unit" in result.stdout
    assert {file.name: file.read_bytes() for file in in_the_box.iterdir()} == before


def test_evaluate(run: Run, in_the_box: Path, keras_folder: Path, reviews_csv: Path) -> None:
    reviews_csv.write_text("text,label\ngood,positive\nbad bad,negative\nthe end,negative\n")
    shown = json.loads(run("evaluate", reviews_csv, "--json").stdout)
    assert shown["model"] == "sentiment (in the box)"
    named = json.loads(run("evaluate", keras_folder, reviews_csv, "--json").stdout)
    assert shown["loss"] == named["loss"]
    assert "is a model: give the data to measure it on" in refused(run, "evaluate", keras_folder)
    assert "give the data to measure on" in refused(run, "evaluate")
    assert "too many arguments" in refused(run, "evaluate", keras_folder, reviews_csv, "more")


def test_info(run: Run, in_the_box: Path) -> None:
    assert "box        sentiment" in run("info").stdout
    assert "sentiment (in the box): 2 classes" in run("info", "--box").stdout
    assert "name no other" in refused(run, "info", "--box", in_the_box)


def test_without_a_box_it_says_how_to_make_it(run: Run, no_box: None) -> None:
    for words in (["predict", "good"], ["explain", "good"], ["evaluate", "imdb"], ["info", "--box"]):
        line = refused(run, *words)
        assert "there is no model in the box; name a model folder, or make it: gatewise train" in line
        assert f"gatewise compress models/big -o {bundled.FOLDER}" in line
    assert "box        there is no model in the box" in run("info").stdout
    assert json.loads(run("info", "--json").stdout)["box"] is None
    with pytest.raises(ModelFileError, match="there is no model in the box"):
        gw.load()


def test_the_words_that_are_left() -> None:
    assert which_model([], False).rest == []
    assert which_model(["-"], False).rest == ["-"]
    assert which_model(["no", "such"], True).rest == ["no", "such"]
    assert which_model([""], False).path is None
    with pytest.raises(InputError, match="no model folder"):
        which_model(["", "a"], False)


def test_calibrated_probabilities_are_called_so(run: Run, keras_model: Model, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    texts = [" ".join(rng.choice(["the", "film", "was", "bad", "good", "end", "it"], 6)) for _ in range(60)]
    labels = [c if rng.random() < 0.7 else "positive" for c in keras_model.predict(texts)]
    calibrated(keras_model, Labelled.of(texts, labels, "made up")).save(tmp_path / "m")
    result = run("predict", tmp_path / "m", "good")
    assert result.stderr == "gatewise: its probabilities are calibrated\n"
    assert json.loads(run("predict", tmp_path / "m", "good", "--json").stdout)["calibrated"] is True
    assert "(calibrated)" in run("explain", tmp_path / "m", "good").stdout
    assert "(calibrated)" in run("explain", tmp_path / "m", "good", "--compare", "bad").stdout
    assert json.loads(run("explain", tmp_path / "m", "good", "--json").stdout)["calibrated"] is True
    assert "calibrated     Its logits were divided by" in run("info", tmp_path / "m").stdout
    assert "(calibrated)" not in run("explain", "--help").stdout
