"""The trace is what ran: the cell equations hold, and the prefix logits are those of each prefix."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.explain import Example
from gatewise.kernels.reference import Reference
from gatewise.members.gates import gate_shares
from gatewise.network.architecture import Architecture
from gatewise.network.batch import Batch
from gatewise.network.forward import forward
from gatewise.network.ops import Ops
from gatewise.types import Array
from tests.explain.random_net import ARCHITECTURES, parameters_of, sequence_of, steps_of, target_score, trace

LENGTH = 14


def traced(
    name: str, seed: int = 5, dtype: str = "float32", **more: Any
) -> tuple[Architecture, dict[str, Array], Array, Example]:
    arch = ARCHITECTURES[name]
    parameters, sequence = parameters_of(arch, seed, dtype), sequence_of(arch, LENGTH, seed)
    return arch, parameters, sequence, trace(parameters, arch, sequence, steps_of(LENGTH), **more)


def logits_of(arch: Architecture, parameters: dict[str, Array], sequence: Array) -> Array:
    """As `Model.logits` has it for one sequence."""
    return np.asarray(forward(Ops(), parameters, arch, Batch.of([sequence], arch)))[0]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_number_satisfies_the_cell_equations(name: str) -> None:
    arch, parameters, sequence, example = traced(name)
    np.testing.assert_array_equal(example.logits, logits_of(arch, parameters, sequence))
    assert len(example.lstms) == arch.layers * len(arch.directions)
    for gates in example.lstms:
        order = slice(None, None, -1 if gates.direction == "backward" else 1)
        i, f, g, o, c, h = (getattr(gates, part)[order] for part in "ifgoch")
        before = np.concatenate([gates.c0[None], c[:-1]])
        np.testing.assert_allclose(c, f * before + i * g, atol=1e-6)
        np.testing.assert_allclose(h, o * np.tanh(c), atol=1e-6)
        assert i.shape == (len(example.steps), arch.units)


def test_after_pads_the_prefix_logits_are_of_this_run() -> None:
    """Another text of t words would have more pads: the state after word t is not its state."""
    _, parameters, sequence, example = traced("pads")
    assert example.pads == 40 - LENGTH
    padded = np.concatenate([np.zeros(example.pads, dtype=sequence.dtype), sequence])
    masked = ARCHITECTURES["plain"]
    for t in range(LENGTH + 1):
        expected = logits_of(masked, parameters, padded[: example.pads + t])
        np.testing.assert_allclose(example.prefix_logits[t], expected, atol=2e-6)
    assert np.abs(example.lstms[0].c0).max() > 0.01


def test_without_pads_the_initial_state_is_zero() -> None:
    _, parameters, _, example = traced("pads, nothing to pad")
    assert example.pads == 0
    assert not example.lstms[0].h0.any()
    np.testing.assert_allclose(example.prefix_logits[0], parameters["dense.bias"], atol=1e-7)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_unit_contributions_add_up_to_logit_minus_base_value(name: str) -> None:
    arch, parameters, _, example = traced(name)
    assert example.contributions.shape == (len(example.steps), arch.units * len(arch.directions))
    predicted = int(example.logits.argmax())
    start = example.prefix_logits[0] if arch.padding == "pre" else parameters["dense.bias"].astype(np.float64)
    total = target_score(start, predicted) + example.contributions.sum()
    assert total == pytest.approx(float(target_score(example.logits, predicted)), abs=5e-6)
    if not arch.bidirectional:
        np.testing.assert_allclose(
            example.contributions.sum(axis=1), np.diff(target_score(example.prefix_logits, predicted)), atol=1e-9
        )


def test_backward_contributions_belong_to_the_step_that_is_read() -> None:
    arch, parameters, _, example = traced("bidirectional")
    gates, unit = example.lstms[1], 2
    weight = float(parameters["dense.weight"][0, arch.units + unit])
    h = np.append(gates.h[:, unit], 0.0).astype(np.float64)  # it starts after the last step, from zero
    np.testing.assert_allclose(example.contributions[:, arch.units + unit], weight * (h[:-1] - h[1:]), atol=1e-9)


def test_names_are_truncated_with_the_sequence() -> None:
    assert traced("truncated front")[3].steps == steps_of(LENGTH)[-9:]
    middle = traced("truncated middle")[3]
    assert middle.steps == ["w0", "w1", "w2", *steps_of(LENGTH)[-6:]]
    assert middle.truncated == 5
    assert traced("plain")[3].truncated == 0


def test_half_lives_of_the_top_layer() -> None:
    _, _, _, example = traced("bidirectional, two layers, mean and max")
    expected = np.concatenate([example.lstms[2].half_life(), example.lstms[3].half_life()])
    np.testing.assert_array_equal(example.half_lives(), expected)


def test_half_life_of_gates_of_0_and_1() -> None:
    _, _, _, example = traced("binary")
    f = example.lstms[0].f
    assert set(np.unique(f)) <= {0.0, 1.0}
    half_life = example.lstms[0].half_life()
    wiped = (f == 0).any(axis=0)
    assert wiped.any()
    assert (half_life[wiped] == 0).all()
    assert np.isinf(half_life[~wiped]).all()


def test_gate_shares_count() -> None:
    arch = ARCHITECTURES["bidirectional"]
    parameters = {name: 5 * array for name, array in parameters_of(arch, 5).items()}  # so that gates come near 0 and 1
    example = trace(parameters, arch, sequence_of(arch, LENGTH, 5), steps_of(LENGTH))
    for gate, share in example.gate_shares().items():
        values = np.concatenate([getattr(gates, gate).ravel() for gates in example.lstms])
        assert share.below == pytest.approx(sum(v < 0.1 for v in values) / len(values))
        assert share.above == pytest.approx(sum(v > 0.9 for v in values) / len(values))
        assert sum(share) == pytest.approx(1)
        assert min(share) > 0.05
    assert gate_shares(example.lstms[:1])["i"] != gate_shares(example.lstms[1:2])["i"]
    assert traced("binary")[3].gate_shares()["f"].between == 0


def test_in_float64_it_is_exact() -> None:
    _, _, _, example = traced("pads, two layers", dtype="float64", kernel=Reference())
    assert example.lstms[0].c.dtype == np.float64
    np.testing.assert_allclose(example.prefix_logits[-1], example.logits, atol=1e-14)


def test_a_unit_is_found_by_its_number() -> None:
    _, _, _, example = traced("bidirectional, two layers, mean and max")
    gates, column = example.unit(8)
    assert (gates.layer, gates.direction, column) == (1, "backward", 2)
    for unit in (-1, 12):
        with pytest.raises(InputError, match=f"unit must be from 0 to 11, not {unit}"):
            example.unit(unit)


def test_errors_of_trace() -> None:
    arch = ARCHITECTURES["plain"]
    parameters = parameters_of(arch, 1)
    with pytest.raises(InputError, match="2 names for 3 steps"):
        trace(parameters, arch, np.array([1, 2, 3]), ["a", "b"])
    with pytest.raises(InputError, match="the sequence is empty"):
        trace(parameters, arch, np.array([], dtype=np.int32), [])


def test_two_logits_without_names_are_those_of_two_labels() -> None:
    arch = replace(ARCHITECTURES["plain"], outputs=2)
    example = trace(parameters_of(arch, 1), arch, np.array([1, 2, 3]), ["a", "b", "c"])
    assert example.logits.shape == (2,)
    assert example.ensemble.target.task == "multilabel"
