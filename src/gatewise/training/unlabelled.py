"""Learning from unlabelled texts: an LSA classifier, and soft labels that a teacher predicts for a student.

Self-training (Scudder 1965) with the soft targets of distillation (Hinton et al. 2015). The teacher is an ensemble that
is trained on the labelled texts; or for few labels (recipe `few-shot`) stacked generalisation (Wolpert 1992) of
classifiers that err on different texts: a logistic regression on LSA document vectors of all texts, and with a
pretrained language model a logistic regression on what it predicts after prompts (`training.prompts`). Cross-validation
gives their logits for the labelled texts, to which their weights are fitted.

Latent semantic analysis (LSA, Deerwester et al. 1990) describes a text by its coordinates along the directions in
which a collection varies most. With df_j the texts of n that contain n-gram j,

    a_ij = log(n / df_j)² / |a_i|       where text i contains j, else 0; every row has norm 1
    A ≈ U S Vᵀ                          the largest singular values, by a randomised SVD (Halko et al. 2011)

and the document vectors are A V. With few labels they are A V D: direction d of the C ones has the factor

    D_dd = 1 - (σ_C+1 / σ_d)²           σ_d: the standard deviation of A V_d over the texts

the share of its variance above that of the next direction, which is left out as noise. A regression with an L2 penalty
then prefers the first directions, the more the fewer texts there are (shrinkage of singular values: Gavish & Donoho
2017), so that one number of directions serves a hundred labels and thousands. With 20,000 labels it raises the loss.

Bases are orthonormalised by the eigenvectors of their Gram matrix (Stathopoulos & Wu 2002), in less time than by a QR
decomposition. The squared idf weights rare n-grams, so that the first directions separate good from bad and not only
one subject from another, without a list of stop words (docs/log compares powers 1 to 3).

The LSA classifier is a logistic regression w, b on the document vectors of the labelled texts. It has weights for
n-grams that no labelled text contains, as the directions come from all texts. A document vector is a sum over n-grams,
so the classifier is one too:

    Σ_j (V w)_j idf_j / |a_i| + b        over the n-grams j of text i; with the mean of |a_i| in place of |a_i|

It is an n-gram model like that of `members.ngrams`, which adds the two: the stored model needs nothing more. (In the
ensemble the mean norm is as good as each text's own: docs/log.)
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.data.labelled import Unlabelled
from gatewise.data.splits import cross_validation_folds
from gatewise.errors import counted
from gatewise.kernels.threads import ThreadMap, one_blas_thread, thread_pool, threads
from gatewise.losses import log_probabilities
from gatewise.members.encoded_sequence import EncodedSequence, steps_of
from gatewise.members.ngrams import Ngrams
from gatewise.network.batch import truncate
from gatewise.ragged import flat
from gatewise.training.dense_solver import fit_shared_weights, fit_standardised_glm
from gatewise.training.fields import with_values
from gatewise.training.members import Run
from gatewise.training.ngram_features import NgramFeatures
from gatewise.training.processes import current
from gatewise.training.prompts import prompted_vectors
from gatewise.training.stack import L2, FittedMember
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

FOLDS = 5
PROMPTS_L2 = 200.0  # of the logistic regression on features by prompts (docs/log)
LSA_L2 = 10.0  # penalty of the logistic regression on document vectors (`fit_standardised_glm`, shared_scale)
# Of the randomised SVD; with fewer of either the classifier is clearly worse.
OVERSAMPLING = 20
POWER_ITERATIONS = 8
EPSILON = 1e-10  # squared singular values below this share of the largest are rounding errors of single precision
ENTRIES_PER_PIECE = 1 << 18  # of a sparse matrix, that a thread multiplies at a time
ROWS_PER_PIECE = 1 << 13  # of a dense one
LSA_ORDER = 3  # of the n-grams
LSA_MIN_DF = 10  # rarer n-grams tell more about the texts they are from than about others
MAX_SOFT_LABELS = 10_000  # unlabelled texts that stacking labels: more take longer, and teach no more (docs/log)
MAX_TEXTS = 150_000  # unlabelled texts of the classifier's LSA: time and memory grow with them (docs/log)

Probabilities = NDArray[np.float64]  # (m, K)
Teach = Callable[[TrainingData, list[Array], Run], Probabilities | None]
"""Trains an ensemble and predicts the soft labels of full sequences; None in all processes but the first."""


def learn_unlabelled(data: TrainingData, unlabelled: Unlabelled, run: Run, teach: Teach) -> TrainingData:
    """The training data with soft-labelled texts, and an LSA classifier in `run.ngrams`, as the recipe asks.

    Texts that are among the labelled ones are left out: training texts have their label, and a validation text must not
    be trained on.
    """
    settings = data.recipe.unlabelled
    stacks = settings.teacher == "stacking"
    unlabelled = unlabelled.without(data.data)
    run.unlabelled = unlabelled.source
    sequences = steps_of(data.preprocessor.encode_batch(unlabelled.texts))
    if stacks:  # which needs the document vector of each text
        sequences = subsampled(sequences, MAX_TEXTS)
    lsa = lsa_of(data, sequences, run)
    if lsa is not None:
        run.ngrams["LSA classifier"] = lsa_classifier(data, lsa)
    if not settings.student_epochs:
        return data
    query = np.arange(len(sequences))
    if stacks:
        query = subsampled(query, MAX_SOFT_LABELS)
    query_sequences = [sequences[n] for n in query]
    predicted: Probabilities | None = None
    if stacks and lsa is not None:
        run.callback.log(f"teacher: stacking, for {run.unlabelled}")
        if not current().rank:
            predicted = stacked_predictions(data, sequences, lsa, query, run)
    else:
        run.callback.log(f"teacher: a network, for {run.unlabelled}")
        if run.checkpoints is not None:
            run.checkpoints = run.checkpoints / "teacher"
            run.checkpoints.mkdir(exist_ok=True)
        predicted = teach(data, query_sequences, run)
        run.checkpoints = run.folder.folder
    run.callback.log(f"student: learns from the labels and {len(query):,} soft labels of the teacher")
    # The first process predicts; the others receive its bytes.
    raw = b""
    if predicted is not None:
        raw = predicted.astype(np.float32).tobytes()
    soft_labels = np.frombuffer(current().broadcast(raw), dtype=np.float32).reshape(len(query), -1)
    return with_pseudo_labels(data, query_sequences, soft_labels.astype(np.float64))


def with_pseudo_labels(data: TrainingData, full_sequences: list[Array], soft_labels: Probabilities) -> TrainingData:
    """A student's training data: m more texts (token ids, not truncated) with soft labels (m, K)."""
    one_hot = np.eye(soft_labels.shape[1], dtype=np.float32)[flat(data.labels)]  # (n, K)
    loss_weight = data.loss_weight
    if loss_weight is not None:  # a soft-labelled row has the mean of the class weights under its probabilities
        of_classes = np.ones(soft_labels.shape[1])
        if data.class_weights is not None:
            of_classes = data.class_weights
        first = data.train[0]
        scale = loss_weight[first] / of_classes[data.labels[first]]
        loss_weight = np.concatenate([loss_weight, scale * (soft_labels @ of_classes)]).astype(np.float32)
    return replace(
        data,
        recipe=with_values(data.recipe, {"optimisation.epochs": data.recipe.unlabelled.student_epochs}),
        sequences=data.sequences + [truncate(s, data.architecture) for s in full_sequences],
        full_sequences=data.full_sequences + list(map(EncodedSequence, full_sequences)),
        labels=np.concatenate([data.labels, soft_labels.argmax(axis=1)]),
        soft_targets=np.concatenate([one_hot, soft_labels.astype(np.float32)]),
        loss_weight=loss_weight,
    )


