"""`InputVersions`: whether the input files of a command changed while it read them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from gatewise.errors import DataError, quote
from gatewise.storage.streams import STDIN, unreadable


class InputChanged(DataError):
    """An input file has changed since the command began."""


class InputVersions:
    """The versions of input files, taken before the files are opened.

    Another program may write to a file or replace it while the command reads it. What was read is then neither the old
    file nor the new one, and an output that names the file would be wrong. A version is the device, inode, size and
    time of modification. They cost nothing to compare after each part of an output. The time has the resolution of the
    system's clock, some milliseconds.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        """Take the versions of `paths`, but for stdin. Raises DataError for a file that cannot be read."""
        self._versions = {path: _version(path) for path in paths if path != STDIN}

    def check(self, paths: Sequence[str], consequence: str) -> None:
        """Raise InputChanged for the first of `paths` with another version. consequence: the end of the message."""
        for path in paths:
            if path != STDIN and _version(path) != self._versions[path]:
                raise InputChanged(f"{quote(path, 200)}: has changed since the command began: {consequence}")


def _version(path: str) -> tuple[int, int, int, int]:
    try:
        status = os.stat(path)
    except OSError as error:
        raise unreadable(path, error) from None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
