"""Peers of statsforecast: python forecast_peer.py; reads one JSON list per line of stdin, [values, horizon, season],
and prints one line each: the forecasts and the 80% intervals by name, with seconds.
"""

from __future__ import annotations

import json
import sys
import time
import warnings

import numpy as np
from statsforecast.models import AutoARIMA, AutoETS, AutoTheta, SeasonalNaive

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        values, horizon, season = json.loads(line)
        y, found = np.array(values), {}
        for model in (SeasonalNaive, AutoARIMA, AutoETS, AutoTheta):
            start = time.perf_counter()
            try:
                # AutoARIMA approximates the likelihood of long and of seasonal series, as auto.arima of R does.
                # With a season above 24 it takes minutes, and runs without.
                arima, period = model is AutoARIMA, season
                fast = {"approximation": len(y) > 150 or season > 12} if arima else {}
                if arima and season > 24:
                    period = 1
                one = model(season_length=period, **fast).forecast(y, horizon, level=[80])
                found[model.__name__] = {
                    "mean": np.asarray(one["mean"]).tolist(),
                    "lower": np.asarray(one["lo-80"]).tolist(),
                    "upper": np.asarray(one["hi-80"]).tolist(),
                }
            except Exception as error:  # too short for the model: the seasonal naive forecast stands in, and is named
                found[model.__name__] = {**found["SeasonalNaive"], "failed": str(error)}
            found[model.__name__]["seconds"] = time.perf_counter() - start
        print(json.dumps(found), flush=True)
