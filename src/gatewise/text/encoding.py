"""The encodings of texts: the protocol, and the encoding of the Keras IMDB tutorial."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, ModelFileError, quote
from gatewise.storage.strict_json import parse_json
from gatewise.text.keras import keras_index, keras_spans, keras_words
from gatewise.text.subwords import SubwordEncoding
from gatewise.text.tokens import Encoded, TokenEncoding


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


class KerasEncoding:
    """The encoding of the Keras tutorial: START, then the Keras words; ids of `num_words` or more become 2 (unknown).

    index: word to rank, 1 to n without a gap. vocab_size is n + 4 (88,588 for the published index) and not `num_words`,
    because the tutorial's embedding has a row for each word of the index. A text without a word is [1].
    """

    kind = "keras"
    unknown = 2
    file = "vocabulary.json"

    def __init__(self, index: Mapping[str, int], num_words: int = 10_000) -> None:
        if num_words < 5:
            raise InputError(f"num_words must be at least 5, because the first word has id 4; got {num_words}")
        by_rank = sorted(index, key=index.__getitem__)
        for rank, word in enumerate(by_rank, start=1):
            if index[word] != rank:
                raise InputError(f"the ranks of the word index must be 1, 2, 3, …; rank {rank} is missing")
        self.index = dict(index)
        self.num_words = num_words
        self.vocab_size = len(by_rank) + 4
        self._by_rank = by_rank
        # Only words with an id below num_words: the others are unknown, and a small dict stays in cache.
        self._ids = {word: rank + 4 for rank, word in enumerate(by_rank[: num_words - 4])}

    @classmethod
    def fit(cls, texts: Iterable[str], num_words: int = 10_000) -> KerasEncoding:
        """The encoding with the words of `texts`, ranked by count."""
        return cls(keras_index(texts), num_words)

    def encode(self, text: str) -> NDArray[np.int32]:
        """Ids (n,); the first is 1 (START). Raises InputError for a lone surrogate."""
        return self._ids_of(keras_words(text))

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """`encode` of each text. The InputError names the text by its number, from 1."""
        out = []
        for number, text in enumerate(texts, start=1):
            try:
                out.append(self.encode(text))
            except InputError as error:
                raise InputError(f"text {number}: {error}") from None
        return out

    def tokenize(self, text: str) -> Encoded:
        """`encode` with '<start>' and the words of the text, and their spans; (0, 0) for '<start>'."""
        words = keras_words(text)
        return Encoded(self._ids_of(words), ["<start>", *words], [(0, 0), *keras_spans(text)])

    def _ids_of(self, words: Sequence[str]) -> NDArray[np.int32]:
        get = self._ids.get
        return np.array([1, *[get(word, 2) for word in words]], dtype=np.int32)

    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The config entry, and the files by name."""
        words = json.dumps(self._by_rank, ensure_ascii=False, separators=(",", ":"))
        return {"kind": self.kind, "num_words": self.num_words}, {self.file: words.encode("utf-8")}

    @classmethod
    def from_files(cls, config: Mapping[str, Any], read: Callable[[str], bytes]) -> KerasEncoding:
        """The encoding that `to_files` wrote. Raises ModelFileError for any other config or file."""
        num_words = config.get("num_words")
        if set(config) != {"kind", "num_words"} or type(num_words) is not int:
            raise ModelFileError("encoding 'keras': the config must have 'kind' and a whole number 'num_words'")
        words = parse_json(read(cls.file), cls.file)
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ModelFileError(f"{cls.file}: must be a list of words")
        index = {word: rank for rank, word in enumerate(words, start=1)}
        if len(index) != len(words):
            raise ModelFileError(f"{cls.file}: a word occurs twice")
        try:
            return cls(index, num_words)
        except InputError as error:
            raise ModelFileError(f"encoding 'keras': {error}") from None


_KINDS: dict[str, Callable[[Mapping[str, Any], Callable[[str], bytes]], Encoding]] = {
    "keras": KerasEncoding.from_files,
    "subwords": SubwordEncoding.from_files,
    "tokens": TokenEncoding.from_files,
}


def encoding_from(config: Any, read: Callable[[str], bytes]) -> Encoding:
    """The encoding that `to_files` wrote. read(name): the bytes of a file. Raises ModelFileError for anything else."""
    kind = config.get("kind") if isinstance(config, Mapping) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ModelFileError(f"encoding: kind must be one of {', '.join(sorted(_KINDS))}, not {quote(kind)}")
    return _KINDS[kind](config, read)
