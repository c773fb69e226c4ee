"""Files and folders: opened without following links, locked, exchanged, and synced to the disk.

`fcntl` and the flags of `os.open` are POSIX. Without them, every function does what its docstring says under "Windows".
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def _optional_module(name: str) -> Any:
    """A module of the standard library that only some systems have; None elsewhere."""
    if find_spec(name) is None:
        return None
    return import_module(name)


_fcntl = _optional_module("fcntl")
_msvcrt = _optional_module("msvcrt")
# O_NONBLOCK: without it, opening a FIFO without a writer blocks. O_BINARY: Windows would change line ends.
_FLAGS = ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT")
_flags = sum(getattr(os, name, 0) for name in _FLAGS)
_no_follow = getattr(os, "O_NOFOLLOW", 0)
_folder_flags = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_folder_handles = hasattr(os, "O_DIRECTORY") and os.open in os.supports_dir_fd and os.scandir in os.supports_fd
_LONGEST_NAME = 1_000
# A suffix of data, or a path such as data/reviews, ./a and C:\a; he/she, U.S./U.K. and 10/10. are none.
_FILE_NAME = (  # compiled when it is first needed: few texts have no space
    r".*\.(arff|arrow|avro|bin|bz2|conllu?|csv|dat|data|db|docx?|feather|gz|h5|hdf5|html?|ipc|ipynb|jsonl?|keras|log|mat|md"
    r"|ndjson|np[yz]|ods|onnx|orc|parquet|pdf|pickle|pkl|pth?|py|rda|rds|rtf|safetensors|sav|sqlite|ta[br]|tgz|tsv?|txt"
    r"|xlsx?|xml|xz|ya?ml|zip|zst)|(~|\.{1,2}|[a-z]:)?([\\/][\w.-]+)+[\\/]?|[\w.-]+([\\/](?=[\w.-]*[a-z]{4})[\w.-]+)+[\\/]?"
)
_LOCKED_BYTE = 1 << 30  # after the content: Windows keeps other processes from reading a locked byte
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2


def lock(handle: int, shared: bool = False) -> None:
    """Lock the open file `handle` for this process until it is closed, also by the end of the process. shared: other
    handles may have a shared lock at the same time.

    Raises BlockingIOError where another handle has the lock, OSError where the file system has no locks. Windows: locks
    one byte, which lies after the content, and shares nothing.
    """
    if _fcntl is not None:
        operation = _fcntl.LOCK_EX
        if shared:
            operation = _fcntl.LOCK_SH
        _fcntl.flock(handle, operation | _fcntl.LOCK_NB)
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


def open_at_once(path: str, flags: int) -> int:
    """`os.open`, as an `opener` of `open`, which does not wait for the other end of a FIFO."""
    return os.open(path, flags | _flags)


def is_at(handle: int, path: str | os.PathLike[str]) -> bool:
    """Whether `path`, not followed if it is a link, is what `handle` has open."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path, follow_symlinks=False))
    except OSError:
        return False


@dataclass
class OpenFolder:
    """A folder whose files are read through a handle on it, so that all of them are of one folder even if another is
    renamed to its path. Windows: the files are read by path; `was_replaced` tells whether the path led elsewhere since.
    """

    path: Path
    handle: int | None
    status: os.stat_result

    def entries(self) -> Iterator[tuple[str, os.stat_result]]:
        """The names in the folder, one after the other, and what each is, links not followed."""
        folder: Any = self.handle
        if self.handle is None:
            folder = self.path
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry.name, entry.stat(follow_symlinks=False)

    def open(self, name: str) -> int:
        """A handle that reads the file `name`. Raises OSError for a link."""
        if self.handle is None:
            return open_file(self.path / name, os.O_RDONLY)
        return os.open(name, os.O_RDONLY | _flags | _no_follow, dir_fd=self.handle)

    def was_replaced(self) -> bool:
        """Whether another folder has been renamed to the path since this one was opened."""
        try:
            return not os.path.samestat(os.stat(self.path), self.status)
        except OSError:
            return False


@contextmanager
def open_folder(path: str | os.PathLike[str]) -> Iterator[OpenFolder]:
    """The folder `path`, open within the block. Raises OSError, NotADirectoryError for a file (Windows: once its
    entries are read), and ValueError for an impossible path.
    """
    if not _folder_handles:
        yield OpenFolder(Path(path), None, os.stat(path))
        return
    handle = os.open(path, _folder_flags)
    try:
        yield OpenFolder(Path(path), handle, os.stat(handle))
    finally:
        os.close(handle)


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
    return _renameat2(a, b, _RENAME_EXCHANGE) == 0


def rename_to_new(old: Path, new: Path) -> None:
    """Rename the file `old` to `new`, which must not exist. Raises FileExistsError if it does, and OSError.

    No file at `new` is ever replaced, and `new` is complete as soon as it exists, by a hard link. Where the file system
    has no hard links (FAT, many FUSE file systems), renameat2 of Linux does the same. Where that fails as well, this
    process creates `new` as an empty file, which fails if it exists, and replaces the empty file. Then `new` is empty
    for a moment, and stays so if the process is killed in between.
    """
    try:
        os.link(old, new)
    except FileExistsError:
        raise
    except OSError:  # file systems refuse links with different errors; any other problem stops the next step as well
        if _renameat2(old, new, _RENAME_NOREPLACE) != 0:
            _replace_placeholder(old, new)
        return
    os.unlink(old)


def _replace_placeholder(old: Path, new: Path) -> None:
    os.close(open_file(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    try:
        os.replace(old, new)
    except BaseException:
        os.unlink(new)
        raise


def _renameat2(old: Path, new: Path, flags: int) -> int:
    """Call renameat2 of Linux. Returns 0 after success, another number where it fails or does not exist; then nothing
    has changed.
    """
    if not sys.platform.startswith("linux"):
        return -1
    import ctypes

    try:
        rename = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError):  # a C library from before 2018
        return -1
    return int(rename(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), flags))


def file_named(text: str) -> str:
    """What a text names: "a file", "a folder", or by its form "an address" or "the name of a file that does not exist".
    "" for any other text.
    """
    if os.path.isdir(text):
        return "a folder"
    if os.path.lexists(text):
        return "a file"
    if re.match(r"(s3|gs|az|abfss?|hdfs|file|ftp)://", text):
        return "an address"
    if len(text) > _LONGEST_NAME or any(map(str.isspace, text)):
        return ""
    if not re.fullmatch(_FILE_NAME, text, re.ASCII | re.I):
        return ""
    if "://" in text:
        return "an address"
    return "the name of a file that does not exist"


def is_address(path: str | os.PathLike[str]) -> bool:
    """Whether it is an address such as s3://bucket/name, also as a Path, which has one slash."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)) is not None


def user_cache_folder() -> Path:
    """The folder of this system for files that a program can get again."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
