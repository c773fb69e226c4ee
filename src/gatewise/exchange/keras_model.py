"""A model as a Keras model: Embedding -> LSTM layers -> pooling -> Dense.

Keras runs on any of its backends. No file is read or written here: `keras_model.save(path)` and
`keras.models.load_model(path)` do that.
"""

from collections.abc import Mapping
from typing import Any

from gatewise.errors import InputError
from gatewise.exchange.keras_backend import keras_module
from gatewise.network import Architecture
from gatewise.network.pooling import BELOW_ALL_STATES
from gatewise.network.weight_layouts import to_keras_arrays, weights_of
from gatewise.types import Array

PAD_VALUE = 1e9  # of all channels of a step that pads a series
_DTYPES = {"tokens": "int32", "channels": "float32"}


def keras_model(arch: Architecture, parameters: Mapping[str, Array]) -> Any:
    """A keras.Model of token ids (n, T), or of series (n, T, C) as the preprocessor encodes them, with outputs (n,
    outputs): logits; with pooling "none" (n, T, outputs).

    With padding "none" token ids are padded with 0 at the end and masked, and series with steps of PAD_VALUE; with
    "pre" ids are padded in front to max_length, as by `keras.utils.pad_sequences`. Longer sequences must be truncated
    before. Raises InputError for binary gates, and without Keras.
    """
    arch.check_plain("a Keras model")
    if arch.gate != "sigmoid":
        raise InputError(f"gate={arch.gate!r}: Keras has no counterpart")
    keras, tokens, masked = keras_module(), arch.inputs == "tokens", arch.padding == "none"
    layers, ops, weights = keras.layers, keras.ops, dict[str, list[Array]]()
    length = None if masked else arch.max_length
    given = keras.Input((length,) if tokens else (length, arch.channels), name=arch.inputs, dtype=_DTYPES[arch.inputs])
    if tokens:
        x = layers.Embedding(arch.vocab_size, arch.embedding_dim, mask_zero=masked, name="embedding")(given)
        weights["embedding"] = [parameters["embedding.weight"]]
    else:
        x = layers.Masking(PAD_VALUE, name="masking")(given)
    explicit: dict[str, Any] = {}  # the mask, where layers do not pass it on
    for n, layer in enumerate(arch.layers):
        whole = n < len(arch.layers) - 1 or arch.reads_outputs
        name, backward = f"lstm_{n + 1}", layer.direction == "backward"
        made = layers.LSTM(layer.units, return_sequences=whole, go_backwards=backward, name=name)
        if layer.direction == "both":
            name = f"bidirectional_{n + 1}"
            made = layers.Bidirectional(made, merge_mode=layer.merge_mode.keras_name, name=name)
        x = made(x, **explicit)
        if backward and whole:  # which Keras returns in the order of reading
            x, explicit = ops.flip(x, axis=1), {"mask": _mask(keras, arch, given)}
        weights[name] = [array for one in weights_of(parameters, arch, n) for array in to_keras_arrays(one)]
    x = _pooled(keras, arch, x, given, explicit)
    for prefix, _, dense in arch.dense():
        name, leaky = prefix.replace(".", "_"), dense.activation == "leaky_relu"
        x = layers.Dense(dense.units, activation="linear" if leaky else dense.activation, name=name)(x)
        if leaky:
            x = layers.LeakyReLU(negative_slope=dense.negative_slope)(x)
        weights[name] = [parameters[f"{prefix}.weight"].T, parameters[f"{prefix}.bias"]]
    network = keras.Model(given, x, name="gatewise")
    for name, arrays in weights.items():
        network.get_layer(name).set_weights(arrays)
    return network


def _mask(keras: Any, arch: Architecture, given: Any) -> Any:
    """(n, T): the steps that are not padded."""
    ops = keras.ops
    return ops.not_equal(given, 0) if arch.inputs == "tokens" else ops.any(ops.not_equal(given, PAD_VALUE), -1)


def _pooled(keras: Any, arch: Architecture, x: Any, given: Any, explicit: dict[str, Any]) -> Any:
    """The pooled states of x (n, T, width), or with pooling "last" (n, width), of the inputs `given`."""
    layers, ops, parts = keras.layers, keras.ops, []
    if arch.pooling == "step":
        last = ops.sum(ops.cast(_mask(keras, arch, given), "int32"), axis=1, keepdims=True) - 1
        return ops.squeeze(ops.take_along_axis(x, ops.expand_dims(last, -1), axis=1), 1)
    if "mean" in arch.pooling:
        parts.append(layers.GlobalAveragePooling1D(name="mean")(x, **explicit))
    if "max" in arch.pooling:  # Keras's layer takes no mask
        inside = ops.where(ops.expand_dims(_mask(keras, arch, given), -1), x, BELOW_ALL_STATES)
        parts.append(layers.GlobalMaxPooling1D(name="max")(inside))
    return layers.Concatenate()(parts) if len(parts) > 1 else parts[0] if parts else x
