"""Fit the n-gram member: which n-grams a text contains, scaled, and a linear classifier per class.

Scaling "nb", NB-SVM (Wang & Manning 2012): x_ij = r_j where text i contains n-gram j, else 0, with

    r_j = log(p_j / Σ p) - log(q_j / Σ q)       p_j = 1 + texts of the class with j, q_j = 1 + texts of the others

and a logistic regression on x:

    min  Σ_i cross-entropy_i + l2/2 Σ_j w_j²         weight_j = r_j w_j; the bias is not penalised

The scale leaves uninformative n-grams next to no influence and hardly penalises informative ones. Two classes have one
r and one w; more have one of each per class, as have the labels of multi-label rows. The optimum equals that of
scikit-learn's LogisticRegression(C=1/l2) on the scaled features (tests/training/test_ngrams.py). A regression is a
ridge regression, the loss half the squared error; a number counts in p and q with the share of the rows below it, as a
probability does.

Scaling "tfidf", for classification: x_ij = tf_ij s_j over its norm in text i, so that long and short texts have the
same norm, with tf_ij = 1 + log(occurrences) and

    s_j = (1 + log((1 + n) / (1 + df_j))) max_k |r_jk|         df_j texts contain j

and a support vector machine with squared hinge loss per class (C = 1). It is better for subjects and many classes,
"nb" for sentiment and short texts (docs/log/accuracy.md, "Scaling of the n-grams on other data sets"). Its outputs are
margins, which a calibration turns into logits. The ratios of many classes of few rows each are chance: s_j has no
maximum then, as with scaling "idf", "nb" is not tried, and tokens of one text are features too.

Scaling "auto" takes the candidate, a scaling and an order, with the lowest held-out loss. Candidates are fitted on a
part of the rows and predict the others. Below `FEW_ROWS` rows, and where one of two classes with class weights has few
validation rows, all rows are cross-validated, training and validation set; else the training rows predict the
validation set. The held-out logits of a candidate are calibrated by a weight and a shift per class. The best candidate
is fitted to all rows, as a tenth of few rows is much to lose. Scores on the validation set are those of the held-out
logits.

Where the weight of the best candidate is below `NOISE` of its usual one, its logits are too large for rows that it has
not seen: it has fitted wrong labels. Then support vector machines with 4 and 16 times the penalty are candidates too,
with ratios and without, as wrong labels make the ratios chance, and all of them are cross-validated
(docs/log/accuracy.md, "Wrong labels").

For pieces of words, n-grams of their characters are candidates too, with both scalings (docs/log/accuracy.md, "N-grams
of characters").

Tokenization "auto" compares the candidates of words and of pieces of words. Pieces are taken if the mean loss of their
best candidate over the held-out rows is lower by more than one standard error of the difference of both losses, row by
row (the one-standard-error rule of Breiman et al. 1984). Otherwise the tokens are words, which explanations show whole.
The network reads the same tokens. There is no comparison, and the tokens are words, in four cases: below `LEAST_ROWS`
rows, where the standard error is uncertain; above `MOST_WORDS` words, where pieces gain least and the comparison takes
longest; where less than `LEAST_UNKNOWN` of the held-out words are unknown, so that pieces have little to add; and where
held-out loss does not choose the n-gram model (other tasks, a pretrained model).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.data.splits import cross_validation_folds
from gatewise.errors import InputError, counted
from gatewise.members.ngrams import (
    BITS,
    CHARACTER_BITS,
    MAX_CHARACTERS,
    TOKENS_PER_CHUNK,
    Ngrams,
    counted_ngrams,
    keys_of,
    term_frequency,
)
from gatewise.members.spelling import UNKNOWN, Spelling
from gatewise.network.batch import chunks
from gatewise.training.dense_solver import calibrated, fit_standardised_glm
from gatewise.training.members import Run
from gatewise.training.recipes import RARE_WORDS, Recipe, has_small_classes
from gatewise.training.sparse_solver import fit_linear
from gatewise.training.stack import FittedMember, HeldOutTargets, stack
from gatewise.training.training_data import TrainingData, with_encoding
from gatewise.training.weighted_targets import WeightedTargets
from gatewise.types import Array

if TYPE_CHECKING:
    from gatewise.training.pretrained import Pretrained

Scaling = Literal["nb", "tfidf", "idf"]
Folds = list[tuple[NDArray[np.int64], NDArray[np.int64]]]
"""The fitted and the held-out rows of each fold, as positions."""
DEFAULT_L2: dict[Scaling, float] = {"nb": 4.0, "tfidf": 1.0, "idf": 1.0}
MIN_DF = 2  # texts that must contain an n-gram
FEW_ROWS = 2_000  # of fewer rows, candidates are cross-validated
# Validation rows of one of two classes with class weights, below which candidates are cross-validated
# (docs/log/accuracy.md, "Threshold of a rare class from out-of-fold logits").
RARE_ROWS = 30
FOLDS = 5
# Entries of the features times outputs. Above it "nb" is not tried, as "tfidf" is better for many classes, and
# candidates for wrong labels are not cross-validated.
NB_ENTRIES = 10_000_000
# The weight that the calibration of a candidate is drawn towards; margins of 1 are some 3 logits.
PRIOR: dict[Scaling, float] = {"nb": 1.0, "tfidf": 3.0, "idf": 3.0}
# A weight below this share of PRIOR shows that the candidate has fitted wrong labels (docs/log/accuracy.md, "Wrong
# labels").
NOISE = 2 / 3
SVM: tuple[Scaling, ...] = ("tfidf", "idf")
PENALTIES = (4.0, 16.0)  # factors on the penalty of support vector machines for wrong labels
CALIBRATION_L2 = 1.0
TRANSFER_L2 = 1.0
LEAST_ROWS = 500  # of a choice of tokens: with fewer, a standard error says little
MOST_WORDS = 500_000  # of all texts
ROUNDING = 1e-6  # of the losses of equal candidates
# Of the held-out words. Slovene comments have 22%, all other sets 3% to 10% (docs/log/accuracy.md, "Subwords by
# byte-pair encoding").
LEAST_UNKNOWN = 0.15


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
    fitted = _fit_rows(data, Candidate("nb", features), rows, np.arange(len(rows)))
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


@dataclass(frozen=True, eq=False)
class NgramFeatures:
    """How often each of n texts contains each n-gram (keys (K,), ascending): once for all models fitted to them.

    matrix: scipy.sparse CSR (n, K) float32 of term frequencies (`members.ngrams.term_frequency`). spelling: as of
    `Ngrams`.
    """

    order: int
    keys: NDArray[np.int64]
    matrix: Any
    spelling: Spelling | None = None

    @classmethod
    def of(
        cls,
        sequences: Sequence[Array],
        order: int,
        min_df: int,
        exclude: Sequence[int] = (),
        spelling: Spelling | None = None,
        *,
        token_min_df: int = 0,
    ) -> NgramFeatures:
        """The n-grams of 1 to `order` tokens, none of them in `exclude`, that at least `min_df` texts contain, a single
        token at least `token_min_df` where this is given; with a spelling those of 2 to `order` characters, as one
        alone tells next to nothing.
        """
        from scipy.sparse import csr_matrix, vstack  # the extra [train]

        lookup = Ngrams(order, np.zeros(0, np.int64), np.zeros((0, 1), np.float32), None, spelling)
        values, lengths, _ = lookup.read(sequences)
        if spelling is None:
            excluded = np.isin(values, exclude)
        else:
            excluded = np.isin(values, UNKNOWN)
        least = [token_min_df or min_df] + [min_df] * (order - 1)  # texts, by order
        # The keys of each order that occur often enough. A text with several occurrences counts once in the document
        # frequency, so no n-gram is lost here, and the matrix of the others is small.
        frequent: list[NDArray[np.int64]] = []
        for key, end in keys_of(values, lengths, order, lookup.bits):
            allowed = ~excluded[end]
            if spelling is not None and not frequent:  # single characters
                allowed[:] = False
            for back in range(1, len(frequent) + 1):
                allowed &= ~excluded[end - back]
            key = np.sort(key[allowed])
            first = np.flatnonzero(np.diff(key, prepend=-1))
            occurrences = np.diff(first, append=len(key))
            frequent.append(key[first[occurrences >= least[len(frequent)]]])
        keys = np.concatenate(frequent)
        lookup = replace(lookup, keys=keys, weight=np.zeros((len(keys), 1), np.float32))
        matrices = []
        for chunk in chunks(sequences, TOKENS_PER_CHUNK // lookup.width):
            document, term, count = counted_ngrams(lookup, chunk)
            tf = term_frequency(count).astype(np.float32)
            starts = np.searchsorted(document, np.arange(len(chunk) + 1))
            entries = (tf, term.astype(np.int32), starts.astype(np.int32))
            matrices.append(csr_matrix(entries, shape=(len(chunk), len(keys))))
        total = sum(matrix.nnz for matrix in matrices)
        if total > np.iinfo(np.int32).max:  # the type of the indices
            raise InputError(f"n-grams: {total:,} entries are too many; take fewer texts or a lower ngrams.order")
        matrix = vstack(matrices, format="csr")
        least_of_keys = np.repeat(least[: len(frequent)], list(map(len, frequent)))
        kept = np.bincount(matrix.indices, minlength=len(keys)) >= least_of_keys
        return cls(order, keys[kept], matrix[:, kept], spelling)

    def up_to(self, order: int) -> NgramFeatures:
        """The n-grams of up to `order` tokens."""
        if order >= self.order:
            return self
        count = int(np.searchsorted(self.keys, 1 << BITS * order))
        if count == len(self.keys):
            return self
        return replace(self, order=order, keys=self.keys[:count], matrix=self.matrix[:, :count])

    def __str__(self) -> str:
        if self.spelling is not None:
            return f"2- to {self.order}-grams of characters"
        if self.order == 1:
            return "1-grams"
        return f"1- to {self.order}-grams"

    def fit(
        self,
        targets: WeightedTargets,
        scaling: Scaling = "nb",
        *,
        rows: NDArray[np.int64] | None = None,
        l2: float | None = None,
        max_iter: int = 100,
        tol: float = 0.01,
    ) -> FittedMember:
        """Fit the targets of these rows (m,), by default all. l2: the penalty, by default 4 for "nb", else 1. tol: stop
        where the gradient is this small, relative to that at zero. Equal arguments give equal bits.
        """
        if not len(self.keys):
            nothing = np.zeros((0, targets.outputs), dtype=np.float32)
            return FittedMember(self._member(nothing), np.zeros(targets.outputs))
        if rows is None:
            rows = np.arange(self.matrix.shape[0])
        x = self.matrix[rows]
        l2 = l2 or DEFAULT_L2[scaling]
        if scaling == "nb":
            return self._fit_nb(x, targets, l2, max_iter, tol)
        return self._fit_svm(x, targets, l2, scaling, tol)

    def _fit_nb(self, x: Any, targets: WeightedTargets, l2: float, max_iter: int, tol: float) -> FittedMember:
        """NB-SVM, see the module's docstring, on x CSR (m, K), which is overwritten."""
        x.data[:] = 1
        form: Literal["logistic", "squared"]
        if targets.loss.has_unit:
            from scipy.stats import rankdata

            form = "squared"
            # The share of smaller numbers, ties counted half.
            y = (rankdata(targets.values, axis=0) - 0.5) / len(targets)
        else:
            form = "logistic"
            y = targets.values
        weight = np.broadcast_to(targets.weight.reshape(len(y), -1), y.shape)
        ratios = [log_count_ratio(x, of_class, of_rows) for of_class, of_rows in zip(y.T, weight.T, strict=True)]
        r = np.stack(ratios, axis=1)
        w, bias = fit_linear(x, targets, l2, form, scale=r, max_iter=max_iter, tol=tol)
        return FittedMember(self._member(w * r), bias)

    def _fit_svm(self, x: Any, targets: WeightedTargets, l2: float, scaling: Scaling, tol: float) -> FittedMember:
        """Support vector machines on x CSR (m, K) of term frequencies, which is overwritten."""
        m = len(targets)
        if scaling == "idf" or has_small_classes(targets.outputs, m):
            scale = np.ones(len(self.keys), dtype=np.float32)
        else:
            scale = np.zeros(len(self.keys), dtype=np.float32)
            for of_class in targets.values.T:
                np.maximum(scale, np.abs(log_count_ratio(x, of_class, targets.weight)), out=scale)
        df = np.bincount(x.indices, minlength=len(self.keys))
        scale *= (1 + np.log((1 + m) / (1 + df))).astype(np.float32)
        x.data *= scale[x.indices]
        x.data /= np.repeat(_norms(x), np.diff(x.indptr)).astype(np.float32)
        w, bias = fit_linear(x, targets, l2, "squared-hinge", tol=tol)
        return FittedMember(self._member(w * scale[:, None], scale), bias)

    def _member(self, weight: NDArray[np.float32], scale: NDArray[np.float32] | None = None) -> Ngrams:
        return Ngrams(self.order, self.keys, weight, scale, self.spelling)

    def logits(self, fitted: FittedMember, rows: NDArray[np.int64]) -> Array:
        """Logits (m, outputs) float64 of these rows, as `fitted.logits` of their sequences, for a fit to these
        features.
        """
        x = self.matrix[rows]
        ngrams = fitted.member
        if ngrams.scale is None:
            x.data[:] = 1
            return np.asarray(x @ ngrams.weight + fitted.bias, dtype=np.float64)
        sums = x @ ngrams.weight
        x.data *= ngrams.scale[x.indices]
        return np.asarray(sums / _norms(x)[:, None] + fitted.bias, dtype=np.float64)


