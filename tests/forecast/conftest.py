"""A short seasonal series and a forecaster fitted on it, with a tiny LSTM."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatewise.forecast.forecaster import Forecaster
from gatewise.types import Array

TINY: dict[str, Any] = {"epochs": 2, "units": 4, "batch_size": 16, "min_steps": 0}
SHOP: dict[str, Any] = {"id": "shop", "time": "month", "target": "sold"}  # of `frame`


def seasonal(n: int = 96, seed: int = 0, level: float = 100.0) -> Array:
    """A trend, a season of 12 that grows with the level, and noise: all values above 0."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    wave = 1 + 0.3 * np.sin(2 * np.pi * t / 12) + 0.1 * np.cos(4 * np.pi * t / 12)
    return np.asarray(level * np.exp(0.008 * t) * wave * np.exp(0.02 * rng.normal(size=n)))


def frame(*lengths: int, start: str = "2010-01", freq: str = "MS", **columns: Any) -> pd.DataFrame:
    """A long frame of series a, b, ... of these lengths, which end together."""
    longest, parts = max(lengths), []
    times = pd.date_range(start, periods=longest, freq=freq)
    for seed, n in enumerate(lengths):
        values = seasonal(n, seed, level=100 * 30**seed)
        parts.append(pd.DataFrame({"shop": "abcdef"[seed], "month": times[longest - n :], "sold": values}))
    return pd.concat(parts, ignore_index=True).assign(**columns)


@pytest.fixture(scope="session")
def fitted() -> Forecaster:
    return Forecaster.fit(seasonal(), horizon=6, **TINY)
