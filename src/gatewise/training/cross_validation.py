"""Cross-validation of the network: small data have no rows to spare for a validation set.

Each fold has a network of its own, trained for as many epochs as the final one, which is fitted to all rows. What the
networks predict for the rows of their fold, epoch by epoch, takes the place of the validation set: it chooses the
epoch of the final network and fits the ensemble weights.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from gatewise.training.callback import Callback
from gatewise.training.fields import with_values
from gatewise.training.loop import Loop
from gatewise.training.objective import SupervisedObjective, scores_of
from gatewise.training.training_data import TrainingData
from gatewise.types import Array


def cross_validate(
    training_data: TrainingData,
    loop_of: Callable[[TrainingData, int, Callback, Path | None], Loop[SupervisedObjective]],
    stop: threading.Event,
    callback: Callback,
) -> list[Array]:
    """Logits (n, outputs) of all rows out of fold, after each epoch; empty without folds, or if `stop` is set.

    loop_of(training_data, seed, callback, folder): the loop of a new network.
    """
    if not training_data.folds:
        return []
    folds, recipe = training_data.folds, with_values(training_data.recipe, {"patience": 0})
    logits: list[Array] = []
    for number, held in enumerate(folds):
        train = np.setdiff1d(training_data.train, held)
        loop = loop_of(
            replace(training_data, recipe=recipe, train=train, validation=held, folds=()), number, Callback(), None
        )
        if not loop.run(stop):
            return []
        found = loop.objective.validation_logits
        if not logits:
            shape = len(training_data.labels), found[0].shape[1]
            logits = [np.zeros(shape) for _ in found]
        for epoch, of_fold in enumerate(found):
            logits[epoch][held] = of_fold
    loss = [scores_of(training_data, found, training_data.validation).loss for found in logits]
    best = int(np.argmin(loss))
    callback.log(
        f"cross-validation of the network: {len(folds)} folds, lowest loss {loss[best]:.4f} after epoch {best + 1}"
    )
    return logits
