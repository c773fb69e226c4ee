"""Streams that run as one batch: each has the predictions of its own prefix, whatever the others do."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from gatewise.errors import InputError
from gatewise.members.clamp import Clamp
from gatewise.model.model import Model
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.model.step_rule import StepRule
from gatewise.model.stream_gaps import MOST_OPEN
from gatewise.network.architecture import Architecture, Hidden, initial_parameters
from gatewise.storage.tensors import metadata_of, tensors_to_bytes
from gatewise.text.index import IndexEncoding
from tests.kernels.batches import needs_native
from tests.members.graphs import text_graph
from tests.model.test_stream import READS, SHAPES, _model
from tests.refusals import assert_refused
from tests.small_models import small_model

GAPPED = [
    SeriesPreprocessor((-2.0, 3.5, 0.5), (0.5, 3.0, 2.0)),
    SeriesPreprocessor((2.0, 1.5), (0.5, 3.0), mask=True),
    SeriesPreprocessor((1.0,), (2.0,), mask=True, mask_value=-1.0),
    SeriesPreprocessor((1.0, -3.0), (2.0, 0.25), steps=(3, 12), window=1),
]


def values_of(rng: np.random.Generator, channels: int, *shape: int) -> Any:
    """Steps (..., C) float32."""
    return rng.normal(1, 3, (*shape, channels)).astype(np.float32)


@needs_native
@pytest.mark.parametrize(
    ("kind", "shape"), [(kind, shape) for kind, shape in SHAPES if kind in ("one", "six", "masked")]
)
def test_series_that_join_and_leave_have_the_bits_of_their_prefixes(kind: str, shape: dict[str, Any]) -> None:
    """Random blocks, for all or for some of the streams, which join, leave, and are saved on the way."""
    model = _model(kind, **shape)
    rng = np.random.default_rng(5)
    streams = model.streams(7)
    series: list[Any] = [values_of(rng, model.channels, 0) for _ in range(7)]
    for tick in range(30):
        reading = None
        if tick and rng.random() < 0.5:
            reading = rng.permutation(len(series))[: int(rng.integers(1, len(series) + 1))]
        numbers = range(len(series)) if reading is None else reading
        steps = 1 if max(map(len, series)) > 35 or rng.random() < 0.6 else int(rng.integers(2, 4))
        if max(map(len, series)) + steps > 40:
            break
        block = values_of(rng, model.channels, len(numbers), steps)
        pushed = streams.push(block[:, 0] if steps == 1 else block, reading)
        for number, of_stream in zip(numbers, block, strict=True):
            series[number] = np.concatenate([series[number], of_stream])
        expected = model.logits([series[number] for number in numbers])
        assert pushed.logits.tobytes() == expected.tobytes(), tick
        assert pushed.steps.tolist() == [len(series[number]) for number in numbers]
        if tick % 5 == 1:
            leaving = sorted(rng.permutation(len(series))[:2].tolist())
            streams.remove(leaving)
            series = [one for number, one in enumerate(series) if number not in leaving]
        if tick % 5 == 2:
            streams.add(3)
            joined = values_of(rng, model.channels, 3)
            streams.push(joined, range(len(series), len(series) + 3))
            series += [step[None] for step in joined]
        if tick % 5 == 3:
            streams = model.streams(state=streams.state)
        if tick % 5 == 4:
            order = rng.permutation(len(series))
            streams = streams.take(order)
            series = [series[number] for number in order]
    assert len(streams) == len(series) > 5


@needs_native
@pytest.mark.parametrize("preprocessor", GAPPED)
def test_a_missing_value_is_that_of_the_prediction(preprocessor: SeriesPreprocessor) -> None:
    """Values are missing at random, at the begin, for long, and in steps that a mask value leaves out."""
    arch = {"layers": (9, 6), "pooling": "mean+max", "outputs": 3}
    model = _series_model(preprocessor, arch)
    rng = np.random.default_rng(8)
    count = 12
    streams = model.streams(count)
    series: list[Any] = [values_of(rng, preprocessor.channels, 0) for _ in range(count)]
    is_missing = rng.random((count, preprocessor.channels)) < 0.5
    for tick in range(60):
        # A channel stays away, or comes back.
        is_missing ^= rng.random(is_missing.shape) < 0.3
        steps = int(rng.choice([1, 1, 1, 3]))
        block = values_of(rng, preprocessor.channels, count, steps)
        block[np.broadcast_to(is_missing[:, None], block.shape)] = np.nan
        block[rng.random(block.shape) < 0.1] = np.nan
        if preprocessor.mask_value is not None and tick:
            block[rng.random(block.shape[:2]) < 0.2] = preprocessor.mask_value
        reading = np.flatnonzero(rng.random(count) < 0.8) if tick else np.arange(count)
        pushed = streams.push(block[reading], reading)
        for number in reading.tolist():
            series[number] = np.concatenate([series[number], block[number]])
        expected = model.logits([series[number] for number in reading])
        assert pushed.logits.tobytes() == expected.tobytes(), tick
        if tick % 4 == 1:
            streams = model.streams(state=streams.state)
        if tick % 9 == 5:
            order = rng.permutation(count)
            streams = streams.take(order)
            series = [series[number] for number in order]
            is_missing = is_missing[order]


def _series_model(preprocessor: SeriesPreprocessor, shape: dict[str, Any]) -> Model:
    names = tuple(f"class {n}" for n in range(shape["outputs"]))
    layers = [Architecture.stacked("channels", 1, 0, units).layers[0] for units in shape["layers"]]
    return small_model(preprocessor, names, 3, layers=tuple(layers), pooling=shape["pooling"], outputs=shape["outputs"])


@needs_native
def test_words_and_token_ids() -> None:
    rng = np.random.default_rng(2)
    words = _model("tokens", layers=[20, 9], pooling="mean+max", outputs=5)
    streams = words.streams(4)
    texts = [""] * 4
    for _ in range(20):
        parts = [" ".join(f"word{n}" for n in rng.integers(0, 320, rng.integers(1, 4))) for _ in range(4)]
        texts = [f"{text} {part}".strip() for text, part in zip(texts, parts, strict=True)]
        assert np.array_equal(streams.push(parts).logits, words.logits(texts))

    arch = Architecture.stacked("tokens", 40, 4, 5)
    parameters = initial_parameters(arch, np.random.default_rng(0))
    for rule in (None, StepRule(masked=True)):
        model = Model.of_network(arch, parameters, TextPreprocessor(IndexEncoding(40), rule), ["no", "yes"])
        ids = rng.integers(0, 4, (6, 30))
        ids[:, 0] = 3
        by_block = model.streams(6)
        by_step = model.streams(6)
        for end in range(1, 31):
            pushed = by_step.push(ids[:, end - 1])
            assert np.array_equal(pushed.logits, model.logits(ids[:, :end])), (rule, end)
            if end % 5 == 0:
                assert np.array_equal(by_block.push(ids[:, end - 5 : end]).logits, pushed.logits)
        assert by_step.state == by_block.state
        assert_refused("stream 2: '40' .*is not a token id below 40", by_step.push, np.array([1, 2, 40, 3, 4, 5]))
        assert_refused("stream 0: .*is not a token id", by_step.push, np.array([-1, 2, 4, 3, 4, 5]))


@pytest.mark.parametrize("cell", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("clamped", [False, True])
def test_graphs_run_along_their_axis_of_the_batch(cell: str, clamped: bool) -> None:
    """Streams of different numbers of steps, more than one run of the graph takes."""
    model = Model.of_graph(text_graph(cell))
    if clamped:
        network = model.ensemble.network.changed(clamps=(Clamp("h", 0.0, 1, range(2, 4)),))
        model = replace(model, ensemble=replace(model.ensemble, members=(network,)))
    rng = np.random.default_rng(4)
    streams = model.streams(300)
    texts: list[list[int]] = [[] for _ in range(300)]
    for tick in range(6):
        reading = rng.permutation(300)[: int(rng.integers(1, 300))] if tick else np.arange(300)
        ids = rng.integers(0, 19, (len(reading), int(rng.integers(1, 3))))
        pushed = streams.push(ids, reading)
        for number, of_stream in zip(reading, ids.tolist(), strict=True):
            texts[number] += of_stream
        expected = model.logits([" ".join(map(str, texts[number])) for number in reading])
        np.testing.assert_allclose(pushed.logits, expected, rtol=0, atol=1e-5)
        if tick == 3:
            streams = model.streams(state=streams.state)


@needs_native
def test_pads_of_the_preprocessor_are_pooled() -> None:
    """A maximum over the steps has the pads among them."""
    arch = replace(Architecture.stacked("tokens", 40, 4, 5), pooling="max", hidden=(Hidden(4, "relu"),))
    parameters = initial_parameters(arch, np.random.default_rng(0))
    model = Model.of_network(arch, parameters, TextPreprocessor(IndexEncoding(40), StepRule(300)), ["no", "yes"])
    streams = model.streams(2)
    ids = np.random.default_rng(1).integers(1, 40, (2, 20))
    for end in range(1, 21):
        pushed = streams.push(ids[:, end - 1])
        np.testing.assert_allclose(pushed.logits, model.logits(ids[:, :end]), rtol=0, atol=1e-6)


def test_predictions_are_those_of_the_model() -> None:
    for task, outputs in (("classification", 1), ("classification", 3), ("multilabel", 3), ("regression", 2)):
        model = _model("six", task=task, outputs=outputs)
        block = np.random.default_rng(1).normal(size=(5, 4, 6))
        found = model.streams(5).push(block)
        assert len(found) == 5
        assert np.array_equal(found.labels, model.predict(block, layout="time-first"))
        assert np.array_equal(found[3].label, model.predict(block[3:4], layout="time-first")[0])
        if task == "regression":
            with pytest.raises(InputError, match="no probabilities"):
                _ = found.probabilities
        else:
            expected = model.predict_proba(block, layout="time-first")
            np.testing.assert_allclose(found.probabilities, expected, rtol=1e-6)
    tagger = _model("tokens", task="tagging", pooling="none", outputs=3)
    found = tagger.streams(2).push(["word3 word7", "word1"])
    assert list(found.labels) == [tagger.predict([text])[0][-1] for text in ("word3 word7", "word1")]


def test_no_stream_and_one_that_did_not_begin() -> None:
    model = _model("six")
    streams = model.streams(0)
    assert (len(streams), streams.push(np.zeros((0, 6))).logits.shape) == (0, (0, 1))
    streams.add(2)
    masked = replace(model, preprocessor=replace(model.preprocessor, mask_value=-1.0)).streams(2)
    both = np.stack([np.ones(6), -np.ones(6)])
    assert_refused(r"stream 1: .* has no step for the network", masked.push, both)
    masked.push(both[:1], [0])
    assert masked.steps.tolist() == [1, 0]
    assert_refused(r"stream 1: .* has no step for the network", masked.push, both[1:], [1])


def test_what_is_refused_changes_nothing() -> None:
    streams = _model("six", max_length=3).streams(3)
    streams.push(np.ones((2, 2, 6)), [0, 2])
    good = np.ones((3, 6))
    bad = good.copy()
    bad[1, 4] = np.inf
    before = streams.state
    for message, values, numbers in [
        ("expected the steps of 3 streams, not of 2", good[:2], None),
        ("expected the steps of 1 stream, not of 3", good, [1]),
        (r"stream 0: one series must be \(steps, 6\)", np.ones((3, 5)), None),
        ("stream 1: .*inf is not finite", bad, None),
        ("stream 2: .*", [np.ones(6), np.ones(6), "word"], None),
        ("stream 2: the network reads 3 steps.*max_length=0", np.ones((1, 2, 6)), [2]),
        ("there is no stream 3: there are 3 streams", good[:1], [3]),
        ("there is no stream -1", good[:1], [-1]),
        ("must not hold a number twice", good[:2], [1, 1]),
        ("whole numbers from 0 to 2", good[:1], [0.5]),
        ("list of numbers", good[:1], [[0]]),
        ("whole numbers", good[:2], [True, False]),
    ]:
        assert_refused(message, streams.push, values, numbers)
        assert streams.state == before
    for wrong in (-1, 1.5, "2", True, 2**40):
        assert_refused("the number of streams must be", _model("six").streams, wrong)
    assert_refused("the number of streams must be", streams.add, -2)
    assert_refused("at most 2,147,483,647 streams", streams.add, 10**15)
    assert_refused("there is no stream 7", streams.remove, [7])
    assert streams.state == before


def test_a_gap_is_bounded() -> None:
    model = _series_model(GAPPED[0], {"layers": (4,), "pooling": "step", "outputs": 3})
    streams = model.streams(2)
    streams.push(np.ones((2, 3)))
    gap = np.ones((2, MOST_OPEN, 3))
    gap[1, :, 2] = np.nan
    streams.push(gap)
    assert_refused("channel 3 has been missing for more than 4,096 steps", streams.push, gap[:, :1])
    streams.push(gap[:1, :1], [0])
    assert streams.kept_steps == MOST_OPEN
    streams.push(np.ones((2, 3)))
    assert streams.kept_steps == 0
    assert streams.steps.tolist() == [MOST_OPEN + 3, MOST_OPEN + 2]


def test_a_missing_value_of_an_imported_network_is_refused() -> None:
    model = _model("six")
    streams = replace(model, preprocessor=replace(model.preprocessor, missing="refuse")).streams(2)
    streams.push(np.ones((2, 6)))
    step = np.ones((2, 6))
    step[1, 3] = np.nan
    assert_refused("step 2: a value is missing, for which the imported network has no rule", streams.push, step)


def test_a_state_of_anything_else_is_refused() -> None:
    model = _series_model(GAPPED[0], {"layers": (5,), "pooling": "mean", "outputs": 3})
    streams = model.streams(3)
    values = np.ones((3, 2, 3))
    values[1, 1, 2] = values[2, :, 0] = np.nan
    streams.push(values)
    good = streams.state
    assert model.streams(state=good).state == good
    arrays = dict(safetensors.numpy.load(good))
    metadata = metadata_of(good)

    def changed(**tensors: Any) -> bytes:
        named = {name.replace("__", "."): array for name, array in tensors.items()}
        return tensors_to_bytes({name: arrays[name] for name in arrays} | named, metadata)

    def described(**counts: str) -> bytes:
        return tensors_to_bytes(arrays, metadata | counts)

    assert model.streams(state=changed()).state == good
    for state, message in [
        (described(model="0"), "another model"),
        (tensors_to_bytes(arrays, {"model": metadata["model"]}), "another model"),
        (described(more="1"), "another model"),
        (described(streams="999999999999999999999"), "number of streams"),
        (described(streams=str(len(good) + 999)), "number of streams"),
        (described(streams="2"), "shape"),
        (described(gaps="-1"), "number of gaps"),
        (described(gap_steps="²"), "number of gap_steps"),
        (described(gap_steps="4"), "shape"),
        (changed(steps=arrays["steps"] - 9), "steps must be from 0"),
        (changed(steps=arrays["steps"] + 1), "gaps do not fit its steps"),
        (changed(gaps__lengths=arrays["gaps.lengths"][::-1].copy()), "gaps do not fit its steps"),
        (changed(gaps__lengths=arrays["gaps.lengths"] * -1), "gaps do not fit its steps"),
        (changed(gaps__lengths=arrays["gaps.lengths"] * 2**62), "gaps do not fit its steps"),
        (changed(gaps__ago=arrays["gaps.ago"] * 0), "gaps do not fit its steps"),
        (good[:-8], "do not fit"),
        (model.stream().state[:50], "truncated"),
    ]:
        assert_refused(message, model.streams, 1, state)
    assert_refused("it is that of 3 streams", model.stream, good)
    one = model.stream()
    one.push(values[2])
    joined = model.streams(2)
    joined.add(state=one.state)
    joined.add(state=good)
    assert joined.steps.tolist() == [0, 0, 2, 2, 2, 2]
    later = joined.push(np.ones((2, 3)), [2, 5]).logits
    assert later[0].tobytes() == later[1].tobytes() == one.push(np.ones(3)).logits.tobytes()


def test_copies_continue_by_themselves() -> None:
    streams = _model("six", pooling="mean+max").streams(4)
    block = np.random.default_rng(0).normal(size=(4, 3, 6))
    streams.push(block[:, 0])
    other = streams.copy()
    some = streams.take([2, 0])
    expected = [streams.push(block[:, step]).logits for step in (1, 2)]
    assert np.array_equal(expected, [other.push(block[:, step]).logits for step in (1, 2)])
    found = [some.push(block[[2, 0], step]).logits for step in (1, 2)]
    assert np.array_equal(np.array(expected)[:, [2, 0]], found)


def test_every_preprocessor_is_tried() -> None:
    assert {kind for kind, _ in SHAPES} == set(READS)
