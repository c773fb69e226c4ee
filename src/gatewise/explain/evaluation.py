"""`EvaluationReport`: an evaluation with the rows that it counts, for the terminal, JSON and the HTML report.

It adds the predictions that are most confident and wrong (for numbers the largest errors), the score by length of the
input, and the training history.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, counted
from gatewise.metrics import AnyEvaluation, wilson_interval
from gatewise.ragged import Ragged, flat
from gatewise.target import Target, words_of
from gatewise.types import Array, Task

MAX_MISTAKES = 20
_LENGTH_BINS = 6
_EXCERPT = 200  # characters
_HIGHEST = 1e300  # of the numbers of a history: their differences are finite


@dataclass(frozen=True)
class Mistake:
    """A row that is predicted wrongly. row: its number in the data, from 0. excerpt: the beginning of a text, or the
    length of a series. true, predicted: names, or numbers in their own unit.

    step: of a tagger, from 1. probability: of the predicted class; for "multilabel" of the most confident wrong
    decision; None for regression. error: prediction minus the true number, the largest of several; None for other
    tasks.
    """

    row: int
    excerpt: str
    true: str
    predicted: str
    step: int | None = None
    probability: float | None = None
    error: float | None = None


@dataclass(frozen=True)
class LengthScore:
    """The score of the n rows with shortest to longest tokens or steps, with a 95% interval of it, low to high."""

    shortest: int
    longest: int
    n: int
    score: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class EvaluationReport:
    """An evaluation and what its rows show.

    mistakes: at most 20, the most confident first, for regression the largest errors first. by_length: `score_name`
    ("accuracy", "subset accuracy" or "mean absolute error") in about equally many rows per range of `length_noun`
    ("tokens" or "steps"). history: numbers by epoch.
    """

    evaluation: AnyEvaluation
    task: Task
    mistakes: tuple[Mistake, ...]
    by_length: tuple[LengthScore, ...]
    score_name: str
    length_noun: str
    mistakes_title: str = "Most confident mistakes"
    history: tuple[dict[str, float], ...] = ()
    best_epoch: int = 0

    @classmethod
    def of(
        cls,
        target: Target,
        logits: Array | Ragged,
        truth: Array | Ragged,
        inputs: Sequence[Any],
        lengths: Sequence[int],
        data: str = "",
        history: Sequence[dict[str, float]] = (),
        best_epoch: int = 0,
    ) -> Self:
        """The report on logits (n, outputs), the true labels as in `Labelled` (n, ...), the inputs and their lengths in
        tokens or steps (n). data: the data set in one line. history: numbers by epoch. Raises InputError for an empty
        data set.
        """
        evaluation = target.evaluate(logits, truth, data)
        labels = flat(truth)  # (rows, ...): steps where each has a prediction
        predicted = np.asarray(target.decided(logits))
        scores = target.each.row_scores(predicted, labels)
        if isinstance(truth, Ragged):
            scores = np.array([steps.mean() for steps in truth.with_values(scores)])
        return cls(
            evaluation,
            target.task,
            tuple(_mistakes(target, flat(target.marginal_logits(logits)), predicted, truth, inputs)),
            tuple(_by_length(scores, np.asarray(lengths, dtype=np.int64), target.row_score_is_share)),
            target.row_score_name,
            "tokens" if isinstance(inputs[0], str) else "steps",
            target.each.mistakes_title,
            tuple(history),
            best_epoch,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON: the evaluation's fields, `mistakes`, `by_length` and `history`."""
        return {
            "task": self.task,
            **self.evaluation.as_dict(),
            "mistakes": [{k: v for k, v in asdict(one).items() if v is not None} for one in self.mistakes],
            "by_length": {
                "of": self.length_noun,
                "score": self.score_name,
                "ranges": [asdict(one) for one in self.by_length],
            },
            "history": list(self.history),
        }


def read_history(text: str) -> list[dict[str, float]]:
    """The numbers of each line of history.jsonl. The file may come from a stranger: whatever is not a number below
    1e300 is left out. Raises InputError for a line that is not JSON.
    """
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            row = json.loads(line, parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            raise InputError(f"history.jsonl, line {number}: not JSON") from None
        if isinstance(row, dict):
            lines.append({str(k): v for k, v in row.items() if isinstance(v, int | float) and abs(v) < _HIGHEST})
    return lines


def _mistakes(
    target: Target, logits: Array, predicted: Array, truth: Array | Ragged, inputs: Sequence[Any]
) -> list[Mistake]:
    """The wrong rows: the most confident ones first, for numbers the largest errors first. logits, predicted: of the
    rows, which are steps where the labels are `Ragged`.
    """
    labels = flat(truth)
    wrong, size = target.each.mistakes(logits, predicted, labels)
    order = np.argsort(-np.abs(size), kind="stable")
    mistakes = []
    for row in order[wrong[order]][:MAX_MISTAKES].tolist():
        number = row
        step = None
        if isinstance(truth, Ragged):
            number, step = truth.place(row)
        value = float(size[row])
        mistakes.append(
            Mistake(
                row=number,
                excerpt=excerpt_of(inputs[number], step),
                true=target.each.text(labels[row]),
                predicted=target.each.text(predicted[row]),
                step=None if step is None else step + 1,
                probability=value if target.each.has_probabilities else None,
                error=None if target.each.has_probabilities else value,
            )
        )
    return mistakes


def excerpt_of(item: Any, step: int | None = None) -> str:
    """The beginning of a text on one line without control characters, or the length of a series, or the shape of each
    array of a row; the words around a step, which is marked, or its number.
    """
    if isinstance(item, Mapping):
        arrays = ", ".join(f"{name} {_shown_array(array)}" for name, array in item.items())
        return arrays if step is None else f"step {step + 1} of {arrays}"
    if not isinstance(item, str):
        steps, channels = np.shape(item)
        text = counted(steps, "step")
        if step is not None:
            text = f"step {step + 1} of {text}"
        if channels > 1:
            text += f" of {channels} channels"
        return text
    if step is not None:
        words = words_of(item)
        item = " ".join([*words[max(0, step - 6) : step], f"[{words[step]}]", *words[step + 1 : step + 7]])
    flat = " ".join("".join(ch if ch.isprintable() else " " for ch in item[: 4 * _EXCERPT]).split())
    if len(flat) > _EXCERPT:
        flat = f"{flat[: _EXCERPT - 1]}…"
    return flat


def _shown_array(array: Any) -> str:
    """A number, or the shape of an array."""
    numbers = np.asarray(array)
    return f"{numbers.item():g}" if numbers.size == 1 else str(numbers.shape)


def _by_length(score: Array, lengths: NDArray[np.int64], shares: bool) -> list[LengthScore]:
    """At most 6 ranges of length, each with about as many rows; rows of one length are in one range. shares: the score
    of a row is 0 or 1.
    """
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, _LENGTH_BINS + 1), method="higher"))
    place = np.clip(np.searchsorted(edges, lengths, side="left") - 1, 0, max(len(edges) - 2, 0))
    ranges = []
    for n in np.unique(place):
        scores = score[place == n].astype(np.float64)
        steps = lengths[place == n]
        mean = float(scores.mean())
        if shares:
            low, high = wilson_interval(mean, len(scores))
        else:
            width = 1.96 * float(scores.std()) / len(scores) ** 0.5
            low = max(0.0, mean - width)  # an error is not negative
            high = mean + width
        ranges.append(LengthScore(int(steps.min()), int(steps.max()), len(scores), mean, low, high))
    return ranges
