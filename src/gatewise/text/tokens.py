"""The default encoding: words and punctuation, Unicode-aware, in lower case, on Hugging Face tokenizers.

A token is a word with its apostrophes ("don't"), a run of one punctuation mark ("!!!") or one Chinese or Japanese
ideograph; control characters and <br /> are dropped. Composed and decomposed letters are the same (NFC; not NFKC, which
makes eighteen letters of U+FDFA), and so are the two apostrophes. The whole pipeline is in tokenizer.json, which
tokenizers reads in other languages too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, ModelFileError
from gatewise.storage.strict_json import parse_json
from gatewise.text.utf8 import utf8

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["TokenEncoding"]

PAD, UNKNOWN = "[PAD]", "[UNK]"
_LETTER = r"\p{L}\p{M}\p{N}_"
# A word ends after 100 characters (three apostrophes, 100 equal marks): a hostile one becomes many that no vocabulary
# has, and none is long. `[PAD]` typed by a user is three tokens here, never the special one.
_TOKEN = rf"[{_LETTER}]{{1,100}}(?:'[\p{{L}}\p{{M}}]{{1,20}}){{0,3}}|([^{_LETTER}\s])\1{{0,99}}"
_BREAK = r"<[bB][rR]\s*/?>"
_PIPELINE = 1  # goes up with any change of what a text is cut into
_CHUNK = 1_000  # texts a call: an Encoding of the library takes about 100 bytes a token


def _empty(vocabulary: dict[str, int]) -> Tokenizer:
    """The pipeline over a vocabulary; imported here since a model with the Keras encoding needs none of it."""
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import WordLevel

    tokenizer = Tokenizer(WordLevel(vocab=vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(_BREAK), " "),
            normalizers.NFC(),
            normalizers.Replace("’", "'"),
            normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=True),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_TOKEN), behavior="removed", invert=True)
    return tokenizer


class TokenEncoding:
    """Words and punctuation to ids: 0 padding, 1 unknown, then the vocabulary by frequency. Make one with `fit`.

    most_characters, most_tokens: a longer text is an InputError and never cut in silence: what a model says about
    half a text is not an answer about the text. A text without any word is an empty array.
    """

    kind = "tokens"
    unknown = 1
    specials = 2  # rows that are no words
    file = "tokenizer.json"

    def __init__(self, tokenizer: Tokenizer, most_characters: int = 1_000_000, most_tokens: int = 200_000) -> None:
        self.tokenizer = tokenizer
        self.most_characters = most_characters
        self.most_tokens = most_tokens
        self.rows: int = tokenizer.get_vocab_size()

    @classmethod
    def fit(
        cls, texts: Iterable[str], size: int = 30_000, minimum: int = 2, most_characters: int = 1_000_000
    ) -> TokenEncoding:
        """A vocabulary of at most `size` rows: the tokens that occur `minimum` times or more, most frequent first."""
        from tokenizers.models import WordLevel
        from tokenizers.trainers import WordLevelTrainer

        if isinstance(texts, str):
            raise InputError("texts must be a list of texts, not one text")
        if size < 3 or minimum < 1:
            raise InputError(f"size must be at least 3 and minimum at least 1, got {size} and {minimum}")
        tokenizer = _empty({})
        trainer = WordLevelTrainer(
            vocab_size=size - cls.specials, min_frequency=minimum, show_progress=False, special_tokens=[]
        )
        tokenizer.train_from_iterator(_checked(texts, most_characters), trainer)
        counted = tokenizer.get_vocab()  # by count, ties by code point: the same in every run
        ranked = sorted(counted, key=counted.__getitem__)
        # PAD and UNK are entries of the vocabulary but no special tokens: those would be found in a user's text.
        vocabulary = {word: row for row, word in enumerate([PAD, UNKNOWN, *ranked])}
        tokenizer.model = WordLevel(vocab=vocabulary, unk_token=UNKNOWN)
        return cls(tokenizer, most_characters)

    def with_words(self, count: int) -> TokenEncoding:
        """With the `count` most frequent words alone; the others become unknown. InputError for more than there are."""
        if not 1 <= count <= self.rows - self.specials:
            raise InputError(f"the vocabulary has {self.rows - self.specials:,} words: {count:,} cannot be kept")
        rows = self.tokenizer.get_vocab()
        kept = sorted(rows, key=rows.__getitem__)[: count + self.specials]
        small = _empty({word: row for row, word in enumerate(kept)})
        return TokenEncoding(small, self.most_characters, self.most_tokens)

    def encode(self, text: str) -> NDArray[np.int32]:
        """Ids (n,); empty where the text has no word. InputError for a lone surrogate and beyond the caps."""
        _check(text, self.most_characters)
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        return np.array(self._counted(ids), dtype=np.int32)

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """`encode` of each, on all cores; InputError names the text by its place in the list, from 1."""
        if isinstance(texts, str):
            raise InputError("texts must be a list of texts, not one text")
        out: list[NDArray[np.int32]] = []
        for first in range(0, len(texts), _CHUNK):
            chunk = list(_checked(texts[first : first + _CHUNK], self.most_characters, first + 1))
            for number, one in enumerate(self.tokenizer.encode_batch_fast(chunk, add_special_tokens=False), first + 1):
                out.append(np.array(self._counted(one.ids, f"text {number}: "), dtype=np.int32))
        return out

    def words(self, text: str) -> list[str]:
        """The n pieces of the text that `encode` gave ids, as they stand there."""
        return [text[start:end] for start, end in self.spans(text)]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where in the text each of those pieces stands, from and to."""
        _check(text, self.most_characters)
        return self._counted(self.tokenizer.encode(text, add_special_tokens=False).offsets)

    def _counted(self, tokens: list[Any], where: str = "") -> list[Any]:
        if len(tokens) > self.most_tokens:
            raise InputError(f"{where}the text has {len(tokens):,} tokens; the cap is {self.most_tokens:,}")
        return tokens

    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The config and {file name: bytes}."""
        config = {
            "kind": self.kind,
            "pipeline": _PIPELINE,
            "most_characters": self.most_characters,
            "most_tokens": self.most_tokens,
        }
        return config, {self.file: self.tokenizer.to_str().encode("utf-8")}

    @classmethod
    def from_files(cls, config: Mapping[str, Any], read: Callable[[str], bytes]) -> TokenEncoding:
        """Back from `to_files`. ModelFileError where config or file is not what it writes.

        Of the file only the vocabulary counts; the rest must say what gatewise itself would do. So a model from a
        stranger cannot bring a regular expression that never ends, or a step that rewrites the text.
        """
        numbers = {name: config.get(name) for name in ("pipeline", "most_characters", "most_tokens")}
        if set(config) != {"kind", *numbers} or not all(type(n) is int and n > 0 for n in numbers.values()):
            raise ModelFileError(
                f"encoding 'tokens': the config must have 'kind' and whole numbers {', '.join(numbers)}"
            )
        if config["pipeline"] != _PIPELINE:
            raise ModelFileError(
                f"encoding 'tokens': pipeline {config['pipeline']} is not known to this version of gatewise"
            )
        stored = parse_json(read(cls.file), cls.file)
        try:
            vocabulary = stored["model"]["vocab"]
            whole = set(map(type, vocabulary.values())) <= {int}  # 1 == True == 1.0 in Python
            first = vocabulary.get(PAD), vocabulary.get(UNKNOWN)
        except (TypeError, LookupError, AttributeError):
            raise ModelFileError(f"{cls.file}: not a tokenizer with a vocabulary of words") from None
        if not whole or first != (0, 1) or sorted(vocabulary.values()) != list(range(len(vocabulary))):
            raise ModelFileError(f"{cls.file}: the vocabulary must begin {PAD}, {UNKNOWN} and count 0, 1, 2, …")
        tokenizer = _empty(vocabulary)
        ours = json.loads(_empty({}).to_str())
        stored["model"]["vocab"] = {}
        for part in sorted(set(ours) | set(stored)):
            if part != "version" and ours.get(part) != stored.get(part):
                raise ModelFileError(f"{cls.file}: '{part}' is not what gatewise writes there")
        return cls(tokenizer, config["most_characters"], config["most_tokens"])


def _check(text: str, most: int) -> None:
    if len(utf8(text)) > most and len(text) > most:
        raise InputError(f"the text has {len(text):,} characters; the cap is {most:,}")


def _checked(texts: Iterable[str], most: int, first: int = 1) -> Iterator[str]:
    for number, text in enumerate(texts, first):
        try:
            _check(text, most)
        except InputError as error:
            raise InputError(f"text {number}: {error}") from None
        yield text
