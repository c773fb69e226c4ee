"""The trace is what ran, once, whatever reads it: the cell equations hold, prefix logits are those of each prefix."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from gatewise.explain import METHODS
from gatewise.explain.example import Example
from gatewise.explain.explanation import explain_example
from gatewise.explain.render.html import report_page
from gatewise.explain.render.terminal import explanation_report, unit_view
from gatewise.explain.serialize import report_json, unit_json, units_json
from gatewise.kernels.reference import Reference
from gatewise.members.contributions import has_contributions
from gatewise.members.lstm import LSTM
from gatewise.network.architecture import Architecture
from gatewise.network.batch import Batch
from gatewise.network.forward import forward
from gatewise.network.ops import Ops
from gatewise.types import Array
from tests.explain.random_net import (
    ARCHITECTURES,
    check_cell_equations,
    ensemble_of,
    example_of,
    explained,
    parameters_of,
    printed,
    steps_of,
    target_score,
)
from tests.refusals import assert_refused
from tests.serve.view.test_view import MODELS, TEXT, given

LENGTH = 14


def logits_of(example: Example, arch: Architecture, sequence: Array) -> Array:
    """As `Model.logits` has it for one sequence."""
    return np.asarray(forward(Ops(), example.lstm.parameters, arch, Batch.of([sequence], arch)))[0]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_number_satisfies_the_cell_equations(name: str) -> None:
    example, arch = example_of(name), ARCHITECTURES[name]
    np.testing.assert_array_equal(example.logits, logits_of(example, arch, example.sequence.steps))
    assert len(example.lstms) == len(list(arch.lstms()))
    for gates in example.lstms:
        check_cell_equations(gates)
        assert gates.i.shape == (len(example.steps), arch.layers[gates.layer].units)


def test_after_pads_the_prefix_logits_are_of_this_run() -> None:
    """Another text of t words would have more pads: the state after word t is not its state."""
    example = example_of("pads")
    assert example.pads == 40 - LENGTH
    padded = np.concatenate([np.zeros(example.pads, dtype=example.sequence.steps.dtype), example.sequence.steps])
    for t in range(LENGTH + 1):
        expected = logits_of(example, ARCHITECTURES["plain"], padded[: example.pads + t])
        np.testing.assert_allclose(example.prefix_logits[t], expected, atol=2e-6)
    assert np.abs(example.lstms[0].c0).max() > 0.01
    none = example_of("pads, nothing to pad")
    assert none.pads == 0
    assert not none.lstms[0].h0.any()
    np.testing.assert_allclose(none.prefix_logits[0], none.lstm.parameters["dense.bias"], atol=1e-7)


@pytest.mark.parametrize("name", [name for name, arch in ARCHITECTURES.items() if has_contributions(arch)])
def test_unit_contributions_add_up_to_logit_minus_base_value(name: str) -> None:
    example, arch = example_of(name, seed=5), ARCHITECTURES[name]
    assert example.contributions.shape == (len(example.steps), arch.top.size)
    predicted, start = int(example.logits.argmax()), example.prefix_logits[0]
    total = target_score(start, predicted) + example.contributions.sum()
    assert total == pytest.approx(float(target_score(example.logits, predicted)), abs=5e-6)
    if arch.unidirectional and not arch.hidden:  # with hidden layers their slopes are those of the whole way
        np.testing.assert_allclose(
            example.contributions.sum(axis=1), np.diff(target_score(example.prefix_logits, predicted)), atol=1e-9
        )


@pytest.mark.parametrize("name", ["sum of the directions, max", "product of the directions"])
def test_units_that_are_merged_have_no_contributions(name: str) -> None:
    example = example_of(name)
    assert example.contributions is example.effects is None
    assert example.top_unit == int(example.jumps(0)[0].argmax())
    part = unit_json(example, 3, 0)
    assert "contribution" not in part
    assert units_json(example, 0)["effect"] is None
    report = report_json(explain_example(example, "prefix-difference"), example)
    assert [one["name"] for one in report["heatmaps"]] == list("ifgoch")
    shown = printed(unit_view(example, 3))
    assert "has no effect of its own" in shown
    assert "change of c" in shown
    assert_refused(r"merged by '(sum|product)' before pooling", explain_example, example, "cell-decomposition")


def test_backward_contributions_belong_to_the_step_that_is_read() -> None:
    example = example_of("bidirectional")
    gates, unit = example.lstms[1], 2
    number = len(gates.h[0]) + unit
    h = np.append(gates.h[:, unit], 0.0).astype(np.float64)  # it starts after the last step, from zero
    weight = float(example.lstm.parameters["dense.weight"][0, number])
    np.testing.assert_allclose(example.contributions[:, number], weight * (h[:-1] - h[1:]), atol=1e-9)


def test_names_are_truncated_with_the_sequence() -> None:
    assert example_of("truncated front").steps == steps_of(LENGTH)[-9:]
    middle = example_of("truncated middle")
    assert middle.steps == ["w0", "w1", "w2", *steps_of(LENGTH)[-6:]]
    assert (middle.truncated, example_of("plain").truncated) == (5, 0)


def test_half_lives() -> None:
    example = example_of("bidirectional, two layers, mean and max")
    expected = np.concatenate([example.lstms[2].half_life(), example.lstms[3].half_life()])
    np.testing.assert_array_equal(example.half_lives(), expected)
    binary = example_of("binary", seed=5)
    f = binary.lstms[0].f
    wiped = (f == 0).any(axis=0)
    assert wiped.any()
    assert (binary.half_lives()[wiped] == 0).all()
    assert np.isinf(binary.half_lives()[~wiped]).all()


def test_gate_shares_count() -> None:
    arch = ARCHITECTURES["bidirectional"]
    parameters = {name: 5 * array for name, array in parameters_of(arch, 5).items()}  # so that gates come near 0 and 1
    example = Example(explained(parameters, arch), example_of(arch, seed=5).sequence)
    for gate, share in example.gate_shares().items():
        values = np.concatenate([getattr(gates, gate).ravel() for gates in example.lstms])
        assert share.below == pytest.approx(sum(v < 0.1 for v in values) / len(values))
        assert share.above == pytest.approx(sum(v > 0.9 for v in values) / len(values))
        assert sum(share) == pytest.approx(1)
        assert min(share) > 0.05


def test_in_float64_it_is_exact() -> None:
    arch = ARCHITECTURES["pads, two layers"]
    net = explained(parameters_of(arch, 5, "float64"), arch, kernel=Reference())
    example = Example(net, example_of(arch, seed=5).sequence)
    assert example.lstms[0].c.dtype == np.float64
    np.testing.assert_allclose(example.prefix_logits[-1], example.logits, atol=1e-14)


def test_names_must_fit_and_a_sequence_have_steps() -> None:
    net = ensemble_of("plain")
    assert_refused("2 names for 3 steps", Example, net, np.array([1, 2, 3]), ["a", "b"])
    assert_refused("the sequence is empty", Example, net, np.array([], dtype=np.int32), [])


ONE_DIRECTION, BOTH = ["pads", "cut", "n-grams, cut", "series"], "both ways, two layers"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", [*ONE_DIRECTION, BOTH])
def test_one_forward_pass_for_explanation_and_trace(name: str, method: str) -> None:
    """Two directions add the prefixes, and leave-one-out the empty sequence and the edits, for series also of channels.
    Integrated gradients do not run through Ops.lstms alone.
    """
    model = MODELS[name]
    encoder: Any = getattr(model.preprocessor, "encoding", model.preprocessor)  # of texts, or of series
    encoding = ("encode", "encode_batch") if encoder is model.preprocessor else ("encode", "encode_batch", "tokenize")
    with ExitStack() as patched:
        lstms, *encoded = (
            patched.enter_context(patch.object(owner, part, autospec=True, side_effect=getattr(owner, part)))
            for owner, part in ((Ops, "lstms"), *((type(encoder), part) for part in encoding))
        )
        example = model.trace(given(name))
        explanation = model.explain(example, method)
        explanation_report(explanation, example)  # in the terminal
        report_page(explanation, example)
        example._repr_html_()
    passes = 1 + (name == BOTH) + (method == "leave-one-out") * (2 + (name == "series"))
    runs = [run for call in lstms.call_args_list for part, run in call.args[1] if not part.endswith(".pads")]
    assert len(runs) == passes * len(list(model.architecture.lstms()))
    assert (sum(int(run.lengths.sum()) for run in runs) == len(example)) == (passes == 1)
    assert sum(one.call_count for one in encoded) == 1


def test_two_threads_compute_their_examples_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    barrier = Barrier(2, timeout=120)

    activations = LSTM.activations

    def meet(*arguments: Any) -> Any:
        barrier.wait()  # broken if one thread waits for the other
        return activations(*arguments)

    monkeypatch.setattr(LSTM, "activations", meet)
    model = MODELS["n-grams, cut"]
    examples = [model.trace(TEXT) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda example: example.lstm_logits, examples)
    np.testing.assert_array_equal(first, second)
