"""A model as the files of its folder, and back.

config.json         architecture, classes, encoder, facts, and storage: which tensors are kept in fewer bytes
model.safetensors   the parameters
README.md           the card, for people; nothing reads it back
tokenizer.json or vocabulary.json   the words, for a model of texts
ngrams.safetensors  the n-grams beside the network, where there are any
history.jsonl, units.json           how it trained; what was found of its units
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType

from gatewise.errors import InputError, ModelFileError
from gatewise.kernels import readonly_copy
from gatewise.model.card import ModelMetadata, write_card
from gatewise.model.ngram_files import ngrams_from_files, ngrams_to_files
from gatewise.model.preprocessor import Preprocessor, preprocessor_from
from gatewise.network.architecture import Architecture, parameter_shapes
from gatewise.network.ngrams import Ngrams
from gatewise.storage import (
    Folder,
    check_table,
    fields_from,
    json_bytes,
    pack,
    parse_json,
    stored_forms,
    tensors_from_bytes,
    tensors_to_bytes,
    unpack,
)
from gatewise.types import Array

__all__ = ["UNITS_FILE", "Parts", "files_of", "parts_from"]

UNITS_FILE = "units.json"
_KEYS = ("architecture", "classes", "preprocessor", "metadata")


@dataclass(frozen=True)
class Parts:
    """What a model is made of and a folder keeps. parameters: float32, whatever `storage` says of them in the file.

    storage: tensor name to "float16" or "int8" (see `gatewise.storage.compact`); the others are kept as they are.
    """

    architecture: Architecture
    parameters: Mapping[str, Array]
    preprocessor: Preprocessor
    classes: tuple[str, ...]
    metadata: ModelMetadata = field(default_factory=ModelMetadata)
    history: str = ""
    units_file: bytes = b""
    storage: Mapping[str, str] = field(default_factory=dict)
    ngrams: Ngrams | None = None


def files_of(parts: Parts) -> dict[str, bytes]:
    """The files by name. Raises InputError for a storage that a tensor cannot have."""
    config, vocabulary = parts.preprocessor.to_files()
    forms = {name: (array.shape, array.dtype) for name, array in parts.parameters.items()}
    table = check_table(parts.storage, forms)
    described = {
        "architecture": asdict(parts.architecture),
        "classes": list(parts.classes),
        "preprocessor": config,
        "metadata": asdict(parts.metadata),
    }
    if table:
        described["storage"] = table
    entry, ngrams = ngrams_to_files(parts.ngrams)
    described |= entry
    files = {
        "config.json": json_bytes(described),
        "model.safetensors": tensors_to_bytes(pack(parts.parameters, table)),
        "README.md": write_card(parts.architecture, parts.classes, parts.metadata, parts.ngrams).encode(),
        **vocabulary,
        **ngrams,
    }
    if parts.history:
        files["history.jsonl"] = parts.history.encode()
    if parts.units_file:
        files[UNITS_FILE] = parts.units_file
    return files


def parts_from(folder: Folder) -> Parts:
    """Back from the files, which are data and nothing else; the parameters are read-only.

    Raises ModelFileError naming the file and what of it is not as `files_of` writes it. Shapes, dtypes and sizes are
    compared with the configuration before any tensor is read.
    """
    config = parse_json(folder.read("config.json"), "config.json")
    keys = {*_KEYS, "storage", "ngrams"} if folder.version >= 2 else set(_KEYS)
    if not isinstance(config, dict) or not set(_KEYS) <= set(config) <= keys:
        raise ModelFileError(
            f"{folder.path}/config.json: must hold {', '.join(_KEYS[:-1])} and {_KEYS[-1]}, and nothing else"
            + (" but storage and ngrams" if folder.version >= 2 else "")
        )
    classes = config["classes"]
    if not isinstance(classes, list) or not all(isinstance(c, str) for c in classes):
        raise ModelFileError(f"{folder.path}/config.json: classes must be a list of names")
    try:
        arch = fields_from(Architecture, config["architecture"], "architecture")
        preprocessor = preprocessor_from(config["preprocessor"], folder.read)
        preprocessor.check(arch)
        forms = {name: (shape, "float32") for name, shape in parameter_shapes(arch).items()}
        table = check_table(config.get("storage", {}), forms)
        stored = tensors_from_bytes(folder.read("model.safetensors"), stored_forms(forms, table))
        parameters = {name: _read_only(array) for name, array in unpack(stored, table).items()}
        metadata = fields_from(ModelMetadata, config["metadata"], "metadata")
        history = folder.files.get("history.jsonl", b"").decode()
        units = folder.files.get(UNITS_FILE, b"")
        ngrams = ngrams_from_files(config, arch.outputs, folder.read)
        kept = MappingProxyType(parameters)
        return Parts(arch, kept, preprocessor, tuple(classes), metadata, history, units, table, ngrams)
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{folder.path}/history.jsonl: not UTF-8 at byte {error.start}") from error
    except InputError as error:
        raise ModelFileError(f"{folder.path}: {error}") from error


def _read_only(array: Array) -> Array:
    """The array itself where it is nobody else's, so that a large model is not copied once more."""
    if array.base is not None:
        return readonly_copy(array)
    array.flags.writeable = False
    return array
