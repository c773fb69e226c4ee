"""Atomic writes of files and folders, and an exclusive lock on a run folder.

A file is fsynced before its name appears, and the parent folder after. A folder is replaced so that a reader sees the
old one or the new one, complete, at any moment: on Linux the two are exchanged in one step (renameat2 with
RENAME_EXCHANGE). Without that system call the old folder is renamed first and the new one second. For the microseconds
between, the name does not exist, and a crash then leaves the old folder under a name `.gatewise-*.old`.

What is not complete has a scratch name, `.gatewise-*.tmp`, and is locked by its process (flock). A process that is
killed leaves it without a lock, and the next save into the same folder removes it.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import secrets
import shutil
import stat
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from gatewise.errors import ModelFileError, TrainingError, quote

LOCK = ".lock"
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_SCRATCH = re.compile(r"\.gatewise-[0-9a-f]{16}\.tmp")


def write_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to the file `path`, completely or not at all.

    Raises ModelFileError naming the path and the reason (disk full, read-only, no such folder). The file is then as it
    was.
    """
    target = Path(path)
    try:
        with _scratch(target.parent, _new_file) as (scratch, handle):
            _write(os.dup(handle), data)
            os.replace(scratch, target)
    except (OSError, ValueError) as error:
        raise ModelFileError(f"cannot write {quote(target, 200)}: {reason(error)}; nothing was changed") from error
    try:
        sync_folder(target.parent)
    except OSError as error:
        raise ModelFileError(
            f"{quote(target, 200)} is written, but the disk did not confirm it: {reason(error)}"
        ) from error


@contextmanager
def locked(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Lock the run folder `folder` for this process until the block ends. A missing folder is created.

    The lock belongs to the open file `.lock`, so the operating system releases it when the process dies; the file
    stays. Raises TrainingError if another process or another block has the lock, or if the folder cannot be created.
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        handle = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except (OSError, ValueError) as error:
        raise TrainingError(f"cannot use the run folder {quote(path, 200)}: {reason(error)}") from error
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
        os.close(handle)  # releases the lock


@contextmanager
def _scratch(parent: Path, create: Callable[[Path], int]) -> Iterator[tuple[Path, int]]:
    """A new file or folder under a scratch name in `parent`, and its descriptor, which holds a lock until the block
    ends. Removed if the block fails, also on Ctrl-C. What dead processes left in `parent` is removed first.
    """
    _sweep(parent)
    while True:
        path = parent / f".gatewise-{secrets.token_hex(8)}.tmp"
        handle = create(path)
        try:
            with suppress(OSError):  # a file system without locks, where nothing is swept either
                fcntl.flock(handle, fcntl.LOCK_EX)
            if not _is_at(handle, path):  # swept between its creation and the lock
                continue
            try:
                yield path, handle
            except BaseException:
                _remove(path)
                raise
            return
        finally:
            os.close(handle)


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A new folder under a scratch name, for a block that renames or removes it. Removed if the block fails."""
    with _scratch(parent, _new_folder) as (path, _):
        yield path


def write_once(path: Path, data: bytes) -> None:
    """Write the file `path` completely, unless it exists. Raises OSError."""
    with _scratch(path.parent, _new_file) as (scratch, handle):
        _write(os.dup(handle), data)
        with suppress(FileExistsError):
            os.link(scratch, path)
        scratch.unlink()
    sync_folder(path.parent)


def _new_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


def _new_folder(path: Path) -> int:
    path.mkdir()
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _is_at(handle: int, path: Path) -> bool:
    """Whether `path` is what `handle` has open."""
    try:
        ours, now = os.fstat(handle), os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    return (ours.st_dev, ours.st_ino) == (now.st_dev, now.st_ino)


def _sweep(parent: Path) -> None:
    """Remove the scratch files and folders in `parent` that no process has locked. Failures do not matter here."""
    try:
        names = [name for name in os.listdir(parent) if _SCRATCH.fullmatch(name)]
    except OSError:
        return
    for name in names:
        with suppress(OSError), _lock_of(parent / name):
            _remove(parent / name)


@contextmanager
def _lock_of(path: Path) -> Iterator[None]:
    """Lock a scratch file or folder. Raises OSError where another process has the lock, or for anything else."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(handle).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise OSError(f"{path} is neither a file nor a folder")
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    """Remove a scratch file or folder, as far as that is possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink()


def write_new(path: Path, data: bytes) -> None:
    """Create the file `path`, which must not exist, and fsync it. Raises OSError."""
    _write(_new_file(path), data)


def _write(handle: int, data: bytes) -> None:
    """Write `data` to the open file `handle`, fsync and close it."""
    with open(handle, "wb", buffering=0) as file:
        view = memoryview(data)
        while view:  # a write may be partial: 2 GB at most, or the space left on the disk
            view = view[file.write(view) :]
        os.fsync(handle)


def read_regular(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file. Raises ModelFileError naming the path and the reason: no file, a link, a FIFO, a
    device, or more than `max_bytes`.
    """
    where = quote(path, 200)
    # O_NONBLOCK: without it, opening a FIFO without a writer blocks.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        with open(os.open(path, flags), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ModelFileError(f"{where} is not a regular file")
            if found.st_size > max_bytes:
                raise ModelFileError(f"{where} has {found.st_size:,} bytes, more than the {max_bytes:,} allowed")
            return file.read(found.st_size)
    except (OSError, ValueError) as error:
        raise ModelFileError(f"cannot read {where}: {reason(error)}") from error


def sync_folder(path: Path) -> None:
    """Fsync the folder `path`, that is the names in it. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_folder(target: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` (plain names) as the folder `target`, and then remove the folder that was there.

    The caller checks that the old folder may be removed. Raises ModelFileError naming the path and the reason; `target`
    is then as it was.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _scratch(target.parent, _new_folder) as (scratch, _):
            for name, data in files.items():
                write_new(scratch / name, data)
            sync_folder(scratch)
            old = swap_in(scratch, target)
    except (OSError, ValueError) as error:
        raise ModelFileError(f"cannot save to {quote(target, 200)}: {reason(error)}; nothing was changed") from error
    try:
        sync_folder(target.parent)
        with suppress(BlockingIOError, FileNotFoundError):  # another process sweeps it, or has swept it
            if old is not None:
                with _lock_of(old):
                    shutil.rmtree(old)
    except OSError as error:  # saving has succeeded at this point, so warn
        left = "" if old is None else f", and the folder it replaced may be left as {quote(old, 200)}"
        warnings.warn(f"saved, but tidying up failed ({reason(error)}){left}", RuntimeWarning, stacklevel=3)


def swap_in(new: Path, target: Path) -> Path | None:
    """Rename `new` to `target`. Returns the new path of the folder that was there, None if there was none."""
    if not target.exists() or not any(target.iterdir()):
        os.rename(new, target)  # also onto an empty folder, in one step
        return None
    if exchange(new, target):
        return new
    aside = target.parent / f".gatewise-{secrets.token_hex(8)}.old"  # never swept: it may be the only copy
    os.rename(target, aside)
    try:
        os.rename(new, target)
    except BaseException:
        with suppress(OSError):
            os.rename(aside, target)
        raise
    return aside


def exchange(a: Path, b: Path) -> bool:
    """Exchange two paths in one step. Returns False, without a change, if the system does not support it."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        rename = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError):  # a C library from before 2018
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE) == 0)


def reason(error: OSError | ValueError) -> str:
    """The reason alone, in the words of the operating system. A ValueError comes from an invalid path (a NUL, a lone
    surrogate)."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return "the path cannot be used" if isinstance(error, ValueError) else type(error).__name__
