"""gatewise: LSTM text and series classifiers, fast on a CPU, with explanations down to the gates."""

from __future__ import annotations

from importlib import import_module

from gatewise._version import __version__ as __version__

# Type checkers take it for True, as that of `typing`. `typing` itself takes as long to import as Python takes to start,
# and until then the program has no handlers of signals (`__main__.py`).
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gatewise import data as data, errors as errors, kernels as kernels, nn as nn, text as text
    from gatewise.forecast import load as load
    from gatewise.forecast.forecaster import Forecaster as Forecaster
    from gatewise.model.convert import from_keras as from_keras, from_onnx as from_onnx, from_torch as from_torch
    from gatewise.model.model import Model as Model
    from gatewise.model.pretrained import PretrainedLM as PretrainedLM, load_pretrained as load_pretrained
    from gatewise.scorer import Scorer as Scorer
    from gatewise.training.pretrain import pretrain as pretrain
    from gatewise.training.train import train as train
    from gatewise.training.tune import tune as tune

# Public names by module. Names are imported on first use, so that `gatewise --help` does not import NumPy.
_HOME = {
    "forecast": "load",
    "forecast.forecaster": "Forecaster",
    "model.convert": "from_keras from_onnx from_torch",
    "model.model": "Model",
    "model.pretrained": "PretrainedLM load_pretrained",
    "scorer": "Scorer",
    "training.pretrain": "pretrain",
    "training.train": "train",
    "training.tune": "tune",
}
_PACKAGES = ["data", "errors", "kernels", "nn", "text"]
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
