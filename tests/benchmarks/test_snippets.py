"""The five folds of snippets, and the calibration errors of probabilities that are right."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.snippets import calibration_errors, evaluation, folds, report
from gatewise.data import Labelled


def snippets(n: int) -> Labelled:
    return Labelled([f"it is not part {k}" for k in range(n)], np.arange(n) % 2, ("negative", "positive"))


def test_each_snippet_is_in_one_fold() -> None:
    parts = folds(snippets(103))
    assert sorted(np.concatenate(parts).tolist()) == list(range(103))
    assert {len(part) for part in parts} == {20, 21}


def test_right_probabilities_have_a_calibration_error_that_falls_with_the_rows() -> None:
    rng = np.random.default_rng(1)
    p = rng.random(8_000)
    both = np.stack([1 - p, p], axis=1)
    few, many = calibration_errors(both[:500]).mean(), calibration_errors(both).mean()
    assert many < few / 3
    assert few < 0.06
    wrong = evaluation(np.stack([p**3, 1 - p**3], axis=1), (rng.random(8_000) < p).astype(np.int64))
    assert wrong.calibration_error > 10 * many


def test_the_report_has_the_negations_too(capsys: pytest.CaptureFixture[str]) -> None:
    texts = Labelled(["it is not good", "it is good"] * 10, np.array([0, 1] * 10), ("negative", "positive"))
    report("fold 0", texts, np.array([[0.9, 0.1], [0.2, 0.8]] * 10))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("fold 0: 20 snippets: accuracy 1.0000, loss 0.1643, calibration error 0.1500 (")
    assert lines[1].startswith("fold 0: 10 with a negation: accuracy 1.0000, loss 0.1054, calibration error 0.1000 (")
