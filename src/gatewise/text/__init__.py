"""Text to token ids: exactly as Keras, words and punctuation marks on Hugging Face tokenizers, or words at spaces."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gatewise.text.encoding import KINDS, Encoded, encoding_from

if TYPE_CHECKING:
    from gatewise.text.index import IndexEncoding
    from gatewise.text.keras import (
        KerasEncoding,
        keras_decode,
        keras_encode,
        keras_index,
        keras_words,
        pad_sequences,
    )
    from gatewise.text.spaces import SpaceEncoding
    from gatewise.text.subwords import SubwordEncoding
    from gatewise.text.tokens import TokenEncoding

    Encoding = IndexEncoding | KerasEncoding | SpaceEncoding | TokenEncoding
else:
    Encoding = Any  # for annotations: both would be imported

__all__ = [
    "Encoded",
    "Encoding",
    "IndexEncoding",
    "KerasEncoding",
    "SpaceEncoding",
    "SubwordEncoding",
    "TokenEncoding",
    "encoding_from",
    "keras_decode",
    "keras_encode",
    "keras_index",
    "keras_words",
    "pad_sequences",
]


def __getattr__(name: str) -> Any:
    """The encodings are imported on first use: a model has one of them."""
    if name not in __all__:
        raise AttributeError(f"module 'gatewise.text' has no attribute {name!r}")
    module = next((module for module, encoding in KINDS.items() if encoding == name), "keras")
    return getattr(import_module(f"gatewise.text.{module}"), name)
