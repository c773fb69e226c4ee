"""Reviews of our own making: a few words that decide, among many that do not."""

from __future__ import annotations

import numpy as np

from gatewise.data.labelled import Labelled

_GOOD = ["fine", "lovely", "moving", "bright", "honest"]
_BAD = ["dull", "clumsy", "tired", "loud", "hollow"]
_REST = [f"word{n}" for n in range(60)]


def made_reviews(n: int, seed: int, classes: tuple[str, ...] = ("negative", "positive")) -> Labelled:
    """n texts of 5 to 40 words; the class follows from the telling words, and one label in twenty is wrong."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(n):
        label = int(rng.integers(len(classes)))
        words = list(rng.choice(_REST, int(rng.integers(5, 40))))
        telling = (_BAD, _GOOD, [f"class{k}" for k in range(5)])[min(label, 2)]
        words += list(rng.choice(telling, 3))
        rng.shuffle(words)
        texts.append(" ".join(words))
        labels.append(label if rng.random() > 0.05 else int(rng.integers(len(classes))))
    return Labelled(texts, np.array(labels, dtype=np.int64), classes, source=f"{n} made reviews")
