"""Folders of exported files, such as a page: `export.json` names the files, so that nothing else is replaced."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gatewise._version import __version__
from gatewise.errors import DataError, InputError, ModelFileError, quote, reason
from gatewise.storage.atomic import read_regular, replace_folder
from gatewise.storage.strict_json import json_bytes, parse_json

MANIFEST = "export.json"
_MAX_MANIFEST = 1_000_000  # bytes


def check_export(path: str | Path, overwrite: bool, noun: str) -> Path:
    """The real path of a folder for an export. noun: what is exported, such as "page".

    Raises InputError for a file, for a folder with files that are not of an export, and for an earlier export unless
    `overwrite`.
    """
    where = quote(path, 200)
    names: set[str] = set()
    try:
        target = Path(path).resolve()
        exists = target.exists()
        is_folder = target.is_dir()
        if is_folder:
            names = {entry.name for entry in target.iterdir()}
    except (OSError, ValueError) as error:
        raise DataError(f"{where}: cannot be written: {reason(error)}") from None
    if exists and not is_folder:
        raise InputError(f"{where}: exists and is not a folder")
    if not names:
        return target
    exported = _exported_names(target, noun)
    if not exported:
        raise InputError(f"{where}: contains files and is not an exported {noun}")
    if extra := sorted(names - exported):
        raise InputError(f"{where}: contains {quote(extra[0])}, which is not part of the exported {noun}")
    if not overwrite:
        raise InputError(f"{where}: exists already; --overwrite replaces it (Python: overwrite=True)")
    return target


def _exported_names(folder: Path, noun: str) -> set[str]:
    """The names of the files of an earlier export, its manifest included; empty for a folder that is no export."""
    manifest: Any = None
    with suppress(ModelFileError):  # missing, damaged, or of another program
        manifest = parse_json(read_regular(folder / MANIFEST, _MAX_MANIFEST), MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != f"gatewise {noun}":
        return set()
    if not isinstance(manifest.get("files"), list):
        return set()
    return {MANIFEST, *map(str, manifest["files"])}


def write_export(target: Path, files: Mapping[str, bytes], noun: str) -> None:
    """Replace the folder that `check_export` returned, completely or not at all."""
    manifest = {"format": f"gatewise {noun}", "version": __version__, "files": sorted(files)}
    replace_folder(target, {**files, MANIFEST: json_bytes(manifest)})
