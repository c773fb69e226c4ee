"""Whatever a Python user passes is read right, or refused with one line that says what is wrong and where.

Through `gw.train`, `model.predict`, `model.explain` and the estimators: all of them call the converters, whose tests in
tests/data have every container and every value that is refused.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import gatewise as gw
from gatewise.errors import InputError
from gatewise.model.model import Model
from gatewise.sklearn import LSTMSeriesClassifier, LSTMTextClassifier
from tests.training.texts import made_reviews

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")

ROWS = 64
DATA = made_reviews(ROWS, 21)
TEXTS: list[str] = [str(text) for text in DATA.inputs]
NAMES = ["bad" if label == 0 else "good" for label in DATA.labels.tolist()]
TINY: dict[str, Any] = {"epochs": 1, "units": 4, "embedding_dim": 4, "batch_size": 32}
SERIES: dict[str, Any] = {"recipe": "series", "convolutions__features": 0, "folds": 0, "epochs": 1, "units": 4}
SMALL = LSTMTextClassifier(**TINY, random_state=0)
RNG = np.random.default_rng(5)
WAVES = np.sin(np.arange(20) * (0.3 + 0.4 * (np.arange(ROWS) % 2))[:, None]) + RNG.normal(0, 0.2, (ROWS, 20))
KINDS = (np.arange(ROWS) % 2).tolist()


def train(inputs: Any, labels: Any, **options: Any) -> Model:
    return gw.train(inputs, labels, **TINY | options)


def train_series(inputs: Any, labels: Any, **options: Any) -> Model:
    return gw.train(inputs, labels, **SERIES | options)


@cache
def text_model() -> Model:
    return train(TEXTS, NAMES)


@cache
def series_model() -> Model:
    return train_series(WAVES, KINDS)


FORMS: dict[str, Callable[[list[str]], Any]] = {
    "generator": lambda texts: (text for text in texts),
    "pandas frame of one column": lambda texts: pd.DataFrame({"text": texts}),
    "Arrow array": pa.array,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_texts_in_any_container(form: Callable[[list[str]], Any]) -> None:
    """`gw.train(pa.array(texts), ...)` trained a series model on character codes."""
    model = text_model()
    np.testing.assert_array_equal(model.predict_proba(form(TEXTS)), model.predict_proba(TEXTS))
    assert model.predict(form(TEXTS)).tolist() == model.predict(TEXTS).tolist()
    assert model.score(form(TEXTS), NAMES) == model.score(TEXTS, NAMES)
    np.testing.assert_array_equal(train(form(TEXTS), NAMES).predict_proba(TEXTS), model.predict_proba(TEXTS))


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        ({"text": TEXTS}, NAMES, "a dict with keys text"),
        ([*TEXTS[:3], None, *TEXTS[4:]], NAMES, "3 is missing|4 is a NoneType"),
        (TEXTS, [*NAMES[:5], None, *NAMES[6:]], "row 5 has no label"),
        ([*WAVES[:-1], "a text"], NAMES, "a text"),
    ],
)
def test_every_way_in_refuses_what_could_be_misread(inputs: Any, labels: Any, message: str) -> None:
    for call in (train, clone(SMALL).fit, text_model().score):
        with pytest.raises(InputError, match=message) as caught:
            call(inputs, labels)
        assert "\n" not in str(caught.value)


def test_numpy_numbers_are_numbers(tmp_path: Path) -> None:
    """`units=np.int64(8)` failed when the model was saved."""
    model = train(TEXTS, NAMES, units=np.int64(8), epochs=np.int32(1), learning_rate=np.float32(0.01), seed=np.int64(3))
    model.save(tmp_path / "m")
    assert gw.load(tmp_path / "m").architecture.top.units == 8
    assert type(gw.load(tmp_path / "m").metadata.seed) is int


def test_without_a_seed_one_is_drawn_and_recorded() -> None:
    """`seed=None` failed."""
    one, two = train(TEXTS, NAMES, seed=None), train(TEXTS, NAMES, seed=None)
    assert one.metadata.seed != two.metadata.seed
    again = train(TEXTS, NAMES, seed=one.metadata.seed)
    np.testing.assert_array_equal(again.predict_proba(TEXTS), one.predict_proba(TEXTS))


def test_one_series_alone() -> None:
    """1-D series in predict and explain failed."""
    model, first = series_model(), WAVES[0]
    for one in (first, first.tolist(), first[:, None], pd.Series(first), first.astype(np.float32)):
        if getattr(one, "ndim", 1) == 1:
            np.testing.assert_allclose(model.predict_proba(one), model.predict_proba(WAVES[:1]), atol=1e-6)
        explained = model.explain(one)
        assert len(explained.steps) == 20
        assert len(model.trace(one).names) == 20
    with pytest.raises(InputError, match=r"row 0 is a number|one series of 20 steps"):
        train_series(first, KINDS[:20])
    with pytest.raises(InputError, match=r"20 series of one step or one series of 20 steps"):
        model.predict(first[:, None])


def test_the_layout_of_aeon() -> None:
    """aeon's (n, channels, time) against (n, time, channels): `layout=`, and a refusal when ambiguous."""
    both = np.stack([WAVES, np.roll(WAVES, 1, axis=0)], axis=1)  # (n, 2 channels, 20 steps)
    time_first = both.swapaxes(1, 2)
    with pytest.raises(InputError, match=r"may have channels first: pass layout="):
        train_series(both, KINDS)
    model = train_series(time_first, KINDS)
    assert model.preprocessor.channels == 2
    same = train_series(both, KINDS, layout="channels-first")
    want = model.predict_proba(time_first)
    np.testing.assert_array_equal(same.predict_proba(both, layout="channels-first"), want)
    with pytest.raises(InputError, match="seems to have channels first"):
        model.predict(both)
    with pytest.raises(InputError, match="layout must be"):
        train_series(both, KINDS, layout="aeon")
    with pytest.raises(InputError, match="layout is for series"):
        train(TEXTS, NAMES, layout="time-first")
    estimator = LSTMSeriesClassifier(**SERIES, layout="channels-first", random_state=0).fit(both, KINDS)
    np.testing.assert_array_equal(estimator.predict_proba(both), want)
