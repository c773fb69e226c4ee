"""Keras networks of strangers: what is opened is what Keras computes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

import gatewise as gw
from gatewise.errors import GatewiseError
from gatewise.types import Array
from trust.attack import Attacks, check_message, missing
from trust.attacks.imports_onnx import CHANNELS, LENGTHS, compare
from trust.mutate import Rng, choice

ATTACKS = Attacks()


def _prepare() -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    keras.config.disable_traceback_filtering()


def _hostile(rng: Rng, ops: Any, x: Any, floats: bool) -> Any:
    """An operation that does something for long sequences or large numbers only."""
    bound = int(choice(rng, [1, 24, 30, 64, 100]))
    number = float(choice(rng, [3.0, 9.0, 50.0, 500.0])) if floats else bound
    how = int(rng.integers(8))
    if how < 3:
        return (x[:, :bound], x[:, -bound:], x[:, 1:])[how]
    if how == 3:
        return ops.where(ops.not_equal(x, number), x, 0)
    if how == 4:
        return ops.where(ops.less(x, number), x, 0)
    if how == 5:
        return ops.maximum(x, -number)
    if how == 6:
        return ops.minimum(x, number)
    return ops.cast(ops.cast(x, "float16"), "float32")


def _network(rng: Rng) -> tuple[Any, int, bool]:
    """A random network, the size of its vocabulary, 0 for a series, and whether it has a mask."""
    import keras

    k, ops = keras.layers, keras.ops
    vocabulary = int(choice(rng, [0, 40, 3000]))
    masked = rng.random() < 0.5
    hostile = choice(rng, ["", "", "", "inputs", "read", "states"])
    given = keras.Input((None,)) if vocabulary else keras.Input((None, CHANNELS))
    value = _hostile(rng, ops, given, not vocabulary) if hostile == "inputs" else given
    if vocabulary:
        value = k.Embedding(vocabulary, int(rng.integers(2, 6)), mask_zero=masked)(value)
    elif masked:
        value = k.Masking(0.0)(value)
    value = _hostile(rng, ops, value, True) if hostile == "read" else value
    how = choice(rng, ["state", "max", "mean", "last", "max inside"])
    count = int(rng.integers(1, 3))
    for layer in range(count):
        each = layer < count - 1 or how != "state"
        backwards = rng.random() < 0.2
        lstm = k.LSTM(int(rng.integers(2, 7)), return_sequences=each, go_backwards=backwards)
        if rng.random() < 0.5 and not backwards:
            lstm = k.Bidirectional(lstm, merge_mode=choice(rng, ["concat", "sum", "ave", "mul"]))
        value = lstm(value)
    if hostile == "states" and how != "state":
        value = _hostile(rng, ops, value, True)
    if how == "max inside":
        inside = ops.not_equal(given, 0) if vocabulary else ops.any(ops.not_equal(given, 0.0), -1)
        value = k.GlobalMaxPooling1D()(ops.where(ops.expand_dims(inside, -1), value, -3.0))
    elif how in ("max", "mean"):
        value = (k.GlobalMaxPooling1D if how == "max" else k.GlobalAveragePooling1D)()(value)
    elif how == "last":
        value = value[:, -1]
    if rng.random() < 0.5:
        value = k.Dense(5, activation=choice(rng, ["relu", "tanh", "gelu", "elu"]))(value)
    network = keras.Model(given, k.Dense(2)(value))
    network.set_weights([rng.normal(0, 0.7, array.shape) for array in network.get_weights()])
    return network, vocabulary, masked


def _batch(rng: Rng, vocabulary: int, length: int, pads: str) -> Array:
    """Ids (3, length), or series (3, length, channels) of magnitudes from 1e-3 to 1e3, with zeros as pads."""
    scale = 10.0 ** rng.uniform(-3, 3)
    x: Array = (
        rng.integers(1, vocabulary, (3, length)) if vocabulary else scale * rng.normal(size=(3, length, CHANNELS))
    )
    words = int(rng.integers(1, length + 1))
    padded = np.zeros((3, length), dtype=bool)
    if pads == "front":
        padded[1:, : length - words] = True
    elif pads == "end":
        padded[1:, words:] = True
    elif pads == "middle":
        padded = rng.random((3, length)) < 0.5
        padded[:, int(rng.integers(length))] = False
    elif pads == "rows":
        padded[1] = True
    x[padded] = 0
    return x


@ATTACKS.add(
    "imports-keras", 3, 2_000, prepare=_prepare, unavailable=lambda: missing("keras", "torch"), seconds=240.0, memory=0
)
def _keras(rng: Rng, folder: Path) -> None:
    """A Keras network computes what Keras computes with it, to 1e-5 of the largest number, or it is refused in one
    line.

    random networks of ids and series, with a mask and without, all merges and poolings; half of them have a slice,
    comparison, limit or rounding at a random place; 1 to 2,000 steps, pads in front, in the middle, at the end and as
    whole rows, numbers from 1e-3 to 1e3, NaN, all ids
    """
    try:
        network, vocabulary, masked = _network(rng)
    except ValueError:  # Keras itself refuses the network
        return
    try:
        model = gw.from_keras(network, task="regression")
    except GatewiseError as error:
        check_message(error)
        return
    longest = 2_000 if rng.random() < 0.2 else 100  # Keras on torch takes seconds for 2,000 steps
    for n, length in enumerate((*rng.choice(LENGTHS, 3).tolist(), int(rng.integers(1, longest + 1)))):
        pads = choice(rng, ["none", "front", "end", "middle", "rows"]) if masked or n == 0 else "none"
        x = _batch(rng, vocabulary, length, pads)
        if not vocabulary and rng.random() < 0.2:
            x[0, int(rng.integers(length)), 0] = np.nan
        _same(network, model, x, f"{length} steps, pads {pads}")
    if vocabulary:
        every = np.resize(np.arange(1, vocabulary), (1, -(-vocabulary // 500) * 500)).reshape(-1, 500)
        _same(network, model, every, "all ids")


def _same(network: Any, model: Any, x: Array, where: str) -> None:
    try:
        found = model.logits(list(x))
    except GatewiseError as error:  # a row of pads alone, or NaN
        check_message(error)
        return
    import keras

    wanted = keras.ops.convert_to_numpy(network(x, training=False))
    assert np.isfinite(found).all() == np.isfinite(wanted).all(), f"{where}: {found} for {wanted}"
    if np.isfinite(wanted).all():
        compare(found, wanted, where)
