"""The evaluation report: mistakes, score by length, history; as text of 80 columns, as JSON and as a page."""

import dataclasses
import json
import re
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.explain.evaluation import EvaluationReport, excerpt_of, read_history
from gatewise.explain.render.evaluation import evaluation_page, evaluation_tables, evaluation_text
from gatewise.losses import log_probabilities
from gatewise.metrics import MultilabelEvaluation, RegressionEvaluation
from gatewise.target import target_of
from tests.explain.random_net import printed
from tests.refusals import assert_refused

HOSTILE = "<script>alert(1)</script> \x1b[2J [red]x[/red] \u202e"
HISTORY = "".join(
    json.dumps({"epoch": n, "loss": 2 / n, "val_loss": 1.5 / n, "val_accuracy": 0.9 - 0.3 / n}) + "\n"
    for n in range(1, 6)
)


def classes_report(k: int, n: int = 700, seed: int = 1) -> EvaluationReport:
    rng = np.random.default_rng([k, seed])
    truth = rng.integers(0, k, n)
    z = rng.normal(0, 1.5, (n, k))
    z[np.arange(n), truth] += 2
    names = [f"{HOSTILE} {c}" if c % 7 == 3 else f"class {c}" for c in range(k)]
    texts = [f"{HOSTILE} {'word ' * int(rng.integers(1, 40))}" for _ in range(n)]
    logits = z if k > 2 else z[:, 1:] - z[:, :1]
    lengths = [len(text.split()) for text in texts]
    return EvaluationReport.of(
        target_of(tuple(names)), logits, truth, texts, lengths, "made up", read_history(HISTORY), 3
    )


def numbers_report() -> EvaluationReport:
    rng = np.random.default_rng(4)
    truth = rng.normal(30, 9, (60, 2))
    predicted = truth + rng.normal(0, 3, truth.shape)
    series = [np.zeros((n + 3, 2), dtype=np.float32) for n in range(60)]
    target = target_of(("price", "size"), task="regression")
    return EvaluationReport.of(target, predicted, truth, series, [len(one) for one in series], "made up")


def labels_report() -> EvaluationReport:
    rng = np.random.default_rng(5)
    logits = rng.normal(-1, 2, (80, 4))
    truth = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    texts = [f"text {n} " * (1 + n % 9) for n in range(80)]
    target = target_of(("a", "b", "c", "d"), task="multilabel", thresholds=(0.5, 0.3, 0.6, 0.5))
    return EvaluationReport.of(target, logits, truth, texts, [len(text.split()) for text in texts], "made up")


def text_of(report: EvaluationReport, width: int = 80, **options: Any) -> str:
    return printed(evaluation_text(report, **options), width=width, markup=False, emoji=False, highlight=False)


@pytest.mark.parametrize("k", [2, 8, 52])
def test_the_text_fits_80_columns_and_has_no_control_characters(k: int) -> None:
    shown = text_of(classes_report(k), reliability=True, note="a note")
    assert max(map(len, shown.splitlines())) <= 80
    assert all(ch.isprintable() or ch == "\n" for ch in shown)
    assert "\u202e" not in shown
    assert ("true \\ predicted" in shown) == (k <= 8)
    assert ("Top confusions" in shown) == (k > 2)
    assert shown.count("class 51") >= (k == 52)
    assert "Most confident mistakes" in shown


def test_mistakes_are_the_wrong_predictions_of_the_highest_confidence() -> None:
    rng = np.random.default_rng(9)
    logits, truth = rng.normal(0, 2, (50, 3)), rng.integers(0, 3, 50)
    texts = [f"text {n}" for n in range(50)]
    report = EvaluationReport.of(target_of(("a", "b", "c")), logits, truth, texts, [2] * 50)
    p = np.exp(log_probabilities(logits))
    wrong = [(float(row.max()), n) for n, row in enumerate(p) if row.argmax() != truth[n]]
    expected = [n for _, n in sorted(wrong, key=lambda one: -one[0])][:20]
    assert [one.row for one in report.mistakes] == expected
    first, n = report.mistakes[0], expected[0]
    assert first.excerpt == f"text {n}"
    assert (first.true, first.predicted) == ("abc"[truth[n]], "abc"[int(p[n].argmax())])
    assert first.probability == pytest.approx(p[n].max())


def test_a_threshold_decides_what_is_a_mistake() -> None:
    logits = np.array([[-0.5], [-2.0], [1.0]])
    report = EvaluationReport.of(
        target_of(("no", "yes"), thresholds=(0.3,)), logits, np.array([0, 0, 1]), ["x"] * 3, [1] * 3
    )
    assert [(one.row, one.predicted) for one in report.mistakes] == [(0, "yes")]
    assert report.mistakes[0].probability == pytest.approx(1 / (1 + np.exp(0.5)))


