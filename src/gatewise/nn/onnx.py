"""An `LSTM` from an LSTM node of an ONNX file."""

from __future__ import annotations

from pathlib import Path

from gatewise.exchange.onnx_weights import read_lstm
from gatewise.nn.convert import from_arrays
from gatewise.nn.lstm import LSTM


def from_onnx(path: str | Path, node: str | None = None) -> LSTM:
    """An `LSTM` of one layer with the weights of an LSTM node, from a file of any tool.

    node: the name of the node, which may be omitted where the file has one LSTM node. Errors as
    `gatewise.exchange.onnx_weights.read_lstm`.
    """
    weights = read_lstm(path, node)
    return from_arrays(weights, bidirectional=len(weights) == 2)
