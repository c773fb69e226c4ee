"""Conversion between a Keras LSTM layer in memory and `LSTM`. Keras itself reads and writes `.keras` files."""

from __future__ import annotations

from typing import Any

from gatewise.errors import InputError, quote
from gatewise.network.weight_layouts import from_keras_layer, to_keras_arrays
from gatewise.nn.convert import from_arrays, to_arrays
from gatewise.nn.lstm import LSTM


def from_keras(layer: Any) -> LSTM:
    """An `LSTM` (batch_first) equivalent to a built Keras layer, LSTM or Bidirectional(LSTM).

    h_n equals Keras's result for return_sequences=False, with the directions concatenated. Dropout settings are not
    converted. Of a `.keras` file, `keras.models.load_model(path).get_layer(name)` is the layer; it can run code of the
    file (SECURITY.md).

    Raises InputError for settings without a counterpart: another activation, go_backwards, another merge_mode than
    "concat".
    """
    weights = from_keras_layer(layer)
    return from_arrays(weights, bidirectional=len(weights) == 2, batch_first=True)


def to_keras(module: LSTM, layer: Any) -> None:
    """Write the weights of a one-layer `LSTM` into a built Keras layer. Raises InputError where the two do not fit."""
    if module.num_layers != 1:
        raise InputError(f"a Keras layer holds one LSTM layer, this module has {module.num_layers}")
    if module.gate != "sigmoid":
        raise InputError(f"gate={module.gate!r}: Keras has no counterpart")
    arrays = [to_keras_arrays(one) for one in to_arrays(module)]
    shapes = [[array.shape for array in one] for one in arrays]
    found = [[array.shape for array in to_keras_arrays(one)] for one in from_keras_layer(layer)]
    if shapes != found:
        raise InputError(f"layer {quote(layer.name)} has weights of the shapes {found}, the module {shapes}")
    layer.set_weights([array for one in arrays for array in one])