def log_count_ratio(x: Any, probability: Array, weight: Array) -> NDArray[np.float32]:
    """r (K,) of a class. x: CSR (m, K) of 0 and 1. probability (m,): of the class; weight (m,): of the row."""
    in_class = probability * weight
    p = 1 + np.bincount(x.indices, np.repeat(in_class, np.diff(x.indptr)), x.shape[1])
    q = 1 + np.bincount(x.indices, np.repeat(weight - in_class, np.diff(x.indptr)), x.shape[1])
    return np.asarray(np.log(p / p.sum()) - np.log(q / q.sum()), dtype=np.float32)


def _norms(x: Any) -> Array:
    """Norm (m,) of each row of a CSR matrix; 1 for an empty one."""
    row = np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))
    squares = np.bincount(row, np.square(x.data, dtype=np.float64), x.shape[0])
    return np.where(squares > 0, np.sqrt(squares), 1.0)


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


class Candidate(NamedTuple):
    """A scaling, the features of the rows, and a factor on the penalty of its weights."""

    scaling: Scaling
    features: NgramFeatures
    penalty: float = 1.0

    def __str__(self) -> str:
        if self.penalty > 1:
            return f"{self.scaling}, {self.features} and {self.penalty:.0f} times the penalty"
        return f"{self.scaling}, {self.features}"


