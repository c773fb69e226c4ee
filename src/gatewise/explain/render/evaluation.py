"""An evaluation as tables, in a terminal and as a self-contained HTML page without a script: scores, classes,
confusion matrix, reliability, score by length, learning curves and mistakes.

User text passes through `printable` or `safe_text`, which remove control characters, and is never read as markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gatewise.errors import printable
from gatewise.explain.evaluation import EvaluationReport
from gatewise.explain.render.html_shell import html_shell, html_table, safe_text
from gatewise.explain.score import number_text
from gatewise.metrics import AnyEvaluation, Evaluation, MultilabelEvaluation, RegressionEvaluation, with_interval

MAX_MATRIX = 8  # classes of a confusion matrix that fits into 80 columns
_LONGEST = 34  # characters of a class name
_STYLE = """
header p { white-space: normal; } main section { margin-top: 28px; }
.scroll { max-height: 44rem; overflow: auto; } td.text { overflow-wrap: anywhere; max-width: 44rem; }
"""


class ReportTable(NamedTuple):
    """A table of an evaluation. text: the columns of text; the others hold numbers."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    text: tuple[int, ...] = (0,)


def evaluation_text(
    report: EvaluationReport, width: int = 80, top: int = 10, reliability: bool = False, note: str = ""
) -> Group:
    """The scores by name, one table per class, and the `top` confusions and mistakes.

    width: columns of the terminal. reliability: also the bins of the reliability diagram. note: a line on the data.
    """
    evaluation = report.evaluation
    lines = [("data", evaluation.data), ("note", note), *score_rows(evaluation)]
    parts: list[RenderableType] = [Text(f"{name:10}{printable(value, 500)}") for name, value in lines if value]
    left_out = {"Learning curves", "Score by length"} | ({"Reliability"} if not reliability else set())
    if len(evaluation.classes) > MAX_MATRIX:
        left_out.add("Confusion matrix")
    for one in evaluation_tables(report, top):
        if one.title not in left_out:
            table = Table(
                box=None, padding=(0, 2, 0, 0), show_edge=False, title=one.title, title_justify="left", title_style=""
            )
            for n, name in enumerate(one.head):
                table.add_column(Text(name), justify="left" if n in one.text else "right", no_wrap=n not in one.text)
            for row in one.rows:
                # The longest texts are cut where the table is wider than the terminal.
                table.add_row(*(Text(printable(cell, 300), no_wrap=True, overflow="ellipsis") for cell in row))
            parts += [Text(), table]
    return Group(*parts)


def evaluation_page(report: EvaluationReport, model: str = "", notes: Sequence[str] = ()) -> str:
    """The page. model: its name, for the title. notes: lines about the data, such as a warning."""
    title = f"Evaluation of {model}" if model else "Evaluation"
    lines = [f"Data: {report.evaluation.data}", *notes]
    sections = [html_table(("score", "value"), score_rows(report.evaluation), (0, 1))]
    for one in evaluation_tables(report, 20):
        sections.append(f"<h2>{safe_text(one.title)}</h2>{html_table(one.head, one.rows, one.text)}")
    body = (
        f"<header><h1>{safe_text(title, 120)}</h1></header><main>"
        + "".join(f'<p class="muted">{safe_text(line)}</p>' for line in lines if line)
        + "".join(f"<section>{section}</section>" for section in sections)
        + '</main><footer class="muted">Made by gatewise; this page loads nothing from a server. '
        "It contains excerpts of the data.</footer>"
    )
    return html_shell(title, body, extra_style=_STYLE)


def evaluation_tables(report: EvaluationReport, top: int) -> Iterator[ReportTable]:
    """The tables of a report that have rows. top: the most rows of confusions and mistakes."""
    evaluation = report.evaluation
    if isinstance(evaluation, RegressionEvaluation):
        errors = zip(evaluation.classes, evaluation.rmse_each, evaluation.mae_each, evaluation.r2_each, strict=True)
        rows = [(name, number_text(rmse), number_text(mae), f"{r2:.4f}") for name, rmse, mae, r2 in errors]
        tables = [ReportTable("Numbers", ("number", "RMSE", "MAE", "R2"), rows if len(rows) > 1 else [])]
    else:
        tables = [_classes(evaluation)]
    if isinstance(evaluation, Evaluation):
        tables += [_confusion(evaluation), _top_confusions(evaluation, top), _reliability(evaluation)]
    tables += [_by_length(report), _learning_curves(report), _mistakes(report, top)]
    return (one for one in tables if one.rows)


