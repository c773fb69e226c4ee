"""The token ids of Keras's TextVectorization, recorded in vectorization.json with Keras and TensorFlow, which the tests
do not need. Written by `python -m tests.text.test_vectorization`; trust/attacks/imports_text.py compares many more.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.text.index import IndexEncoding

FILE = Path(__file__).parent / "vectorization.json"
RECORDED = json.loads(FILE.read_text(encoding="utf-8"))


class Vectorization:
    """What gatewise reads of the layer."""

    def __init__(self, words: list[str], **config: Any) -> None:
        self.words = words
        self.config = {"standardize": None, "split": "whitespace", "ngrams": None, "output_mode": "int"} | config

    def get_vocabulary(self) -> list[str]:
        return self.words

    def get_config(self) -> dict[str, Any]:
        return self.config


@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda case: str(case["standardize"]))
def test_a_text_has_the_ids_of_keras(case: dict[str, Any]) -> None:
    layer = Vectorization(["", "[UNK]", *case["vocabulary"]], standardize=case["standardize"])
    encoding = IndexEncoding.of_vectorization(layer, len(layer.words))
    for text, ids in case["texts"]:
        found = encoding.tokenize(text)
        assert found.sequence.tolist() == ids, f"{text!a}"
        assert [text[start:end] for start, end in found.spans] == found.names
    again = IndexEncoding.from_files(encoding.to_files()[0], encoding.to_files()[1].__getitem__)
    assert again == encoding


def test_words_end_at_white_space_of_ascii_only() -> None:
    layer = Vectorization(["", "[UNK]", "a", "b", "a\xa0b"])
    encoding = IndexEncoding.of_vectorization(layer, 5)
    assert encoding.encode("a\vb\fa\tb").tolist() == [2, 3, 2, 3]
    assert encoding.encode("a\xa0b").tolist() == [4]
    for space in "\x1c\x1d\x1e\x1f\x85\u2009\u2028\u202f\u3000":
        assert encoding.encode(f"a{space}b").tolist() == [1]


def test_other_settings_are_refused() -> None:
    for name, value in {"split": "character", "ngrams": 2, "output_mode": "count", "encoding": "latin-1"}.items():
        with pytest.raises(InputError, match=f"TextVectorization: {name} is '{value}'"):
            IndexEncoding.of_vectorization(Vectorization(["", "[UNK]"], **{name: value}), 2)


def test_a_word_twice_is_refused() -> None:
    """adapt on "b" and "b\\0" gives both ids, and get_vocabulary the word "b" for both."""
    layer = Vectorization(["", "[UNK]", "a", "b", "c", "b"])
    with pytest.raises(InputError, match="TextVectorization: 'b' is in the vocabulary twice"):
        IndexEncoding.of_vectorization(layer, 6)


def test_a_capital_sigma_is_lowered_within_its_text() -> None:
    """As Keras's Tokenizer: before it separates the words at ".", where the sigma is not the last letter."""
    encoding = IndexEncoding.of_keras({"<OOV>": 1, "ας": 2, "ασ": 3, "β": 4, "i̇": 5}, 6)
    found = encoding.tokenize("İ ΑΣ.β ΑΣ")
    assert found.sequence.tolist() == [5, 3, 4, 2]
    assert found.names == ["İ", "ΑΣ", "β", "ΑΣ"]


def write() -> None:
    """Record hostile texts with the versions that are installed."""
    import keras
    import tensorflow

    from trust.attacks.imports_text import STANDARDIZE, hostile_text, vocabulary

    rng, cases = np.random.default_rng(59), []
    for standardize in STANDARDIZE:
        texts = [hostile_text(rng) for _ in range(40)]
        words = vocabulary(rng, texts, standardize)[:150]
        layer = keras.layers.TextVectorization(standardize=standardize, vocabulary=words)
        ids = [[id for id in keras.ops.convert_to_numpy(layer([text]))[0].tolist() if id] for text in texts]
        cases.append(
            {
                "standardize": standardize,
                "vocabulary": words,
                "texts": [list(row) for row in zip(texts, ids, strict=True)],
            }
        )
    found = {"keras": keras.__version__, "tensorflow": tensorflow.__version__, "cases": cases}
    FILE.write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
