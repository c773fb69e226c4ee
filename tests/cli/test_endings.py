"""A command ends with one line where a signal stops it or its output cannot be written, and never with a traceback."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gatewise as gw
from tests.cli.conftest import TEXTS, Run
from tests.cli.test_bad_input import refused

PROGRAM = [sys.executable, "-m", "gatewise"]
# It tells when it is busy, and then runs until a signal comes.
BUSY = """
import sys, time
import gatewise.cli as cli

def busy():
    print("busy", flush=True)
    time.sleep(120)

cli.COMMANDS["busy"] = "Run until a signal comes."
cli.Commands.get_command = lambda *_: __import__("click").Command("busy", callback=busy)
sys.argv = ["gatewise", "busy"]
cli.main()
"""


@pytest.fixture
def forever(reviews_csv: Path, tmp_path: Path) -> list[str]:
    """A training run that does not end by itself."""
    words = ["--text", "review", "--label", "sentiment", "--epochs", "100000", "--set", "units=4"]
    return [*PROGRAM, "train", str(reviews_csv), *words, "-o", str(tmp_path / "m")]


def started(command: list[str], until: str, stream: str = "stdout", **options: Any) -> subprocess.Popen[str]:
    """The process, after it has printed a line that starts with the word `until`."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    process = subprocess.Popen(command, env={**os.environ, "PYTHONUNBUFFERED": "1"}, **pipes)
    for line in getattr(process, stream):
        if line.split()[:1] == [until]:
            return process
    raise AssertionError(process.communicate())


@pytest.mark.parametrize("times", [1, 10])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_with_its_exit_code(number: int, times: int) -> None:
    with started([sys.executable, "-c", BUSY], "busy") as process:
        for _ in range(times):
            process.send_signal(number)
        _, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (128 + number, "gatewise: stopped\n")


# Ctrl-C at a line of the command line's own code: while it builds its commands, reads the options and ends.
EARLY = """
import signal, sys
import gatewise.cli as cli

def call(frame, event, _):
    if (frame.f_code.co_filename.rpartition("/")[2], frame.f_code.co_name) == (FILE, FUNCTION):
        sys.setprofile(None)
        signal.raise_signal(signal.SIGINT)

FILE, FUNCTION = sys.argv[1:]
sys.argv = ["gatewise", "info"]
sys.setprofile(call)
cli.main()
"""


@pytest.mark.parametrize(
    ("file", "function"), [("__init__.py", "get_command"), ("__init__.py", "parse_args"), ("core.py", "exit")]
)
def test_a_signal_outside_of_a_command(file: str, function: str) -> None:
    program = [sys.executable, "-c", EARLY, file, function]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "gatewise: stopped\n")


def test_nohup_ignores_a_closed_terminal() -> None:
    nohup = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh"]
    with started([*nohup, sys.executable, "-c", BUSY], "busy") as process:
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])  # SIGHUP: with the terminal
def test_training_keeps_its_epochs(run: Run, forever: list[str], tmp_path: Path, number: int) -> None:
    with started(forever, "2") as process:
        process.send_signal(number)
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 128 + number
    assert errors.splitlines()[-1].startswith("gatewise: stopped in epoch ")
    assert errors.rstrip().endswith("; continue with --resume")
    assert gw.load(tmp_path / "m").metadata.epochs >= 2
    assert "interrupted     stopped in epoch " in run("info", "-m", tmp_path / "m").stdout
    assert "m.run' holds an unfinished run: continue it with --resume" in refused(run, *forever[3:])
    with started([*forever, "--resume"], "resuming") as process:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=300)


def test_training_keeps_its_epochs_when_the_terminal_closes(forever: list[str], tmp_path: Path) -> None:
    """SIGHUP comes from the kernel, and every write to the terminal fails from then on."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(forever[0], forever)
    seen = b""
    while not re.search(rb" 2  \d\.\d{4} ", seen):  # the line of the second epoch
        assert select.select([terminal], [], [], 60)[0], seen
        seen += os.read(terminal, 1000)
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    assert gw.load(tmp_path / "m").metadata.epochs >= 2


@pytest.mark.parametrize("words", [["--help"], ["predict", "-m", "MODEL", *TEXTS * 400], ["info", "-m", "MODEL"]])
def test_a_full_disk_behind_standard_output(keras_folder: Path, words: list[str]) -> None:
    command = [*PROGRAM, *(str(keras_folder) if word == "MODEL" else word for word in words)]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "gatewise: standard output: no space left on device\n")


@pytest.mark.parametrize("closed", ["1", "2", "1 2"])
def test_closed_streams(keras_folder: Path, tmp_path: Path, closed: str) -> None:
    script = "exec " + " ".join(f"{number}>&-" for number in closed.split()) + '; exec "$@"'
    command = ["sh", "-c", script, "sh", *PROGRAM, "predict", "-m", str(keras_folder), "good"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == (0 if closed == "2" else 2)
    assert done.stderr == ("gatewise: standard output is closed\n" if closed == "1" else "")


@pytest.mark.parametrize(
    "words", [["predict", "-m", "MODEL", "-i", "-"], ["explain", "-m", "MODEL", "-i", "-"], ["data", "-"]]
)
def test_a_closed_standard_input(keras_folder: Path, words: list[str]) -> None:
    command = [*PROGRAM, *(str(keras_folder) if word == "MODEL" else word for word in words)]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "gatewise: stdin: is closed\n")


@pytest.mark.parametrize(
    "words", [["compress", "-m", "MODEL"], ["export", "-m", "MODEL"], ["train", "DATA", *["--epochs", "1"]]]
)
@pytest.mark.parametrize("out", ["/proc/x", "/dev/full"])
def test_a_place_that_takes_no_file(keras_folder: Path, reviews_csv: Path, words: list[str], out: str) -> None:
    places = {"MODEL": [keras_folder], "DATA": [reviews_csv, "--text", "review", "--label", "sentiment"]}
    command = [*PROGRAM, *(str(one) for word in words for one in places.get(word, [word])), "-o", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("gatewise: ") and "warning" not in line]
    assert len(lines) == 1, done.stderr
    assert out in lines[0] or out.rpartition("/")[0] in lines[0]
    assert "Traceback" not in done.stderr
