"""What follows the best epoch: the n-grams are fitted, and both paths weighed on the validation part.

All of it follows from the data, the recipe and the epoch's weights, so a run that was resumed ends with the same bits.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from gatewise.kernels.native import threads
from gatewise.metrics.evaluation import Evaluation, log_probabilities
from gatewise.model.card import Calibrated
from gatewise.model.model import Model
from gatewise.training.callback import Observer
from gatewise.training.ensemble import fold, weigh
from gatewise.training.lsa_classifier import joined
from gatewise.training.ngrams import FittedNgrams, fit_ngrams, targets_of
from gatewise.training.training_data import Prepared

__all__ = ["completed"]


def completed(model: Model, prepared: Prepared, observer: Observer) -> Model:
    """The network's best epoch with what the recipe puts beside and behind it; as it is where that is nothing."""
    recipe = prepared.recipe
    if not recipe.ngrams and not recipe.calibrate:
        return model
    rows, classes = prepared.validation, len(prepared.data.classes)
    kept = [prepared.whole[n] for n in rows]
    targets = targets_of(prepared.labels[rows], classes)
    fitted = _fitted(prepared, observer) if recipe.ngrams else None
    if fitted is not None and prepared.latent is not None:
        fitted = joined(fitted, prepared.latent, kept, targets, observer)
    added = None if fitted is None else fitted.ngrams.logits(kept) + fitted.bias
    alone = model.logits_of(kept)
    weighing = weigh(alone, added, targets)
    bias = np.zeros(model.architecture.outputs) if fitted is None else fitted.bias
    parameters, ngrams = fold(model.parameters, None if fitted is None else fitted.ngrams, bias, weighing)
    name, truth = "validation part, which also weighed and calibrated it", prepared.labels[rows]
    before = Evaluation.of(log_probabilities(alone), truth, model.classes, name)
    model = replace(model, parameters=parameters, ngrams=ngrams)
    both = weighing.network * alone + weighing.shift + (0 if added is None else weighing.ngrams * added)
    after = Evaluation.of(log_probabilities(both), truth, model.classes, name)
    observer.note(f"weighed: {weighing}; validation accuracy {after.accuracy:.4f}, loss {after.loss:.4f}")
    found = Calibrated(
        str(weighing),
        "the validation part; before: the network alone",
        after.n,
        before.loss,
        after.loss,
        before.calibration_error,
        after.calibration_error,
    )
    return replace(model, facts=replace(model.facts, calibrated=found)).measured(after)


def _fitted(prepared: Prepared, observer: Observer) -> FittedNgrams | None:
    recipe, began = prepared.recipe, time.perf_counter()
    unknown = prepared.encoder.unknown
    rows, classes, soft = prepared.rows, len(prepared.data.classes), prepared.soft
    labels = prepared.labels[rows] if soft is None else soft.targets[rows][:, 1 if classes == 2 else 0 :]
    fitted = fit_ngrams(
        [prepared.whole[n] for n in rows],
        labels,
        classes,
        recipe.ngrams,
        # Three times the text holds three times the n-grams, and those of two texts alone are hardly worth their place.
        recipe.ngram_minimum + (soft is not None),
        recipe.ngram_l2,
        most=recipe.ngram_most,
        without=[] if unknown is None else [unknown],
        weights=None if soft is None else soft.weights[rows],
        threads=threads(),
    )
    count, seconds = len(fitted.ngrams), time.perf_counter() - began
    observer.note(f"{count:,} n-grams of 1 to {recipe.ngrams} words fitted in {seconds:.1f} s")
    return fitted if count else None
