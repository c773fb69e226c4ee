"""Learning from unlabelled texts: an LSA classifier, and soft labels that a teacher predicts for a student.

Self-training (Scudder 1965) with the soft targets of distillation (Hinton et al. 2015). The teacher is an ensemble that
is trained on the labelled texts; or for few labels (recipe `few-shot`) stacked generalisation (Wolpert 1992) of two
classifiers that err on different texts: a logistic regression on LSA document vectors of all texts (`lsa`), and the
n-gram model. Cross-validation gives their logits for the labelled texts, to which their weights are fitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gatewise.data import Unlabelled
from gatewise.data.split import cross_validation_folds
from gatewise.kernels.threads import threads
from gatewise.network.batch import truncate
from gatewise.target import log_probabilities
from gatewise.training.dense_solver import fit_standardised_glm
from gatewise.training.fields import with_values
from gatewise.training.lsa import LSA, LSA_L2, fit_lsa_classifier, fit_lsa_of, subsample, subsampled
from gatewise.training.members import Run
from gatewise.training.members.ngrams import MIN_DF, NgramFeatures
from gatewise.training.processes import current
from gatewise.training.stack import L2, fit_weights
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

FOLDS = 5

Probabilities = NDArray[np.float64]  # (m, K)
Teach = Callable[[TrainingData, list[Array]], Probabilities | None]
"""Trains an ensemble and predicts the soft labels of full sequences; None in all processes but the first."""


def learn_unlabelled(data: TrainingData, unlabelled: Unlabelled, run: Run, teach: Teach) -> TrainingData:
    """The training data with soft-labelled texts, and an LSA classifier in `run.ngrams`, as the recipe asks.

    Texts that are among the labelled ones are left out: training texts have their label, and a validation text must not
    be trained on.
    """
    settings, unlabelled = data.recipe.unlabelled, unlabelled.without(data.data)
    run.unlabelled = unlabelled.source
    sequences = [np.asarray(s) for s in data.preprocessor.encode_batch(unlabelled.texts)]
    if settings.teacher == "stacking":  # which needs the document vector of each text
        sequences = subsampled(sequences)
    lsa = fit_lsa_of(data, sequences, run.seed, run.callback)
    if lsa is not None:
        run.ngrams["LSA classifier"] = fit_lsa_classifier(data, lsa)
    if not settings.student_epochs:
        return data
    query, found = subsample(len(sequences), settings.max_pseudo_labels), None
    if settings.teacher == "stacking" and data.recipe.uses_lsa:
        run.callback.log(f"teacher: stacking, for {run.unlabelled}")
        if not current().rank:
            found = stacked_predictions(data, sequences, lsa, query, run)
    else:
        run.callback.log(f"teacher: a network, for {run.unlabelled}")
        if run.checkpoints is not None:
            run.checkpoints = run.checkpoints / "teacher"
            run.checkpoints.mkdir(exist_ok=True)
        found = teach(data, [sequences[n] for n in query])
        run.checkpoints = run.folder.folder
    run.callback.log(f"student: learns from the labels and {len(query):,} soft labels of the teacher")
    raw = current().share(b"" if found is None else found.astype(np.float32).tobytes())
    soft_labels = np.frombuffer(raw, dtype=np.float32).reshape(len(query), -1)
    return with_pseudo_labels(data, [sequences[n] for n in query], soft_labels.astype(np.float64))


def with_pseudo_labels(data: TrainingData, full_sequences: list[Array], soft_labels: Probabilities) -> TrainingData:
    """A student's training data: m more texts (full sequences) with soft labels (m, K)."""
    one_hot = np.eye(soft_labels.shape[1], dtype=np.float32)[data.labels]  # (n, K)
    weights, train = data.weights, data.train
    if weights is not None:  # a soft-labelled row has the mean of the class weights under its probabilities
        of_classes = np.ones(soft_labels.shape[1]) if data.class_weights is None else data.class_weights
        scale = weights[train[0]] / of_classes[data.labels[train[0]]]
        weights = np.concatenate([weights, scale * (soft_labels @ of_classes)]).astype(np.float32)
    return replace(
        data,
        recipe=with_values(data.recipe, {"optimisation.epochs": data.recipe.unlabelled.student_epochs}),
        sequences=data.sequences + [truncate(s, data.architecture) for s in full_sequences],
        full_sequences=data.full_sequences + full_sequences,
        labels=np.concatenate([data.labels, soft_labels.argmax(axis=1)]),
        soft_targets=np.concatenate([one_hot, soft_labels.astype(np.float32)]),
        weights=weights,
    )


def stacked_predictions(
    data: TrainingData, unlabelled: list[Array], lsa: LSA | None, query: NDArray[np.int64], run: Run
) -> Probabilities:
    """Probabilities (m, K) of the m query rows of `unlabelled`, full sequences. The validation set is not read.

    lsa: of the training part and all unlabelled texts (`lsa.fit_lsa_of`); None where no n-gram is frequent enough.
    """
    train, recipe = data.train, data.recipe.ngrams
    texts, targets = data.full(train) + unlabelled, data.targets(train)

    def by_lsa(rows: NDArray[np.int64], query: NDArray[np.int64]) -> Array:
        """Logits (m, outputs) of the query rows of `texts`, from a fit to `rows`."""
        assert lsa is not None
        vectors = lsa.document_vectors
        weight, bias = fit_standardised_glm(vectors[rows], targets[rows], LSA_L2, shared_scale=True)
        return np.asarray(vectors[query] @ weight.T + bias)

    def by_ngrams(rows: NDArray[np.int64], query: NDArray[np.int64]) -> Array:
        features = NgramFeatures.of([texts[row] for row in rows], recipe.order, MIN_DF, data.excluded_tokens)
        found = features.fit(targets[rows], l2=recipe.l2, threads=threads())
        return found.logits([texts[row] for row in query])

    classifiers = {"n-grams": by_ngrams} if lsa is None else {"LSA": by_lsa, "n-grams": by_ngrams}
    held_out = {name: np.zeros(targets.shape) for name in classifiers}
    for fitted, held in cross_validation_folds(data.data.take(train), FOLDS, run.seed):
        for name, classifier in classifiers.items():
            held_out[name][held] = classifier(fitted, held)
    logits, prior = np.stack(list(held_out.values()), axis=2), np.full(len(held_out), 1 / len(held_out))
    weights, shift = fit_weights(logits, targets, prior, L2, L2)
    rows = np.arange(len(train))
    logits = np.stack([classifier(rows, len(train) + query) for classifier in classifiers.values()], axis=2)
    parts = ", ".join(f"{name} x {weight:.2f}" for name, weight in zip(classifiers, weights, strict=True))
    run.callback.log(f"stacking on {len(train):,} labelled of {len(texts):,} texts: {parts}")
    return np.asarray(np.exp(log_probabilities(logits @ weights + shift)), dtype=np.float64)
