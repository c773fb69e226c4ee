"""`gatewise export-page`: a folder of static files, complete or not there at all."""

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

from tests.cli.conftest import Run
from tests.cli.test_bad_input import refused

TEXTS = ["it was a good film", "the end was bad"]


def names_of(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()}


def data_of(folder: Path) -> dict[str, Any]:
    """The data in index.html by name; JSON as what it holds."""
    blocks = re.findall(r'data-file="([^"]+)">([^<]*)<', (folder / "index.html").read_text(encoding="utf-8"))
    found = {name: gzip.decompress(base64.b64decode(packed)) for name, packed in blocks}
    return {name: json.loads(raw) if name.endswith(".json") else raw for name, raw in found.items()}


def inputs_of(folder: Path) -> list[dict[str, Any]]:
    return list(data_of(folder)["model.json"]["examples"])


def test_the_files_and_what_the_page_says_of_itself(run: Run, tokens_folder: Path, tmp_path: Path) -> None:
    result = run("export-page", "-m", tokens_folder, *TEXTS, "-o", tmp_path / "demo")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("saved index.html and lesson.html to ")
    assert names_of(tmp_path / "demo") == {"index.html", "lesson.html", "export.json"}
    model = data_of(tmp_path / "demo")["model.json"]
    assert model["made"]["command"] == f"gatewise export-page TEXT... --model {tokens_folder} --out demo"
    assert model["methods"] == ["prefix-difference", "cell-decomposition", "leave-one-out"]


def test_a_page_needs_no_text(run: Run, keras_folder: Path, tmp_path: Path) -> None:
    for texts in ([], TEXTS):
        out = tmp_path / str(len(texts))
        assert run("export-page", "-m", keras_folder, *texts, "-o", out).exit_code == 0
        data = data_of(out)
        assert set(data) == {"model.json", "units-0.json", "model.lstm", "view.json", "worker.js"}
        assert [one["text"] for one in inputs_of(out)] == texts


def test_the_inputs_are_words_lines_or_a_column(run: Run, keras_folder: Path, tmp_path: Path) -> None:
    lines, table = tmp_path / "t.txt", tmp_path / "t.csv"
    lines.write_text("\n".join(TEXTS) + "\n")
    table.write_text("review\n" + "\n".join(TEXTS) + "\n")
    for n, words in enumerate(([lines], [table, "--text", "review"], ["-"])):
        out = tmp_path / str(n)
        result = run("export-page", "-m", keras_folder, "-i", *words, "-o", out, input="\n".join(TEXTS))
        assert result.exit_code == 0, result.stderr
        assert [one["text"] for one in inputs_of(out)] == TEXTS
    out = tmp_path / "one"
    assert run("export-page", "-m", keras_folder, "-i", lines, "--limit", 1, "-o", out).exit_code == 0
    assert len(inputs_of(out)) == 1


def test_series(run: Run, series_folder: Path, series_file: Path, tmp_path: Path) -> None:
    result = run("export-page", "-m", series_folder, "-i", series_file, "--limit", 2, "-o", tmp_path / "demo")
    assert result.exit_code == 0, result.stderr
    inputs = inputs_of(tmp_path / "demo")
    assert len(inputs) == 2
    assert all(len(step) == len(inputs[0]["series"][0]) for one in inputs for step in one["series"])


def test_only_an_exported_page_is_replaced(run: Run, keras_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    assert run("export-page", "-m", keras_folder, TEXTS[0], "-o", out).exit_code == 0
    assert "--overwrite replaces it" in refused(run, "export-page", "-m", keras_folder, TEXTS[1], "-o", out)
    assert [one["text"] for one in inputs_of(out)] == TEXTS[0:1]
    assert run("export-page", "-m", keras_folder, TEXTS[1], "-o", out, "--overwrite").exit_code == 0
    assert [one["text"] for one in inputs_of(out)] == TEXTS[1:2]
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
