"""Streams of taggers with a conditional random field, against the model on each prefix."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError
from gatewise.model.model import Model
from gatewise.ragged import Ragged
from gatewise.target.crf import Transitions, log_marginals
from gatewise.types import Array

OPTIONS: dict[str, Any] = {"task": "tagging", "units": 8, "bidirectional": False, "epochs": 2, "verbose": 0}


def expected(model: Model, prefix: Any) -> Array:
    """The marginals (K,) of the last step of a prefix, without the scores of the last label."""
    target: Any = model.target
    logits: Ragged = model.logits([prefix])
    transitions = target.transitions
    without_end = Transitions(transitions.start, transitions.between, np.zeros(len(target.classes)))
    p: Array = np.exp(log_marginals(target.emissions(logits), without_end))[-1]
    return p


@pytest.fixture(scope="module", params=[2, 3], ids=["two classes", "three classes"])
def walker(request: pytest.FixtureRequest) -> Model:
    """A tagger of series of two channels."""
    rng = np.random.default_rng(3)
    series = [rng.normal(size=(length, 2)) for length in rng.integers(6, 12, size=40)]
    names = np.array(["down", "up", "flat"])
    bounds = [0.0] if request.param == 2 else [-0.7, 0.7]
    labels = [names[np.digitize(np.cumsum(one[:, 0]), bounds)].tolist() for one in series]
    return gw.train(series, labels, **OPTIONS)


def test_filtered_probabilities_of_series_are_those_of_the_prefix(walker: Model) -> None:
    """Blocks of one to three steps, for some of the streams, with a missing value, saved on the way."""
    rng = np.random.default_rng(4)
    streams = walker.streams(3)
    read: list[Array] = [np.zeros((0, 2)) for _ in range(3)]
    for tick in range(9):
        numbers = rng.permutation(3)[: int(rng.integers(1, 4))] if tick else np.arange(3)
        block = rng.normal(size=(len(numbers), int(rng.integers(1, 4)), 2))
        if tick == 4:
            block[0, -1, 1] = np.nan
        predictions = streams.push(block, numbers)
        for place, number in enumerate(numbers):
            read[number] = np.concatenate([read[number], block[place]])
            p = expected(walker, read[number])
            np.testing.assert_allclose(predictions[place].probabilities, p, atol=1e-6)
            assert predictions[place].label == walker.classes[int(p.argmax())]
        if tick % 3 == 1:
            streams = walker.streams(state=streams.state)


def test_filtered_probabilities_of_words_are_those_of_the_prefix() -> None:
    rng = np.random.default_rng(5)
    rows = [[str(word) for word in rng.choice(["a", "b", "c", "d", "."], size=7)] for _ in range(40)]
    labels = [_entities(row) for row in rows]
    model = gw.train(rows, labels, tokenization="spaces", **OPTIONS)
    assert model.target.scheme == "IOB2"
    stream = model.stream()
    for end, word in enumerate(rows[0], start=1):
        prediction = stream.push(word)
        np.testing.assert_allclose(prediction.probabilities, expected(model, rows[0][:end]), atol=1e-6)
        if end == 1:  # no sequence begins inside of an entity
            assert prediction.probabilities[model.classes.index("I-X")] < 1e-300


def _entities(row: Sequence[str]) -> list[str]:
    labels = []
    for word in row:
        if word in "ab":
            labels.append("I-X" if labels and labels[-1] != "O" else "B-X")
        else:
            labels.append("O")
    return labels


def test_the_network_of_word_features_is_streamed_alone() -> None:
    rng = np.random.default_rng(6)
    rows = [[str(word) for word in rng.choice(["Anna", "bo", "c1", "."], size=6)] for _ in range(30)]
    labels = [[str(len(word)) for word in row] for row in rows]
    model = gw.train(rows, labels, **OPTIONS)
    with pytest.raises(InputError, match="word features cannot be streamed"):
        model.stream()
    alone = model.stream(network_only=True)
    network = Model(model.preprocessor, model.ensemble.alone(), model.metadata)
    for end, word in enumerate(rows[0], start=1):
        np.testing.assert_allclose(alone.push(word).probabilities, expected(network, rows[0][:end]), atol=1e-6)


def test_a_bidirectional_tagger_is_refused() -> None:
    rng = np.random.default_rng(7)
    series = [rng.normal(size=(5, 1)) for _ in range(20)]
    labels = [["up" if value > 0 else "down" for value in one[:, 0]] for one in series]
    model = gw.train(series, labels, **OPTIONS | {"bidirectional": True})
    with pytest.raises(InputError, match="a bidirectional LSTM cannot be streamed"):
        model.stream()
