"""The keyword types of `gatewise.train` and others are those of the recipe, and type checkers use them."""

import sys
from pathlib import Path
from typing import get_type_hints

import pytest

from gatewise.training import Recipe
from gatewise.training.fields import fields_of
from gatewise.training.recipe_fields import RecipeFields
from tests.children import run_child

ROOT = Path(__file__).resolve().parents[2]

CALLS = """
import gatewise as gw
from gatewise.sklearn import LSTMSeriesClassifier, LSTMSeriesRegressor, LSTMTextClassifier, LSTMTextRegressor
from gatewise.training import recipe

texts, labels = ["a film"], ["good"]
gw.train(texts, labels, epochs=1, units=4, ngrams__order=2, pooling="mean", seed=None, verbose=0)
gw.train(texts, labels, epoch=1)  # call-arg
gw.train(texts, labels, unit="a")  # call-arg
gw.train(texts, labels, units="a")  # arg-type
gw.train(texts, labels, pooling="middle")  # arg-type
gw.train(texts, labels, optimisation__epochs=1.5)  # arg-type
gw.train(texts, labels, ngrams__orders=1)  # call-arg
gw.tune(texts, labels, trials=2, validation=(texts, labels), dropout_word=0.1)
gw.tune(texts, labels, trial=2)  # call-arg
gw.tune(texts, labels, learning_rate="fast")  # arg-type
gw.Forecaster.fit([1.0] * 40, horizon=2, units=3)
gw.Forecaster.fit([1.0] * 40, horizons=2)  # call-arg
recipe("fast", batch_size=8)
recipe("fast", batch=8)  # call-arg
evaluation: str = gw.load().evaluate(texts, labels)  # assignment
forecast: str = gw.Forecaster.fit([1.0] * 40).predict()  # assignment
LSTMTextClassifier("fast", units=8, unlabelled=texts, order=None, class_weight="balanced")
LSTMTextClassifier(units="a")  # arg-type
LSTMTextClassifier(unit=8)  # call-arg
LSTMTextRegressor(class_weight="balanced")  # call-arg
LSTMSeriesClassifier(vocab_size=80)  # call-arg
LSTMSeriesClassifier("series", folds=2, layout="time-first", threshold="f1")
LSTMSeriesRegressor(text="review")  # call-arg
LSTMSeriesRegressor(features=84, random_state=0)
"""


def test_the_keyword_types_are_the_fields_of_the_recipe() -> None:
    expected = {}
    groups = get_type_hints(Recipe)
    for path in fields_of(Recipe):
        group, _, name = path.rpartition(".")
        expected[name] = expected[f"{group}__{name}"] = get_type_hints(groups[group], include_extras=True)[name]
    assert get_type_hints(RecipeFields, include_extras=True) == expected


@pytest.mark.slow
def test_a_type_checker_refuses_wrong_names_and_values(tmp_path: Path) -> None:
    """mypy reports the lines with a comment, with the error that the comment names, and no others.

    It has the settings of `make lint`, whose cache it then uses: without it, mypy reads the whole package again.
    """
    pytest.importorskip("mypy")
    calls = tmp_path / "calls.py"
    calls.write_text(CALLS)
    result = run_child([sys.executable, "-m", "mypy", calls], cwd=ROOT)
    errors = [line for line in result.stdout.splitlines() if ": error: " in line]
    found = [(int(line.split(":")[1]), line.rpartition("[")[2].rstrip("]")) for line in errors]
    lines = enumerate(CALLS.splitlines(), 1)
    expected = [(number, line.partition("  # ")[2]) for number, line in lines if "  # " in line]
    assert found == expected, result.stdout + result.stderr
