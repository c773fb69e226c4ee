"""gatewise: LSTM text and series classifiers, fast on a CPU, with explanations down to the gates."""

from __future__ import annotations

from importlib import import_module

from gatewise._version import __version__ as __version__
from gatewise.extensions import EXPORT_FORMATS, FOLDER_KINDS, FOLDER_SOURCES

# Type checkers take it for True, as that of `typing`. `typing` itself takes as long to import as Python takes to start,
# and until then the program has no handlers of signals (`__main__.py`). With its type alone, editors do not take it for
# False (`tests/test_completion.py`).
TYPE_CHECKING: bool = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gatewise import (
        data as data,
        errors as errors,
        exchange as exchange,
        kernels as kernels,
        nn as nn,
        text as text,
    )
    from gatewise.exchange.convert import from_keras as from_keras, from_onnx as from_onnx, from_torch as from_torch
    from gatewise.exchange.export import to_keras as to_keras, to_torch as to_torch
    from gatewise.exchange.hub import push_to_hub as push_to_hub
    from gatewise.forecast.forecaster import Forecaster as Forecaster
    from gatewise.model.loading import load as load
    from gatewise.model.model import Model as Model
    from gatewise.model.pretrained import PretrainedLM as PretrainedLM, load_pretrained as load_pretrained
    from gatewise.scorer import Scorer as Scorer
    from gatewise.training.pretrain import pretrain as pretrain
    from gatewise.training.train import train as train
    from gatewise.tuning.tune import tune as tune

# Public names by module. Names are imported on first use, so that `gatewise --help` does not import NumPy.
_HOME = {
    "exchange.convert": "from_keras from_onnx from_torch",
    "exchange.export": "to_keras to_torch",
    "exchange.hub": "push_to_hub",
    "forecast.forecaster": "Forecaster",
    "model.loading": "load",
    "model.model": "Model",
    "model.pretrained": "PretrainedLM load_pretrained",
    "scorer": "Scorer",
    "training.pretrain": "pretrain",
    "training.train": "train",
    "tuning.tune": "tune",
}
_PACKAGES = ["data", "errors", "exchange", "kernels", "nn", "text"]
__all__ = sorted(["__version__", *_PACKAGES, *" ".join(_HOME.values()).split()])


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"gatewise.{name}")
    for module, names in _HOME.items():
        if name in names.split():
            return getattr(import_module(f"gatewise.{module}"), name)
    raise AttributeError(f"module 'gatewise' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


def _imported_when_called(module: str, name: str) -> Callable[..., Any]:
    """A function of a satellite, whose module is imported at its first call."""

    def call(*arguments: Any, **options: Any) -> Any:
        function: Any = import_module(f"gatewise.{module}")
        for attribute in name.split("."):
            function = getattr(function, attribute)
        return function(*arguments, **options)

    return call


# What satellites add to the core, which names none of them. A new format, address or kind of folder is a line here.
EXPORT_FORMATS["onnx"] = _imported_when_called("exchange.export", "export_onnx")
EXPORT_FORMATS["web"] = _imported_when_called("exchange.export", "export_web")
FOLDER_SOURCES["hf"] = _imported_when_called("exchange.hub", "download")
FOLDER_KINDS["forecaster"] = _imported_when_called("forecast.forecaster", "Forecaster.from_folder")
