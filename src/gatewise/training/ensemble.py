"""Ensemble the network with the n-gram model, and calibrate the result, on the validation set.

    logit = a network + b ngrams + c

is fitted by logistic regression (Platt 1999; a alone is the temperature of Guo et al. 2017). a and b are scalars, c has
one value per logit. The penalty

    L2 / 2 ((a - 1)² + (b - 1)² + Σ c²)

draws towards the plain sum: a hundred rows cannot lead far away from it, and thousands override it. Multi-label rows
have one cross-entropy per label. The weights of a regression are those of a least-squares fit of the standardised
numbers, drawn towards the mean of both predictions (Breiman 1996, "Stacked regressions"). The model stores
a, b and c (`gatewise.members.ensemble`). All of it follows from the data, the
recipe and the weights of the best epoch, so a resumed run ends with the same bits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from gatewise.errors import InputError, counted
from gatewise.kernels.threads import threads
from gatewise.members.ensemble import Ensemble
from gatewise.members.member import Member
from gatewise.metrics import RegressionEvaluation, evaluate
from gatewise.model.card import CalibrationReport
from gatewise.model.model import Model
from gatewise.training.callback import Callback
from gatewise.training.ngram_selection import select_ngrams, selects
from gatewise.training.ngrams import MIN_DF, NgramModel, fit_ngrams
from gatewise.training.stack import fit_weights
from gatewise.training.target_scaling import TargetScaling
from gatewise.training.training_data import TrainingData
from gatewise.types import Array, Task

MIN_CALIBRATION_ROWS = 100  # validation rows from which a model is called calibrated
L2 = 5.0  # chosen on train reviews, for a hundred to thousands of rows: docs/log/accuracy.md


class EnsembleWeights(NamedTuple):
    """logit = network x network's logit + ngrams x n-gram logit + shift (outputs,), fitted on `rows` rows.

    linear: the name of the linear model, in place of the n-grams that of series.
    """

    network: float
    ngrams: float
    shift: Array
    rows: int
    linear: str = "n-grams"

    def __str__(self) -> str:
        parts = f"LSTM x {self.network:.2f}" + (f", {self.linear} x {self.ngrams:.2f}" if self.ngrams else "")
        if self.shift.any():
            parts += ", shift " + ", ".join(f"{c:+.2f}" for c in self.shift)
        return f"{parts}, fitted on {counted(self.rows, 'validation row')}"

    def combine(self, network: Array, ngrams: Array | None) -> Array:
        """The ensemble's logits (n, outputs) from the logits of its parts."""
        return np.asarray(self.network * network + self.shift + (0 if ngrams is None else self.ngrams * ngrams))


def fit_ensemble(
    model: Model, training_data: TrainingData, out_of_fold: Array | None, callback: Callback
) -> tuple[Model, Array | None, Array | None]:
    """The model with the n-gram model and the calibration that its recipe asks for, fitted and measured; the
    ensemble's logits (validation rows, outputs) from parts that were fitted without them, None where they are the
    model's own; and its logits (training rows, outputs) from n-gram models without them, None where there are none.

    out_of_fold (n, outputs): the network's logits of all rows by cross-validation; None where the network has not been
    trained on the validation set.
    """
    recipe, task, scaling = training_data.recipe, training_data.data.task, training_data.target_scaling
    if not recipe.ngrams.order and not recipe.calibrates:
        return model, out_of_fold, None
    rows = training_data.validation
    sequences = [training_data.full_sequences[n] for n in rows]
    targets = training_data.targets(rows)
    sample_weight = training_data.sample_weight(rows)
    selected = select_ngrams(training_data, callback) if selects(training_data) else None
    ngram_model = _fit_ngram_model(training_data, callback) if recipe.ngrams.order and selected is None else None
    added = {"LSA classifier": training_data.lsa_classifier, "pretrained n-grams": training_data.transferred}
    for name, other in added.items():
        if ngram_model is not None and other is not None:
            ngram_model = add_ngram_model(ngram_model, other, sequences, targets, callback, name, sample_weight)
    ngram_logits = None if ngram_model is None else ngram_model.logits(sequences)
    network_logits = model.ensemble.logits(sequences) if out_of_fold is None else out_of_fold
    if selected is None:
        standardised = network_logits if scaling is None else scaling.transform(network_logits)
        weights = fit_ensemble_weights(standardised, ngram_logits, targets, task=task, sample_weight=sample_weight)
    else:
        ngram_model, ngram_logits, _ = selected
        weights = fit_network_weight(network_logits, ngram_logits, targets, sample_weight=sample_weight)
    if scaling is not None:
        weights, ngram_model = in_unit(weights, scaling), ngram_model and ngram_model.scaled(scaling)
        ngram_logits = None if ngram_model is None else ngram_model.logits(sequences)
    combined = weights.combine(network_logits, ngram_logits)
    others = () if ngram_model is None else ((ngram_model.ngrams, ngram_model.bias),)
    model = replace(model, ensemble=assembled(model.ensemble, others, weights))
    model = with_report(model, training_data, weights, network_logits, combined, callback)
    held_out = combined if selected is not None or out_of_fold is not None else None
    if selected is None or selected.held_out_train is None:
        return model, held_out, None
    return model, held_out, as_ensemble(selected.held_out, combined, selected.held_out_train)


