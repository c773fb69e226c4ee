"""`gatewise compress`: the same numbers as the library, on the terminal and as JSON, and nothing half-written."""

from pathlib import Path

from gatewise.model.compress import compress
from gatewise.model.model import Model, load
from tests.cli.conftest import Run
from tests.cli.test_bad_input import refused


def test_the_report(run: Run, keras_model: Model, keras_folder: Path, labelled_csv: Path, tmp_path: Path) -> None:
    out = tmp_path / "small"
    result = run("compress", "-m", keras_folder, "-o", out, "--storage", "float16", "--data", labelled_csv)
    note = load(out).metadata.compression
    assert result.exit_code == 0
    assert note is not None
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
    assert expected is not None
    assert found["bytes_after"] == expected.bytes_after
    assert found["n"] == 0


def test_without_data_accuracy_is_not_measured(run: Run, tokens_folder: Path, tmp_path: Path) -> None:
    result = run("compress", "-m", tokens_folder, "-o", tmp_path / "small", "--vocab-size", 7)
    assert "accuracy not measured" in result.stdout
    assert load(tmp_path / "small").architecture.vocab_size == 7
    assert "compressed" in run("info", "-m", tmp_path / "small").stdout


def test_a_model_is_replaced_only_if_asked(
    run: Run, keras_model: Model, keras_folder: Path, tokens_folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "m"
    keras_model.save(target)
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    for source in (tokens_folder, target):
        assert "exists already; --overwrite replaces it" in refused(run, "compress", "-m", source, "-o", target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    assert run("compress", "-m", tokens_folder, "-o", target, "--overwrite").exit_code == 0
    assert load(target).metadata.compression is not None
