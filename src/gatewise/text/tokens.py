"""The default encoding: words and punctuation marks in lower case, on Hugging Face tokenizers.

A token is a word with its apostrophes ("don't"), a run of one punctuation mark ("!!!") or, in a script that is written
without spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese), one character with its marks: there n-grams
of tokens are n-grams of characters. Control characters
and <br /> are dropped. Composed and decomposed letters are equal (NFC; not NFKC, which turns U+FDFA into eighteen
letters), and so are the two apostrophes. tokenizer.json holds the whole pipeline, so that tokenizers can read it in
other languages too.
"""

from __future__ import annotations

import json
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import DataWarning, InputError, ModelFileError, counted, quote, required
from gatewise.storage.strict_json import parse_json
from gatewise.text.encoding import Encoded, checked_texts, utf8
from gatewise.text.respelling import respelt

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

    from gatewise.text.word_tokenizer import Words, WordTokenizer

    AnyTokenizer = Tokenizer | WordTokenizer

PAD, UNKNOWN = "[PAD]", "[UNK]"
INSIDE = "##"  # before a piece that does not start its word
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
# tokenizer.json up to the pattern of the tokens.
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
PIPELINE = 2  # to be raised by any change of the tokenisation; models keep theirs
RESPELLING = 3  # the pipeline in which an unknown word is read as the known one that it misspells
_MOST_RESPELT = 1_000  # unknown words of a text: bounds the time of a hostile one
_CHUNK = 1_000  # texts per call: an Encoding of the library takes about 100 bytes per token
_MOST_COMPOSED = 1_000  # characters

Merge = tuple[str, str]


def build(vocabulary: dict[str, int], merges: list[Merge] | None = None, pipeline: int = PIPELINE) -> AnyTokenizer:
    """The pipeline over a vocabulary of words; with merges, over one of pieces of words. Without the tokenizers
    library, words have a WordTokenizer, and pieces raise MissingExtra. The imports are lazy because a model with the
    Keras encoding needs neither.
    """
    split = {"type": "Split", "pattern": {"Regex": _TOKENS[pipeline]}, "behavior": "Removed", "invert": True}
    model = {"type": "WordLevel", "vocab": {}, "unk_token": UNKNOWN}
    content = {**_CONTENT, "pre_tokenizer": split, "post_processor": None, "decoder": None, "model": model}
    if merges is None and not _has_library():
        from gatewise.text.word_tokenizer import WordTokenizer

        return WordTokenizer(content, vocabulary, pipeline)
    required("tokenizers", None, "an encoding of pieces of words")
    from tokenizers import Tokenizer, models

    tokenizer = Tokenizer.from_str(json.dumps(content))
    if merges is None:
        tokenizer.model = models.WordLevel(vocab=vocabulary, unk_token=UNKNOWN)
    else:
        tokenizer.model = models.BPE(
            vocab=vocabulary, merges=merges, unk_token=UNKNOWN, continuing_subword_prefix=INSIDE
        )
    return tokenizer


def _has_library() -> bool:
    """Whether the tokenizers library is installed. It has no wheel for Pyodide."""
    return find_spec("tokenizers") is not None


def _frequent_words(texts: Iterable[str], most: int, min_count: int) -> list[str]:
    """The tokens that occur at least `min_count` times, at most `most`: by count, ties by code point, so the order is
    reproducible.
    """
    tokenizer: Any = build({})
    if not _has_library():
        found: list[str] = tokenizer.frequent(texts, most, min_count)
        return found
    from tokenizers.trainers import WordLevelTrainer

    trainer = WordLevelTrainer(vocab_size=most, min_frequency=min_count, show_progress=False, special_tokens=[])
    tokenizer.train_from_iterator(texts, trainer)
    counted = tokenizer.get_vocab()
    return sorted(counted, key=counted.__getitem__)


def composed(word: str) -> str:
    """The word in NFC; a longer one than any word stays as it is, because normalisation takes quadratic time."""
    return unicodedata.normalize("NFC", word) if len(word) <= _MOST_COMPOSED else word


