"""A model as a Keras model, and the reverse: Embedding -> LSTM layers -> pooling -> Dense.

Keras runs on any of its backends. No file is read or written here: `keras_model.save(path)` and
`keras.models.load_model(path)` do that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from gatewise.errors import InputError, counted, quote
from gatewise.network.architecture import Architecture, check_plain
from gatewise.network.weight_layouts import from_keras_layer, network_of, to_keras_arrays, weights_of
from gatewise.types import Array, Task

_BELOW = -2.0  # below every h, which is between -1 and 1


def keras_model(arch: Architecture, parameters: Mapping[str, Array]) -> Any:
    """A keras.Model of token ids (n, T) with outputs (n, outputs): logits.

    With padding "none" the sequences are padded with 0 at the end and masked; with "pre" they are padded in front to
    max_length, as by `keras.utils.pad_sequences`. Longer sequences must be truncated before. Raises InputError for
    series and binary gates, and without Keras.
    """
    if arch.inputs != "tokens":
        raise InputError("to_keras converts models of texts, and this one takes series")
    check_plain(arch, "to_keras")
    if arch.gate != "sigmoid":
        raise InputError(f"gate={arch.gate!r}: Keras has no counterpart")
    keras = _keras()
    masked = arch.padding == "none"
    tokens = keras.Input((None if masked else arch.max_length,), dtype="int32", name="tokens")
    steps = keras.layers.Embedding(arch.vocab_size, arch.embedding_dim, mask_zero=masked, name="embedding")(tokens)
    for layer in range(len(arch.layers)):
        whole = layer < len(arch.layers) - 1 or arch.pooling != "last"
        lstm = keras.layers.LSTM(arch.top.units, return_sequences=whole, name=f"lstm_{layer + 1}")
        if arch.top.direction == "both":
            lstm = keras.layers.Bidirectional(lstm, name=f"bidirectional_{layer + 1}")
        steps = lstm(steps)
    pooled = []
    if "mean" in arch.pooling:
        pooled.append(keras.layers.GlobalAveragePooling1D(name="mean")(steps))  # over the steps that are not masked
    if "max" in arch.pooling:
        if masked:  # Keras's layer takes no mask
            inside = keras.ops.expand_dims(keras.ops.not_equal(tokens, 0), -1)
            steps = keras.ops.where(inside, steps, _BELOW)
        pooled.append(keras.layers.GlobalMaxPooling1D(name="max")(steps))
    features = steps if not pooled else pooled[0] if len(pooled) == 1 else keras.layers.Concatenate()(pooled)
    network = keras.Model(tokens, keras.layers.Dense(arch.outputs, name="dense")(features), name="gatewise")
    network.get_layer("embedding").set_weights([parameters["embedding.weight"]])
    for layer in range(len(arch.layers)):
        arrays = [array for one in weights_of(parameters, arch, layer) for array in to_keras_arrays(one)]
        network.get_layer(f"{'bidirectional' if arch.top.direction == 'both' else 'lstm'}_{layer + 1}").set_weights(
            arrays
        )
    network.get_layer("dense").set_weights([parameters["dense.weight"].T, parameters["dense.bias"]])
    return network


def parameters_of(network: Any, pooling: str, padding: str, max_length: int) -> tuple[Architecture, dict[str, Array]]:
    """The architecture and the float32 parameters of a keras.Model with one Embedding, LSTM or Bidirectional(LSTM)
    layers of equal units, and one Dense. Raises InputError for other layers.
    """
    layers = getattr(network, "layers", None)
    if not isinstance(layers, list):
        kind = quote(type(network).__name__)
        raise InputError(f"{kind} is not a Keras model; keras.models.load_model(path) opens a file")
    embedding, dense = (_only(layers, name) for name in ("Embedding", "Dense"))
    lstms = [one for one in layers if type(one).__name__ in ("LSTM", "Bidirectional")]
    if not lstms:
        raise InputError("the Keras model has no LSTM layer")
    found = [from_keras_layer(one) for one in lstms]
    shapes = {(len(one), one[0].weight_hh.shape) for one in found}
    if len(shapes) != 1:
        raise InputError("the LSTM layers of the Keras model differ in units or directions")
    weights = [one for layer in found for one in layer]
    kernel, *bias = dense.get_weights()
    settings = {"pooling": pooling, "padding": padding, "max_length": max_length}
    arrays = embedding.get_weights()[0], weights, len(found[0]), kernel.T
    return network_of(*arrays, bias[0] if bias else None, settings)


def check_activation(network: Any, task: Task, outputs: int) -> None:
    """Raise InputError where the Dense layer applies another function to its logits than a model of this task does."""
    activation = _only(network.layers, "Dense").activation
    name = getattr(activation, "__name__", type(activation).__name__)
    applied = "softmax" if task == "classification" and outputs > 1 else "sigmoid"
    applied = "none" if task == "regression" else applied
    if name not in ("linear", applied):
        wanted = applied if applied == "none" else f"{applied} or none"
        with_outputs = f"{task} with {counted(outputs, 'output')}"
        raise InputError(f"the Dense layer has the activation {quote(name)}; for {with_outputs} it must be {wanted}")


def outputs_of(network: Any, sequences: Sequence[Array]) -> list[Array]:
    """The logits (outputs,) float64 of token ids, each (T,), one at a time: what the activation of the Dense is applied
    to, if it has one.
    """
    keras, dense = _keras(), _only(network.layers, "Dense")
    activation = dense.activation
    dense.activation = keras.activations.linear  # near 0 and 1, a float32 probability does not tell its logit
    try:
        outputs = [network(ids.astype(np.int32)[None], training=False) for ids in sequences]
    except Exception as error:  # each backend has its own
        raise InputError(f"the Keras model cannot be called with a batch of token ids: {quote(error, 200)}") from None
    finally:
        dense.activation = activation
    return [np.asarray(keras.ops.convert_to_numpy(one), np.float64).reshape(-1) for one in outputs]


def _only(layers: Sequence[Any], name: str) -> Any:
    found = [one for one in layers if type(one).__name__ == name]
    if len(found) != 1:
        raise InputError(f"the Keras model has {len(found)} layers of type {name}; it must have one")
    return found[0]


def _keras() -> Any:
    try:
        return import_module("keras")
    except ImportError as error:
        raise InputError("a Keras model needs Keras and a backend: pip install keras torch") from error
