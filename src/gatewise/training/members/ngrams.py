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

(of many classes of few rows each, whose ratios are chance, without the maximum, as with scaling "idf"; "nb" is not
tried then). Tokens of one text are features too where there are many classes.

and a support vector machine with squared hinge loss per class (C = 1). It is better for subjects and many classes,
"nb" for sentiment and short texts (docs/log/accuracy.md). Its outputs are margins, which a calibration turns into
logits.

Scaling "auto" takes the candidate, a scaling and an order, with the lowest held-out loss. Candidates are fitted on a
part of the rows and predict the rest. Below `FEW_ROWS` rows this is cross-validation of all rows, training and
validation set, as where one of two classes with class weights has few validation rows; else the training rows predict
the validation set. The held-out logits of a candidate are calibrated by a weight and a shift per class. The best one is
fitted on all rows, so that it does not lose a tenth of few rows; what is reported of the validation set are the
held-out logits.

Where the weight of the best candidate is below `NOISE` of its usual one, its logits are too large for rows that it has
not seen: it has fitted wrong labels. Then support vector machines with 4 and 16 times the penalty are candidates too,
with ratios and without, which are chance as well then, and all of them are cross-validated (docs/log/accuracy.md).

For pieces of words, n-grams of their characters are candidates too, with both scalings.

Tokenization "auto" compares the candidates of words and of pieces of words. Pieces are taken if the mean loss of their
best candidate over the held-out rows is lower by more than one standard error of the difference of both losses, row by
row (the one-standard-error rule of Breiman et al. 1984). Otherwise the tokens are words, which explanations show whole.
The network reads the same tokens. Without comparison the tokens are words: below `LEAST_ROWS` rows, where the error is
uncertain; above `MOST_WORDS` words, where pieces gain least and the comparison takes longest; where less than
`LEAST_UNKNOWN` of the held-out words are unknown, so that pieces have little to add; and where the n-gram model is not
chosen by held-out loss (other tasks, a pretrained model).
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
from gatewise.losses import CROSS_ENTROPY, Loss
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
from gatewise.training.stack import FittedMember, stack
from gatewise.training.training_data import TrainingData, with_encoding
from gatewise.types import Array

if TYPE_CHECKING:
    from gatewise.training.pretrained import Pretrained

Scaling = Literal["nb", "tfidf", "idf"]
Folds = list[tuple[NDArray[np.int64], NDArray[np.int64]]]
DEFAULT_L2: dict[Scaling, float] = {"nb": 4.0, "tfidf": 1.0, "idf": 1.0}
MIN_DF = 2  # texts that must contain an n-gram
FEW_ROWS = 2_000  # below, candidates are cross-validated
RARE_ROWS = 30  # validation rows of one of two classes with class weights, below which candidates are cross-validated
FOLDS = 5
NB_ENTRIES = 10_000_000  # n-grams of all texts x outputs above which "nb" is not tried: many classes prefer "tfidf";
# nor are candidates for wrong labels cross-validated
# The weight of the logits of a candidate without data; margins of 1 are some 3 logits.
PRIOR: dict[Scaling, float] = {"nb": 1.0, "tfidf": 3.0, "idf": 3.0}
NOISE = 2 / 3  # of it: a lower weight says that the candidate has fitted wrong labels
SVM: tuple[Scaling, ...] = ("tfidf", "idf")
PENALTIES = (4.0, 16.0)
CALIBRATION_L2, TRANSFER_L2 = 1.0, 1.0
LEAST_ROWS = 500  # of a choice of tokens: below, a standard error says little
MOST_WORDS = 500_000  # of all texts
ROUNDING = 1e-6  # of the losses of equal candidates
LEAST_UNKNOWN = 0.15  # 0.07 to 0.10 in English data sets, 0.22 in Slovene comments: docs/log/accuracy.md
NETWORK_L2 = 20.0  # penalty of other members next to chosen n-grams


