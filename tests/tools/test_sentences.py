"""Sentences for the bundled model: none is of the validation set or of the checklist."""

import re

import numpy as np

from benchmarks.checklist import categories
from gatewise.data import Labelled
from gatewise.data.labelled import content_key
from tools.bundled.__main__ import parts
from tools.bundled.sentences import crops

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


def test_no_sentence_is_of_a_film_of_the_validation_part() -> None:
    texts, labels = reviews(200)
    of_film = Labelled(texts, labels, ("negative", "positive"), np.arange(200) // 4)
    snippets = Labelled([f"Snippet {n}." for n in range(50)], np.arange(50) % 2, ("negative", "positive"))
    training, validation = parts(of_film, snippets, seed=0)
    held_out = set(validation.inputs) & set(texts)
    assert len(held_out) == 20
    numbers = {re.search(r"train (\d+)", text)[1] for text in held_out}  # type: ignore[index]
    for text in training.inputs:
        found = re.findall(r"(?:train|part) (\d+)", str(text))
        assert not numbers & set(found)
    assert f"{len(training) - 250 + len(validation):,} sentences" in training.source


def test_no_sentence_of_the_checklist_is_trained_on() -> None:
    texts, labels = reviews(200)
    texts = [f"{text} I loved this film. The plot is dull." for text in texts]
    tested = {content_key(sentence) for category in categories() for sentence in category.sentences}
    assert any(content_key(example.text) in tested for example in crops(texts, labels, 1_000, np.random.default_rng(0)))
    of_film = Labelled(texts, labels, ("negative", "positive"), np.arange(200) // 4)
    training, _ = parts(of_film, of_film.take(range(40)), seed=0)
    assert not tested & {content_key(text) for text in training.inputs}
