"""What texts without labels tell of n-grams: a line through latent directions, and n-grams that say the same.

A logistic regression over the coordinates of `latent` speaks of n-grams that no labelled text holds, since the
directions are those of all texts. A coordinate is a sum over a text's n-grams, so the line is one as well:

    Σ_j (V w)_j idf_j / |a_i| + b     over the n-grams j of text i;   with the mean of |a_i| in place of |a_i|

it is a weight an n-gram like any other, which stands in the same table, is explained word by word, and needs nothing
more in the model. (Beside a network the mean is as good as each text's own length: docs/log.) How much this line
and the n-grams fitted to the labels are heard is fitted on the validation part, with a penalty towards their mean.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gatewise.kernels.threads import threads
from gatewise.network.ngrams import Ngrams
from gatewise.training.callback import Callback
from gatewise.training.ensemble import L2, weights_of
from gatewise.training.linear_probe import fit_linear_probe
from gatewise.training.lsa import LATENT_L2, latent
from gatewise.training.ngrams import FittedNgrams, targets_of
from gatewise.training.soft_labels import subsample
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

__all__ = ["fit_lsa_classifier", "joined"]

ORDER, MINIMUM = 3, 10  # of 1 to 3 tokens, in so many texts: rarer ones tell more of the texts that they are from
READ = 150_000  # of the texts without labels, evenly taken: time and memory grow with them (docs/log)


def fit_lsa_classifier(
    training_data: TrainingData, whole: list[Array], seed: int, callback: Callback
) -> FittedNgrams | None:
    """The line as n-grams, fitted on the training part; the directions are its and those of the texts `whole` (encoded,
    not cut; of more than READ, so many). The validation part is not read. None where the recipe has no use for it (no
    directions, no n-grams that it could join, or a teacher that reads directions itself), or the texts share none.
    """
    recipe = training_data.recipe
    if not recipe.uses_lsa_classifier:
        return None
    began, train, unknown = time.perf_counter(), training_data.train, training_data.preprocessor.unknown
    some = [whole[n] for n in subsample(len(whole), READ)]
    texts, without = [training_data.whole[row] for row in train] + some, [] if unknown is None else [unknown]
    found = latent(texts, recipe.lsa_components, ORDER, MINIMUM, without=without, seed=seed, threads=threads())
    if not len(found.keys):
        return None
    rows = found.coordinates[: len(train)]
    targets = targets_of(training_data.labels[train], len(training_data.data.classes))
    weight, bias = fit_linear_probe(rows, targets, LATENT_L2, shared_scale=True)
    # A text that holds none of them has no length, and is none of those that the others are scaled like.
    length = found.length[: len(train)]
    scale = length[length > 0].mean() if length.any() else 1.0
    line = Ngrams(ORDER, found.keys, (found.weight @ weight.T / scale).astype(np.float32))
    seconds = time.perf_counter() - began
    callback.note(f"{rows.shape[1]} latent directions of {len(texts):,} texts in {seconds:.1f} s")
    return FittedNgrams(line, bias.astype(np.float64))


def joined(
    ngrams: FittedNgrams, line: FittedNgrams, kept: Sequence[Array], targets: Array, callback: Callback
) -> FittedNgrams:
    """Both in one, as far as each is right about the texts `kept`, whose targets (n, outputs) these are."""
    both = ngrams, line
    said = np.stack([one.ngrams.logits(kept) + one.bias for one in both], axis=2)
    heard, shift = weights_of(said, targets, np.full(2, 0.5), L2)
    callback.note(f"n-grams x {heard[0]:.2f}, latent directions x {heard[1]:.2f}")
    first, second = (
        replace(one.ngrams, weight=(part * one.ngrams.weight).astype(np.float32))
        for one, part in zip(both, heard, strict=True)
    )
    return FittedNgrams(first.add(second), heard[0] * ngrams.bias + heard[1] * line.bias + shift)
