"""Models from and to the formats of other libraries: Keras, PyTorch, ONNX files and the Hugging Face Hub."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatewise.exchange.convert import from_keras as from_keras, from_onnx as from_onnx, from_torch as from_torch
    from gatewise.exchange.export import export_onnx as export_onnx, export_web as export_web
    from gatewise.exchange.export import to_keras as to_keras, to_torch as to_torch
    from gatewise.exchange.hub import push_to_hub as push_to_hub

_HOME = {
    "convert": "from_keras from_onnx from_torch",
    "export": "export_onnx export_web to_keras to_torch",
    "hub": "push_to_hub",
}
__all__ = sorted(" ".join(_HOME.values()).split())


def __getattr__(name: str) -> Any:
    """Imported on first use: each needs another library."""
    for module, names in _HOME.items():
        if name in names.split():
            return getattr(import_module(f"gatewise.exchange.{module}"), name)
    raise AttributeError(f"module 'gatewise.exchange' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
