"""How a command ends early: on a signal, or where standard output cannot be written."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any, TextIO

from gatewise.errors import quote
from gatewise.system.processes import STOP_SIGNALS


class Stopped(BaseException):
    """A signal ended the command. exit_code: 128 and the number of the signal, as a shell reports it. No
    KeyboardInterrupt, for which click has an answer and an exit code of its own.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number


def stop_on_signals() -> None:
    """Raise `Stopped` on the first signal and ignore all others, which would interrupt the end of the command. A signal
    that is ignored already stays so (nohup).
    """
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)


def _on_signal(number: int, frame: FrameType | None) -> None:
    ignore_signals()
    raise Stopped(number)


def ignore_signals() -> None:
    """Ignore the signals that would end the command."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class Messages:
    """Standard error, which leaves out what it cannot write: no message stops a command or changes its exit code."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text, if that is possible."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if that is possible."""
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def prepare_streams() -> str:
    """Make `Messages` of standard error. Where it is closed it is /dev/null, so that no message goes into another file.
    Returns what a command without standard output ends with, "" where there is one.
    """
    missing = "standard output is closed" if sys.stdout is None else ""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (open until the process ends)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = Messages(sys.stderr)
    return missing


def flush_output() -> str:
    """Flush standard output. Where that fails it becomes /dev/null, so that the interpreter does not try again; returns
    the reason, "" where the reader has closed the pipe.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return "" if isinstance(error, BrokenPipeError) else describe(error)
    return ""


def describe(error: OSError) -> str:
    """An error of the operating system that no command expected, as one line. Without a file name it comes from
    standard output.
    """
    name = "standard output" if error.filename is None else quote(error.filename, 200)
    return f"{name}: {_reason(error)}"


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
