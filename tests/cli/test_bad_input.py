"""Whatever is wrong with what was given: one line on stderr, exit code 2, nothing on stdout, nothing written."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest

from gatewise.cli.inputs import read_lines
from gatewise.errors import DataError
from tests.cli.conftest import Run


def refused(run: Run, *words: object, input: str | bytes | None = None) -> str:
    result = run(*words, input=input)
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("gatewise: ")
    assert all(ch.isprintable() for ch in lines[0])
    return lines[0]


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
@pytest.mark.parametrize("command", ["predict", "explain"])
def test_an_empty_text(run: Run, keras_folder: Path, command: str, text: str) -> None:
    assert "empty" in refused(run, command, keras_folder, text)


@pytest.mark.parametrize("command", ["predict", "explain"])
def test_a_lone_surrogate(run: Run, keras_folder: Path, tokens_folder: Path, command: str) -> None:
    for folder in (keras_folder, tokens_folder):
        assert "lone surrogate U+D800 at character 4" in refused(run, command, folder, "good\ud800")


def test_an_empty_line_among_others(run: Run, keras_folder: Path) -> None:
    result = run("predict", keras_folder, "-", input="one\n\nthree\n")
    assert (result.exit_code, result.stderr) == (2, "gatewise: stdin:2: the text is empty\n")


def test_stdin_that_is_empty_or_not_utf8(run: Run, keras_folder: Path) -> None:
    assert "stdin: contains no text" in refused(run, "predict", keras_folder, "-", input="\n\n")
    assert "stdin: not valid UTF-8 at byte 3" in refused(run, "explain", keras_folder, "-", input=b"goo\xff")


def test_stdin_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(DataError, match=r"^stdin: is closed$"):
        read_lines(None)


def test_a_word_of_ten_megabytes_is_a_word(run: Run, keras_folder: Path) -> None:
    result = run("predict", keras_folder, "-", input="x" * 10_000_000)
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1)


def test_a_word_of_ten_megabytes_beyond_the_cap(run: Run, tokens_folder: Path) -> None:
    line = refused(run, "predict", tokens_folder, "-", input="x" * 10_000_000)
    assert "10,000,000 characters; the limit is 1,000,000" in line


def test_an_unknown_model(run: Run, tmp_path: Path) -> None:
    for command in (("predict", "x"), ("explain", "x"), ("evaluate", "imdb"), ("info",)):
        name, *rest = command
        assert "missing" in refused(run, name, tmp_path / "missing", *rest)


def test_any_file_of_a_model_with_a_byte_flipped(run: Run, keras_folder: Path, tmp_path: Path) -> None:
    for file in sorted(keras_folder.iterdir()):
        broken = tmp_path / file.name.replace(".", "_")
        shutil.copytree(keras_folder, broken)
        raw = bytearray(file.read_bytes())
        raw[len(raw) // 2] ^= 1
        (broken / file.name).write_bytes(raw)
        refused(run, "predict", broken, "good")


def test_texts_and_series_are_not_mixed_up(
    run: Run, keras_folder: Path, series_folder: Path, series_file: Path
) -> None:
    assert "classifies series" in refused(run, "predict", series_folder, "a text")
    assert "the model reads series" in refused(run, "explain", series_folder, "a text")
    assert "classifies texts" in refused(run, "predict", keras_folder, "--file", series_file)
    assert "the model reads texts, not series" in refused(run, "explain", keras_folder, "--file", series_file)
    assert "--row must be from 1 to 5, not 6" in refused(
        run, "explain", series_folder, "--file", series_file, "--row", 6
    )


def test_a_file_of_series_that_is_not_there(run: Run, series_folder: Path) -> None:
    assert refused(run, "predict", series_folder, "missing.csv") == "gatewise: 'missing.csv': not found"
    assert "give one file" in refused(run, "predict", series_folder, "missing.csv", "other.csv")


def test_series_on_stdin(run: Run, series_folder: Path, tmp_path: Path) -> None:
    for words in (
        ("predict", series_folder, "-"),
        ("explain", series_folder, "-"),
        ("explain", series_folder, "--file", "-"),
        ("evaluate", series_folder, "-"),
        ("export-page", series_folder, "-", "-o", tmp_path / "page"),
        ("data", "-", "--series"),
        ("train", "-", "--series"),
    ):
        line = refused(run, *words, input="a,b\n1,2\n")
        assert line == "gatewise: series cannot be read from stdin: give a file"


def test_too_little_or_too_much(run: Run, keras_folder: Path, tmp_path: Path) -> None:
    assert "either texts" in refused(run, "predict")
    assert "either texts" in refused(run, "predict", keras_folder)
    assert "either texts" in refused(run, "predict", keras_folder, "x", "--file", tmp_path / "y")
    assert "give one of" in refused(run, "explain", keras_folder)
    assert "give one of" in refused(run, "explain", keras_folder, "x", "--tutorial-review")
    assert "--data cannot be combined" in refused(run, "explain", keras_folder, "x", "--data", "embedded")


def test_explain_with_a_wrong_method_or_unit(run: Run, keras_folder: Path) -> None:
    line = refused(run, "explain", keras_folder, "good", "--method", "magic")
    names = "prefix-difference, cell-decomposition, integrated-gradients, leave-one-out"
    assert f"no method is called 'magic'; there are {names}" in line
    assert "unit must be from 0 to 5, not 6" in refused(run, "explain", keras_folder, "good", "--unit", 6)


def test_an_unknown_source(run: Run, keras_folder: Path, tmp_path: Path) -> None:
    for command in (("train",), ("evaluate", keras_folder), ("data",)):
        assert "'imbd': neither imdb nor a file" in refused(run, *command, "imbd")
        assert "not found" in refused(run, *command, tmp_path / "none.csv")
        assert "--data is only for the source imdb" in refused(run, *command, tmp_path / "none.csv", "--data", "x")


def test_an_archive_missing_truncated_or_without_classes(run: Run, tmp_path: Path) -> None:
    assert "none.tar.gz" in refused(run, "data", "imdb", "--data", tmp_path / "none.tar.gz")
    folder = tmp_path / "aclImdb"
    for part in ("train/pos", "train/neg", "test/pos"):
        (folder / part).mkdir(parents=True)
        (folder / part / "0_9.txt").write_text("good " * 2000)
    whole = tmp_path / "whole.tar.gz"
    with tarfile.open(whole, "w:gz") as archive:
        archive.add(folder, "aclImdb")
    for path in (folder, whole):
        assert "test/neg" in refused(run, "data", "imdb", "--data", path)
    short = tmp_path / "short.tar.gz"
    short.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert "short.tar.gz" in refused(run, "train", "imdb", "--data", short, "-o", tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_invalid_training_options(run: Run, reviews_csv: Path, tmp_path: Path) -> None:
    target = tmp_path / "m"
    csv = (reviews_csv, "--text", "review", "--label", "sentiment", "-o", target)
    assert "no recipe is called 'slow'; there are finetune, best, few-shot, tutorial, fast" in refused(
        run, "train", *csv, "--recipe", "slow"
    )
    assert "recipe: gate must be 'sigmoid' or 'binary', not 'soft'" in refused(run, "train", *csv, "--gate", "soft")
    assert "epochs must be at least 1" in refused(run, "train", *csv, "--epochs", 0)
    assert "no column 'text'; there are 'sentiment', 'review'" in refused(run, "train", reviews_csv, "-o", target)
    assert not target.exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("a year of work")
    refused(run, "train", reviews_csv, "--text", "review", "--label", "sentiment", "-o", other)
    assert [file.name for file in other.iterdir()] == ["thesis.txt"]


def test_classes_that_the_model_does_not_know(run: Run, keras_folder: Path, reviews_csv: Path) -> None:
    line = refused(run, "evaluate", keras_folder, reviews_csv, "--text", "review", "--label", "sentiment")
    assert "has no class 'bad'" in line


def test_an_svg_that_cannot_be_written(run: Run, keras_folder: Path, tmp_path: Path) -> None:
    result = run("explain", keras_folder, "good", "--svg", tmp_path / "none" / "x.svg")
    assert result.exit_code == 2
    assert "x.svg': no such file or directory; nothing was changed" in result.stderr


@pytest.mark.parametrize("words", [["train"], ["learn", "x"], ["predict", "m", "x", "--fast"]])
def test_wrong_usage(run: Run, words: list[str]) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert result.stdout == ""


def test_an_unknown_kernel(run: Run, keras_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_KERNEL", "cuda")
    assert "unknown kernel 'cuda'; the kernels are bf16, native, reference" in refused(
        run, "predict", keras_folder, "good"
    )
