"""Prefix differences add up to the logit; leave-one-out and deletion scores equal predicting the edited sequences."""

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.explain import METHODS, method_named
from gatewise.explain.attribution.faithfulness import SHARES, DeletionScores, choose, measure, sample
from gatewise.explain.attribution.method import attribute
from gatewise.explain.example import predict_examples
from gatewise.explain.explanation import explain_example
from gatewise.losses import log_probabilities
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.ensemble import Ensemble
from gatewise.network.batch import Batch, truncate
from gatewise.network.forward import forward
from gatewise.network.ops import Ops
from gatewise.target import target_of
from gatewise.types import Faithfulness
from tests.explain.attribution import test_ngrams
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
        ensemble_of("four classes", target=target_of(("x", "y")))


LENGTHS = [14, 1, 27, 9]


def net_of(name: str) -> Ensemble:
    if name == "n-grams":
        return test_ngrams.net_of(ARCHITECTURES["mean and max"], 10)[0]
    return ensemble_of(name, unknown=2 if ARCHITECTURES[name].inputs == "tokens" else None)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["pads", "four classes, bidirectional", "truncated middle", "series", "n-grams"])
def test_scores_equal_deleting_and_keeping_one_text_at_a_time(name: str, method: str) -> None:
    net = net_of(name)
    sequences = [sequence_of(net.lstm.arch, length, 7) for length in LENGTHS]
    found = measure(net, list(map(EncodedSequence, sequences)), method_named(method))
    assert found.comprehensiveness.shape == found.sufficiency.shape == (len(LENGTHS), len(SHARES))
    for n, sequence in enumerate(sequences):
        [whole] = predict_examples(net, [EncodedSequence(sequence)])
        read = whole.read
        [example] = predict_examples(net, [EncodedSequence(read)])
        [attribution] = attribute(method_named(method), [example])
        p = np.exp(log_probabilities(example.logits[None]))[0]
        predicted = int(p.argmax())
        favours = attribution.scores if net.lstm.arch.outputs > 1 or predicted == 1 else -attribution.scores
        for k, share in enumerate(SHARES):
            first = sorted(range(len(read)), key=lambda t: -favours[t])[: max(1, round(share * len(read)))]
            rest = [t for t in range(len(read)) if t not in first]
            for keep, got in ((rest, found.comprehensiveness), (sorted(first), found.sufficiency)):
                after = np.exp(log_probabilities(net.logits([EncodedSequence(read[keep])])))[0][predicted]
                assert got[n, k] == pytest.approx(p[predicted] - after, abs=1e-5)
    assert found.faithfulness.comprehensiveness == pytest.approx(found.comprehensiveness.mean())
    assert found.faithfulness.n == len(LENGTHS)


def results(**each: list[float]) -> dict[str, DeletionScores]:
    return {
        name.replace("_", "-"): DeletionScores(np.array(values)[:, None], np.zeros((len(values), 1)))
        for name, values in each.items()
    }


def test_the_first_method_as_good_as_the_best_is_chosen() -> None:
    wide = [0.1, 0.9, 0.3, 0.7]
    assert (
        choose(results(prefix_difference=[0.2] * 4, cell_decomposition=wide, leave_one_out=[0.2, 0.8, 0.5, 0.6]))
        == "cell-decomposition"
    )
    # As spread, but behind by the same amount everywhere: that is a difference.
    assert choose(results(cell_decomposition=wide, leave_one_out=[x + 0.05 for x in wide])) == "leave-one-out"
    assert choose(results(cell_decomposition=wide, leave_one_out=[x - 0.05 for x in wide])) == "cell-decomposition"


def test_the_sample_is_small_and_the_same_each_time() -> None:
    lengths = [300, 0, 20, 40, 900] * 50
    rows = sample(lengths)
    assert rows == sample(lengths)
    assert len(set(rows)) == len(rows) <= 60
    assert all(lengths[row] for row in rows)
    assert sum(lengths[row] ** 2 for row in rows) <= 2_000_000
    assert sample([5000]) == [0]
    assert sample([0]) == []
