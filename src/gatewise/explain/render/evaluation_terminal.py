"""An evaluation in a terminal: the scores, the classes, the confusion matrix and the mistakes, within 80 columns.

User text passes through `printable`, which removes control characters, and is never read as markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gatewise.errors import printable
from gatewise.explain.evaluation import EvaluationReport, Mistake
from gatewise.explain.score import number_text
from gatewise.metrics import Evaluation, MultilabelEvaluation, RegressionEvaluation, with_interval

MAX_MATRIX = 8  # classes of a confusion matrix that fits into 80 columns
_LONGEST = 24  # characters of a class name


def evaluation_text(
    report: EvaluationReport, width: int = 80, top: int = 10, reliability: bool = False, note: str = ""
) -> Group:
    """The scores by name, one table per class, and the `top` confusions and mistakes.

    width: columns of the terminal. reliability: also the bins of the reliability diagram. note: a line on the data.
    """
    evaluation = report.evaluation
    width = max(width, 60)
    parts: list[RenderableType] = [Text(f"{'data':10}{printable(evaluation.data, 500)}")]
    if note:
        parts.append(Text(f"{'note':10}{printable(note, 500)}"))
    parts += [Text(f"{name:10}{value}") for name, value in score_rows(evaluation)]
    if isinstance(evaluation, RegressionEvaluation):
        if len(evaluation.classes) > 1:
            parts += [Text(), _by_number(evaluation)]
    else:
        parts += [Text(), _by_class(evaluation)]
    if isinstance(evaluation, Evaluation):
        if len(evaluation.classes) <= MAX_MATRIX:
            parts += [Text(), _confusion(evaluation, width)]
        if len(evaluation.classes) > 2 and evaluation.top_confusions(1):
            parts += [Text(), _top_confusions(evaluation, top)]
        if reliability:
            parts += [Text(), _reliability(evaluation)]
    if report.mistakes:
        parts += [Text(), *_mistakes(report.mistakes[:top], report.task == "regression", width)]
    return Group(*parts)


def score_rows(evaluation: Evaluation | MultilabelEvaluation | RegressionEvaluation) -> list[tuple[str, str]]:
    """The scores as (name, value with its error or definition)."""
    rows = [("n", f"{evaluation.n:,}")]
    if isinstance(evaluation, RegressionEvaluation):
        error = f"± {number_text(evaluation.standard_error)} (standard error)"
        return [
            *rows,
            ("RMSE", f"{number_text(evaluation.rmse)} {error}"),
            ("MAE", number_text(evaluation.mae)),
            ("R2", f"{evaluation.r2:.4f}"),
        ]
    accuracy = with_interval(evaluation.accuracy, evaluation.n)
    if isinstance(evaluation, MultilabelEvaluation):
        return [
            *rows,
            ("micro F1", f"{evaluation.micro_f1:.4f}"),
            ("macro F1", f"{evaluation.macro_f1:.4f}"),
            ("subset", f"{accuracy}, all labels of a row correct"),
            ("log loss", f"{evaluation.loss:.4f} (per label)"),
            ("ECE", f"{evaluation.calibration_error:.4f} (expected calibration error, per label)"),
        ]
    area = "not defined: the data has one class" if evaluation.auc is None else f"{evaluation.auc:.4f}"
    if evaluation.auc is not None and len(evaluation.classes) > 2:
        area += " (one class against the rest, mean of the classes)"
    return [
        *rows,
        ("accuracy", accuracy),
        ("macro F1", f"{evaluation.macro_f1:.4f}"),
        ("AUC", area),
        ("log loss", f"{evaluation.loss:.4f}"),
        ("ECE", f"{evaluation.calibration_error:.4f} (expected calibration error, {len(evaluation.reliability)} bins)"),
        ("Brier", f"{evaluation.brier:.4f}"),
    ]


def _table(*headings: str, left: Sequence[int] = (0,)) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    for n, heading in enumerate(headings):
        table.add_column(Text(heading), justify="left" if n in left else "right", no_wrap=True)
    return table


def _name(name: str, longest: int = _LONGEST) -> str:
    """A class name of at most `longest` characters."""
    flat = printable(name, longest + 1)
    return flat if len(flat) <= longest else f"{flat[: longest - 1]}…"


def support_of(evaluation: Evaluation | MultilabelEvaluation) -> list[int]:
    """The rows of each class."""
    if isinstance(evaluation, MultilabelEvaluation):
        return list(evaluation.support)
    return [sum(row) for row in evaluation.confusion]


def _by_class(evaluation: Evaluation | MultilabelEvaluation) -> Table:
    table = _table("class", "rows", "precision", "recall", "F1")
    columns = zip(
        evaluation.classes,
        support_of(evaluation),
        evaluation.precision,
        evaluation.recall,
        evaluation.f1,
        strict=True,
    )
    for name, rows, *scores in columns:
        table.add_row(Text(_name(name, 34)), f"{rows:,}", *(f"{score:.4f}" for score in scores))
    return table


def _by_number(evaluation: RegressionEvaluation) -> Table:
    table = _table("number", "RMSE", "MAE", "R2")
    for name, rmse, mae, r2 in zip(
        evaluation.classes, evaluation.rmse_each, evaluation.mae_each, evaluation.r2_each, strict=True
    ):
        table.add_row(Text(_name(name, 34)), number_text(rmse), number_text(mae), f"{r2:.4f}")
    return table


def _confusion(evaluation: Evaluation, width: int) -> Table:
    """The counts, and the recall of each row."""
    names = [_name(name, 20) for name in evaluation.classes]
    head = "true \\ predicted"
    k, first = len(names), max(len(head), *map(len, names))
    digits = len(f"{max(map(max, evaluation.confusion)):,}")
    column = max(digits, 4, (width - first - 2 - 8) // k - 2)
    heads = names
    if max(map(len, names)) > column:  # the columns have the numbers of the rows
        heads = [str(n) for n in range(1, k + 1)]
        names = [f"{n} {name}" for n, name in zip(heads, names, strict=True)]
    table = _table(head, *heads, "recall")
    for n, row in enumerate(evaluation.confusion):
        recall = f"{row[n] / sum(row):.4f}" if sum(row) else ""
        table.add_row(Text(names[n]), *(f"{count:,}" for count in row), recall)
    return table


def _top_confusions(evaluation: Evaluation, top: int) -> Table:
    table = _table("top confusions: true", "predicted", "rows", "of the true class", left=(0, 1))
    rows = dict(zip(evaluation.classes, support_of(evaluation), strict=True))
    for true, predicted, n in evaluation.top_confusions(top):
        table.add_row(Text(_name(true)), Text(_name(predicted)), f"{n:,}", f"{n / rows[true]:.1%}")
    return table


def _reliability(evaluation: Evaluation) -> Table:
    table = _table("confidence", "n", "mean confidence", "accuracy", "difference")
    for one in evaluation.reliability:
        if one.n:
            numbers = f"{one.confidence:.3f}", f"{one.accuracy:.3f}", f"{one.accuracy - one.confidence:+.3f}"
            table.add_row(f"{one.low:.3f} to {one.high:.3f}", f"{one.n:,}", *numbers)
    return table


def _mistakes(mistakes: Sequence[Mistake], regression: bool, width: int) -> Iterator[RenderableType]:
    """One line each; the excerpt fills the line."""
    yield Text("largest errors" if regression else "most confident mistakes")
    digits = max(len(f"{one.row:,}") for one in mistakes)
    longest = min(18, max(len(name) for one in mistakes for name in (one.true, one.predicted)))
    longest = max(longest, len("predicted"))
    number = "error" if regression else "prob."
    table = _table("row", number, "predicted", "true", "excerpt", left=(2, 3, 4))
    shown = [number_text(one.error) if one.error is not None else f"{one.probability:.3f}" for one in mistakes]
    used = max(digits, 3) + max(len(number), *map(len, shown)) + 2 * longest + 4 * 2
    for one, value in zip(mistakes, shown, strict=True):
        names = (Text(_name(name, longest)) for name in (one.predicted, one.true))
        table.add_row(f"{one.row:,}", value, *names, Text(_name(one.excerpt, max(16, width - used))))
    yield table
