"""Ensemble the network of a series model with the linear model on convolution features, and calibrate the result.

    logit = a network + b convolutions

as in `gatewise.training.ensemble`, on logits out of fold: those of the convolutions need no refitting
(`gatewise.training.convolutions`), those of the network come from cross-validation or are of a validation set. The
penalty draws towards the convolutions alone, a = 0 and b = 1: on most small data sets they are far more accurate than a
network, and it is the network that has to show what it adds. There is no shift: the convolutions are calibrated on all
rows, and twenty rows of a validation set would move each class (docs/log/series.md).
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from gatewise.data.split import leave_one_out_folds
from gatewise.model.model import Model
from gatewise.training.callback import Callback
from gatewise.training.convolutions import MOST_ROWS, ConvolutionModel, fit_convolutions
from gatewise.training.ensemble import assembled, fit_network_weight, in_unit, with_report
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

L2 = 1.0


def fit_series_ensemble(
    model: Model, training_data: TrainingData, out_of_fold: Array | None, seed: int, callback: Callback
) -> tuple[Model, Array]:
    """The ensemble, and its logits (validation rows, outputs), all of them out of fold.

    out_of_fold (n, outputs): the network's logits of all rows by cross-validation; None where the network has not been
    trained on the validation set.
    """
    task, scaling, rows = training_data.data.task, training_data.target_scaling, training_data.validation
    convolution_model, linear = _convolutions(training_data, seed, callback)
    network = out_of_fold
    if network is None:
        network = model.ensemble.logits([training_data.full_sequences[n] for n in rows])
    targets, sample_weight = training_data.targets(rows), training_data.sample_weight(rows)
    standardised = network if scaling is None else scaling.transform(network)
    weights = fit_network_weight(
        standardised, linear, targets, L2, L2, shift=False, task=task, sample_weight=sample_weight
    )._replace(linear="convolutions")
    if scaling is not None:
        weights, convolution_model = in_unit(weights, scaling), convolution_model.scaled(scaling)
        linear = scaling.mean + scaling.scale * linear
    combined = weights.combine(network, linear)
    others = ((convolution_model.convolutions, convolution_model.bias),)
    model = replace(model, ensemble=assembled(model.ensemble, others, weights))
    return with_report(model, training_data, weights, network, combined, callback), combined


def _convolutions(training_data: TrainingData, seed: int, callback: Callback) -> tuple[ConvolutionModel, Array]:
    """The linear model, and its logits (validation rows, outputs) out of fold, of standardised numbers."""
    data, recipe, start = training_data.data, training_data.recipe, time.perf_counter()
    validation = training_data.validation
    rows = training_data.train if training_data.own_validation else np.arange(len(data))
    if len(rows) > MOST_ROWS and not training_data.own_validation:
        folds = [validation]
    else:
        folds = leave_one_out_folds(data.take(rows))
        if len(rows) > MOST_ROWS:
            folds = [np.concatenate(folds[::5])]
    sample_weight, logit_shift = training_data.sample_weight(rows), training_data.logit_shift
    weight = sample_weight
    if data.task == "multilabel":  # one ridge regression has one weight per row, not one per label
        logit_shift = None
    elif logit_shift is not None and training_data.weights is not None:
        weight = training_data.weights[rows]
    found = fit_convolutions(
        [training_data.full_sequences[n] for n in rows],
        training_data.targets(rows),
        data.task,
        folds,
        features=recipe.convolutions.features,
        seed=seed,
        weight=weight,
        sample_weight=sample_weight,
        logit_shift=logit_shift,
    )
    callback.log(f"convolutions: {found.summary}, fitted in {time.perf_counter() - start:.1f} s")
    if training_data.own_validation:
        return found, found.logits([training_data.full_sequences[n] for n in validation])
    return found, found.out_of_fold[validation]
