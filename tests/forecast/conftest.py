"""A short seasonal series and a forecaster fitted on it, with a tiny LSTM."""

from __future__ import annotations

import numpy as np
import pytest

from gatewise.forecast.forecaster import Forecaster
from gatewise.types import Array

TINY = {"epochs": 2, "units": 4, "batch_size": 16}


def seasonal(n: int = 96, seed: int = 0, level: float = 100.0) -> Array:
    """A trend, a season of 12 that grows with the level, and noise: all values above 0."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    wave = 1 + 0.3 * np.sin(2 * np.pi * t / 12) + 0.1 * np.cos(4 * np.pi * t / 12)
    return np.asarray(level * np.exp(0.008 * t) * wave * np.exp(0.02 * rng.normal(size=n)))


@pytest.fixture(scope="session")
def fitted() -> Forecaster:
    return Forecaster(6, **TINY).fit(seasonal())
