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
    """The real path of a folder for an export. Raises InputError for one that exists, unless it is to be replaced; and
    for a file, and a folder with other files, in any case. noun: what is exported, such as "page".
    """
    where = quote(path, 200)
    try:
        target = Path(path).resolve()
        found = target.exists()
        names = {one.name for one in target.iterdir()} if target.is_dir() else set[str]()
    except (OSError, ValueError) as error:
        raise DataError(f"{where}: cannot be written: {reason(error)}") from None
    if found and not target.is_dir():
        raise InputError(f"{where}: exists and is not a folder")
    if not names:
        return target
    made: Any = None
    if MANIFEST in names:
        with suppress(ModelFileError):  # damaged, or of somebody else
            made = parse_json(read_regular(target / MANIFEST, _MAX_MANIFEST), MANIFEST)
    own = isinstance(made, dict) and made.get("format") == f"gatewise {noun}"
    if not own or not isinstance(made.get("files"), list):
        raise InputError(f"{where}: contains files and is not an exported {noun}")
    if extra := sorted(names - set(map(str, made["files"])) - {MANIFEST}):
        raise InputError(f"{where}: contains {quote(extra[0])}, which is not part of the exported {noun}")
    if not overwrite:
        raise InputError(f"{where}: exists already; --overwrite replaces it")
    return target


def write_export(target: Path, files: Mapping[str, bytes], noun: str) -> None:
    """Replace the folder that `check_export` returned, completely or not at all."""
    about = {"format": f"gatewise {noun}", "version": __version__, "files": sorted(files)}
    replace_folder(target, {**files, MANIFEST: json_bytes(about)})
