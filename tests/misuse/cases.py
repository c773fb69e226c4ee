"""What the misuse suite has in common: small models, data, and what a call says.

A case is a short call that is refused, or warned about, in one line that names the mistake. Most end before a training
starts. What is read right in spite of its form is in tests/data.
"""

import contextlib
import re
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from gatewise.data import Labelled
from gatewise.errors import GatewiseError
from gatewise.model.model import Model
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.text import TokenEncoding
from tests.refusals import assert_refused
from tests.small_models import small_model

RNG = np.random.default_rng(11)
N = 60
WORDS = ["the", "film", "was", "slow", "but", "honest", "a", "look", "at", "two", "lives", "that", "never", "meet"]
TEXTS = [" ".join(RNG.choice(WORDS, 8)) for _ in range(N)]
KINDS = RNG.integers(0, 2, N)
NAMES = [("bad", "good")[k] for k in KINDS]
FRAME = pd.DataFrame(RNG.normal(size=(N, 12)).round(3), columns=[f"t{k}" for k in range(12)])
WAVES = FRAME.to_numpy()

Call = Callable[[], Any]
Case = tuple[Call, str]


@cache
def of_texts() -> Model:
    return small_model(TokenEncoding.fit(TEXTS, vocab_size=40, min_count=1), ("bad", "good"), 4)


@cache
def of_series() -> Model:
    return small_model(SeriesPreprocessor.fit(list(WAVES[:, :, None])), ("0", "1"), 5)


def data(inputs: Any, labels: Any, **given: Any) -> Callable[[], Labelled]:
    return lambda: Labelled.of(inputs, labels, **given)


def some(*names: str) -> list[str]:
    """N labels, these names in turn."""
    return [names[n % len(names)] for n in range(N)]


def fail_with(call: Call, message: str, kind: Any = GatewiseError) -> None:
    """Refused with the message, whatever is warned about before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_refused(re.escape(message), call, error=kind)


def warned(call: Call) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        with contextlib.suppress(GatewiseError):
            call()
    assert all(issubclass(one.category, UserWarning) for one in found)
    return [str(one.message) for one in found]


def with_column(name: str, values: Any = KINDS) -> pd.DataFrame:
    return FRAME.assign(**{name: values})
