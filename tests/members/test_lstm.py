"""The LSTM as a member: prefix logits however many backward runs are merged, weights of its features, cancelling."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from gatewise.explain import METHODS, Clamp, method_named
from gatewise.explain.attribution import integrated_gradients
from gatewise.explain.attribution.method import attribute
from gatewise.explain.example import Example
from gatewise.members import lstm as lstm_module
from gatewise.members import prefix
from gatewise.members.contributions import feature_weights
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.ensemble import Ensemble
from gatewise.members.lstm import LSTM
from gatewise.members.member import Member
from gatewise.network.architecture import Architecture, Hidden, Layer
from gatewise.network.autograd import RecordingOps, Variable
from gatewise.network.batch import truncate
from gatewise.network.forward import head
from gatewise.network.ops import Ops
from gatewise.system.cancel import Cancelled, cancel_when, check_cancelled
from gatewise.target import target_of
from gatewise.types import Activation, Array
from tests.explain.random_net import ARCHITECTURES, CHANNELS, TOKENS, explained, parameters_of, sequence_of

LENGTH = 40
MORE = {
    f"{inputs}, bidirectional, {pooling}": Architecture.stacked(**kind, bidirectional=True, pooling=pooling)
    for inputs, kind in (("tokens", TOKENS), ("series", CHANNELS))
    for pooling in ("last", "mean", "max", "mean+max")
}
ALL = {**ARCHITECTURES, **MORE, "long pads": Architecture.stacked(**TOKENS, max_length=700, padding="pre")}


def net_of(name: str, scale: float = 1.0) -> LSTM:
    arch = ALL[name]
    return LSTM(arch, {key: (scale * a).astype(np.float32) for key, a in parameters_of(arch, 3).items()})


def read_of(net: LSTM, length: int = LENGTH, seed: int = 3) -> Array:
    return truncate(sequence_of(net.arch, length, seed), net.arch)


def each_prefix(net: LSTM, read: Array) -> Array:
    """Every prefix predicted by itself."""
    return Member.prefix_logits(net, read)


def example_of(net: LSTM, read: Array) -> Example:
    names = tuple(f"class {k}" for k in range(max(2, net.arch.outputs)))
    return Example(Ensemble.of(net, target_of(names)), EncodedSequence(read))


@pytest.mark.parametrize("name", ALL)
def test_they_are_the_predictions_of_each_prefix(name: str) -> None:
    net = net_of(name)
    read = read_of(net)
    example = example_of(net, read)
    np.testing.assert_allclose(example.prefix_logits[-1], example.logits, atol=2e-6)
    if net.arch.padding == "none":
        np.testing.assert_allclose(example.prefix_logits, each_prefix(net, read), atol=2e-6)
    assert np.abs(np.diff(example.prefix_logits, axis=0)).max() > 0.01


@pytest.mark.parametrize("name", MORE)
@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_merged_runs_equal_separate_runs(name: str, scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small weights forget at once, so nearly all runs are merged early; large weights do not."""
    net = net_of(name, scale)
    read = read_of(net, 150)
    steps = 0
    lstms = Ops.lstms

    def counted(self, calls, positions=None):  # type: ignore[no-untyped-def]
        nonlocal steps
        steps += sum(int(call.lengths.sum()) for _, call in calls)
        return lstms(self, calls)

    monkeypatch.setattr(Ops, "lstms", counted)
    found = prefix.backward_prefixes(net.arch, net.parameters, net.ops(), read)
    monkeypatch.undo()
    assert steps < (0.7 if scale < 1 else 1) * len(read) * (len(read) + 1) / 2 + 1
    monkeypatch.setattr(prefix, "_BLOCK", len(read))  # one comparison, at the end
    for one, other in zip(found, prefix.backward_prefixes(net.arch, net.parameters, net.ops(), read), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_allclose(example_of(net, read).prefix_logits, each_prefix(net, read), atol=3e-6)


@pytest.mark.parametrize("name", ["plain", "pads", "bidirectional", "bidirectional, two layers, mean and max"])
def test_under_clamps(name: str) -> None:
    net = net_of(name)
    read = read_of(net, 12)
    clamped = replace(net, clamps=(Clamp("f", 0.9, unit=2, steps=range(2, 5)),))
    example = example_of(clamped, read)
    np.testing.assert_allclose(example.prefix_logits[-1], example.logits, atol=2e-6)
    for t in range(len(read) + 1) if net.arch.padding == "none" else ():
        np.testing.assert_allclose(example.prefix_logits[t], clamped.logits([read[:t]])[0], atol=2e-6)
    assert np.abs(example.prefix_logits - example_of(net, read).prefix_logits).max() > 1e-4


SCORE = np.array([1.0, -0.5, 0.25])


def head_of(*hidden: Hidden) -> LSTM:
    arch = Architecture("channels", 4, 0, (Layer(5),), hidden=hidden, outputs=3)
    return LSTM(arch, parameters_of(arch, 3))


def score_of(net: LSTM, x: Array) -> Array:
    return np.asarray(head(Ops(), net.parameters, net.arch, x) @ SCORE)


@pytest.mark.parametrize("name", get_args(Activation))
def test_the_score_of_the_end_is_that_of_the_start_and_the_weighted_way(name: Activation) -> None:
    net, rng = head_of(Hidden(6, name), Hidden(4, name, 0.3)), np.random.default_rng(5)
    start, way = rng.normal(0, 1, (20, 5)), rng.normal(0, 2, (20, 5)) * np.logspace(-9, 0, 20)[:, None]
    way[0] = 0
    weights = feature_weights(net, SCORE, start, start + way)
    found = score_of(net, start) + (weights * way).sum(axis=1)
    np.testing.assert_allclose(found, score_of(net, start + way), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", get_args(Activation))
def test_through_one_layer_they_are_the_gradient_averaged_over_the_straight_path(name: Activation) -> None:
    net, rng = head_of(Hidden(6, name, 0.3)), np.random.default_rng(6)
    start, end = rng.normal(0, 2, (2, 5))
    points = 20_000
    path = Variable(start + (np.arange(points)[:, None] + 0.5) / points * (end - start))
    ops = RecordingOps()
    logits = head(ops, {k: a.astype(np.float64) for k, a in net.parameters.items()}, net.arch, path)
    logits.accumulate(np.tile(SCORE / points, (points, 1)))
    ops.backward()
    np.testing.assert_allclose(feature_weights(net, SCORE, start, end), path.grad.sum(axis=0), rtol=0, atol=2e-4)


def example() -> Example:
    arch = ARCHITECTURES["bidirectional, mean"]
    return Example(explained(parameters_of(arch, 3), arch), EncodedSequence(sequence_of(arch, 12, 3)))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_cancelled(method: str) -> None:
    with pytest.raises(Cancelled), cancel_when(lambda: True):
        attribute(method_named(method), [example()])
    check_cancelled()  # outside of the block, nothing is


def test_the_check_comes_before_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    one = example()
    monkeypatch.setattr(lstm_module, "_STEPS_PER_BATCH", 24)
    monkeypatch.setattr(integrated_gradients, "_STEPS_PER_BATCH", 24)
    asked: list[int] = []

    def at_the_third() -> bool:
        asked.append(1)
        return len(asked) == 3

    for run in (
        lambda: one.lstm.logits(one.sequence.steps for _ in range(10)),
        lambda: attribute(method_named("integrated-gradients"), [one]),
    ):
        asked.clear()
        with pytest.raises(Cancelled), cancel_when(at_the_third):
            run()


def test_a_wide_network_runs_fewer_steps_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    one, batches = example(), []
    width = one.lstm.arch.top.units * 2
    monkeypatch.setattr(lstm_module, "_STATES_PER_BATCH", 24 * width)
    with cancel_when(lambda: bool(batches.append(1))):
        found = one.lstm.logits(one.sequence.steps for _ in range(10))
    assert len(batches) == 5
    monkeypatch.undo()
    assert (abs(found - one.lstm.logits([one.sequence.steps] * 10)) < 1e-6).all()
