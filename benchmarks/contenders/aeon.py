"""MiniRocket of aeon."""

from __future__ import annotations

from functools import partial

import aeon
from aeon.classification.convolution_based import MiniRocketClassifier
from aeon.regression.convolution_based import MiniRocketRegressor

from benchmarks.contenders.base import Arrays, Settings, Task, seconds_of


def minirocket(settings: Settings, arrays: Arrays) -> Task:
    """Fit to x (n, channels, steps) and y (n,), and predict `query`."""

    def check() -> Arrays:
        kind = MiniRocketRegressor if settings["task"] == "regression" else MiniRocketClassifier
        model = kind(random_state=settings["seed"], n_jobs=-1).fit(arrays["x"], arrays["y"])
        return {"predicted": model.predict(arrays["query"])}

    return Task(partial(seconds_of, check), {"aeon": aeon.__version__, "settings": "default"}, check)


TASKS = {"minirocket": minirocket}
