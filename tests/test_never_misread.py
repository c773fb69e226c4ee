"""Whatever a Python user passes is read right, or refused with one line that says what is wrong and where.

Through `gw.train`, `model.predict`, `model.explain` and the estimators: all of them call the converters, whose tests in
tests/data and tests/misuse have every container and every value that is refused.
"""

from typing import Any

import numpy as np

import gatewise as gw
from gatewise.model.model import Model
from gatewise.sklearn import LSTMSeriesClassifier
from tests.refusals import assert_refused
from tests.training.texts import made_reviews

SERIES: dict[str, Any] = {"recipe": "series", "convolutions__features": 0, "folds": 0, "epochs": 1, "units": 4}
RNG = np.random.default_rng(5)
WAVES = np.sin(np.arange(20) * (0.3 + 0.4 * (np.arange(64) % 2))[:, None]) + RNG.normal(0, 0.2, (64, 20))
KINDS = (np.arange(64) % 2).tolist()


def train_series(inputs: Any, labels: Any, **options: Any) -> Model:
    return gw.train(inputs, labels, **SERIES | options)


def test_without_a_seed_one_is_drawn_and_recorded() -> None:
    """`seed=None` failed."""
    data, tiny = made_reviews(64, 21), {"epochs": 1, "units": 4, "embedding_dim": 4, "batch_size": 32}
    one, two = (gw.train(data, seed=None, **tiny) for _ in range(2))
    assert one.metadata.seed != two.metadata.seed
    again = gw.train(data, seed=one.metadata.seed, **tiny)
    np.testing.assert_array_equal(again.predict_proba(data.inputs), one.predict_proba(data.inputs))


def test_the_layout_of_aeon() -> None:
    """aeon's (n, channels, time) against (n, time, channels): `layout=`, and a refusal when ambiguous."""
    both = np.stack([WAVES, np.roll(WAVES, 1, axis=0)], axis=1)  # (n, 2 channels, 20 steps)
    time_first = both.swapaxes(1, 2)
    assert_refused(r"may have channels first: pass layout=", train_series, both, KINDS)
    model = train_series(time_first, KINDS)
    assert model.preprocessor.channels == 2
    same = train_series(both, KINDS, layout="channels-first")
    want = model.predict_proba(time_first)
    np.testing.assert_array_equal(same.predict_proba(both, layout="channels-first"), want)
    assert_refused("seems to have channels first", model.predict, both)
    assert_refused("layout is for series", gw.train, ["a film"] * 64, KINDS, layout="time-first")
    estimator = LSTMSeriesClassifier(**SERIES, layout="channels-first", random_state=0).fit(both, KINDS)
    np.testing.assert_array_equal(estimator.predict_proba(both), want)
