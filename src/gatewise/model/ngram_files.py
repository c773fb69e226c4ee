"""The n-grams in a model folder: two tensors in a file of their own, and two numbers in config.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gatewise.errors import InputError, ModelFileError
from gatewise.kernels import readonly_copy
from gatewise.network.ngrams import Ngrams
from gatewise.storage import tensors_from_bytes, tensors_to_bytes
from gatewise.types import Array

__all__ = ["FILE", "ngrams_from_files", "ngrams_to_files"]

FILE = "ngrams.safetensors"
_MOST = 100_000_000  # n-grams that a folder may claim; its own size limit is nearer


def ngrams_to_files(ngrams: Ngrams | None) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What config.json has more because of them, and the file with its name; nothing of either for None."""
    if ngrams is None:
        return {}, {}
    tensors: dict[str, Array] = {"keys": ngrams.keys, "weight": ngrams.weight}
    return {"ngrams": {"order": ngrams.order, "count": len(ngrams)}}, {FILE: tensors_to_bytes(tensors)}


def ngrams_from_files(config: Mapping[str, Any], outputs: int, read: Callable[[str], bytes]) -> Ngrams | None:
    """Back from `ngrams_to_files`, read-only; config: all of config.json, read(name): the bytes of a file.

    Raises ModelFileError for anything else. That the tokens are those of the vocabulary is for `Ngrams.check` to see.
    """
    if "ngrams" not in config:
        return None
    found = config["ngrams"]
    if not isinstance(found, dict) or set(found) != {"order", "count"}:
        raise ModelFileError("config.json: ngrams must hold order and count, and nothing else")
    order, count = found["order"], found["count"]
    if type(order) is not int or type(count) is not int or not 0 <= count <= _MOST:
        raise ModelFileError("config.json: order and count of ngrams must be whole numbers")
    expected = {"keys": ((count,), "int64"), "weight": ((count, outputs), "float32")}
    tensors = tensors_from_bytes(read(FILE), expected, FILE)
    try:
        return Ngrams(order, readonly_copy(tensors["keys"]), readonly_copy(tensors["weight"]))
    except InputError as error:
        raise ModelFileError(f"{FILE}: {error}") from error
