"""Linux as if it were Windows: no fcntl, no handles on folders, and no renaming or removing of what is open.

`install` changes this process. A child process calls it itself, with `ROOT` in PYTHONPATH.
"""

import errno
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gatewise.storage import atomic
from gatewise.system import files

Set = Callable[[Any, str, Any], object]


def locking(handle: int, mode: int, size: int) -> None:
    """msvcrt.locking: locks bytes from the position on, of this handle alone."""
    import fcntl  # Windows, where the tests run as they are, does not have it

    bytes_of = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_CUR, 0, size, 0)
    try:
        fcntl.fcntl(handle, fcntl.F_OFD_SETLK, bytes_of)
    except BlockingIOError as error:
        raise PermissionError(errno.EACCES, "Permission denied") from error


def is_open(path: Any) -> bool:
    """Whether this process has `path`, or a file in it, open."""
    real = os.path.realpath(path)
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if target == real or target.startswith(f"{real}{os.sep}"):
            return True
    return False


def refuse_open(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    """`function` that refuses open files among its first `count` arguments."""

    def checked(*arguments: Any, **options: Any) -> Any:
        if any(is_open(path) for path in arguments[:count] if not options):
            raise PermissionError(errno.EACCES, "The process cannot access the file because it is being used")
        return function(*arguments, **options)

    return checked


def install(set_: Set = setattr) -> None:
    """Change the modules, on Linux. set_: how, `setattr` or that of `pytest.MonkeyPatch`."""
    if os.name == "nt":
        return
    real_open, real_rename = os.open, refuse_open(os.rename, 2)

    def open_(path: Any, flags: int, mode: int = 0o777, *, dir_fd: None = None) -> int:
        assert dir_fd is None, "there are no handles on folders"
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real_open(path, flags, mode)

    def rename(old: Any, new: Any) -> None:
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, "Cannot create a file when that file already exists")
        real_rename(old, new)

    set_(files, "_fcntl", None)
    set_(files, "_msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
    set_(files, "_no_follow", 0)
    set_(files, "_folder_handles", False)
    set_(files, "exchange", lambda a, b: False)
    set_(atomic, "exchange", lambda a, b: False)
    set_(shutil, "_use_fd_functions", False)
    set_(os, "open", open_)
    set_(os, "rename", rename)
    set_(os, "replace", refuse_open(os.replace, 2))
    set_(os, "unlink", refuse_open(os.unlink, 1))


ROOT = str(Path(__file__).resolve().parents[2])
