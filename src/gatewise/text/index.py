"""The vocabularies of imported networks: words to the ids of a word index, or token ids as they are."""

import json
import re
import string
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, quote
from gatewise.storage.fields import fields_from
from gatewise.storage.strict_json import parse_json
from gatewise.text.encoding import Encoded, checked_texts, utf8

_LONGEST = 1_000_000  # characters of a text
_STRIPPED = "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'"  # by TextVectorization
_FILTERED = _STRIPPED.replace("'", "") + "\t\n"  # by Keras's Tokenizer
# TextVectorization splits with tf.strings.split, where white space is ASCII only. Python's \S also ends a word at
# U+00A0, U+3000, U+0085 and the separators U+001C to U+001F.
_ASCII_SPACES = "\t\n\v\f\r"
_ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@dataclass(frozen=True)
class IndexEncoding:
    """Words to the ids of `index`; without an index a text is token ids in decimal digits, as "12 7 88".

    vocab_size: the rows of the embedding; words with larger ids are unknown. unknown: the id of unknown words; None:
    they are left out. start: the id in front of every text, if any. lower: to lower case, of all letters or of ASCII
    letters. filters: characters that separate words; stripped: characters that are removed.
    """

    vocab_size: int
    index: dict[str, int] = field(default_factory=dict, repr=False)
    unknown: int | None = None
    start: int | None = None
    lower: Literal["", "all", "ascii"] = ""
    filters: str = ""
    stripped: str = ""
    kind: ClassVar[str] = "index"
    file: ClassVar[str] = "vocabulary.json"

    def __post_init__(self) -> None:
        ids = [*self.index.values(), *(one for one in (self.unknown, self.start) if one is not None)]
        if not all(type(one) is int and one >= 0 for one in ids) or self.vocab_size < 1:
            raise InputError("word index: the ids must be whole numbers from 0")
        if max(self.unknown or 0, self.start or 0) >= self.vocab_size:
            raise InputError(f"word index: the ids of unknown words and of the start must be below {self.vocab_size:,}")

    @classmethod
    def of_keras(cls, index: Mapping[str, int], vocab_size: int) -> Self:
        """A `word_index` as Keras's Tokenizer makes it, with its lower case and filters. An entry such as "<UNK>",
        "[UNK]" or "<OOV>" is the id of unknown words, which otherwise are left out; "<START>" stands in front.
        """
        special = {word.strip("<>[]").lower(): int(id) for word, id in index.items() if word[:1] in "<["}
        unknown = next((special[name] for name in ("unk", "oov", "unknown") if name in special), None)
        plain = {word: int(id) for word, id in index.items()}
        return cls(vocab_size, plain, unknown, special.get("start"), "all", _FILTERED)

    @classmethod
    def of_vectorization(cls, layer: Any, vocab_size: int) -> Self:
        """The words of a Keras TextVectorization of words. Raises InputError for other settings."""
        config = layer.get_config()
        words = layer.get_vocabulary()
        read = {"split": "whitespace", "ngrams": None, "output_mode": "int", "encoding": "utf-8"}
        for name, plain in read.items():
            if config.get(name, plain) != plain:
                raise InputError(f"TextVectorization: {name} is {quote(config.get(name))}; gatewise reads {plain!r}")
        standardize = config.get("standardize")
        if standardize not in (None, "lower", "strip_punctuation", "lower_and_strip_punctuation"):
            raise InputError(f"TextVectorization: standardize is {quote(standardize)}, and code is not read")
        lower: Literal["", "ascii"] = "ascii" if "lower" in (standardize or "") else ""
        stripped = _STRIPPED if "strip" in (standardize or "") else ""
        index = {str(word): id for id, word in enumerate(words)}
        return cls(vocab_size, index, 1, None, lower, _ASCII_SPACES, stripped)

    @property
    def takes_ids(self) -> bool:
        """Whether the words of a text are token ids: there is no vocabulary."""
        return not self.index

    def texts(self, inputs: Any) -> Any:
        """Lists of token ids, or of words, as texts; one list of ids is one text. Other inputs as they are."""
        ids = isinstance(inputs, np.ndarray) and inputs.dtype.kind in "iu" and inputs.ndim in (1, 2)
        inputs = inputs.tolist() if ids else inputs
        if not isinstance(inputs, list | tuple):
            return inputs
        if self.takes_ids and inputs and all(isinstance(id, int | np.integer) for id in inputs):
            inputs = [inputs]
        plain = (str, bytes, dict)
        return [
            one if isinstance(one, plain) or not hasattr(one, "__iter__") else " ".join(map(str, one)) for one in inputs
        ]

    def encode(self, text: str) -> NDArray[np.int32]:
        """Ids (n,). Raises InputError for a lone surrogate or a too long text."""
        utf8(text, _LONGEST)
        if self.takes_ids and text.isascii() and text.replace(" ", "").isdigit():  # in a fraction of the time
            with suppress(OverflowError):
                ids = np.array(text.split(), dtype=np.int64)
                if ids.max() < self.vocab_size:
                    return ids.astype(np.int32)
        return np.asarray(self.tokenize(text).sequence)

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """`encode` of each text. The InputError names the row, from 0."""
        found = []
        for row, text in enumerate(checked_texts(texts, _LONGEST)):
            try:
                found.append(self.encode(text))
            except InputError as error:
                raise InputError(f"row {row}: {error}") from None
        return found

    def tokenize(self, text: str) -> Encoded:
        """`encode` with the words as they are spelled in the text, and their spans."""
        utf8(text, _LONGEST)
        ids, names, spans = [], [], []
        if self.start is not None:
            ids, names, spans = [self.start], ["<start>"], [(0, 0)]
        places = [match.span() for match in re.finditer(*self._separated(text))]
        # Of the whole text, as Keras's Tokenizer does: whether a capital sigma ends a word depends on what comes after
        # it. No letter becomes a separator, so both texts have the same words.
        lowered = text.lower() if self.lower == "all" else text
        words = re.findall(*self._separated(lowered))
        for word, (start, end) in zip(words, places, strict=True):
            id = self._id(word)
            if id is not None:
                ids.append(id)
                names.append(text[start:end])
                spans.append((start, end))
        return Encoded(np.array(ids, dtype=np.int32), names, spans)

    def _separated(self, text: str) -> tuple[str, str]:
        """The regular expression of a word, and the text, as long as before, in which it is found."""
        if not self.filters:
            return r"\S+", text
        return "[^ ]+", text.translate(dict.fromkeys(map(ord, self.filters), " "))

    def _id(self, word: str) -> int | None:
        """Of a word in lower case where all letters are; None for one that is left out."""
        if self.takes_ids:
            if not (word.isascii() and word.isdigit() and len(word) < 10 and int(word) < self.vocab_size):
                raise InputError(f"{quote(word)} is not a token id below {self.vocab_size:,}")
            return int(word)
        word = word.translate(dict.fromkeys(map(ord, self.stripped))) if self.stripped else word
        word = word.translate(_ASCII_LOWER) if self.lower == "ascii" else word
        id = self.index.get(word, self.vocab_size) if word else None
        return self.unknown if id is not None and id >= self.vocab_size else id

    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The config entry, and the files by name."""
        config = {name: value for name, value in asdict(self).items() if name != "index"}
        words = json.dumps(dict(self.index), ensure_ascii=False, separators=(",", ":"))
        return {"kind": self.kind, **config}, {self.file: words.encode("utf-8")}

    @classmethod
    def from_files(cls, config: Mapping[str, Any], read: Callable[[str], bytes]) -> Self:
        """The encoding that `to_files` wrote. Raises ModelFileError for any other config or file."""
        settings = {name: value for name, value in config.items() if name != "kind"}
        return fields_from(cls, {**settings, "index": parse_json(read(cls.file), cls.file)}, f"encoding '{cls.kind}'")
