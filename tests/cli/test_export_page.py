"""`gatewise export-page`: a folder of static files, complete or not there at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from gatewise.model.model import Model
from tests.cli.conftest import Run
from tests.cli.test_bad_input import refused

TEXTS = ["it was a good film", "the end was bad"]


def names_of(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()}


def test_the_files_of_two_texts(run: Run, keras_model: Model, keras_folder: Path, tmp_path: Path) -> None:
    result = run("export-page", "-m", keras_folder, *TEXTS, "-o", tmp_path / "demo")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("saved 2 texts to ")
    names = names_of(tmp_path / "demo")
    assert {"index.html", "style.css", "main.js", "model.json", "units-0.json", "export.json"} <= names
    assert {"text-1.json", "text-2.json", "heatmaps-1-0.json", "heatmaps-2-0.json"} <= names
    assert "staticapi.js" not in names, "it is api.js there"
    listed = json.loads((tmp_path / "demo" / "export.json").read_bytes())["files"]
    assert set(listed) == names - {"export.json"}
    model = json.loads((tmp_path / "demo" / "model.json").read_bytes())
    assert model["exported"]["inputs"] == [{"text": text} for text in TEXTS]
    assert model["exported"]["command"] == f"gatewise export-page TEXT... --model {keras_folder} --out demo"
    for number, text in enumerate(TEXTS, 1):
        found = json.loads((tmp_path / "demo" / f"text-{number}.json").read_bytes())
        assert found["answer"]["prediction"]["label"] == keras_model.predict([text])[0]
        assert found["answer"]["prefix"]["stride"] == 1
        assert set(found["attributions"]) == set(model["methods"])
        explanation = keras_model.explain(text, "leave-one-out")
        np.testing.assert_allclose(found["attributions"]["leave-one-out"]["scores"], explanation.scores, atol=1e-5)


def test_the_inputs_are_words_lines_or_a_column(run: Run, keras_folder: Path, tmp_path: Path) -> None:
    lines, table = tmp_path / "t.txt", tmp_path / "t.csv"
    lines.write_text("\n".join(TEXTS) + "\n")
    table.write_text("review\n" + "\n".join(TEXTS) + "\n")
    for n, words in enumerate(([lines], [table, "--text", "review"], ["-"])):
        out = tmp_path / str(n)
        result = run("export-page", "-m", keras_folder, "-i", *words, "-o", out, input="\n".join(TEXTS))
        assert result.exit_code == 0, result.stderr
        exported = json.loads((out / "model.json").read_bytes())["exported"]
        assert [one["text"] for one in exported["inputs"]] == TEXTS
    out = tmp_path / "one"
    assert run("export-page", "-m", keras_folder, "-i", lines, "--limit", 1, "-o", out).exit_code == 0
    assert len(json.loads((out / "model.json").read_bytes())["exported"]["inputs"]) == 1


def test_series(run: Run, series_folder: Path, series_file: Path, tmp_path: Path) -> None:
    result = run("export-page", "-m", series_folder, "-i", series_file, "--limit", 2, "-o", tmp_path / "demo")
    assert result.exit_code == 0, result.stderr
    inputs = json.loads((tmp_path / "demo" / "model.json").read_bytes())["exported"]["inputs"]
    assert len(inputs) == 2
    assert all(len(step) == len(inputs[0]["series"][0]) for one in inputs for step in one["series"])


def test_only_an_exported_page_is_replaced(run: Run, keras_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    assert run("export-page", "-m", keras_folder, TEXTS[0], "-o", out).exit_code == 0
    assert "--overwrite replaces it" in refused(run, "export-page", "-m", keras_folder, TEXTS[1], "-o", out)
    assert json.loads((out / "model.json").read_bytes())["exported"]["inputs"] == [{"text": TEXTS[0]}]
    assert run("export-page", "-m", keras_folder, TEXTS[1], "-o", out, "--overwrite").exit_code == 0
    assert json.loads((out / "model.json").read_bytes())["exported"]["inputs"] == [{"text": TEXTS[1]}]
    (out / "notes.txt").write_text("mine")
    kept = run("export-page", "-m", keras_folder, TEXTS[1], "-o", out, "--overwrite")
    assert (kept.exit_code, (out / "notes.txt").read_text()) == (2, "mine")
    assert "'notes.txt', which is not part of the exported page" in kept.stderr
    for other in (tmp_path / "file", tmp_path / "folder"):
        if other.name == "file":
            other.write_text("mine")
        else:
            other.mkdir()
            (other / "x").write_text("mine")
        assert run("export-page", "-m", keras_folder, TEXTS[0], "-o", other, "--overwrite").exit_code == 2
        assert other.exists()
