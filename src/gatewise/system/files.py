"""Files and folders: opened without following links, locked, exchanged, and synced to the disk.

`fcntl` and the flags of `os.open` are POSIX. Without them, every function does what its docstring says under "Windows".
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Generator
from importlib import import_module
from pathlib import Path
from typing import Any


def _optional(name: str) -> Any:
    """A module of the standard library; None on a system that does not have it."""
    try:
        return import_module(name)
    except ImportError:
        return None


_fcntl, _msvcrt = _optional("fcntl"), _optional("msvcrt")
# O_NONBLOCK: without it, opening a FIFO without a writer blocks. O_BINARY: Windows would change line ends.
_FLAGS = ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT")
_flags = sum(getattr(os, name, 0) for name in _FLAGS)
_no_follow = getattr(os, "O_NOFOLLOW", 0)
_folder_flags = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_folder_handles = hasattr(os, "O_DIRECTORY") and os.open in os.supports_dir_fd and os.scandir in os.supports_fd
_LOCKED_BYTE = 1 << 30  # behind the content: Windows keeps other processes from reading a locked byte
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def lock(handle: int) -> None:
    """Lock the open file `handle` for this process until it is closed, also by the end of the process.

    Raises BlockingIOError where another handle has the lock, OSError where the file system has no locks. Windows: locks
    one byte, which lies behind the content.
    """
    if _fcntl is not None:
        _fcntl.flock(handle, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
        return
    if _msvcrt is None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    position = os.lseek(handle, 0, os.SEEK_CUR)
    os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
    try:
        _msvcrt.locking(handle, _msvcrt.LK_NBLCK, 1)
    except PermissionError as error:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error
    finally:
        os.lseek(handle, position, os.SEEK_SET)


def open_file(path: str | os.PathLike[str], flags: int) -> int:
    """`os.open` of `path` with the permissions that the umask leaves. Never follows a link at its end, never waits for
    the other end of a FIFO. Raises OSError. Windows: compares what it opened with what is at `path`.
    """
    if _no_follow:
        return os.open(path, flags | _flags | _no_follow, 0o666)
    if not os.path.islink(path):  # before it is opened, because opening a link may create a file
        handle = os.open(path, flags | _flags, 0o666)
        if is_at(handle, path):
            return handle
        os.close(handle)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def is_at(handle: int, path: str | os.PathLike[str]) -> bool:
    """Whether `path`, not followed if it is a link, is what `handle` has open."""
    try:
        return _identity(os.fstat(handle)) == _identity(os.stat(path, follow_symlinks=False))
    except OSError:
        return False


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


class OpenFolder:
    """A folder whose files are read through a handle on it, so that all of them are of one folder even if another is
    renamed to its path. Windows: the files are read by path; `was_replaced` tells whether the path led elsewhere since.

    The constructor raises OSError, NotADirectoryError for a file, and ValueError for an impossible path.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._handle = os.open(path, _folder_flags) if _folder_handles else None
        found = os.stat(path) if self._handle is None else os.fstat(self._handle)
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        self._identity = _identity(found)

    def __enter__(self) -> OpenFolder:
        return self

    def __exit__(self, *error: object) -> None:
        if self._handle is not None:
            os.close(self._handle)

    def names(self) -> Generator[str, None, None]:
        """The names in the folder, one after the other."""
        with os.scandir(self.path if self._handle is None else self._handle) as entries:
            yield from (entry.name for entry in entries)

    def stat(self, name: str) -> os.stat_result:
        """Of the file `name`, or of the link that it is."""
        if self._handle is None:
            return os.stat(self.path / name, follow_symlinks=False)
        return os.stat(name, dir_fd=self._handle, follow_symlinks=False)

    def open(self, name: str) -> int:
        """A handle that reads the file `name`. Raises OSError for a link."""
        if self._handle is None:
            return open_file(self.path / name, os.O_RDONLY)
        return os.open(name, os.O_RDONLY | _flags | _no_follow, dir_fd=self._handle)

    def was_replaced(self) -> bool:
        """Whether another folder has been renamed to the path since this one was opened."""
        try:
            return _identity(os.stat(self.path)) != self._identity
        except OSError:
            return False


def renames_open_files() -> bool:
    """Whether a file or folder can be opened, and so locked, while it is renamed. Windows: no."""
    return _fcntl is not None and _folder_handles


def sync_folder(path: Path) -> None:
    """Fsync the folder `path`, that is the names in it. Raises OSError. Windows: nothing, because a folder cannot be
    opened there; NTFS writes renames to its journal in order.
    """
    if not _folder_handles:
        return
    handle = os.open(path, _folder_flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def rename_folder(old: Path, new: Path) -> None:
    """Rename a folder, also onto an empty one. Raises OSError. Windows: removes the empty one first."""
    try:
        os.rename(old, new)
    except FileExistsError:
        os.rmdir(new)
        os.rename(old, new)


def exchange(a: Path, b: Path) -> bool:
    """Exchange two paths in one step: renameat2 of Linux. Returns False, without a change, where it does not exist."""
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    try:
        rename = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError):  # a C library from before 2018
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE) == 0)


def user_cache_folder() -> Path:
    """The folder of this system for files that a program can get again."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
