"""How a command ends early: on a signal, or where standard output cannot be written."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from _thread import start_new_thread
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING

from gatewise.errors import quote
from gatewise.system.signals import STOP_SIGNALS

if TYPE_CHECKING:
    from sys import UnraisableHookArgs


class Stopped(BaseException):
    """A signal ended the command. exit_code: 128 plus the number of the signal, as a shell reports it. It is no
    KeyboardInterrupt, because click handles that one with an exit code of its own.
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
    sys.unraisablehook = _on_dropped_exception


_dropped: list[Stopped] = []
"""What `_on_dropped_exception` has found."""


def _on_signal(number: int, frame: FrameType | None) -> None:
    ignore_signals()
    raise Stopped(number)


def _on_dropped_exception(dropped: UnraisableHookArgs) -> None:
    """Send the signal of a dropped `Stopped` again: the command would go on and ignore all signals.

    Python prints and drops an exception that leaves a `__del__` or the callback of a weak reference, which each import
    has.
    """
    if not isinstance(dropped.exc_value, Stopped):
        sys.__unraisablehook__(dropped)
        return
    _dropped.append(dropped.exc_value)
    number = dropped.exc_value.exit_code - 128
    signal.signal(number, _on_signal)
    # From a thread, when this function has returned: what it raises would be dropped as well.
    start_new_thread(_send_soon, (number,))


def raise_dropped() -> None:
    """Raise the `Stopped` that was dropped, if there is one: at the end of a command that ends before its signal comes
    again.
    """
    if _dropped:
        raise _dropped[0]


def _send_soon(number: int) -> None:
    time.sleep(0.01)
    os.kill(os.getpid(), number)


def ignore_signals() -> None:
    """Ignore the signals that would end the command."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class Messages(io.TextIOWrapper):
    """Standard error, which leaves out what it cannot write: no message stops a command or changes its exit code."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def prepare_streams() -> str:
    """Prepare the streams of the command. Returns the message with which a command without standard output ends, or "".

    Standard error becomes `Messages`. A closed stream becomes /dev/null: the next file that is opened would have its
    number, and the output would go there. A character that a terminal does not have is replaced.
    """
    missing = ""
    if sys.stdout is None:
        missing = "standard output is closed"
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (open until the process ends)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if isinstance(sys.stderr, io.TextIOWrapper):
        encoding = sys.stderr.encoding
        sys.stderr = Messages(sys.stderr.detach(), encoding, "replace", line_buffering=True)
    return missing


def flush_output() -> str:
    """Flush standard output. Returns the reason of a failure, or "" if there is none or the reader has closed the pipe.

    After a failure the stream becomes /dev/null, so that the interpreter does not fail to flush it again.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return ""
        return describe(error)
    return ""


def describe(error: OSError) -> str:
    """An error of the operating system that no command expected, as one line. An error without a file name comes from
    standard output.
    """
    name = "standard output"
    if error.filename is not None:
        name = quote(error.filename, 200)
    return f"{name}: {(error.strerror or type(error).__name__).lower()}"
