"""The tokens of words: the ids, offsets, vocabulary and files of the tokenizers library; what needs it says so."""

import random
import sys
import time
import unicodedata
from functools import cache

import pytest
from tokenizers import Tokenizer
from tokenizers.trainers import WordLevelTrainer

from gatewise.data import embedded_reviews
from gatewise.errors import MissingExtra
from gatewise.exchange.web import web_files
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.text import KerasEncoding, SubwordEncoding, TokenEncoding, encoding_from
from gatewise.text.tokenizer import TokenizerEncoding
from gatewise.text.word_tokenizer import normalized, spans_of, tokens_of
from tests.exchange.random_models import random_model

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


@cache
def assigned() -> list[str]:
    """The characters that have a meaning. One is new for one of the two where their Unicode versions differ."""
    codes = [code for code in range(sys.maxunicode) if not 0xD800 <= code < 0xE000]
    return [chr(code) for code in codes if unicodedata.category(chr(code)) != "Cn"]


def compare(pipeline: int, texts: list[str]) -> None:
    own = TokenEncoding(WORDS, pipeline=pipeline)
    library = Tokenizer.from_str(own.to_files()[1]["tokenizer.json"].decode())
    for text, wanted in zip(texts, library.encode_batch(texts, add_special_tokens=False), strict=True):
        tokens = tokens_of(text, pipeline)
        assert ([WORDS.get(token, 1) for token in tokens], spans_of(text, pipeline)) == (wanted.ids, wanted.offsets), (
            ascii(text)
        )


@pytest.mark.parametrize("pipeline", [1, 2, 3])
def test_hostile_unicode_has_the_ids_and_offsets_of_the_library(pipeline: int) -> None:
    """Characters of every category, runs of marks in any order, composed and decomposed letters, markup."""
    draw, kinds = random.Random(pipeline), dict[str, list[str]]()
    for character in assigned():
        kinds.setdefault(unicodedata.category(character), []).append(character)
    marks = [mark for mark in kinds["Mn"] if unicodedata.combining(mark)]
    letters = [one for one in assigned() if unicodedata.decomposition(one)[:1] not in ("", "<")]

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
    compare(pipeline, texts)


def test_every_kind_of_character_has_the_ids_and_offsets_of_the_library() -> None:
    """Between letters, repeated and after an apostrophe; of letters without case and private characters every third."""
    many = {"Lo", "Co"}
    some = [one for n, one in enumerate(assigned()) if n % 3 == 0 or unicodedata.category(one) not in many]
    parts = [f"a{one}e'{one}{one}" for one in some]
    compare(2, [" ".join(parts[first : first + 30]) for first in range(0, len(parts), 30)])


def test_ten_thousand_reviews_have_the_ids_and_offsets_of_the_library() -> None:
    compare(2, [text[:400] for text in embedded_reviews().inputs[:10_000]])


@pytest.mark.parametrize(
    "text", ["e" + "\u0301" * 200_000, "\u0323\u0301" * 100_000, "<br" + " " * 500_000, "電影" * 99_999]
)
def test_a_long_text_takes_time_linear_in_its_length(text: str) -> None:
    begin = time.process_time()
    compare(2, [text])
    assert time.process_time() - begin < 4


def test_the_library_writes_a_tokenizer_file_as_gatewise_does() -> None:
    for encoding in (TokenEncoding.fit(TEXTS * 2), SubwordEncoding.fit(TEXTS * 2)):
        raw = encoding.to_files()[1]["tokenizer.json"].decode()
        assert Tokenizer.from_str(raw).to_str() == raw


def test_a_vocabulary_is_that_of_the_library() -> None:
    """By count, ties by code point; also where the rarest words do not fit."""
    texts = [text[:400] for text in embedded_reviews().inputs[:500]] + TEXTS * 2
    for size, min_count in ((30_000, 2), (300, 1)):
        library = Tokenizer.from_str(TokenEncoding(WORDS).to_files()[1]["tokenizer.json"].decode())
        trainer = WordLevelTrainer(vocab_size=size - 2, min_frequency=min_count, show_progress=False, special_tokens=[])
        library.train_from_iterator(texts, trainer)
        found = library.get_vocab()
        assert list(TokenEncoding.fit(texts, size, min_count).ids)[2:] == sorted(found, key=found.__getitem__)


def test_normalized_texts_are_those_of_the_library() -> None:
    library = Tokenizer.from_str(TokenEncoding(WORDS).to_files()[1]["tokenizer.json"].decode())
    for text in [*TEXTS, "Å\u0323<br>É"]:
        assert normalized(text) == library.normalizer.normalize_str(text)


@pytest.mark.parametrize("respelling", [False, True])
def test_words_need_no_library(respelling: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fitted, extended, cut, saved and loaded."""
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    encoding = TokenEncoding.fit(TEXTS * 2, 20).extended(["more words, more"]).truncate_vocab(15)
    encoding = encoding.respelling() if respelling else encoding
    config, files = encoding.to_files()
    again = encoding_from(config, files.__getitem__)
    assert again.to_files() == (config, files)
    assert [one.tolist() for one in again.encode_batch(TEXTS)] == [encoding.encode(text).tolist() for text in TEXTS]


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