def fit(data: TrainingData, run: Run) -> FittedMember | None:
    """The n-gram member of texts; None where no n-gram is in enough texts."""
    others = dict(run.ngrams)
    if (
        run.pretrained is not None
        and not data.recipe.frozen
        and (known := transferred(data, run.pretrained)) is not None
    ):
        others["pretrained n-grams"] = known
    if selects(data) and not others:
        return _select(data, run)
    recipe, rows, start = data.recipe.ngrams, data.epoch_rows, time.perf_counter()
    # Soft-labelled texts triple the text and the n-grams; those of two texts alone gain next to nothing.
    min_df = MIN_DF + (data.soft_targets is not None)
    features = NgramFeatures.of(data.full(rows), recipe.order, min_df, data.excluded_tokens)
    found = _fit_rows(data, Candidate("nb", features), rows, np.arange(len(rows)))
    words = "1 word" if recipe.order == 1 else f"1 to {recipe.order} words"
    seconds = time.perf_counter() - start
    run.callback.log(f"{counted(len(features.keys), 'n-gram')} of {words} fitted in {seconds:.1f} s")
    if not len(features.keys):
        return None
    for name, other in others.items():
        found = added(data, found, other, name, run)
    if (scaling := data.target_scaling) is not None:
        found = FittedMember(_scaled(found.member, scaling.scale), scaling.mean + scaling.scale * found.bias)
    return replace(found, held_out=found.logits(data.full(data.validation)))


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
        excluded = np.isin(values, exclude if spelling is None else UNKNOWN)
        frequent: list[NDArray[np.int64]] = []  # by occurrences first: a text counts each once, so df is not larger
        for key, end in keys_of(values, lengths, order, lookup.bits):
            allowed = ~excluded[end] if frequent or spelling is None else np.zeros(len(end), dtype=bool)
            for back in range(1, len(frequent) + 1):
                allowed &= ~excluded[end - back]
            key, least = np.sort(key[allowed]), min_df if frequent else token_min_df or min_df
            first = np.flatnonzero(np.diff(key, prepend=-1))
            frequent.append(key[first[np.diff(first, append=len(key)) >= least]])
        keys, parts = np.concatenate(frequent), []
        lookup = replace(lookup, keys=keys, weight=np.zeros((len(keys), 1), np.float32))
        for chunk in chunks(sequences, TOKENS_PER_CHUNK // lookup.width):
            document, term, count = counted_ngrams(lookup, chunk)
            tf, starts = term_frequency(count).astype(np.float32), np.searchsorted(document, np.arange(len(chunk) + 1))
            entries = (tf, term.astype(np.int32), starts.astype(np.int32))
            parts.append(csr_matrix(entries, shape=(len(chunk), len(keys))))
        if (entries_of_all := sum(part.nnz for part in parts)) > np.iinfo(np.int32).max:
            raise InputError(
                f"n-grams: {entries_of_all:,} entries are too many; take fewer texts or a lower ngrams.order"
            )
        matrix = vstack(parts, format="csr")
        needed = np.where(np.arange(len(keys)) < len(frequent[0]), token_min_df or min_df, min_df)
        kept = np.bincount(matrix.indices, minlength=len(keys)) >= needed
        return cls(order, keys[kept], matrix[:, kept], spelling)

    def up_to(self, order: int) -> NgramFeatures:
        """Those of up to `order` tokens."""
        count = int(np.searchsorted(self.keys, 1 << BITS * order)) if order < self.order else len(self.keys)
        return (
            self
            if count == len(self.keys)
            else replace(self, order=order, keys=self.keys[:count], matrix=self.matrix[:, :count])
        )

    def __str__(self) -> str:
        if self.spelling is not None:
            return f"2- to {self.order}-grams of characters"
        return "1-grams" if self.order == 1 else f"1- to {self.order}-grams"

    def fit(
        self,
        targets: Array,
        sample_weight: Array | None = None,
        scaling: Scaling = "nb",
        *,
        rows: NDArray[np.int64] | None = None,
        loss: Loss = CROSS_ENTROPY,
        l2: float | None = None,
        max_iter: int = 100,
        tol: float = 0.01,
    ) -> FittedMember:
        """Fit on these rows (m,), default all, with targets (m, outputs) and weights (m,), for multi-label or (m,
        outputs). l2: the penalty, by default 4 for "nb", else 1. tol: stop where the gradient is this small, relative
        to that at zero. Equal arguments give equal bits.
        """
        if not len(self.keys):
            nothing = np.zeros((0, targets.shape[1]), dtype=np.float32)
            return FittedMember(self._member(nothing), np.zeros(targets.shape[1]))
        x = self.matrix[np.arange(self.matrix.shape[0]) if rows is None else rows]
        weight = np.ones(len(targets)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        y = targets
        if loss.has_unit:  # the share of the rows with a smaller number, ties counted half
            from scipy.stats import rankdata

            y = (rankdata(targets, axis=0) - 0.5) / len(targets)
        l2 = l2 or DEFAULT_L2[scaling]
        if scaling == "nb":
            x.data[:] = 1
            form: Literal["logistic", "squared"] = "squared" if loss.has_unit else "logistic"
            weights = np.broadcast_to(weight.reshape(len(y), -1), y.shape)
            r = np.stack([log_count_ratio(x, u * v, v) for u, v in zip(y.T, weights.T, strict=True)], axis=1)
            w, bias = fit_linear(x, targets, weight, l2, form, scale=r, max_iter=max_iter, tol=tol)
            return FittedMember(self._member(w * r), bias)
        small = scaling == "idf" or has_small_classes(y.shape[1], len(y))
        scale = np.full(len(self.keys), float(small), dtype=np.float32)
        for column in () if small else y.T:
            np.maximum(scale, np.abs(log_count_ratio(x, column * weight, weight)), out=scale)
        df = np.bincount(x.indices, minlength=len(self.keys))
        scale *= (1 + np.log((1 + len(y)) / (1 + df))).astype(np.float32)
        x.data *= scale[x.indices]
        x.data /= np.repeat(_norms(x), np.diff(x.indptr)).astype(np.float32)
        w, bias = fit_linear(x, targets, weight, l2, "squared-hinge", tol=tol)
        return FittedMember(self._member(w * scale[:, None], scale), bias)

    def _member(self, weight: NDArray[np.float32], scale: NDArray[np.float32] | None = None) -> Ngrams:
        return Ngrams(self.order, self.keys, weight, scale, self.spelling)

    def logits(self, fitted: FittedMember, rows: NDArray[np.int64]) -> Array:
        """Logits (m, outputs) float64 of these rows, as `fitted.logits` of their sequences, for a fit to these
        features.
        """
        x, ngrams = self.matrix[rows], fitted.member
        if ngrams.scale is None:
            x.data[:] = 1
            return np.asarray(x @ ngrams.weight + fitted.bias, dtype=np.float64)
        sums = x @ ngrams.weight
        x.data *= ngrams.scale[x.indices]
        return np.asarray(sums / _norms(x)[:, None] + fitted.bias, dtype=np.float64)


def log_count_ratio(x: Any, of_class: Array, sample_weight: Array) -> NDArray[np.float32]:
    """r (K,) of a class. x: CSR (m, K) of 0 and 1; of_class (m,): each row's weight in it; sample_weight (m,)."""
    p = 1 + np.bincount(x.indices, np.repeat(of_class, np.diff(x.indptr)), x.shape[1])
    q = 1 + np.bincount(x.indices, np.repeat(sample_weight - of_class, np.diff(x.indptr)), x.shape[1])
    return np.asarray(np.log(p / p.sum()) - np.log(q / q.sum()), dtype=np.float32)


def _norms(x: Any) -> Array:
    """Norm (m,) of each row of a CSR matrix; 1 for an empty one."""
    row = np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))
    squares = np.bincount(row, np.square(x.data, dtype=np.float64), x.shape[0])
    return np.where(squares > 0, np.sqrt(squares), 1.0)


