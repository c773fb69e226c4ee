"""Interventions: clamps apply where they should and nowhere else."""

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.explain import Clamp, ablate, hold_memory
from gatewise.explain.example import Example
from gatewise.explain.intervene import Intervention, intervene, word_places
from gatewise.network.architecture import Architecture
from tests.explain.random_net import ALL, TOKENS, check_cell_equations, ensemble_of, example_of, without_unit
from tests.refusals import assert_refused


def traced(name: str, *clamps: Clamp) -> Example:
    return example_of(ALL[name], clamps=clamps)


def done(name: str, *clamps: Clamp) -> Intervention:
    return intervene(traced(name), clamps)


@pytest.mark.parametrize("name", ALL)
def test_clamps_of_no_step_change_nothing(name: str) -> None:
    """Steps far behind the end, and of the pads none."""
    plain = traced(name)
    clamped = traced(
        name, Clamp("f", 1.0, steps=range(1000, 1001)), Clamp("i", 1.0, steps=range(2000, 2001), pads=True)
    )
    for ours, kernels in zip(clamped.lstms, plain.lstms, strict=True):
        for part in ("i", "f", "g", "o", "c", "h", "h0", "c0"):
            np.testing.assert_array_equal(getattr(ours, part), getattr(kernels, part), err_msg=part)
    np.testing.assert_array_equal(clamped.logits, plain.logits)
    np.testing.assert_array_equal(clamped.prefix_logits, plain.prefix_logits)
    assert len(plain.lstms) == len(list(ALL[name].lstms()))


@pytest.mark.parametrize("gate", ["i", "f", "g", "o"])
@pytest.mark.parametrize("name", ["pads, two layers", "bidirectional", "binary, bidirectional, mean and max", "series"])
def test_clamped_gates_have_their_value_and_the_cell_equations_hold(name: str, gate: str) -> None:
    arch = ALL[name]
    value, steps, unit = 1.0, range(3, 7), arch.top.size - 2
    example, plain = traced(name, Clamp(gate, value, unit, steps)), traced(name)  # type: ignore[arg-type]
    clamped, column = example.unit(unit)
    rows = np.arange(len(example.steps))
    assert (getattr(clamped, gate)[3:7, column] == value).all()
    outside = np.isin(rows, [3, 4, 5, 6], invert=True)
    if arch.gate == "sigmoid":
        assert not (getattr(clamped, gate)[outside, column] == value).any()
    for gates in example.lstms:
        check_cell_equations(gates)
    # Steps read before the first clamped step do not change.
    first = 7 if clamped.direction == "backward" else 3
    was = plain.unit(unit)[0]
    untouched = slice(first, None) if clamped.direction == "backward" else slice(0, first)
    np.testing.assert_allclose(clamped.c[untouched], was.c[untouched], atol=1e-6)
    if arch.gate == "sigmoid":
        assert not np.allclose(clamped.h[3:7, column], was.h[3:7, column], atol=1e-3)
        assert not np.allclose(example.logits, plain.logits, atol=1e-4)


def test_a_clamp_without_unit_applies_to_all_layers() -> None:
    example = traced("bidirectional, two layers, mean and max", Clamp("f", 1.0))
    assert all((gates.f == 1).all() for gates in example.lstms)
    one = traced("bidirectional, two layers, mean and max", Clamp("f", 1.0, layer=0))
    assert [bool((gates.f == 1).all()) for gates in one.lstms] == [True, True, False, False]
    unit = traced("bidirectional, two layers, mean and max", Clamp("f", 1.0, unit=8))
    assert [int((gates.f == 1).all(axis=0).sum()) for gates in unit.lstms] == [0, 0, 0, 1]
    assert (unit.lstms[3].f[:, 2] == 1).all()