def as_ensemble(ngrams: Array, combined: Array, query: Array) -> Array:
    """The ensemble's logits (m, outputs) of rows that the network was trained on, from the n-grams' held-out logits
    `query` of them: the least-squares line from the n-gram to the ensemble logits of the validation rows (n, outputs).
    """
    center, mean = ngrams.mean(axis=0), combined.mean(axis=0)
    variance = np.square(ngrams - center).mean(axis=0)
    covariance = ((ngrams - center) * (combined - mean)).mean(axis=0)
    return np.asarray(mean + covariance / np.maximum(variance, 1e-12) * (query - center))


def with_report(
    model: Model,
    training_data: TrainingData,
    weights: EnsembleWeights,
    network: Array,
    combined: Array,
    callback: Callback,
) -> Model:
    """The ensemble with its scores on the validation set and, from `MIN_CALIBRATION_ROWS` rows, its calibration.
    network, combined: logits (validation rows, outputs) of the network and of the ensemble.
    """
    part, labels = training_data.validation_name, training_data.labels[training_data.validation]
    name = f"{part}, used to fit the ensemble weights"
    before, after = (evaluate(model.target, logits, labels, name) for logits in (network, combined))
    model = model.with_evaluation(after)
    callback.log(f"ensemble: {weights}; {part}: {model.metadata.evaluations[-1].figures}")
    if isinstance(before, RegressionEvaluation) or isinstance(after, RegressionEvaluation):
        return model
    if after.n < MIN_CALIBRATION_ROWS:  # the weights are fitted all the same, but nothing is claimed
        callback.log(
            f"not calibrated: {counted(after.n, 'validation row')}, at least {MIN_CALIBRATION_ROWS} are needed"
        )
        return model
    calibration = CalibrationReport(
        str(weights),
        f"the {part}; before: the network alone",
        after.n,
        before.loss,
        after.loss,
        before.calibration_error,
        after.calibration_error,
    )
    return replace(model, metadata=replace(model.metadata, calibration=calibration))


def add_ngram_model(
    ngram_model: NgramModel,
    other: NgramModel,
    sequences: Sequence[Array],
    targets: Array,
    callback: Callback,
    name: str = "LSA classifier",
    sample_weight: Array | None = None,
) -> NgramModel:
    """The weighted sum of both as one n-gram model; weights fitted to targets (n, outputs) of n sequences with weights
    sample_weight (n,), with the penalty towards 1/2 each. name: of `other`, for the message.
    """
    models = ngram_model, other
    logits = np.stack([model.logits(sequences) for model in models], axis=2)
    weights, shift = fit_weights(logits, targets, np.full(2, 0.5), L2, l2_shift=L2, sample_weight=sample_weight)
    callback.log(f"n-grams x {weights[0]:.2f}, {name} x {weights[1]:.2f}")
    first, second = (
        replace(model.ngrams, weight=(weight * model.ngrams.weight).astype(np.float32))
        for model, weight in zip(models, weights, strict=True)
    )
    return NgramModel(first.add(second), weights[0] * ngram_model.bias + weights[1] * other.bias + shift)


