"""Small disks: each a tmpfs, in a mount namespace that ends with the process. Linux only, mostly for root."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.installed import printed

PAGE = os.sysconf("SC_PAGE_SIZE")  # a tmpfs grows by whole pages
_CLONE_NEWNS = 0x20000


def enter_namespace() -> None:
    """Let no other process see what this one mounts from here on. Raises OSError where it is not permitted."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS) != 0:  # os.unshare is new in Python 3.12
        raise OSError(ctypes.get_errno(), f"unshare: {os.strerror(ctypes.get_errno())}")
    printed("mount", "--make-rprivate", "/")


@contextmanager
def small_disk(path: Path, pages: int) -> Iterator[None]:
    """A disk of that size at a new folder, until the block ends."""
    path.mkdir()
    printed("mount", "-t", "tmpfs", "-o", f"size={pages * PAGE}", "tmpfs", path)
    try:
        yield
    finally:
        printed("umount", "--lazy", path)


def resize(path: Path, pages: int, files: int = 10_000) -> None:
    """Give a disk another size and another number of files and folders, not below what it holds."""
    printed("mount", "-o", f"remount,size={pages * PAGE},nr_inodes={files}", path)


def used(path: Path) -> tuple[int, int]:
    """Pages, and files and folders, that are on a disk."""
    found = os.statvfs(path)
    return (found.f_blocks - found.f_bfree) * found.f_frsize // PAGE, found.f_files - found.f_ffree


def unavailable() -> str:
    """Why this machine has no small disks, or ""."""
    code = (
        "import tempfile, pathlib; from trust import disk; disk.enter_namespace(); "
        "folder = tempfile.TemporaryDirectory()\n"
        "with folder, disk.small_disk(pathlib.Path(folder.name) / 'disk', 8): pass"
    )
    try:
        printed(sys.executable, "-c", code)
    except RuntimeError as error:
        return f"a tmpfs cannot be mounted: {str(error).splitlines()[-1]}"
    return ""
