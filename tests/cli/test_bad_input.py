"""Whatever is wrong with what was given: one line on stderr, exit code 2, nothing on stdout, nothing written."""

from __future__ import annotations

import shlex
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


# A command, with the names of `places` in braces, and its message.
REFUSED = [
    ("predict {keras} ''", "empty"),
    ("predict {keras} ' \n\t'", "empty"),
    ("explain {keras} ''", "empty"),
    ("explain {keras} '   '", "empty"),
    ("predict {keras} good\ud800", "lone surrogate U+D800 at character 4"),
    ("predict {tokens} good\ud800", "lone surrogate U+D800 at character 4"),
    ("explain {keras} good\ud800", "lone surrogate U+D800 at character 4"),
    ("explain {tokens} good\ud800", "lone surrogate U+D800 at character 4"),
    # models
    ("predict {tmp}/missing x", "missing"),
    ("explain {tmp}/missing x", "missing"),
    ("evaluate {tmp}/missing imdb", "missing"),
    ("info {tmp}/missing", "missing"),
    ("compress {tmp}/none -o {tmp}/out", "cannot open the model folder"),
    ("export {tmp}/none -o {tmp}/model.onnx", "cannot open the model folder"),
    # texts and series
    ("explain {series} 'a text'", "the model reads series"),
    ("predict {keras} --file {file}", "reads texts"),
    ("explain {keras} --file {file}", "the model reads texts, not series"),
    ("explain {tokens} {file}", "the model reads texts, not series"),
    ("explain {series} --file {file} --row 6", "--row must be from 1 to 5, not 6"),
    ("explain {series} {file} --row 9", "--row must be from 1 to 5, not 9"),
    ("predict {series} missing.csv", "gatewise: 'missing.csv': not found"),
    ("predict {series} missing.csv other.csv", "'missing.csv': not found"),
    ("predict {series} 'a text'", "the model reads series: give files"),
    ("explain {series} missing.ts", "'missing.ts': there is no such file; the model reads series"),
    ("explain {tokens} 'a text' --row 2", "--row is the number of a row in a file: give a file"),
    ("explain {tokens} 'a text' --text x", "--text is for files: give a file"),
    ("export-page {keras} 'a good film' --text review -o {tmp}/out", "--text is for files: give a file"),
    ("predict {keras} 'A good film.' --time x", "--time is for files: give a file"),
    ("predict {keras} - --label x", "--label is for series, and the model reads texts"),
    ("predict {series} {file} --text x", "--text is for texts, and the model reads series"),
    ("predict {keras} {lines} --layout time-first", "--layout is for series"),
    ("predict {keras} {lines} --time x", "--time is for series"),
    ("predict {keras} {lines} --probabilities top", "--probabilities is for an output: give -o FILE"),
    # too little or too much
    ("predict", "either texts"),
    ("predict {keras}", "either texts"),
    ("predict {keras} x --file {tmp}/y", "either texts"),
    ("explain {keras}", "give one of"),
    ("explain {keras} x --tutorial-review", "give one of"),
    ("explain {keras} x --data embedded", "--data cannot be combined with a text"),
    ("export-page {keras} -o {tmp}/out", "give texts, a file, or - for stdin"),
    ("export-page {keras} good ' ' -o {tmp}/out", "text 2: the text is empty"),
    (f"export-page {{keras}} {'good ' * 101} -o {{tmp}}/out", "an exported page has 1 to 100"),
    # data
    ("train imbd", "'imbd': neither imdb nor a file"),
    ("evaluate {keras} imbd", "'imbd': neither imdb nor a file"),
    ("data imbd", "'imbd': neither imdb nor a file"),
    ("compress {keras} -o {tmp}/out --data imbd", "neither imdb nor a file"),
    ("train {tmp}/none.csv", "not found"),
    ("evaluate {keras} {tmp}/none.csv", "not found"),
    ("data {tmp}/none.csv", "not found"),
    ("train {tmp}/none.csv --data x", "--data is only for the source imdb"),
    ("evaluate {keras} {tmp}/none.csv --data x", "--data is only for the source imdb"),
    ("data {tmp}/none.csv --data x", "--data is only for the source imdb"),
    ("data imdb --data {tmp}/none.tar.gz", "none.tar.gz"),
    ("evaluate {keras} {csv} --text review --label sentiment", "has no class 'bad'"),
    ("train {csv} -o {tmp}/out", "no column 'text'; there are 'sentiment', 'review'"),
    # options
    ("train {csv} --text review --label sentiment --recipe slow", "no recipe is called 'slow'; there are finetune, be"),
    ("train {csv} --text review --label sentiment --gate soft", "gate must be 'sigmoid' or 'binary', not 'soft'"),
    ("train {csv} --text review --label sentiment --epochs 0", "epochs must be at least 1"),
    ("compress {keras} -o {tmp}/out --storage int4", "storage must be float32, float16 or int8, not 'int4'"),
    ("compress {keras} -o {tmp}/out --vocab-size 3", "encoding 'keras'"),
    ("compress {tokens} -o {tmp}/out --vocab-size 1000000", "vocab_size must be 3 to"),
    ("export {keras} -o {tmp}/model.pt", "ends in .onnx, not"),
    ("explain {keras} good --method magic", "no method is called 'magic'; there are prefix-difference, cell-decomposi"),
    ("explain {keras} good --unit 6", "unit must be from 0 to 5, not 6"),
    ("explain {tokens} 'a text' --against q", "there is no class 'q'; the classes are"),
    ("explain {keras} 'a text' --target positive --against positive", "are the same: 'positive'"),
    ("explain {keras} good --clamp forget=2", "forget must lie in [0, 1]; got 2"),
    ("explain {keras} good --clamp gate=1", "--clamp must be [UNIT:]GATE=VALUE"),
    ("explain {keras} good --clamp forget=much", "'much' is not a number"),
    ("explain {keras} good --clamp forget=nan", "forget must lie in [0, 1]; got nan"),
    ("explain {keras} good --clamp 9:forget=1", "unit must be from 0 to 5, not 9"),
    ("explain {keras} good --clamp f=1@5-3", "steps count from 1 and must be in order"),
    ("explain {keras} good --clamp f=1@3-99", "must be from 1 to 2"),
    ("explain {keras} good --layer 1", "--layer and --direction apply only to --clamp, --ablate and --hold-memory"),
    ("explain {keras} good --clamp f=1 --layer 0", "--layer counts from 1, not 0"),
    ("explain {keras} good --clamp f=1 --direction up", "--direction must be forward or backward, not 'up'"),
    ("explain {keras} good --clamp f=1 --direction backward", "must be forward in this network, not 'backward'"),
    ("explain {keras} good --ablate x", "--ablate must be unit numbers such as 3 or 3,17, not 'x'"),
    ("explain {keras} good --hold-memory 1,", "--hold-memory must be unit numbers"),
    ("explain {keras} good --replace good", "--replace must be OLD=NEW or STEP=NEW, not 'good'"),
    ("explain {keras} good --replace gone=x", "'gone' is not among the words that the network reads"),
    ("explain {keras} good --replace 40=x", "there is no step 40: the network reads 2 steps"),
    ("explain {keras} good --baseline zeor", "a baseline is unknown, pad, zero, mean, not 'zeor'"),
    ("explain {keras} good --method cell-decomposition --baseline pad", "a baseline is for integrated-gradients, not"),
    ("explain {keras} good --compare x --clamp f=1", "--compare needs texts, without --clamp"),
]


