"""Operations of Keras whose effect depends on numbers or lengths are refused by name; masks are read, pads anywhere."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.types import Array
from tests.refusals import assert_refused

pytestmark = [
    pytest.mark.usefixtures("short_comparison"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn.t accept a copy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask:UserWarning"),
]
V = 40


def randomized(network: Any, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    network.set_weights([rng.normal(0, 0.6, array.shape) for array in network.get_weights()])
    return network


def test_what_depends_on_lengths_or_numbers_is_named(keras: ModuleType) -> None:
    k, ops = keras.layers, keras.ops
    ids, series = keras.Input((None,)), keras.Input((None, 3))
    vectors = k.Embedding(V, 4)(ids)
    states = k.LSTM(5, return_sequences=True)(vectors)
    masked = k.Embedding(V, 4, mask_zero=True)(ids)
    masked_states = k.LSTM(5, return_sequences=True)(masked)
    for given, y, message in (
        (ids, k.LSTM(5)(vectors[:, :40]), r"\(GetItem, layer 2\): it takes steps at constant places"),
        (ids, k.LSTM(5)(k.Embedding(V, 4)(ids[:, -40:])), r"\(GetItem, layer 1\): it takes steps at constant places"),
        (ids, ops.mean(states[:, -32:], 1), r"\(GetItem, layer 3\): it takes steps at constant places"),
        (ids, states[:, 23], r"\(GetItem, layer 3\): it takes steps at constant places"),
        (ids, ops.take(states, [3, 4], axis=1)[:, -1], r"\(Take, layer 3\): it takes steps at constant places"),
        (ids, k.LSTM(5)(k.Cropping1D((0, 9))(vectors)), r"\(Cropping1D, layer 2\): it takes steps"),
        (ids, k.LSTM(5)(k.Embedding(V, 4)(ops.where(ops.equal(ids, 7), 1, ids))), r"\(Equal, layer 1\)"),
        (ids, k.LSTM(5)(ops.where(ops.not_equal(vectors, 9.0), vectors, 0.0)), r"\(NotEqual, layer 2\): it compares"),
        (ids, k.LSTM(5)(masked, mask=ops.not_equal(ids, 7)), r"\(NotEqual, layer \d\): it compares numbers"),
        (series, k.LSTM(5)(ops.maximum(series, -10.0)), r"\(Maximum, layer 1\): it limits numbers"),
        (
            series,
            k.LSTM(5)(ops.cast(ops.cast(series, "float16"), "float32")),
            r"\(Cast, layer 1\): it rounds to float16",
        ),
        (series, k.LSTM(5)(ops.clip(series, -10.0, 10.0)), r"\(Clip, layer 1\)"),
        (
            series,
            k.LSTM(5)(k.Masking(0.0)(k.Normalization(mean=1.0, variance=4.0)(series))),
            r"a Masking layer that reads them",
        ),
        (series, k.LSTM(5)(k.Masking(2.0)(k.Masking(0.0)(series))), r"masks the values"),
        (ids, ops.max(states, axis=1, initial=-0.5), r"\(Max, layer 3\): it takes the maximum with a constant"),
        (ids, k.GlobalMaxPooling1D()(masked_states), r"\(GlobalMaxPooling1D, layer 4\): it ignores the mask"),
        (ids, ops.max(masked_states * 1.0, axis=1), r"\(Max, layer \d\): it ignores the mask"),
        (keras.Input((20,)), None, r"reads inputs of the shape \(None, 20\) by 'Dense', and an LSTM reads steps"),
    ):
        network = keras.Model(given, k.Dense(2)(given if y is None else y))
        assert_refused(message, gw.from_keras, randomized(network))


def test_what_the_backend_does_not_compute_is_named(keras: ModuleType) -> None:
    """torch has no slice with a negative step, and Keras raises its own error of several lines."""
    if keras.backend.backend() != "torch":
        pytest.skip("other backends compute it")
    series = keras.Input((None, 3))
    network = keras.Model(series, keras.layers.Dense(2)(keras.layers.LSTM(5)(series[:, ::-1])))
    message = r"\(GetItem, layer 1\): the Keras backend does not compute it: .*step must be greater than zero"
    assert_refused(message, gw.from_keras, randomized(network))


def pads_anywhere(rng: np.random.Generator, count: int, length: int) -> Array:
    """Ids (count, length) with pads in front, in the middle, at the end, and any mixture of them; none only of pads."""
    ids = rng.integers(1, V, (count, length))
    for n, row in enumerate(ids):
        words = int(rng.integers(1, length))
        if n % 4 == 0:
            row[:-words] = 0
        elif n % 4 == 1:
            row[words:] = 0
        else:
            row[rng.random(length) < 0.6] = 0
            row[int(rng.integers(length))] = 3
    return ids


@pytest.mark.parametrize("pooling", ["mean", "max", "last", "steps"])
def test_pads_anywhere_are_skipped(keras: ModuleType, pooling: str) -> None:
    k, ops = keras.layers, keras.ops
    ids = keras.Input((None,))
    states = k.LSTM(5, return_sequences=True)(k.Embedding(V, 4, mask_zero=True)(ids))
    if pooling == "max":
        inside = ops.expand_dims(ops.not_equal(ids, 0), -1)
        pooled = k.GlobalMaxPooling1D()(ops.where(inside, states, -3.0))
    elif pooling == "mean":
        pooled = k.GlobalAveragePooling1D()(states)
    else:
        pooled = states[:, -1] if pooling == "last" else k.Bidirectional(k.LSTM(4))(states)
    network = randomized(keras.Model(ids, k.Dense(3)(pooled)), 3)
    model = gw.from_keras(network)
    x = pads_anywhere(np.random.default_rng(1), 40, 30)
    np.testing.assert_allclose(model.logits(x.tolist()), network.predict(x, verbose=0), rtol=0, atol=1e-5)
    assert_refused("row 1 has no token but pads", model.logits, [[3, 0], [0, 0]])


def test_a_series_of_masked_steps_alone_is_refused(keras: ModuleType) -> None:
    """Keras gives NaN for it, the mean of nothing."""
    k = keras.layers
    values = keras.Input((None, 2))
    states = k.LSTM(5, return_sequences=True)(k.Masking(mask_value=-1.5)(values))
    network = randomized(keras.Model(values, k.Dense(2)(k.GlobalAveragePooling1D()(states))), 4)
    model = gw.from_keras(network)
    x = np.random.default_rng(5).normal(size=(3, 7, 2)).astype(np.float32)
    x[0, :3] = -1.5
    np.testing.assert_allclose(model.logits(x), network.predict(x, verbose=0), rtol=0, atol=1e-5)
    x[1] = -1.5
    assert_refused("row 1: it has the mask value -1.5 at every step", model.logits, x)
    assert_refused("the series: it has the mask value -1.5 at every step", model.trace, x[1])


def test_a_row_that_is_reshaped_to_steps_is_a_series(keras: ModuleType) -> None:
    k = keras.layers
    rng = np.random.default_rng(2)
    x = rng.normal(size=(6, 20)).astype(np.float32)
    for steps, reshape in (
        ((20, 1), k.Reshape((20, 1))),
        ((20, 1), lambda given: keras.ops.expand_dims(given, -1)),
        ((10, 2), k.Reshape((10, 2))),
    ):
        given = keras.Input((20,))
        network = randomized(keras.Model(given, k.Dense(2)(k.LSTM(5)(reshape(given)))))
        model = gw.from_keras(network)
        found = model.logits(x.reshape(6, *steps))
        np.testing.assert_allclose(found, network.predict(x, verbose=0), rtol=0, atol=1e-5)
