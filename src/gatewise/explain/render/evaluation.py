"""An evaluation as tables, in a terminal and as a self-contained HTML page without a script: scores, classes,
confusion matrix, reliability, score by length, learning curves and mistakes.

User text passes through `printable` or `safe_text`, which remove control characters, and is never read as markup.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gatewise.errors import number_text, printable
from gatewise.explain.evaluation import EvaluationReport
from gatewise.explain.render.html import html_shell
from gatewise.markup import html_table, safe_text
from gatewise.metrics import Evaluation, MultilabelEvaluation, RegressionEvaluation, TaggingEvaluation
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
    blocks: list[RenderableType] = [Text(f"{name:10}{printable(value, 500)}") for name, value in lines if value]
    left_out = {"Learning curves", "Score by length"}
    if not reliability:
        left_out.add("Reliability")
    if len(evaluation.classes) > MAX_MATRIX:
        left_out.add("Confusion matrix")
    for table in evaluation_tables(report, top):
        if table.title not in left_out:
            blocks += [Text(), _terminal_table(table)]
    return Group(*blocks)


def _terminal_table(table: ReportTable) -> Table:
    """The table for a terminal, texts on the left and numbers on the right."""
    sides = "".join("l" if n in table.text else "r" for n in range(len(table.head)))
    in_terminal = plain_table(sides, *map(Text, table.head), title=table.title, title_justify="left", title_style="")
    for n, column in enumerate(in_terminal.columns):
        column.no_wrap = n not in table.text
    for row in table.rows:
        # The longest texts are cut where the table is wider than the terminal.
        in_terminal.add_row(*(Text(printable(cell, 300), no_wrap=True, overflow="ellipsis") for cell in row))
    return in_terminal


def evaluation_page(report: EvaluationReport, model: str = "", notes: Sequence[str] = ()) -> str:
    """The page. model: its name, for the title. notes: lines about the data, such as a warning."""
    title = f"Evaluation of {model}" if model else "Evaluation"
    lines = [f"Data: {report.evaluation.data}", *notes]
    sections = [html_table(("score", "value"), report.evaluation.rows(), (0, 1))]
    for table in evaluation_tables(report, 20):
        sections.append(f"<h2>{safe_text(table.title)}</h2>{html_table(table.head, table.rows, table.text)}")
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
    evaluation = report.evaluation
    if isinstance(evaluation, RegressionEvaluation):
        tables = [_numbers(evaluation)]
    elif isinstance(evaluation, MultilabelEvaluation):
        tables = [_classes(evaluation, evaluation.support)]
    else:
        tables = _tables_of_classification(evaluation, top)
    tables += [_score_by_length(report), _learning_curves(report), _mistakes(report, top)]
    return [table for table in tables if table.rows]


def _numbers(evaluation: RegressionEvaluation) -> ReportTable:
    """The scores of each number; no rows for a single one, whose scores are those of the data."""
    rows = []
    if len(evaluation.classes) > 1:
        scores = zip(evaluation.classes, evaluation.rmse_each, evaluation.mae_each, evaluation.r2_each, strict=True)
        rows = [(name, number_text(rmse), number_text(mae), f"{r2:.4f}") for name, rmse, mae, r2 in scores]
    return ReportTable("Numbers", ("number", "RMSE", "MAE", "R2"), rows)


def _tables_of_classification(evaluation: Evaluation, top: int) -> list[ReportTable]:
    """The scores of each class, of entities where there are some, what is taken for what, and the reliability."""
    n_true = tuple(map(sum, evaluation.confusion))
    tables = [
        _classes(evaluation, n_true),
        _confusion_matrix(evaluation),
        _top_confusions(evaluation, n_true, top),
        _reliability(evaluation),
    ]
    if isinstance(evaluation, TaggingEvaluation):
        tables.insert(0, _entities(evaluation))
    return tables


def _classes(evaluation: Evaluation | MultilabelEvaluation, n_true: Sequence[int]) -> ReportTable:
    scores = zip(evaluation.classes, n_true, evaluation.precision, evaluation.recall, evaluation.f1, strict=True)
    rows = [
        (_cut(name), f"{n:,}", f"{precision:.4f}", f"{recall:.4f}", f"{f1:.4f}")
        for name, n, precision, recall, f1 in scores
    ]
    return ReportTable("Classes", ("class", "rows", "precision", "recall", "F1"), rows)


def _entities(evaluation: TaggingEvaluation) -> ReportTable:
    head = ("type", "n", "predicted", "correct", "precision", "recall", "F1")
    rows = [(_cut(name), *map(number_text, numbers)) for name, *numbers in evaluation.entities]
    return ReportTable("Entities", head, rows)


def _confusion_matrix(evaluation: Evaluation) -> ReportTable:
    names = [_cut(name, 20) for name in evaluation.classes]
    heads = names
    if sum(len(name) + 2 for name in names) > 40:  # long names stand in the rows, their numbers above the columns
        heads = [str(n) for n in range(1, len(names) + 1)]
        names = [f"{n} {name}" for n, name in zip(heads, names, strict=True)]
    rows = []
    for true, counts in enumerate(evaluation.confusion):
        n_true = sum(counts)
        recall = f"{counts[true] / n_true:.4f}" if n_true else ""
        rows.append((names[true], *(f"{count:,}" for count in counts), recall))
    return ReportTable("Confusion matrix", ("true \\ predicted", *heads, "recall"), rows)


def _top_confusions(evaluation: Evaluation, n_true: Sequence[int], top: int) -> ReportTable:
    """The most frequent errors; no rows for two classes, whose confusion matrix says it all."""
    rows = []
    if len(evaluation.classes) > 2:
        n_of_class = dict(zip(evaluation.classes, n_true, strict=True))
        for true, predicted, n in evaluation.top_confusions(top):
            rows.append((_cut(true), _cut(predicted), f"{n:,}", f"{n / n_of_class[true]:.1%}"))
    return ReportTable("Top confusions", ("true", "predicted", "rows", "of the true class"), rows, (0, 1))


def _reliability(evaluation: Evaluation) -> ReportTable:
    rows = []
    for bin in evaluation.reliability:
        if bin.n:
            confidences = f"{bin.low:.3f} to {bin.high:.3f}"
            difference = f"{bin.accuracy - bin.confidence:+.3f}"
            rows.append((confidences, f"{bin.n:,}", f"{bin.confidence:.3f}", f"{bin.accuracy:.3f}", difference))
    return ReportTable("Reliability", ("confidence", "n", "mean confidence", "accuracy", "difference"), rows)


def _score_by_length(report: EvaluationReport) -> ReportTable:
    """The score of each range of lengths; no rows for a single range, whose score is that of the data."""
    rows = []
    if len(report.by_length) > 1:
        for lengths in report.by_length:
            score = (number_text(lengths.score), number_text(lengths.low), number_text(lengths.high))
            rows.append((f"{lengths.shortest:,} to {lengths.longest:,}", f"{lengths.n:,}", *score))
    head = (report.length_noun, "rows", report.score_name, "95% from", "to")
    return ReportTable("Score by length", head, rows)


def _learning_curves(report: EvaluationReport) -> ReportTable:
    """The numbers of each epoch. The epoch whose weights the model has is marked."""
    keys = list(dict.fromkeys(key for row in report.history for key in row if key != "epoch"))
    rows = []
    for row in report.history:
        if "epoch" in row:
            mark = " (best)" if row["epoch"] == report.best_epoch else ""
            numbers = [number_text(row[key]) if key in row else "" for key in keys]
            rows.append((f"{row['epoch']:g}{mark}", *numbers))
    head = ("epoch", *(key.replace("val_", "validation ") for key in keys))
    return ReportTable("Learning curves", head, rows)


def _mistakes(report: EvaluationReport, top: int) -> ReportTable:
    rows = []
    for mistake in report.mistakes[:top]:
        place = f"{mistake.row:,}"
        if mistake.step:
            place += f", step {mistake.step:,}"
        value = f"{mistake.probability:.3f}" if mistake.error is None else number_text(mistake.error)
        rows.append((place, value, _cut(mistake.predicted, 80), _cut(mistake.true, 80), mistake.excerpt))
    has_errors = any(mistake.error is not None for mistake in report.mistakes)
    value_name = "error" if has_errors else "prob."
    return ReportTable(report.mistakes_title, ("row", value_name, "predicted", "true", "excerpt"), rows, (2, 3, 4))


def _cut(name: str, longest: int = _LONGEST) -> str:
    """A name of at most `longest` characters, the ellipsis included."""
    flat = printable(name, longest + 1)
    return flat if len(flat) <= longest else f"{flat[: longest - 1]}…"
