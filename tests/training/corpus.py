"""Made texts with structure to learn: words that follow one another by a rule, in two moods."""

from __future__ import annotations

import numpy as np

__all__ = ["made_corpus"]


def made_corpus(count: int, seed: int) -> list[str]:
    """Texts of 20 to 60 words over 60, each word followed by one of three that belong to it and to the text's mood."""
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
