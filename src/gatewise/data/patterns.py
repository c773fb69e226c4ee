"""`PatternProcess`: finds regular expressions in texts, with a limit of time for each text.

Python's `re` tries every way in which a pattern can fit, and some patterns have exponentially many: (a+)+b takes years
on forty letters a. Nothing within a process stops it for certain: `re` holds the interpreter's lock, and a signal
reaches the main thread of POSIX systems alone. So a process of its own does the search, and is ended when it takes too
long.
"""

import json
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Self

from gatewise.errors import InputError, quote

SECONDS = 5.0  # for all patterns in one text
_START_SECONDS = 60.0  # for the process to start
_BATCH = 256  # texts that are sent at once

Spans = Sequence[tuple[int, int]]

_SEARCH = """
import json, re, sys
patterns = [re.compile(pattern, flags) for pattern, flags in json.loads(sys.stdin.buffer.readline())]
print("[]", flush=True)
for line in sys.stdin.buffer:
    for text in json.loads(line):
        print(json.dumps([[match.span() for match in one.finditer(text)] for one in patterns]), flush=True)
"""
"""What the process runs. Input: a line of patterns, lines of texts. Output: a line when it is ready, one per text."""


class PatternProcess:
    """A process that searches for these patterns, within a `with` block. Raises InputError where no process can start.

    >>> with PatternProcess([re.compile("[0-9]+"), re.compile("film")]) as process:
    ...     list(process.spans(["a film, 7 or 10", "none"]))
    [[[[8, 9], [13, 15]], [[2, 6]]], [[], []]]
    """

    def __init__(self, patterns: Sequence[re.Pattern[str]]) -> None:
        self.patterns = list(patterns)
        self._answers = queue.SimpleQueue[bytes]()

    def __enter__(self) -> Self:
        # Without the packages of the site: the program needs the standard library only.
        command = [sys.executable, "-I", "-S", "-c", _SEARCH]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        try:
            self._process = subprocess.Popen(command, **pipes)
        except (OSError, ValueError) as error:
            reason = f"they are searched for in a process of their own, which cannot start: {quote(error)}"
            raise InputError(f"there are regular expressions: {reason}") from None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self._send([(one.pattern, one.flags) for one in self.patterns])
            if self._answer(_START_SECONDS) is None:
                raise InputError("the process that searches for regular expressions did not start")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # of what was not sent
                    pipe.close()

    def spans(self, texts: Sequence[str]) -> Iterator[list[Spans]]:
        """For each text the (start, end) of all matches of each pattern, which do not overlap. Raises InputError that
        names the row and the pattern for a text in which the search takes more than SECONDS.
        """
        for row, text in enumerate(texts):
            if row % _BATCH == 0:
                self._send([str(one) for one in texts[row : row + _BATCH]])
            found = self._answer(SECONDS)
            if found is None:
                raise InputError(f"row {row}: {self._slow_pattern(text)} takes more than {SECONDS:g} s to search")
            yield found

    def _slow_pattern(self, text: str) -> str:
        """Which pattern takes too long, in words: each is tried alone."""
        for pattern in self.patterns if len(self.patterns) > 1 else ():
            with PatternProcess([pattern]) as alone:
                alone._send([str(text)])
                if alone._answer(SECONDS) is None:
                    return f"the pattern {quote(pattern.pattern)}"
        if len(self.patterns) == 1:
            return f"the pattern {quote(self.patterns[0].pattern)}"
        return f"each of {len(self.patterns)} patterns is fast, and all together"

    def _send(self, message: Any) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, and `_answer` says so
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(b"")

    def _answer(self, seconds: float) -> Any:
        """The next answer, None for none in time. Raises InputError for a process that has ended."""
        try:
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            return None
        if not line:
            raise InputError("the process that searches for regular expressions ended: it may lack memory")
        return json.loads(line)
