"""The windows that the members of a forecaster are fitted on, and the fit of an autoregression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gatewise.members.autoregression import Autoregression
from gatewise.members.windows import Scales, Transform
from gatewise.training.dense_solver import Ridge
from gatewise.types import Array

_LEAST_WINDOWS = 6  # of each series
_MOST_WINDOWS = 4000  # of all series; of more, evenly spaced ones
_PENALTIES = 10.0 ** np.arange(-4, 2.1, 0.5)  # of the ridge regression, per window


@dataclass(frozen=True, eq=False)
class TrainingWindows:
    """Transformed windows of all series in the order of time: x (n, length, C), y (n, steps). scales: (S, C)."""

    x: Array
    y: Array
    transform: Transform
    scales: Scales

    @classmethod
    def of(cls, series: Sequence[Array], transform: Transform, steps: int) -> TrainingWindows | None:
        """Every window of the series (n_s, C) whose targets lie within them; None if a series has too few."""
        found = [transform.scales(one) for one in series]
        scales = Scales(np.stack([one.mean for one in found]), np.stack([one.std for one in found]))
        parts, owners, ends = [], [], []
        for number, one in enumerate(series):
            n = len(one) - transform.history - steps + 1
            if n < _LEAST_WINDOWS:
                return None
            starts = np.unique(np.linspace(0, n - 1, min(n, max(1, _MOST_WINDOWS // len(series)))).astype(int))
            parts.append(one[starts[:, None] + np.arange(transform.history + steps)])  # (n, R + steps, C)
            owners += [number] * len(starts)
            ends += (starts - n).tolist()  # 0 is the end of the series
        order = np.argsort(ends, kind="stable")
        part, owner = np.concatenate(parts)[order], np.array(owners)[order]
        each = Scales(scales.mean[owner], scales.std[owner])
        x, base = transform.encode(part[:, : transform.history], each, steps)
        return cls(x, transform.targets(part[:, transform.history :, 0], base, each), transform, scales)


def fit_autoregression(windows: TrainingWindows) -> Autoregression:
    """Ridge regression; the penalty with the lowest leave-one-out error (Allen's PRESS) over all steps."""
    x, y = windows.x.reshape(len(windows.x), -1), windows.y
    mean, scale = x.mean(axis=0), float(x.std()) or 1.0
    z = (x - mean) / scale
    ridge, penalties = Ridge.of(z), _PENALTIES * len(x) / z.shape[1]
    errors = [np.mean(np.square(y - ridge.out_of_fold(y, l2))) for l2 in penalties.tolist()]
    weight, bias = ridge.weights(z, y, float(penalties[int(np.argmin(errors))]))
    return Autoregression(windows.transform, windows.scales, weight / scale, bias - mean @ weight / scale)
