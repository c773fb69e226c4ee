"""Put a folder in the place of another, so that a reader finds the old one or the new one, whole, at any moment.

On Linux the two change places in one step (renameat2 with RENAME_EXCHANGE). Where the system or the file system has no
such step, the old one is renamed aside and the new one renamed in: between those two, for microseconds, there is none,
and a machine that dies just then leaves the old one under a name that begins with `.gatewise-`.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from gatewise.errors import ModelFileError, quote
from gatewise.storage.atomic import scratch_name, sync_folder, why, write_new

__all__ = ["exchange", "replace_folder"]

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def replace_folder(target: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` (plain names) as the folder `target`; what was there, if anything, is removed once the new one
    stands.

    Raises ModelFileError naming the path and the reason, with `target` as it was. The caller has made sure that what is
    there may go.
    """
    scratch = target.parent / scratch_name()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            scratch.mkdir()
            for name, data in files.items():
                write_new(scratch / name, data)
            sync_folder(scratch)
            old = _swap_in(scratch, target)
        except BaseException:  # Ctrl-C included: what is half-written goes
            shutil.rmtree(scratch, ignore_errors=True)
            raise
    except (OSError, ValueError) as error:
        raise ModelFileError(f"cannot save to {quote(target, 200)}: {why(error)}; nothing was changed") from error
    try:
        sync_folder(target.parent)
        if old is not None:
            shutil.rmtree(old)
    except OSError as error:  # the new folder stands, so this is no failure to save
        left = "" if old is None else f", and the folder it replaced may be left as {quote(old, 200)}"
        warnings.warn(f"saved, but tidying up failed ({why(error)}){left}", RuntimeWarning, stacklevel=3)


def _swap_in(new: Path, target: Path) -> Path | None:
    """Give `new` the name `target`; returns where the folder that had it is now."""
    if not target.exists() or not any(target.iterdir()):
        os.rename(new, target)  # also onto an empty folder, in one step
        return None
    if exchange(new, target):
        return new
    aside = target.parent / scratch_name()
    os.rename(target, aside)
    try:
        os.rename(new, target)
    except BaseException:
        with suppress(OSError):
            os.rename(aside, target)
        raise
    return aside


def exchange(a: Path, b: Path) -> bool:
    """Let two paths change places in one step; False, with nothing done, where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        rename = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError):  # a C library from before 2018
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE) == 0)