def added(data: TrainingData, ngrams: FittedMember, other: FittedMember, name: str, run: Run) -> FittedMember:
    """The weighted sum of both n-gram models as one; its weights are fitted on the validation set."""
    rows = data.validation
    both = [replace(one, held_out=one.logits(data.full(rows))) for one in (ngrams, other)]
    found = stack(both, data.targets(rows), mean=True, sample_weight=data.sample_weight(rows))
    run.callback.log(f"n-grams x {found.weights[0]:.2f}, {name} x {found.weights[1]:.2f}")
    first, second = (_scaled(one.member, weight) for one, weight in zip(both, found.weights, strict=True))
    bias = found.shift + sum(weight * one.bias for one, weight in zip(both, found.weights, strict=True))
    return FittedMember(first.add(second), bias)


def _scaled(ngrams: Ngrams, factor: float | Array) -> Ngrams:
    return replace(ngrams, weight=(factor * ngrams.weight).astype(np.float32))


def transferred(data: TrainingData, pretrained: Pretrained) -> FittedMember | None:
    """The n-gram model of a pretrained classifier, mapped to the new classes as its network is
    (`gatewise.training.members.lstm`); None if it has none, or one with a norm or of characters, which
    cannot be added to another.
    """
    model = pretrained.classifier(data.target.task)
    ngrams = None if model is None else model.ensemble.get("ngrams")
    if ngrams is None or not len(ngrams) or ngrams.scale is not None or ngrams.spelling is not None:
        return None
    rows = data.train
    to_new, shift = fit_standardised_glm(ngrams.logits(data.full(rows)), data.targets(rows), TRANSFER_L2)
    return FittedMember(replace(ngrams, weight=(ngrams.weight @ to_new.T).astype(np.float32)), shift.astype(np.float64))


