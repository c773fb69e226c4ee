"""Text to token ids: exactly as Keras, or words and punctuation marks on Hugging Face tokenizers."""

from gatewise.text.encoding import Encoding, KerasEncoding, encoding_from
from gatewise.text.keras import keras_decode, keras_encode, keras_index, keras_words, pad_sequences
from gatewise.text.subwords import SubwordEncoding
from gatewise.text.tokens import Encoded, TokenEncoding

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
