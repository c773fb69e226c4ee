"""gatewise: LSTM text and series classifiers, fast on a CPU, with explanations down to the gates."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gatewise._version import __version__

if TYPE_CHECKING:
    from gatewise import data, errors, kernels, nn, text
    from gatewise.forecast import load
    from gatewise.forecast.forecaster import Forecaster
    from gatewise.model.convert import from_keras, from_onnx, from_torch
    from gatewise.model.model import Model
    from gatewise.model.pretrained import PretrainedLM, load_pretrained
    from gatewise.scorer import Scorer
    from gatewise.training.pretrain import pretrain
    from gatewise.training.train import train
    from gatewise.training.tune import tune

__all__ = [
    "Forecaster",
    "Model",
    "PretrainedLM",
    "Scorer",
    "__version__",
    "data",
    "errors",
    "from_keras",
    "from_onnx",
    "from_torch",
    "kernels",
    "load",
    "load_pretrained",
    "nn",
    "pretrain",
    "text",
    "train",
    "tune",
]

# Public name to module. Names are imported on first use, so that `gatewise --help` does not import NumPy.
_HOME = {
    "Forecaster": "gatewise.forecast.forecaster",
    "Model": "gatewise.model.model",
    "PretrainedLM": "gatewise.model.pretrained",
    "Scorer": "gatewise.scorer",
    "from_keras": "gatewise.model.convert",
    "from_onnx": "gatewise.model.convert",
    "from_torch": "gatewise.model.convert",
    "load": "gatewise.forecast",
    "load_pretrained": "gatewise.model.pretrained",
    "pretrain": "gatewise.training.pretrain",
    "train": "gatewise.training.train",
    "tune": "gatewise.training.tune",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in __all__:
        return import_module(f"gatewise.{name}")
    raise AttributeError(f"module 'gatewise' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
