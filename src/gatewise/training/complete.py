"""What follows the best epoch: the n-grams are fitted, and both paths weighed on the validation part.

All of it follows from the data, the recipe and the epoch's weights, so a run that was resumed ends with the same bits.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from gatewise.kernels.threads import threads
from gatewise.metrics.evaluation import Evaluation, log_probabilities
from gatewise.model.card import Calibrated
from gatewise.model.model import Model
from gatewise.training.callback import Callback
from gatewise.training.ensemble import fit_ensemble_weights, fold
from gatewise.training.lsa_classifier import joined
from gatewise.training.ngrams import FittedNgrams, fit_ngrams, targets_of
from gatewise.training.training_data import TrainingData

__all__ = ["completed"]


def completed(model: Model, training_data: TrainingData, callback: Callback) -> Model:
    """The network's best epoch with what the recipe puts beside and behind it; as it is where that is nothing."""
    recipe = training_data.recipe
    if not recipe.ngram_order and not recipe.calibrate:
        return model
    rows, classes = training_data.validation, len(training_data.data.classes)
    kept = [training_data.whole[n] for n in rows]
    targets = targets_of(training_data.labels[rows], classes)
    fitted = _fitted(training_data, callback) if recipe.ngram_order else None
    if fitted is not None and training_data.latent is not None:
        fitted = joined(fitted, training_data.latent, kept, targets, callback)
    added = None if fitted is None else fitted.ngrams.logits(kept) + fitted.bias
    alone = model.logits_of(kept)
    weighing = fit_ensemble_weights(alone, added, targets)
    bias = np.zeros(model.architecture.outputs) if fitted is None else fitted.bias
    parameters, ngrams = fold(model.parameters, None if fitted is None else fitted.ngrams, bias, weighing)
    name, truth = "validation part, which also weighed and calibrated it", training_data.labels[rows]
    before = Evaluation.of(log_probabilities(alone), truth, model.classes, name)
    model = replace(model, parameters=parameters, ngrams=ngrams)
    both = weighing.network * alone + weighing.shift + (0 if added is None else weighing.ngrams * added)
    after = Evaluation.of(log_probabilities(both), truth, model.classes, name)
    callback.note(f"weighed: {weighing}; validation accuracy {after.accuracy:.4f}, loss {after.loss:.4f}")
    found = Calibrated(
        str(weighing),
        "the validation part; before: the network alone",
        after.n,
        before.loss,
        after.loss,
        before.calibration_error,
        after.calibration_error,
    )
    return replace(model, metadata=replace(model.metadata, calibrated=found)).measured(after)


def _fitted(training_data: TrainingData, callback: Callback) -> FittedNgrams | None:
    recipe, began = training_data.recipe, time.perf_counter()
    unknown = training_data.preprocessor.unknown
    rows, classes, soft = training_data.rows, len(training_data.data.classes), training_data.soft
    labels = training_data.labels[rows] if soft is None else soft.targets[rows][:, 1 if classes == 2 else 0 :]
    fitted = fit_ngrams(
        [training_data.whole[n] for n in rows],
        labels,
        classes,
        recipe.ngram_order,
        # Three times the text holds three times the n-grams, and those of two texts alone are hardly worth their place.
        recipe.ngram_min_df + (soft is not None),
        recipe.ngram_l2,
        most=recipe.max_ngrams,
        without=[] if unknown is None else [unknown],
        weights=None if soft is None else soft.weights[rows],
        threads=threads(),
    )
    count, seconds = len(fitted.ngrams), time.perf_counter() - began
    callback.note(f"{count:,} n-grams of 1 to {recipe.ngram_order} words fitted in {seconds:.1f} s")
    return fitted if count else None
