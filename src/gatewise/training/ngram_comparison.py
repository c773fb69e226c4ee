"""`Comparison` of candidates for the n-gram model of texts with classes, which chooses scaling, order and tokens.

Scaling "auto" takes the candidate, a scaling and an order, with the lowest held-out loss. Candidates are fitted on a
part of the rows and predict the others. Below `FEW_ROWS` rows, and where one of two classes with class weights has few
validation rows, all rows are cross-validated, training and validation set; else the training rows predict the
validation set. The held-out logits of a candidate are calibrated by a weight and a shift per class. For many classes of
few rows each "nb" is not tried, and tokens of one text are features too.

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
from dataclasses import replace
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.data.splits import cross_validation_folds
from gatewise.members.ngrams import CHARACTER_BITS, MAX_CHARACTERS
from gatewise.members.spelling import Spelling
from gatewise.training.dense_solver import fit_calibration
from gatewise.training.members import Run
from gatewise.training.ngram_features import MIN_DF, NgramFeatures, Scaling
from gatewise.training.recipes import RARE_WORDS, Recipe, has_small_classes
from gatewise.training.stack import FittedMember
from gatewise.training.training_data import TrainingData, with_encoding
from gatewise.training.weighted_targets import WeightedTargets
from gatewise.types import Array

Folds = list[tuple[NDArray[np.int64], NDArray[np.int64]]]
"""The fitted and the held-out rows of each fold, as positions."""
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
LEAST_ROWS = 500  # of a choice of tokens: with fewer, a standard error says little
MOST_WORDS = 500_000  # of all texts
ROUNDING = 1e-6  # of the losses of equal candidates
# Of the held-out words. Slovene comments have 22%, all other sets 3% to 10% (docs/log/accuracy.md, "Subwords by
# byte-pair encoding").
LEAST_UNKNOWN = 0.15


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
        values[held] = candidate.features.logits(fit_candidate(data, candidate, rows, fitted), held)
    known = np.sort(np.concatenate([held for _, held in folds]))
    targets = data.calibration_targets(rows[known])
    losses = np.full(len(rows), np.nan)
    weights, shift, losses[known] = fit_calibration(
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


def fit_candidate(
    data: TrainingData, candidate: Candidate, rows: NDArray[np.int64], at: NDArray[np.int64]
) -> FittedMember:
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