def subsampled(rows: Any, limit: int) -> Any:
    """At most `limit` of the rows, evenly spaced."""
    stride = max(1, math.ceil(len(rows) / limit))
    return rows[::stride]


@dataclass(frozen=True, eq=False)
class LSA:
    """Directions of K n-grams (`keys`, ascending). components (K, C) float32: idf V, or idf V D; norms (n,): |a_i|, 0
    for a text without any of the n-grams; document_vectors (n, C) float32: a text's sum of components over its norm.
    """

    keys: NDArray[np.int64]
    components: Array
    norms: Array
    document_vectors: Array


def stacked_predictions(
    data: TrainingData, unlabelled: list[Array], lsa: LSA, query: NDArray[np.int64], run: Run
) -> Probabilities:
    """Probabilities (m, K) of the m query rows of `unlabelled`, full sequences. The validation set is not read.

    lsa: of the training part and all unlabelled texts (`lsa_of`).
    """
    train = data.epoch_rows
    texts = data.full_steps(train) + unlabelled
    # Class weights would shift the logits, and the soft labels have the class frequencies of the labelled texts.
    targets = data.targets(train).unweighted
    labelled = np.arange(len(data.train))
    rule_labelled = np.arange(len(data.train), len(train))

    vectors = {"LSA": (lsa.document_vectors, LSA_L2)}
    prompted = prompted_vectors(data, texts, np.append(np.arange(len(train)), len(train) + query), run)
    if prompted is not None:
        vectors["prompts"] = prompted, PROMPTS_L2

    def logits(fitted: NDArray[np.int64], rows: NDArray[np.int64]) -> Array:
        """(m, outputs, classifiers) of m rows, from a logistic regression on each kind of vectors of other rows."""
        of_classifiers = []
        for of_texts, l2 in vectors.values():
            weight, bias = fit_standardised_glm(of_texts[fitted], targets.take(fitted), l2, shared_scale=True)
            of_classifiers.append(of_texts[rows] @ weight.T + bias)
        return np.stack(of_classifiers, axis=2)

    held_out = np.zeros((len(labelled), targets.outputs, len(vectors)))
    for fitted, held in cross_validation_folds(data.data.take(data.train), FOLDS, run.seed):
        held_out[held] = logits(np.append(fitted, rule_labelled), held)
    mean = np.full(len(vectors), 1 / len(vectors))  # each of them predicts the label alone
    weights, shift = fit_shared_weights(held_out, targets.take(labelled), mean, L2)
    stacked = logits(np.arange(len(train)), len(train) + query) @ weights + shift
    shown = ", ".join(f"{name} x {weight:.2f}" for name, weight in zip(vectors, weights, strict=True))
    run.callback.log(f"stacking on {len(train):,} labelled of {len(texts):,} texts: {shown}")
    return np.asarray(np.exp(log_probabilities(stacked)), dtype=np.float64)


