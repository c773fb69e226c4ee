"""An evaluation as a self-contained HTML page: scores, learning curves, confusion matrix, reliability diagram, score by
length, classes and mistakes. It has no script; every text of a user passes through `safe_text`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gatewise.explain.evaluation import EvaluationReport
from gatewise.explain.render.charts import (
    CHART_STYLE,
    Line,
    bar_chart,
    confusion_chart,
    line_chart,
    reliability_chart,
    scatter_chart,
)
from gatewise.explain.render.evaluation_terminal import score_rows, support_of
from gatewise.explain.render.html_shell import html_shell, style
from gatewise.explain.render.html_static import safe_text
from gatewise.explain.score import number_text
from gatewise.metrics import Evaluation, MultilabelEvaluation, RegressionEvaluation

_STYLE = """
.charts{gap:32px;align-items:flex-start}.charts figure{flex:1 1 400px}
.charts figure.wide{max-width:960px;flex:1 1 640px}main section{margin-top:28px}
td.left,th.left{text-align:left}td.excerpt{text-align:left;max-width:44rem;overflow-wrap:anywhere}
td.name{text-align:left;max-width:16rem;overflow-wrap:anywhere}.tall{max-height:32rem;overflow:auto}
h1{font-size:24px}header{margin-top:12px}header p{white-space:normal}
"""


def evaluation_page(report: EvaluationReport, model: str = "", notes: Sequence[str] = ()) -> str:
    """The page. model: its name, for the title. notes: lines about the data, such as a warning."""
    evaluation = report.evaluation
    title = f"Evaluation of {model}" if model else "Evaluation"
    sections = [
        ("", _scores(report)),
        ("Learning curves", _learning_curves(report)),
        ("Errors", _errors(report)),
        ("Largest errors" if report.task == "regression" else "Most confident mistakes", _mistakes(report)),
        ("Classes", "" if isinstance(evaluation, RegressionEvaluation) else _classes(evaluation)),
        ("Numbers", _numbers(evaluation) if isinstance(evaluation, RegressionEvaluation) else ""),
    ]
    lines = [f"Data: {evaluation.data}", *notes]
    body = (
        f"<header><h1>{safe_text(title, 120)}</h1></header><main>"
        + "".join(f'<p class="muted">{safe_text(line)}</p>' for line in lines if line)
        + "".join(
            f"<section>{f'<h2>{name}</h2>' if name else ''}{content}</section>" for name, content in sections if content
        )
        + '</main><footer class="muted">Made by gatewise; this page loads nothing from a server. '
        "It contains excerpts of the data.</footer>"
    )
    return html_shell(title, body, [style(), CHART_STYLE, _STYLE])


def _scores(report: EvaluationReport) -> str:
    return _table((), score_rows(report.evaluation), excerpt=1)


def _learning_curves(report: EvaluationReport) -> str:
    """A chart for each number that the history has of the training part, the validation set, or both."""
    history = report.history
    charts = []
    for key, name in (("loss", "loss"), ("accuracy", "accuracy"), ("rmse", "RMSE"), ("f1", "F1")):
        lines = []
        for field, part in ((f"val_{key}", "validation"), (key, "training")):
            points = [(row["epoch"], row[field]) for row in history if field in row and "epoch" in row]
            if points:
                lines.append(Line(part, *zip(*points, strict=True)))
        if lines and max(len(line.x) for line in lines) > 1:
            mark = (float(report.best_epoch), "best") if report.best_epoch else None
            charts.append(_figure(name, line_chart(lines, "epoch", name, mark)))
    return f'<div class="charts">{"".join(charts)}</div>' if charts else ""


def _errors(report: EvaluationReport) -> str:
    evaluation = report.evaluation
    figures = []
    if isinstance(evaluation, Evaluation):
        chart = confusion_chart(evaluation.confusion, evaluation.classes)
        figures.append(
            _figure("Confusion matrix, shaded by the share of each row", chart, wide=len(evaluation.classes) > 12)
        )
        figures.append(_figure("Reliability diagram", reliability_chart(evaluation.reliability, evaluation.n)))
    if report.true is not None and report.predicted is not None:
        for m, name in enumerate(evaluation.classes[:8]):
            chart = scatter_chart(report.true[:, m], report.predicted[:, m], f"true {name}", f"predicted {name}")
            figures.append(_figure("Prediction against the true number", chart))
    if len(report.by_length) > 1:
        names = [_range(one.shortest, one.longest) for one in report.by_length]
        chart = bar_chart(
            names,
            [one.score for one in report.by_length],
            [(one.low, one.high) for one in report.by_length],
            f"length in {report.length_noun}",
            report.score_name,
        )
        caption = f"{report.score_name.capitalize()} by length, with 95% intervals"
        figures.append(_figure(caption, chart))
    tables = ""
    if isinstance(evaluation, Evaluation) and len(evaluation.classes) > 2:
        rows = [(true, predicted, f"{n:,}") for true, predicted, n in evaluation.top_confusions(15)]
        if rows:
            tables = f"<h3>Top confusions</h3>{_table(('true', 'predicted', 'rows'), rows, left=(0, 1))}"
    return f'<div class="charts">{"".join(figures)}</div>{tables}' if figures else tables


def _classes(evaluation: Evaluation | MultilabelEvaluation) -> str:
    rows = [
        (name, f"{n:,}", f"{precision:.4f}", f"{recall:.4f}", f"{f1:.4f}")
        for name, n, precision, recall, f1 in zip(
            evaluation.classes,
            support_of(evaluation),
            evaluation.precision,
            evaluation.recall,
            evaluation.f1,
            strict=True,
        )
    ]
    return f'<div class="tall">{_table(("class", "rows", "precision", "recall", "F1"), rows)}</div>'


def _numbers(evaluation: RegressionEvaluation) -> str:
    if len(evaluation.classes) < 2:
        return ""
    rows = [
        (name, number_text(rmse), number_text(mae), f"{r2:.4f}")
        for name, rmse, mae, r2 in zip(
            evaluation.classes, evaluation.rmse_each, evaluation.mae_each, evaluation.r2_each, strict=True
        )
    ]
    return _table(("number", "RMSE", "MAE", "R2"), rows)


def _mistakes(report: EvaluationReport) -> str:
    if not report.mistakes:
        return ""
    regression = report.task == "regression"
    rows = []
    for one in report.mistakes:
        value = number_text(one.error) if one.error is not None else f"{one.probability:.3f}"
        rows.append((f"{one.row:,}", value, one.predicted, one.true, one.excerpt))
    head = ("row", "error" if regression else "probability", "predicted", "true", "excerpt")
    return f'<div class="scroll">{_table(head, rows, left=(2, 3), excerpt=4)}</div>'


def _table(
    head: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[int] = (0,), excerpt: int | None = None
) -> str:
    """A table; columns `left` are left-aligned names, `excerpt` is the one with long text."""

    def cell(n: int, text: str) -> str:
        kind = ' class="excerpt"' if n == excerpt else ' class="name"' if n in left else ""
        return f'<td{kind} dir="auto">{safe_text(text)}</td>'

    aligned = [' class="left"' if n in left or n == excerpt else "" for n in range(len(head))]
    titles = "".join(f"<th{kind}>{name}</th>" for kind, name in zip(aligned, head, strict=True))
    top = f"<thead><tr>{titles}</tr></thead>" if head else ""
    body = "".join(f"<tr>{''.join(cell(n, text) for n, text in enumerate(row))}</tr>" for row in rows)
    return f"<table>{top}<tbody>{body}</tbody></table>"


def _figure(caption: str, chart: str, wide: bool = False) -> str:
    kind = ' class="wide"' if wide else ""
    return f"<figure{kind}><figcaption>{safe_text(caption)}</figcaption>{chart}</figure>"


def _range(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
