"""`gatewise export`: an ONNX file, or one line of error and no file."""

import re
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.test_bad_input import refused

pytest.importorskip("onnxruntime")


def test_the_report(run: Run, keras_folder: Path, tmp_path: Path) -> None:
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
    assert "exists already; --overwrite replaces it" in refused(run, "export", "-m", keras_folder, "--web", out)
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
