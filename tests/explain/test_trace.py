"""The trace shows what ran: its own identities, the verdict it ends in, and the state of every shorter reading."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.explain import Example, trace
from gatewise.kernels.reference import Reference
from gatewise.metrics.evaluation import target_score
from gatewise.network.architecture import Architecture
from gatewise.network.batch import Batch, truncate
from gatewise.network.forward import forward
from gatewise.network.ops import NumpyOps
from gatewise.types import Array
from tests.explain.random_net import ARCHITECTURES, parameters_of, sequence_of, steps_of

LENGTH = 14


def traced(
    name: str, seed: int = 5, dtype: str = "float32", **more: Any
) -> tuple[Architecture, dict[str, Array], Array, Example]:
    arch = ARCHITECTURES[name]
    parameters, sequence = parameters_of(arch, seed, dtype), sequence_of(arch, LENGTH, seed)
    return arch, parameters, sequence, trace(parameters, arch, sequence, steps_of(LENGTH), **more)


def logits_of(arch: Architecture, parameters: dict[str, Array], sequence: Array) -> Array:
    """As `Model.logits` has it for one sequence."""
    return np.asarray(forward(NumpyOps(), parameters, arch, Batch.of([sequence], arch)))[0]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_number_shown_obeys_the_cell(name: str) -> None:
    arch, _, _, seen = traced(name)
    assert len(seen.lstms) == arch.layers * len(arch.directions)
    for gates in seen.lstms:
        order = slice(None, None, -1 if gates.direction == "backward" else 1)
        i, f, g, o, c, h = (getattr(gates, part)[order] for part in "ifgoch")
        before = np.concatenate([gates.c0[None], c[:-1]])
        np.testing.assert_allclose(c, f * before + i * g, atol=1e-6)
        np.testing.assert_allclose(h, o * np.tanh(c), atol=1e-6)
        assert i.shape == (len(seen.steps), arch.units)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_running_verdict_ends_in_the_verdict(name: str) -> None:
    arch, parameters, sequence, seen = traced(name)
    assert seen.prefix_logits.shape == (len(seen.steps) + 1, arch.outputs)
    np.testing.assert_allclose(seen.prefix_logits[-1], logits_of(arch, parameters, sequence), atol=2e-6)
    np.testing.assert_array_equal(seen.logits, logits_of(arch, parameters, sequence))


@pytest.mark.parametrize("name", [name for name, arch in ARCHITECTURES.items() if arch.padding == "none"])
def test_the_running_verdict_is_that_of_the_shorter_sequence(name: str) -> None:
    arch, parameters, sequence, seen = traced(name)
    read = truncate(sequence, arch)
    for t in range(len(read) + 1):
        np.testing.assert_allclose(seen.prefix_logits[t], logits_of(arch, parameters, read[:t]), atol=2e-6)


def test_behind_pads_the_running_verdict_is_that_of_this_run() -> None:
    """Another text of t words would have more pads: the state after word t is not its state."""
    _, parameters, sequence, seen = traced("pads")
    assert seen.pads == 40 - LENGTH
    padded = np.concatenate([np.zeros(seen.pads, dtype=sequence.dtype), sequence])
    masked = ARCHITECTURES["plain"]
    for t in range(LENGTH + 1):
        want = logits_of(masked, parameters, padded[: seen.pads + t])
        np.testing.assert_allclose(seen.prefix_logits[t], want, atol=2e-6)
    assert np.abs(seen.lstms[0].c0).max() > 0.01


def test_without_pads_the_start_is_the_zero_state() -> None:
    _, parameters, _, seen = traced("pads, nothing to pad")
    assert seen.pads == 0
    assert not seen.lstms[0].h0.any()
    np.testing.assert_allclose(seen.prefix_logits[0], parameters["dense.bias"], atol=1e-7)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_moves_of_the_units_lead_from_the_start_to_the_logit(name: str) -> None:
    arch, parameters, _, seen = traced(name)
    assert seen.contributions.shape == (len(seen.steps), arch.units * len(arch.directions))
    predicted = int(seen.logits.argmax())
    start = seen.prefix_logits[0] if arch.padding == "pre" else parameters["dense.bias"].astype(np.float64)
    total = target_score(start, predicted) + seen.contributions.sum()
    assert total == pytest.approx(float(target_score(seen.logits, predicted)), abs=5e-6)
    if not arch.bidirectional:
        np.testing.assert_allclose(
            seen.contributions.sum(axis=1), np.diff(target_score(seen.prefix_logits, predicted)), atol=1e-9
        )


def test_a_backward_units_moves_stand_at_the_step_that_it_read() -> None:
    arch, parameters, _, seen = traced("both ways")
    gates, unit = seen.lstms[1], 2
    weight = float(parameters["dense.weight"][0, arch.units + unit])
    h = np.append(gates.h[:, unit], 0.0).astype(np.float64)  # it starts after the last step, from zero
    np.testing.assert_allclose(seen.contributions[:, arch.units + unit], weight * (h[:-1] - h[1:]), atol=1e-9)


def test_names_are_cut_with_the_sequence() -> None:
    assert traced("cut in front")[3].steps == steps_of(LENGTH)[-9:]
    middle = traced("cut in the middle")[3]
    assert middle.steps == ["w0", "w1", "w2", *steps_of(LENGTH)[-6:]]
    assert middle.truncated == 5
    assert traced("plain")[3].truncated == 0


def test_half_life_from_the_forget_gates() -> None:
    _, _, _, seen = traced("plain")
    f = seen.lstms[0].f.astype(np.float64)
    half_life = seen.lstms[0].half_life()
    np.testing.assert_allclose(np.prod(f, axis=0), 0.5 ** (LENGTH / half_life), rtol=1e-9)


def test_half_lives_of_the_top_layer() -> None:
    _, _, _, seen = traced("both ways, two layers, mean and max")
    want = np.concatenate([seen.lstms[2].half_life(), seen.lstms[3].half_life()])
    np.testing.assert_array_equal(seen.half_lives(), want)


def test_half_life_at_the_ends() -> None:
    _, _, _, seen = traced("binary")
    f = seen.lstms[0].f
    assert set(np.unique(f)) <= {0.0, 1.0}
    half_life = seen.lstms[0].half_life()
    wiped = (f == 0).any(axis=0)
    assert wiped.any()
    assert (half_life[wiped] == 0).all()
    assert np.isinf(half_life[~wiped]).all()


def test_gate_shares_count() -> None:
    arch = ARCHITECTURES["both ways"]
    parameters = {name: 5 * array for name, array in parameters_of(arch, 5).items()}  # so that gates come near 0 and 1
    seen = trace(parameters, arch, sequence_of(arch, LENGTH, 5), steps_of(LENGTH))
    for gate, share in seen.gate_shares().items():
        values = np.concatenate([getattr(gates, gate).ravel() for gates in seen.lstms])
        assert share.below == pytest.approx(sum(v < 0.1 for v in values) / len(values))
        assert share.above == pytest.approx(sum(v > 0.9 for v in values) / len(values))
        assert sum(share) == pytest.approx(1)
        assert min(share) > 0.05
    assert seen.lstms[0].shares()["i"] != seen.lstms[1].shares()["i"]
    assert traced("binary")[3].gate_shares()["f"].between == 0


def test_in_float64_it_is_exact() -> None:
    _, _, _, seen = traced("pads, two layers", dtype="float64", kernel=Reference())
    assert seen.lstms[0].c.dtype == np.float64
    np.testing.assert_allclose(seen.prefix_logits[-1], seen.logits, atol=1e-14)


def test_a_unit_is_found_by_its_place_in_the_output() -> None:
    _, _, _, seen = traced("both ways, two layers, mean and max")
    gates, column = seen.unit(8)
    assert (gates.layer, gates.direction, column) == (1, "backward", 2)
    for unit in (-1, 12):
        with pytest.raises(InputError, match=f"unit must be from 0 to 11, not {unit}"):
            seen.unit(unit)


def test_what_cannot_be_traced_is_said() -> None:
    arch = ARCHITECTURES["plain"]
    parameters = parameters_of(arch, 1)
    with pytest.raises(InputError, match="2 names for 3 steps"):
        trace(parameters, arch, np.array([1, 2, 3]), ["a", "b"])
    with pytest.raises(InputError, match="the sequence is empty"):
        trace(parameters, arch, np.array([], dtype=np.int32), [])