def test_ranges_of_length_cover_all_rows_with_their_accuracy() -> None:
    report = classes_report(4)
    assert sum(one.n for one in report.by_length) == report.evaluation.n
    assert all(a.longest < b.shortest for a, b in zip(report.by_length, report.by_length[1:], strict=False))
    mean = sum(one.n * one.score for one in report.by_length) / report.evaluation.n
    assert mean == pytest.approx(report.evaluation.accuracy)
    same = EvaluationReport.of(target_of(("a", "b")), np.ones((5, 1)), np.array([0, 1, 1, 1, 0]), ["x"] * 5, [7] * 5)
    assert [(one.shortest, one.longest, one.n, one.score) for one in same.by_length] == [(7, 7, 5, pytest.approx(0.6))]


def test_regression_has_the_largest_errors_in_its_unit() -> None:
    report = numbers_report()
    assert isinstance(report.evaluation, RegressionEvaluation)
    rng = np.random.default_rng(4)
    truth = rng.normal(30, 9, (60, 2))
    errors = rng.normal(0, 3, truth.shape)  # as in numbers_report
    assert abs(report.mistakes[0].error or 0) == pytest.approx(np.abs(errors).max())
    assert report.mistakes[0].row == int(np.abs(errors).max(axis=1).argmax())
    assert "price " in report.mistakes[0].true
    shown = text_of(report)
    assert "RMSE" in shown
    assert "Largest errors" in shown
    assert "prob" not in shown
    assert "probability" not in json.dumps(report.as_dict())
    assert excerpt_of(np.zeros((1200, 3))) == "1,200 steps of 3 channels"


def test_multilabel_mistakes_are_decisions() -> None:
    report = labels_report()
    assert isinstance(report.evaluation, MultilabelEvaluation)
    probabilities = [one.probability or 0 for one in report.mistakes]
    assert probabilities == sorted(probabilities, reverse=True)
    assert report.score_name == "subset accuracy"
    assert "micro F1" in text_of(report)
    assert any(one.true == "no label" or one.predicted == "no label" for one in report.mistakes)


@pytest.mark.parametrize("make", [lambda: classes_report(2), lambda: classes_report(52), numbers_report, labels_report])
def test_json_page_and_notebook_have_all_of_it(make: Any) -> None:
    report = make()
    seen = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert set(seen) >= set(report.evaluation.as_dict()) | {"task", "mistakes", "by_length", "history"}
    assert len(seen["mistakes"]) == len(report.mistakes)
    assert seen["by_length"]["score"] == report.score_name
    page = evaluation_page(report, HOSTILE, [HOSTILE])
    assert "style=" not in page.replace("style-src", "")
    assert re.findall(r"(?:src|href|srcset)=", page) == []
    assert "http" not in page.replace("http-equiv", "")
    assert "nan" not in re.sub(r"<style>.*?</style>", "", page).lower().replace("pearance", "")
    page.encode("utf-8")
    notebook = dataclasses.replace(report.evaluation, data=HOSTILE)._repr_html_()
    for shown in (page, notebook):
        assert not [part for part in ("<script", "\x1b", "\u202e") if part in shown]
        for name, value in report.evaluation.rows():
            assert f'>{name}</td><td class="text" dir="auto">{value}</td>' in shown


def test_tables_of_the_page() -> None:
    report = classes_report(52)
    tables = {one.title: one for one in evaluation_tables(report, 20)}
    counts = [[int(cell) for cell in row[1:-1]] for row in tables["Confusion matrix"].rows]
    np.testing.assert_array_equal(counts, report.evaluation.confusion)
    assert [row[0] for row in tables["Learning curves"].rows] == ["1", "2", "3 (best)", "4", "5"]
    assert tables["Learning curves"].head == ("epoch", "loss", "validation loss", "validation accuracy")
    assert len(tables["Reliability"].rows) == sum(one.n > 0 for one in report.evaluation.reliability)
    assert len(tables["Score by length"].rows) == len(report.by_length)
    page = evaluation_page(report)
    assert all(f"<h2>{title}</h2>" in page for title in tables)
    assert "Confusion matrix" not in {one.title for one in evaluation_tables(numbers_report(), 20)}


def test_numbers_of_a_history_that_no_chart_can_show_are_left_out() -> None:
    huge = "1" + "0" * 400
    assert read_history(f'{{"epoch": 1, "loss": {huge}, "accuracy": 1e999, "name": "x"}}') == [{"epoch": 1}]


def test_errors() -> None:
    with pytest.raises(InputError, match="the data set is empty"):
        EvaluationReport.of(target_of(("a", "b")), np.zeros((0, 1)), np.zeros(0, dtype=np.int64), [], [])
    assert_refused(r"history.jsonl, line 2: not JSON", read_history, "{}\n{oops")
