"""A training is a plan whose options are checked once; bound to data it runs, whatever made it."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gatewise as gw
from gatewise.errors import InputError
from gatewise.sklearn import LSTMTextClassifier
from gatewise.training import fields, plan, run, run_recipe
from gatewise.training.callback import Callback
from gatewise.training.plan import TrainingPlan
from tests.training.texts import made_reviews

SMALL: dict[str, Any] = {"optimisation.epochs": 1, "lstm.units": 5, "lstm.embedding_dim": 3}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each check was made."""
    counts: Counter[str] = Counter()

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            counts[name] += 1
            return function(*arguments, **options)

        return call

    monkeypatch.setattr(plan, "checked_seed", counted("seed", fields.checked_seed))
    monkeypatch.setattr(plan, "recipe_of_run", counted("recipe", run_recipe.recipe_of_run))
    monkeypatch.setattr(plan, "prepare", counted("data", plan.prepare))
    monkeypatch.setattr(run.RunFolder, "of", counted("folder", run.RunFolder.of))
    return counts


def test_each_check_is_made_once(calls: Counter[str], tmp_path: Path) -> None:
    options = {name.partition(".")[2]: value for name, value in SMALL.items()}
    gw.train(made_reviews(60, 3), out=tmp_path / "model", verbose=0, **options)
    assert calls == {"seed": 1, "recipe": 1, "data": 1, "folder": 1}


def test_an_estimator_checks_its_parameters_and_then_its_data(calls: Counter[str]) -> None:
    """The recipe twice: with wrong parameters `fit` stops before it converts the data."""
    options = {name.partition(".")[2]: value for name, value in SMALL.items()}
    reviews = made_reviews(60, 3)
    LSTMTextClassifier(**options, random_state=3).fit(reviews.inputs, reviews.labels)
    assert calls == {"seed": 1, "recipe": 2, "data": 1, "folder": 1}


def test_a_plan_is_the_function_in_three_steps(tmp_path: Path) -> None:
    reviews = made_reviews(60, 3)
    training = TrainingPlan(changes=SMALL, seed=7, out=tmp_path / "model").bind(reviews)
    assert training.recipe.lstm.units == 5
    model = training.run(Callback())
    options = {name.partition(".")[2]: value for name, value in SMALL.items()}
    assert model.fingerprint == gw.train(reviews, seed=7, verbose=0, **options).fingerprint
    assert gw.load(tmp_path / "model").fingerprint == model.fingerprint


def test_a_plan_is_refused_before_its_data_are_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="seed"):
        TrainingPlan(seed=-1)
    gw.load("tutorial").save(tmp_path / "model")
    with pytest.raises(InputError, match="exists: replace it with --overwrite"):
        TrainingPlan(out=tmp_path / "model")
    with pytest.raises(InputError, match="recipe series is for series"):
        TrainingPlan(recipe="series").check("text", None)
