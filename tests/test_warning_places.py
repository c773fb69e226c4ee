"""A warning names the line that called gatewise, not one of its own."""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.data import Labelled
from gatewise.errors import DataWarning, warn
from gatewise.sklearn import LSTMTextClassifier
from tests.exchange.random_models import random_model
from tests.training.texts import made_reviews

REVIEWS = made_reviews(30, 5)
LABELS = [REVIEWS.classes[label] for label in REVIEWS.labels]
SMALL: dict[str, Any] = {"epochs": 1, "units": 2, "embedding_dim": 3}


def line_of(call: Callable[[], object], text: str) -> tuple[str, int]:
    """Where the warning with this text in it points to."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    [found] = [one for one in caught if text in str(one.message)]
    return found.filename, found.lineno


def this_line() -> tuple[str, int]:
    return __file__, sys._getframe(1).f_lineno


def test_training_and_prediction(tmp_path: Path) -> None:
    few = "30 rows are few"
    assert line_of(lambda: gw.train(REVIEWS, **SMALL), few) == this_line()
    assert line_of(lambda: LSTMTextClassifier(**SMALL).fit(REVIEWS.inputs, LABELS), few) == this_line()
    model = random_model(3, max_length=4)
    assert line_of(lambda: model.predict_proba(["a film " * 9]), "the network reads") == this_line()


def test_reading(tmp_path: Path) -> None:
    """The reader of tables is a context manager, so that `contextlib` calls it."""
    path, bad = tmp_path / "a.csv", tmp_path / "bad.csv"
    path.write_text("text,label\na film,good\n,bad\nb film,bad\n")
    assert line_of(lambda: gw.data.read_table(path, skip_bad_rows=bad), "1 bad row of 3") == this_line()
    series, names = np.random.default_rng(8).normal(size=(40, 7)), np.repeat(["up", "down"], 20)
    series[:, 4] = np.repeat([1.5, -2.5], 20)
    assert line_of(lambda: Labelled.of(series, names), "step 5 is equal to the labels") == this_line()


def test_torch() -> None:
    pytest.importorskip("torch")
    assert line_of(lambda: gw.nn.LSTM(3, 4, dropout=0.5), "dropout option adds dropout") == this_line()


def test_a_library_between_is_the_caller() -> None:
    """As `skip_file_prefixes` of Python 3.12 has it."""
    code = compile("def call(function): function()", "other.py", "exec")
    library: dict[str, Any] = {"__name__": "other"}
    exec(code, library)
    inner: dict[str, Any] = {"__name__": "gatewise.inner", "warn": warn}
    exec(compile("def warning(): warn('careful')", "inner.py", "exec"), inner)
    assert line_of(lambda: library["call"](inner["warning"]), "careful") == ("other.py", 1)
    with pytest.warns(DataWarning, match="careful"):
        inner["warning"]()
