"""One file written whole or not at all, and a folder that one process at a time may use.

"Written" means on the disk: the bytes are fsynced before the name appears, the folder that holds the name after.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gatewise.errors import ModelFileError, TrainingError, quote

__all__ = ["locked", "scratch_name", "sync_folder", "why", "write_atomic", "write_new"]

LOCK = ".lock"


def write_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Put `data` in the file `path`: afterwards it holds all of it or, on any failure, what it held before.

    Raises ModelFileError naming the path and the reason (disk full, read-only, no such folder).
    """
    target = Path(path)
    scratch = target.parent / scratch_name()
    try:
        try:
            write_new(scratch, data)
            os.replace(scratch, target)
        except BaseException:  # Ctrl-C included: what is half-written goes
            with suppress(OSError):
                scratch.unlink()
            raise
    except (OSError, ValueError) as error:
        raise ModelFileError(f"cannot write {quote(target, 200)}: {why(error)}; nothing was changed") from error
    try:
        sync_folder(target.parent)
    except OSError as error:
        raise ModelFileError(
            f"{quote(target, 200)} is written, but the disk did not confirm it: {why(error)}"
        ) from error


@contextmanager
def locked(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Keep the run folder `folder`, made where it is missing, for this process until the block ends.

    The lock belongs to the open file `.lock`, so the kernel drops it when the process dies, however it dies; the file
    itself stays. Raises TrainingError where another process (or another block of this one) has the folder, or where it
    cannot be made.
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        handle = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except (OSError, ValueError) as error:
        raise TrainingError(f"cannot use the run folder {quote(path, 200)}: {why(error)}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 20).decode("ascii", "replace").strip()
            raise TrainingError(f"run folder {quote(path, 200)} is in use by process {quote(holder)}") from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)  # which releases it


def scratch_name() -> str:
    """A name that nobody else uses, hidden, and short enough for any file system."""
    return f".gatewise-{secrets.token_hex(8)}.tmp"


def write_new(path: Path, data: bytes) -> None:
    """Make the file `path`, which must not exist, and have `data` on the disk when this returns. Raises OSError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    with open(handle, "wb", buffering=0) as file:
        view = memoryview(data)
        while view:  # one write may take less than all: 2 GB at most, or what the disk had left
            view = view[file.write(view) :]
        os.fsync(handle)


def sync_folder(path: Path) -> None:
    """Have the names in the folder `path` on the disk when this returns. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def why(error: OSError | ValueError) -> str:
    """The reason alone, in the system's words; a ValueError comes from a path that is none (a NUL, a lone
    surrogate)."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return "the path cannot be used" if isinstance(error, ValueError) else type(error).__name__
