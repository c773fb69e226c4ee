"""The model folder: flat, verified completely before any file is parsed, and replaced atomically.

    models/tutorial/
        manifest.json        {"format": "gatewise model", "format_version": 3, "files": {name: {"bytes", "sha256"}}}
        config.json          and the other files: the manifest lists all of them, and no other may be present

`load_folder` reads each file once, through a handle on the folder, never through a link, and hashes the bytes that it
returns, so nothing can change between check and use. The manifest must be, byte for byte, what `save_folder` writes for
its content, so a change of any byte of any file is detected. This detects damage. It does not authenticate the author.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from gatewise.errors import ModelFileError, quote, reason
from gatewise.storage.strict_json import json_bytes, parse_json
from gatewise.system.files import OpenFolder, is_address, open_folder

MANIFEST = "manifest.json"
CONFIG = "config.json"
FORMAT = "gatewise model"
VERSION = 3  # no other version is read
_HEAD = {"format": FORMAT, "format_version": VERSION}
MAX_FILES = 64
MAX_BYTES = 2_000_000_000  # of all files together, which are held in memory
MAX_MANIFEST = 64_000
MAX_CONFIG = 1_000_000  # of config.json
MAX_OTHER = 64_000_000  # of all files but tensors together; the largest is a vocabulary
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")  # no separator, no leading dot, no ".."
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Folder:
    """A model folder as it was read. files: the verified bytes of every file in the manifest. fingerprint: SHA-256 of
    the manifest and so of all files; folders with equal fingerprints hold the same model.
    """

    path: Path
    files: Mapping[str, bytes]
    fingerprint: str

    def read(self, name: str) -> bytes:
        """The bytes of the file `name`. Raises ModelFileError if the folder does not have it."""
        if name not in self.files:
            raise ModelFileError(f"{quote(self.path, 200)}: this model folder has no {name}")
        return self.files[name]


def save_folder(path: str | os.PathLike[str], files: Mapping[str, bytes]) -> Path:
    """Write `files` and their manifest as the model folder `path`. An existing model folder is replaced.

    All files are on the disk under a temporary name before anything at `path` changes. Returns the real path (links in
    `path` resolved). Raises ModelFileError for anything that `check_target` refuses and for write errors such as a full
    disk; the old model is then as it was.
    """
    from gatewise.storage.atomic import replace_folder  # a prediction does not wait for it

    _check_sizes({name: len(data) for name, data in files.items()}, quote(path, 200))
    target = check_target(path)
    replace_folder(target, _with_manifest(files))
    return target


def folder_size(files: Mapping[str, bytes]) -> int:
    """Size in bytes of the folder that `save_folder` writes for these files, including the manifest."""
    return sum(map(len, _with_manifest(files).values()))


def _with_manifest(files: Mapping[str, bytes]) -> dict[str, bytes]:
    entries = {name: {"bytes": len(data), "sha256": sha256(data).hexdigest()} for name, data in files.items()}
    return {**files, MANIFEST: json_bytes({**_HEAD, "files": dict(sorted(entries.items()))})}


def check_target(path: str | os.PathLike[str]) -> Path:
    """The real path that saving to `path` would write. Call it before hours of training.

    Raises ModelFileError for a file, for a folder that is neither empty nor a gatewise model, and for a model folder
    with a file that its manifest does not list, which replacing the folder would lose.
    """
    where = quote(path, 200)
    try:
        target = Path(os.path.realpath(path))
        if not os.path.lexists(target):
            return target
        if not target.is_dir():
            raise ModelFileError(f"{where} exists and is not a folder; it was not changed")
        names = set(os.listdir(target))
        if not names:
            return target
        if MANIFEST not in names:
            raise ModelFileError(f"{where} contains files and is not a gatewise model; it was not changed")
        with open_folder(target) as folder:
            listed = parse_manifest(_read(folder, MANIFEST, None, where), where)
    except (OSError, ValueError) as error:
        raise ModelFileError(f"cannot save to {where}: {reason(error)}") from error
    if extra := sorted(names - set(listed) - {MANIFEST}):
        raise ModelFileError(f"{where} contains {quote(extra[0])}, which is not part of the model; it was not changed")
    return target


def load_folder(path: str | os.PathLike[str]) -> Folder:
    """Read and verify the model folder `path`. Raises ModelFileError naming the folder, the file and the reason.

    Refused: a missing or unlisted file; a link, FIFO, device or folder; a wrong size or SHA-256; more than 64 files;
    more than 2 GB, or 64 MB without the tensors, or 1 MB of config.json; a manifest in another form than `save_folder`
    writes; another format version. All sizes are checked before the first file is read.
    """
    where = quote(path, 200)
    for _ in range(20):
        try:
            with open_folder(path) as folder:
                try:
                    return _load(folder, where)
                except (ModelFileError, FileNotFoundError):  # a file that is removed while the names are read
                    if not folder.was_replaced():
                        raise
        except NotADirectoryError as error:
            raise ModelFileError(f"{where} is a file, not a model folder") from error
        except (OSError, ValueError) as error:
            message = reason(error)
            if is_address(path):
                message = "an address; only hf:// is downloaded"
            raise ModelFileError(f"cannot open the model folder {where}: {message}") from error
    raise ModelFileError(f"{where} is being replaced again and again by another process")


def _load(folder: OpenFolder, where: str) -> Folder:
    """Read the manifest, compare it with the files of the folder, and then read and hash each file."""
    # One more than there may be, so that a folder of a million files is cheap to refuse.
    statuses = dict(islice(folder.entries(), MAX_FILES + 2))
    if MANIFEST not in statuses and len(statuses) > MAX_FILES + 1:
        raise ModelFileError(f"{where}: more than {MAX_FILES + 1} files, so this is not a gatewise model folder")
    name = MANIFEST  # the file that an OSError is about
    try:
        _check_file(statuses.get(name), name, None, where)
        manifest = _read(folder, name, None, where)
        listed = parse_manifest(manifest, where)
        for name in statuses:
            if name != MANIFEST and name not in listed:
                raise ModelFileError(f"{where}: {quote(name)} is not listed in {MANIFEST}; remove it")
        for name, expected in listed.items():
            _check_file(statuses.get(name), name, expected["bytes"], where)
        files = {}
        for name, expected in listed.items():
            files[name] = _read(folder, name, expected["bytes"], where)
            if sha256(files[name]).hexdigest() != expected["sha256"]:
                raise ModelFileError(f"{where}: {name} was changed or damaged: its SHA-256 is not that of {MANIFEST}")
    except OSError as error:
        raise ModelFileError(f"{where}: {name} cannot be read: {reason(error)}") from error
    return Folder(folder.path, files, sha256(manifest).hexdigest())


def _read(folder: OpenFolder, name: str, size: int | None, where: str) -> bytes:
    """The bytes of a regular file of exactly `size` bytes (None: at most MAX_MANIFEST). Raises OSError too."""
    with open(folder.open(name), "rb") as file:
        status = os.fstat(file.fileno())  # again, because the name may point to another file since the first check
        _check_file(status, name, size, where)
        data = file.read(status.st_size + 1)
    if len(data) != status.st_size:
        raise ModelFileError(f"{where}: {name} changed while it was read")
    return data


def _check_file(status: os.stat_result | None, name: str, size: int | None, where: str) -> None:
    """Raise ModelFileError unless it is a regular file of `size` bytes (None: at most MAX_MANIFEST)."""
    if status is None:
        raise ModelFileError(f"{where}: {name} is missing, so this is not a complete gatewise model folder")
    if not stat.S_ISREG(status.st_mode):
        kinds = {stat.S_IFLNK: "symbolic link", stat.S_IFDIR: "folder"}
        kind = kinds.get(stat.S_IFMT(status.st_mode), "special file")
        raise ModelFileError(f"{where}: {name} is a {kind}, not a regular file")
    if size is None and status.st_size > MAX_MANIFEST:
        raise ModelFileError(f"{where}: {name} has {status.st_size:,} bytes, more than the {MAX_MANIFEST:,} allowed")
    if size is not None and status.st_size != size:
        raise ModelFileError(f"{where}: {name} has {status.st_size:,} bytes, {MANIFEST} says {size:,}")


def parse_manifest(raw: bytes, where: str) -> dict[str, dict[str, Any]]:
    """The files of the manifest, name -> {"bytes": int, "sha256": str}, after all checks. where: what an error names.
    Raises ModelFileError.
    """
    name = f"{where}: {MANIFEST}"
    manifest = parse_json(raw, name)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ModelFileError(f"{name}: this is not a gatewise model folder")
    # The version first: the manifest of another version may have another form.
    version = manifest.get("format_version")
    if type(version) is int and version >= 1 and version != VERSION:
        if version > VERSION:
            needed = "a newer"
        else:
            needed = "an older"
        raise ModelFileError(f"{name}: needs {needed} gatewise (format {version}; this version reads format {VERSION})")
    if type(version) is not int or version < 1 or set(manifest) != {"format", "format_version", "files"}:
        raise ModelFileError(f"{name}: not in the form that gatewise writes")
    files = manifest["files"]
    if not isinstance(files, dict):
        raise ModelFileError(f"{name}: 'files' must be an object")
    for file, entry in files.items():
        if not isinstance(entry, dict) or set(entry) != {"bytes", "sha256"}:
            raise ModelFileError(f"{name}: the entry of {quote(file)} must have bytes and sha256")
        size = entry["bytes"]
        digest = entry["sha256"]
        if type(size) is not int or size < 0 or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise ModelFileError(f"{name}: the entry of {quote(file)} has no valid size and SHA-256")
    sizes = {file: entry["bytes"] for file, entry in files.items()}
    _check_sizes(sizes, name)
    if json_bytes({**_HEAD, "files": dict(sorted(files.items()))}) != raw:
        raise ModelFileError(f"{name}: not byte for byte as gatewise writes it, so it was changed or damaged")
    return files


def _check_sizes(sizes: Mapping[str, int], where: str) -> None:
    """Raise ModelFileError unless these files, by name, and their sizes in bytes are those of a model folder."""
    if not 0 < len(sizes) <= MAX_FILES:
        raise ModelFileError(f"{where}: {len(sizes)} files; a model folder has 1 to {MAX_FILES}")
    for name in sizes:
        if not _NAME.fullmatch(name) or len(name) > 100 or name.lower() == MANIFEST:
            raise ModelFileError(f"{where}: {quote(name)} is not a valid file name in a model folder")
    if len({name.lower() for name in sizes}) < len(sizes):  # the same file on macOS
        raise ModelFileError(f"{where}: two file names differ only in upper and lower case")
    without_tensors = sum(size for name, size in sizes.items() if not name.endswith(".safetensors"))
    for subject, size, limit in (
        ("config.json has", sizes.get(CONFIG, 0), MAX_CONFIG),
        ("the files without tensors have", without_tensors, MAX_OTHER),
        ("the files have", sum(sizes.values()), MAX_BYTES),
    ):
        if size > limit:
            raise ModelFileError(f"{where}: {subject} {size:,} bytes, more than the {limit:,} allowed")