class Comparison(NamedTuple):
    """The candidate with the lowest held-out loss, and the rows (n,) of its features.

    held_out: calibrated logits (n, outputs), NaN for rows that no fit held out; losses (n,): of these logits; loss:
    their mean; weight, shift: of the calibration; tried: all candidates with their losses, in a line.
    """

    rows: NDArray[np.int64]
    candidate: Candidate
    held_out: Array
    losses: Array
    loss: float
    weight: float
    shift: Array
    tried: str = ""
    seconds: float = 0.0


def selects(data: TrainingData) -> bool:
    """Whether held-out loss chooses the n-gram model: of classes, without soft labels."""
    ngrams = data.recipe.ngrams
    one_class = data.target.each.column_classes is None and data.soft_targets is None
    return ngrams.order > 0 and ngrams.scaling != "nb" and one_class


def compare(data: TrainingData) -> Comparison | None:
    """The best candidate for the n-gram model of texts with classes; None where no n-gram is in enough texts."""
    start = time.perf_counter()
    rows = np.append(np.union1d(data.train, data.validation), data.further_rows)
    outputs = data.architecture.outputs
    features, svm_features = _features(data, rows)
    candidates = _candidates(data, features, svm_features, len(rows))
    folds = _folds(data, rows)
    compared = [_measure(data, candidate, rows, folds) for candidate in candidates]
    if not compared:
        return None
    best = min(compared, key=attrgetter("loss"))
    fits_wrong_labels = best.weight < NOISE * PRIOR[best.candidate.scaling]
    if fits_wrong_labels and not has_small_classes(outputs, len(rows)):
        # All rows are cross-validated then, where it does not take long (docs/log/accuracy.md, "Wrong labels").
        if len(folds) == 1 and _may_cross_validate(data) and features[0].matrix.nnz * outputs <= NB_ENTRIES:
            folds = _cross_validation(data)
            compared = [_measure(data, best.candidate, rows, folds)]
        for candidate in _svms_for_wrong_labels(svm_features):
            compared.append(_measure(data, candidate, rows, folds))
        best = min(compared, key=attrgetter("loss"))
    tried = "; ".join(f"{comparison.candidate}: {comparison.loss:.4f}" for comparison in compared)
    return best._replace(tried=tried, seconds=time.perf_counter() - start)


