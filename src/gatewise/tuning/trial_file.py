"""The file of the trials of a search, which several processes append to: JSON lines, each with a digest."""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gatewise.errors import InputError, quote, warn
from gatewise.system.files import lock

_DIGEST = "sha256"
_BEGIN = b'{"op_code":'  # of each line


class TrialFile:
    """A journal of Optuna (`optuna.storages.journal.BaseJournalBackend`).

    The digest of a line is that of its number and its content, so a line that was changed, lost or moved is found. A
    last line without an end was being written when its process was killed: it is not read, and the next append removes
    it. Raises InputError with the number of a bad line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._starts = [0]  # of the lines that were read
        path.touch()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The entries from this number on."""
        with open(self.path, "rb") as file:
            first = min(log_number_from, len(self._starts) - 1)
            file.seek(self._starts[first])
            for number, line in enumerate(file, start=first):
                if not line.endswith(b"\n"):
                    if not line.startswith(_BEGIN[: len(line)]):
                        raise self._error(number)
                    return
                if number + 1 == len(self._starts):
                    self._starts.append(self._starts[number] + len(line))
                if number >= log_number_from:
                    yield self._entry(number, line)

    def append_logs(self, logs: Sequence[Mapping[str, Any]]) -> None:
        """Append entries, all or none."""
        with open(self.path, "r+b") as file:
            _wait_for_lock(file.fileno())
            # The lines that other processes have appended: the digest of a line depends on its number.
            for _ in self.read_logs(len(self._starts)):
                pass
            number = len(self._starts) - 1
            end = self._starts[-1]
            file.truncate(end)
            file.seek(end)
            for entry_number, entry in enumerate(logs, start=number):
                file.write(_line({**entry, _DIGEST: _digest(entry_number, entry)}))
            file.flush()
            os.fsync(file.fileno())

    def _entry(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            entry = dict(json.loads(line))
            if entry.pop(_DIGEST, "") == _digest(number, entry):
                return entry
        except (TypeError, ValueError):
            pass
        raise self._error(number)

    def _error(self, number: int) -> InputError:
        file = quote(self.path, 200)
        if not number:
            return InputError(f"{file} is not a file of trials")
        return InputError(f"{file}: line {number + 1:,} was changed or damaged, or one before it is lost")


def _wait_for_lock(handle: int) -> None:
    """Lock the open file until it is closed, or until the process ends; where there are no locks, leave it."""
    while True:
        try:
            lock(handle)
            return
        except BlockingIOError:  # another process appends
            time.sleep(0.005)
        except OSError as error:
            warn(
                f"the file of trials cannot be locked ({error}): start no second search with it meanwhile",
                RuntimeWarning,
            )
            return


def _line(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def _digest(number: int, entry: Mapping[str, Any]) -> str:
    return hashlib.sha256(b"%d:" % number + _line(entry)).hexdigest()