@pytest.fixture
def places(
    keras_folder: Path, tokens_folder: Path, series_folder: Path, series_file: Path, reviews_csv: Path, tmp_path: Path
) -> dict[str, Path]:
    (tmp_path / "lines.txt").write_text("A good film.\n")
    models = {"keras": keras_folder, "tokens": tokens_folder, "series": series_folder}
    return {**models, "file": series_file, "csv": reviews_csv, "lines": tmp_path / "lines.txt", "tmp": tmp_path}


@pytest.mark.parametrize(("command", "message"), REFUSED, ids=[f"{n}-{c[:50]}" for n, (c, _) in enumerate(REFUSED)])
def test_one_line_and_nothing_written(run: Run, places: dict[str, Path], command: str, message: str) -> None:
    before = sorted(places["tmp"].rglob("*"))
    assert message in refused(run, *(word.format(**places) for word in shlex.split(command)))
    assert sorted(places["tmp"].rglob("*")) == before


def test_stdin(run: Run, keras_folder: Path, tokens_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("predict", keras_folder, "-", input="one\n\nthree\n")
    assert (result.exit_code, result.stderr) == (2, "gatewise: stdin:2: the text is empty\n")
    assert "stdin: contains no text" in refused(run, "predict", keras_folder, "-", input="\n\n")
    assert "stdin: not valid UTF-8 at byte 3" in refused(run, "explain", keras_folder, "-", input=b"goo\xff")
    line = refused(run, "predict", tokens_folder, "-", input="x" * 10_000_000)
    assert "10,000,000 characters; the limit is 1,000,000" in line
    result = run("predict", keras_folder, "-", input="x" * 10_000_000)
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1), "a long word is a word"
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(DataError, match=r"^stdin: is closed$"):
        read_lines(None)


@pytest.mark.parametrize(
    "command",
    [
        "predict {series} -",
        "explain {series} -",
        "explain {series} --file -",
        "evaluate {series} -",
        "export-page {series} - -o {tmp}/page",
        "data - --series",
        "train - --series",
    ],
)
def test_series_on_stdin(run: Run, places: dict[str, Path], command: str) -> None:
    line = refused(run, *(word.format(**places) for word in command.split()), input="a,b\n1,2\n")
    assert line == "gatewise: series cannot be read from stdin: give a file"


def test_any_file_of_a_model_with_a_byte_flipped(run: Run, keras_folder: Path, tmp_path: Path) -> None:
    for file in sorted(keras_folder.iterdir()):
        broken = tmp_path / file.name.replace(".", "_")
        shutil.copytree(keras_folder, broken)
        raw = bytearray(file.read_bytes())
        raw[len(raw) // 2] ^= 1
        (broken / file.name).write_bytes(raw)
        refused(run, "predict", broken, "good")


def test_an_archive_truncated_or_without_classes(run: Run, tmp_path: Path) -> None:
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


def test_a_folder_of_somebody_else_is_left(run: Run, places: dict[str, Path]) -> None:
    other = places["tmp"] / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("a year of work")
    refused(run, "train", places["csv"], "--text", "review", "--label", "sentiment", "-o", other)
    assert "is not a gatewise model" in refused(run, "compress", places["keras"], "-o", other)
    assert [file.name for file in other.iterdir()] == ["thesis.txt"]


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
    line = refused(run, "predict", keras_folder, "good")
    assert "unknown kernel 'cuda'; the kernels are bf16, native, reference" in line
