"""Operations of Keras whose effect depends on numbers or lengths, and masks: computed as Keras computes them."""

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


def test_what_depends_on_lengths_or_numbers_is_computed(keras: ModuleType) -> None:
    k, ops = keras.layers, keras.ops
    ids, series, rows = keras.Input((None,)), keras.Input((None, 3)), keras.Input((20,))
    vectors = k.Embedding(V, 4)(ids)
    states = k.LSTM(5, return_sequences=True)(vectors)
    masked = k.Embedding(V, 4, mask_zero=True)(ids)
    masked_states = k.LSTM(5, return_sequences=True)(masked)
    rng = np.random.default_rng(7)
    for given, y in (
        (ids, k.LSTM(5)(vectors[:, :40])),
        (ids, k.LSTM(5)(k.Embedding(V, 4)(ids[:, -40:]))),
        (ids, ops.mean(states[:, -32:], 1)),
        (ids, ops.take(states, [3, 4], axis=1)[:, -1]),
        (ids, k.LSTM(5)(k.Embedding(V, 4)(ops.where(ops.equal(ids, 7), 1, ids)))),
        (ids, k.LSTM(5)(ops.where(ops.not_equal(vectors, 9.0), vectors, 0.0))),
        (ids, k.LSTM(5)(masked, mask=ops.not_equal(ids, 7))),
        (series, k.LSTM(5)(ops.maximum(series, -10.0))),
        (series, k.LSTM(5)(ops.clip(series, -10.0, 10.0))),
        (series, k.LSTM(5)(k.Masking(0.0)(k.Normalization(mean=1.0, variance=4.0)(series)))),
        (series, k.LSTM(5)(k.Masking(2.0)(k.Masking(0.0)(series)))),
        (ids, ops.max(states, axis=1, initial=-0.5)),
        (ids, k.GlobalMaxPooling1D()(masked_states)),
        (ids, ops.max(masked_states * 1.0, axis=1)),
        (rows, rows),
    ):
        network = randomized(keras.Model(given, k.Dense(2)(y)))
        model = gw.from_keras(network)
        for steps in (5, 31, 40, 41, 77):
            if given is ids:
                x = rng.integers(1, V, (6, steps))
                x[1, 2:4] = 0
                x[2, 3:] = 7
            elif given is series:
                x = (rng.normal(size=(6, steps, 3)) * rng.choice([0.5, 15.0], (6, 1, 1))).astype(np.float32)
                x[1, 1:3] = 0.0
                x[2, 2] = 2.0
            else:
                x = rng.normal(size=(6, 20)).astype(np.float32)
            wanted = network.predict(x, verbose=0)
            np.testing.assert_allclose(model.logits([*x]), wanted, rtol=1e-5, atol=1e-5)


def test_what_has_no_float32_is_named(keras: ModuleType) -> None:
    series = keras.Input((None, 3))
    ops = keras.ops
    rounded = keras.layers.LSTM(5)(ops.cast(ops.cast(series, "float16"), "float32"))
    network = keras.Model(series, keras.layers.Dense(2)(rounded))
    assert_refused(r"cast.* \(Cast\): it computes in 'float16'", gw.from_keras, randomized(network))


def test_too_few_steps_for_a_crop_are_named(keras: ModuleType) -> None:
    """Keras itself takes no sequence that is shorter than the crop, and the graph none either."""
    k = keras.layers
    ids = keras.Input((None,))
    cropped = k.LSTM(5)(k.Cropping1D((0, 9))(k.Embedding(V, 4)(ids)))
    network = randomized(keras.Model(ids, k.Dense(2)(cropped)))
    assert_refused("Cropping1D", gw.from_keras, network)


def test_what_the_backend_does_not_compute_is_named(keras: ModuleType) -> None:
    """torch has no slice with a negative step, and Keras raises its own error of several lines."""
    if keras.backend.backend() != "torch":
        pytest.skip("other backends compute it")
    series = keras.Input((None, 3))
    network = keras.Model(series, keras.layers.Dense(2)(keras.layers.LSTM(5)(series[:, ::-1])))
    message = r"get_item.* \(GetItem\): .*step must be greater than zero"
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


def test_a_row_that_is_reshaped_to_steps(keras: ModuleType) -> None:
    """Each number of the row is a step, where the graph has such an axis; else the row is one step."""
    k = keras.layers
    rng = np.random.default_rng(2)
    x = rng.normal(size=(6, 20)).astype(np.float32)
    for shape, reshape in (
        ((20, 1), k.Reshape((20, 1))),
        ((20, 1), lambda given: keras.ops.expand_dims(given, -1)),
        ((1, 20), k.Reshape((10, 2))),
    ):
        given = keras.Input((20,))
        network = randomized(keras.Model(given, k.Dense(2)(k.LSTM(5)(reshape(given)))))
        model = gw.from_keras(network)
        wanted = network.predict(x, verbose=0)
        np.testing.assert_allclose(model.logits(x.reshape(6, *shape)), wanted, rtol=0, atol=1e-5)
        [outputs] = model.predict_outputs(x).values() if shape == (1, 20) else [wanted]
        np.testing.assert_allclose(outputs, wanted, rtol=0, atol=1e-5)
