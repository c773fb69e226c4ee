"""Forecasts of series: an LSTM and linear autoregressions on windows; prediction intervals from held-out windows."""
