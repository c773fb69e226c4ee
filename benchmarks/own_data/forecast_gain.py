"""Gain of the LSTM in forecasts: the MASE of the forecaster without it, minus that of the forecaster.

Without it the other members are fitted and weighted as before, on the same held-out windows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.own_data.forecast import cutoffs, forecast_of
from benchmarks.own_data.forecast_sets import Set, sets
from gatewise.forecast.fit import combine
from gatewise.types import Array

__all__ = ["line", "measured", "sets", "summary"]


def _combine_others(residuals: Array, naive: int, lengths: float) -> tuple[Array, Array]:
    """As `combine`, with weight 0 for the LSTM, which is the first member."""
    weights, combined = combine(residuals[1:], naive - 1, lengths)
    return np.concatenate([[0.0], weights]), combined


def measured(given: Set, seeds: int, peers: Path | None) -> dict[str, Any]:
    """MASE with and without the LSTM and its weight, means over series and cutoffs; the gain and its standard error."""
    both, weights = [], []
    for train, tests in cutoffs(given):
        fitted, forecasts = forecast_of(train, tests, given)
        weights.append(fitted.ensemble.lstm_weight)
        with patch("gatewise.forecast.fit.combine", _combine_others):
            _, others = forecast_of(train, tests, given)
        for test, *answers in zip(tests, forecasts, others, strict=True):
            both.append([test.mase(one["forecast"].to_numpy()) for one in answers])
    errors = np.array(both)  # (series and cutoffs, 2)
    gain = errors[:, 1] - errors[:, 0]
    return {
        "mase": float(errors[:, 0].mean()),
        "mase_without": float(errors[:, 1].mean()),
        "gain": float(gain.mean()),
        "gain_error": float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else None,
        "lstm_weight": float(np.mean(weights)),
    }


def line(name: str, result: dict[str, Any]) -> str:
    error = "" if result["gain_error"] is None else f" ± {result['gain_error']:.3f}"
    return (
        f"{name:20} MASE {result['mase']:.3f}, without the LSTM {result['mase_without']:.3f}: "
        f"gain {result['gain']:+.3f}{error}, weight {result['lstm_weight']:.2f}"
    )


def summary(results: dict[str, Any]) -> str:
    """How many sets have a weight, and the geometric mean of MASE with and without the LSTM."""
    weighted = sum(one["lstm_weight"] > 0 for one in results.values())
    means = [np.exp(np.mean([np.log(one[key]) for one in results.values()])) for key in ("mase", "mase_without")]
    weighted_of = f"{weighted} of {len(results)} sets"
    return f"a weight in {weighted_of}; geometric mean of MASE {means[0]:.4f}, without the LSTM {means[1]:.4f}"
