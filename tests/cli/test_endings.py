"""A command ends with one line where a signal stops it or its output cannot be written, and never with a traceback."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import gatewise as gw
from tests.children import run_child, running, status_of
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


@contextmanager
def started(command: list[str], until: str) -> Iterator[subprocess.Popen[str]]:
    """The process, after it has printed a line that starts with the word `until`."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with running(command, env={**os.environ, "PYTHONUNBUFFERED": "1"}, **pipes) as process:
        if not any(line.split()[:1] == [until] for line in process.stdout):
            raise AssertionError(process.communicate())
        yield process


@pytest.mark.parametrize("times", [1, 10])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_with_its_exit_code(number: int, times: int) -> None:
    with started([sys.executable, "-c", BUSY], "busy") as process:
        for _ in range(times):
            process.send_signal(number)
        _, errors = process.communicate()
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
    done = run_child(program)
    assert (done.returncode, done.stderr) == (130, "gatewise: stopped\n")


# A signal in the entry point, as the console script imports it: at the begin of its N-th import from the handlers on.
STARTING = """
import os, sys

def watch(event, args):
    global left
    if event == "import" and sys.modules["signal"].getsignal(NUMBER) is sys.modules["gatewise.__main__"].end_at_once:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), NUMBER)

NUMBER, left = int(sys.argv[1]), int(sys.argv[2])
sys.argv = ["gatewise", "info"]
from gatewise.__main__ import main
import signal
sys.addaudithook(watch)
main()
"""


@pytest.mark.parametrize(("number", "imports"), [(2, 1), (2, 7), (2, 23), (2, 41), (15, 1), (15, 38), (1, 5)])
def test_a_signal_while_the_command_line_is_imported(number: int, imports: int) -> None:
    command = [sys.executable, "-c", STARTING, str(number), str(imports)]
    done = run_child(command, preexec_fn=_default_signals)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "gatewise: stopped\n")


def _default_signals() -> None:
    """In the child: those of a program in the foreground of a terminal."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_the_entry_point_sets_its_handlers_first() -> None:
    """Until then a signal ends Python itself, Ctrl-C with a traceback."""
    code = (
        f"import os, sys; sys.path.insert(0, {str(Path(gw.__file__).parents[1])!r}); before = {{*sys.modules}}; "
        "import gatewise.__main__ as start; loaded = {*sys.modules} - before; "
        "import signal; unset = signal.getsignal(2); start.end_on_signals(); "
        "print(unset is not start.end_at_once, signal.getsignal(2) is start.end_at_once, *sorted(loaded))"
    )
    # Without site, which loads os: the import hook of an editable installation loads modules of its own.
    done = run_child([sys.executable, "-I", "-S", "-c", code], check=True)
    loaded = done.stdout.split()
    assert loaded[:2] == ["True", "True"]
    light = {"__future__", "importlib", "importlib._bootstrap", "importlib._bootstrap_external", "warnings"}
    assert {*loaded[2:]} - light == {"gatewise", "gatewise.__main__", "gatewise._version", "gatewise.extensions"}


INTERRUPTED = """
import gatewise.__main__ as start

def interrupted():
    raise KeyboardInterrupt

start.end_on_signals = interrupted
start.main()
"""


def test_ctrl_c_while_the_handlers_are_set() -> None:
    done = run_child([sys.executable, "-c", INTERRUPTED])
    assert (done.returncode, done.stderr) == (130, "gatewise: stopped\n")


# Python drops an exception that leaves the callback of a weak reference.
DROPPED = """
import os, sys, time, weakref
import gatewise.cli as cli

def busy():
    target = {1, 2, 3}
    reference = weakref.ref(target, lambda _: os.kill(os.getpid(), NUMBER))
    del target
    time.sleep(SECONDS)

NUMBER = int(sys.argv[1])
SECONDS = int(sys.argv[2])
cli.COMMANDS["busy"] = "Run until a signal comes."
cli.Commands.get_command = lambda *_: __import__("click").Command("busy", callback=busy)
sys.argv = ["gatewise", "busy"]
cli.main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("seconds", [0, 60])
def test_a_signal_whose_exception_is_dropped(number: int, seconds: int) -> None:
    """While the command goes on, and where it ends at once."""
    done = run_child([sys.executable, "-c", DROPPED, str(int(number)), str(seconds)], seconds=50)
    assert (done.returncode, done.stderr) == (128 + number, "gatewise: stopped\n")


def test_nohup_ignores_a_closed_terminal() -> None:
    nohup = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh"]
    with started([*nohup, sys.executable, "-c", BUSY], "busy") as process:
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])  # SIGHUP: with the terminal
def test_training_keeps_its_epochs(run: Run, forever: list[str], tmp_path: Path, number: int) -> None:
    with started(forever, "2") as process:
        process.send_signal(number)
        _, errors = process.communicate()
    assert process.returncode == 128 + number
    assert errors.splitlines()[-1].startswith("gatewise: stopped in epoch ")
    assert errors.rstrip().endswith("; continue with --resume")
    assert gw.load(tmp_path / "m").metadata.epochs >= 2
    assert "interrupted     stopped in epoch " in run("info", "-m", tmp_path / "m").stdout
    assert "m.run' holds an unfinished run: continue it with --resume" in refused(run, *forever[3:])
    with started([*forever, "--resume"], "resuming") as process:
        process.send_signal(signal.SIGTERM)
        process.communicate()


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
    status = status_of(child)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    assert gw.load(tmp_path / "m").metadata.epochs >= 2


FULL, CLOSED = "gatewise: standard output: no space left on device\n", "gatewise: standard output is closed\n"
NO_INPUT, MODEL = "gatewise: stdin: is closed\n", ["-m", "MODEL"]
STREAMS: list[tuple[list[str], str, int, str]] = [
    (["--help"], ">/dev/full", 2, FULL),
    (["predict", *MODEL, *TEXTS * 400], ">/dev/full", 2, FULL),
    (["info", *MODEL], ">/dev/full", 2, FULL),
    (["predict", *MODEL, "good"], "1>&-", 2, CLOSED),
    (["predict", *MODEL, "good"], "2>&-", 0, ""),
    (["predict", *MODEL, "good"], "1>&- 2>&-", 2, ""),
    (["predict", *MODEL, "-i", "-"], "<&-", 2, NO_INPUT),
    (["explain", *MODEL, "-i", "-"], "<&-", 2, NO_INPUT),
    (["data", "-"], "<&-", 2, NO_INPUT),
]


@pytest.mark.parametrize(("words", "streams", "code", "error"), STREAMS)
def test_streams_that_are_full_or_closed(
    keras_folder: Path, words: list[str], streams: str, code: int, error: str
) -> None:
    command = [*PROGRAM, *(str(keras_folder) if word == "MODEL" else word for word in words)]
    script = ["sh", "-c", f'exec "$@" {streams}', "sh"]
    done = run_child([*script, *command])
    assert (done.returncode, done.stderr) == (code, error)
    assert not done.stdout or code == 0


def test_a_signal_within_set_name_is_one_line() -> None:
    """Python 3.11 raises a RuntimeError in its place."""
    code = """import os, signal, sys
import gatewise.cli as cli
class Name:
    def __set_name__(self, owner, name):
        os.kill(os.getpid(), signal.SIGTERM)
def program(prog_name):
    class Owner:
        name = Name()
cli.program = program
cli.main()"""
    done = run_child([sys.executable, "-c", code])
    assert (done.returncode, done.stderr) == (143, "gatewise: stopped\n")