def _with_marks(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans with the marks after their last letter, which the library leaves out where NFC joins them to it."""
    found, starts = [], [start for start, _ in spans[1:]] + [len(text)]
    for (start, end), limit in zip(spans, starts, strict=True):
        while start < end < limit and (unicodedata.category(text[end])[0] == "M" or "\u1160" <= text[end] <= "\u11ff"):
            end += 1
        found.append((start, end))
    return found


class TokenEncoding:
    """Words and punctuation marks to ids: 0 padding, 1 unknown, then the vocabulary by frequency. Build one with `fit`.

    max_characters, max_tokens: a longer text is an InputError. It is not truncated silently, because a prediction about
    half a text does not describe the text. A text without a word is an empty array. vocab_size counts the padding and
    unknown entries.
    """

    kind = "tokens"
    unknown = 1
    file = "tokenizer.json"
    _n_special = 2  # padding and unknown

    def __init__(
        self,
        tokenizer: AnyTokenizer,
        max_characters: int = 1_000_000,
        max_tokens: int = 200_000,
        pipeline: int = PIPELINE,
    ) -> None:
        self.pipeline = pipeline
        self.tokenizer = tokenizer
        self.max_characters = max_characters
        self.max_tokens = max_tokens
        self.vocab_size: int = tokenizer.get_vocab_size()

    @classmethod
    def fit(
        cls, texts: Iterable[str], vocab_size: int = 30_000, min_count: int = 2, max_characters: int = 1_000_000
    ) -> TokenEncoding:
        """The `vocab_size` most frequent tokens, at most, of those that occur at least `min_count` times."""
        if vocab_size < 3 or min_count < 1:
            raise InputError(
                f"vocab_size must be at least 3 and min_count at least 1, got {vocab_size} and {min_count}"
            )
        checked = checked_texts(texts, max_characters)
        ranked = _frequent_words(checked, vocab_size - cls._n_special, min_count)
        # PAD and UNK are entries of the vocabulary, not special tokens, which would be found in a user's text.
        vocabulary = {word: row for row, word in enumerate([PAD, UNKNOWN, *ranked])}
        return cls(build(vocabulary), max_characters)

    @classmethod
    def of_words(cls, words: Sequence[str]) -> TokenEncoding:
        """The encoding in which the word at position n has id n; the first two are padding and unknown, whatever they
        are called. Raises InputError for a word that occurs twice; a DataWarning names words that no text has, because
        tokens are in lower case and end at punctuation.
        """
        vocabulary = {word: row for row, word in enumerate([PAD, UNKNOWN, *words[2:]])}
        if len(vocabulary) != len(words):
            raise InputError(f"vocabulary: {len(words):,} entries, {len(vocabulary):,} of them distinct")
        encoding = cls(build(vocabulary))
        ids = encoding.encode_batch(words[2:])
        lost = [words[row] for row, found in enumerate(ids, 2) if found.tolist() != [row]]
        if lost:
            warnings.warn(
                f"vocabulary: {counted(len(lost), 'word is', 'words are')} found in no text, such as "
                f"{', '.join(quote(word, 40) for word in lost[:3])}: tokens are in lower case and end at punctuation",
                DataWarning,
                stacklevel=4,
            )
        return encoding

    def extended(self, texts: Iterable[str]) -> TokenEncoding:
        """A copy with further words after its own: the most frequent ones of the texts, as `fit` finds them. Itself
        where there are none. Ids of its own words stay. Subwords need none.
        """
        own = self.tokenizer.get_vocab()
        if self.kind != "tokens":
            return self
        found = type(self).fit(texts, max_characters=self.max_characters).tokenizer.get_vocab()
        further = [word for word in sorted(found, key=found.__getitem__) if word not in own]
        words = own | {word: row for row, word in enumerate(further, len(own))}
        return TokenEncoding(build(words, None, self.pipeline), self.max_characters, self.max_tokens, self.pipeline)

    def respelling(self) -> TokenEncoding:
        """A copy that reads an unknown word as the known one that it misspells (`gatewise.text.respelling`)."""
        tokenizer = build(self.tokenizer.get_vocab(), None, RESPELLING)  # an old one may have the first pipeline
        return TokenEncoding(tokenizer, self.max_characters, self.max_tokens, RESPELLING)

    def truncate_vocab(self, vocab_size: int) -> Self:
        """A copy with the first `vocab_size` entries, so with the most frequent words; other words become unknown.
        Of subwords, the last merges go, so that words fall into more pieces.

        Raises InputError for less than 3 and for more than there are.
        """
        if not self._n_special < vocab_size <= self.vocab_size:
            raise InputError(f"vocab_size must be 3 to {self.vocab_size:,}, the size now, got {vocab_size:,}")
        rows, merges = self.tokenizer.get_vocab(), merges_of(self.tokenizer)
        kept = {word: row for row, word in enumerate(sorted(rows, key=rows.__getitem__)[:vocab_size])}
        if merges is not None:
            merges = [merge for merge in merges if {*merge, joined(*merge)} <= kept.keys()]
        tokenizer = build(kept, merges, self.pipeline)
        return type(self)(tokenizer, self.max_characters, self.max_tokens, self.pipeline)

    def encode(self, text: str) -> NDArray[np.int32]:
        """Ids (n,), empty for a text without a word. Raises InputError for a lone surrogate or a too long text."""
        utf8(text, self.max_characters)
        ids = self._ids(text, self.tokenizer.encode(text, add_special_tokens=False))
        return np.array(self._limited(ids), dtype=np.int32)

    def _ids(self, text: str, found: Encoding | Words) -> list[int]:
        """The ids, in which a misspelt word has that of the known one in a pipeline of `RESPELLING`."""
        ids: list[int] = found.ids
        if self.pipeline != RESPELLING or self.unknown not in ids:
            return ids
        spans = found.offsets if text.isascii() else _with_marks(text, found.offsets)
        normalize = self.tokenizer.normalizer.normalize_str
        for n in [k for k, one in enumerate(ids) if one == self.unknown][:_MOST_RESPELT]:
            token = normalize(text[slice(*spans[n])]).strip()  # an ideograph has spaces around it
            ids[n] = respelt(token, self.tokenizer.token_to_id) or self.unknown
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """`encode` of each text, on all cores. The InputError names the row, from 0."""
        out: list[NDArray[np.int32]] = []
        for first in range(0, len(texts), _CHUNK):
            chunk = list(checked_texts(texts[first : first + _CHUNK], self.max_characters, first))
            # The fast one has no spans.
            encode: Any = (
                self.tokenizer.encode_batch if self.pipeline == RESPELLING else self.tokenizer.encode_batch_fast
            )
            for number, one in enumerate(encode(chunk, add_special_tokens=False), first):
                ids = self._ids(chunk[number - first], one)
                if len(ids) > self.max_tokens:
                    self._limited(ids, f"row {number}: ")
                out.append(np.array(ids, dtype=np.int32))
        return out

    def tokenize(self, text: str) -> Encoded:
        """`encode` with the tokens as they are spelled in the text, and their spans."""
        utf8(text, self.max_characters)
        found = self.tokenizer.encode(text, add_special_tokens=False)
        ids, spans = np.array(self._limited(self._ids(text, found)), dtype=np.int32), found.offsets
        if not unicodedata.is_normalized("NFC", text):
            spans = _with_marks(text, spans)
        return Encoded(ids, [composed(text[start:end]) for start, end in spans], spans)

    def _limited(self, tokens: list[Any], where: str = "") -> list[Any]:
        if len(tokens) > self.max_tokens:
            raise InputError(f"{where}the text has {len(tokens):,} tokens; the limit is {self.max_tokens:,}")
        return tokens

    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The config entry, and the files by name."""
        limits = {"max_characters": self.max_characters, "max_tokens": self.max_tokens}
        config = {"kind": self.kind, "pipeline": self.pipeline, **limits}
        return config, {self.file: self.tokenizer.to_str().encode("utf-8")}

    @classmethod
    def from_files(cls, config: Mapping[str, Any], read: Callable[[str], bytes]) -> TokenEncoding:
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
        tokenizer = _tokenizer_from(parse_json(read(cls.file), cls.file), pipeline, cls.kind == "subwords", cls.file)
        return cls(tokenizer, config["max_characters"], config["max_tokens"], pipeline)


def _tokenizer_from(stored: Any, pipeline: int, pieces: bool, file: str) -> AnyTokenizer:
    """The tokenizer that the JSON data of tokenizer.json hold. pieces: it has merges. Raises ModelFileError."""
    try:
        model = stored["model"]
        vocabulary: dict[str, int] = model["vocab"]
        are_integers = set(map(type, vocabulary.values())) <= {int}  # 1 == True == 1.0 in Python
        first = vocabulary.get(PAD), vocabulary.get(UNKNOWN)
    except (TypeError, LookupError, AttributeError):
        raise ModelFileError(f"{file}: not a tokenizer with a vocabulary of words") from None
    if not are_integers or first != (0, 1) or sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise ModelFileError(f"{file}: the vocabulary must start with {PAD}, {UNKNOWN} and number 0, 1, 2, …")
    merges: list[Merge] | None = None
    if pieces:
        found = model.get("merges")
        if not isinstance(found, list) or not all(_is_merge(merge, vocabulary) for merge in found):
            raise ModelFileError(f"{file}: a merge is not two pieces of the vocabulary that make a third one")
        merges = [(left, right) for left, right in found]
        if len(set(merges)) != len(merges):
            raise ModelFileError(f"{file}: a merge occurs twice")
        model["merges"] = []
    model["vocab"] = {}
    written = json.loads(build({}, [] if pieces else None, pipeline).to_str())
    for part in sorted((set(written) | set(stored)) - {"version"}):
        # As JSON, because 1 == True == 1.0 in Python.
        ours, theirs = (json.dumps({part: it[part]} if part in it else {}, sort_keys=True) for it in (written, stored))
        if ours != theirs:
            raise ModelFileError(f"{file}: '{part}' is not what gatewise writes there")
    return build(vocabulary, merges, pipeline)


def merges_of(tokenizer: AnyTokenizer) -> list[Merge] | None:
    """The merges of the tokenizer's model, in order; None for one of words."""
    merges = json.loads(tokenizer.to_str())["model"].get("merges")
    return None if merges is None else [(left, right) for left, right in merges]


def joined(left: str, right: str) -> str:
    """The piece that a merge makes of two."""
    return left + right.removeprefix(INSIDE)


def _is_merge(merge: Any, vocabulary: dict[str, int]) -> bool:
    return (
        isinstance(merge, list)
        and len(merge) == 2
        and all(isinstance(piece, str) and piece in vocabulary for piece in merge)
        and merge[1].startswith(INSIDE)
        and joined(*merge) in vocabulary
    )
