"""An evaluation as tables, in a terminal and as a self-contained HTML page without a script: scores, classes,
confusion matrix, reliability, score by length, learning curves and mistakes.

User text passes through `printable` or `safe_text`, which remove control characters, and is never read as markup.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.text import Text

from gatewise.errors import number_text, printable
from gatewise.explain.evaluation import EvaluationReport
from gatewise.explain.render.html import html_shell
from gatewise.markup import html_table, safe_text
from gatewise.metrics import AnyEvaluation, Evaluation, MultilabelEvaluation, RegressionEvaluation, TaggingEvaluation
from gatewise.system.console import plain_table

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


def evaluation_text(report: EvaluationReport, top: int = 10, reliability: bool = False, note: str = "") -> Group:
    """The scores by name, one table per class, and the `top` confusions and mistakes.

    reliability: also the bins of the reliability diagram. note: a line on the data.
    """
    evaluation = report.evaluation
    lines = [("data", evaluation.data), ("note", note), *evaluation.rows()]
    parts: list[RenderableType] = [Text(f"{name:10}{printable(value, 500)}") for name, value in lines if value]
    left_out = {"Learning curves", "Score by length"} | ({"Reliability"} if not reliability else set())
    if len(evaluation.classes) > MAX_MATRIX:
        left_out.add("Confusion matrix")
    for one in evaluation_tables(report, top):
        if one.title not in left_out:
            sides = "".join("l" if n in one.text else "r" for n in range(len(one.head)))
            table = plain_table(sides, *map(Text, one.head), title=one.title, title_justify="left", title_style="")
            for n, column in enumerate(table.columns):
                column.no_wrap = n not in one.text
            for row in one.rows:
                # The longest texts are cut where the table is wider than the terminal.
                table.add_row(*(Text(printable(cell, 300), no_wrap=True, overflow="ellipsis") for cell in row))
            parts += [Text(), table]
    return Group(*parts)


def evaluation_page(report: EvaluationReport, model: str = "", notes: Sequence[str] = ()) -> str:
    """The page. model: its name, for the title. notes: lines about the data, such as a warning."""
    title = f"Evaluation of {model}" if model else "Evaluation"
    lines = [f"Data: {report.evaluation.data}", *notes]
    sections = [html_table(("score", "value"), report.evaluation.rows(), (0, 1))]
    for one in evaluation_tables(report, 20):
        sections.append(f"<h2>{safe_text(one.title)}</h2>{html_table(one.head, one.rows, one.text)}")
    body = (
        f"<header><h1>{safe_text(title, 120)}</h1></header><main>"
        + "".join(f'<p class="muted">{safe_text(line)}</p>' for line in lines if line)
        + "".join(f"<section>{section}</section>" for section in sections)
        + '</main><footer class="muted">Made by gatewise; this page loads nothing from a server. '
        "It contains excerpts of the data.</footer>"
    )
    return html_shell(title, body, _STYLE)


def evaluation_tables(report: EvaluationReport, top: int) -> list[ReportTable]:
    """The tables of a report that have rows. top: the most rows of confusions and mistakes."""
    return [one for one in (*_of_classes(report.evaluation, top), *_of_rows(report, top)) if one.rows]


def _of_classes(found: AnyEvaluation, top: int) -> list[ReportTable]:
    """The scores of each class, label or number; for classes what is taken for what, and the reliability."""
    if isinstance(found, RegressionEvaluation):
        errors = zip(found.classes, found.rmse_each, found.mae_each, found.r2_each, strict=True)
        rows = [(name, number_text(rmse), number_text(mae), f"{r2:.4f}") for name, rmse, mae, r2 in errors]
        return [ReportTable("Numbers", ("number", "RMSE", "MAE", "R2"), rows if len(rows) > 1 else [])]
    support = found.support if isinstance(found, MultilabelEvaluation) else tuple(map(sum, found.confusion))
    scores = zip(found.classes, support, found.precision, found.recall, found.f1, strict=True)
    each = [(_cut(name), f"{n:,}", *(f"{x:.4f}" for x in row)) for name, n, *row in scores]
    tables = [ReportTable("Classes", ("class", "rows", "precision", "recall", "F1"), each)]
    if isinstance(found, TaggingEvaluation):
        counts = "type", "n", "predicted", "correct", "precision", "recall", "F1"
        by_type = [(_cut(name), *map(number_text, numbers)) for name, *numbers in found.entities]
        tables.insert(0, ReportTable("Entities", counts, by_type))
    if not isinstance(found, Evaluation):
        return tables
    names = heads = [_cut(name, 20) for name in found.classes]
    if sum(len(name) + 2 for name in names) > 40:  # long names stand in the rows, their numbers above the columns
        heads = [str(n) for n in range(1, len(names) + 1)]
        names = [f"{n} {name}" for n, name in zip(heads, names, strict=True)]
    matrix = [
        (names[n], *(f"{count:,}" for count in row), f"{row[n] / sum(row):.4f}" if sum(row) else "")
        for n, row in enumerate(found.confusion)
    ]
    of = dict(zip(found.classes, support, strict=True))
    most = [
        (_cut(true), _cut(predicted), f"{n:,}", f"{n / of[true]:.1%}")
        for true, predicted, n in (found.top_confusions(top) if len(of) > 2 else ())
    ]
    bins = [
        (f"{one.low:.3f} to {one.high:.3f}", f"{one.n:,}", f"{one.confidence:.3f}", f"{one.accuracy:.3f}",
         f"{one.accuracy - one.confidence:+.3f}")
        for one in found.reliability if one.n
    ]  # fmt: skip
    return [
        *tables,
        ReportTable("Confusion matrix", ("true \\ predicted", *heads, "recall"), matrix),
        ReportTable("Top confusions", ("true", "predicted", "rows", "of the true class"), most, (0, 1)),
        ReportTable("Reliability", ("confidence", "n", "mean confidence", "accuracy", "difference"), bins),
    ]


def _of_rows(report: EvaluationReport, top: int) -> list[ReportTable]:
    """The score by length, the numbers of each epoch with the model's own one marked, and the mistakes."""
    lengths = [
        (f"{one.shortest:,} to {one.longest:,}", f"{one.n:,}", *map(number_text, (one.score, one.low, one.high)))
        for one in report.by_length
    ]
    keys = list(dict.fromkeys(key for row in report.history for key in row if key != "epoch"))
    epochs = [
        (f"{row['epoch']:g}{' (best)' * (row['epoch'] == report.best_epoch)}",
         *(number_text(row[key]) if key in row else "" for key in keys))
        for row in report.history if "epoch" in row
    ]  # fmt: skip
    mistakes = []
    for one in report.mistakes[:top]:
        value = number_text(one.error) if one.error is not None else f"{one.probability:.3f}"
        place = f"{one.row:,}" + (f", step {one.step:,}" if one.step else "")
        mistakes.append((place, value, _cut(one.predicted, 80), _cut(one.true, 80), one.excerpt))
    has_errors = any(mistake.error is not None for mistake in report.mistakes)
    value = "error" if has_errors else "prob."
    by_length = (report.length_noun, "rows", report.score_name, "95% from", "to")
    curves = ("epoch", *(key.replace("val_", "validation ") for key in keys))
    return [
        ReportTable("Score by length", by_length, lengths if len(lengths) > 1 else []),
        ReportTable("Learning curves", curves, epochs),
        ReportTable(report.mistakes_title, ("row", value, "predicted", "true", "excerpt"), mistakes, (2, 3, 4)),
    ]


def _cut(name: str, longest: int = _LONGEST) -> str:
    """A name of at most `longest` characters, the ellipsis included."""
    flat = printable(name, longest + 1)
    return flat if len(flat) <= longest else f"{flat[: longest - 1]}…"
