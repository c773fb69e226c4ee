"""Run a function in a forked child process, and kill it at a line of code or after a time."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import gatewise
from gatewise.errors import GatewiseError

PACKAGE = str(Path(gatewise.__file__).parent)
DONE, REFUSED, FAILED = 0, 2, 3  # exit codes of the child


class Child:
    """A forked child that runs `work`. kill_at: it kills itself at that line, counted over the files whose path in the
    package starts with one of `parts`. Its exit code is REFUSED for a GatewiseError, whose message is `message`.
    """

    def __init__(self, work: Callable[[], object], parts: tuple[str, ...] = (), kill_at: int | None = None) -> None:
        self._read, write = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(write)
            return
        code, text, lines = FAILED, "", [0]
        try:
            if parts:
                sys.settrace(_tracer(parts, kill_at, lines))
            work()
            sys.settrace(None)
            code, text = DONE, str(lines[0])
        except GatewiseError as error:
            code, text = REFUSED, str(error)
        except BaseException:
            text = traceback.format_exc()[-1500:]
        finally:
            os.write(write, text.encode())
            os._exit(code)

    def kill_after(self, seconds: float) -> None:
        """Send SIGKILL after that time, unless the child has ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(min(0.005, max(0.0, end - time.monotonic())))
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> tuple[int, str]:
        """The exit code, negative for a signal, and the message: the number of lines of a finished child, the message
        of the GatewiseError, or a traceback.
        """
        parts = []
        while part := os.read(self._read, 65536):
            parts.append(part)
        os.close(self._read)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return code, b"".join(parts).decode("utf-8", "replace")


def _tracer(parts: tuple[str, ...], kill_at: int | None, lines: list[int]) -> Callable[[FrameType, str, Any], Any]:
    prefixes = tuple(os.path.join(PACKAGE, part) for part in parts)

    def line(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            if lines[0] == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            lines[0] += 1
        return line

    def call(frame: FrameType, event: str, _: Any) -> Any:
        return line if frame.f_code.co_filename.startswith(prefixes) else None

    return call
