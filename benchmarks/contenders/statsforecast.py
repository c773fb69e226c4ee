"""Forecasts of one series by a model of statsforecast, with 80% intervals."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np
import statsforecast
from statsforecast import models

from benchmarks.contenders.base import Arrays, Settings, Task, Unavailable, seconds_of

warnings.simplefilter("ignore")


def forecast(settings: Settings, arrays: Arrays) -> Task:
    """AutoARIMA approximates the likelihood of long and of seasonal series, as auto.arima of R does. With a season
    above 24 it takes minutes, and runs without.
    """
    values, season, name = arrays["values"], settings["season"], settings["model"]
    options: dict[str, Any] = {"season_length": season}
    if name == "AutoARIMA":
        options |= {"approximation": len(values) > 150 or season > 12, "season_length": season if season <= 24 else 1}

    def check() -> Arrays:
        try:
            found = getattr(models, name)(**options).forecast(values, settings["horizon"], level=[80])
        except Exception as error:
            raise Unavailable(str(error)) from error
        return {"forecast": np.asarray(found["mean"]), **{key: np.asarray(found[key]) for key in ("lo-80", "hi-80")}}

    info = {"statsforecast": statsforecast.__version__, "settings": f"{name}, {options}"}
    return Task(partial(seconds_of, check), info, check)


TASKS = {"forecast": forecast}
