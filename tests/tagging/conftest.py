"""A small tagger, trained once: the word after "the" is B-X, and the one after it I-X where it ends in a digit."""

import random
from pathlib import Path

import pytest

import gatewise as gw

Sentences = tuple[list[list[str]], list[list[str]]]


def made(n: int, seed: int) -> Sentences:
    rng = random.Random(seed)
    words, labels = [], []
    for _ in range(n):
        words_of = ["the", "the", "a", "cat", "Dog", "saw", "x1", "x2", "x3"]
        sentence = [rng.choice(words_of) for _ in range(7)]
        tags = ["O"] * len(sentence)
        for t, word in enumerate(sentence[1:], start=1):
            if sentence[t - 1] == "the":
                tags[t] = "B-X"
            elif tags[t - 1] == "B-X" and word[-1].isdigit():
                tags[t] = "I-X"
        words.append(sentence[: rng.randint(4, 7)])
        labels.append(tags[: len(words[-1])])
    return words, labels


@pytest.fixture(scope="session")
def sentences() -> Sentences:
    return made(260, 1)


@pytest.fixture(scope="session")
def folder(sentences: Sentences, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tagger") / "model"
    changes = {"units": 16, "embedding_dim": 12, "min_steps": 400, "learning_rate": 0.01}
    changes |= dict.fromkeys(("dropout_word", "dropout_embedding", "dropout_output"), 0.0)
    gw.train(*sentences, task="tagging", out=path, verbose=0, examples=2, **changes)
    return path


@pytest.fixture(scope="session")
def model(folder: Path) -> gw.Model:
    return gw.load(folder)
