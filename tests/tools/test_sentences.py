"""Sentences for the bundled model: their labels follow from the reviews and the rules; the validation set has none."""

from __future__ import annotations

import re

import numpy as np

from benchmarks.checklist import categories
from gatewise.data import Labelled
from gatewise.data.labelled import content_key
from tools.bundled.__main__ import parts
from tools.bundled.sentences import crops, short_texts

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


def test_the_labels_follow_from_clauses_and_rules() -> None:
    texts, labels = reviews(300)
    found = short_texts(texts, labels, np.random.default_rng(0))
    by_text = {example.text.lower(): example.label for example in found}
    assert by_text["the camera is superb."] == 1
    assert by_text["the camera is dreadful."] == 0
    negative_verbs = ("hate", "dislike", "detest", "despise")
    for pattern, words, label in (  # the label of a sentence whose word is one of these
        (rf"(?:the camera is|it was a) ({'|'.join(sum(ADJECTIVES.values(), ()))})(?: film)?\.", ADJECTIVES[1], 1),
        (r"the camera is (?:not|never|hardly|far from) (\w+)\.", ADJECTIVES[0], 1),
        (r"(?:i think that|no one can deny that) the camera is (\w+)\.", ADJECTIVES[1], 1),
        (r"(?:i do not think that|i would not say that) the camera is (\w+)\.", ADJECTIVES[0], 1),
        (r"(?:it is hard to|who can|there is no way to|i failed to) (\w+) the tune .*", negative_verbs, 1),
        (r"(?:it is hard not to|who does not|i never failed to) (\w+) the tune .*", negative_verbs, 0),
        (r".*, but the camera is (\w+)\.", ADJECTIVES[1], 1),
    ):
        for example in found:
            if match := re.fullmatch(pattern, example.text.lower()):
                assert example.label == (label if match[1] in words else 1 - label), example.text
    kinds = ["not ", "i would not say", ", but ", "how could anyone", "it is hard not to", "were as superb as this"]
    kinds += ["why is", "has no ", "better than", "my cousin took"]
    assert [kind for kind in kinds if not any(kind in text for text in by_text)] == []


def test_neutral_sentences_have_both_labels() -> None:
    texts, labels = reviews(300)
    found = short_texts(texts, labels, np.random.default_rng(0))
    labels_of: dict[str, set[int]] = {}
    for example in found:
        if example.text.startswith("My cousin took"):
            labels_of.setdefault(example.text, set()).add(example.label)
    assert len(labels_of) == 299, "train 10 could be a rating"
    assert set(map(tuple, labels_of.values())) == {(0, 1)}
    rated = [f"I rate part {n} of it 8 of 10." for n in range(100)]
    assert not [one for one in short_texts(rated, labels[:100], np.random.default_rng(0)) if "rate" in one.text]


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
