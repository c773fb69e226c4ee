"""Child processes of tests, each with a limit of time: a test that waits for one fails, and says for which."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

SECONDS = 300.0  # many times what a child takes on a busy machine
_GRACE = 10.0  # seconds in which a child writes its stacks


def run_child(
    command: Sequence[object], seconds: float = SECONDS, check: bool = False, **options: Any
) -> subprocess.CompletedProcess[str]:
    """`subprocess.run` with the output as text. A child that lasts longer than `seconds` is ended, and the test fails
    with what it wrote to stderr: a child in Python writes its stacks there. check: fail also for an exit code other
    than 0.
    """
    words = [str(word) for word in command]
    captured = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(words, env=_with_stacks(options.pop("env", None)), **{**captured, **options})
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        pytest.fail(f"waited {seconds:g} s for the end of {_shown(words)}: {_last_words(process)}")
    finally:
        process.kill()  # does nothing to a process that has ended
        process.wait()
        for pipe in (process.stdout, process.stderr):  # open where a child of the process holds the other end
            if pipe is not None:
                pipe.close()
    if check and process.returncode:
        pytest.fail(f"{_shown(words)} ended with exit code {process.returncode}: {errors}")
    return subprocess.CompletedProcess(words, process.returncode, output, errors)


@contextmanager
def running(command: Sequence[str], seconds: float = SECONDS, **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """The process, whose end is waited for at the end of the block; where the block fails, it is killed. After
    `seconds` it is ended, which ends the reads from its pipes, and the test fails.
    """
    process = subprocess.Popen(command, env=_with_stacks(options.pop("env", None)), **options)
    is_late = threading.Event()

    def end() -> None:
        is_late.set()
        process.kill()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        with process:
            try:
                yield process
            except BaseException:
                process.kill()  # without it, the end of the block waits for a process that nobody stops any more
                raise
    finally:
        timer.cancel()
        if is_late.is_set():
            pytest.fail(f"waited {seconds:g} s for {_shown(command)}")


def status_of(pid: int, seconds: float = SECONDS) -> int:
    """The status of a forked child, as of `os.waitpid`. After `seconds` it is killed, and the test fails."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    pytest.fail(f"waited {seconds:g} s for the end of the forked process {pid}")


def _last_words(process: subprocess.Popen[str]) -> str:
    """What a process has written to stderr, with its stacks where it is one in Python."""
    if os.name == "posix":
        process.send_signal(signal.SIGABRT)
    try:
        _, errors = process.communicate(timeout=_GRACE)
    except subprocess.TimeoutExpired as error:  # it ignores the signal, or its own children hold the pipe
        return (error.stderr or b"").decode(errors="replace")
    return errors


def _with_stacks(environment: Mapping[str, str] | None) -> dict[str, str]:
    """With the variable that lets Python write its stacks where SIGABRT ends it."""
    return {**(os.environ if environment is None else environment), "PYTHONFAULTHANDLER": "1"}


def _shown(command: Sequence[str]) -> str:
    """The command on one line, without most of a long program."""
    return " ".join(command).replace("\n", "; ")[:300]
