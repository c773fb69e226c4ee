"""The program as a process: start-up time, imports, and the end when the reader has closed the pipe."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import pytest

from gatewise import __version__
from tests.cli.conftest import TEXTS, Run


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


@pytest.mark.parametrize(("words", "limit"), [(["--help"], 20), (["predict", "MODEL", "good"], 60)])
def test_it_starts_quickly(keras_folder: Path, words: list[str], limit: float) -> None:
    """Relative to an empty Python, interleaved, so that a busy machine slows both."""
    command = [sys.executable, "-m", "gatewise", *(str(keras_folder) if w == "MODEL" else w for w in words)]
    empty, command_times = zip(
        *((seconds([sys.executable, "-c", "pass"]), seconds(command)) for _ in range(7)), strict=True
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
    assert not imported("--help") & {"numpy", "torch", "rich", "tokenizers"}
    assert not imported("train", "--help") & {"numpy", "torch", "rich", "tokenizers"}
    assert not imported("predict", keras_folder, "good") & {"torch", "rich", "tokenizers", "pydantic"}
    assert not imported("predict", keras_folder, "good") & {"csv", "ssl", "statistics", "tarfile"}
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


def test_a_reader_that_has_gone_is_no_error(keras_folder: Path) -> None:
    for words in (["--help"], ["predict", str(keras_folder), *TEXTS * 40], ["explain", str(keras_folder), "good"]):
        reading, writing = os.pipe()
        os.close(reading)
        command = [sys.executable, "-m", "gatewise", *words]
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
        os.close(writing)
        assert done.stderr == ""


def test_a_warning_is_one_line(keras_folder: Path) -> None:
    code = (
        "import warnings, gatewise.cli as cli\n"
        "cli.app = lambda **_: warnings.warn('something\\nodd', RuntimeWarning, stacklevel=1)\n"
        "cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr == "gatewise: warning: something\N{REPLACEMENT CHARACTER}odd\n"
