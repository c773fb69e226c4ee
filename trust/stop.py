"""gatewise with a signal at a line: python -m trust.stop LINE SIGNAL COMMAND...

Lines of all modules are counted, those of the import system and of libraries too, from where the program has set its
handlers. A file named `sent` in the current folder says that the signal was sent, which the end of a command ignores;
without one, `lines` has the number of lines that the command took.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import gatewise.__main__ as program


class LineSignal:
    """Sends `number` to this process at a line, counted from 0."""

    def __init__(self, line: int, number: int) -> None:
        self.lines = 0
        self._line, self._number = line, number

    def trace(self, frame: FrameType, event: str, _: Any) -> Any:
        """The function for `sys.settrace`."""
        if event != "line":
            return self.trace
        self.lines += 1
        if self.lines - 1 == self._line and signal.getsignal(self._number) is not signal.SIG_IGN:
            sys.settrace(None)
            os.close(os.open("sent", os.O_CREAT))
            os.kill(os.getpid(), self._number)
        return self.trace


def main() -> None:
    """Run `gatewise` with the signal."""
    at_line = LineSignal(int(sys.argv[1]), int(sys.argv[2]))
    sys.argv = ["gatewise", *sys.argv[3:]]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the attack runs in the background
    set_handlers = program.end_on_signals

    def traced() -> None:
        set_handlers()
        sys.settrace(lambda frame, event, argument: at_line.trace)

    program.end_on_signals = traced
    try:
        program.main()
    finally:
        sys.settrace(None)
        Path("lines").write_text(str(at_line.lines))


if __name__ == "__main__":
    main()
