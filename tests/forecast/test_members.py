"""Autoregressions: what they learn, and how longer horizons feed predictions back."""

from __future__ import annotations

import numpy as np
import pytest

from gatewise.forecast.members import TrainingWindows, fit_autoregression, roll_out
from gatewise.forecast.transform import Transform


def recurrence(n: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """y_t = 1.6 y_{t-1} - 0.9 y_{t-2} + 0.5 x_{t-1} + 1, without noise; x is a random exogenous column."""
    x = np.random.default_rng(5).normal(size=n)
    y = np.zeros(n)
    for t in range(2, n):
        y[t] = 1.6 * y[t - 1] - 0.9 * y[t - 2] + 0.5 * x[t - 1] + 1
    return np.stack([y, x], axis=1)


def test_an_autoregression_finds_a_linear_recurrence() -> None:
    series, transform = recurrence(150), Transform(False, 1, False, 3)
    windows = TrainingWindows.of([series[:140]], transform, 1, 5)
    member = fit_autoregression(windows, transform)
    found = member(series[None, 137:140], [0])
    assert found[0, 0] == pytest.approx(series[140, 0], abs=0.05)


def test_windows_are_in_the_order_of_time_and_end_within_the_series() -> None:
    a, b = np.arange(20.0)[:, None], 100 + np.arange(14.0)[:, None]
    transform = Transform(False, 1, False, 4)
    windows = TrainingWindows.of([a, b], transform, 2, 5)
    assert windows.x.shape == (15 + 9, 4, 1)
    values = windows.y * windows.scales.std[0] + windows.scales.mean[0]  # right for the windows of a
    assert values.max() > 18.9
    with pytest.raises(ValueError, match="too short"):
        TrainingWindows.of([a, b[:9]], transform, 2, 5)


def test_roll_out_feeds_predictions_back_and_keeps_exogenous_values() -> None:
    class Echo:
        """Twice the last value of the series plus the last exogenous value, for two steps."""

        transform = Transform(False, 1, False, 3)
        steps = 2

        def __call__(self, windows: np.ndarray[tuple[int, ...], np.dtype[np.float64]], series: object) -> object:
            return np.repeat(2 * windows[:, -1:, 0] + windows[:, -1:, 1], 2, axis=1)

    windows = np.array([[[0.0, 0], [0, 0], [3, 1]], [[0, 0], [0, 0], [5, 0]]])
    found = roll_out(Echo(), windows, [0, 0], 5)  # type: ignore[arg-type]
    assert found.tolist() == [[7, 7, 15, 15, 31], [10, 10, 20, 20, 40]]
    assert windows[0, -1].tolist() == [3, 1]
