"""The encodings of texts: what every kind has, and the kinds by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, ModelFileError, quote
from gatewise.types import Array


class Encoded(NamedTuple):
    """One input as the network reads it. sequence: token ids (length,) int32, or channels (length, C) of a series.

    names: a display name for each step. spans: start and end of each step in the text, in code points (equal for an id
    that is not a word of the text); empty for a series.
    """

    sequence: Array
    names: list[str]
    spans: list[tuple[int, int]]


class Encoding(Protocol):
    """Text to token ids. kind: its name in config.json. vocab_size: ids are below it. unknown: the id of words outside
    the vocabulary.

    `encode` gives int32 (n,), `tokenize` the ids with the tokens as text and their spans, `to_files` the config entry
    and the files by name.
    """

    @property
    def kind(self) -> str: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def unknown(self) -> int: ...
    def encode(self, text: str) -> NDArray[np.int32]: ...
    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.int32]]: ...
    def tokenize(self, text: str) -> Encoded: ...
    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]: ...


def utf8(text: str) -> bytes:
    """`text` as UTF-8. Raises InputError for anything but a str, and for a lone surrogate with its position.

    A lone surrogate is half of a character, for example from JSON ("\\ud800") or a file name. It cannot be displayed or
    saved.
    """
    if not isinstance(text, str):
        raise InputError(f"a text must be a str, not {type(text).__name__}")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        half = ord(text[error.start])
        raise InputError(
            f"the text is not valid Unicode: a lone surrogate U+{half:04X} at character {error.start:,}"
        ) from None


# Kind to module and class. A model has one kind, so only that one is imported.
_KINDS = {
    "keras": ("gatewise.text.keras", "KerasEncoding"),
    "subwords": ("gatewise.text.subwords", "SubwordEncoding"),
    "tokens": ("gatewise.text.tokens", "TokenEncoding"),
}


def encoding_from(config: Any, read: Callable[[str], bytes]) -> Encoding:
    """The encoding that `to_files` wrote. read(name): the bytes of a file. Raises ModelFileError for anything else."""
    kind = config.get("kind") if isinstance(config, Mapping) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ModelFileError(f"encoding: kind must be one of {', '.join(_KINDS)}, not {quote(kind)}")
    module, name = _KINDS[kind]
    found: Encoding = getattr(import_module(module), name).from_files(config, read)
    return found
