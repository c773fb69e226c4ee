"""Evaluation of predictions: probabilities, accuracy, loss, and calibration error.

Each task has its evaluation: `Evaluation` for classification, `MultilabelEvaluation`, `RegressionEvaluation`,
`TaggingEvaluation`. `scores` of each are its main figures by name, for tables and model cards.

Expected calibration error and reliability bins: Guo et al. 2017, "On Calibration of Modern Neural Networks".
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple, Self, cast

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import counted, number_text
from gatewise.losses import binary_cross_entropy
from gatewise.markup import titled_table
from gatewise.types import Array

BINS = 15


@dataclass(frozen=True)
class Bin:
    """The n predictions with a confidence in (low, high], their mean confidence and accuracy (both 0 if n is 0)."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


class _Scores:
    """What the evaluations share: how they are written as JSON and shown in a notebook."""

    data: str

    def rows(self) -> list[tuple[str, str]]:
        """The scores, as (name, value with its error or definition)."""
        raise NotImplementedError

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(cast(Any, self))

    def _repr_html_(self) -> str:
        return titled_table(f"Evaluation on {self.data}" if self.data else "Evaluation", self.rows())


@dataclass(frozen=True)
class Evaluation(_Scores):
    """Scores of n predictions against the labels.

    accuracy: 0..1, with its 95% interval (`wilson_interval`). loss: mean cross-entropy in nats.
    confusion[true][predicted]: counts.

    calibration_error: the expected calibration error Σ_m n_m / n · |accuracy_m - confidence_m| over the bins of
    `reliability` (Guo et al. 2017, equation 3), 0..1. The confidence is the largest probability, and the accuracy that
    of the most probable class, whatever the thresholds. The 15 bins ((m - 1)/15, m/15] have equal width; with two
    classes the confidence is at least 1/2 and the lower seven bins are empty. The estimate is biased upwards for
    small n.

    brier: the mean of ½ Σ_k (p_k - [k is true])², 0..1 (Brier 1950, halved: with two classes the squared error of the
    one probability). It also decreases with accuracy.

    precision, recall, f1: one number per class, 0 where a class was never predicted or has no row. macro_f1: the mean
    of f1 over the classes that occur, in the labels or in the predictions. auc: the area under the ROC curve of each
    class against the others, averaged over the classes with rows on both sides; None if there is none.
    """

    n: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    loss: float
    confusion: tuple[tuple[int, ...], ...]
    classes: tuple[str, ...]
    data: str
    calibration_error: float
    brier: float
    reliability: tuple[Bin, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    f1: tuple[float, ...]
    macro_f1: float
    auc: float | None

    @classmethod
    def of(
        cls,
        log_p: Array,
        truth: NDArray[np.int64],
        classes: Sequence[str],
        data: str,
        predicted: NDArray[np.int64] | None = None,
    ) -> Self:
        """From log p (n, K) and the true classes (n,), n at least 1. data: the data set in one line. predicted (n,):
        the predicted classes of a model with thresholds; None for the most probable ones.
        """
        n, k = log_p.shape
        predicted = log_p.argmax(axis=1) if predicted is None else predicted
        accuracy = float((predicted == truth).mean())
        confusion = np.bincount(truth * k + predicted, minlength=k * k).reshape(k, k)
        p = np.exp(log_p.astype(np.float64))
        calibration_error, bins = reliability(p, truth)
        areas = [area_under_roc(p[:, c], truth == c) for c in range(k)]
        known = [area for area in areas if area is not None]
        counts = np.diagonal(confusion), confusion.sum(axis=0), confusion.sum(axis=1)
        precision, recall, f1 = precision_recall_f1(*counts)
        occurs = confusion.sum(axis=0) + confusion.sum(axis=1) > 0
        p[np.arange(n), truth] -= 1
        return cls(
            n,
            accuracy,
            wilson_interval(accuracy, n),
            float(-log_p[np.arange(n), truth].mean()),
            tuple(map(tuple, confusion.tolist())),  # a million numbers of 1,000 classes
            tuple(classes),
            data,
            calibration_error,
            float((p**2).sum(axis=1).mean() / 2),
            bins,
            tuple(precision.tolist()),
            tuple(recall.tolist()),
            tuple(f1.tolist()),
            float(f1[occurs].mean()),
            sum(known) / len(known) if known else None,
        )

    @property
    def score(self) -> float:
        """What `Model.score` returns: the accuracy."""
        return self.accuracy

    @property
    def scores(self) -> dict[str, float]:
        """The main figures by name."""
        return {"accuracy": self.accuracy, "macro F1": self.macro_f1}

    def rows(self) -> list[tuple[str, str]]:
        area = "not defined: the data has one class" if self.auc is None else f"{self.auc:.4f}"
        if self.auc is not None and len(self.classes) > 2:
            area += " (one class against the rest, mean of the classes)"
        bins = f"(expected calibration error, {len(self.reliability)} bins)"
        return [
            ("n", f"{self.n:,}"),
            ("accuracy", interval_text(self.accuracy, self.accuracy_interval)),
            ("macro F1", f"{self.macro_f1:.4f}"),
            ("AUC", area),
            ("log loss", f"{self.loss:.4f}"),
            ("ECE", f"{self.calibration_error:.4f} {bins}"),
            ("Brier", f"{self.brier:.4f}"),
        ]

    def top_confusions(self, most: int = 10) -> list[tuple[str, str, int]]:
        """The most frequent errors as (true class, predicted class, rows), at most `most`, the most rows first."""
        counts = np.array(self.confusion)
        np.fill_diagonal(counts, 0)
        order = np.argsort(-counts.ravel(), kind="stable")[:most]
        pairs = [(*divmod(int(place), len(counts)), int(counts.flat[place])) for place in order]
        return [(self.classes[true], self.classes[predicted], n) for true, predicted, n in pairs if n]


@dataclass(frozen=True)
class MultilabelEvaluation(_Scores):
    """Scores of n predictions of K labels each against the labels.

    accuracy: the subset accuracy, the share of rows in which all K labels are right, with its 95% interval
    (`wilson_interval`). loss: the binary cross-entropy in nats, the mean over rows and labels. precision, recall, f1:
    by label, 0 where the divisor is 0; support: rows with the label. micro_f1: F1 over all n K decisions; macro_f1: the
    mean of f1 over the labels that occur, in the data or in the predictions. calibration_error: see `Evaluation`, over
    all n K decisions, where the confidence is max(p, 1 - p).
    """

    n: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    loss: float
    micro_f1: float
    macro_f1: float
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    f1: tuple[float, ...]
    support: tuple[int, ...]
    classes: tuple[str, ...]
    data: str
    calibration_error: float

    @classmethod
    def of(
        cls, logits: Array, predicted: NDArray[np.int64], truth: NDArray[np.int64], classes: Sequence[str], data: str
    ) -> Self:
        """From logits (n, K), predictions and labels (n, K) of 0 and 1; n at least 1. data: the data set in a line."""
        n = len(truth)
        correct = (predicted * truth).sum(axis=0)  # (K,) true positives
        found, support = predicted.sum(axis=0), truth.sum(axis=0)
        precision, recall, f1 = precision_recall_f1(correct, found, support)
        occurs, decisions = found + support > 0, int(found.sum() + support.sum())
        accuracy = float((predicted == truth).all(axis=1).mean())
        return cls(
            n,
            accuracy,
            wilson_interval(accuracy, n),
            float(binary_cross_entropy(logits.astype(np.float64), truth)[0].mean()),
            float(2 * correct.sum() / decisions) if decisions else 0.0,
            float(f1[occurs].mean()) if occurs.any() else 0.0,
            tuple(precision.tolist()),
            tuple(recall.tolist()),
            tuple(f1.tolist()),
            tuple(support.tolist()),
            tuple(classes),
            data,
            reliability(decision_probabilities(logits), truth.ravel())[0],
        )

    @property
    def score(self) -> float:
        """What `Model.score` returns: the subset accuracy."""
        return self.accuracy

    @property
    def scores(self) -> dict[str, float]:
        """The main figures by name."""
        return {"micro F1": self.micro_f1, "macro F1": self.macro_f1, "subset accuracy": self.accuracy}

    def rows(self) -> list[tuple[str, str]]:
        return [
            ("n", f"{self.n:,}"),
            ("micro F1", f"{self.micro_f1:.4f}"),
            ("macro F1", f"{self.macro_f1:.4f}"),
            ("subset", f"{with_interval(self.accuracy, self.n)}, all labels of a row correct"),
            ("log loss", f"{self.loss:.4f} (per label)"),
            ("ECE", f"{self.calibration_error:.4f} (expected calibration error, per label)"),
        ]


@dataclass(frozen=True)
class RegressionEvaluation(_Scores):
    """Scores of n predictions of M numbers each against the true numbers, in the unit of the numbers.

    rmse: the root mean squared error, with its standard error by the delta method; mae: the mean absolute error; both
    over rows and numbers. r2: the coefficient of determination 1 - Σ (y - ŷ)² / Σ (y - mean y)², the mean over the M
    numbers; for a constant number 1 if all its predictions are exact, else 0, as in scikit-learn. loss: the mean
    squared error. rmse_each, mae_each, r2_each: by number. classes: the names of the M numbers.
    """

    n: int
    rmse: float
    standard_error: float
    mae: float
    r2: float
    loss: float
    rmse_each: tuple[float, ...]
    mae_each: tuple[float, ...]
    r2_each: tuple[float, ...]
    classes: tuple[str, ...]
    data: str

    @classmethod
    def of(cls, predicted: Array, truth: Array, classes: Sequence[str], data: str) -> Self:
        """From predictions and true numbers (n, M), n at least 1. data: the data set in one line."""
        error = predicted.astype(np.float64) - truth  # (n, M)
        squares = error**2
        mse = float(squares.mean())
        spread = np.square(truth - truth.mean(axis=0)).sum(axis=0)  # (M,)
        spread = np.where(truth.min(axis=0) < truth.max(axis=0), spread, 0)  # of equal numbers not 0, by rounding
        exact = (squares.sum(axis=0) == 0).astype(np.float64)
        r2 = np.where(spread > 0, 1 - squares.sum(axis=0) / np.where(spread > 0, spread, 1), exact)
        error_of_mse = squares.mean(axis=1).std() / len(truth) ** 0.5
        return cls(
            len(truth),
            mse**0.5,
            float(error_of_mse / (2 * mse**0.5)) if mse > 0 else 0.0,
            float(np.abs(error).mean()),
            float(r2.mean()),
            mse,
            tuple(np.sqrt(squares.mean(axis=0)).tolist()),
            tuple(np.abs(error).mean(axis=0).tolist()),
            tuple(r2.tolist()),
            tuple(classes),
            data,
        )

    @property
    def score(self) -> float:
        """What `Model.score` returns: R2."""
        return self.r2

    @property
    def scores(self) -> dict[str, float]:
        """The main figures by name."""
        return {"RMSE": self.rmse, "MAE": self.mae, "R2": self.r2}

    def rows(self) -> list[tuple[str, str]]:
        return [
            ("n", f"{self.n:,}"),
            ("RMSE", f"{number_text(self.rmse)} ± {number_text(self.standard_error)} (standard error)"),
            ("MAE", number_text(self.mae)),
            ("R2", f"{self.r2:.4f}"),
        ]


class EntityScore(NamedTuple):
    """Scores of the entities of a type, or of "all": how many there are, were predicted, and are right, in type, first
    and last step.
    """

    type: str
    support: int
    predicted: int
    correct: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class TaggingEvaluation(Evaluation):
    """Scores of the predicted classes of n steps, as those of n rows of a classification, and of entities.

    sequences: the inputs that the steps are of. accuracy_interval: 95%, for sequences that are drawn at random: the
    steps of one sequence are right or wrong together (the interval of the ratio of two sums over sequences, as Wilson's
    with as many independent steps as have that variance).

    entities: by type, and of all together (micro average), counted as conlleval and seqeval's default mode do: an
    entity is a run of steps of one type, which begins at B or S, after O, E or S, and where the type changes. Empty
    where the classes are not O, B-TYPE, I-TYPE, E-TYPE, S-TYPE.
    """

    sequences: int
    entities: tuple[EntityScore, ...]

    @classmethod
    def of_steps(cls, found: Evaluation, predicted: Array, truth: Array, lengths: Sequence[int]) -> Self:
        """From the evaluation of all steps, their predicted and true classes (N,), and the steps of each sequence."""
        starts = np.cumsum([0, *lengths[:-1]])
        right = np.add.reduceat((predicted == truth).astype(np.float64), starts)
        variance = float(np.square(right - found.accuracy * np.array(lengths)).sum()) / found.n**2
        independent = found.accuracy * (1 - found.accuracy) / variance if variance > 0 else len(lengths)
        values = {field.name: getattr(found, field.name) for field in fields(found)}
        values["accuracy_interval"] = wilson_interval(found.accuracy, max(1, round(min(found.n, independent))))
        return cls(**values, sequences=len(lengths), entities=entity_scores(predicted, truth, starts, found.classes))

    @property
    def scores(self) -> dict[str, float]:
        """The main figures by name."""
        found = {"step accuracy": self.accuracy, "macro F1": self.macro_f1}
        return {"entity F1": self.entities[0].f1, **found} if self.entities else found

    def rows(self) -> list[tuple[str, str]]:
        (_, n), *rest = super().rows()
        text = "F1 {0.f1:.4f}, precision {0.precision:.4f}, recall {0.recall:.4f}, n {0.support:,}"
        entities = [("entities", text.format(one)) for one in self.entities[:1]]
        return [("n", f"{n} steps of {counted(self.sequences, 'sequence')}"), *entities, *rest]


def entity_scores(predicted: Array, truth: Array, starts: Array, classes: Sequence[str]) -> tuple[EntityScore, ...]:
    """The scores of all entities and of each type, see `TaggingEvaluation`; empty for classes that name none.

    predicted, truth (N,): classes of the steps; starts: the first step of each sequence.
    """
    if not all(re.fullmatch("O|[BIES]-.+", name) for name in classes) or set(classes) <= {"O"}:
        return ()
    both = [set(entities_of(found, starts, classes)) for found in (predicted, truth)]
    counts = [Counter(type for type, _, _ in part) for part in (*both, both[0] & both[1])]
    scores = []
    for name in ("all", *sorted({name[2:] for name in classes if name != "O"})):
        found, support, correct = (of.total() if name == "all" else of[name] for of in counts)
        three = precision_recall_f1(*(np.array([number]) for number in (correct, found, support)))
        scores.append(EntityScore(name, support, found, correct, *(float(one[0]) for one in three)))
    return tuple(scores)


def entities_of(labels: Array, starts: Array, classes: Sequence[str]) -> list[tuple[str, int, int]]:
    """Type, first and last step of each entity of labels (N,), see `TaggingEvaluation`."""
    found, first, begins = [], -1, set(starts.tolist())
    before, type_before = "O", ""
    for step, label in enumerate([*labels.tolist(), -1]):
        name = classes[label] if label >= 0 else "O"
        prefix, type = name[0], name[2:]
        begin = prefix != "O" and (prefix in "BS" or before in "OES" or type != type_before or step in begins)
        if first >= 0 and (prefix == "O" or begin or step in begins):
            found.append((type_before, first, step - 1))
            first = -1
        first = step if begin else first
        before, type_before = prefix, type
    return found


AnyEvaluation = Evaluation | MultilabelEvaluation | RegressionEvaluation


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """The 95% interval of a share observed in n rows (Wilson 1927). It covers the sampling of the rows only.

    >>> [round(end, 4) for end in wilson_interval(1.0, 16)]  # where all 16 rows are right
    [0.8064, 1.0]
    """
    z = 1.959964  # of the normal distribution, 95% lie within ± z
    centre, width = share + z**2 / (2 * n), z * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    low, high = ((centre + side) / (1 + z**2 / n) for side in (-width, width))
    return max(low, 0.0), min(high, 1.0)


def with_interval(accuracy: float, n: int) -> str:
    """An accuracy on n rows and its 95% interval as text: "0.9383 (95% interval 0.9352 to 0.9412)"."""
    return interval_text(accuracy, wilson_interval(accuracy, n))


def interval_text(accuracy: float, interval: tuple[float, float]) -> str:
    """An accuracy and its 95% interval as text."""
    return "{:.4f} (95% interval {:.4f} to {:.4f})".format(accuracy, *interval)


def precision_recall_f1(
    correct: NDArray[Any], predicted: NDArray[Any], true: NDArray[Any]
) -> tuple[Array, Array, Array]:
    """Precision, recall and F1 (K,) of each class from its counts, or sums of weights, (K,): rows predicted correctly,
    rows predicted, rows in the class; 0 where the divisor is 0.
    """
    found = [
        np.divide(part, divisor, out=np.zeros(len(correct)), where=divisor > 0)
        for part, divisor in ((correct, predicted), (correct, true), (2 * correct, predicted + true))
    ]
    return found[0], found[1], found[2]


def area_under_roc(scores: Array, positive: NDArray[np.bool_]) -> float | None:
    """The share of pairs (positive row, negative row) in which the positive row has the higher score; ties count half.

    scores, positive (n,). It is the area under the ROC curve (Hanley & McNeil 1982), from the rank sum of the positive
    rows (Mann & Whitney 1947). None without rows on both sides.
    """
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return None
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]  # from 1; equal scores have their mean rank
    return float((ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def chance_calibration_error(bins: Sequence[Bin], level: float = 0.95, draws: int = 2_000) -> float:
    """The expected calibration error that calibrated probabilities do not exceed in a share `level` of samples with as
    many predictions in each bin (consistency resampling, Broecker & Smith 2007). bins: see `Evaluation`.

    Of equal probabilities in a bin this is exact; of probabilities that differ within it, the error varies less.
    """
    n = np.array([one.n for one in bins])
    confidence = np.clip([one.confidence for one in bins], 0, 1)
    right = np.random.default_rng(0).binomial(n, confidence, size=(draws, len(bins)))
    errors = np.abs(right - n * confidence).sum(axis=1) / n.sum()
    return float(np.quantile(errors, level))


def decision_probabilities(logits: Array) -> Array:
    """The probabilities (n K, 2) of the two outcomes of each decision, from the logits of K labels (n, K)."""
    log_p = np.stack([-np.logaddexp(0, logits), -np.logaddexp(0, -logits)], axis=2, dtype=np.float64)
    return np.exp(log_p.reshape(-1, 2))


def reliability(p: Array, truth: NDArray[np.int64]) -> tuple[float, tuple[Bin, ...]]:
    """The expected calibration error, and the bins, see `Evaluation`."""
    confidence, correct = p.max(axis=1), p.argmax(axis=1) == truth  # (n,)
    edges = np.arange(BINS + 1) / BINS
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, BINS - 1)  # clip: rounding above 1
    n = np.bincount(place, minlength=BINS)
    divisor = np.maximum(n, 1)
    means = np.bincount(place, confidence, BINS) / divisor
    accuracies = np.bincount(place, correct.astype(np.float64), BINS) / divisor
    bins = zip(edges[:-1], edges[1:], n, means, accuracies, strict=True)
    error = (n * np.abs(accuracies - means)).sum() / n.sum()
    return float(error), tuple(Bin(*(number.item() for number in one)) for one in bins)
