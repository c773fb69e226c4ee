"""Prefix predictions equal the prediction of each prefix, however many backward runs are merged."""

from dataclasses import replace

import numpy as np
import pytest

from gatewise.explain import Clamp
from gatewise.explain.example import Example
from gatewise.members import prefix
from gatewise.members.ensemble import Ensemble
from gatewise.members.lstm import LSTM
from gatewise.members.member import Member
from gatewise.network.architecture import Architecture
from gatewise.network.batch import truncate
from gatewise.network.ops import Ops
from gatewise.target import Target
from gatewise.types import Array
from tests.explain.random_net import ARCHITECTURES, CHANNELS, TOKENS, parameters_of, sequence_of

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
    return Example(Ensemble.of(net, Target(names)), read)


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
