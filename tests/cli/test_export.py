"""`gatewise export`, `export-page` and `compress`: complete files, or one line of error and none."""

import base64
import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from gatewise.model.compress import compress
from gatewise.model.model import Model, load
from tests.cli.conftest import Run
from tests.cli.test_bad_input import refused

pytest.importorskip("onnxruntime")


def test_an_onnx_file(run: Run, keras_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.onnx"
    result = run("export", "-m", keras_folder, "-o", out)
    assert result.exit_code == 0, result.output
    assert "inputs: token ids (batch, steps) and lengths (batch,); the tokenisation is not part" in result.stdout
    assert "largest difference of a logit from ONNX Runtime, 1,000 random inputs:" in result.stdout
    assert f"{out.stat().st_size:,} bytes, opset 17" in result.stdout
    before = out.read_bytes()
    assert "--overwrite" in refused(run, "export", "-m", keras_folder, "-o", out)
    report = run.json("export", "-m", keras_folder, "-o", out, "--overwrite")
    assert (report["path"], report["checked"], report["bytes"]) == (str(out), 1_000, len(before))


def test_a_quantised_file_says_what_it_costs(run: Run, keras_folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("text,label\n" + "it was a good film,positive\nthe end was bad,negative\n" * 5)
    words = ["export", "-m", keras_folder, "--quantize", "int8"]
    result = run(*words, "-o", tmp_path / "a.onnx", "--data", table)
    assert result.exit_code == 0, result.output
    assert re.search(r"accuracy +\d\.\d{4} +\d\.\d{4}\n", result.stdout)
    assert "measured on 10: " in result.stdout
    assert "accuracy not measured: give labelled data with --data" in run(*words, "-o", tmp_path / "b.onnx").stdout
    assert run("compress", "-m", keras_folder, "-o", tmp_path / "small").exit_code == 0
    small = run("export", "-m", tmp_path / "small", "--quantize", "int8", "-o", tmp_path / "d.onnx")
    assert "the model is stored in int8 already: no prediction changes" in small.stdout
    found = run.json(*words, "-o", tmp_path / "c.onnx", "--data", table)
    assert (found["storage"], found["compression"]["n"]) == ("int8", 10)


def test_a_folder_for_the_web(run: Run, keras_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "web"
    assert run("export", "-m", keras_folder, "--web", out, "--quantize", "int8").exit_code == 0
    assert (out / "model.onnx").stat().st_size
    assert "exists already; --overwrite replaces it (Python: overwrite=True)" in refused(
        run, "export", "-m", keras_folder, "--web", out
    )
    assert run("export", "-m", keras_folder, "--web", out, "--overwrite").exit_code == 0
    (out / "notes.txt").write_text("mine")
    others = {"cut": "{", "deep": "[" * 100_000, "page": '{"format": "gatewise page", "files": []}'}
    for name, raw in others.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "export.json").write_text(raw)
    for more, message in (
        (["--web", out, "--overwrite"], "contains 'notes.txt', which is not part of the exported web model"),
        (["--web", out / "notes.txt", "--overwrite"], "notes.txt': exists and is not a folder"),
        *((["--web", tmp_path / name], "contains files and is not an exported web model") for name in others),
        ([], "give the output: -o FILE.onnx, or --web DIR"),
        (["--web", tmp_path / "a", "-o", tmp_path / "a.onnx"], "give the output: -o FILE.onnx, or --web DIR"),
        (["--web", tmp_path / "a", "--data", "imdb"], "--data measures what --quantize changes: give both"),
    ):
        assert message in refused(run, "export", "-m", keras_folder, *more)


def test_without_its_packages_nothing_is_written(
    run: Run, keras_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("onnxruntime", "onnx"):
        monkeypatch.setitem(sys.modules, package, None)
        assert "pip install 'gatewise[onnx]'" in refused(
            run, "export", "-m", keras_folder, "-o", tmp_path / "model.onnx"
        )
    assert not list(tmp_path.iterdir())


PAGE_TEXTS = ["it was a good film", "the end was bad"]


def data_of(folder: Path) -> dict[str, Any]:
    """The data in index.html by name; JSON as what it holds."""
    blocks = re.findall(r'data-file="([^"]+)">([^<]*)<', (folder / "index.html").read_text(encoding="utf-8"))
    found = {name: gzip.decompress(base64.b64decode(packed)) for name, packed in blocks}
    return {name: json.loads(raw) if name.endswith(".json") else raw for name, raw in found.items()}


def inputs_of(folder: Path) -> list[dict[str, Any]]:
    return list(data_of(folder)["model.json"]["examples"])


def test_the_files_and_what_the_page_says_of_itself(run: Run, tokens_folder: Path, tmp_path: Path) -> None:
    result = run("export-page", "-m", tokens_folder, *PAGE_TEXTS, "-o", tmp_path / "demo")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("saved index.html and lesson.html to ")
    assert {one.name for one in (tmp_path / "demo").iterdir()} == {"index.html", "lesson.html", "export.json"}
    model = data_of(tmp_path / "demo")["model.json"]
    assert model["made"]["command"] == f"gatewise export-page TEXT... --model {tokens_folder} --out demo"
    assert model["methods"] == ["prefix-difference", "cell-decomposition", "leave-one-out"]


def test_a_page_needs_no_text(run: Run, keras_folder: Path, tmp_path: Path) -> None:
    for texts in ([], PAGE_TEXTS):
        out = tmp_path / str(len(texts))
        assert run("export-page", "-m", keras_folder, *texts, "-o", out).exit_code == 0
        data = data_of(out)
        assert set(data) == {"model.json", "units-0.json", "model.lstm", "view.json", "worker.js"}
        assert [one["text"] for one in inputs_of(out)] == texts


def test_the_inputs_are_words_lines_or_a_column(run: Run, keras_folder: Path, tmp_path: Path) -> None:
    lines, table = tmp_path / "t.txt", tmp_path / "t.csv"
    lines.write_text("\n".join(PAGE_TEXTS) + "\n")
    table.write_text("review\n" + "\n".join(PAGE_TEXTS) + "\n")
    for n, words in enumerate(([lines], [table, "--text", "review"], ["-"])):
        out = tmp_path / str(n)
        result = run("export-page", "-m", keras_folder, "-i", *words, "-o", out, input="\n".join(PAGE_TEXTS))
        assert result.exit_code == 0, result.stderr
        assert [one["text"] for one in inputs_of(out)] == PAGE_TEXTS
    out = tmp_path / "one"
    assert run("export-page", "-m", keras_folder, "-i", lines, "--limit", 1, "-o", out).exit_code == 0
    assert len(inputs_of(out)) == 1


def test_a_page_of_series(run: Run, series_folder: Path, series_file: Path, tmp_path: Path) -> None:
    result = run("export-page", "-m", series_folder, "-i", series_file, "--limit", 2, "-o", tmp_path / "demo")
    assert result.exit_code == 0, result.stderr
    inputs = inputs_of(tmp_path / "demo")
    assert len(inputs) == 2
    assert all(len(step) == len(inputs[0]["series"][0]) for one in inputs for step in one["series"])


def test_only_an_exported_page_is_replaced(run: Run, keras_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    assert run("export-page", "-m", keras_folder, PAGE_TEXTS[0], "-o", out).exit_code == 0
    assert "--overwrite replaces it" in refused(run, "export-page", "-m", keras_folder, PAGE_TEXTS[1], "-o", out)
    assert [one["text"] for one in inputs_of(out)] == PAGE_TEXTS[0:1]
    assert run("export-page", "-m", keras_folder, PAGE_TEXTS[1], "-o", out, "--overwrite").exit_code == 0
    assert [one["text"] for one in inputs_of(out)] == PAGE_TEXTS[1:2]
    (out / "notes.txt").write_text("mine")
    kept = run("export-page", "-m", keras_folder, PAGE_TEXTS[1], "-o", out, "--overwrite")
    assert (kept.exit_code, (out / "notes.txt").read_text()) == (2, "mine")
    assert "'notes.txt', which is not part of the exported page" in kept.stderr


def test_the_report_of_a_compression(
    run: Run, keras_model: Model, keras_folder: Path, labelled_csv: Path, tmp_path: Path
) -> None:
    out = tmp_path / "small"
    result = run("compress", "-m", keras_folder, "-o", out, "--storage", "float16", "--data", labelled_csv)
    note = load(out).metadata.compression
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["bytes", f"{note.bytes_before:,}", f"{note.bytes_after:,}"] in rows
    assert ["accuracy", f"{note.accuracy_before:.4f}", f"{note.accuracy_after:.4f}"] in rows
    calibration = [f"{note.calibration_error_before:.4f}", f"{note.calibration_error_after:.4f}"]
    assert ["calibration", "error", *calibration] in rows
    assert ["equal", "predictions", f"{note.agreement:.4f}"] in rows
    assert "measured on 5: " in result.stdout
    assert note.bytes_after == sum(file.stat().st_size for file in out.iterdir())
    found = run.json("compress", "-m", keras_folder, "-o", out, "--storage", "float16", "--overwrite")
    expected = compress(keras_model, "float16").metadata.compression
    assert found["bytes_after"] == expected.bytes_after
    assert found["n"] == 0


def test_without_data_accuracy_is_not_measured(run: Run, tokens_folder: Path, tmp_path: Path) -> None:
    result = run("compress", "-m", tokens_folder, "-o", tmp_path / "small", "--vocab-size", 7)
    assert "accuracy not measured" in result.stdout
    assert load(tmp_path / "small").architecture.vocab_size == 7
    assert "compressed" in run("info", "-m", tmp_path / "small").stdout
