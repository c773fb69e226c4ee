"""Features of the spelling of words, and the encoding of taggers that reads them.

A feature is what a template makes of one word: the word, its lower-case form, its shape, a prefix, a suffix, and so on
(Ratnaparkhi 1996; Lample et al. 2016 and Ma & Hovy 2016 learn from characters what these templates say). A word has at
most one feature of each of the F templates. Features have ids from 1 by the number of their occurrences in the training
texts, so those seen at least twice are the first ones. A feature that is not known has the id 0.

A step of a text is a row (1 + F,) of ids: that of the word, as `SpaceEncoding` has it, and those of its features.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, ModelFileError, quote
from gatewise.ragged import Ragged
from gatewise.storage.strict_json import parse_json
from gatewise.target import SPACED_WORD, words_of
from gatewise.text.encoding import Encoded, checked_texts, ragged_rows, utf8
from gatewise.text.spaces import LONGEST_TEXT, SpaceEncoding, class_of

AFFIXES = range(1, 5)  # characters of a prefix or suffix
TEMPLATES = (
    "word",
    "lower case",
    "letters and digits",
    "long shape",
    "short shape",
    *(f"prefix of {length}" for length in AFFIXES),
    *(f"suffix of {length}" for length in AFFIXES),
    "length",
    "punctuation",
    "case",
)
"""The names of the F templates, in the order of their columns."""
MAX_FEATURES = 1_000_000
_LONGEST = 100  # characters of a word that is a feature as a whole, or has a shape
_LONGEST_SHAPE = 10  # classes
_LONGEST_LENGTH = 12  # characters that are counted
_LONGEST_PUNCTUATION = 6  # characters
_LONGEST_FEATURE = 400  # characters of a feature in a file: 100 of a word, of which lower case makes at most 3 each
_DIGIT = re.compile(r"\d")
_RUN = re.compile(r"(.)\1+", re.DOTALL)
_CODES = "abcdefghijklmnop"  # of the templates, the first character of a feature as it is stored
_CACHED_WORDS = 20_000
assert len(_CODES) == len(TEMPLATES)


def features_of(word: str) -> list[str]:
    """What each template (F,) makes of a word, "" for nothing: of a word that is too short for a prefix, for example.

    >>> dict(zip(TEMPLATES, features_of("B-52s,"), strict=True))["letters and digits"]
    'b-00s'
    >>> features_of("Zounds")[3:9]
    ['Xxxxxx', 'Xx', 'z', 'zo', 'zou', 'zoun']
    """
    lower = word.lower()
    whole = ["", "", ""]
    if len(word) <= _LONGEST:
        whole = [word, lower, _DIGIT.sub("0", _without_outer_punctuation(lower))]
    classes = "".join(map(class_of, word[:_LONGEST]))
    marks = "".join(filter(is_punctuation, word[:_LONGEST]))
    return [
        *whole,
        classes[:_LONGEST_SHAPE],
        _RUN.sub(r"\1", classes)[:_LONGEST_SHAPE],
        *(lower[:length] if length <= len(lower) else "" for length in AFFIXES),
        *(lower[-length:] if length <= len(lower) else "" for length in AFFIXES),
        str(min(len(word), _LONGEST_LENGTH)),
        marks[:_LONGEST_PUNCTUATION],
        _case_of(word),
    ]


@lru_cache(maxsize=10_000)
def is_punctuation(character: str) -> bool:
    """Whether a character is punctuation or a symbol."""
    return unicodedata.category(character)[0] in "PS"


def _without_outer_punctuation(word: str) -> str:
    """The word from its first to its last character that is no punctuation; "" where all are."""
    if word.isalnum():
        return word
    inner = [place for place, character in enumerate(word) if not is_punctuation(character)]
    if not inner:
        return ""
    return word[inner[0] : inner[-1] + 1]


def _case_of(word: str) -> str:
    """How a word is written: digits, lower, upper, title or mixed; "" for a word without letters and digits."""
    if word.isdigit():
        return "digits"
    if word.islower():
        return "lower"
    if word.isupper():
        return "upper"
    if word.istitle():
        return "title"
    if any(map(str.isalnum, word)):
        return "mixed"
    return ""


class WordFeatures:
    """The known features, in the order of their ids from 1. repeated: how many of them were seen at least twice, which
    are the first ones. Raises InputError for features that no template makes, twice the same one, and too many.

    A feature is written as a letter for its template, a to p, and what the template made of the word.
    """

    file: ClassVar[str] = "word_features.json"

    def __init__(self, features: Sequence[str], repeated: int) -> None:
        if len(features) > MAX_FEATURES:
            raise InputError(f"word features: {len(features):,} are more than {MAX_FEATURES:,}")
        for feature in features:
            if not 2 <= len(feature) <= _LONGEST_FEATURE or feature[0] not in _CODES:
                raise InputError(f"word features: no template makes {quote(feature, 40)}")
        self._ids = {feature: id for id, feature in enumerate(features, start=1)}
        if len(self._ids) != len(features):
            raise InputError("word features: a feature occurs twice")
        if not 0 <= repeated <= len(features):
            raise InputError(f"word features: {repeated:,} of {len(features):,} cannot be seen twice")
        self.features = tuple(features)
        self.repeated = repeated

    @classmethod
    def fit(cls, counts: Mapping[str, int], most: int) -> Self:
        """The features of words with their numbers of occurrences; at most `most`, the most frequent ones."""
        occurrences: Counter[str] = Counter()
        for word, count in counts.items():
            for code, text in zip(_CODES, features_of(word), strict=True):
                if text:
                    occurrences[code + text] += count
        ranked = sorted(occurrences, key=lambda feature: (-occurrences[feature], feature))[:most]
        return cls(ranked, sum(occurrences[feature] > 1 for feature in ranked))

    def __len__(self) -> int:
        """The number of features: the largest id."""
        return len(self.features)

    def ids_of(self, word: str) -> tuple[int, ...]:
        """The id of the feature of each template (F,); 0 for one that is not known, or that the word does not have."""
        ids = self._ids
        return tuple([ids.get(code + text, 0) for code, text in zip(_CODES, features_of(word), strict=True)])

    def described(self, id: int) -> str:
        """A feature in words, such as "suffix of 3 'ing'"."""
        feature = self.features[id - 1]
        return f"{TEMPLATES[_CODES.index(feature[0])]} {feature[1:]!r}"

    def to_bytes(self) -> bytes:
        """The file: a JSON list of the features."""
        return json.dumps(self.features, ensure_ascii=False, separators=(",", ":")).encode("utf-8")

    @classmethod
    def from_bytes(cls, raw: bytes, repeated: int) -> Self:
        """What `to_bytes` wrote. Raises ModelFileError for any other content."""
        features = parse_json(raw, cls.file)
        if not isinstance(features, list) or not all(isinstance(feature, str) for feature in features):
            raise ModelFileError(f"{cls.file}: must be a list of features")
        try:
            return cls(features, repeated)
        except InputError as error:
            raise ModelFileError(f"{cls.file}: {error}") from None


class FeatureEncoding(SpaceEncoding):
    """The words of `SpaceEncoding`, each with the ids of its features: a step is a row (1 + F,) int32 of ids.

    `vocab_size` and `unknown` are those of the words, the first column.
    """

    kind = "word-features"

    def __init__(self, index: Mapping[str, int], num_words: int, features: WordFeatures) -> None:
        super().__init__(index, num_words)
        self.features = features
        self._rows: dict[str, tuple[int, ...]] = {}  # of words that were read

    @classmethod
    def fit(
        cls, texts: Iterable[str], vocab_size: int = 30_000, min_count: int = 2, max_features: int = 100_000
    ) -> Self:
        """The encoding with the vocabulary of `SpaceEncoding.fit`, and the most frequent features, at most
        `max_features`.
        """
        texts = list(checked_texts(texts, LONGEST_TEXT))
        words = SpaceEncoding.fit(texts, vocab_size, min_count)
        counts = Counter(word for text in texts for word in words_of(text))
        return cls(words.index, words.num_words, WordFeatures.fit(counts, max_features))

    @property
    def feature_count(self) -> int:  # type: ignore[override]
        return len(self.features) + 1

    @property
    def unknown_step(self) -> NDArray[np.int32]:
        """The step (1 + F,) of a word of which nothing is known."""
        return np.array([self.unknown, *[0] * len(TEMPLATES)], dtype=np.int32)

    def truncate_vocab(self, vocab_size: int) -> Self:
        """As `SpaceEncoding`; all features stay."""
        words = SpaceEncoding(self.index, self.num_words).truncate_vocab(vocab_size)
        return type(self)(words.index, words.num_words, self.features)

    def encode(self, text: str) -> NDArray[np.int32]:
        """Ids (T, 1 + F) of the words. Raises InputError for a lone surrogate or a too long text."""
        return np.array(self._rows_of_text(text), dtype=np.int32).reshape(-1, 1 + len(TEMPLATES))

    def encode_batch(self, texts: Sequence[str]) -> Ragged:
        """`encode` of each text: ids (N, 1 + F) int32. The InputError names the row, from 0."""
        return ragged_rows(map(self._rows_of_text, checked_texts(texts)), 1 + len(TEMPLATES))

    def tokenize(self, text: str) -> Encoded:
        """`encode` with the words and their spans."""
        return Encoded(self.encode(text), words_of(text), [match.span() for match in SPACED_WORD.finditer(text)])

    def _rows_of_text(self, text: str) -> list[tuple[int, ...]]:
        return [self._row(word) for word in words_of(utf8(text, LONGEST_TEXT).decode())]

    def _row(self, word: str) -> tuple[int, ...]:
        row = self._rows.get(word)
        if row is None:
            row = (self._id(word), *self.features.ids_of(word))
            if len(self._rows) >= _CACHED_WORDS:
                self._rows.clear()
            self._rows[word] = row
        return row

    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        config, files = super().to_files()
        return {**config, "repeated": self.features.repeated}, {**files, WordFeatures.file: self.features.to_bytes()}

    @classmethod
    def from_files(cls, config: Mapping[str, Any], read: Callable[[str], bytes]) -> Self:
        config = dict(config)
        repeated = config.pop("repeated", None)
        if type(repeated) is not int:
            raise ModelFileError(f"encoding '{cls.kind}': the config must have a whole number 'repeated'")
        words = SpaceEncoding.from_files(config, read)
        return cls(words.index, words.num_words, WordFeatures.from_bytes(read(WordFeatures.file), repeated))