def _candidates(
    data: TrainingData, features: list[NgramFeatures], svm_features: list[NgramFeatures], n: int
) -> list[Candidate]:
    """What is tried first, for n rows: "nb" where the recipe allows it, then "tfidf"."""
    outputs = data.architecture.outputs
    candidates = []
    if data.recipe.ngrams.scaling != "tfidf" and not has_small_classes(outputs, n):
        for ngrams in features:
            if outputs == 1 or ngrams.matrix.nnz * outputs <= NB_ENTRIES:
                candidates.append(Candidate("nb", ngrams))
    candidates += [Candidate("tfidf", ngrams) for ngrams in svm_features]
    return [candidate for candidate in candidates if len(candidate.features.keys)]


def _svms_for_wrong_labels(svm_features: list[NgramFeatures]) -> list[Candidate]:
    """Support vector machines with larger penalties, which fit the labels of single rows less."""
    return [Candidate(scaling, ngrams, penalty) for ngrams in svm_features for scaling in SVM for penalty in PENALTIES]


def _folds(data: TrainingData, rows: NDArray[np.int64]) -> Folds:
    """The folds of the comparison: those of the network, a cross-validation of few rows, or the validation set."""
    if data.folds:
        return [(np.setdiff1d(rows, held_out), held_out) for held_out in data.folds]
    few = len(data.train) + len(data.validation) < FEW_ROWS
    if _may_cross_validate(data) and (few or _has_rare_class(data)):
        return _cross_validation(data)
    return _validation_split(data, rows)