class Candidate(NamedTuple):
    """A scaling, the features of the rows, and a factor on the penalty of its weights."""

    scaling: Scaling
    features: NgramFeatures
    penalty: float = 1.0

    def __str__(self) -> str:
        more = f" and {self.penalty:.0f} times the penalty" if self.penalty > 1 else ""
        return f"{self.scaling}, {self.features}{more}"


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
    one_class = data.target.column_classes is None and data.soft_targets is None
    return ngrams.order > 0 and ngrams.scaling != "nb" and one_class


def compare(data: TrainingData) -> Comparison | None:
    """The best candidate for the n-gram model of texts with classes; None where no n-gram is in enough texts."""
    recipe, start, rare = data.recipe.ngrams, time.perf_counter(), _has_rare_class(data)
    labelled, further, outputs = np.union1d(data.train, data.validation), data.further_rows, data.architecture.outputs
    rows = np.append(labelled, further)
    small_classes = has_small_classes(outputs, len(rows))
    least = 1 if has_small_classes(outputs, len(rows), RARE_WORDS) else MIN_DF
    features = [NgramFeatures.of(data.full(rows), recipe.order, MIN_DF, data.excluded_tokens, token_min_df=least)]
    # 1-grams have a lower loss of all rows, and a lower F1 of a rare class.
    orders = range(2 if rare and recipe.order > 1 else 1, min(2, recipe.order) + 1)
    parts = [features[0].up_to(order) for order in orders]
    if (spelling := _spelling(data)) is not None:
        features.append(NgramFeatures.of(data.full(rows), MAX_CHARACTERS, MIN_DF, spelling=spelling))
        parts.append(features[1])
    parts = [part for part in parts if len(part.keys)]
    candidates = [Candidate("tfidf", part) for part in parts]
    if recipe.scaling != "tfidf" and not small_classes:
        small = [part for part in features if outputs == 1 or part.matrix.nnz * outputs <= NB_ENTRIES]
        candidates = [Candidate("nb", part) for part in small] + candidates
    folds = [(np.setdiff1d(rows, held), held) for held in data.folds]
    every = not folds and len(labelled) == len(data.data) and not data.own_validation  # may be cross-validated
    if every and (len(labelled) < FEW_ROWS or rare):
        folds = _folds(data)
    single = [(np.searchsorted(rows, np.sort(data.epoch_rows)), np.searchsorted(rows, np.sort(data.validation)))]
    found = [_measure(data, one, rows, folds or single) for one in candidates if len(one.features.keys)]
    if not found:
        return None
    best = min(found, key=attrgetter("loss"))
    if best.weight < NOISE * PRIOR[best.candidate.scaling] and not small_classes:
        if every and not folds and features[0].matrix.nnz * outputs <= NB_ENTRIES:
            folds = _folds(data)
            found = [_measure(data, best.candidate, rows, folds)]
        stronger = [Candidate(scaling, part, factor) for part in parts for scaling in SVM for factor in PENALTIES]
        found += [_measure(data, one, rows, folds or single) for one in stronger]
        best = min(found, key=attrgetter("loss"))
    tried = "; ".join(f"{one.candidate}: {one.loss:.4f}" for one in found)
    return best._replace(tried=tried, seconds=time.perf_counter() - start)


def _folds(data: TrainingData) -> Folds:
    """Of a cross-validation of the labelled rows; every fit has the further ones too."""
    folds = cross_validation_folds(data.data, FOLDS, 0)
    return [(np.append(fitted, data.further_rows), held) for fitted, held in folds]


def _measure(data: TrainingData, candidate: Candidate, rows: NDArray[np.int64], folds: Folds) -> Comparison:
    """The held-out logits of a candidate. folds: positions in `rows` of the fitted and of the held-out ones."""
    values = np.full((len(rows), data.architecture.outputs), np.nan)
    for train, query in folds:
        values[query] = candidate.features.logits(_fit_rows(data, candidate, rows, train), query)
    known = np.sort(np.concatenate([query for _, query in folds]))
    targets, weight = data.targets(rows[known]), data.sample_weight(rows[known])
    prior, losses = np.array([PRIOR[candidate.scaling]]), np.full(len(rows), np.nan)
    weights, shift, losses[known] = calibrated(
        values[known][:, :, None], targets, prior, CALIBRATION_L2, loss=CROSS_ENTROPY, sample_weight=weight
    )
    loss = float(np.average(losses[known], weights=weight))
    return Comparison(rows, candidate, weights[0] * values + shift, losses, loss, float(weights[0]), shift)


