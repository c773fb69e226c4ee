"""Forecasts of series: an LSTM and linear autoregressions on windows; prediction intervals from held-out windows."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatewise.forecast.forecaster import Forecaster as Forecaster

__all__ = ["Forecaster"]


def __getattr__(name: str) -> Any:
    """Imported on first use: `gatewise.load` opens a model without."""
    if name not in __all__:
        raise AttributeError(f"module 'gatewise.forecast' has no attribute {name!r}")
    return getattr(import_module("gatewise.forecast.forecaster"), name)


def __dir__() -> list[str]:
    return __all__