def _may_cross_validate(data: TrainingData) -> bool:
    """Whether validation rows may be trained on: not those that the user set apart."""
    all_rows = len(data.train) + len(data.validation) == len(data.data)
    return all_rows and not data.folds and not data.own_validation


def _features(data: TrainingData, rows: NDArray[np.int64]) -> tuple[list[NgramFeatures], list[NgramFeatures]]:
    """The features of these rows for scaling "nb", and those for support vector machines: n-grams of tokens, and where
    the tokens are pieces of words, n-grams of characters.
    """
    order = data.recipe.ngrams.order
    token_min_df = MIN_DF
    # A word of one row tells its class where many classes have few rows each (docs/log/accuracy.md, "Words of one row,
    # and one epoch, for many small classes").
    if has_small_classes(data.architecture.outputs, len(rows), RARE_WORDS):
        token_min_df = 1
    sequences = data.full_steps(rows)
    of_tokens = NgramFeatures.of(sequences, order, MIN_DF, data.excluded_tokens, token_min_df=token_min_df)
    features = [of_tokens]
    orders = range(1, min(2, order) + 1)
    # 1-grams have a lower loss of all rows, and a lower F1 of a rare class.
    if _has_rare_class(data) and order > 1:
        orders = range(2, 3)
    svm_features = [of_tokens.up_to(order) for order in orders]
    spelling = _spelling(data)
    if spelling is not None:
        of_characters = NgramFeatures.of(sequences, MAX_CHARACTERS, MIN_DF, spelling=spelling)
        features.append(of_characters)
        svm_features.append(of_characters)
    return features, [ngrams for ngrams in svm_features if len(ngrams.keys)]


def _cross_validation(data: TrainingData) -> Folds:
    """The folds of the labelled rows; every fit reads the further rows too."""
    folds = cross_validation_folds(data.data, FOLDS, 0)
    return [(np.append(fitted, data.further_rows), held) for fitted, held in folds]


def _validation_split(data: TrainingData, rows: NDArray[np.int64]) -> Folds:
    """One fold: the training rows are fitted, the validation set is held out."""
    fitted = np.searchsorted(rows, np.sort(data.epoch_rows))
    held = np.searchsorted(rows, np.sort(data.validation))
    return [(fitted, held)]


def _measure(data: TrainingData, candidate: Candidate, rows: NDArray[np.int64], folds: Folds) -> Comparison:
    """The held-out logits of a candidate. folds: of positions in `rows`."""
    values = np.full((len(rows), data.architecture.outputs), np.nan)
    for fitted, held in folds:
        values[held] = candidate.features.logits(_fit_rows(data, candidate, rows, fitted), held)
    known = np.sort(np.concatenate([held for _, held in folds]))
    targets = data.calibration_targets(rows[known])
    losses = np.full(len(rows), np.nan)
    weights, shift, losses[known] = calibrated(
        values[known][:, :, None],
        targets,
        prior=np.array([PRIOR[candidate.scaling]]),
        l2=CALIBRATION_L2,
    )
    return Comparison(
        rows,
        candidate,
        held_out=weights[0] * values + shift,
        losses=losses,
        loss=targets.mean(losses[known]),
        weight=float(weights[0]),
        shift=shift,
    )


