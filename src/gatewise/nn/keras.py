"""Conversion between Keras's LSTM and `LSTM`: a layer in memory, or a `.keras` file (read without Keras)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.network.weight_layouts import from_keras_arrays, to_keras_arrays
from gatewise.nn.convert import from_arrays, to_arrays
from gatewise.nn.keras_file import KerasLayer, lstm_layers, read_arrays, write_arrays
from gatewise.nn.lstm import LSTM
from gatewise.types import Array


def from_keras(source: Any, layer: str | None = None) -> LSTM:
    """An `LSTM` (batch_first) equivalent to a Keras LSTM or Bidirectional(LSTM).

    source: a built Keras layer, or the path of a `.keras` file; `layer` is then the name of the layer, which may be
    omitted where the file has one LSTM layer. h_n equals Keras's result for return_sequences=False, with the directions
    concatenated. Dropout settings are not converted.

    Raises InputError for settings without a counterpart (another activation, go_backwards, another merge_mode than
    "concat"), ModelFileError for a file that is damaged or contradicts its config, MissingExtra without h5py.
    """
    if isinstance(source, str | Path):
        found = _find(source, layer)
        units, bias = _checked(found.kind, found.config, f"{source}: layer {quote(found.name)}")
        arrays = read_arrays(source, found, units, bias)
        bidirectional = found.kind == "Bidirectional"
    else:
        kind = type(source).__name__
        units, bias = _checked(kind, source.get_config() if hasattr(source, "get_config") else {}, quote(kind))
        bidirectional = kind == "Bidirectional"
        arrays = _by_direction([np.asarray(array) for array in source.get_weights()], bidirectional)
    wide = [[array if array.dtype == np.float64 else array.astype(np.float32) for array in one] for one in arrays]
    return from_arrays([from_keras_arrays(*one) for one in wide], bidirectional=bidirectional, batch_first=True)


def to_keras(module: LSTM, target: Any, layer: str | None = None, *, copy_to: str | Path | None = None) -> None:
    """Write the weights of a one-layer `LSTM` into a Keras layer, or into a `.keras` file.

    target: a built Keras layer, or the path of a `.keras` file; a copy with the new weights is written to `copy_to`,
    which may be the same path. `layer` as in `from_keras`. Raises InputError where the two do not fit.
    """
    if module.num_layers != 1:
        raise InputError(f"a Keras layer holds one LSTM layer, this module has {module.num_layers}")
    if module.gate != "sigmoid":
        raise InputError(f"gate={module.gate!r}: Keras has no counterpart")
    found = _find(target, layer) if isinstance(target, str | Path) else None
    kind = found.kind if found else type(target).__name__
    where = f"layer {quote(found.name)}" if found else quote(kind)
    units, bias = _checked(kind, found.config if found else target.get_config(), where)
    if (units, bias, kind == "Bidirectional") != (module.hidden_size, module.bias, module.bidirectional):
        raise InputError(f"{where} does not have the units, bias and directions of this module: {module}")
    arrays = [to_keras_arrays(one) for one in to_arrays(module)]
    if found is not None:
        if copy_to is None:
            raise InputError("copy_to: missing; it is the path of the copy of the .keras file")
        write_arrays(target, copy_to, found, arrays)
        return
    flat = [array for one in arrays for array in one]
    shapes = [tuple(array.shape) for array in target.get_weights()]
    if shapes != [array.shape for array in flat]:
        raise InputError(f"{where} is not built, or for other inputs: it holds {shapes}")
    target.set_weights(flat)


def _find(path: str | Path, name: str | None) -> KerasLayer:
    layers = lstm_layers(path)
    matching = [one for one in layers if name is None or one.name == name]
    if len(matching) == 1:
        return matching[0]
    names = ", ".join(quote(one.name) for one in layers) or "none"
    if name is None:
        raise InputError(f"{path}: layer: missing; the LSTM layers are: {names}")
    raise InputError(f"{path}: {len(matching)} LSTM layers are called {quote(name)}; the LSTM layers are: {names}")


def _by_direction(arrays: list[Array], bidirectional: bool) -> list[list[Array]]:
    if not arrays:
        raise InputError("the Keras layer is not built: it has no weights yet")
    half = len(arrays) // 2
    return [arrays[:half], arrays[half:]] if bidirectional else [arrays]


def _checked(kind: str, config: Any, where: str) -> tuple[int, bool]:
    """Units and use_bias of a layer's config. Raises InputError for settings without a counterpart."""
    if kind == "Bidirectional":
        _expect(config, "merge_mode", "concat", where)
        halves = [config.get(name) for name in ("layer", "backward_layer")]
        found = set()
        for half, backwards in zip(halves, (False, True), strict=True):
            if half is None and backwards:  # Keras derives it from the first
                continue
            if not isinstance(half, dict) or half.get("class_name") != "LSTM":
                raise InputError(f"{where} is not made of LSTM layers")
            found.add(_checked_one(half.get("config"), where, backwards))
        if len(found) != 1:
            raise InputError(f"{where}: its two directions differ in units or bias")
        return found.pop()
    if kind != "LSTM":
        raise InputError(f"{where} is not a Keras LSTM or Bidirectional layer")
    return _checked_one(config, where, False)


def _checked_one(config: Any, where: str, backwards: bool) -> tuple[int, bool]:
    wanted = {"activation": "tanh", "recurrent_activation": "sigmoid", "go_backwards": backwards}
    for name, value in wanted.items():
        _expect(config, name, value, where)
    units, bias = config.get("units"), config.get("use_bias", True)
    if type(units) is not int or not 0 < units < 1 << 20 or type(bias) is not bool:
        raise InputError(f"{where}: units or use_bias is {quote(units)}, {quote(bias)}")
    return units, bias


def _expect(config: Any, name: str, value: Any, where: str) -> None:
    if not isinstance(config, dict) or config.get(name) != value:
        got = config.get(name) if isinstance(config, dict) else None
        raise InputError(f"{where}: gatewise computes {name}={value!r}, the layer has {quote(got)}")