def score_rows(evaluation: AnyEvaluation) -> list[tuple[str, str]]:
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


def _name(name: str, longest: int = _LONGEST) -> str:
    """A class name of at most `longest` characters."""
    flat = printable(name, longest + 1)
    return flat if len(flat) <= longest else f"{flat[: longest - 1]}…"


def _classes(evaluation: Evaluation | MultilabelEvaluation) -> ReportTable:
    support = (
        evaluation.support if isinstance(evaluation, MultilabelEvaluation) else tuple(map(sum, evaluation.confusion))
    )
    scores = zip(evaluation.precision, evaluation.recall, evaluation.f1, strict=True)
    rows = [
        (_name(name), f"{n:,}", *(f"{x:.4f}" for x in row))
        for name, n, row in zip(evaluation.classes, support, scores, strict=True)
    ]
    return ReportTable("Classes", ("class", "rows", "precision", "recall", "F1"), rows)


def _confusion(evaluation: Evaluation) -> ReportTable:
    """The counts, and the recall of each row. Long names stand in the rows, and their numbers above the columns."""
    names = [_name(name, 20) for name in evaluation.classes]
    heads = names
    if sum(len(name) + 2 for name in names) > 40:
        heads = [str(n) for n in range(1, len(names) + 1)]
        names = [f"{n} {name}" for n, name in zip(heads, names, strict=True)]
    rows = []
    for n, row in enumerate(evaluation.confusion):
        recall = f"{row[n] / sum(row):.4f}" if sum(row) else ""
        rows.append((names[n], *(f"{count:,}" for count in row), recall))
    return ReportTable("Confusion matrix", ("true \\ predicted", *heads, "recall"), rows)


def _top_confusions(evaluation: Evaluation, top: int) -> ReportTable:
    support = dict(zip(evaluation.classes, map(sum, evaluation.confusion), strict=True))
    found = evaluation.top_confusions(top) if len(support) > 2 else ()
    rows = [(_name(true), _name(predicted), f"{n:,}", f"{n / support[true]:.1%}") for true, predicted, n in found]
    return ReportTable("Top confusions", ("true", "predicted", "rows", "of the true class"), rows, (0, 1))


def _reliability(evaluation: Evaluation) -> ReportTable:
    rows = [
        (f"{one.low:.3f} to {one.high:.3f}", f"{one.n:,}", f"{one.confidence:.3f}", f"{one.accuracy:.3f}",
         f"{one.accuracy - one.confidence:+.3f}")
        for one in evaluation.reliability if one.n
    ]  # fmt: skip
    return ReportTable("Reliability", ("confidence", "n", "mean confidence", "accuracy", "difference"), rows)


def _by_length(report: EvaluationReport) -> ReportTable:
    rows = [
        (f"{one.shortest:,} to {one.longest:,}", f"{one.n:,}", *map(number_text, (one.score, one.low, one.high)))
        for one in report.by_length
    ]
    head = (report.length_noun, "rows", report.score_name, "95% from", "to")
    return ReportTable("Score by length", head, rows if len(rows) > 1 else [])


def _learning_curves(report: EvaluationReport) -> ReportTable:
    """The numbers of each epoch; the epoch of the model is marked."""
    keys = list(dict.fromkeys(key for row in report.history for key in row if key != "epoch"))
    rows = [
        (f"{row['epoch']:g}{' (best)' * (row['epoch'] == report.best_epoch)}",
         *(number_text(row[key]) if key in row else "" for key in keys))
        for row in report.history if "epoch" in row
    ]  # fmt: skip
    return ReportTable("Learning curves", ("epoch", *(key.replace("val_", "validation ") for key in keys)), rows)


def _mistakes(report: EvaluationReport, top: int) -> ReportTable:
    regression = report.task == "regression"
    rows = []
    for one in report.mistakes[:top]:
        value = number_text(one.error) if one.error is not None else f"{one.probability:.3f}"
        rows.append((f"{one.row:,}", value, _name(one.predicted, 80), _name(one.true, 80), one.excerpt))
    title = "Largest errors" if regression else "Most confident mistakes"
    return ReportTable(
        title, ("row", "error" if regression else "prob.", "predicted", "true", "excerpt"), rows, (2, 3, 4)
    )
