"""A new target is one class and one line in the table of tasks: trained, saved, explained, evaluated, exported."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import gatewise as gw
from gatewise import target as targets
from gatewise.losses import Loss
from gatewise.target import RegressionTarget
from gatewise.types import Array


def log_cosh(z: Array, y: Array) -> tuple[Array, Array]:
    """log cosh(z - y), the squared error of small differences and the absolute error of large ones."""
    difference = z - y
    return np.logaddexp(difference, -difference) - np.log(2), np.tanh(difference)


class AmountTarget(RegressionTarget):
    """Amounts, which are never negative, with a loss that outliers do not rule: the toy target."""

    task: ClassVar[Any] = "amounts"
    labels_task: ClassVar[Any] = "regression"
    loss: ClassVar[Loss] = Loss(log_cosh, has_unit=True)

    def predicted(self, logits: Array) -> Array:
        return np.maximum(super().predicted(logits), 0)


@pytest.fixture
def _amounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line in the table."""
    monkeypatch.setitem(targets.TASKS, "amounts", AmountTarget)


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

    explanation = again.explain("cc aa dd", "leave-one-out")
    assert explanation.steps[int(np.argmax(explanation.scores))] == "aa"
