"""Run a function in a forked child process, and send it signals at lines of code or after a time."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import gatewise
from gatewise.errors import GatewiseError

PACKAGE = str(Path(gatewise.__file__).parent)
DONE, REFUSED, FAILED = 0, 2, 3  # exit codes of the child
STOPS = (signal.SIGINT, signal.SIGTERM)


def allow_stops() -> None:
    """Receive `STOPS`, also those that came while they were blocked."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


class Child:
    """A forked child that runs `work`. signals: by line, the signal that it sends to itself. Lines are counted over the
    files whose path in the package starts with one of `parts`. Its exit code is REFUSED for a GatewiseError, and that
    of a SystemExit. `STOPS` are blocked in it until `work` calls `allow_stops`.
    """

    def __init__(
        self, work: Callable[[], object], parts: tuple[str, ...] = (), signals: Mapping[int, int] | None = None
    ) -> None:
        self._read, write = os.pipe()
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        self.pid = os.fork()
        if self.pid:
            allow_stops()
            os.close(write)
            return
        code, text, lines = FAILED, "", [0]
        try:
            if parts:
                sys.settrace(_tracer(parts, signals or {}, lines))
            work()
            sys.settrace(None)
            code, text = DONE, str(lines[0])
        except GatewiseError as error:
            code, text = REFUSED, str(error)
        except SystemExit as end:
            code, text = int(end.code or DONE), str(lines[0])
        except BaseException:
            text = traceback.format_exc()[-1500:]
        finally:
            os.write(write, text.encode())
            os._exit(code)

    def wait_for(self, seconds: float) -> None:
        """Wait until it is stopped or has ended, or for that time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.state() == "running":
            time.sleep(0.005)

    def state(self) -> str:
        """running, stopped (by SIGSTOP) or ended."""
        with suppress(ChildProcessError):
            flags = os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT
            found = os.waitid(os.P_PID, self.pid, flags)
            return "running" if found is None else "stopped" if found.si_code == os.CLD_STOPPED else "ended"
        return "ended"

    def resume(self) -> None:
        """Let a stopped child go on."""
        with suppress(ChildProcessError):  # it has ended meanwhile
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG)  # a stop is reported once
        os.kill(self.pid, signal.SIGCONT)

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


def finish(work: Callable[[], object], parts: tuple[str, ...] = ()) -> str:
    """Run `work` in a child, so that this process has no threads when it forks the next one. Its message."""
    code, message = Child(work, parts).wait()
    if code != DONE:
        raise RuntimeError(f"exit code {code}: {message}")
    return message


def _tracer(
    parts: tuple[str, ...], signals: Mapping[int, int], lines: list[int]
) -> Callable[[FrameType, str, Any], Any]:
    prefixes = tuple(os.path.join(PACKAGE, part) for part in parts)

    def line(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            lines[0] += 1
            if number := signals.get(lines[0] - 1):
                os.kill(os.getpid(), number)
        return line

    def call(frame: FrameType, event: str, _: Any) -> Any:
        return line if frame.f_code.co_filename.startswith(prefixes) else None

    return call
