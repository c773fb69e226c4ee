"""What a model holds to turn text into ids, and the two ways there are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, ModelFileError
from gatewise.storage.strict_json import parse_json
from gatewise.text.keras import keras_index, keras_spans, keras_words
from gatewise.text.tokens import TokenEncoding

__all__ = ["Encoding", "KerasEncoding", "encoding_from"]


class Encoding(Protocol):
    """Text to ids, and what is needed to save and load that.

    kind is its name in a model's config; rows is how many rows an embedding of its ids needs; unknown is the id of any
    word that it does not know. `encode` gives int32 (n,), `words` the n words to show beside them, `spans` where in the
    text each stands, from and to, in code points (empty where an id stands for no word of the text).
    """

    @property
    def kind(self) -> str: ...
    @property
    def rows(self) -> int: ...

    @property
    def unknown(self) -> int: ...
    def encode(self, text: str) -> NDArray[np.int32]: ...
    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.int32]]: ...
    def words(self, text: str) -> list[str]: ...
    def spans(self, text: str) -> list[tuple[int, int]]: ...
    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]: ...


class KerasEncoding:
    """The tutorial's encoding: START, then the Keras words of the text; ids of `num_words` or more become 2 (unknown).

    index: word to rank, 1 to n without a gap. rows is n + 4 (88,588 for the published index), although no id reaches
    `num_words`: the tutorial's embedding has them all. A text without any word is [1].
    """

    kind = "keras"
    unknown = 2
    file = "vocabulary.json"

    def __init__(self, index: Mapping[str, int], num_words: int = 10_000) -> None:
        if num_words < 5:
            raise InputError(f"num_words must be at least 5, the first id of a word being 4; got {num_words}")
        by_rank = sorted(index, key=index.__getitem__)
        for rank, word in enumerate(by_rank, start=1):
            if index[word] != rank:
                raise InputError(f"the word index must count 1, 2, 3, … without a gap; rank {rank} is missing")
        self.index = dict(index)
        self.num_words = num_words
        self.rows = len(by_rank) + 4
        self._by_rank = by_rank
        # Only the words that keep an id: everything else is 2 anyway, and a small dict stays in cache.
        self._ids = {word: rank + 4 for rank, word in enumerate(by_rank[: num_words - 4])}

    @classmethod
    def fit(cls, texts: Iterable[str], num_words: int = 10_000) -> KerasEncoding:
        """With the words of `texts`, ranked by count."""
        return cls(keras_index(texts), num_words)

    def encode(self, text: str) -> NDArray[np.int32]:
        """Ids (n,), the first one 1 (START). InputError for a lone surrogate."""
        get = self._ids.get
        return np.array([1, *[get(word, 2) for word in keras_words(text)]], dtype=np.int32)

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """`encode` of each; InputError names the text by its place in the list, from 1."""
        out = []
        for number, text in enumerate(texts, start=1):
            try:
                out.append(self.encode(text))
            except InputError as error:
                raise InputError(f"text {number}: {error}") from None
        return out

    def words(self, text: str) -> list[str]:
        """The n words that `encode` gave ids, unknown ones too, '<start>' in front."""
        return ["<start>", *keras_words(text)]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where in the text each of the n words stands; (0, 0) for '<start>'."""
        return [(0, 0), *keras_spans(text)]

    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The config and {file name: bytes}."""
        words = json.dumps(self._by_rank, ensure_ascii=False, separators=(",", ":"))
        return {"kind": self.kind, "num_words": self.num_words}, {self.file: words.encode("utf-8")}

    @classmethod
    def from_files(cls, config: Mapping[str, Any], read: Callable[[str], bytes]) -> KerasEncoding:
        """Back from `to_files`. ModelFileError where config or file is not what it writes."""
        num_words = config.get("num_words")
        if set(config) != {"kind", "num_words"} or type(num_words) is not int:
            raise ModelFileError("encoding 'keras': the config must have 'kind' and a whole number 'num_words'")
        words = parse_json(read(cls.file), cls.file)
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ModelFileError(f"{cls.file}: must be a list of words")
        index = {word: rank for rank, word in enumerate(words, start=1)}
        if len(index) != len(words):
            raise ModelFileError(f"{cls.file}: a word stands there twice")
        try:
            return cls(index, num_words)
        except InputError as error:
            raise ModelFileError(f"encoding 'keras': {error}") from None


_KINDS: dict[str, Callable[[Mapping[str, Any], Callable[[str], bytes]], Encoding]] = {
    "keras": KerasEncoding.from_files,
    "tokens": TokenEncoding.from_files,
}


def encoding_from(config: Mapping[str, Any], read: Callable[[str], bytes]) -> Encoding:
    """The encoding that `to_files` wrote; read(name) gives the bytes of a file. ModelFileError for anything else."""
    kind = config.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ModelFileError(f"encoding: kind must be one of {', '.join(sorted(_KINDS))}, not {kind!r}")
    return _KINDS[kind](config, read)
