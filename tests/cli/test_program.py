"""The program as a process: start-up time, imports, and the end when the reader has closed the pipe."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest
from typer.testing import CliRunner

import gatewise as gw
from gatewise import __version__
from gatewise.cli import COMMANDS, program
from tests.cli.conftest import Run


def cpu_seconds(command: list[str]) -> float:
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


@pytest.mark.parametrize(("words", "limit"), [(["--help"], 20), (["predict", "MODEL", "good"], 60)])
def test_it_starts_quickly(keras_folder: Path, words: list[str], limit: float) -> None:
    """Processor time, which other processes hardly change, relative to an empty Python, interleaved."""
    command = [sys.executable, "-m", "gatewise", *(str(keras_folder) if w == "MODEL" else w for w in words)]
    empty, command_times = zip(
        *((cpu_seconds([sys.executable, "-c", "pass"]), cpu_seconds(command)) for _ in range(7)), strict=True
    )
    assert median(command_times) / median(empty) < limit


def imported(*words: object) -> set[str]:
    """The top-level modules that a command imports."""
    code = (
        "import sys, gatewise.cli\n"
        f"sys.argv = {['gatewise', *map(str, words)]!r}\n"
        "try:\n    gatewise.cli.main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "finally:\n    print('modules', *{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_what_is_imported(keras_folder: Path) -> None:
    """Of --help: tests/structure/test_light_import.py."""
    unused = {"torch", "rich", "tokenizers", "pydantic", "csv", "ssl", "statistics", "tarfile"}
    assert not imported("predict", keras_folder, "good") & unused
    assert "torch" not in imported("explain", keras_folder, "good")
    assert "torch" not in imported("info")
    assert "torch" not in imported("info", keras_folder)


def test_version_and_help(run: Run) -> None:
    assert run("--version").stdout == f"gatewise {__version__}\n"
    assert run("--help").stdout == run("-h").stdout
    for name in ("train", "evaluate", "predict", "explain", "compress", "info", "data", "bench"):
        assert re.search(rf"^  {name} +[A-Z].*\.$", run("--help").stdout, re.MULTILINE)  # whole, not cut with dots
        assert re.search(rf"^  gatewise {name}", run(name, "--help").stdout, re.MULTILINE)  # an example
    assert "  gatewise train imdb --recipe tutorial  " in run("train", "--help").stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_the_same_without_the_others(run: Run, name: str) -> None:
    """`main` builds only the command that the first argument names."""
    alone = program([name, "--help"])
    assert len(alone.registered_commands) == 1
    result = CliRunner().invoke(alone, [name, "--help"])
    assert (result.exit_code, result.stdout) == (0, run(name, "--help").stdout)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["predikt"]])
def test_all_commands_are_built_where_none_is_named(arguments: list[str]) -> None:
    """For the list of --help, and for the suggestion that newer versions of typer make after a typing error."""
    assert [command.name for command in program(arguments).registered_commands] == list(COMMANDS)


def test_an_unknown_command_is_named() -> None:
    done = subprocess.run([sys.executable, "-m", "gatewise", "predikt"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "No such command 'predikt'." in done.stderr


def without_reader(*words: object, stderr: int | None = subprocess.PIPE, **environment: str) -> tuple[int, str]:
    """The exit code and standard error of a command that prints into a pipe whose reader has gone. stderr:
    subprocess.STDOUT for the same pipe.
    """
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "gatewise", *map(str, words)]
    variables = {**os.environ, **environment}
    done = subprocess.run(command, stdout=writing, stderr=stderr, text=True, check=False, env=variables)
    os.close(writing)
    return done.returncode, done.stderr or ""


def test_a_reader_that_has_gone_is_no_error(keras_folder: Path, tmp_path: Path) -> None:
    texts = tmp_path / "many.txt"
    texts.write_text("a good film\n" * 20_000, encoding="utf-8")  # their lines are more than a buffer holds
    for words in (["--help"], ["info"], ["predict", keras_folder, texts]):  # printed by click, rich and print
        assert without_reader(*words) == (0, "")
    assert without_reader("predict", keras_folder, texts, PYTHONUNBUFFERED="1") == (0, "")


def test_a_reader_that_has_gone_changes_no_error(keras_folder: Path) -> None:
    assert without_reader("predict", keras_folder, " ", stderr=subprocess.STDOUT)[0] == 2


def test_a_command_ends_its_work_after_the_reader_has_gone(
    keras_folder: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    """Training prints as it goes on, and warns."""
    rows = (reviews_csv, "--text", "review", "--label", "sentiment", "--units", 3, "--ngram-order", 0)
    done = without_reader("train", *rows, "--epochs", 2, "-o", tmp_path / "m", stderr=subprocess.STDOUT)
    assert (done[0], gw.load(tmp_path / "m").metadata.epochs) == (0, 2)
    picture = tmp_path / "shown.svg"
    assert without_reader("explain", keras_folder, "good", "--svg", picture, stderr=subprocess.STDOUT)[0] == 0
    assert picture.exists()


def test_a_warning_is_one_line(keras_folder: Path) -> None:
    code = (
        "import warnings, gatewise.cli as cli\n"
        "cli.program = lambda _: lambda **_: warnings.warn('something\\nodd', RuntimeWarning, stacklevel=1)\n"
        "cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr == "gatewise: warning: something\N{REPLACEMENT CHARACTER}odd\n"
