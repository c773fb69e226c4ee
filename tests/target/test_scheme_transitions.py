"""The transitions of label schemes, against all short sequences of labels."""

from itertools import pairwise, product
from typing import get_args

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.ragged import Ragged
from gatewise.target import StepTarget, TargetConfig
from gatewise.target.crf import Transitions
from gatewise.target.label_schemes import convert_scheme, scheme_of
from gatewise.target.scheme_transitions import Scheme, reaches_every_length, scheme_transitions

CLASSES: dict[Scheme, tuple[str, ...]] = {
    "IOB1": ("I-Y", "O", "B-X", "I-X"),
    "IOB2": ("I-Y", "O", "B-X", "I-X", "B-Y"),
    "BIOES": ("B-Y", "O", "S-X", "I-X", "E-X", "B-X", "E-Y"),
    "BILOU": ("B-Y", "O", "U-X", "I-X", "L-X", "B-X", "L-Y"),
}
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)


def _target(scheme: Scheme) -> StepTarget:
    """With random transitions."""
    classes = CLASSES[scheme]
    rng = np.random.default_rng(2)
    count = len(classes)
    transitions = Transitions(rng.normal(size=count), rng.normal(size=(count, count)), rng.normal(size=count))
    return StepTarget(classes, scheme=scheme).with_transitions(transitions)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_allowed_sequences_are_those_that_the_scheme_writes(scheme: Scheme) -> None:
    classes = CLASSES[scheme]
    transitions = scheme_transitions(scheme, classes)
    for length in (1, 2, 3):
        for path in product(range(len(classes)), repeat=length):
            score = transitions.start[path[0]] + transitions.end[path[-1]]
            score += sum(transitions.between[before, after] for before, after in pairwise(path))
            labels = [classes[label] for label in path]
            assert np.isfinite(score) == (convert_scheme([labels], scheme) == [labels]), labels


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_prediction_of_random_logits_breaks_the_scheme(scheme: Scheme) -> None:
    target = _target(scheme)
    rng = np.random.default_rng(5)
    lengths = rng.integers(1, 9, size=200)
    logits = Ragged(rng.normal(scale=5, size=(int(lengths.sum()), len(target.classes))), lengths)
    predicted = target.labels(logits)
    assert convert_scheme(predicted, scheme) == predicted
    unconstrained = StepTarget(target.classes, transitions=Transitions.zeros(len(target.classes))).labels(logits)
    assert convert_scheme(unconstrained, scheme) != unconstrained
    marginals = target.probabilities(logits)
    np.testing.assert_allclose(marginals.values.sum(axis=1), 1)
    # No sequence begins with a label that goes on with an entity.
    forbidden = ~np.isfinite(scheme_transitions(scheme, target.classes).start)
    first = np.cumsum(np.concatenate([[0], lengths[:-1]]))
    assert forbidden.any()
    assert marginals.values[first][:, forbidden].max() < 1e-300


def test_a_target_takes_the_scheme_of_its_labels_and_stores_it() -> None:
    target = StepTarget(("B-X", "E-X", "O"))
    labels = Ragged(np.array([0, 1, 2, 2]), np.array([3, 1]))
    bioes = target.with_scheme_of(labels)
    assert bioes.scheme == "BIOES"
    assert TargetConfig.of(bioes).target().scheme == "BIOES"
    assert repr(bioes) != repr(target)
    broken = Ragged(np.array([0, 2, 2, 2]), np.array([3, 1]))
    assert target.with_scheme_of(broken).scheme is None
    assert "scheme" not in TargetConfig.of(target).as_dict()


def test_a_scheme_without_labels_for_one_step_constrains_nothing() -> None:
    assert scheme_of([["B-X", "E-X"]]) == "BIOES"
    assert not reaches_every_length(scheme_transitions("BIOES", ("B-X", "E-X")))
    target = StepTarget(("B-X", "E-X"))
    assert target.with_scheme_of(Ragged(np.array([0, 1]), np.array([2]))).scheme is None
    with pytest.raises(InputError, match="stands alone"):
        StepTarget(("B-X", "E-X"), scheme="BIOES")


def test_classes_of_another_scheme_are_refused() -> None:
    with pytest.raises(InputError, match="'S-X' is no label of IOB2"):
        StepTarget(("S-X", "O"), scheme="IOB2")
    with pytest.raises(InputError, match="only a class per step"):
        TargetConfig(("no", "yes"), scheme="IOB2")
