"""Texts as the text layers of Keras read them: TextVectorization, and the Tokenizer of Keras 2."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.text.index import IndexEncoding
from trust.attack import Attacks, missing
from trust.mutate import Rng, choice

ATTACKS = Attacks()
STANDARDIZE = (None, "lower", "strip_punctuation", "lower_and_strip_punctuation")
WORDS = [
    "good",
    "Film",
    "it's",
    "its",
    "É",
    "é",
    "ß",
    "ΟΔΟΣ",
    "οδος",
    "οδοσ",
    "İ",
    "i",
    "ﬁlm",
    "naïve",
    "[UNK]",
    "7",
    "ΑΣ",
]
MARKS = [*"!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'", "…", "«", "’", "。", "\u00ad"]
# White space of Unicode, of which Keras takes six characters of ASCII; control characters, and what no one sees.
SPACES = [
    *" \t\n\v\f\r", *"\x1c\x1d\x1e\x1f\x85\xa0", "\u1680",
    *"\u2000\u2002\u2003\u2009\u200a\u2028\u2029\u202f\u205f\u3000",
    *"\u200b\u200d\ufeff\x00\x01\x7f", "\u0301", "\U0001f600",
]  # fmt: skip


def hostile_text(rng: Rng) -> str:
    """Up to 30 words, marks and spaces in any order; sometimes of any characters."""
    parts = []
    for _ in range(int(rng.integers(0, 30))):
        kind = rng.random()
        if kind < 0.45:
            parts.append(choice(rng, WORDS))
        elif kind < 0.75:
            parts.append(choice(rng, SPACES) if rng.random() < 0.6 else " ")
        elif kind < 0.95:
            parts.append(choice(rng, MARKS))
        else:
            code = int(rng.integers(0, 0x3100) if rng.random() < 0.8 else rng.integers(0x10000, 0x20000))
            parts.append(chr(code))
    return "".join(parts)


def vocabulary(rng: Rng, texts: list[str], standardize: str | None) -> list[str]:
    """Words of the texts, as another way of splitting would have them too, and words that no text has."""
    words = {word for text in texts for word in (*text.split(), *text.split(" ")) if word.strip(" \t\n\v\f\r")}
    words |= {word.lower() for word in words} | set(WORDS)
    if "strip" in (standardize or ""):
        words |= {"".join(ch for ch in word if ch not in "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'") for word in words}
    kept = sorted(word for word in words - {"", "[UNK]"} if "\0" not in word)  # which NumPy cuts from a string's end
    return [kept[n] for n in rng.permutation(len(kept))]


@ATTACKS.add("imports-vectorization", 0, 200, unavailable=lambda: missing("keras", "tensorflow"), memory=0)
def _vectorization(rng: Rng, folder: Path) -> None:
    """A text has the token ids that Keras's TextVectorization gives it, with every standardisation that gatewise reads.

    100 hostile texts per try: white space and control characters of Unicode, capitals of other alphabets, punctuation
    """
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    texts, standardize = [hostile_text(rng) for _ in range(100)], choice(rng, STANDARDIZE)
    words = vocabulary(rng, texts, standardize)
    length = choice(rng, [None, 5, 40])
    layer = keras.layers.TextVectorization(
        standardize=standardize, vocabulary=words, output_sequence_length=length, ragged=False
    )
    encoding = IndexEncoding.of_vectorization(layer, len(words) + 2)
    for text in texts:
        wanted = np.asarray(keras.ops.convert_to_numpy(layer([text])))[0].tolist()
        _same(text, encoding.encode(text).tolist()[:length], [id for id in wanted if id])


@ATTACKS.add("imports-tokenizer", 5, 200, unavailable=lambda: missing("keras", "torch"), memory=0)
def _tokenizer(rng: Rng, folder: Path) -> None:
    """A text has the token ids that the Tokenizer of Keras 2 gives it, with an id for unknown words and without.

    100 hostile texts per try, as above
    """
    tokenizer = _keras_tokenizer()(oov_token=choice(rng, [None, "<OOV>"]))
    tokenizer.fit_on_texts([hostile_text(rng) for _ in range(30)])
    encoding = IndexEncoding.of_keras(tokenizer.word_index, len(tokenizer.word_index) + 1)
    for text in (hostile_text(rng) for _ in range(100)):
        [wanted] = tokenizer.texts_to_sequences([text])
        _same(text, encoding.encode(text).tolist(), wanted)


def _keras_tokenizer() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    from keras.src.legacy.preprocessing.text import Tokenizer

    return Tokenizer


def _same(text: str, found: list[int], wanted: list[int]) -> None:
    assert found == wanted, f"{text!a}: {found}, Keras has {wanted}"
