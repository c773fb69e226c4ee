"""A new target is one class and one line in the table of tasks: trained, saved, explained, evaluated.

What computes predictions outside the library, an ONNX file and the page, refuses it.
"""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import gatewise as gw
from gatewise import target as targets
from gatewise.cli.options import COLUMNS
from gatewise.data import read_series, read_table
from gatewise.losses import BINARY_CROSS_ENTROPY, Loss, sigmoid
from gatewise.serve.lstm_file import lstm_file
from gatewise.serve.view.view import View
from gatewise.target import ClassificationTarget, RegressionTarget
from gatewise.types import Array
from tests.cli.conftest import Run
from tests.refusals import assert_refused


def log_cosh(z: Array, y: Array) -> tuple[Array, Array]:
    """log cosh(z - y), the squared error of small differences and the absolute error of large ones."""
    difference = z - y
    return np.logaddexp(difference, -difference) - np.log(2), np.tanh(difference)


class AmountTarget(RegressionTarget):
    """Amounts, which are never negative, with a loss that outliers do not rule: the toy target."""

    task: ClassVar[Any] = "amounts"
    loss: ClassVar[Loss] = Loss(log_cosh, has_unit=True)

    def predicted(self, logits: Array) -> Array:
        return np.maximum(super().predicted(logits), 0)


class SigmoidTarget(ClassificationTarget):
    """One class per row, each class against the others (scikit-learn: OneVsRestClassifier): the second toy target."""

    task: ClassVar[Any] = "one-vs-rest"
    loss: ClassVar[Loss] = BINARY_CROSS_ENTROPY

    @property
    def outputs(self) -> int:
        return len(self.classes)

    def of_probabilities(self, p: Array) -> Array:
        return p.astype(np.float64)

    def log_probabilities(self, logits: Array) -> Array:
        p = sigmoid(logits.astype(np.float64))
        return np.asarray(np.log(p / p.sum(axis=1, keepdims=True)))


@pytest.fixture
def _amounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line in the table."""
    monkeypatch.setitem(targets.TASKS, "amounts", AmountTarget)


@pytest.fixture
def _one_vs_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line in the table."""
    monkeypatch.setitem(targets.TASKS, "one-vs-rest", SigmoidTarget)


def made(n: int, seed: int) -> tuple[list[str], Array]:
    """Texts with an amount: 2.5 for each "aa", less 1.5 for each "bb"."""
    rng = np.random.default_rng(seed)
    words = [rng.choice(["aa", "bb", "cc", "dd"], rng.integers(2, 9)) for _ in range(n)]
    sums = [2.5 * (row == "aa").sum() - 1.5 * (row == "bb").sum() for row in words]
    return [" ".join(row) for row in words], np.array(sums) + rng.normal(0, 0.1, n)


@pytest.mark.usefixtures("_amounts")
def test_a_new_target_is_trained_saved_explained_and_evaluated(tmp_path: Path) -> None:
    options: dict[str, Any] = {"units": 4, "embedding_dim": 4, "epochs": 2, "seed": 1, "ngrams__order": 1}
    model = gw.train(*made(400, 1), task="amounts", **options)
    assert isinstance(model.target, AmountTarget)
    texts = ["bb bb bb cc", "aa bb aa aa"]
    none, large = model.predict(texts)
    assert none == 0, "an amount is not negative"
    assert model.logits(texts)[0, 0] < 0
    assert large == pytest.approx(model.logits(texts)[1, 0])
    assert model.score(*made(200, 2)) > 0.2

    model.save(tmp_path / "m")
    again = gw.load(tmp_path / "m")
    assert isinstance(again.target, AmountTarget)
    assert again.predict(texts).tobytes() == model.predict(texts).tobytes()

    answer = View(again).explain({"text": "cc aa dd"})
    assert answer["model"]["task"] == "regression", "how the page shows its answers"
    explanation = again.explain("cc aa dd", "leave-one-out")
    assert explanation.steps[int(np.argmax(explanation.scores))] == "aa"