def test_a_clamp_of_one_direction() -> None:
    """A unit has one number, with a direction and without: its position in the layer's output."""
    deep = "bidirectional, two layers, mean and max"
    for clamp, where in (
        (Clamp("f", 1.0, direction="backward"), [False, True, False, True]),
        (Clamp("f", 1.0, layer=1, direction="forward"), [False, False, True, False]),
        (Clamp("f", 1.0, layer=0, direction="backward"), [False, True, False, False]),
    ):
        assert [bool((gates.f == 1).all()) for gates in traced(deep, clamp).lstms] == where
    for layer in (0, 1):
        one = traced(deep, Clamp("o", 0.25, 8, layer=layer, direction="backward"))
        other = traced(deep, Clamp("o", 0.25, 8, layer=layer))
        np.testing.assert_array_equal(one.logits, other.logits)
        assert (one.lstms[2 * layer + 1].o[:, 2] == 0.25).all()
    assert not traced(deep, *ablate(3, 0, "forward")).lstms[0].h[:, 3].any()
    gates = traced(deep, *hold_memory(9, 0, direction="backward")).lstms[1]
    assert (gates.c[:, 3] == gates.c0[3]).all()
    assert str(Clamp("f", 1.0, 9, layer=1, direction="backward")) == "forget gate of unit 9 in layer 2, backward = 1"
    with pytest.raises(InputError, match="unit 2 is a forward unit; the backward units are 6 to 11"):
        done(deep, Clamp("o", 0.25, 2, direction="backward"))
    with pytest.raises(InputError, match="unit 8 is a backward unit; the forward units are 0 to 5"):
        done(deep, Clamp("o", 0.25, 8, direction="forward"))


@pytest.mark.parametrize("name", ALL)
def test_an_ablated_unit_has_no_effect(name: str) -> None:
    arch = ALL[name]
    unit = arch.top.size - 2
    example = traced(name, *ablate(unit))
    gates, column = example.unit(unit)
    assert not gates.h[:, column].any()
    assert gates.h0[column] == 0
    net = ensemble_of(arch)  # without the weights of what reads the unit
    other = Example(net.with_lstm(parameters=without_unit(net.lstm, unit)), example.sequence)
    np.testing.assert_allclose(example.logits, other.logits, atol=2e-6)
    np.testing.assert_allclose(example.prefix_logits, other.prefix_logits, atol=2e-6)


def test_held_memory_does_not_change() -> None:
    example = traced("pads", *hold_memory(2))
    gates = example.lstms[0]
    assert gates.c0[2] != 0
    assert (gates.c[:, 2] == gates.c0[2]).all()
    some = traced("pads", *hold_memory(2, steps=range(8, 3, -1))).lstms[0].c[:, 2]
    assert (some[4:9] == some[3]).all()
    assert some[9] != some[8]


def test_pads_are_clamped_only_on_request() -> None:
    plain, words = traced("pads").lstms[0], traced("pads", Clamp("f", 0.5)).lstms[0]
    both = traced("pads", Clamp("f", 0.5, pads=True)).lstms[0]
    np.testing.assert_array_equal(words.c0, plain.c0)
    assert np.abs(both.c0 - plain.c0).max() > 0.01


def test_words_are_found_by_step_and_by_name() -> None:
    arch = Architecture.stacked(**TOKENS, max_length=4)
    example = example_of(arch, sequence=np.arange(1, 6), steps=["not", "Not", "good", "not", "x"])
    assert word_places(example, {"not": "very"}) == {1: "very", 3: "very"}
    assert word_places(example, {1: "bad"}) == {2: "bad"}
    assert_refused("'gone' is not among the words", word_places, example, {"gone": "x"})
    assert_refused("there is no step 5: the network reads 4 steps", word_places, example, {4: "x"})


@pytest.mark.parametrize(
    ("clamp", "line"),
    [
        (None, "nothing to change"),
        (Clamp("f", 1.4), r"forget must lie in \[0, 1\]; got 1.4"),
        (Clamp("g", -1.5), r"candidate must lie in \[-1, 1\]; got -1.5"),
        (Clamp("o", float("nan")), "got nan"),
        (Clamp("z", 1.0), "a gate is i, f, g, o, not 'z'"),  # type: ignore[arg-type]
        (Clamp("i", 1.0, 6), "unit must be from 0 to 5, not 6"),
        (Clamp("i", 1.0, 0, layer=1), "layer must be from 1 to 1, not 2"),
        (Clamp("i", 1.0, direction="backward"), "direction must be forward in this network, not 'backward'"),
        (Clamp("i", 1.0, 0, range(10, 15)), "from 1 to 14"),
        (Clamp("i", 1.0, 0, range(3, 3)), "from 1 to 14"),
        (Clamp("i", 1.0, 0, range(10**15)), "from 1 to 14"),  # without counting them
    ],
)
def test_errors_of_clamps_are_one_line(clamp: Clamp | None, line: str) -> None:
    assert_refused(line, done, "plain", *filter(None, [clamp]))


def test_binary_gates_take_0_or_1() -> None:
    assert_refused(r"forget must be 0 or 1 in a network with binary gates; got 0\.5", done, "binary", Clamp("f", 0.5))
    assert (done("binary", Clamp("g", 0.5)).after.lstms[0].g == 0.5).all()
