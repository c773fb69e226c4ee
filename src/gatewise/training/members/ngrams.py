"""Fit the n-gram member: which n-grams a text contains, scaled, and a linear classifier per class (`NgramFeatures`).

Where held-out loss chooses the model (`Comparison`), the best candidate is fitted to all rows, as a tenth of few rows
is much to lose, and the scores on the validation set are those of its held-out logits. Else the scaling is "nb", of the
training rows, and models of pretraining and of unlabelled texts are added.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gatewise.errors import counted
from gatewise.members.ngrams import Ngrams
from gatewise.training.dense_solver import fit_standardised_glm
from gatewise.training.members import Run
from gatewise.training.ngram_comparison import Candidate, Comparison, compare, fit_candidate, selects
from gatewise.training.ngram_features import MIN_DF, NgramFeatures
from gatewise.training.stack import FittedMember, HeldOutTargets, stack
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

if TYPE_CHECKING:
    from gatewise.training.pretrained import Pretrained

TRANSFER_L2 = 1.0


def fit(data: TrainingData, run: Run) -> FittedMember | None:
    """The n-gram member of texts; None where no n-gram is in enough texts."""
    others = dict(run.ngrams)
    if run.pretrained is not None and not data.recipe.frozen:
        pretrained_ngrams = transferred(data, run.pretrained)
        if pretrained_ngrams is not None:
            others["pretrained n-grams"] = pretrained_ngrams
    if selects(data) and not others:
        return _fit_best_candidate(data, run)
    return _fit_nb(data, others, run)


def _fit_nb(data: TrainingData, others: dict[str, FittedMember], run: Run) -> FittedMember | None:
    """The model with scaling "nb", added to the `others`, n-gram models by name; None where no n-gram is in enough
    texts.
    """
    start = time.perf_counter()
    order = data.recipe.ngrams.order
    rows = data.epoch_rows
    min_df = MIN_DF
    # Soft-labelled texts triple the text and the n-grams; n-grams of two texts alone gain next to nothing.
    if data.soft_targets is not None:
        min_df = MIN_DF + 1
    features = NgramFeatures.of(data.full_steps(rows), order, min_df, data.excluded_tokens)
    fitted = fit_candidate(data, Candidate("nb", features), rows, np.arange(len(rows)))
    words = "1 word"
    if order > 1:
        words = f"1 to {order} words"
    seconds = time.perf_counter() - start
    run.callback.log(f"{counted(len(features.keys), 'n-gram')} of {words} fitted in {seconds:.1f} s")
    if not len(features.keys):
        return None
    for name, other in others.items():
        fitted = added(data, fitted, other, name, run)
    scaling = data.target_scaling
    if scaling is not None:
        fitted = FittedMember(_scaled(fitted.member, scaling.scale), scaling.mean + scaling.scale * fitted.bias)
    return replace(fitted, held_out=fitted.logits(data.full(data.validation)))


def _fit_best_candidate(data: TrainingData, run: Run) -> FittedMember | None:
    """The best candidate, fitted to all rows; None where no n-gram is in enough texts."""
    best: Comparison | None = run.memo.get("ngrams")  # of the choice of tokens
    if best is None:
        best = compare(data)
    if best is None:
        return None
    start = time.perf_counter()
    at = np.searchsorted(best.rows, np.sort(data.fitted_rows))
    fitted = fit_candidate(data, best.candidate, best.rows, at)
    ngrams = _scaled(fitted.member, best.weight)
    seconds = best.seconds + time.perf_counter() - start
    run.callback.log(f"n-grams, held-out loss of {best.tried}; {len(ngrams):,} fitted in {seconds:.1f} s")
    held_out_train: Array | None = None
    of_train = best.held_out[np.searchsorted(best.rows, data.train)]
    if np.isfinite(of_train).all():  # a cross-validation held them out
        held_out_train = of_train
    return FittedMember(
        ngrams,
        best.weight * fitted.bias + best.shift,
        held_out=best.held_out[np.searchsorted(best.rows, data.validation)],
        held_out_train=held_out_train,
    )


def added(data: TrainingData, ngrams: FittedMember, other: FittedMember, name: str, run: Run) -> FittedMember:
    """The weighted sum of both n-gram models as one; its weights are fitted on the validation set."""
    rows = data.validation
    sequences = data.full(rows)
    both = [replace(model, held_out=model.logits(sequences)) for model in (ngrams, other)]
    stacked = stack(both, HeldOutTargets(data.calibration_targets(rows)))
    weight, other_weight = stacked.weights
    run.callback.log(f"n-grams x {weight:.2f}, {name} x {other_weight:.2f}")
    total = _scaled(ngrams.member, weight).add(_scaled(other.member, other_weight))
    bias = stacked.shift + (weight * ngrams.bias + other_weight * other.bias)
    return FittedMember(total, bias)


def _scaled(ngrams: Ngrams, factor: float | Array) -> Ngrams:
    return replace(ngrams, weight=(factor * ngrams.weight).astype(np.float32))


def transferred(data: TrainingData, pretrained: Pretrained) -> FittedMember | None:
    """The n-gram model of a pretrained classifier, mapped to the new classes as its network is
    (`gatewise.training.members.lstm`); None without an n-gram model, and for one that divides by a norm or reads
    characters: it cannot be added to another.
    """
    model = pretrained.classifier(data.target.task)
    if model is None:
        return None
    ngrams = model.ensemble.get("ngrams")
    if ngrams is None or not len(ngrams) or ngrams.scale is not None or ngrams.spelling is not None:
        return None
    rows = data.train
    # `added` gives the rows their weights, without class weights, which would shift the logits.
    targets = data.targets(rows).unweighted
    to_new, shift = fit_standardised_glm(ngrams.logits(data.full_steps(rows)), targets, TRANSFER_L2)
    weight = (ngrams.weight @ to_new.T).astype(np.float32)
    return FittedMember(replace(ngrams, weight=weight), shift.astype(np.float64))
