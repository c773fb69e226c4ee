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
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.network.architecture import Architecture, Layer
from gatewise.text import TokenEncoding
from gatewise.types import Array
from tests.exchange.random_models import OTHER_SHAPES, random_inputs, random_model
from tests.explain.random_net import parameters_of

WORDS = ["[PAD]", "[UNK]", *(f"w{n}" for n in range(28))]
# Keras's own variables, on the torch backend, under NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def model_of(seed: int = 0, **changes: Any) -> Model:
    settings: dict[str, Any] = {"inputs": "tokens", "vocab_size": len(WORDS), "embedding_dim": 5, "units": 6, **changes}
    arch = Architecture.stacked(**settings)
    classes = ("a", "b") if arch.outputs == 1 else tuple("abc")
    return Model.of_network(arch, parameters_of(arch, seed), TextPreprocessor(TokenEncoding.of_words(WORDS)), classes)


def texts_of(count: int, longest: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS[2:], int(rng.integers(1, longest + 1)))) for _ in range(count)]


def padded(model: Model, texts: list[str]) -> Array:
    """(n, T): at the end, or in front up to max_length."""
    sequences = model.preprocessor.encode_batch(texts)
    front, longest = model.architecture.padding == "pre", max(len(one) for one in sequences)
    width = model.architecture.max_length if front else longest
    return np.stack([np.pad(one, (width - len(one), 0) if front else (0, width - len(one))) for one in sequences])


@pytest.mark.parametrize(
    "changes",
    [
        {"pooling": "last"},
        {"pooling": "mean+max", "bidirectional": True, "layers": 2, "outputs": 3},
        {"padding": "pre", "max_length": 20, "layers": 2},
    ],
)
def test_both_ways(keras: ModuleType, tmp_path: Path, changes: dict[str, Any]) -> None:
    model = model_of(**changes)
    network, texts = model.to_keras(), texts_of(200, 20)
    logits = network.predict(padded(model, texts), verbose=0)
    assert np.abs(logits - model.logits(texts)).max() < 1e-5
    network.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    arch = model.architecture
    again = gw.from_keras(loaded, word_index=WORDS, classes=model.classes, task="classification")
    assert again.architecture == arch
    assert np.array_equal(again.logits(texts), model.logits(texts))


@pytest.mark.parametrize("name", OTHER_SHAPES)
def test_every_shape_gives_equal_logits(keras: ModuleType, tmp_path: Path, name: str) -> None:
    model = random_model(**OTHER_SHAPES[name] | {"max_length": 30})
    inputs, wanted = random_inputs(model), None
    wanted = model.logits(inputs)
    sequences = model.preprocessor.encode_batch(inputs)
    widest, front = max(map(len, sequences)) + 3, model.architecture.padding == "pre"
    widest = 30 if front else widest
    fill = PAD_VALUE if model.channels else 0
    shape = len(inputs), widest, *sequences[0].shape[1:]
    given = np.full(shape, fill, dtype=sequences[0].dtype)
    for row, one in zip(given, sequences, strict=True):
        row[-len(one) if front else 0 : None if front else len(one)] = one
    path = tmp_path / "model.keras"
    model.to_keras().save(path)
    found = keras.models.load_model(path).predict(given, verbose=0)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


def test_without_pooling_every_step_has_logits(keras: ModuleType) -> None:
    model = random_model(layers=(Layer(5, "both"),), pooling="none", classes=3)
    [sequence] = model.preprocessor.encode_batch(["word1 word2 word3"])
    found = model.to_keras().predict(np.pad(sequence, (0, 4))[None], verbose=0)[0]
    np.testing.assert_allclose(found[:3], model.ensemble.lstm.logits([sequence]), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("activation", "outputs"), [("sigmoid", 1), ("softmax", 3), (None, 1)])
def test_the_model_of_a_tutorial(keras: ModuleType, activation: str | None, outputs: int) -> None:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Embedding(len(WORDS), 4),
            layers.SpatialDropout1D(0.2),
            layers.LSTM(7, dropout=0.2, recurrent_dropout=0.2),
            layers.Dropout(0.5),
            layers.Dense(outputs, activation=activation),
        ]
    )
    classes = ["no", "yes"] if outputs < 3 else ["a", "b", "c"]
    model = gw.from_keras(network, word_index=WORDS, classes=classes)
    texts = texts_of(50, 12)
    output = network.predict(padded(model, texts), verbose=0)
    found = model.predict_proba(texts)
    if activation == "softmax":
        assert np.abs(found - output).max() < 1e-5
    else:
        p = output[:, 0] if activation else 1 / (1 + np.exp(-output[:, 0]))
        assert np.abs(found[:, 1] - p).max() < 1e-5
    assert len(model.explain(texts[0]).scores) == len(texts[0].split())


def test_large_logits_are_compared(keras: ModuleType) -> None:
    """A float32 probability of 1 tells nothing of its logit: the check must not read it from there."""
    layers = keras.layers
    network = keras.Sequential(
        [keras.Input((12,)), layers.Embedding(len(WORDS), 4), layers.LSTM(7), layers.Dense(1, activation="sigmoid")]
    )
    rng = np.random.default_rng(0)
    network.set_weights([10 * rng.normal(size=array.shape) for array in network.get_weights()])
    model = gw.from_keras(network, word_index=WORDS, classes=["no", "yes"])
    texts = texts_of(50, 12)
    assert np.abs(model.logits(texts)).max() > 30
    output = network.predict(padded(model, texts), verbose=0)[:, 0]
    assert np.abs(model.predict_proba(texts)[:, 1] - output).max() < 1e-5
    assert network.layers[-1].activation is keras.activations.sigmoid, "it is as it was"


def test_what_has_no_counterpart_is_refused(keras: ModuleType) -> None:
    with pytest.raises(InputError, match="gate="):
        model_of(gate="binary").to_keras()
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
        model_of().to_keras()
