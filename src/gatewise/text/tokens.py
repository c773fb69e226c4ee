"""The default encoding: words and punctuation marks in lower case.

A token is a word with its apostrophes ("don't") or a run of one punctuation mark ("!!!"). In a script that is written
without spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese) it is one character with its marks, so that
n-grams of tokens are n-grams of characters. Control characters and <br /> are dropped. Composed and decomposed letters
are equal (NFC; not NFKC, which turns U+FDFA into eighteen letters), and so are the two apostrophes. tokenizer.json
holds the whole pipeline as Hugging Face tokenizers reads it, so that programs in other languages can use it too.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, ModelFileError, counted, quote, warn
from gatewise.ragged import Ragged
from gatewise.storage.strict_json import parse_json
from gatewise.text.encoding import Encoded, checked_texts, ragged_ids, utf8
from gatewise.text.respelling import respelt
from gatewise.text.word_tokenizer import spans_of, tokens_of

PAD = "[PAD]"
UNKNOWN = "[UNK]"
_LETTER = r"\p{L}\p{M}\p{N}_"
# A word ends after 100 characters (three apostrophes, 100 equal marks), so that a hostile text gives many unknown words
# and no long one. `[PAD]` typed by a user is three tokens here, never the special one.
_TOKEN = rf"[{_LETTER}]{{1,100}}(?:'[\p{{L}}\p{{M}}]{{1,20}}){{0,3}}|([^{_LETTER}\s])\1{{0,99}}"
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = rf"[{_LETTER}&&[^{_UNSPACED}]]"
_TOKENS = {
    1: _TOKEN,  # a text in such a script is one token, but for ideographs
    2: rf"[{_UNSPACED}]\p{{M}}{{0,8}}|{_WORD}{{1,100}}(?:'[\p{{L}}\p{{M}}]{{1,20}}){{0,3}}|([^{_LETTER}\s])\1{{0,99}}",
}
_TOKENS[3] = _TOKENS[2]
# tokenizer.json up to the pattern of the tokens. `gatewise.text.word_tokenizer` reads texts as it says.
_CONTENT: dict[str, Any] = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [],
    "normalizer": {
        "type": "Sequence",
        "normalizers": [
            {"type": "Replace", "pattern": {"Regex": r"<[bB][rR]\s*/?>"}, "content": " "},
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"String": "’"}, "content": "'"},
            {
                "type": "BertNormalizer",
                "clean_text": True,
                "handle_chinese_chars": True,
                "strip_accents": False,
                "lowercase": True,
            },
        ],
    },
}
PIPELINE = 2  # raised by any change of the tokenisation; a saved model keeps its pipeline
RESPELLING = 3  # the pipeline in which an unknown word is read as the known word that it misspells
_MOST_RESPELT = 1_000  # unknown words of a text: bounds the time of a hostile one
_MOST_COMPOSED = 1_000  # characters


def composed(word: str) -> str:
    """The word in NFC. A text that is longer than any word stays as it is: normalisation takes quadratic time."""
    if len(word) > _MOST_COMPOSED:
        return word
    return unicodedata.normalize("NFC", word)


def _with_marks(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans, each with the marks after its last letter that NFC joins to the letter."""
    extended = []
    next_starts = [start for start, _ in spans[1:]] + [len(text)]
    for (start, end), next_start in zip(spans, next_starts, strict=True):
        while start < end < next_start and _is_joined(text[end]):
            end += 1
        extended.append((start, end))
    return extended


def _is_joined(character: str) -> bool:
    """Whether NFC can join the character to the letter before it: marks, and vowels and finals of Hangul."""
    return unicodedata.category(character)[0] == "M" or "\u1160" <= character <= "\u11ff"


