"""Holt-Winters of statsmodels on one series: python forecast_peer.py FILE.npz HORIZON SEASON; prints a JSON list."""

from __future__ import annotations

import json
import sys

import numpy as np
from statsmodels.tsa.holtwinters import ExponentialSmoothing

if __name__ == "__main__":
    y, horizon, season = np.load(sys.argv[1])["y"], int(sys.argv[2]), int(sys.argv[3])
    model = ExponentialSmoothing(y, trend="add", seasonal="mul", seasonal_periods=season)
    print(json.dumps(np.asarray(model.fit().forecast(horizon)).tolist()))
