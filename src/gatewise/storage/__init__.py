"""Safe files: model folders, tensors, JSON, atomic writes, locks.

A model folder from a stranger is data. Nothing in it is unpickled, imported or executed, no file outside it is read,
and all of it is checked against its manifest before anything is parsed (`folder`). `tensors` and `strict_json` parse
exactly the expected content, `compact` stores tensors in fewer bytes, `fields` converts a dict to a frozen dataclass,
and `atomic` writes files and folders.

Locks, handles on folders and one-step exchanges come from `gatewise.system`, which says what each system has.
"""

from __future__ import annotations

from gatewise.storage.atomic import LOCK, locked, read_regular, write_atomic
from gatewise.storage.compact import (
    STORAGE,
    check_storage,
    distinct_limits,
    distinct_rows,
    pack,
    storage_table,
    stored_forms,
    unpack,
)
from gatewise.storage.fields import fields_from
from gatewise.storage.folder import (
    MANIFEST,
    MAX_CONFIG,
    Folder,
    check_target,
    folder_size,
    load_folder,
    parse_manifest,
    save_folder,
)
from gatewise.storage.strict_json import json_bytes, parse_json
from gatewise.storage.tensors import metadata_of, tensors_from_bytes, tensors_to_bytes, verify_checksum

__all__ = [
    "LOCK",
    "MANIFEST",
    "MAX_CONFIG",
    "STORAGE",
    "Folder",
    "check_storage",
    "check_target",
    "distinct_limits",
    "distinct_rows",
    "fields_from",
    "folder_size",
    "json_bytes",
    "load_folder",
    "locked",
    "metadata_of",
    "pack",
    "parse_json",
    "parse_manifest",
    "read_regular",
    "save_folder",
    "storage_table",
    "stored_forms",
    "tensors_from_bytes",
    "tensors_to_bytes",
    "unpack",
    "verify_checksum",
    "write_atomic",
]
