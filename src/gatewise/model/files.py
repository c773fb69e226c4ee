"""The parameters, n-grams and convolutions of a model as files of its folder. `Model.to_files` and `load` do the
rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from gatewise.errors import InputError, ModelFileError
from gatewise.kernels import readonly_copy
from gatewise.kernels.convolution import KERNELS, Banks
from gatewise.members.convolutions import MAX_FEATURES, Convolutions
from gatewise.members.ngrams import Ngrams
from gatewise.network.architecture import Architecture, parameter_shapes
from gatewise.storage import (
    check_distinct_rows,
    check_storage,
    distinct_rows,
    pack,
    stored_forms,
    tensors_from_bytes,
    tensors_to_bytes,
    unpack,
)
from gatewise.types import Array

PARAMETERS_FILE = "model.safetensors"
NGRAMS_FILE = "ngrams.safetensors"
CONVOLUTIONS_FILE = "convolutions.safetensors"
_MAX_NGRAMS = 100_000_000
_MAX_BANKS = 10_000


def parameters_to_files(
    parameters: Mapping[str, Array], storage: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The entries for config.json, which are empty for float32 alone, and the file by name. Raises InputError for a
    storage dtype that a tensor cannot have.
    """
    table = check_storage(storage, {name: (array.shape, array.dtype) for name, array in parameters.items()})
    stored = pack(parameters, table)
    entries = {"storage": table, "distinct_rows": distinct_rows(stored)}
    return {name: entry for name, entry in entries.items() if entry}, {PARAMETERS_FILE: tensors_to_bytes(stored)}


def parameters_from_files(
    config: Mapping[str, Any], arch: Architecture, read: Callable[[str], bytes]
) -> tuple[dict[str, str], Mapping[str, Array]]:
    """The checked storage table and the read-only float32 parameters of that architecture. config: the whole
    config.json; read(name): a file's bytes.

    Names, shapes and dtypes are compared with the architecture before any tensor is read. Raises InputError for a wrong
    entry of config.json, ModelFileError for a wrong file.
    """
    forms = {name: (shape, "float32") for name, shape in parameter_shapes(arch).items()}
    table = check_storage(config.get("storage", {}), forms)
    distinct = check_distinct_rows(config.get("distinct_rows", {}), forms, table)
    stored = tensors_from_bytes(read(PARAMETERS_FILE), stored_forms(forms, table, distinct), PARAMETERS_FILE)
    return table, MappingProxyType({name: _read_only(array) for name, array in unpack(stored, table).items()})


def ngrams_to_files(ngrams: Ngrams | None) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The entry for config.json and the file by name; both are empty for None."""
    if ngrams is None:
        return {}, {}
    tensors: dict[str, Array] = {"keys": ngrams.keys, "weight": ngrams.weight}
    entry: dict[str, Any] = {"order": ngrams.order, "count": len(ngrams)}
    if ngrams.scale is not None:
        tensors["scale"], entry["scaled"] = ngrams.scale, True
    return {"ngrams": entry}, {NGRAMS_FILE: tensors_to_bytes(tensors)}


def ngrams_from_files(config: Mapping[str, Any], outputs: int, read: Callable[[str], bytes]) -> Ngrams | None:
    """The n-grams that `ngrams_to_files` wrote, read-only. config: the whole config.json; read(name): a file's bytes.

    Raises ModelFileError. `Ngrams.check` later compares the token ids with the vocabulary.
    """
    if "ngrams" not in config:
        return None
    entry = config["ngrams"]
    if not isinstance(entry, dict) or set(entry) - {"scaled"} != {"order", "count"}:
        raise ModelFileError("config.json: ngrams must have the keys order and count, and may have scaled")
    if entry.get("scaled", True) is not True:
        raise ModelFileError("config.json: scaled of ngrams can only be true")
    order, count = entry["order"], entry["count"]
    if type(order) is not int or type(count) is not int or not 0 <= count <= _MAX_NGRAMS:
        raise ModelFileError("config.json: order and count of ngrams must be whole numbers")
    expected = {"keys": ((count,), "int64"), "weight": ((count, outputs), "float32")}
    if "scaled" in entry:
        expected["scale"] = ((count,), "float32")
    tensors = tensors_from_bytes(read(NGRAMS_FILE), expected, NGRAMS_FILE)
    scale = readonly_copy(tensors["scale"]) if "scaled" in entry else None
    try:
        return Ngrams(order, readonly_copy(tensors["keys"]), readonly_copy(tensors["weight"]), scale)
    except InputError as error:
        raise ModelFileError(f"{NGRAMS_FILE}: {error}") from error


def convolutions_to_files(convolutions: Convolutions | None) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The entry for config.json and the file by name; both are empty for None."""
    if convolutions is None:
        return {}, {}
    banks = convolutions.banks
    tensors: dict[str, Array] = {
        "dilations": banks.dilations,
        "counts": banks.counts,
        "channels": banks.channels,
        "thresholds": banks.thresholds,
        "mean": convolutions.mean,
        "weight": convolutions.weight,
    }
    entry = {"dilations": len(banks.dilations), "features": len(convolutions)}
    return {"convolutions": entry}, {CONVOLUTIONS_FILE: tensors_to_bytes(tensors)}


def convolutions_from_files(
    config: Mapping[str, Any], arch: Architecture, read: Callable[[str], bytes]
) -> Convolutions | None:
    """The convolutions that `convolutions_to_files` wrote, read-only. config: the whole config.json; read(name): a
    file's bytes. Raises ModelFileError.
    """
    if "convolutions" not in config:
        return None
    entry = config["convolutions"]
    if not isinstance(entry, dict) or set(entry) != {"dilations", "features"}:
        raise ModelFileError("config.json: convolutions must have exactly the keys dilations and features")
    count, features = entry["dilations"], entry["features"]
    if type(count) is not int or type(features) is not int:
        raise ModelFileError("config.json: dilations and features of convolutions must be whole numbers")
    if not 1 <= count <= _MAX_BANKS or not len(KERNELS) <= features <= MAX_FEATURES:
        raise ModelFileError(
            f"config.json: convolutions must have 1 to {_MAX_BANKS:,} dilations and {len(KERNELS)} to "
            f"{MAX_FEATURES:,} features"
        )
    expected: dict[str, tuple[tuple[int, ...], str]] = {
        "dilations": ((count,), "int32"),
        "counts": ((count,), "int32"),
        "channels": ((count, len(KERNELS), 2 * arch.channels), "uint8"),
        "thresholds": ((features,), "float32"),
        "mean": ((features,), "float32"),
        "weight": ((features, arch.outputs), "float32"),
    }
    tensors = tensors_from_bytes(read(CONVOLUTIONS_FILE), expected, CONVOLUTIONS_FILE)
    t = {name: readonly_copy(tensors[name]) for name in expected}
    try:
        return Convolutions(Banks(t["dilations"], t["counts"], t["channels"], t["thresholds"]), t["mean"], t["weight"])
    except InputError as error:
        raise ModelFileError(f"{CONVOLUTIONS_FILE}: {error}") from error


def _read_only(array: Array) -> Array:
    """The array itself if it owns its memory, so that a large model is not copied once more; else a copy."""
    if array.base is not None:
        return readonly_copy(array)
    array.flags.writeable = False
    return array