class TokenEncoding:
    """Words and punctuation marks to ids: 0 padding, 1 unknown, then the vocabulary by frequency. Build one with `fit`.

    ids: the id of each word, in the order of the ids. max_characters, max_tokens: a longer text is an InputError. It is
    not truncated silently, because a prediction about half a text does not describe the text. A text without a word is
    an empty array. vocab_size counts the padding and unknown entries.
    """

    kind = "tokens"
    feature_count: ClassVar[int] = 0
    """The number of the ids of the features of words, with that of no feature; 0: a step is one id."""
    unknown = 1
    file = "tokenizer.json"
    _n_special = 2  # padding and unknown
    _model: ClassVar[dict[str, Any]] = {"type": "WordLevel", "vocab": {}, "unk_token": UNKNOWN}

    def __init__(
        self,
        ids: dict[str, int],
        max_characters: int = 1_000_000,
        max_tokens: int = 200_000,
        pipeline: int = PIPELINE,
    ) -> None:
        self.ids = ids
        self.max_characters = max_characters
        self.max_tokens = max_tokens
        self.pipeline = pipeline
        self.vocab_size = len(ids)

    @classmethod
    def fit(
        cls, texts: Iterable[str], vocab_size: int = 30_000, min_count: int = 2, max_characters: int = 1_000_000
    ) -> TokenEncoding:
        """The encoding with the most frequent tokens, at most `vocab_size`, that occur at least `min_count` times. Ties
        are in the order of code points, so that the ids are reproducible.
        """
        if vocab_size < 3 or min_count < 1:
            raise InputError(
                f"vocab_size must be at least 3 and min_count at least 1, got {vocab_size} and {min_count}"
            )
        counts: Counter[str] = Counter()
        for text in checked_texts(texts, max_characters):
            counts.update(tokens_of(text, PIPELINE))
        ranked = sorted((-count, word) for word, count in counts.items() if count >= min_count)
        # PAD and UNK are entries of the vocabulary, not special tokens, which would be found in a user's text.
        words = [PAD, UNKNOWN, *(word for _, word in ranked[: vocab_size - cls._n_special])]
        return cls({word: id for id, word in enumerate(words)}, max_characters)

    @classmethod
    def of_words(cls, words: Sequence[str]) -> TokenEncoding:
        """The encoding in which the word at position n has id n; the first two are padding and unknown, whatever they
        are called. Raises InputError for a word that occurs twice; a DataWarning names words that no text has, because
        tokens are in lower case and end at punctuation.
        """
        ids = {word: id for id, word in enumerate([PAD, UNKNOWN, *words[2:]])}
        if len(ids) != len(words):
            raise InputError(f"vocabulary: {len(words):,} entries, {len(ids):,} of them distinct")
        encoding = cls(ids)
        # A word that is not read as itself is not found in texts either.
        sequences = encoding.encode_batch(words[2:])
        lost = [words[id] for id, sequence in enumerate(sequences, 2) if sequence.tolist() != [id]]
        if lost:
            warn(
                f"vocabulary: {counted(len(lost), 'word is', 'words are')} found in no text, such as "
                f"{', '.join(quote(word, 40) for word in lost[:3])}: tokens are in lower case and end at punctuation"
            )
        return encoding

    def extended(self, texts: Iterable[str]) -> TokenEncoding:
        """A copy with further words: the most frequent words of the texts, as `fit` finds them. Words that are known
        keep their ids.
        """
        frequent = TokenEncoding.fit(texts, max_characters=self.max_characters)
        words = dict.fromkeys([*self.ids, *frequent.ids])
        ids = {word: id for id, word in enumerate(words)}
        return TokenEncoding(ids, self.max_characters, self.max_tokens, self.pipeline)

    def respelling(self) -> TokenEncoding:
        """A copy that reads an unknown word as the known word that it misspells (`gatewise.text.respelling`)."""
        return TokenEncoding(self.ids, self.max_characters, self.max_tokens, RESPELLING)

    def truncate_vocab(self, vocab_size: int) -> Self:
        """A copy with the first `vocab_size` entries, so with the most frequent words; other words become unknown.

        Raises InputError for less than 3 and for more than there are.
        """
        return type(self)(self._first_ids(vocab_size), self.max_characters, self.max_tokens, self.pipeline)

    def _first_ids(self, vocab_size: int) -> dict[str, int]:
        if not self._n_special < vocab_size <= self.vocab_size:
            raise InputError(f"vocab_size must be 3 to {self.vocab_size:,}, the size now, got {vocab_size:,}")
        return dict(islice(self.ids.items(), vocab_size))

    def encode(self, text: str) -> NDArray[np.int32]:
        """Ids (n,), empty for a text without a word. Raises InputError for a lone surrogate or a too long text."""
        utf8(text, self.max_characters)
        return self._limited(self._ids(text))

    def encode_batch(self, texts: Sequence[str]) -> Ragged:
        """`encode` of each text: ids (N,) int32. The InputError names the row, from 0."""
        return ragged_ids(self._ids_of_texts(checked_texts(texts, self.max_characters)))

    def _ids_of_texts(self, texts: Iterator[str]) -> Iterator[list[int]]:
        """The ids of each text. Raises InputError naming the row, for too many."""
        for row, text in enumerate(texts):
            ids = self._ids(text)
            self._check_count(len(ids), row)
            yield ids

    def tokenize(self, text: str) -> Encoded:
        """`encode` with the tokens as they are spelled in the text, and their spans."""
        utf8(text, self.max_characters)
        ids, spans = self._ids_and_spans(text)
        sequence = self._limited(ids)
        if not unicodedata.is_normalized("NFC", text):
            spans = _with_marks(text, spans)
        names = [composed(text[start:end]) for start, end in spans]
        return Encoded(sequence, names, spans)

    def _ids(self, text: str) -> list[int]:
        """The ids of the tokens. In the pipeline `RESPELLING` a misspelt word has the id of the known word."""
        words = tokens_of(text, self.pipeline)
        id_of = self.ids.get
        unknown = self.unknown
        ids = [id_of(word, unknown) for word in words]
        if self.pipeline == RESPELLING:
            unknown_places = [n for n, id in enumerate(ids) if id == unknown]
            for n in unknown_places[:_MOST_RESPELT]:
                known = respelt(words[n], id_of)
                if known is not None:
                    ids[n] = known
        return ids

    def _ids_and_spans(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        return self._ids(text), spans_of(text, self.pipeline)

    def _limited(self, ids: list[int]) -> NDArray[np.int32]:
        """The ids as an array. Raises InputError for too many."""
        self._check_count(len(ids))
        return np.array(ids, dtype=np.int32)

    def _check_count(self, tokens: int, row: int | None = None) -> None:
        """Raise InputError for too many tokens. row: named in the message."""
        if tokens > self.max_tokens:
            message = f"the text has {tokens:,} tokens; the limit is {self.max_tokens:,}"
            if row is not None:
                message = f"row {row}: {message}"
            raise InputError(message)

    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The config entry, and the files by name."""
        config = {
            "kind": self.kind,
            "pipeline": self.pipeline,
            "max_characters": self.max_characters,
            "max_tokens": self.max_tokens,
        }
        return config, {self.file: self._json().encode("utf-8")}

    def _json(self) -> str:
        """tokenizer.json."""
        content = self._content(self.pipeline)
        content["model"] = {**content["model"], **self._vocabulary()}
        return json.dumps(content, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def _content(cls, pipeline: int) -> dict[str, Any]:
        """The content of tokenizer.json, with an empty vocabulary."""
        split = {"type": "Split", "pattern": {"Regex": _TOKENS[pipeline]}, "behavior": "Removed", "invert": True}
        return {**_CONTENT, "pre_tokenizer": split, "post_processor": None, "decoder": None, "model": cls._model}

    def _vocabulary(self) -> dict[str, Any]:
        """The entries of 'model' in tokenizer.json that `_content` leaves empty."""
        return {"vocab": self.ids}

    @classmethod
    def from_files(cls, config: Mapping[str, Any], read: Callable[[str], bytes]) -> Self:
        """The encoding that `to_files` wrote. Raises ModelFileError for any other config or file.

        Only the vocabulary is taken from the file. The rest must equal what gatewise writes, so that a model from a
        stranger cannot bring a regular expression that never ends or a step that rewrites the text.
        """
        numbers = {name: config.get(name) for name in ("pipeline", "max_characters", "max_tokens")}
        if set(config) != {"kind", *numbers} or not all(type(n) is int and n > 0 for n in numbers.values()):
            raise ModelFileError(
                f"encoding '{cls.kind}': the config must have 'kind' and whole numbers {', '.join(numbers)}"
            )
        pipeline = config["pipeline"]
        if pipeline not in _TOKENS:
            raise ModelFileError(f"encoding '{cls.kind}': this version of gatewise has no pipeline {pipeline}")
        stored = parse_json(read(cls.file), cls.file)
        ids = _ids_from(stored, cls.file)
        encoding = cls._from_model(ids, stored["model"], numbers)
        expected = cls._content(pipeline)
        for key in sorted((set(expected) | set(stored)) - {"version"}):
            # As JSON, because 1 == True == 1.0 in Python. A missing key differs from null.
            is_equal = json.dumps(expected.get(key), sort_keys=True) == json.dumps(stored.get(key), sort_keys=True)
            if key not in expected or key not in stored or not is_equal:
                raise ModelFileError(f"{cls.file}: '{key}' is not what gatewise writes there")
        return encoding

    @classmethod
    def _from_model(cls, ids: dict[str, int], model: dict[str, Any], limits: dict[str, Any]) -> Self:
        """The encoding of the 'model' of tokenizer.json. Its vocabulary is removed from `model`, so that the rest can
        be compared with `_content`.
        """
        model["vocab"] = {}
        return cls(ids, **limits)


def _ids_from(stored: Any, file: str) -> dict[str, int]:
    """The ids of the words in the JSON data of tokenizer.json, in the order of the ids. Raises ModelFileError."""
    try:
        ids: dict[str, int] = stored["model"]["vocab"]
        are_integers = set(map(type, ids.values())) <= {int}  # 1 == True == 1.0 in Python
        special_ids = (ids.get(PAD), ids.get(UNKNOWN))
    except (TypeError, LookupError, AttributeError):
        raise ModelFileError(f"{file}: not a tokenizer with a vocabulary of words") from None
    error = ModelFileError(f"{file}: the vocabulary must start with {PAD}, {UNKNOWN} and number 0, 1, 2, …")
    if not are_integers or special_ids != (0, 1):
        raise error
    expected = list(range(len(ids)))
    # gatewise writes the words in this order. Sorting 40,000 of them again would take 4% of a cold prediction.
    if list(ids.values()) != expected:
        ids = dict(sorted(ids.items(), key=itemgetter(1)))
    if list(ids.values()) != expected:
        raise error
    return ids
