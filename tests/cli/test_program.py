"""The program as a process: start-up time, imports, and the end when the reader has closed the pipe."""

import os
import re
import subprocess
import sys
from pathlib import Path

import gatewise as gw
from gatewise import __version__
from gatewise.cli import COMMANDS
from gatewise.training import RECIPES
from tests.children import run_child
from tests.cli.conftest import Run

SET = "gatewise tune --set lstm.u"


def test_what_a_prediction_imports(keras_folder: Path) -> None:
    """Of --help: tests/structure/test_light_import.py. Without torch: tests/test_without_torch.py."""
    code = (
        "import sys, gatewise.cli\n"
        "try:\n    gatewise.cli.main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "finally:\n    print(*{name.split('.')[0] for name in sys.modules})"
    )
    command = [sys.executable, "-c", code, "predict", "-m", str(keras_folder), "good"]
    done = run_child(command, check=True)
    unused = {"torch", "rich", "tokenizers", "pydantic", "csv", "ssl", "statistics", "tarfile"}
    assert not set(done.stdout.splitlines()[-1].split()) & unused


def test_version_and_help(run: Run) -> None:
    assert run("--version").stdout == f"gatewise {__version__}\n"
    assert run("--help").stdout == run("-h").stdout
    for name in COMMANDS:
        assert run(name, "--help").stdout.startswith(f"Usage: gatewise {name} [OPTIONS]")
        assert re.search(rf"^  {name} +[A-Z].*(\n {{9}}.*)?\.$", run("--help").stdout, re.MULTILINE)  # whole
        assert re.search(rf"^  gatewise {name}", run(name, "--help").stdout, re.MULTILINE)  # an example
    train = run("train", "--help").stdout
    assert "  gatewise train imdb --recipe tutorial  " in train
    recipes = re.search(r"Training recipe:(.*?)Default:", train, re.DOTALL)
    assert recipes
    assert set(RECIPES) - {"forecast"} <= set(re.split(r"[\s,.]+", recipes[1]))


def test_a_shell_completes_commands_recipes_and_fields() -> None:
    for words, found in (("gatewise tra", "train"), ("gatewise train --recipe fin", "finetune"), (SET, "lstm.units=")):
        environment = {"_GATEWISE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        done = run_child([sys.executable, "-m", "gatewise"], env={**os.environ, **environment})
        assert found in {line.partition(",")[2] for line in done.stdout.splitlines()}


def without_reader(*words: object, stderr: int | None = subprocess.PIPE, **environment: str) -> tuple[int, str]:
    """The exit code and standard error of a command that prints into a pipe whose reader has gone. stderr:
    subprocess.STDOUT for the same pipe.
    """
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "gatewise", *map(str, words)]
    variables = {**os.environ, **environment}
    done = run_child(command, stdout=writing, stderr=stderr, env=variables)
    os.close(writing)
    return done.returncode, done.stderr or ""


def test_a_reader_that_has_gone_changes_nothing(keras_folder: Path, reviews_csv: Path, tmp_path: Path) -> None:
    """Neither the exit code, nor the work of a command that prints as it goes on, and warns."""
    model, texts = ("-m", keras_folder), tmp_path / "many.txt"
    texts.write_text("a good film\n" * 20_000, encoding="utf-8")  # their lines are more than a buffer holds
    for words in (["--help"], ["info"], ["predict", *model, "-i", texts]):  # printed by click, rich and print
        assert without_reader(*words) == (0, "")
    assert without_reader("predict", *model, "-i", texts, PYTHONUNBUFFERED="1") == (0, "")
    assert without_reader("predict", *model, " ", stderr=subprocess.STDOUT)[0] == 2
    rows = (reviews_csv, "--text", "review", "--label", "sentiment", "--set", "units=3", "--set", "ngrams.order=0")
    done = without_reader("train", *rows, "--epochs", 2, "-o", tmp_path / "m", stderr=subprocess.STDOUT)
    assert (done[0], gw.load(tmp_path / "m").metadata.epochs) == (0, 2)
    search = ("--trials", 2, "--search", "epochs=1,2", "-o", tmp_path / "tuned")
    assert without_reader("tune", *rows, *search, stderr=subprocess.STDOUT)[0] == 0
    assert gw.load(tmp_path / "tuned").metadata.epochs
    picture = tmp_path / "shown.svg"
    assert without_reader("explain", *model, "good", "--svg", picture, stderr=subprocess.STDOUT)[0] == 0
    assert picture.exists()


def test_a_warning_is_one_line(keras_folder: Path) -> None:
    code = (
        "import warnings, gatewise.cli as cli\n"
        "cli.program = lambda **_: warnings.warn('something\\nodd', RuntimeWarning, stacklevel=1)\n"
        "cli.main()"
    )
    done = run_child([sys.executable, "-c", code], check=True)
    assert done.stderr == "gatewise: warning: something\N{REPLACEMENT CHARACTER}odd\n"


def test_the_help_of_train_shows_first_what_most_users_need(run: Run) -> None:
    parts = re.split(r"^(\S[^:\n]*):$", run("train", "--help").stdout, flags=re.MULTILINE)
    groups = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert list(groups) == ["Positional arguments", "Options", "Columns", "Model and training", "Data", "Run"]
    first = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", groups["Options"], re.MULTILINE)
    assert set(first) == {
        *("--text", "--label", "--task", "--out", "--recipe", "--pretrained", "--set", "--epochs", "--overwrite"),
        *("--json", "--help"),
    }
