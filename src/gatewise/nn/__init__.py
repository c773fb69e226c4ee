"""The torch side: `LSTM` in the place of torch.nn.LSTM, `lstm`, the recurrence alone, and the network that trains."""

from __future__ import annotations

from gatewise.errors import MissingExtra
from gatewise.nn.openmp import wait_passively

try:
    wait_passively()
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise MissingExtra("torch", "train", "gatewise.nn") from error

from gatewise.nn.convert import from_torch, to_torch
from gatewise.nn.keras import from_keras, to_keras
from gatewise.nn.language import LanguageModel
from gatewise.nn.lstm import LSTM
from gatewise.nn.network import Network
from gatewise.nn.op import LstmStates, lstm

__all__ = [
    "LSTM",
    "LanguageModel",
    "LstmStates",
    "Network",
    "from_keras",
    "from_torch",
    "lstm",
    "to_keras",
    "to_torch",
]
