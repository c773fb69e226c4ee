"""The running verdict: each beginning's own verdict, however many steps are shared or were known before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.explain import Clamp
from gatewise.explain.attribution import running
from gatewise.explain.attribution.running import PrefixPredictions, backward_after, prefix_predictions
from gatewise.explain.net import ExplainedNetwork, run_all
from gatewise.explain.trace import trace_of
from gatewise.network.architecture import Architecture
from gatewise.network.batch import cut
from gatewise.network.ops import NumpyOps
from gatewise.types import Array
from tests.explain.random_net import ARCHITECTURES, CHANNELS, TOKENS, parameters_of, sequence_of, steps_of

LENGTH = 40
MORE = {
    f"{inputs}, both ways, {pooling}": Architecture(**kind, bidirectional=True, pooling=pooling)
    for inputs, kind in (("tokens", TOKENS), ("series", CHANNELS))
    for pooling in ("last", "mean", "max", "mean+max")
}
ALL = {**ARCHITECTURES, **MORE, "long pads": Architecture(**TOKENS, max_length=700, padding="pre")}


def net_of(name: str, scale: float = 1.0) -> ExplainedNetwork:
    arch = ALL[name]
    return ExplainedNetwork({key: (scale * a).astype(np.float32) for key, a in parameters_of(arch, 3).items()}, arch)


def read_of(net: ExplainedNetwork, length: int = LENGTH, seed: int = 3) -> Array:
    return cut(sequence_of(net.arch, length, seed), net.arch)


def plain(net: ExplainedNetwork, read: Array) -> Array:
    """Every beginning predicted by itself."""
    return run_all(net, (read[:t] for t in range(len(read) + 1)))


@pytest.mark.parametrize("name", ALL)
def test_it_is_the_verdict_on_every_beginning(name: str) -> None:
    net = net_of(name)
    read = read_of(net)
    found = prefix_predictions(net, read)
    seen = trace_of(net, read, steps_of(len(read)))
    np.testing.assert_allclose(found.logits_after, seen.logits_after, atol=1e-6)
    if net.arch.padding == "none":
        np.testing.assert_allclose(found.logits_after, plain(net, read), atol=2e-6)
    assert np.abs(np.diff(found.logits_after, axis=0)).max() > 0.01


@pytest.mark.parametrize("name", MORE)
@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_runs_that_met_are_those_that_did_not(name: str, scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small weights forget at once, so nearly all runs are left early; large ones do not."""
    net = net_of(name, scale)
    read = read_of(net, 150)
    steps = 0
    lstm = NumpyOps.lstm

    def counted(self, name, pre, index, lengths, *more):  # type: ignore[no-untyped-def]
        nonlocal steps
        steps += int(lengths.sum())
        return lstm(self, name, pre, index, lengths, *more)

    monkeypatch.setattr(NumpyOps, "lstm", counted)
    found = backward_after(net, read)
    monkeypatch.undo()
    assert steps < (0.7 if scale < 1 else 1) * len(read) * (len(read) + 1) / 2 + 1
    monkeypatch.setattr(running, "_BLOCK", len(read))  # one look, at the end
    for one, other in zip(found, backward_after(net, read), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_allclose(prefix_predictions(net, read).logits_after, plain(net, read), atol=3e-6)


@pytest.mark.parametrize("name", ALL)
def test_what_is_known_of_another_reading_is_not_run_again(name: str) -> None:
    """Words appended one after the other, then one of them replaced, then the last ones taken away."""
    net = net_of(name)
    whole = sequence_of(net.arch, LENGTH, 3)
    known: PrefixPredictions | None = None
    for end in (0, 1, 5, 6, 39, LENGTH):
        read = cut(whole[:end], net.arch)
        known = prefix_predictions(net, read, known)
        np.testing.assert_allclose(known.logits_after, prefix_predictions(net, read).logits_after, atol=1e-6)
    edited = whole.copy()
    edited[20] = whole[20] + 1 if net.arch.inputs == "channels" else (whole[20] % (net.arch.vocab_size - 1)) + 1
    for sequence in (edited, edited[:30], whole, edited[:0]):
        read = cut(sequence, net.arch)
        known = prefix_predictions(net, read, known)
        np.testing.assert_allclose(known.logits_after, prefix_predictions(net, read).logits_after, atol=1e-6)
        assert len(known.logits_after) == len(read) + 1


def test_what_is_shared_is_said() -> None:
    for name in ("mean and max", "tokens, both ways, mean+max", "long pads"):
        net = net_of(name, 0.3)
        read = read_of(net)
        known = prefix_predictions(net, read[:37])
        found = prefix_predictions(net, read, known)
        assert found.reused == 37
        assert prefix_predictions(net, np.concatenate([read[:9], read[10:]]), found).reused >= 9
    read = read_of(net_of("pads"), 20)  # with other pads it stands elsewhere before its first word
    net = net_of("pads")
    assert prefix_predictions(net, read, prefix_predictions(net, read[:15])).reused == 0


def test_only_new_steps_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in (("mean and max", 3), ("tokens, both ways, mean+max", 3 + 40 + 39 + 38)):
        net = net_of(name)
        read = read_of(net)
        known = prefix_predictions(net, read[:37])
        lstm, steps = NumpyOps.lstm, []

        def counted(self, name, pre, index, lengths, *more, lstm=lstm, steps=steps):  # type: ignore[no-untyped-def]
            steps.append(int(lengths.sum()))
            return lstm(self, name, pre, index, lengths, *more)

        with monkeypatch.context() as patched:
            patched.setattr(NumpyOps, "lstm", counted)
            prefix_predictions(net, read, known)
        assert 3 <= sum(steps) <= most


def test_one_direction_is_the_same_to_the_bit() -> None:
    for name in ("plain", "two layers", "mean and max", "series"):
        net = net_of(name)
        read = read_of(net)
        known = prefix_predictions(net, read[:21])
        np.testing.assert_array_equal(
            prefix_predictions(net, read, known).logits_after, prefix_predictions(net, read).logits_after
        )


@pytest.mark.parametrize("name", ["plain", "pads", "both ways", "both ways, two layers, mean and max"])
def test_under_clamps(name: str) -> None:
    net = net_of(name)
    read = read_of(net, 12)
    held = net.under([Clamp("f", 0.9, unit=2, steps=range(2, 5))])
    found = prefix_predictions(held, read)
    want = trace_of(held, read, steps_of(len(read))).logits_after
    np.testing.assert_allclose(found.logits_after, want, atol=1e-6)
    np.testing.assert_allclose(prefix_predictions(held, read, found).logits_after, want, atol=1e-6)
    assert np.abs(want - prefix_predictions(net, read).logits_after).max() > 1e-4


def test_what_is_known_of_another_network_is_refused() -> None:
    net = net_of("plain")
    read = read_of(net)
    known = prefix_predictions(net, read)
    for other in (net_of("plain"), net.under([Clamp("f", 1.0)]), replace(net, parameters=dict(net.parameters))):
        with pytest.raises(InputError, match="another network, or under other clamps"):
            prefix_predictions(other, read, known)
