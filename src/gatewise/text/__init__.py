"""Text to token ids: exactly as Keras, words and punctuation marks, pieces of words, or words at spaces."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gatewise.text.encoding import Encoded as Encoded
from gatewise.text.kinds import KINDS, encoding_from as encoding_from, module_of

if TYPE_CHECKING:
    from gatewise.text.index import IndexEncoding as IndexEncoding
    from gatewise.text.keras import (
        KerasEncoding as KerasEncoding,
        keras_decode as keras_decode,
        keras_encode as keras_encode,
        keras_index as keras_index,
        keras_words as keras_words,
        pad_sequences as pad_sequences,
    )
    from gatewise.text.spaces import SpaceEncoding as SpaceEncoding
    from gatewise.text.subwords import SubwordEncoding as SubwordEncoding
    from gatewise.text.tokenizer import TokenizerEncoding as TokenizerEncoding
    from gatewise.text.tokens import TokenEncoding as TokenEncoding
    from gatewise.text.word_features import FeatureEncoding as FeatureEncoding

    Encoding = IndexEncoding | KerasEncoding | SpaceEncoding | TokenEncoding
else:
    Encoding = Any  # for annotations: both would be imported


_OF_KERAS = ["keras_decode", "keras_encode", "keras_index", "keras_words", "pad_sequences"]
__all__ = ["Encoded", "Encoding", "encoding_from", *KINDS.values(), *_OF_KERAS]


def __getattr__(name: str) -> Any:
    """The encodings are imported on first use: a model has one of them."""
    if name not in __all__:
        raise AttributeError(f"module 'gatewise.text' has no attribute {name!r}")
    module = "gatewise.text.keras"
    for kind, encoding in KINDS.items():
        if encoding == name:
            module = module_of(kind)
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return __all__
