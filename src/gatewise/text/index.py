"""The vocabularies of imported networks: words to the ids of a word index, or token ids as they are."""

import json
import re
import string
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, quote
from gatewise.ragged import Ragged
from gatewise.storage.fields import fields_from
from gatewise.storage.strict_json import parse_json
from gatewise.text.encoding import Encoded, checked_texts, ragged_ids, utf8

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

    vocab_size: the rows of the embedding; words with larger ids are unknown. unknown: the id of unknown words; with
    None they are left out. start: the id in front of every text, if any. lower: which letters become lower case.
    filters: characters that separate words. stripped: characters that are removed.
    """

    vocab_size: int
    index: dict[str, int] = field(default_factory=dict, repr=False)
    unknown: int | None = None
    start: int | None = None
    lower: Literal["", "all", "ascii"] = ""
    filters: str = ""
    stripped: str = ""
    kind: ClassVar[str] = "index"
    feature_count: ClassVar[int] = 0
    """The number of the ids of the features of words, with that of no feature; 0: a step is one id."""
    file: ClassVar[str] = "vocabulary.json"

    def __post_init__(self) -> None:
        ids = list(self.index.values())
        ids += [id for id in (self.unknown, self.start) if id is not None]
        if not all(type(id) is int and id >= 0 for id in ids) or self.vocab_size < 1:
            raise InputError("word index: the ids must be whole numbers from 0")
        if max(self.unknown or 0, self.start or 0) >= self.vocab_size:
            raise InputError(f"word index: the ids of unknown words and of the start must be below {self.vocab_size:,}")

    @classmethod
    def of_keras(cls, index: Mapping[str, int], vocab_size: int) -> Self:
        """A `word_index` as Keras's Tokenizer makes it, with its lower case and filters.

        An entry such as "<UNK>", "[UNK]" or "<OOV>" is the id of unknown words; without one they are left out. The id
        of "<START>" stands in front of every text.
        """
        special = {word.strip("<>[]").lower(): int(id) for word, id in index.items() if word[:1] in "<["}
        unknown = None
        for name in ("unk", "oov", "unknown"):
            if name in special:
                unknown = special[name]
                break
        word_ids = {word: int(id) for word, id in index.items()}
        return cls(vocab_size, word_ids, unknown, special.get("start"), "all", _FILTERED)

    @classmethod
    def of_vectorization(cls, layer: Any, vocab_size: int) -> Self:
        """The words of a Keras TextVectorization of words. Raises InputError for other settings."""
        config = layer.get_config()
        supported = {"split": "whitespace", "ngrams": None, "output_mode": "int", "encoding": "utf-8"}
        for name, value in supported.items():
            if config.get(name, value) != value:
                raise InputError(f"TextVectorization: {name} is {quote(config.get(name))}; gatewise reads {value!r}")
        standardize = config.get("standardize")
        if standardize not in (None, "lower", "strip_punctuation", "lower_and_strip_punctuation"):
            raise InputError(f"TextVectorization: standardize is {quote(standardize)}, and code is not read")
        lower: Literal["", "ascii"] = ""
        if standardize in ("lower", "lower_and_strip_punctuation"):
            lower = "ascii"
        stripped = ""
        if standardize in ("strip_punctuation", "lower_and_strip_punctuation"):
            stripped = _STRIPPED
        words = [str(word) for word in layer.get_vocabulary()]
        index = {word: id for id, word in enumerate(words)}
        if len(index) < len(words):
            # NumPy cuts NUL from the end of a word, so two words of the layer become one here.
            twice = next(word for id, word in enumerate(words) if index[word] != id)
            raise InputError(
                f"TextVectorization: {quote(twice)} is in the vocabulary twice, with different ids; remove NUL "
                "characters from the texts before adapt"
            )
        return cls(vocab_size, index, 1, None, lower, _ASCII_SPACES, stripped)

    @property
    def takes_ids(self) -> bool:
        """Whether the words of a text are token ids: there is no vocabulary."""
        return not self.index

    def texts(self, inputs: Any) -> Any:
        """Lists of token ids, or of words, as texts; one list of ids is one text. Other inputs as they are."""
        if isinstance(inputs, np.ndarray) and inputs.dtype.kind in "iu" and inputs.ndim in (1, 2):
            inputs = inputs.tolist()
        if not isinstance(inputs, list | tuple):
            return inputs
        if self.takes_ids and inputs and all(isinstance(id, int | np.integer) for id in inputs):
            inputs = [inputs]
        texts = []
        for item in inputs:
            is_list = hasattr(item, "__iter__") and not isinstance(item, (str, bytes, dict))
            is_number = getattr(item, "ndim", None) == 0  # an array without an axis, which cannot be iterated over
            if is_list and not is_number:
                item = " ".join(map(str, item))
            texts.append(item)
        return texts

    def encode(self, text: str) -> NDArray[np.int32]:
        """Ids (n,). Raises InputError for a lone surrogate or a too long text."""
        utf8(text, _LONGEST)
        # NumPy reads a text of ids in a fraction of the time of `tokenize`, which names the id that is not valid.
        if self.takes_ids and text.isascii() and text.replace(" ", "").isdigit():
            with suppress(OverflowError):
                ids = np.array(text.split(), dtype=np.int64)
                if ids.max() < self.vocab_size:
                    return ids.astype(np.int32)
        return np.asarray(self.tokenize(text).sequence)

    def encode_batch(self, texts: Sequence[str]) -> Ragged:
        """`encode` of each text: ids (N,) int32. The InputError names the row, from 0."""
        encoded = []
        for row, text in enumerate(checked_texts(texts, _LONGEST)):
            try:
                encoded.append(self.encode(text))
            except InputError as error:
                raise InputError(f"row {row}: {error}") from None
        if not encoded:
            return ragged_ids([])
        return Ragged.of(encoded, np.int32)

    def ids_of(self, inputs: Any) -> Ragged | None:
        """The ids (N,) int32 of an array (n, T) or (T,) of whole numbers, or of a list of n such arrays or lists; None
        for other inputs, such as texts. Raises InputError naming the row, for no id and for one that is not below
        `vocab_size`.
        """
        if not self.takes_ids:
            return None
        ids = _whole_numbers(inputs)
        if ids is None:
            return None
        if not ids.lengths.all():
            raise InputError(f"row {int(np.flatnonzero(ids.lengths == 0)[0])} is empty")
        longest = int(ids.lengths.max(initial=0))
        if longest > _LONGEST:
            row = int(ids.lengths.argmax())
            raise InputError(f"row {row}: there are {longest:,} ids; the limit is {_LONGEST:,}")
        values = ids.values
        if len(values) and not 0 <= values.min() <= values.max() < self.vocab_size:
            place = int(np.flatnonzero((values < 0) | (values >= self.vocab_size))[0])
            row, step = ids.place(place)
            raise InputError(f"row {row}: {_not_an_id(str(values[place]), step + 1, self.vocab_size)}")
        return ids.with_values(values.astype(np.int32))

    def tokenize(self, text: str) -> Encoded:
        """`encode` with the words as they are spelled in the text, and their spans."""
        utf8(text, _LONGEST)
        ids: list[int] = []
        names: list[str] = []
        spans: list[tuple[int, int]] = []
        if self.start is not None:
            ids.append(self.start)
            names.append("<start>")
            spans.append((0, 0))
        word_spans = [match.span() for match in re.finditer(*self._separated(text))]
        # The whole text becomes lower case, as in Keras's Tokenizer: whether a capital sigma ends a word depends on
        # what comes after it. No letter becomes a separator, so both texts have the same words.
        lowered = text
        if self.lower == "all":
            lowered = text.lower()
        words = re.findall(*self._separated(lowered))
        for number, (word, (start, end)) in enumerate(zip(words, word_spans, strict=True), start=1):
            id = self._id(word, number)
            if id is not None:
                ids.append(id)
                names.append(text[start:end])
                spans.append((start, end))
        return Encoded(np.array(ids, dtype=np.int32), names, spans)

    def _separated(self, text: str) -> tuple[str, str]:
        """The regular expression of a word, and the text in which it finds the words; it has the length of `text`."""
        if not self.filters:
            return r"\S+", text
        return "[^ ]+", text.translate(dict.fromkeys(map(ord, self.filters), " "))

    def _id(self, word: str, number: int) -> int | None:
        """The id of the word with a number from 1, in lower case already if `lower` is "all". None for one that is left
        out.
        """
        if self.takes_ids:
            if not (word.isascii() and word.isdigit() and len(word) < 10 and int(word) < self.vocab_size):
                raise InputError(_not_an_id(word, number, self.vocab_size))
            return int(word)
        if self.stripped:
            word = word.translate(dict.fromkeys(map(ord, self.stripped)))
        if self.lower == "ascii":
            word = word.translate(_ASCII_LOWER)
        if not word:  # it was punctuation only
            return None
        id = self.index.get(word, self.vocab_size)
        if id >= self.vocab_size:
            return self.unknown
        return id

    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The config entry, and the files by name."""
        config = {name: value for name, value in asdict(self).items() if name != "index"}
        words = json.dumps(dict(self.index), ensure_ascii=False, separators=(",", ":"))
        return {"kind": self.kind, **config}, {self.file: words.encode("utf-8")}

    @classmethod
    def from_files(cls, config: Mapping[str, Any], read: Callable[[str], bytes]) -> Self:
        """The encoding that `to_files` wrote. Raises ModelFileError for any other config or file."""
        settings = {name: value for name, value in config.items() if name != "kind"}
        settings["index"] = parse_json(read(cls.file), cls.file)
        return fields_from(cls, settings, f"encoding '{cls.kind}'")


