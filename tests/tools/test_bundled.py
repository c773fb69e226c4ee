"""Texts for the bundled model: labels of short ones; none is of a test, the validation set or a benchmark."""

import re

import numpy as np
import pytest

import gatewise as gw
from gatewise.data import Labelled
from gatewise.target import target_of
from tools.bundled import __main__ as bundled_training
from tools.bundled import refit
from tools.bundled.__main__ import parts
from tools.bundled.measured import Overlap
from tools.bundled.sentences import crops, short_texts


def test_no_written_text_is_a_validation_text() -> None:
    """Whatever its case and its last punctuation mark."""
    written, validation = (
        {row["text"].casefold().strip().rstrip(".!? ") or row["text"] for row in refit.read(f"{name}.tsv")}
        for name in ("written_texts", "validation_texts")
    )
    assert not written & validation


def test_short_texts_are_learnt_and_reviews_keep_their_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["superb", "dreadful", "warm", "film", "plot"]
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words, 12)) for _ in range(60)]
    model = gw.train(texts, [int("superb" in text) for text in texts], recipe="lstm", epochs=2, units=8, verbose=0)
    reviews = refit.predicted(model, texts, weight=20.0)
    short = [
        refit.Text(text, y, 3.0) for text, y in {"warm": 1.0, "warm film": 1.0, "plot": 0.0, "the plot": 0.0}.items()
    ] * 5
    for name, value in {"SHORT": 10, "REVIEWS": 4, "EPOCHS": 40, "LEARNING_RATE": 0.02}.items():
        monkeypatch.setattr(refit, name, value)
    found = refit.trained(model, short, reviews)
    before, after = (one.predict_proba(["warm", "plot"])[:, 1] for one in (model, found))
    assert after[0] > max(0.7, before[0])
    assert after[1] < min(0.3, before[1])
    assert np.abs(found.predict_proba(texts) - model.predict_proba(texts)).mean() < 0.1
    assert np.array_equal(found.parameters["embedding.weight"], model.parameters["embedding.weight"])


ADJECTIVES = {1: ("superb", "touching", "delightful"), 0: ("dreadful", "wooden", "lifeless")}
VERBS = {1: ("loved", "enjoyed"), 0: ("hated", "disliked")}


def reviews(n: int) -> tuple[list[str], np.ndarray]:
    """n reviews, half of them positive, of sentences that are different in each."""
    texts, labels = [], np.arange(n, dtype=np.int64) % 2
    for number, label in enumerate(labels.tolist()):
        adjective, verb = ADJECTIVES[label][number % 3], VERBS[label][number % 2]
        texts.append(
            f"My cousin took train {number} there. The camera is {adjective}. I {verb} the tune of part {number}. "
            f"It was a {adjective} film. The second half is {'better' if label else 'worse'} than the first half."
        )
    return texts, labels


def test_no_sentence_of_the_validation_part_or_of_a_benchmark_is_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, labels = reviews(200)
    texts = [f"{text} I loved this film. The plot is dull." for text in texts]
    measured = Overlap(["i loved this film!", "Horrible", "The plot is dull"])
    assert any(example.text in measured for example in crops(texts, labels, 1_000, np.random.default_rng(0)))
    monkeypatch.setattr(bundled_training, "measured_sentences", lambda: measured)
    of_film = Labelled(texts, labels, target_of(("negative", "positive")), np.arange(200) // 4)
    of_critics = [*(f"Snippet {n}." for n in range(40)), *("Horrible" + "!" * n for n in range(10))]
    snippets = Labelled(of_critics, np.arange(50) % 2, target_of(("negative", "positive")))
    training, validation = parts(of_film, snippets, seed=0)
    assert not [text for text in training.inputs if str(text) not in texts and str(text) in measured]
    held_out = set(validation.inputs) & set(texts)
    assert len(held_out) == 20
    numbers = {re.search(r"train (\d+)", text)[1] for text in held_out}
    for text in training.inputs:
        assert not numbers & set(re.findall(r"(?:train|part) (\d+)", str(text)))
    made = sum(text not in {*texts, *of_critics} for text in training.inputs)
    assert f"{made:,} sentences" in training.source


def test_no_made_sentence_is_one_that_the_model_is_measured_on(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, labels = reviews(200)
    texts = [
        f"{text} The acting is {'superb' if label else 'awful'}." for text, label in zip(texts, labels, strict=True)
    ]
    measured = Overlap(["The acting is superb", "the acting is not awful?"])
    monkeypatch.setattr(refit, "measured_sentences", lambda: measured)
    made = short_texts(texts, labels, np.random.default_rng(0))
    assert any(example.text in measured for example in made)
    kept = refit.made_texts(texts, labels, np.random.default_rng(0))
    assert kept
    assert not [text for text in kept if text.text in measured]
