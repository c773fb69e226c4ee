"""Texts for the bundled model: labels of short ones; none is of a test, the validation set or the checklist."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.checklist import categories
from gatewise.data import Labelled
from gatewise.data.labelled import content_key
from tools.bundled.__main__ import parts
from tools.bundled.phrases import Reviews, Text, bare, made_of, measured_texts
from tools.bundled.sentences import crops

GOOD = ("Splendid from the first minute.", "Splendid stuff!", "The camera is splendid.", "I give it 8/10.", "Splendid.")
BAD = ("Shoddy from the first minute.", "Shoddy stuff!", "The camera is shoddy.", "I give it 2 out of 10.", "Shoddy.")


def short_reviews(n: int = 80) -> Reviews:
    """Half of them positive, the last eight without a label."""
    positive = np.arange(n) % 2
    texts = [
        f"{' '.join(GOOD if one else BAD)} Filmed in the north. Boring. Train {n} left."
        for n, one in enumerate(positive)
    ]
    return Reviews(texts, positive.astype(np.float64), n - 8)


def logits(texts: Sequence[str]) -> NDArray[np.float64]:
    """Of a model that knows two words."""
    return np.array([2.0 * ("splendid" in text.lower()) - 2.0 * ("shoddy" in text.lower()) for text in texts])


def made() -> list[Text]:
    return made_of(short_reviews(), logits, np.random.default_rng(0))


def test_phrases_words_negations_and_ratings_have_the_label_of_the_reviews_that_have_them() -> None:
    found = {bare(one.text).lower(): one for one in made()}
    for text, target in {
        "splendid stuff": 1,
        "shoddy stuff": 0,
        "splendid": 1,
        "shoddy": 0,
        "not splendid at all": 0,
        "far from shoddy": 1,
        "i give it 8/10": 1,
        "i give it 2 out of 10": 0,
    }.items():
        assert found[text].target == target, text
    assert found["filmed in the north"].target == 0.5


def test_no_text_of_a_test_is_among_them() -> None:
    tested = measured_texts()
    assert content_key("boring") in tested  # a sentence of every review above
    assert not tested & {content_key(bare(one.text)) for one in made()}


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


def test_no_sentence_of_the_validation_part_or_of_the_checklist_is_trained_on() -> None:
    texts, labels = reviews(200)
    texts = [f"{text} I loved this film. The plot is dull." for text in texts]
    tested = {content_key(sentence) for category in categories() for sentence in category.sentences}
    assert any(content_key(example.text) in tested for example in crops(texts, labels, 1_000, np.random.default_rng(0)))
    of_film = Labelled(texts, labels, ("negative", "positive"), np.arange(200) // 4)
    snippets = Labelled([f"Snippet {n}." for n in range(50)], np.arange(50) % 2, ("negative", "positive"))
    training, validation = parts(of_film, snippets, seed=0)
    assert not tested & {content_key(text) for text in training.inputs}
    held_out = set(validation.inputs) & set(texts)
    assert len(held_out) == 20
    numbers = {re.search(r"train (\d+)", text)[1] for text in held_out}
    for text in training.inputs:
        assert not numbers & set(re.findall(r"(?:train|part) (\d+)", str(text)))
    assert f"{len(training) - 250 + len(validation):,} sentences" in training.source