def _not_an_id(word: str, number: int, vocab_size: int) -> str:
    """The message about a word that is no token id. number: of the word, from 1."""
    return f"{quote(word)} (word {number}) is not a token id below {vocab_size:,}"


def _whole_numbers(inputs: Any) -> Ragged | None:
    """n sequences of whole numbers, see `IndexEncoding.ids_of`; None for anything else."""
    if isinstance(inputs, np.ndarray):
        if inputs.dtype.kind not in "iu" or inputs.ndim not in (1, 2):
            return None
        if inputs.shape == (0,):  # no text, as an empty list, and not a text without an id
            return None
        rows = np.atleast_2d(inputs)
        count, steps = rows.shape
        return Ragged(rows.reshape(-1), np.full(count, steps, dtype=np.intp))
    if not isinstance(inputs, list | tuple) or not inputs:
        return None
    types = set(map(type, inputs))
    if types == {int}:
        return _of_lists([inputs])
    if types == {np.ndarray}:
        if any(row.dtype.kind not in "iu" or row.ndim != 1 for row in inputs):
            return None
        return Ragged.of(inputs)
    if types <= {list, tuple}:
        return _of_lists(inputs)
    return None


def _of_lists(rows: Sequence[Sequence[Any]]) -> Ragged | None:
    """The numbers of n lists, None where something else than an int is among them."""
    flat = list(chain.from_iterable(rows))
    if set(map(type, flat)) - {int}:
        return None
    lengths = np.array(list(map(len, rows)), dtype=np.intp)
    try:
        return Ragged(np.array(flat, dtype=np.int64), lengths)
    except OverflowError:  # `tokenize` names the number
        return None
