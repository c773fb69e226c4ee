"""Forecasts of series: an LSTM and linear autoregressions on windows, with prediction intervals from held-out windows.

>>> import gatewise as gw
>>> forecaster = gw.Forecaster(horizon=12).fit(passengers)  # doctest: +SKIP
>>> forecaster.predict()  # doctest: +SKIP
"""

from gatewise.forecast.explanation import ForecastExplanation
from gatewise.forecast.forecaster import Forecaster, load_forecaster
from gatewise.forecast.result import Forecast

__all__ = ["Forecast", "ForecastExplanation", "Forecaster", "load_forecaster"]
