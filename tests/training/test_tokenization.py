"""Tokenization "auto": subwords where they pay, words elsewhere."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.data import Labelled
from gatewise.errors import InputError
from gatewise.text import SubwordEncoding, TokenEncoding
from gatewise.training.members import ngrams
from tests.training.callbacks import Recorder
from tests.training.texts import made_reviews

TINY: dict[str, Any] = {"units": 4, "embedding_dim": 4, "epochs": 1, "verbose": 0, "seed": 3}


def inflected(n: int, seed: int) -> tuple[list[str], list[str]]:
    """Words of a random stem, each seldom seen twice, whose ending tells the class."""
    rng = random.Random(seed)
    labels = [rng.choice(["now", "then"]) for _ in range(n)]
    stem = lambda: "".join(rng.choice(("ka", "lo", "mi", "tu", "re")) for _ in range(4))  # noqa: E731
    endings = {"now": ("ing", "izz", "ou"), "then": ("edd", "essa", "ou")}
    return [" ".join(stem() + rng.choice(endings[label]) for _ in range(3)) for label in labels], labels


def whole_words(n: int, seed: int) -> Labelled:
    """A dozen frequent words: their pieces are the words themselves."""
    rng = random.Random(seed)
    labels = [rng.choice("ab") for _ in range(n)]
    words = {"a": ("glad", "kind", "warm"), "b": ("grim", "cold", "dull")}
    texts = [
        f"a {rng.choice(words[label])} {rng.choice(('day', 'kind', 'cold'))} {k % 7}" for k, label in enumerate(labels)
    ]
    return Labelled.of(texts, labels)


def encoding_of(model: gw.Model) -> Any:
    return model.preprocessor.encoding  # type: ignore[attr-defined]


def test_endings_choose_subwords_and_the_model_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrams, "LEAST_ROWS", 200)
    texts, labels = inflected(240, 5)
    recorder = Recorder()
    model = gw.train(texts, labels, recipe="fast", callbacks=recorder, **TINY)
    assert isinstance(encoding_of(model), SubwordEncoding)
    assert [message.split(",")[0] for message in recorder.messages if message.startswith("tokens:")] == [
        "tokens: subwords"
    ]
    query, truth = inflected(80, 6)
    assert np.mean(model.predict(query) == np.array(truth)) > 0.85
    model.save(tmp_path / "m")
    again = gw.load(tmp_path / "m")
    np.testing.assert_array_equal(again.predict_proba(query), model.predict_proba(query))
    found = encoding_of(again).tokenize(query[0])
    assert len(found.names) > 3
    assert found.names == [query[0][start:end] for start, end in found.spans]


def test_whole_words_stay_words_and_the_candidates_are_not_fitted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrams, "LEAST_ROWS", 200)
    monkeypatch.setattr(ngrams, "LEAST_UNKNOWN", 0.0)
    data, recorder = whole_words(240, 7), Recorder()
    model = gw.train(data, recipe="fast", callbacks=recorder, **TINY)
    assert type(encoding_of(model)) is TokenEncoding
    assert any(message.startswith("tokens: words, held-out loss ") for message in recorder.messages)
    plain = gw.train(data, recipe="fast", tokenization="words", **TINY)
    texts = list(data.inputs[:20])
    np.testing.assert_array_equal(plain.predict_proba(texts), model.predict_proba(texts))
    for name, limit in (("LEAST_ROWS", 241), ("MOST_ROWS", 239), ("MOST_WORDS", 500)):
        with monkeypatch.context() as patch:
            patch.setattr(ngrams, name, limit)
            recorder = Recorder()
            gw.train(data, recipe="fast", callbacks=recorder, **TINY)
            assert not any(message.startswith("tokens:") for message in recorder.messages)


def test_without_unknown_words_nothing_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrams, "LEAST_ROWS", 200)
    recorder = Recorder()
    model = gw.train(whole_words(240, 7), recipe="fast", callbacks=recorder, **TINY)
    assert type(encoding_of(model)) is TokenEncoding
    assert "tokens: words, 0% of those in the validation set are unknown" in recorder.messages


def test_subwords_that_are_asked_for_are_taken_and_go_into_the_next_model() -> None:
    data = made_reviews(120, 8)
    model = gw.train(data, recipe="fast", tokenization="subwords", **TINY)
    assert isinstance(encoding_of(model), SubwordEncoding)
    again = gw.train(data, recipe="fast", pretrained=model, **TINY)
    assert isinstance(encoding_of(again), SubwordEncoding)
    with pytest.raises(InputError, match=r"the pretrained model has text\.tokenization subwords"):
        gw.train(data, recipe="fast", tokenization="words", pretrained=model, **TINY)
