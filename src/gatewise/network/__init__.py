"""The network: embedding, LSTM layers, pooling, dense; forward and backward over ragged batches."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatewise.network.architecture import Architecture as Architecture, Layer as Layer

__all__ = ["Architecture", "Layer"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'gatewise.network' has no attribute {name!r}")
    return getattr(import_module("gatewise.network.architecture"), name)


def __dir__() -> list[str]:
    return __all__