@pytest.mark.usefixtures("_amounts")
def test_a_table_has_the_labels_of_a_new_target(tmp_path: Path) -> None:
    texts, amounts = made(50, 3)
    rows = [f"{text},{amount}" for text, amount in zip(texts, amounts.tolist(), strict=True)]
    table = tmp_path / "amounts.csv"
    table.write_text("text,label\n" + "\n".join(rows), encoding="utf-8")
    data = read_table(table, task="amounts")  # type: ignore[arg-type]
    assert isinstance(data.target, AmountTarget)
    assert data.labels[:, 0].tolist() == amounts.tolist()


@pytest.mark.usefixtures("_amounts")
def test_the_program_takes_a_new_target(tmp_path: Path) -> None:
    run = Run()
    texts, amounts = made(300, 5)
    table = tmp_path / "amounts.csv"
    rows = [f"{text},{amount}" for text, amount in zip(texts, amounts.tolist(), strict=True)]
    table.write_text("text,label\n" + "\n".join(rows), encoding="utf-8")
    options = ("--set", "units=3", "--set", "embedding_dim=3", "--epochs", "1", "--seed", "1")
    assert run("train", table, "--task", "amounts", "-o", tmp_path / "m", *options).exit_code == 0
    assert run.json("info", "-m", tmp_path / "m")["task"] == "amounts"
    assert run.json("evaluate", table, "-m", tmp_path / "m")["n"] == 300
    refused = run("data", table, "--task", "amount")
    assert refused.exit_code == 2
    assert "task must be 'classification'" in refused.stderr
    assert "or 'amounts', not 'amount'" in refused.stderr


def test_the_help_lists_the_tasks() -> None:
    """Help is shown without NumPy, so it does not read the table of tasks."""
    _, text = COLUMNS["task"]
    *first, last = targets.TASKS
    assert text.startswith(f"Task: {', '.join(first)} or {last}.")


@pytest.mark.usefixtures("_one_vs_rest")
def test_a_file_with_listed_classes_has_the_labels_of_a_new_target(tmp_path: Path) -> None:
    file = tmp_path / "waves.ts"
    file.write_text("@classLabel true low high\n@data\n1,2.5,3:low\n4,0.5:high\n", encoding="utf-8")
    data = read_series(file).labelled("one-vs-rest")  # type: ignore[arg-type]
    assert isinstance(data.target, SigmoidTarget)
    assert [data.classes[label] for label in data.labels] == ["low", "high"]


@pytest.mark.usefixtures("_one_vs_rest")
def test_a_target_is_evaluated_by_its_own_probabilities_and_computed_by_the_library_alone(tmp_path: Path) -> None:
    texts, amounts = made(300, 4)
    labels = np.where(amounts < 1, "little", np.where(amounts > 4, "much", "some")).tolist()
    options: dict[str, Any] = {"units": 4, "embedding_dim": 4, "epochs": 1, "seed": 1, "ngrams__order": 1}
    model = gw.train(texts, labels, task="one-vs-rest", **options)
    assert isinstance(model.target, SigmoidTarget)
    logits = model.logits(texts)
    p = sigmoid(logits) / sigmoid(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(texts), p, rtol=1e-9)
    of_label = p[np.arange(300), [model.classes.index(label) for label in labels]]
    evaluation = model.evaluate(texts, labels)
    assert evaluation.loss == pytest.approx(-np.log(of_label).mean())
    confidence = sum(group.confidence * group.n for group in evaluation.reliability) / 300  # type: ignore[union-attr]
    assert confidence == pytest.approx(p.max(axis=1).mean())
    assert_refused("the task 'one-vs-rest' cannot be exported to ONNX", model.export, tmp_path / "m.onnx")
    assert_refused("cannot compute this model: its task is 'one-vs-rest'", lstm_file, model)