def _spelling(data: TrainingData) -> Spelling | None:
    """The spelling of pieces of words, for n-grams of characters; None for other tokens, and for too many
    characters.
    """
    encoding = getattr(data.preprocessor, "encoding", None)
    if encoding is None or encoding.kind != "subwords":
        return None
    spelling = Spelling.of(encoding.pieces())
    if spelling.size >= 1 << CHARACTER_BITS:
        return None
    return spelling


def choose_tokenization(data: TrainingData, recipe: Recipe, run: Run) -> TrainingData:
    """The training data with words or subwords as tokens. `run.memo` keeps the comparison of the chosen tokens, so that
    the fit of the n-grams does not repeat it. data: with words. recipe: the one that `prepare` got.
    """
    if recipe.text.tokenization != "auto" or run.pretrained is not None or not selects(data):
        return data
    if len(data.full_sequences) < LEAST_ROWS or sum(map(len, data.full_sequences)) > MOST_WORDS:
        return data
    held_out = np.concatenate(data.full_steps(data.validation))
    unknown = 0.0
    if len(held_out):
        unknown = float(np.mean(held_out == data.preprocessor.unknown))
    if unknown < LEAST_UNKNOWN:
        run.callback.log(f"tokens: words, {100 * unknown:.0f}% of those in the validation set are unknown")
        return data
    from gatewise.text.subwords import SubwordEncoding  # here, as few runs come so far

    texts: Any = [data.with_rules.inputs[n] for n in data.epoch_rows]
    with_subwords = with_encoding(data, SubwordEncoding.fit(texts, recipe.text.vocab_size), recipe)
    of_words = compare(data)
    of_subwords = compare(with_subwords)
    if _subwords_win(of_words, of_subwords, run):
        run.memo["ngrams"] = of_subwords
        return with_subwords
    run.memo["ngrams"] = of_words
    return data


def _subwords_win(of_words: Comparison | None, of_subwords: Comparison | None, run: Run) -> bool:
    """Whether the held-out loss is lower with subwords, by more than a standard error of the difference."""
    if of_subwords is None:
        return False
    if of_words is None:
        return True
    gain = of_words.losses - of_subwords.losses
    gain = gain[np.isfinite(gain)]  # both have the same held-out rows
    error = float(gain.std() / np.sqrt(len(gain)))
    win = float(gain.mean()) > error + ROUNDING
    tokens = "subwords" if win else "words"
    run.callback.log(
        f"tokens: {tokens}, held-out loss {of_words.loss:.4f} with words, {of_subwords.loss:.4f} with subwords, "
        f"standard error of the difference {error:.4f}"
    )
    return win


def _fit_best_candidate(data: TrainingData, run: Run) -> FittedMember | None:
    """The best candidate, fitted to all rows; None where no n-gram is in enough texts."""
    best: Comparison | None = run.memo.get("ngrams") or compare(data)
    if best is None:
        return None
    start = time.perf_counter()
    fitted = _fit_rows(data, best.candidate, best.rows, np.searchsorted(best.rows, np.sort(data.fitted_rows)))
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


def _fit_rows(data: TrainingData, candidate: Candidate, rows: NDArray[np.int64], at: NDArray[np.int64]) -> FittedMember:
    """The candidate, fitted to the rows at these positions (m,) in `rows`."""
    numbers = rows[at]
    l2 = candidate.penalty
    if candidate.scaling == "nb":
        l2 = candidate.penalty * data.recipe.ngrams.l2
    fitted = candidate.features.fit(
        _targets(data, candidate, numbers),
        candidate.scaling,
        rows=at,
        l2=l2,
    )
    # The margins of a support vector machine do not depend on class weights in this way; their calibration is enough.
    if data.logit_shift is None or candidate.scaling != "nb":
        return fitted
    return replace(fitted, bias=fitted.bias - data.logit_shift)


def _targets(data: TrainingData, candidate: Candidate, numbers: NDArray[np.int64]) -> WeightedTargets:
    """What the candidate fits, of the rows of these numbers. For a rare class "tfidf" leaves the class weights out:
    with them the scale of an n-gram in two or three rows of that class is as large as that of a frequent one
    (docs/log/accuracy.md, "Threshold of a rare class from out-of-fold logits").
    """
    if candidate.scaling != "nb" and _has_rare_class(data):
        return data.calibration_targets(numbers)
    return data.targets(numbers)


def _has_rare_class(data: TrainingData) -> bool:
    """Whether one of two classes with class weights has so few validation rows that they choose nothing well."""
    if data.class_weights is None or len(data.target.classes) != 2:
        return False
    return int(np.bincount(data.labels[data.validation], minlength=2).min()) < RARE_ROWS
