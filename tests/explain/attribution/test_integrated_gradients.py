"""Integrated gradients: complete, equal to captum's on torch.nn.LSTM, with every baseline."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from gatewise.errors import InputError
from gatewise.explain import Clamp, Explanation, IntegratedGradients
from gatewise.explain.attribution import integrated_gradients as integrated
from gatewise.explain.example import Example, predict_examples
from gatewise.explain.explanation import explain_example
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.network.architecture import Architecture
from gatewise.network.batch import truncate
from tests.explain import random_net
from tests.explain.random_net import ARCHITECTURES, ensemble_of, example_of, explained, parameters_of, sequence_of
from tests.network.oracle import padded_logits
from tests.refusals import assert_refused

LENGTH = 14
UNKNOWN = 2
SMOOTH = [name for name, arch in ARCHITECTURES.items() if arch.gate == "sigmoid"]


def explanation_of(name: str, method: IntegratedGradients | None = None, length: int = LENGTH) -> Explanation:
    unknown = UNKNOWN if ARCHITECTURES[name].inputs == "tokens" else None
    return random_net.explanation_of(name, method or IntegratedGradients(), length, unknown=unknown)


@pytest.mark.parametrize("length", [1, LENGTH])
@pytest.mark.parametrize("name", SMOOTH)
def test_the_scores_add_up(name: str, length: int) -> None:
    """The maximum and some activations have corners, which no quadrature likes; all else is rounding in float32."""
    found = explanation_of(name, None, length)
    assert found.residual == pytest.approx(found.target_score - found.base_value - found.scores.sum())
    way = max(abs(found.target_score - found.base_value), 0.1)
    arch = ARCHITECTURES[name]
    corners = "max" in arch.pooling or any(one.activation in ("relu", "elu") for one in arch.hidden)
    assert abs(found.residual) < (0.02 * way if corners else 3e-5)
    assert np.abs(found.scores).max() > 3e-4
    assert not found.adds_up


@pytest.mark.parametrize("baseline", ["unknown", "pad", "zero", "mean"])
def test_a_word_equal_to_the_baseline_scores_0(baseline: str) -> None:
    arch = ARCHITECTURES["pads"]
    parameters = parameters_of(arch, 7)
    table = parameters["embedding.weight"]
    rows = {"unknown": table[UNKNOWN], "pad": table[0].copy(), "zero": table[0] * 0, "mean": table.mean(axis=0)}
    sequence = sequence_of(arch, LENGTH, 7)
    table[sequence[5]] = rows[baseline]
    if baseline == "mean":  # which moves the mean: put it there until it stays
        for _ in range(50):
            table[sequence[5]] = table.mean(axis=0)
    method = IntegratedGradients(baseline=baseline)  # type: ignore[arg-type]
    found = explain_example(Example(explained(parameters, arch, unknown=UNKNOWN), EncodedSequence(sequence)), method)
    same = sequence == sequence[5]
    assert np.abs(found.scores[same]).max() < 1e-6
    assert np.abs(found.scores[~same]).min() > 1e-6
    assert abs(found.residual) < 2e-5


def test_intervals_are_halved_until_the_scores_add_up() -> None:
    for name in ("max", "bidirectional, two layers, mean and max", "series, three classes, bidirectional"):
        fixed, found = (
            explanation_of(name, IntegratedGradients(8, max_points=8)),
            explanation_of(name, IntegratedGradients(8)),
        )
        way = abs(found.target_score - found.base_value)
        assert abs(found.residual) < 0.01 * max(way, 0.1)
        assert abs(found.residual) < abs(fixed.residual)
        assert found.base_value == pytest.approx(fixed.base_value, abs=1e-6)
        fine = explanation_of(name, IntegratedGradients(200, max_points=200))
        scale = np.abs(fine.scores).max()
        assert np.abs(found.scores - fine.scores).max() < 0.05 * scale
        assert np.abs(found.scores - fine.scores).max() < np.abs(fixed.scores - fine.scores).max()


def test_a_batch_equals_single_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    arch = ARCHITECTURES["pads"]
    net = ensemble_of(arch, unknown=UNKNOWN)
    examples = predict_examples(net, [EncodedSequence(sequence_of(arch, length, 7)) for length in (3, 14, 1, 8)])
    together = IntegratedGradients().attribute(examples)
    monkeypatch.setattr(integrated, "_STEPS_PER_BATCH", 1)
    for one, whole in zip(IntegratedGradients().attribute(examples), together, strict=True):
        np.testing.assert_allclose(one.scores, whole.scores, atol=1e-6)
        assert one.base_value == pytest.approx(whole.base_value, abs=1e-6)


def test_binary_gates_report_the_straight_through_residual() -> None:
    found = explanation_of("binary")
    assert "straight-through" in found.method_note
    assert abs(found.residual) > 1e-3
    assert found.residual == pytest.approx(found.target_score - found.base_value - found.scores.sum())


def test_errors_are_one_line() -> None:
    with pytest.raises(InputError, match="a series has the baselines zero and mean, not pad"):
        explanation_of("series", IntegratedGradients(baseline="pad"))
    with pytest.raises(InputError, match="no row for an unknown word"):
        IntegratedGradients(baseline="unknown").attribute([example_of("plain")])
    assert_refused("at least 1 point", IntegratedGradients, points=0)
    assert_refused("a baseline is unknown, pad, zero, mean, not 'zeor'", IntegratedGradients, baseline="zeor")
    with pytest.raises(InputError, match="has no clamps: remove them"):
        IntegratedGradients().attribute([example_of("plain", clamps=[Clamp("f", 1.0)])])


def logits_of(arch: Architecture, weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """By torch, of sequences of equal length as embedded words or channels (B, T, D), plainly padded."""
    if arch.padding == "pre":
        pads = weights["embedding.weight"][0].expand(len(x), arch.max_length - x.shape[1], -1)
        x = torch.cat([pads, x], dim=1)
    series = {"inputs": "channels", "vocab_size": x.shape[2], "embedding_dim": 0, "max_length": 0, "padding": "none"}
    return padded_logits(replace(arch, **series, truncation="front"), weights, [*x])


@pytest.mark.parametrize("name", SMOOTH)
def test_equal_to_captum_on_torch_lstm(name: str) -> None:
    attr = pytest.importorskip("captum.attr", reason="captum is not installed (it is part of the dev extra)")
    arch = ARCHITECTURES[name]
    weights = {key: torch.from_numpy(array) for key, array in parameters_of(arch, 7).items()}
    x = torch.from_numpy(truncate(sequence_of(arch, LENGTH, 7), arch))
    base = torch.zeros_like(x)
    if arch.inputs == "tokens":
        x = weights["embedding.weight"][x.long()]
        base = weights["embedding.weight"][UNKNOWN].expand_as(x)
    predicted = int(logits_of(arch, weights, x[None])[0].argmax())

    def explained_number(inputs: Tensor) -> Tensor:
        found = logits_of(arch, weights, inputs)
        return found[:, 0] if arch.outputs == 1 else found[:, predicted] - found.mean(dim=1)

    given = {"baselines": base[None], "n_steps": 32, "method": "gausslegendre"}
    expected = attr.IntegratedGradients(explained_number).attribute(x[None], **given)[0].detach().numpy()
    baseline = "unknown" if arch.inputs == "tokens" else "zero"
    found = explanation_of(name, IntegratedGradients(baseline=baseline, max_points=32))
    np.testing.assert_allclose(found.scores, expected.sum(axis=1), atol=1e-4)
    assert np.abs(found.scores).max() > 0.01
    if found.channels is not None:
        np.testing.assert_allclose(found.channels, expected, atol=1e-4)
