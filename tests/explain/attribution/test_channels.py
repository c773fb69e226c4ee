"""Scores per channel of a series, by every method: their sums, and their zeros."""

import numpy as np
import pytest

from gatewise.explain import Clamp
from gatewise.explain.attribution import channels
from gatewise.explain.example import Example
from gatewise.explain.explanation import explain_example
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.network.architecture import Architecture
from tests.explain.random_net import (
    CHANNELS,
    TOKENS,
    ensemble_of,
    example_of,
    explained,
    explanation_of,
    parameters_of,
    sequence_of,
    target_score,
)

LENGTH = 12
ONE_DIRECTION = {
    f"{pooling}, {outputs}": Architecture.stacked(**CHANNELS, pooling=pooling, outputs=outputs)
    for pooling, outputs in (("last", 1), ("mean", 1), ("max", 3), ("mean+max", 1), ("last", 4))
}
BIDIRECTIONAL = {
    f"bidirectional, {pooling}": Architecture.stacked(**CHANNELS, bidirectional=True, pooling=pooling)
    for pooling in ("last", "mean", "max", "mean+max")
}
WITH_CHANNELS = [("prefix-difference", name) for name in ONE_DIRECTION] + [
    ("cell-decomposition", name) for name in [*ONE_DIRECTION, *BIDIRECTIONAL]
]
ALL = {**ONE_DIRECTION, **BIDIRECTIONAL}


@pytest.mark.parametrize("length", [1, LENGTH])
@pytest.mark.parametrize(("method", "name"), WITH_CHANNELS)
def test_score_is_baseline_term_plus_channels(
    method: str, name: str, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    arch = ALL[name]
    found = explanation_of(arch, method, length)
    assert found.channels.shape == (length, arch.channels)
    np.testing.assert_allclose(found.baseline_term + found.channels.sum(axis=1), found.scores, atol=1e-6)
    monkeypatch.setattr(channels, "_POINTS", 64)  # more points change nothing
    more = explanation_of(arch, method, length).channels
    np.testing.assert_allclose(found.channels, more, atol=1e-8)
    assert abs(found.base_value + found.baseline_term.sum() + found.channels.sum() - found.target_score) < 3e-6
    assert np.abs(found.channels).max() > 0.01
    assert np.abs(found.baseline_term).max() > 0.001


@pytest.mark.parametrize("name", ONE_DIRECTION)
def test_baseline_term_is_the_prediction_with_the_step_at_0(name: str) -> None:
    """The prefix, predicted with its last step set to 0."""
    arch = ONE_DIRECTION[name]
    series, found, net = (
        sequence_of(arch, LENGTH, 7),
        explanation_of(arch, "prefix-difference", LENGTH),
        ensemble_of(arch),
    )
    predicted = int(net.lstm.logits([series])[0].argmax())
    for t in range(LENGTH):
        edited = np.concatenate([series[:t], 0 * series[t : t + 1]])
        before, after = target_score(net.lstm.logits([series[:t], edited]), predicted)
        assert found.baseline_term[t] == pytest.approx(after - before, abs=2e-6)


@pytest.mark.parametrize(("method", "name"), WITH_CHANNELS)
def test_channels_at_0_score_0(method: str, name: str) -> None:
    arch = ALL[name]
    series = sequence_of(arch, LENGTH, 7)
    series[:, 1] = 0
    series[5] = 0
    found = explanation_of(arch, method, sequence=series)
    assert not found.channels[:, 1].any()
    assert not found.channels[5].any()
    assert found.baseline_term[5] == pytest.approx(found.scores[5], abs=1e-6)
    assert np.abs(found.channels[:, [0, 2]]).min(axis=1)[np.arange(LENGTH) != 5].max() > 1e-3


def test_equal_channels_score_equally() -> None:
    arch = ALL["mean+max, 1"]
    parameters = parameters_of(arch, 7)
    parameters["lstm.0.forward.weight_ih"][:, 2] = parameters["lstm.0.forward.weight_ih"][:, 0]
    series = sequence_of(arch, LENGTH, 7)
    series[:, 2] = series[:, 0]
    example = Example(explained(parameters, arch), EncodedSequence(series))
    for method in ("prefix-difference", "cell-decomposition"):
        found = explain_example(example, method).channels
        np.testing.assert_allclose(found[:, 0], found[:, 2], atol=1e-12)
        assert np.abs(found[:, 0] - found[:, 1]).max() > 1e-3


@pytest.mark.parametrize("name", ALL)
def test_leave_one_out_by_channel_equals_predicting_the_edited_series(name: str) -> None:
    arch = ALL[name]
    series, found, net = sequence_of(arch, LENGTH, 7), explanation_of(arch, "leave-one-out", LENGTH), ensemble_of(arch)
    whole = net.lstm.logits([series])[0]
    predicted = int(whole.argmax())
    assert found.baseline_term is None
    for t in range(LENGTH):
        for k in range(arch.channels):
            edited = series.copy()
            edited[t, k] = 0
            expected = target_score(whole, predicted) - target_score(net.lstm.logits([edited])[0], predicted)
            assert found.channels[t, k] == pytest.approx(float(expected), abs=3e-6)


def test_no_channel_scores_where_they_are_undefined() -> None:
    for method, arch in (
        ("prefix-difference", Architecture.stacked(**CHANNELS, bidirectional=True)),
        ("prefix-difference", Architecture.stacked(**CHANNELS, layers=2)),
        ("cell-decomposition", Architecture.stacked(**CHANNELS, layers=2)),
        ("cell-decomposition", Architecture.stacked(**CHANNELS, gate="binary")),
        ("cell-decomposition", Architecture.stacked(**TOKENS)),
    ):
        found = explanation_of(arch, method, LENGTH)
        assert found.channels is None
        assert found.baseline_term is None
    clamped = example_of(ALL["last, 1"], clamps=[Clamp("f", 1.0)])
    assert explain_example(clamped, "cell-decomposition").channels is None


def test_channel_scores_are_in_the_json() -> None:
    shown = explanation_of(ALL["bidirectional, mean"], "cell-decomposition", LENGTH).as_dict()
    assert len(shown["channels"]) == len(shown["baseline_term"]) == LENGTH
    assert explanation_of(ALL["last, 1"], "leave-one-out", LENGTH).as_dict()["baseline_term"] is None
