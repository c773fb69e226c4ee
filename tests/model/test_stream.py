"""Streams: bit-equal to the batch on the same prefix, states as plain data, and what cannot be streamed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from gatewise.errors import InputError
from gatewise.members.encoded_sequence import steps_of
from gatewise.members.ngrams import Ngrams
from gatewise.model.model import Model
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.model.step_rule import StepRule
from gatewise.network.architecture import Architecture, Hidden, Layer, initial_parameters
from gatewise.network.batch import Batch
from gatewise.network.forward import forward
from gatewise.storage.tensors import metadata_of, tensors_to_bytes
from gatewise.text import KerasEncoding
from gatewise.text.index import IndexEncoding
from gatewise.text.tokens import TokenEncoding
from gatewise.types import Task
from tests.kernels.batches import needs_native
from tests.refusals import assert_refused
from tests.small_models import small_model

WORDS = [f"word{n}" for n in range(300)]
TOKENS = TokenEncoding.of_words(["", "", *WORDS])
KERAS = KerasEncoding({word: n for n, word in enumerate(WORDS, 1)}, 250)
SHAPES: list[tuple[str, dict[str, Any]]] = [
    ("tokens", {"layers": [100]}),
    ("tokens", {"layers": [20, 9], "pooling": "mean+max", "outputs": 5}),
    ("keras", {"layers": [33], "pooling": "max", "gate": "binary"}),
    ("one", {"layers": [17, 30, 8], "pooling": "mean", "hidden": (Hidden(12, "gelu"), Hidden(5, "tanh"))}),
    ("six", {"layers": [48], "pooling": "mean+max", "outputs": 3, "hidden": (Hidden(7, "relu"),)}),
    ("masked", {"layers": [16], "max_length": 40, "pooling": "step"}),
]


READS = {
    "tokens": TOKENS,
    "keras": KERAS,
    "one": SeriesPreprocessor((2.5,), (1.5,)),
    "six": SeriesPreprocessor((-2.0, 3.5, 0.5, -4.0, 1.0, 2.0), (0.5, 3.0, 2.0, 1.5, 4.0, 0.25)),
    "masked": SeriesPreprocessor((-1.5,), (2.5,), mask=True),
}


def tensors_of(state: bytes) -> dict[str, Any]:
    """The tensors of a state, which safetensors reads."""
    return dict(safetensors.numpy.load(state))


def _model(kind: str, seed: int = 0, task: Task = "classification", **shape: Any) -> Model:
    layers = tuple(Layer(units) if isinstance(units, int) else units for units in shape.pop("layers", [9]))
    outputs = shape.get("outputs", 1)
    names = ("no", "yes") if outputs == 1 else tuple(f"class {n}" for n in range(outputs))
    return small_model(READS[kind], names, seed, task=task, layers=layers, **shape)


def _items(model: Model, count: int, rng: np.random.Generator) -> list[Any]:
    if not model.channels:
        return [f"word{n}" for n in rng.integers(0, 320, count)]  # some are unknown
    return list(rng.normal(1, 4, (count, model.channels) if model.channels > 1 else count))


def _prefix(model: Model, items: list[Any]) -> Any:
    return [" ".join(items)] if not model.channels else [items]


@needs_native
@pytest.mark.parametrize(("kind", "shape"), SHAPES)
def test_a_stream_has_the_bits_of_the_batch_on_the_same_prefix(kind: str, shape: dict[str, Any]) -> None:
    """10,000 random cuts together; at one of eight the state goes into another stream."""
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
                stream = model.stream(stream.state)
        assert stream.steps == len(items) + (kind == "keras")


@needs_native
def test_where_every_step_has_logits_those_of_the_step_are_pushed() -> None:
    model, rng = (
        _model("six", layers=[30, 20], pooling="none", outputs=3, hidden=(Hidden(6, "silu"),)),
        np.random.default_rng(2),
    )
    stream, items = model.stream(), _items(model, 200, rng)
    pushed = np.array([stream.push(item).logits for item in items])
    lstm = model.ensemble.lstm
    batch = Batch.of(steps_of(model.preprocessor.encode_batch([np.array(items)])), lstm.arch)
    assert np.array_equal(pushed, forward(lstm.ops(), lstm.parameters, lstm.arch, batch))


def test_a_tagger_predicts_the_step_that_was_pushed() -> None:
    for outputs in (1, 3):
        model = _model("tokens", task="tagging", pooling="none", outputs=outputs)
        stream, words = model.stream(), [f"word{n}" for n in range(12)]
        pushed = [stream.push(word) for word in words]
        assert [one.label for one in pushed] == list(model.predict([" ".join(words)])[0])
        np.testing.assert_allclose(
            [one.probabilities for one in pushed], model.predict_proba([" ".join(words)])[0], rtol=1e-6
        )


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


def test_what_an_imported_model_leaves_out_is_no_step() -> None:
    """A masked step of a series, a word outside of the index, and id 0 where it is masked."""
    series = _model("six")
    masked = replace(series, preprocessor=replace(series.preprocessor, mask_value=-1.0))
    stream, step = masked.stream(), np.ones(6)
    assert_refused("has no step for the network", stream.push, -step)
    pushed = [stream.push(one) for one in (step, -step, 2 * step)]
    assert [one.steps for one in pushed] == [1, 1, 2]
    assert np.array_equal(pushed[2].logits, masked.logits([[step, -step, 2 * step]])[0])

    encoding = IndexEncoding(9, {"good": 3, "film": 5, "the": 0})
    arch = Architecture.stacked("tokens", 9, 4, 5)
    parameters = initial_parameters(arch, np.random.default_rng(0))
    for rule in (None, StepRule(masked=True)):
        words = Model.of_network(arch, parameters, TextPreprocessor(encoding, rule), ["no", "yes"])
        stream, parts = words.stream(), ["good", "zounds", "the", "film", "good"]
        for end, part in enumerate(parts, 1):
            assert np.array_equal(stream.push(part).logits, words.logits([" ".join(parts[:end])])[0]), (rule, end)
    with pytest.raises(InputError, match="cannot be streamed"):
        Model.of_network(arch, parameters, TextPreprocessor(encoding, StepRule(4)), ["no", "yes"]).stream()
    ids = Model.of_network(arch, parameters, TextPreprocessor(IndexEncoding(9)), ["no", "yes"])
    stream = ids.stream()
    pushed = [stream.push(one) for one in (3, [5, 2], "7")]
    assert np.array_equal(pushed[-1].logits, ids.logits([[3, 5, 2, 7]])[0])


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
        (words, "\x07", "no step for the network"),
        (words, 3, "not a string"),
        (series, np.ones(5), r"one series must be \(steps, 6\)"),
        (series, [1, 2, 3, 4, 5, float("inf")], "not finite"),
        (series, "word", "series"),
        (series, np.ones((2, 5)), "one series must be"),
        (series, np.full(6, 3e38), "too large"),
    ]:
        before = stream.state
        assert_refused(message, stream.push, wrong)
        assert stream.state == before
    for _ in range(3):
        series.push(np.ones(6))
    assert_refused(r"reads 3 steps.*max_length=0", series.push, np.ones(6))
    assert series.steps == 3


def test_what_cannot_be_streamed_is_refused_by_name() -> None:
    ngrams = Ngrams(1, np.array([2]), np.array([[0.5]], dtype=np.float32))
    plain = _model("tokens")
    for shape, message in [
        ({"layers": [4, Layer(5, "both")]}, "bidirectional.*layer 1.*last step.*bidirectional=False"),
        ({"layers": [Layer(5, "backward"), 4]}, "backward LSTM.*layer 0.*last step"),
        ({"padding": "pre", "max_length": 9}, "padding 'pre'.*padding='none'"),
    ]:
        assert_refused(message, _model("tokens", **shape).stream)
    both = Model.of_network(
        plain.architecture, plain.parameters, plain.preprocessor, plain.classes, members=[(ngrams, 0.5)]
    )
    assert_refused(r"n-grams cannot be streamed.*network_only=True", both.stream)
    alone = both.stream(network_only=True).push("word1 word2").logits
    assert np.array_equal(alone, plain.logits(["word1 word2"])[0])
    unused = replace(both, ensemble=replace(both.ensemble, weights=(1.0, 0.0)))
    assert np.array_equal(unused.stream().push("word1 word2").logits, alone)


@needs_native
def test_pads_in_front_are_the_state_before_the_first_step() -> None:
    """Of the 300 steps of a padded sequence, the pads stop changing the state long before the first word."""
    model = _model("tokens", layers=[7, 5], padding="pre", max_length=300)
    rng = np.random.default_rng(4)
    words = _items(model, 120, rng)
    stream = model.stream()
    for end, word in enumerate(words, 1):
        expected = model.logits([" ".join(words[:end])])[0]
        np.testing.assert_allclose(stream.push(word).logits, expected, rtol=0, atol=1e-6)
        if end == 60:
            stream = model.stream(stream.state)
    assert_refused("too few pads", stream.push, " ".join(["word1"] * 180))
    assert stream.steps == 120


@needs_native
def test_series_in_windows_of_one_step_are_streamed_and_longer_ones_refused() -> None:
    series = [np.random.default_rng(n).normal(0, 2, (20, 2)).astype(np.float32) for n in range(9)]

    def model_of(rows: int) -> Model:
        made = SeriesPreprocessor.fit(series, rows)
        arch = Architecture.stacked("channels", made.inputs.size, 0, 9)
        return Model.of_network(arch, initial_parameters(arch, np.random.default_rng(0)), made, ["no", "yes"])

    model, long = model_of(64), np.concatenate(series[:3])  # longer than the series of the training
    stream = model.stream()
    for end, step in enumerate(long, 1):
        assert np.array_equal(stream.push(step).logits, model.logits([long[:end]])[0]), end
    assert_refused(r"windows of 4 steps.*windows=0", model_of(5).stream)


def test_a_state_of_anything_else_is_refused() -> None:
    model = _model("six", pooling="mean")
    stream = model.stream()
    stream.push(np.ones(6))
    good = stream.state
    assert model.stream(good).state == good
    arrays = tensors_of(good)
    of_model = metadata_of(good)

    def changed(**values: Any) -> bytes:
        return tensors_to_bytes({name: one for name, one in (arrays | values).items() if one is not None}, of_model)

    assert changed() == good
    for wrong, message in [
        (b"", "truncated"),
        (good[:-1], "do not fit the data"),
        (_model("six", seed=1, pooling="mean").stream().state, "another model"),
        (tensors_to_bytes(arrays), "another model"),
        (changed(mean=None), "'mean' is missing"),
        (changed(mean=np.zeros((1, 8), np.float32)), "shape"),
        (changed(mean=np.zeros((1, 9))), "F64"),
        (changed(more=np.zeros(9)), "'more' is not part"),
        (changed(steps=np.array(1)), "shape"),
        (good.replace(arrays["mean"][0, 3].tobytes(), np.float32("nan").tobytes()), "NaN"),
    ]:
        assert_refused(message, model.stream, wrong)
    for steps in (-5, 2**53, 2**63 - 1, -(2**63)):
        assert_refused(
            f"state: steps must be from 0 to 9,007,199,254,740,991, not {steps:,}",
            model.stream,
            changed(steps=np.array([steps])),
        )
    for other in ("abc", "", 3, 0, 1.5, [1], good.hex(), Path("state")):
        assert_refused(f"state: expected the bytes .* not a value of type {type(other).__name__}", model.stream, other)
    assert stream.state == good
    assert model.stream(bytearray(good)).state == good
    last = model.stream(changed(steps=np.array([2**53 - 2])))
    assert last.push(np.ones(6)).steps == 2**53 - 1
    assert_refused("a stream has at most 9,007,199,254,740,991 steps", last.push, np.ones(6))
    assert model.stream(last.state).steps == 2**53 - 1
