"""Streams: bit-equal to the batch on the same prefix, states as plain data, and what cannot be streamed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.members.ngrams import Ngrams
from gatewise.model.model import Model
from gatewise.model.preprocessor import SeriesPreprocessor, TextPreprocessor
from gatewise.network.architecture import Architecture, initial_parameters
from gatewise.text import KerasEncoding
from gatewise.text.tokens import TokenEncoding
from tests.kernels.batches import needs_native

WORDS = [f"word{n}" for n in range(300)]
TOKENS = TokenEncoding.of_words(["", "", *WORDS])
KERAS = KerasEncoding({word: n for n, word in enumerate(WORDS, 1)}, 250)
SHAPES: list[tuple[str, dict[str, Any]]] = [
    ("tokens", {"units": 100}),
    ("tokens", {"units": 20, "layers": 2, "pooling": "mean+max", "outputs": 5}),
    ("keras", {"units": 33, "pooling": "max", "gate": "binary"}),
    ("one", {"units": 17, "layers": 3, "pooling": "mean"}),
    ("six", {"units": 48, "pooling": "mean+max", "outputs": 3}),
    ("masked", {"units": 16, "max_length": 40}),
]


def _model(kind: str, seed: int = 0, task: str = "classification", **shape: Any) -> Model:
    preprocessor: Any
    if kind in ("tokens", "keras"):
        preprocessor = TextPreprocessor(TOKENS if kind == "tokens" else KERAS)
        inputs: Any = ("tokens", preprocessor.inputs.size, 12)
    else:
        channels = 6 if kind == "six" else 1
        rng = np.random.default_rng(seed)
        scaling = tuple(rng.normal(0, 3, channels).tolist()), tuple(rng.uniform(0.1, 4, channels).tolist())
        preprocessor = SeriesPreprocessor(*scaling, mask=kind == "masked")
        inputs = ("channels", preprocessor.inputs.size, 0)
    arch = Architecture.stacked(*inputs, **{"units": 9, **shape})
    names = ["no", "yes"] if arch.outputs == 1 else [f"class {n}" for n in range(arch.outputs)]
    made = initial_parameters(arch, np.random.default_rng(seed))
    parameters = {name: 3 * array for name, array in made.items()}
    return Model.of_network(arch, parameters, preprocessor, names, task=task)  # type: ignore[arg-type]


def _items(model: Model, count: int, rng: np.random.Generator) -> list[Any]:
    if not model.channels:
        return [f"word{n}" for n in rng.integers(0, 320, count)]  # some are unknown
    return list(rng.normal(1, 4, (count, model.channels) if model.channels > 1 else count))


def _prefix(model: Model, items: list[Any]) -> Any:
    return [" ".join(items)] if not model.channels else [items]


@needs_native
@pytest.mark.parametrize(("kind", "shape"), SHAPES)
def test_a_stream_has_the_bits_of_the_batch_on_the_same_prefix(kind: str, shape: dict[str, Any]) -> None:
    """10,000 random cuts together; at one of eight the state goes through JSON into another stream."""
    model, rng, cuts = _model(kind, **shape), np.random.default_rng(1), 0
    while cuts < 1_670:
        items, stream = _items(model, int(rng.integers(1, 39)), rng), model.stream()
        for end, item in enumerate(items, 1):
            found = stream.push(item)
            if rng.random() < 0.5:
                continue
            expected = model.logits(_prefix(model, items[:end]))[0]
            assert found.logits.tobytes() == expected.tobytes(), (cuts, end)
            cuts += 1
            if rng.random() < 1 / 8:
                stream = model.stream(json.loads(json.dumps(stream.state)))
        assert stream.steps == len(items) + (kind == "keras")


def test_a_prediction_is_that_of_the_model() -> None:
    for task, outputs in (("classification", 1), ("classification", 3), ("multilabel", 3), ("regression", 2)):
        model = _model("tokens", task=task, outputs=outputs)
        found = model.stream().push("word1 word2")
        assert found.steps == 2
        assert np.array_equal(found.label, model.predict(["word1 word2"])[0])
        if task == "regression":
            with pytest.raises(InputError, match="no probabilities"):
                _ = found.probabilities
        else:
            np.testing.assert_allclose(found.probabilities, model.predict_proba(["word1 word2"])[0], rtol=1e-6)


def test_a_copy_continues_by_itself() -> None:
    stream = _model("six", pooling="mean+max").stream()
    stream.push(np.ones(6))
    other = stream.copy()
    first = [stream.push(np.full(6, value)).logits for value in (2, 3)]
    second = [other.push(np.full(6, value)).logits for value in (2, 3)]
    assert np.array_equal(first, second)


def test_a_step_that_is_refused_changes_nothing() -> None:
    words, series = _model("tokens").stream(), _model("six", max_length=3).stream()
    for stream, wrong, message in [
        (words, "  ", "empty"),
        (words, "\x07", "no word"),
        (words, 3, "not a string"),
        (series, np.ones(5), r"one series must be \(steps, 6\)"),
        (series, [1, 2, 3, 4, 5, float("nan")], "a value is missing"),
        (series, [1, 2, 3, 4, 5, float("inf")], "not finite"),
        (series, "word", "series"),
        (series, np.ones((2, 6)), "one series must be"),
    ]:
        before = stream.state
        with pytest.raises(InputError, match=message):
            stream.push(wrong)
        assert stream.state == before
    for _ in range(3):
        series.push(np.ones(6))
    with pytest.raises(InputError, match=r"reads 3 steps.*max_length=0"):
        series.push(np.ones(6))
    assert series.steps == 3


def test_what_cannot_be_streamed_is_refused_by_name() -> None:
    ngrams = Ngrams(1, np.array([2]), np.array([[0.5]], dtype=np.float32))
    plain = _model("tokens")
    for shape, message in [
        ({"bidirectional": True}, "bidirectional.*last step.*bidirectional=False"),
        ({"padding": "pre", "max_length": 9}, "padding 'pre'.*padding='none'"),
    ]:
        with pytest.raises(InputError, match=message):
            _model("tokens", **shape).stream()
    both = Model.of_network(
        plain.architecture, plain.parameters, plain.preprocessor, plain.classes, members=[(ngrams, 0.5)]
    )
    with pytest.raises(InputError, match=r"n-grams cannot be streamed.*network_only=True"):
        both.stream()
    alone = both.stream(network_only=True).push("word1 word2").logits
    assert np.array_equal(alone, plain.logits(["word1 word2"])[0])
    unused = Model.of_network(
        plain.architecture, plain.parameters, plain.preprocessor, plain.classes, members=[(ngrams, 0.0)]
    )
    assert np.array_equal(unused.stream().push("word1 word2").logits, alone)


def test_a_state_of_anything_else_is_refused() -> None:
    model = _model("six", pooling="mean")
    stream = model.stream()
    stream.push(np.ones(6))
    good = stream.state
    assert model.stream(good).state == good
    assert list(good["arrays"]) == ["lstm.0.forward.h", "lstm.0.forward.c", "mean"]

    def with_h(values: Any) -> dict[str, Any]:
        return {**good, "arrays": {**good["arrays"], "lstm.0.forward.h": values}}

    h = good["arrays"]["lstm.0.forward.h"]
    for wrong, message in [
        ([], "keys"),
        ({}, "keys"),
        ({**good, "more": 1}, "keys"),
        ({**good, "model": "0" * 8}, "model '00000000'"),
        ({**good, "steps": -1}, "steps"),
        ({**good, "steps": True}, "steps"),
        ({**good, "steps": 1.0}, "steps"),
        ({**good, "arrays": {}}, "arrays must be"),
        (with_h(h[:-1]), "9 finite"),
        (with_h(None), "9 finite"),
        (with_h([*h[:-1], "0.5"]), "9 finite"),
        (with_h([*h[:-1], [0.5]]), "9 finite"),
        (with_h([*h[:-1], True]), "9 finite"),
        (with_h([*h[:-1], 1e300]), "9 finite"),
        (with_h([*h[:-1], 10**400]), "9 finite"),
        (with_h([*h[:-1], float("nan")]), "9 finite"),
    ]:
        with pytest.raises(InputError, match=message):
            model.stream(wrong)
