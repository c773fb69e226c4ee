"""Prefix differences add up to the logit; leave-one-out scores equal predicting the edited sequences."""

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.explain import METHODS
from gatewise.explain.explanation import explain_example
from gatewise.network.batch import Batch, truncate
from gatewise.network.forward import forward
from gatewise.network.ops import Ops
from gatewise.target import Target
from gatewise.types import Faithfulness
from tests.explain.random_net import (
    ARCHITECTURES,
    ensemble_of,
    example_of,
    explanation_of,
    parameters_of,
    sequence_of,
    target_score,
)

LENGTH = 14


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_prefix_differences_are_differences_of_prefix_logits_and_add_up(name: str) -> None:
    found, seen = explanation_of(name, "prefix-difference"), example_of(name)
    after = target_score(seen.prefix_logits, int(seen.logits.argmax()))
    np.testing.assert_allclose(found.scores, after[1:] - after[:-1], atol=1e-9)
    assert found.base_value == pytest.approx(after[0], abs=1e-6)
    assert found.adds_up
    assert found.base_value + found.scores.sum() == pytest.approx(found.target_score, abs=2e-6)
    assert np.abs(found.scores).max() > 0.01


@pytest.mark.parametrize("length", [1, LENGTH])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_leave_one_out_equals_predicting_the_edited_sequence(name: str, length: int) -> None:
    """The edited sequence is predicted as any other: with its own pads, and its own cut."""
    arch, found = ARCHITECTURES[name], explanation_of(name, "leave-one-out", length)
    parameters, sequence, rows = parameters_of(arch, 7), sequence_of(arch, length, 7), truncate(np.arange(length), arch)
    assert len(found.scores) == len(rows)
    assert not found.adds_up
    assert found.residual == pytest.approx(found.target_score - found.base_value - found.scores.sum())
    ops = Ops()
    whole = np.asarray(forward(ops, parameters, arch, Batch.of([sequence], arch)), dtype=np.float64)[0]
    for row, score in zip(rows, found.scores, strict=True):
        edited = np.concatenate([sequence[:row], sequence[row + 1 :]])
        without = np.asarray(forward(ops, parameters, arch, Batch.of([edited], arch)), dtype=np.float64)[0]
        full, rest = (float(target_score(logits, int(whole.argmax()))) for logits in (whole, without))
        assert score == pytest.approx(full - rest, abs=3e-6)


def test_the_default_method_is_the_one_that_was_chosen() -> None:
    example = example_of("plain", 5)
    assert explain_example(example).method == "leave-one-out"
    assert explain_example(example).faithfulness is None
    faithfulness = {"prefix-difference": Faithfulness(0.4, 0.1, 9), "cell-decomposition": Faithfulness(0.5, 0.3, 9)}
    for method in ("prefix-difference", "cell-decomposition", "leave-one-out"):
        chosen = None if method == "prefix-difference" else method
        found = explain_example(example, chosen, faithfulness, "prefix-difference")
        assert (found.method, found.faithfulness) == (method, faithfulness.get(method))
    assert explain_example(example, None, faithfulness, "of a later gatewise").method == "leave-one-out"


def test_every_method_has_a_note() -> None:
    for method in METHODS:
        for name in ("plain", "series"):
            note = explanation_of(name, method).method_note
            assert "not a cause" in note
            assert note.endswith(".")
            assert note.count(". ") == 0
            assert ("word" in note) == (name == "plain")
    assert "after the pads of the whole text" in explanation_of("pads", "prefix-difference").method_note


def test_the_strongest_steps() -> None:
    found = explanation_of("pads", "prefix-difference")
    highest, lowest = found.strongest(3)
    order = sorted(range(LENGTH), key=lambda t: found.scores[t])
    assert lowest == order[:3]
    assert highest == order[::-1][:3]
    everything = found.strongest(LENGTH)
    assert all(found.scores[t] > 0 for t in everything[0])
    assert all(found.scores[t] < 0 for t in everything[1])
    assert len(everything[0]) + len(everything[1]) == LENGTH


def test_errors_of_explain() -> None:
    with pytest.raises(InputError, match="no method is called 'gradient'; there are prefix-difference, cell-dec"):
        explanation_of("plain", "gradient")
    with pytest.raises(InputError, match="2 classes needs 1 outputs; the network has 4"):
        ensemble_of("four classes", target=Target(("x", "y")))
