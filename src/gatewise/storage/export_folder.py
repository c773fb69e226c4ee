"""Folders of exported files, such as a page: `export.json` names the files, so that nothing else is replaced."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from gatewise._version import __version__
from gatewise.errors import DataError, InputError, quote, reason
from gatewise.storage.atomic import replace_folder
from gatewise.storage.strict_json import json_bytes

MANIFEST = "export.json"


def check_export(path: str | Path, overwrite: bool, noun: str) -> Path:
    """The real path of a folder for an export. Raises InputError for one that exists, unless it is to be replaced; and
    for a file, and a folder with other files, in any case. noun: what is exported, such as "page".
    """
    where = quote(path, 200)
    try:
        target = Path(path).resolve()
        if not target.exists() or (target.is_dir() and not any(target.iterdir())):
            return target
        if not target.is_dir():
            raise InputError(f"{where}: exists and is not a folder")
        names = {one.name for one in target.iterdir()}
        made = json.loads((target / MANIFEST).read_bytes()) if MANIFEST in names else {}
    except (OSError, ValueError) as error:
        raise DataError(f"{where}: cannot be written: {reason(error)}") from None
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
