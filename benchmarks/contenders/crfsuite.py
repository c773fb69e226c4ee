"""A linear-chain CRF of sklearn-crfsuite, with the features and the settings of its tutorial."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version

import numpy as np
import sklearn_crfsuite

from benchmarks.contenders.taggers import Labels, Predict, Prediction, Words, tagger_task

# https://sklearn-crfsuite.readthedocs.io/en/latest/tutorial.html, without its features of parts of speech.
SETTINGS = {"algorithm": "lbfgs", "c1": 0.1, "c2": 0.1, "max_iterations": 100, "all_possible_transitions": True}


def features(words: list[str], step: int) -> dict[str, str | bool | float]:
    """Of one step."""
    word = words[step]
    features_of_word: dict[str, str | bool | float] = {
        "bias": 1.0,
        "word.lower()": word.lower(),
        "word[-3:]": word[-3:],
        "word[-2:]": word[-2:],
        "word.isupper()": word.isupper(),
        "word.istitle()": word.istitle(),
        "word.isdigit()": word.isdigit(),
    }
    for sign, other in (("-1", step - 1), ("+1", step + 1)):
        if 0 <= other < len(words):
            near = words[other]
            features_of_word[f"{sign}:word.lower()"] = near.lower()
            features_of_word[f"{sign}:word.istitle()"] = near.istitle()
            features_of_word[f"{sign}:word.isupper()"] = near.isupper()
        else:
            features_of_word["BOS" if sign == "-1" else "EOS"] = True
    return features_of_word


def _of_rows(words: Words) -> list[list[dict[str, str | bool | float]]]:
    return [[features(row, step) for step in range(len(row))] for row in words]


def fit(words: Words, labels: Labels, seed: int) -> Predict:
    """The seed has no effect: the problem is convex."""
    crf = sklearn_crfsuite.CRF(**SETTINGS)
    crf.fit(_of_rows(words), labels)
    classes = list(crf.classes_)

    def predict(query: Words) -> Prediction:
        rows = _of_rows(query)
        marginals = [
            np.array([[step.get(name, 0.0) for name in classes] for step in row]) for row in crf.predict_marginals(rows)
        ]
        return Prediction(classes, [list(row) for row in crf.predict(rows)], marginals)

    return predict


_INFO = {
    "sklearn-crfsuite": version("sklearn-crfsuite"),
    "settings": ", ".join(f"{k}={v}" for k, v in SETTINGS.items()),
}
TASKS = {"tagger": partial(tagger_task, fit, _INFO)}
