"""The conditional random field: against the enumeration of all label sequences, and gradients against differences."""

import itertools

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.ragged import Ragged
from gatewise.target.crf import Transitions, log_filtered, log_marginals, sequence_losses, viterbi
from gatewise.types import Array

LENGTHS = [4, 1, 0, 3, 5, 1]
LABELS = 3


def example(seed: int = 0, size: float = 1.0) -> tuple[Ragged, Array, Transitions]:
    rng = np.random.default_rng(seed)
    total = sum(LENGTHS)
    emissions = Ragged(size * rng.normal(size=(total, LABELS)), np.array(LENGTHS, dtype=np.intp))
    transitions = Transitions(
        size * rng.normal(size=LABELS), size * rng.normal(size=(LABELS, LABELS)), size * rng.normal(size=LABELS)
    )
    return emissions, rng.integers(0, LABELS, total), transitions


def score_of(emissions: Array, labels: tuple[int, ...], transitions: Transitions) -> float:
    if not labels:
        return 0.0
    total = transitions.start[labels[0]] + transitions.end[labels[-1]]
    total += sum(emissions[t, label] for t, label in enumerate(labels))
    total += sum(transitions.between[a, b] for a, b in itertools.pairwise(labels))
    return float(total)


def enumerated(emissions: Array, transitions: Transitions) -> dict[tuple[int, ...], float]:
    """The score of each label sequence."""
    sequences = itertools.product(range(LABELS), repeat=len(emissions))
    return {labels: score_of(emissions, labels, transitions) for labels in sequences}


def rows_of(emissions: Ragged) -> list[slice]:
    ends = np.cumsum(emissions.lengths)
    return [slice(end - length, end) for end, length in zip(ends, emissions.lengths, strict=True)]


@pytest.mark.parametrize("size", [1.0, 30.0, 400.0])
def test_losses_marginals_and_labels_equal_the_enumeration(size: float) -> None:
    emissions, labels, transitions = example(size=size)
    losses = sequence_losses(emissions, labels, transitions).losses
    marginals = np.exp(log_marginals(emissions, transitions))
    best = viterbi(emissions, transitions)
    for number, rows in enumerate(rows_of(emissions)):
        all_scores = enumerated(emissions.values[rows], transitions)
        values = np.array(list(all_scores.values()))
        log_partition = values.max() + np.log(np.exp(values - values.max()).sum())
        own = tuple(labels[rows].tolist())
        np.testing.assert_allclose(losses[number], log_partition - all_scores[own], rtol=1e-12, atol=1e-9)
        expected = np.zeros((len(own), LABELS))
        for sequence, score in all_scores.items():
            for step, label in enumerate(sequence):
                expected[step, label] += np.exp(score - log_partition)
        np.testing.assert_allclose(marginals[rows], expected, atol=1e-9)
        if own:
            np.testing.assert_allclose(
                score_of(emissions.values[rows], tuple(best[rows].tolist()), transitions), values.max(), rtol=1e-12
            )


@pytest.mark.parametrize("size", [1.0, 300.0])
def test_gradients_equal_differences(size: float) -> None:
    emissions, labels, transitions = example(1, size)
    weight = np.array([1.0, 2.0, 3.0, 0.5, 0.0, 1.5])

    def loss(values: Array, arrays: dict[str, Array]) -> float:
        losses = sequence_losses(emissions.with_values(values), labels, Transitions.of(arrays)).losses
        return float(weight @ losses)

    found = sequence_losses(emissions, labels, transitions, weight)
    step = 1e-5 * size
    arrays = transitions.arrays()
    for name, gradient in found.transitions.items():
        for place in np.ndindex(gradient.shape):
            sides = []
            for sign in (1, -1):
                moved = {key: array.copy() for key, array in arrays.items()}
                moved[name][place] += sign * step
                sides.append(loss(emissions.values, moved))
            np.testing.assert_allclose(gradient[place], (sides[0] - sides[1]) / (2 * step), atol=1e-7)
    for place in np.ndindex(found.emissions.shape):
        sides = []
        for sign in (1, -1):
            values = emissions.values.copy()
            values[place] += sign * step
            sides.append(loss(values, arrays))
        np.testing.assert_allclose(found.emissions[place], (sides[0] - sides[1]) / (2 * step), atol=1e-7)


def test_without_transitions_the_steps_are_independent() -> None:
    emissions, labels, _ = example(2)
    transitions = Transitions.zeros(LABELS)
    z = emissions.values
    softmax = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(log_marginals(emissions, transitions), softmax, atol=1e-12)
    assert viterbi(emissions, transitions).tolist() == z.argmax(axis=1).tolist()
    losses = sequence_losses(emissions, labels, transitions).losses
    np.testing.assert_allclose(losses.sum(), -softmax[np.arange(len(labels)), labels].sum(), rtol=1e-12)


def test_a_transition_of_minus_infinity_never_occurs() -> None:
    emissions, _, transitions = example(3)
    between = transitions.between.copy()
    between[0, 1] = between[2, 2] = -np.inf
    start = transitions.start.copy()
    start[1] = -np.inf
    forbidden = Transitions(start, between, transitions.end)
    best = viterbi(emissions, forbidden)
    marginals = np.exp(log_marginals(emissions, forbidden))
    assert np.isfinite(marginals).all()
    for rows in rows_of(emissions):
        path = best[rows].tolist()
        assert path[:1] != [1]
        assert not {(0, 1), (2, 2)} & set(itertools.pairwise(path))
        if path:
            assert marginals[rows][0, 1] == 0
    found = sequence_losses(emissions, best, forbidden)
    assert np.isfinite(found.losses).all()
    assert found.transitions["between"][0, 1] == 0


def test_improbable_paths_are_not_lost() -> None:
    """A label that is 1e-400 as probable as another one at a step, and the only one that may follow later."""
    between = np.array([[0.0, -np.inf], [-np.inf, 0.0]])
    transitions = Transitions(np.zeros(2), between, np.array([-np.inf, 0.0]))
    emissions = Ragged(np.array([[1000.0, 0.0], [1000.0, 0.0]]), np.array([2]))
    assert viterbi(emissions, transitions).tolist() == [1, 1]
    np.testing.assert_allclose(np.exp(log_marginals(emissions, transitions)), [[0, 1], [0, 1]])
    assert sequence_losses(emissions, np.array([1, 1]), transitions).losses.tolist() == [0.0]


def test_filtered_probabilities_are_those_of_the_prefix() -> None:
    emissions, _, transitions = example(4)
    without_end = Transitions(transitions.start, transitions.between, np.zeros(LABELS))
    for rows in rows_of(emissions):
        values = emissions.values[rows]
        before = None
        for end in range(1, len(values) + 1):
            before = log_filtered(values[end - 1 : end], before, transitions)
            prefix = Ragged(values[:end], np.array([end]))
            np.testing.assert_allclose(before[0], log_marginals(prefix, without_end)[-1], atol=1e-12)


def test_sums_of_transitions() -> None:
    _, _, transitions = example(5)
    both = transitions.scaled(0.25) + transitions.scaled(0.75)
    for name, array in both.arrays().items():
        np.testing.assert_allclose(array, getattr(transitions, name))
    assert Transitions.of(transitions.arrays("crf."), "crf.").start.tolist() == transitions.start.tolist()
    with pytest.raises(InputError, match=r"transitions: between must be \(3, 3\)"):
        Transitions(np.zeros(3), np.zeros((3, 2)), np.zeros(3))
    with pytest.raises(InputError, match="without NaN"):
        Transitions(np.full(2, np.nan), np.zeros((2, 2)), np.zeros(2))
