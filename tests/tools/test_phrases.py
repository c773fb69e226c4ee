"""Short texts for the bundled model: their labels, and none of a test."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gatewise.data.labelled import content_key
from tools.bundled.phrases import Reviews, Text, bare, made_of, measured_texts

GOOD = ("Splendid from the first minute.", "Splendid stuff!", "The camera is splendid.", "I give it 8/10.", "Splendid.")
BAD = ("Shoddy from the first minute.", "Shoddy stuff!", "The camera is shoddy.", "I give it 2 out of 10.", "Shoddy.")


def reviews(n: int = 80) -> Reviews:
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
    return made_of(reviews(), logits, np.random.default_rng(0))


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