def fit_ensemble_weights(
    network: Array,
    ngrams: Array | None,
    targets: Array,
    l2: float = L2,
    *,
    task: Task = "classification",
    sample_weight: Array | None = None,
) -> EnsembleWeights:
    """Fit a, b and c. network, ngrams: logits (n, outputs) of the same rows, None without n-gram model; targets
    (n, outputs): see `TrainingData.targets`; sample_weight (n,). Raises InputError for unequal shapes or no row.
    """
    n = len(network)
    if not n or targets.shape != network.shape or (ngrams is not None and ngrams.shape != network.shape):
        raise InputError("ensemble: logits and targets must have one shape (n, outputs), with n at least 1")
    parts = [network] if ngrams is None else [network, ngrams]
    prior = np.full(len(parts), 1 / len(parts) if task == "regression" else 1.0)
    options: dict[str, Any] = {"task": task, "sample_weight": sample_weight, "l2_shift": l2}
    weights, shift = fit_weights(np.stack(parts, axis=2), targets, prior, l2, **options)
    return EnsembleWeights(float(weights[0]), float(weights[1]) if ngrams is not None else 0.0, shift, n)


def fit_network_weight(
    network: Array,
    linear: Array,
    targets: Array,
    l2: float = L2,
    network_l2: float = 4 * L2,
    *,
    shift: bool = True,
    task: Task = "classification",
    sample_weight: Array | None = None,
) -> EnsembleWeights:
    """The weights of a network from random weights and of a calibrated linear model: drawn towards 0 and 1, and never
    negative. On few rows, where a network learns next to nothing, the linear model remains.

    network_l2: penalty of the network's weight, l2: of the others. shift, task, sample_weight: see `fit_weights`.
    """
    logits, prior, penalties = np.stack([network, linear], axis=2), np.array([0.0, 1.0]), np.array([network_l2, l2])
    options: dict[str, Any] = {"task": task, "sample_weight": sample_weight, "l2_shift": l2 if shift else None}
    weights, shifts = fit_weights(logits, targets, prior, penalties, lowest=0.0, **options)
    return EnsembleWeights(float(weights[0]), float(weights[1]), shifts, len(network))


def in_unit(weights: EnsembleWeights, scaling: TargetScaling) -> EnsembleWeights:
    """Weights for the numbers in their own unit, from those for standardised numbers."""
    rest = 1 - weights.network - weights.ngrams  # what the two parts leave of the mean
    return weights._replace(shift=rest * scaling.mean + scaling.scale * weights.shift)


def assembled(ensemble: Ensemble, others: Sequence[tuple[Member, Array]], weights: EnsembleWeights) -> Ensemble:
    """The ensemble of an LSTM and at most one other member, which comes with its bias (outputs,)."""
    shift = weights.shift + sum(weights.ngrams * bias for _, bias in others)
    members = (ensemble.lstm, *(member for member, _ in others))
    return Ensemble(members, (weights.network, weights.ngrams)[: len(members)], np.asarray(shift), ensemble.target)


def _fit_ngram_model(training_data: TrainingData, callback: Callback) -> NgramModel | None:
    recipe, start = training_data.recipe, time.perf_counter()
    rows, classes, soft = training_data.epoch_rows, len(training_data.data.classes), training_data.soft_targets
    task = training_data.data.task
    if soft is not None:
        labels = soft.targets[rows][:, 1 if classes == 2 else 0 :]
    else:
        labels = training_data.labels[rows] if task == "classification" else training_data.targets(rows)
    weights = None if training_data.weights is None else training_data.weights[rows]
    if soft is not None:
        weights = soft.weights[rows] if weights is None else soft.weights[rows] * weights
    fitted = fit_ngrams(
        [training_data.full_sequences[n] for n in rows],
        labels,
        classes,
        recipe.ngrams.order,
        # Soft-labelled texts triple the text and the n-grams; those of two texts alone gain next to nothing.
        MIN_DF + (soft is not None),
        recipe.ngrams.l2,
        exclude=training_data.excluded_tokens,
        sample_weight=weights,
        task=task,
        threads=threads(),
    )
    count, seconds = len(fitted.ngrams), time.perf_counter() - start
    words = "1 word" if recipe.ngrams.order == 1 else f"1 to {recipe.ngrams.order} words"
    callback.log(f"{counted(count, 'n-gram')} of {words} fitted in {seconds:.1f} s")
    if training_data.logit_shift is not None:
        fitted = fitted._replace(bias=fitted.bias - training_data.logit_shift)
    return fitted if count else None
