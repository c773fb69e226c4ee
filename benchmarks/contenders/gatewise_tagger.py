"""The default tagger of gatewise."""

from __future__ import annotations

from functools import partial

import gatewise as gw
from benchmarks.contenders.taggers import Labels, Predict, Prediction, Words, tagger_task


def fit(words: Words, labels: Labels, seed: int) -> Predict:
    """`gw.train` as it comes."""
    model = gw.train(words, labels, task="tagging", seed=seed, verbose=0)

    def predict(query: Words) -> Prediction:
        classes = [str(name) for name in model.classes]
        return Prediction(classes, [list(map(str, row)) for row in model.predict(query)], model.predict_proba(query))

    return predict


TASKS = {"tagger": partial(tagger_task, fit, {"gatewise": gw.__version__, "settings": "default"})}
