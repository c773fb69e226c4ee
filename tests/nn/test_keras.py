"""Keras's LSTM to LSTM and back, against Keras itself."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from gatewise.errors import InputError
from gatewise.nn import LSTM, from_keras, to_keras
from gatewise.types import Array

# Keras's own variables, on the torch backend, under NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture(scope="module")
def layers(keras: ModuleType) -> Any:
    keras.utils.set_random_seed(3)
    return keras.layers


def scrambled(layer: Any, seed: int = 0) -> Any:
    """The layer with random weights, biases too, no two of them alike."""
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(size=array.shape) / 2 for array in layer.get_weights()])
    return layer


def built(layer: Any, inputs: int = 3) -> Any:
    layer.build((None, None, inputs))
    return scrambled(layer)


def keras_output(layer: Any, x: Array) -> Array:
    with torch.no_grad():
        output: Array = layer(torch.from_numpy(x)).cpu().numpy()
    return output


def our_output(lstm: LSTM, x: Array) -> Array:
    with torch.no_grad():
        output: Array = lstm(torch.from_numpy(x))[0].numpy()
    return output


X = np.random.default_rng(1).normal(size=(2, 6, 3)).astype(np.float32)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("both", [False, True])
def test_a_layer_there_and_back(layers: Any, both: bool, bias: bool) -> None:
    def make() -> Any:
        one = layers.LSTM(5, use_bias=bias, return_sequences=True)
        return built(layers.Bidirectional(one) if both else one)

    source = make()
    wanted = keras_output(source, X)
    ours = from_keras(source)
    assert ours.bidirectional == both
    np.testing.assert_allclose(our_output(ours, X), wanted, rtol=0, atol=1e-6)
    target = scrambled(make(), seed=9)
    assert np.abs(keras_output(target, X) - wanted).max() > 1e-2
    to_keras(ours, target)
    np.testing.assert_allclose(keras_output(target, X), wanted, rtol=0, atol=1e-6)


def test_the_last_state_is_h_n(layers: Any) -> None:
    source = built(layers.Bidirectional(layers.LSTM(5)))
    _, (h_n, _) = from_keras(source)(torch.from_numpy(X))
    got = torch.cat([h_n[0], h_n[1]], dim=1).detach().numpy()
    np.testing.assert_allclose(got, keras_output(source, X), rtol=0, atol=1e-6)


def test_refused(layers: Any) -> None:
    ours = LSTM(3, 5)
    wrong: list[tuple[str, Callable[[], Any]]] = [
        ("activation='tanh' only", lambda: from_keras(built(layers.LSTM(5, activation="relu")))),
        ("recurrent_activation", lambda: from_keras(built(layers.LSTM(5, recurrent_activation="hard_sigmoid")))),
        ("go_backwards", lambda: from_keras(built(layers.LSTM(5, go_backwards=True)))),
        ("merge_mode", lambda: from_keras(built(layers.Bidirectional(layers.LSTM(5), merge_mode="sum")))),
        ("made of 'GRU' layers", lambda: from_keras(built(layers.Bidirectional(layers.GRU(5))))),
        ("expected a Keras layer, .* got 'GRU'", lambda: from_keras(built(layers.GRU(5)))),
        ("not built", lambda: from_keras(layers.LSTM(5))),
        (r"keras\.models\.load_model\(path\)\.get_layer\(name\)", lambda: from_keras("model.keras")),
        (r"keras\.models\.load_model\(path\)\.get_layer\(name\)", lambda: to_keras(ours, Path("model.keras"))),
        ("of the shapes", lambda: to_keras(ours, built(layers.LSTM(4)))),
        ("of the shapes", lambda: to_keras(ours, built(layers.LSTM(5, use_bias=False)))),
        ("of the shapes", lambda: to_keras(ours, built(layers.Bidirectional(layers.LSTM(5))))),
        ("of the shapes", lambda: to_keras(ours, built(layers.LSTM(5), inputs=2))),
        ("one LSTM layer, this module has 2", lambda: to_keras(LSTM(3, 5, 2), built(layers.LSTM(5)))),
        ("no counterpart", lambda: to_keras(LSTM(3, 5, gate="binary"), built(layers.LSTM(5)))),
    ]
    for message, call in wrong:
        with pytest.raises(InputError, match=message):
            call()
