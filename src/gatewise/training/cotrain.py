"""Few labels: two readers of the same text teach each other what they think of texts without labels.

One is a head over a base's pooled states (`head`), the other n-grams (`ngrams`). Fitted on the labels alone they err on
different texts, so the sum of their logits says more than either; on what it says of the texts without labels, beside
the labels, both are fitted anew, and so on (co-training, Blum & Mitchell 1998; with probabilities for labels, as in
Nigam & Ghani 2000). The base does not move, so its states are run once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gatewise.base import Base
from gatewise.batch import cut
from gatewise.cell import Array
from gatewise.kernels.native import threads
from gatewise.training.head import fit_head, pooled
from gatewise.training.ngrams import fit_ngrams, targets_of
from gatewise.training.observer import Observer
from gatewise.training.prepared import Prepared
from gatewise.training.start import start_parameters
from gatewise.verdict import log_probabilities

__all__ = ["cotrained"]

MOST = 10_000  # texts, about, that a head is fitted on: it has a few thousand weights, and the n-grams see all of them


def cotrained(prepared: Prepared, base: Base, whole: list[Array], seed: int, observer: Observer) -> NDArray[np.float64]:
    """Probabilities (m, K) of m encoded texts after `recipe.cotrain` rounds; the validation part is not read."""
    recipe, arch, classes = prepared.recipe, prepared.architecture, len(prepared.data.classes)
    parameters = start_parameters(arch, base, seed)
    rows, unknown = prepared.train, prepared.encoder.unknown
    texts = [prepared.whole[n] for n in rows] + whole
    states = pooled(parameters, prepared, [prepared.sequences[n] for n in rows] + [cut(s, arch) for s in whole])
    labels = targets_of(prepared.labels[rows], classes)  # (n, outputs)

    def heard(known: int, targets: Array) -> Array:
        """Logits (n + m, outputs) of both readers together, fitted on the first `known` texts."""
        some = np.r_[: len(rows), len(rows) : known : 1 + (known - 1) // MOST]
        weight, bias = fit_head(states[some], targets[some], recipe.head)
        fitted = fit_ngrams(
            texts[:known],
            targets,
            classes,
            recipe.ngrams,
            recipe.ngram_minimum + (known > len(rows)),  # as a student's n-grams
            recipe.ngram_l2,
            without=[] if unknown is None else [unknown],
            threads=threads(),
        )
        return np.asarray(states @ weight.T + bias + fitted.ngrams.logits(texts) + fitted.bias)

    logits = heard(len(rows), labels)
    for done in range(recipe.cotrain):
        before = logits
        guessed = np.exp(log_probabilities(logits[len(rows) :]))  # (m, K)
        logits = heard(len(texts), np.concatenate([labels, guessed[:, -labels.shape[1] :]]))
        turned = np.mean(_classes(before[len(rows) :]) != _classes(logits[len(rows) :]))
        observer.note(f"co-training, round {done + 1} of {recipe.cotrain}: {turned:.1%} of the texts changed sides")
    return np.asarray(np.exp(log_probabilities(logits[len(rows) :])), dtype=np.float64)


def _classes(logits: Array) -> NDArray[np.int64]:
    return np.asarray(log_probabilities(logits).argmax(axis=1), dtype=np.int64)
