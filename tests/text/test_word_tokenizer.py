"""Words without the tokenizers library: the ids and offsets of the library, and what needs it says so."""

import random
import sys
import time
import unicodedata
from typing import Any

import pytest

from gatewise.data import embedded_reviews
from gatewise.errors import MissingExtra
from gatewise.exchange.web import web_files
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.text import KerasEncoding, SubwordEncoding, TokenEncoding, encoding_from
from gatewise.text.tokenizer import TokenizerEncoding
from gatewise.text.tokens import build
from gatewise.text.word_tokenizer import WordTokenizer
from tests.exchange.random_models import random_model
from tests.refusals import assert_refused

TEXTS = ["A good film, isn’t it? Cafe\u0301 <br/> !!!", "ไทย 電影 goood flim", "İ and ß, naïve"]
WORDS = {word: id for id, word in enumerate(["[PAD]", "[UNK]", "film", "good", "'", "é", "i̇", "影", "the"])}
SPECIAL = [
    "'",
    "’",
    "<br>",
    "<BR\u3000/>",
    "<br\x1c>",
    " ",
    "\t",
    "\x00",
    "!!!",
    "İ",
    "ß",
    "Σ",
    "ー",
    "__",
    "film",
    "\u200d",
]
CODES = [code for code in range(sys.maxunicode) if not 0xD800 <= code < 0xE000]
# A character is new for one of the two where their Unicode versions differ.
ASSIGNED = [chr(code) for code in CODES if unicodedata.category(chr(code)) != "Cn"]


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)


def both(pipeline: int) -> tuple[Any, Any]:
    """The tokenizer of the library and the one without it."""
    library = build(WORDS, None, pipeline)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "tokenizers", None)
        return library, build(WORDS, None, pipeline)


def compare(pair: tuple[Any, Any], texts: list[str]) -> None:
    library, own = (one.encode_batch(texts, add_special_tokens=False) for one in pair)
    for text, wanted, found in zip(texts, library, own, strict=True):
        assert (found.ids, found.offsets) == (wanted.ids, wanted.offsets), ascii(text)


@pytest.mark.parametrize("pipeline", [1, 2, 3])
def test_hostile_unicode_has_the_ids_and_offsets_of_the_library(pipeline: int) -> None:
    """Characters of every category, runs of marks in any order, composed and decomposed letters, markup."""
    draw, kinds = random.Random(pipeline), dict[str, list[str]]()
    for character in ASSIGNED:
        kinds.setdefault(unicodedata.category(character), []).append(character)
    marks = [mark for mark in kinds["Mn"] if unicodedata.combining(mark)]
    letters = [one for one in ASSIGNED if unicodedata.decomposition(one)[:1] not in ("", "<")]

    def part() -> str:
        ways = [
            draw.choice(kinds[draw.choice(list(kinds))]) * draw.choice((1, 1, 2, 101)),
            draw.choice(SPECIAL),
            draw.choice("aeouAUO"),
            draw.choice(letters),
            unicodedata.normalize("NFD", draw.choice(letters)),
            "".join(draw.choices(marks, k=4)),
        ]
        return draw.choice(ways)

    texts = ["".join(part() for _ in range(draw.randrange(25))) for _ in range(1_500)]
    compare(both(pipeline), texts)
    assert [one.normalize_str("Å\u0323<br>É") for one in (both(pipeline)[0].normalizer, both(pipeline)[1])] == [
        "ạ̊ é"
    ] * 2


def test_every_kind_of_character_has_the_ids_and_offsets_of_the_library() -> None:
    """Between letters, repeated and after an apostrophe; of letters without case and private characters every third."""
    many = {"Lo", "Co"}
    some = [one for n, one in enumerate(ASSIGNED) if n % 3 == 0 or unicodedata.category(one) not in many]
    parts = [f"a{one}e'{one}{one}" for one in some]
    compare(both(2), [" ".join(parts[first : first + 30]) for first in range(0, len(parts), 30)])


def test_ten_thousand_reviews_have_the_ids_and_offsets_of_the_library() -> None:
    compare(both(2), [text[:400] for text in embedded_reviews().inputs[:10_000]])


@pytest.mark.parametrize(
    "text", ["e" + "\u0301" * 200_000, "\u0323\u0301" * 100_000, "<br" + " " * 500_000, "電影" * 99_999]
)
def test_a_long_text_takes_time_linear_in_its_length(text: str) -> None:
    begin = time.process_time()
    compare(both(2), [text])
    assert time.process_time() - begin < 4


def test_a_lone_surrogate_is_refused(no_library: None) -> None:
    assert_refused("lone surrogate", TokenEncoding.fit(TEXTS).encode, "a \ud800 film")


@pytest.mark.parametrize("respelling", [False, True])
def test_an_encoding_is_the_same_without_the_library(respelling: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fitted, extended, cut, saved and loaded."""

    def made() -> TokenEncoding:
        encoding = TokenEncoding.fit(TEXTS * 2, 20).extended(["more words, more"]).truncate_vocab(15)
        encoding = encoding.respelling() if respelling else encoding
        config, files = encoding.to_files()
        again = encoding_from(config, files.__getitem__)
        assert again.to_files() == (config, files)
        return again

    library = made()
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    own = made()
    assert type(own.tokenizer) is WordTokenizer
    assert own.to_files() == library.to_files()
    for text in TEXTS:
        assert [str(part) for part in own.tokenize(text)] == [str(part) for part in library.tokenize(text)]
    assert [one.tolist() for one in own.encode_batch(TEXTS)] == [one.tolist() for one in library.encode_batch(TEXTS)]


def test_what_needs_the_library_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = SubwordEncoding.fit(TEXTS * 2)
    config, files = pieces.to_files()
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    for call in (lambda: SubwordEncoding.fit(TEXTS), lambda: encoding_from(config, files.__getitem__)):
        with pytest.raises(
            MissingExtra, match=r"^an encoding of pieces of words needs tokenizers: pip install tokenizers$"
        ):
            call()
    with pytest.raises(MissingExtra, match=r"^a tokenizer\.json of another program needs tokenizers: pip install"):
        TokenizerEncoding(files["tokenizer.json"].decode(), 100)
    keras = TextPreprocessor(KerasEncoding.fit(TEXTS))
    with pytest.raises(MissingExtra, match=r"^a web model of texts with the encoding 'keras' needs tokenizers"):
        web_files(random_model().target, keras)
