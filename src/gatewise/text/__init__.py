"""Text to token ids: exactly as Keras, or words and punctuation marks on Hugging Face tokenizers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gatewise.errors import ModelFileError, quote
from gatewise.text.encoding import Encoded

if TYPE_CHECKING:
    from gatewise.text.keras import (
        KerasEncoding,
        keras_decode,
        keras_encode,
        keras_index,
        keras_words,
        pad_sequences,
    )
    from gatewise.text.subwords import SubwordEncoding
    from gatewise.text.tokens import TokenEncoding

    Encoding = KerasEncoding | TokenEncoding
else:
    Encoding = Any  # for annotations: both would be imported

__all__ = [
    "Encoded",
    "Encoding",
    "KerasEncoding",
    "SubwordEncoding",
    "TokenEncoding",
    "encoding_from",
    "keras_decode",
    "keras_encode",
    "keras_index",
    "keras_words",
    "pad_sequences",
]

_KINDS = {"keras": "KerasEncoding", "subwords": "SubwordEncoding", "tokens": "TokenEncoding"}  # by module


def __getattr__(name: str) -> Any:
    """The encodings are imported on first use: a model has one of them."""
    if name not in __all__:
        raise AttributeError(f"module 'gatewise.text' has no attribute {name!r}")
    module = next((module for module, encoding in _KINDS.items() if encoding == name), "keras")
    return getattr(import_module(f"gatewise.text.{module}"), name)


def encoding_from(config: Any, read: Callable[[str], bytes]) -> Encoding:
    """The encoding that `to_files` wrote. read(name): the bytes of a file. Raises ModelFileError for anything else."""
    kind = config.get("kind") if isinstance(config, Mapping) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ModelFileError(f"encoding: kind must be one of {', '.join(_KINDS)}, not {quote(kind)}")
    encoding: type[Encoding] = getattr(import_module(f"gatewise.text.{kind}"), _KINDS[kind])
    return encoding.from_files(config, read)