def lsa_of(data: TrainingData, unlabelled: list[Array], run: Run) -> LSA | None:
    """LSA of the training part, then of the unlabelled texts (full sequences), of which MAX_TEXTS at most. The
    validation set is not read. None where the recipe has no LSA, or where no n-gram is frequent enough.
    """
    start = time.perf_counter()
    recipe = data.recipe
    if not recipe.uses_lsa:
        return None
    texts = data.full_steps(data.epoch_rows) + subsampled(unlabelled, MAX_TEXTS)
    features = NgramFeatures.of(texts, LSA_ORDER, LSA_MIN_DF, data.excluded_tokens)
    if not len(features.keys):
        return None
    denoise = recipe.unlabelled.teacher == "stacking"  # which is for few labels
    lsa = fit_lsa(features, recipe.unlabelled.lsa_components, denoise=denoise, seed=run.seed)
    seconds = time.perf_counter() - start
    components = counted(lsa.components.shape[1], "component")
    run.callback.log(f"LSA: {components} of {counted(len(texts), 'text')} in {seconds:.1f} s")
    return lsa


def lsa_classifier(data: TrainingData, lsa: LSA) -> FittedMember:
    """The LSA classifier of the training part as an n-gram model. lsa: see `lsa_of`."""
    rows = data.epoch_rows
    vectors = lsa.document_vectors[: len(rows)]
    norms = lsa.norms[: len(rows)]
    weight, bias = fit_standardised_glm(vectors, data.targets(rows).unweighted, LSA_L2, shared_scale=True)
    scale = 1.0
    if norms.any():
        scale = norms[norms > 0].mean()
    ngrams = Ngrams(LSA_ORDER, lsa.keys, (lsa.components @ weight.T / scale).astype(np.float32))
    return FittedMember(ngrams, bias.astype(np.float64))