def _spelling(data: TrainingData) -> Spelling | None:
    """Of pieces of words, for n-grams of characters; None for other tokens, and for too many characters."""
    encoding = getattr(data.preprocessor, "encoding", None)
    if encoding is None or encoding.kind != "subwords":
        return None
    spelling = Spelling.of(encoding.pieces())
    return spelling if spelling.size < 1 << CHARACTER_BITS else None


def choose_tokenization(data: TrainingData, recipe: Recipe, run: Run) -> TrainingData:
    """The training data with words or subwords as tokens; the candidates that were compared are left for the fit of the
    n-grams. data: with words. recipe: the one that `prepare` got.
    """
    if recipe.text.tokenization != "auto" or run.pretrained is not None or not selects(data):
        return data
    rows, words = len(data.full_sequences), sum(map(len, data.full_sequences))
    if rows < LEAST_ROWS or words > MOST_WORDS:
        return data
    held_out = np.concatenate(data.full(data.validation))
    unknown = float(np.mean(held_out == data.preprocessor.unknown)) if len(held_out) else 0.0
    if unknown < LEAST_UNKNOWN:
        run.callback.log(f"tokens: words, {100 * unknown:.0f}% of those in the validation set are unknown")
        return data
    from gatewise.text.subwords import SubwordEncoding  # here, as few runs come so far

    texts: Any = [data.with_rules.inputs[n] for n in data.epoch_rows]
    divided = with_encoding(data, SubwordEncoding.fit(texts, recipe.text.vocab_size), recipe)
    of_words, of_subwords = compare(data), compare(divided)
    if of_words is None or of_subwords is None:
        better = of_words is None and of_subwords is not None
    else:
        gain = of_words.losses - of_subwords.losses
        gain = gain[np.isfinite(gain)]  # of the same rows
        error = float(gain.std() / np.sqrt(len(gain)))
        better = float(gain.mean()) > error + ROUNDING
        run.callback.log(
            f"tokens: {'subwords' if better else 'words'}, held-out loss {of_words.loss:.4f} with words, "
            f"{of_subwords.loss:.4f} with subwords, standard error of the difference {error:.4f}"
        )
    run.memo["ngrams"] = of_subwords if better else of_words
    return divided if better else data


def _select(data: TrainingData, run: Run) -> FittedMember | None:
    best: Comparison | None = run.memo.get("ngrams") or compare(data)
    if best is None:
        return None
    rows, start = best.rows, time.perf_counter()
    found = _fit_rows(data, best.candidate, rows, np.searchsorted(rows, np.sort(data.fitted_rows)))
    ngrams, seconds = _scaled(found.member, best.weight), best.seconds + time.perf_counter() - start
    run.callback.log(f"n-grams, held-out loss of {best.tried}; {len(ngrams):,} fitted in {seconds:.1f} s")
    held_out, of_train = (best.held_out[np.searchsorted(rows, part)] for part in (data.validation, data.train))
    held_out_train = of_train if np.isfinite(of_train).all() else None  # of a cross-validation
    return FittedMember(
        ngrams,
        best.weight * found.bias + best.shift,
        held_out,
        held_out_train,
        others_l2=NETWORK_L2,
        shifts=held_out_train is None,
    )


def _fit_rows(data: TrainingData, candidate: Candidate, rows: NDArray[np.int64], at: NDArray[np.int64]) -> FittedMember:
    """Fit to the rows at these positions (m,). For a rare class "tfidf" leaves the class weights out: with them the
    scale of an n-gram in two or three rows of that class is as large as that of a frequent one (docs/log/accuracy.md).
    """
    part, shift, (scaling, features, penalty) = rows[at], data.logit_shift, candidate
    each: Array | None = None if data.weights is None else data.weights[part]
    if scaling != "nb" and _has_rare_class(data):
        each = None if data.further_rows.size else data.data.sample_weight[part]  # unlabelled texts have no weights
    options: dict[str, Any] = {
        "loss": data.target.loss,
        "l2": penalty * (data.recipe.ngrams.l2 if scaling == "nb" else 1.0),
    }
    found = features.fit(data.targets(part), each, scaling, rows=at, **options)
    # The margins of a support vector machine do not depend on class weights in this way; their calibration is enough.
    return found if shift is None or scaling != "nb" else replace(found, bias=found.bias - shift)


def _has_rare_class(data: TrainingData) -> bool:
    """Whether one of two classes with class weights has so few validation rows that they choose nothing well."""
    if data.class_weights is None or len(data.target.classes) != 2:
        return False
    return int(np.bincount(data.labels[data.validation], minlength=2).min()) < RARE_ROWS
