"""Text to token ids: exactly as Keras, or words and punctuation marks on Hugging Face tokenizers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gatewise.text.encoding import Encoded, Encoding, encoding_from

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

_HOME = {"SubwordEncoding": "subwords", "TokenEncoding": "tokens"}  # the others are of Keras


def __getattr__(name: str) -> Any:
    """The encodings are imported on first use: a model has one of them."""
    if name not in __all__:
        raise AttributeError(f"module 'gatewise.text' has no attribute {name!r}")
    return getattr(import_module(f"gatewise.text.{_HOME.get(name, 'keras')}"), name)
