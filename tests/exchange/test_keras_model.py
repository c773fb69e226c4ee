"""`Model.to_keras` and `gw.from_keras`: equal logits both ways, for files that Keras saved too."""

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError
from gatewise.exchange.keras_model import PAD_VALUE
from gatewise.model.model import Model
from gatewise.network.architecture import Layer
from gatewise.types import Array
from tests.exchange.random_models import OTHER_SHAPES, TOKENS, random_inputs, random_model

SHAPES: dict[str, dict[str, Any]] = {
    "last": {},
    "two layers, both directions": {"pooling": "mean+max", "bidirectional": True, "layers": 2, "classes": 3},
    "pads in front": {"padding": "pre", "max_length": 30, "layers": 2},
    **{name: options | {"max_length": 30} for name, options in OTHER_SHAPES.items()},
}
# Keras's own variables, on the torch backend, under NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def padded(model: Model, inputs: list[Any], more: int = 0) -> Array:
    """(n, T, ...): at the end, with further steps, or in front up to max_length."""
    sequences = model.preprocessor.encode_batch(inputs)
    front = model.architecture.padding == "pre"
    width = model.architecture.max_length if front else max(map(len, sequences)) + more
    fill = PAD_VALUE if model.channels else 0
    found = np.full((len(inputs), width, *sequences[0].shape[1:]), fill, dtype=sequences[0].dtype)
    for row, one in zip(found, sequences, strict=True):
        row[-len(one) if front else 0 : None if front else len(one)] = one
    return found


@pytest.mark.parametrize("name", SHAPES)
def test_a_file_of_keras_gives_equal_logits(keras: ModuleType, tmp_path: Path, name: str) -> None:
    model = random_model(**SHAPES[name])
    inputs = random_inputs(model)
    model.to_keras().save(tmp_path / "model.keras")
    network = keras.models.load_model(tmp_path / "model.keras")
    found, wanted = network.predict(padded(model, inputs, 3), verbose=0), model.logits(inputs)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
    if name not in OTHER_SHAPES:
        again = gw.from_keras(network, word_index=TOKENS, classes=model.classes, task="classification")
        assert again.architecture == model.architecture
        np.testing.assert_array_equal(again.logits(inputs), wanted)


def test_without_pooling_every_step_has_logits(keras: ModuleType) -> None:
    model = random_model(layers=(Layer(5, "both"),), pooling="none", classes=3)
    [sequence] = model.preprocessor.encode_batch(["word1 word2 word3"])
    found = model.to_keras().predict(np.pad(sequence, (0, 4))[None], verbose=0)[0]
    np.testing.assert_allclose(found[:3], model.ensemble.lstm.logits([sequence]), rtol=0, atol=1e-5)


def test_large_logits_are_compared(keras: ModuleType) -> None:
    """A float32 probability of 1 tells nothing of its logit: the check must not read it from there."""
    layers = keras.layers
    embedding, dense = layers.Embedding(TOKENS.vocab_size, 4), layers.Dense(1, activation="sigmoid")
    network = keras.Sequential([keras.Input((12,)), embedding, layers.LSTM(7), dense])
    rng = np.random.default_rng(0)
    network.set_weights([10 * rng.normal(size=array.shape) for array in network.get_weights()])
    model = gw.from_keras(network, word_index=TOKENS, classes=["no", "yes"])
    texts = random_inputs(model, 50, longest=12)
    assert np.abs(model.logits(texts)).max() > 30
    output = network.predict(padded(model, texts), verbose=0)[:, 0]
    assert np.abs(model.predict_proba(texts)[:, 1] - output).max() < 1e-5
    assert network.layers[-1].activation is keras.activations.sigmoid, "it is as it was"


def test_what_has_no_counterpart_is_refused(keras: ModuleType) -> None:
    with pytest.raises(InputError, match="gate="):
        random_model(gate="binary").to_keras()
    bundled = gw.load()
    with pytest.raises(InputError, match="network_only=True"):
        bundled.to_keras()


def test_the_network_of_an_ensemble(keras: ModuleType) -> None:
    bundled = gw.load()
    network, text = bundled.to_keras(network_only=True), "A film to see twice."
    logits = network.predict(padded(bundled, [text]), verbose=0)
    alone = replace(bundled, ensemble=bundled.ensemble.alone())
    assert np.abs(logits - alone.logits([text])).max() < 1e-4


def test_without_keras_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(InputError, match="pip install keras"):
        random_model().to_keras()
