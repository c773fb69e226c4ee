"""Read the text files of a .tar.gz archive, or of its unpacked folder. Nothing is written to disk."""

import gzip
import os
import re
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from gatewise.errors import DataError, quote
from gatewise.storage.streams import unreadable

_MAX_FILE = 1 << 20  # bytes; the longest review has 14 kB, the longest URL list 0.6 MB
_MAX_MEMBER = 100 << 20  # bytes of a skipped file: the bags of words have 40 MB
_MAX_TOTAL = 1 << 30
_MAX_MEMBERS = 300_000  # the archive has 100,022


def archive_files(
    path: Path, root: str, folders: Sequence[str], files: Sequence[str] = ()
) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of these files of an archive, and of the files in these folders; names are relative to `root`.

    path: the .tar.gz, or its folder `root`, or the parent of that. Raises DataError for a damaged archive, a name that
    leads out of it, a link, and sizes above the limits of this module.
    """
    if path.is_dir():
        if (path / root).is_dir():
            path = path / root
        return _folder(path, folders, files)
    if path.is_file():
        names = [*(re.escape(folder) + "/[^/]+" for folder in folders), *map(re.escape, files)]
        return _archive(path, root, re.compile("|".join(names)))
    if path.exists():
        raise DataError(f"{quote(path, 200)}: not a file or folder")
    raise DataError(f"{quote(path, 200)}: not found")


def _folder(root: Path, folders: Sequence[str], files: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    try:
        for name in files:
            if (root / name).is_file():
                yield name, _read(root / name)
        for folder in folders:
            if not (root / folder).is_dir():
                continue
            for name in os.listdir(root / folder):
                file = root / folder / name
                if file.is_symlink() or not file.is_file():
                    raise DataError(f"{quote(file, 200)}: not a plain file")
                if not name.startswith("."):
                    yield f"{folder}/{name}", _read(file)
    except OSError as error:
        raise unreadable(error.filename or root, error) from None


def _read(path: Path) -> bytes:
    with open(path, "rb") as file:
        raw = file.read(_MAX_FILE + 1)
    if len(raw) > _MAX_FILE:
        raise DataError(f"{quote(path, 200)}: more than {_MAX_FILE:,} bytes, too long for a review")
    return raw


class _Limited:
    """A file with a limit on the bytes that are read: a small archive can unpack to a huge size."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self.file = file
        self.left = _MAX_TOTAL

    def read(self, size: int = -1) -> bytes:
        block = self.file.read(size)
        self.left -= len(block)
        if self.left < 0:
            raise DataError(f"unpacks to more than {_MAX_TOTAL:,} bytes")
        return block


def _archive(path: Path, root: str, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    try:
        with gzip.open(path, "rb") as unpacked:
            limited = _Limited(unpacked)
            with tarfile.open(fileobj=limited, mode="r|") as tar:  # type: ignore[call-overload]
                yield from _members(tar, root, wanted)
            while limited.read(1 << 20):  # read to the end, where gzip checks length and CRC
                pass
    except DataError as error:
        raise DataError(f"{quote(path, 200)}: {error}") from None
    except gzip.BadGzipFile as error:
        raise DataError(f"{quote(path, 200)}: not a valid .tar.gz archive: {error}") from None
    except EOFError:
        raise DataError(f"{quote(path, 200)}: the archive is truncated") from None
    except (tarfile.TarError, zlib.error, OSError, ValueError, UnicodeError) as error:
        raise DataError(f"{quote(path, 200)}: the archive is damaged: {error}") from None


def _members(tar: tarfile.TarFile, root: str, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    for number, member in enumerate(tar):
        steps = member.name.split("/")
        if number >= _MAX_MEMBERS:
            raise DataError(f"more than {_MAX_MEMBERS:,} files")
        if member.name.startswith("/") or ".." in steps or "\\" in member.name or "\0" in member.name:
            raise DataError(f"the name {quote(member.name)} leads out of the archive")
        if not (member.isreg() or member.isdir()):
            raise DataError(f"{quote(member.name)} is a link or device, not a file")
        if member.size > _MAX_MEMBER:
            raise DataError(f"{quote(member.name)} has {member.size:,} bytes")
        name = "/".join(step for step in steps if step not in ("", ".")).removeprefix(f"{root}/")
        if member.isdir() or not wanted.fullmatch(name) or steps[-1].startswith("."):
            continue
        if member.size > _MAX_FILE:
            raise DataError(f"{quote(member.name)} has {member.size:,} bytes, too long for a review")
        file = tar.extractfile(member)
        raw = b""
        if file is not None:
            raw = file.read()
        if len(raw) != member.size:
            raise DataError(f"truncated within {quote(member.name)}")
        yield name, raw