def fit_lsa(features: NgramFeatures, n_components: int, *, denoise: bool = False, seed: int) -> LSA:
    """LSA of n texts by their n-grams, of which there is at least one; the matrix is overwritten. Equal arguments give
    equal bits.

    n_components: at most so many directions, fewer where there are fewer n-grams or texts; a direction without
    variance is 0. denoise: whether there is D. The result does not depend on the number of threads.
    """
    keys = features.keys
    matrix = features.matrix
    n = matrix.shape[0]
    size = min(n_components, len(keys), n)
    width = min(n_components + OVERSAMPLING, len(keys), n)
    df = np.bincount(matrix.indices, minlength=len(keys))
    idf = (np.log(n / df) ** 2).astype(np.float32)  # (K,)
    matrix.data[:] = 1
    norms = np.sqrt(matrix @ np.square(idf))  # (n,)
    inverse = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
    matrix.data = idf[matrix.indices] * np.repeat(inverse, np.diff(matrix.indptr))

    start = np.random.default_rng(seed).standard_normal((len(keys), width), dtype=np.float32)
    with one_blas_thread(), thread_pool(threads()) as run:
        a = _product(matrix, run)
        a_transposed = _product(matrix.T.tocsr(), run)
        basis = _orthonormal(a(start), run)  # (n, width)
        for _ in range(POWER_ITERATIONS):
            basis = _orthonormal(a_transposed(basis), run)  # (K, width)
            basis = _orthonormal(a(basis), run)
        v = np.ascontiguousarray(_orthonormal(a_transposed(basis), run)[:, : size + 1])  # (K, C + 1)
        vectors = a(v)
    deviation = vectors.std(axis=0, dtype=np.float64)
    noise = 0.0
    if denoise and width > size:  # with all directions there is no next one
        noise = deviation[size]
    share = noise / np.maximum(deviation[:size], max(noise, 1e-30))
    factor = (1 - share**2).astype(np.float32)
    return LSA(keys, idf[:, None] * (v[:, :size] * factor), norms, vectors[:, :size] * factor)


def _product(matrix: Any, run: ThreadMap) -> Callable[[Array], Array]:
    """The product of a sparse matrix CSR (rows, columns) float32 with dense ones (columns, C), in pieces of rows for
    the threads. A row is one sum, so the result does not depend on the pieces.
    """
    from scipy.sparse import csr_matrix  # the extra [train]

    edges = np.searchsorted(matrix.indptr, np.arange(0, matrix.nnz, ENTRIES_PER_PIECE))
    pieces = []
    for first, last in zip(edges, [*edges[1:], matrix.shape[0]], strict=True):
        starts = matrix.indptr[first : last + 1]
        entries = slice(starts[0], starts[-1])
        views = (matrix.data[entries], matrix.indices[entries], starts - starts[0])  # the last one is a copy
        pieces.append((slice(first, last), csr_matrix(views, shape=(last - first, matrix.shape[1]))))

    def product(values: Array) -> Array:
        out = np.zeros((matrix.shape[0], values.shape[1]), dtype=np.float32)

        def multiply(piece: tuple[slice, Any]) -> None:
            rows, rows_of_matrix = piece
            out[rows] = rows_of_matrix @ values

        list(run(multiply, pieces))  # SciPy's sparse products release the GIL
        return out

    return product


def _orthonormal(y: Array, run: ThreadMap) -> Array:
    """U (n, w) of the singular value decomposition U S Rᵀ of y (n, w) float32, n >= w, largest first: from the
    eigenvectors of yᵀy in double precision. A column of U is 0 where the singular value is. y is overwritten.
    """
    pieces = [y[first : first + ROWS_PER_PIECE] for first in range(0, len(y), ROWS_PER_PIECE)]

    def gram(rows: Array) -> Array:
        rows = rows.astype(np.float64)
        return np.asarray(rows.T @ rows)

    squares, r = np.linalg.eigh(sum(run(gram, pieces)))
    squares = squares[::-1]
    r = r[:, ::-1]
    kept = squares > EPSILON * squares[0]
    r = np.where(kept, r, 0) / np.sqrt(np.where(kept, squares, 1))
    r = r.astype(np.float32)

    def multiply(rows: Array) -> None:
        rows[:] = rows @ r

    list(run(multiply, pieces))
    return y
