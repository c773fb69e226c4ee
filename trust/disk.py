"""Small disks: each a tmpfs, in a mount namespace that ends with the process. Linux only, mostly for root."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")  # a tmpfs grows by whole pages
_CLONE_NEWNS, _MS_REMOUNT, _MS_REC, _MS_PRIVATE, _MNT_DETACH = 0x20000, 32, 16384, 1 << 18, 2


def enter_namespace() -> None:
    """Let no other process see what this one mounts from here on. Raises OSError where it is not permitted."""
    _call("unshare", _CLONE_NEWNS)
    _call("mount", None, b"/", None, _MS_REC | _MS_PRIVATE, None)


@contextmanager
def small_disk(path: Path, pages: int) -> Iterator[None]:
    """A disk of that size at a new folder, until the block ends."""
    path.mkdir()
    _call("mount", b"tmpfs", os.fsencode(path), b"tmpfs", 0, b"size=%d" % (pages * PAGE))
    try:
        yield
    finally:
        _call("umount2", os.fsencode(path), _MNT_DETACH)


def resize(path: Path, pages: int, files: int = 10_000) -> None:
    """Give a disk another size and another number of files and folders, not below what it holds."""
    options = b"size=%d,nr_inodes=%d" % (pages * PAGE, files)
    _call("mount", b"tmpfs", os.fsencode(path), b"tmpfs", _MS_REMOUNT, options)


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
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    return f"a tmpfs cannot be mounted: {done.stderr.strip().splitlines()[-1]}" if done.returncode else ""


def _call(name: str, *arguments: int | bytes | None) -> None:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*[ctypes.c_ulong(one) if isinstance(one, int) else one for one in arguments]) != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
