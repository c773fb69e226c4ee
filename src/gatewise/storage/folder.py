"""The model folder: flat, checked whole before any of it is parsed, and replaced whole or not at all.

    models/tutorial/
        manifest.json        {"format": "gatewise model", "format_version": 2, "files": {name: {"bytes", "sha256"}}}
        config.json          and whatever else was saved: the manifest lists every file, and no other may be there

`load_folder` reads each file once, through a handle on the folder, never through a link, and hashes the very bytes that
it hands on: nothing can change between the check and the use. The manifest itself must be, byte for byte, what
`save_folder` would have written for its content, so a change of any byte of any file is noticed. That guards against
damage; who made a folder it does not say.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatewise.errors import ModelFileError, quote
from gatewise.storage.atomic import why
from gatewise.storage.replace import replace_folder
from gatewise.storage.strict_json import json_bytes, parse_json

__all__ = ["MANIFEST", "Folder", "check_target", "folder_size", "load_folder", "save_folder"]

MANIFEST = "manifest.json"
FORMAT = "gatewise model"
VERSION = 2  # 1: before `storage` stood in config.json, and before some of the facts; it is still read
MAX_FILES = 64
MAX_BYTES = 2_000_000_000  # all files together: they are held in memory
MAX_MANIFEST = 64_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")  # no separator, no leading dot, no ".."
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Folder:
    """A model folder as it was read. files: every name of the manifest with its verified bytes."""

    path: Path
    files: Mapping[str, bytes]
    fingerprint: str
    """SHA-256 of the manifest, and so of everything: two folders with the same one hold the same model."""
    version: int = VERSION
    """The format that the manifest names."""

    def read(self, name: str) -> bytes:
        """The bytes of the file `name`. Raises ModelFileError where the folder has none."""
        if name not in self.files:
            raise ModelFileError(f"{quote(self.path, 200)}: there is no {name} in this model folder")
        return self.files[name]


def save_folder(path: str | os.PathLike[str], files: Mapping[str, bytes]) -> Path:
    """Write `files` and their manifest as the model folder `path`; a model folder that is there already is replaced.

    Until all is on the disk under a scratch name beside `path`, nothing at `path` changes. Returns the real path (links
    in `path` resolved). Raises ModelFileError, with the old model as it was, for anything that `check_target` refuses,
    a full disk, and so on.
    """
    where = quote(path, 200)
    sizes = {name: len(data) for name, data in files.items()}
    _check_names(sizes, where)
    if sum(sizes.values()) > MAX_BYTES:
        raise ModelFileError(f"{where}: {sum(sizes.values()):,} bytes, more than the {MAX_BYTES:,} of a model folder")
    target = check_target(path)
    replace_folder(target, {**files, MANIFEST: _manifest_of(files)})
    return target


def folder_size(files: Mapping[str, bytes]) -> int:
    """Bytes of all files of the folder that `save_folder` would make of these, its manifest among them."""
    return sum(map(len, files.values())) + len(_manifest_of(files))


def _manifest_of(files: Mapping[str, bytes]) -> bytes:
    return _manifest_bytes(
        {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
    )


def check_target(path: str | os.PathLike[str]) -> Path:
    """The real path that saving to `path` would write. Worth a call before hours of training.

    Raises ModelFileError for a file, for a folder that is neither empty nor a gatewise model, and for a model folder
    that holds more than its manifest lists, since replacing it would lose that.
    """
    where = quote(path, 200)
    try:
        target = Path(os.path.realpath(path))
        if not os.path.lexists(target):
            return target
        if not target.is_dir():
            raise ModelFileError(f"{where} is there and is not a folder; it was left as it is")
        names = set(os.listdir(target))
        if not names:
            return target
        handle = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if MANIFEST not in names:
                raise ModelFileError(f"{where} holds files and is not a gatewise model; it was left as it is")
            listed, _ = _parse_manifest(_read(handle, MANIFEST, None, where), where)
        finally:
            os.close(handle)
    except (OSError, ValueError) as error:
        raise ModelFileError(f"cannot save to {where}: {why(error)}") from error
    extra = sorted(names - set(listed) - {MANIFEST})
    if extra:
        raise ModelFileError(
            f"{where} holds {quote(extra[0])}, which is no part of the model there; it was left as it is"
        )
    return target


def load_folder(path: str | os.PathLike[str]) -> Folder:
    """Read and verify the model folder `path`. Raises ModelFileError naming the folder, the file and the reason.

    Refused: a file that is missing, not listed, a link, a FIFO, a device or a folder; a size or SHA-256 that differs;
    more than 64 files or 2 GB; a manifest in any other form than ours; a newer format.
    """
    where = quote(path, 200)
    for _ in range(20):
        try:
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except NotADirectoryError as error:
            raise ModelFileError(f"{where} is a file, not a model folder") from error
        except (OSError, ValueError) as error:
            raise ModelFileError(f"cannot open the model folder {where}: {why(error)}") from error
        try:
            return _load(handle, Path(path), where)
        except ModelFileError:
            if not _was_replaced(handle, path):
                raise
        finally:
            os.close(handle)
    raise ModelFileError(f"{where} is being replaced again and again by another process")


def _was_replaced(handle: int, path: str | os.PathLike[str]) -> bool:
    """Whether `path` means another folder by now: ours was removed under our hands, and the new one is whole."""
    try:
        ours, now = os.fstat(handle), os.stat(path)
    except OSError:
        return False
    return (ours.st_dev, ours.st_ino) != (now.st_dev, now.st_ino)


def _load(handle: int, path: Path, where: str) -> Folder:
    manifest = _read(handle, MANIFEST, None, where)
    listed, version = _parse_manifest(manifest, where)
    try:
        with os.scandir(handle) as entries:
            for entry in entries:  # a folder of a million files ends here at the first one that is not ours
                if entry.name != MANIFEST and entry.name not in listed:
                    raise ModelFileError(f"{where}: {quote(entry.name)} is not listed in {MANIFEST}; remove it")
    except OSError as error:
        raise ModelFileError(f"{where}: cannot be read: {why(error)}") from error
    files = {}
    for name, fact in listed.items():
        files[name] = _read(handle, name, fact["bytes"], where)
        if hashlib.sha256(files[name]).hexdigest() != fact["sha256"]:
            raise ModelFileError(f"{where}: {name} was changed or damaged: its SHA-256 is not the one in {MANIFEST}")
    return Folder(path, files, hashlib.sha256(manifest).hexdigest(), version)


def _read(folder: int, name: str, size: int | None, where: str) -> bytes:
    """All of a regular file, which must have `size` bytes (None: at most MAX_MANIFEST)."""
    # O_NONBLOCK: opening a FIFO that has no writer would wait for ever.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        _regular(os.stat(name, dir_fd=folder, follow_symlinks=False), name, where)
        with open(os.open(name, flags, dir_fd=folder), "rb") as file:
            found = os.fstat(file.fileno())  # again, of what was opened: the name may mean another file by now
            _regular(found, name, where)
            if size is None and found.st_size > MAX_MANIFEST:
                raise ModelFileError(
                    f"{where}: {name} has {found.st_size:,} bytes, more than the {MAX_MANIFEST:,} allowed"
                )
            wanted = found.st_size if size is None else size
            if found.st_size != wanted:
                raise ModelFileError(f"{where}: {name} has {found.st_size:,} bytes, {MANIFEST} says {wanted:,}")
            data = file.read(wanted + 1)
    except FileNotFoundError as error:
        raise ModelFileError(f"{where}: {name} is missing, so this is not a whole gatewise model folder") from error
    except OSError as error:
        raise ModelFileError(f"{where}: {name} cannot be read: {why(error)}") from error
    if len(data) != wanted:
        raise ModelFileError(f"{where}: {name} changed while it was read")
    return data


def _regular(found: os.stat_result, name: str, where: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        kinds = {stat.S_IFLNK: "symbolic link", stat.S_IFDIR: "folder"}
        kind = kinds.get(stat.S_IFMT(found.st_mode), "special file")
        raise ModelFileError(f"{where}: {name} is a {kind}, not a regular file")


def _manifest_bytes(files: Mapping[str, Mapping[str, Any]], version: int = VERSION) -> bytes:
    return json_bytes(
        {"format": FORMAT, "format_version": version, "files": {name: files[name] for name in sorted(files)}}
    )


def _parse_manifest(raw: bytes, where: str) -> tuple[dict[str, dict[str, Any]], int]:
    """The manifest's files, name -> {"bytes": int, "sha256": str}, checked, and caps with them; and its version."""
    name = f"{where}: {MANIFEST}"
    found = parse_json(raw, name)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ModelFileError(f"{name}: this is not a gatewise model folder")
    version = found.get("format_version")
    if type(version) is int and version > VERSION:  # before all else: a newer form may have any shape
        raise ModelFileError(f"{name}: needs a newer gatewise (format {version}; this one reads up to {VERSION})")
    if type(version) is not int or version < 1 or set(found) != {"format", "format_version", "files"}:
        raise ModelFileError(f"{name}: not in the form that gatewise writes")
    files = found["files"]
    if not isinstance(files, dict):
        raise ModelFileError(f"{name}: 'files' is no table")
    for file, fact in files.items():
        if not isinstance(fact, dict) or set(fact) != {"bytes", "sha256"}:
            raise ModelFileError(f"{name}: the entry of {quote(file)} must have bytes and sha256")
        size, digest = fact["bytes"], fact["sha256"]
        if type(size) is not int or size < 0 or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise ModelFileError(f"{name}: the entry of {quote(file)} has no valid size and SHA-256")
    _check_names({file: fact["bytes"] for file, fact in files.items()}, name)
    total = sum(fact["bytes"] for fact in files.values())
    if total > MAX_BYTES:
        raise ModelFileError(f"{name}: {total:,} bytes of files, more than the {MAX_BYTES:,} allowed")
    if _manifest_bytes(files, version) != raw:
        raise ModelFileError(f"{name}: not byte for byte as gatewise writes it, so it was changed or damaged")
    return files, version


def _check_names(sizes: Mapping[str, int], where: str) -> None:
    if not 0 < len(sizes) <= MAX_FILES:
        raise ModelFileError(f"{where}: {len(sizes)} files; a model folder has 1 to {MAX_FILES}")
    for name in sizes:
        if not _NAME.fullmatch(name) or len(name) > 100 or name.lower() == MANIFEST:
            raise ModelFileError(f"{where}: {quote(name)} cannot be the name of a file in a model folder")
    if len({name.lower() for name in sizes}) < len(sizes):  # one file on a Mac, two elsewhere
        raise ModelFileError(f"{where}: two file names differ only in upper and lower case")
