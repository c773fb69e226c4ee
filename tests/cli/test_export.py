"""`gatewise export`: an ONNX file, or one line of error and no file."""

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


def test_without_its_packages_nothing_is_written(
    run: Run, keras_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("onnxruntime", "onnx"):
        monkeypatch.setitem(sys.modules, package, None)
        assert "pip install 'gatewise[onnx]'" in refused(
            run, "export", "-m", keras_folder, "-o", tmp_path / "model.onnx"
        )
    assert not list(tmp_path.iterdir())
