"""Files that are safe to keep and safe to open: model folders, tensors, JSON, atomic writes, locks.

A model folder from a stranger is data. Nothing in it is unpickled, imported or executed, no file outside it is read,
and all of it is checked against its manifest before anything is parsed: `folder` says how. `tensors` and `strict_json`
then take apart only what is exactly as expected, `compact` keeps tensors in fewer bytes, and `fields` turns a dict into
a frozen dataclass. `atomic` writes single files.

POSIX only, as the whole package: directory handles, O_NOFOLLOW and flock carry the guarantees.
"""

from __future__ import annotations

from gatewise.storage.atomic import locked, write_atomic
from gatewise.storage.compact import STORAGE, check_table, pack, stored_forms, table_for, unpack
from gatewise.storage.fields import fields_from
from gatewise.storage.folder import MANIFEST, Folder, check_target, folder_size, load_folder, save_folder
from gatewise.storage.strict_json import json_bytes, parse_json
from gatewise.storage.tensors import metadata_of, tensors_from_bytes, tensors_to_bytes

__all__ = [
    "MANIFEST",
    "STORAGE",
    "Folder",
    "check_table",
    "check_target",
    "fields_from",
    "folder_size",
    "json_bytes",
    "load_folder",
    "locked",
    "metadata_of",
    "pack",
    "parse_json",
    "save_folder",
    "stored_forms",
    "table_for",
    "tensors_from_bytes",
    "tensors_to_bytes",
    "unpack",
    "write_atomic",
]
