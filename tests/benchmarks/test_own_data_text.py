"""The figures of the text benchmark equal scikit-learn's, and its cuts keep equal groups on one side."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.own_data.figures import figures
from benchmarks.own_data.text_sets import FOLDS, _cut


def test_figures_equal_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    classes = ["a", "b", "c"]
    p = rng.dirichlet((1, 2, 3), 200)
    truth = [classes[k] for k in rng.integers(0, 3, 200)]
    predicted = np.array(classes)[p.argmax(axis=1)]
    found = figures(truth, predicted, p, classes)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, predicted))
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(truth, predicted, average="macro"))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(truth, p))
    assert 0 < found["calibration_error"] < 1
    assert set(figures(truth, predicted, None, classes)) == {"accuracy", "macro_f1"}


def test_cuts_are_disjoint_by_group_and_cover_all_rows() -> None:
    rows = [(f"text {n}", "ab"[n % 2], f"speaker {n // 3}") for n in range(300)]
    cuts = _cut(iter([*rows, *rows[:40]]))
    assert len(cuts) == FOLDS
    speaker = {text: group for text, _, group in rows}
    for cut in cuts:
        assert not {speaker[t] for t in cut.train[0]} & {speaker[t] for t in cut.test[0]}
        assert len(cut.train[0]) + len(cut.test[0]) == 300
    assert sorted(text for cut in cuts for text in cut.test[0]) == sorted(text for text, _, _ in rows)
