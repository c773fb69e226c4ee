"""Made texts: reviews in which a few words decide the class, and a corpus in which each word predicts the next."""

from functools import cache

import numpy as np

from gatewise.data.labelled import Labelled
from gatewise.model.pretrained import PretrainedLM
from gatewise.target import target_of
from gatewise.training import PretrainRecipe
from gatewise.training.pretrain import pretrain

_GOOD = ["fine", "lovely", "moving", "bright", "honest"]
_BAD = ["dull", "clumsy", "tired", "loud", "hollow"]
_REST = [f"word{n}" for n in range(60)]


def made_reviews(n: int, seed: int, classes: tuple[str, ...] = ("negative", "positive")) -> Labelled:
    """n texts of 5 to 40 words; the class follows from the decisive words, and one label in twenty is wrong."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(n):
        label = int(rng.integers(len(classes)))
        words = list(rng.choice(_REST, int(rng.integers(5, 40))))
        decisive = (_BAD, _GOOD, [f"class{k}" for k in range(5)])[min(label, 2)]
        words += list(rng.choice(decisive, 3))
        rng.shuffle(words)
        texts.append(" ".join(words))
        labels.append(label if rng.random() > 0.05 else int(rng.integers(len(classes))))
    return Labelled(texts, np.array(labels, dtype=np.int64), target_of(classes), source=f"{n} made reviews")


def review_texts(n: int, seed: int = 41, classes: tuple[str, ...] = ("negative", "positive")) -> list[str]:
    """The texts of such reviews."""
    return [str(text) for text in made_reviews(n, seed, classes).inputs]


RULES = [(r"\b[89]/10\b", "positive"), (r"\b[12]/10\b", "negative")]


def rated_texts(n: int, seed: int) -> list[str]:
    """Texts of reviews; three of four state a rating, which follows from the class."""
    reviews, rng = made_reviews(n, seed), np.random.default_rng(seed)
    ratings = [f"{(1, 8)[label] + rng.integers(2)}/10" if rng.random() < 0.75 else "" for label in reviews.labels]
    return [f"{text} {rating}" for text, rating in zip(reviews.inputs, ratings, strict=True)]


LANGUAGE_MODEL = PretrainRecipe(
    "test", 8, 10, vocab_size=90, epochs=1, batch_size=8, bptt=11, num_sampled=24, learning_rate=0.02
)


@cache
def language_model() -> PretrainedLM:
    """A small language model of such reviews."""
    return pretrain(review_texts(500, 40), recipe=LANGUAGE_MODEL, seed=4)


def made_rare(n: int, seed: int, share: float = 0.1) -> Labelled:
    """Texts of ten words; a word of three makes the rare class likely, not certain."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(n):
        rare = rng.random() < share
        words = [f"word{w}" for w in rng.integers(0, 40, 10)]
        if rng.random() < (0.85 if rare else 0.06):
            words[int(rng.integers(10))] = f"sign{rng.integers(3)}"
        texts.append(" ".join(words))
        labels.append("rare" if rare else "usual")
    return Labelled.of(texts, labels, "made rare")


def made_corpus(count: int, seed: int) -> list[str]:
    """Texts of 20 to 60 words out of 60; a word and the text's mood determine three words that can follow."""
    rng = np.random.default_rng(seed)
    follows = rng.integers(0, 60, size=(2, 60, 3))
    texts = []
    for _ in range(count):
        mood, word, words = int(rng.integers(2)), int(rng.integers(60)), []
        for _ in range(int(rng.integers(20, 60))):
            words.append(f"w{word}")
            word = int(follows[mood, word, rng.integers(3)])
        texts.append(" ".join(words))
    return texts


def made_ratings(n: int, seed: int, unit: float = 20.0, mean: float = 500.0) -> Labelled:
    """Texts whose number is the sum of the values of their words and a little noise, in the given unit."""
    rng = np.random.default_rng(seed)
    value = np.random.default_rng(99).normal(0, 1, 40)
    texts, numbers = [], []
    for _ in range(n):
        words = rng.choice(40, int(rng.integers(3, 9)), replace=False)
        texts.append(" ".join(f"word{w}" for w in words))
        numbers.append(mean + unit * (value[words].sum() + rng.normal(0, 0.3)))
    return Labelled.of(texts, numbers, "made ratings", task="regression")
