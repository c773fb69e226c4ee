"""Evaluation of predictions: probabilities, accuracy, loss, and calibration error.

Each task has its evaluation: `Evaluation` for classification, `MultilabelEvaluation`, `RegressionEvaluation`,
`TaggingEvaluation`. `scores` of each are its main figures by name, for tables and model cards.

Expected calibration error and reliability bins: Guo et al. 2017, "On Calibration of Modern Neural Networks".
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
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
        rows = np.arange(n)
        if predicted is None:
            predicted = log_p.argmax(axis=1)
        accuracy = float((predicted == truth).mean())
        confusion = np.bincount(truth * k + predicted, minlength=k * k).reshape(k, k)
        n_predicted = confusion.sum(axis=0)
        n_true = confusion.sum(axis=1)
        precision, recall, f1 = precision_recall_f1(np.diagonal(confusion), n_predicted, n_true)
        p = np.exp(log_p.astype(np.float64))
        calibration_error, bins = reliability(p, truth)
        areas = [area_under_roc(p[:, c], truth == c) for c in range(k)]
        defined_areas = [area for area in areas if area is not None]
        residuals = p
        residuals[rows, truth] -= 1
        return cls(
            n=n,
            accuracy=accuracy,
            accuracy_interval=wilson_interval(accuracy, n),
            loss=float(-log_p[rows, truth].mean()),
            confusion=tuple(map(tuple, confusion.tolist())),  # a million numbers of 1,000 classes
            classes=tuple(classes),
            data=data,
            calibration_error=calibration_error,
            brier=float((residuals**2).sum(axis=1).mean() / 2),
            reliability=bins,
            precision=tuple(precision.tolist()),
            recall=tuple(recall.tolist()),
            f1=tuple(f1.tolist()),
            macro_f1=float(f1[n_predicted + n_true > 0].mean()),
            auc=sum(defined_areas) / len(defined_areas) if defined_areas else None,
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
        if self.auc is None:
            area = "not defined: the data has one class"
        elif len(self.classes) > 2:
            area = f"{self.auc:.4f} (one class against the rest, mean of the classes)"
        else:
            area = f"{self.auc:.4f}"
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
        most_frequent = np.argsort(-counts.ravel(), kind="stable")[:most]
        confusions = []
        for place in most_frequent.tolist():
            true, predicted = divmod(place, len(counts))
            n = int(counts[true, predicted])
            if n:
                confusions.append((self.classes[true], self.classes[predicted], n))
        return confusions


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
        n_correct = (predicted * truth).sum(axis=0)  # (K,) true positives
        n_predicted = predicted.sum(axis=0)
        support = truth.sum(axis=0)
        precision, recall, f1 = precision_recall_f1(n_correct, n_predicted, support)
        occurs = n_predicted + support > 0
        n_positive = int(n_predicted.sum() + support.sum())
        accuracy = float((predicted == truth).all(axis=1).mean())
        losses, _ = binary_cross_entropy(logits.astype(np.float64), truth)
        calibration_error, _ = reliability(decision_probabilities(logits), truth.ravel())
        return cls(
            n=n,
            accuracy=accuracy,
            accuracy_interval=wilson_interval(accuracy, n),
            loss=float(losses.mean()),
            micro_f1=float(2 * n_correct.sum() / n_positive) if n_positive else 0.0,
            macro_f1=float(f1[occurs].mean()) if occurs.any() else 0.0,
            precision=tuple(precision.tolist()),
            recall=tuple(recall.tolist()),
            f1=tuple(f1.tolist()),
            support=tuple(support.tolist()),
            classes=tuple(classes),
            data=data,
            calibration_error=calibration_error,
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
        n = len(truth)
        error = predicted.astype(np.float64) - truth  # (n, M)
        squares = error**2
        mse = float(squares.mean())
        rmse = mse**0.5
        standard_error_of_mse = squares.mean(axis=1).std() / n**0.5
        # The delta method: the derivative of the square root at the mean squared error.
        standard_error = float(standard_error_of_mse / (2 * rmse)) if mse > 0 else 0.0
        r2 = _r2(squares, truth)
        return cls(
            n=n,
            rmse=rmse,
            standard_error=standard_error,
            mae=float(np.abs(error).mean()),
            r2=float(r2.mean()),
            loss=mse,
            rmse_each=tuple(np.sqrt(squares.mean(axis=0)).tolist()),
            mae_each=tuple(np.abs(error).mean(axis=0).tolist()),
            r2_each=tuple(r2.tolist()),
            classes=tuple(classes),
            data=data,
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


def _r2(squares: Array, truth: Array) -> Array:
    """The coefficient of determination (M,) of each number, from squared errors and true numbers (n, M)."""
    residual = squares.sum(axis=0)
    total = np.square(truth - truth.mean(axis=0)).sum(axis=0)
    # Equal numbers may differ from their mean by rounding, so they are compared with each other.
    varies = (truth.min(axis=0) < truth.max(axis=0)) & (total > 0)
    is_exact = (residual == 0).astype(np.float64)
    return np.asarray(np.where(varies, 1 - residual / np.where(varies, total, 1), is_exact))


class EntityScore(NamedTuple):
    """Scores of the entities of a type, or of "all". support: how many there are. predicted: how many were predicted.
    correct: predicted ones with the right type, first and last step.
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

    sequences: how many inputs the steps come from. accuracy_interval: 95%, for sequences that are drawn at random, as
    the steps of one sequence are right or wrong together. The accuracy is a ratio of two sums over sequences; the
    interval is Wilson's for as many independent steps as have the variance of this ratio.

    row_accuracy: the share of sequences whose steps are all right, with its 95% interval (`wilson_interval`).

    entities: by type, and of all together (micro average), counted as conlleval and seqeval's default mode do: an
    entity is a run of steps of one type, which begins at B or S, after O, E or S, and where the type changes. This
    reads IOB1, IOB2, BIOES, and BILOU, whose L is E and whose U is S. Empty where the classes are not O and B-, I-,
    E-, S-, L- or U-TYPE.
    """

    sequences: int
    row_accuracy: float
    row_accuracy_interval: tuple[float, float]
    entities: tuple[EntityScore, ...]

    @classmethod
    def of_steps(cls, steps: Evaluation, predicted: Array, truth: Array, lengths: Sequence[int]) -> Self:
        """From the evaluation of all steps, their predicted and true classes (N,), and the steps of each sequence."""
        starts = np.cumsum([0, *lengths[:-1]])
        n_correct = np.add.reduceat((predicted == truth).astype(np.float64), starts)  # of each sequence
        accuracy = steps.accuracy
        variance = float(np.square(n_correct - accuracy * np.array(lengths)).sum()) / steps.n**2
        n_independent: float = len(lengths)
        if variance > 0:
            n_independent = accuracy * (1 - accuracy) / variance
        values = {field.name: getattr(steps, field.name) for field in fields(steps)}
        values["accuracy_interval"] = wilson_interval(accuracy, max(1, round(min(steps.n, n_independent))))
        row_accuracy = float((n_correct == np.array(lengths)).mean())
        return cls(
            **values,
            sequences=len(lengths),
            row_accuracy=row_accuracy,
            row_accuracy_interval=wilson_interval(row_accuracy, len(lengths)),
            entities=entity_scores(predicted, truth, starts, steps.classes),
        )

    @property
    def scores(self) -> dict[str, float]:
        """The main figures by name."""
        scores = {"step accuracy": self.accuracy, "row accuracy": self.row_accuracy, "macro F1": self.macro_f1}
        if not self.entities:
            return scores
        return {"entity F1": self.entities[0].f1, **scores}

    def rows(self) -> list[tuple[str, str]]:
        (_, n), *rows = super().rows()
        of_rows = interval_text(self.row_accuracy, self.row_accuracy_interval)
        rows.insert(1, ("rows", f"{of_rows}, all labels of a sequence right"))
        if self.entities:
            every = self.entities[0]
            scores = f"F1 {every.f1:.4f}, precision {every.precision:.4f}, recall {every.recall:.4f}"
            rows.insert(0, ("entities", f"{scores}, n {every.support:,}"))
        return [("n", f"{n} steps of {counted(self.sequences, 'sequence')}"), *rows]


ENTITY_LABEL = re.compile("O|[BIESLU]-.+")
_AS_BIOES = {"L": "E", "U": "S"}  # the prefixes of BILOU


def entity_scores(predicted: Array, truth: Array, starts: Array, classes: Sequence[str]) -> tuple[EntityScore, ...]:
    """The scores of all entities and of each type, see `TaggingEvaluation`; empty for classes that name none.

    predicted, truth (N,): classes of the steps; starts: the first step of each sequence.
    """
    if not all(ENTITY_LABEL.fullmatch(name) for name in classes) or set(classes) <= {"O"}:
        return ()
    predicted_entities = set(entities_of(predicted, starts, classes))
    true_entities = set(entities_of(truth, starts, classes))
    n_predicted = _count_types(predicted_entities)
    n_true = _count_types(true_entities)
    n_correct = _count_types(predicted_entities & true_entities)
    scores = [_entity_score("all", n_true.total(), n_predicted.total(), n_correct.total())]
    for type in sorted({name[2:] for name in classes if name != "O"}):
        scores.append(_entity_score(type, n_true[type], n_predicted[type], n_correct[type]))
    return tuple(scores)


def _count_types(entities: Iterable[tuple[str, int, int]]) -> Counter[str]:
    return Counter(type for type, _, _ in entities)


def _entity_score(type: str, support: int, predicted: int, correct: int) -> EntityScore:
    precision, recall, f1 = precision_recall_f1(np.array([correct]), np.array([predicted]), np.array([support]))
    return EntityScore(type, support, predicted, correct, float(precision[0]), float(recall[0]), float(f1[0]))


def entities_of(labels: Array, starts: Array, classes: Sequence[str]) -> list[tuple[str, int, int]]:
    """Type, first and last step of each entity of labels (N,), see `TaggingEvaluation`."""
    entities = []
    starts_of_sequences = set(starts.tolist())
    first = -1  # the first step of the entity that is open; -1 for none
    last_prefix = "O"
    last_type = ""
    names = [classes[label] for label in labels.tolist()]
    for step, name in enumerate([*names, "O"]):  # the last one closes an entity at the end
        prefix = _AS_BIOES.get(name[0], name[0])
        type = name[2:]
        is_start = step in starts_of_sequences
        begins = prefix != "O" and (prefix in "BS" or last_prefix in "OES" or type != last_type or is_start)
        ends = prefix == "O" or begins or is_start
        if first >= 0 and ends:
            entities.append((last_type, first, step - 1))
            first = -1
        if begins:
            first = step
        last_prefix = prefix
        last_type = type
    return entities


AnyEvaluation = Evaluation | MultilabelEvaluation | RegressionEvaluation


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """The 95% interval of a share observed in n rows (Wilson 1927). It covers the sampling of the rows only.

    >>> [round(end, 4) for end in wilson_interval(1.0, 16)]  # where all 16 rows are right
    [0.8064, 1.0]
    """
    z = 1.959964  # of the normal distribution, 95% lie within ± z
    centre = share + z**2 / (2 * n)
    half_width = z * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    divisor = 1 + z**2 / n
    return max((centre - half_width) / divisor, 0.0), min((centre + half_width) / divisor, 1.0)


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
    precision = _divided(correct, predicted)
    recall = _divided(correct, true)
    f1 = _divided(2 * correct, predicted + true)
    return precision, recall, f1


def _divided(dividend: NDArray[Any], divisor: NDArray[Any]) -> Array:
    """The quotients (K,), 0 where the divisor is 0."""
    return np.asarray(np.divide(dividend, divisor, out=np.zeros(len(dividend)), where=divisor > 0))


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
    """The quantile `level` of the expected calibration error of calibrated probabilities, for samples with as many
    predictions in each bin (consistency resampling, Broecker & Smith 2007). bins: see `Evaluation`.

    It is exact if the probabilities in a bin are equal. If they differ, the error varies less.
    """
    n = np.array([bin.n for bin in bins])
    confidence = np.clip([bin.confidence for bin in bins], 0, 1)
    n_correct = np.random.default_rng(0).binomial(n, confidence, size=(draws, len(bins)))
    errors = np.abs(n_correct - n * confidence).sum(axis=1) / n.sum()
    return float(np.quantile(errors, level))


def decision_probabilities(logits: Array) -> Array:
    """The probabilities (n K, 2) of the two outcomes of each decision, from the logits of K labels (n, K)."""
    log_p = np.stack([-np.logaddexp(0, logits), -np.logaddexp(0, -logits)], axis=2, dtype=np.float64)
    return np.exp(log_p.reshape(-1, 2))


def reliability(p: Array, truth: NDArray[np.int64]) -> tuple[float, tuple[Bin, ...]]:
    """The expected calibration error, and the bins, see `Evaluation`."""
    confidence = p.max(axis=1)  # (n,)
    correct = p.argmax(axis=1) == truth
    edges = np.arange(BINS + 1) / BINS
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, BINS - 1)  # clip: rounding above 1
    n = np.bincount(place, minlength=BINS)
    divisor = np.maximum(n, 1)
    confidences = np.bincount(place, confidence, BINS) / divisor
    accuracies = np.bincount(place, correct.astype(np.float64), BINS) / divisor
    error = (n * np.abs(accuracies - confidences)).sum() / n.sum()
    columns = [edges[:-1], edges[1:], n, confidences, accuracies]
    bins = [Bin(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]
    return float(error), tuple(bins)
