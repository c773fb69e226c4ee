"""Explanations of a model with n-grams: the network's part, the n-grams' part, and their sum."""

from dataclasses import replace

import numpy as np
import pytest

from gatewise.explain import METHODS, Clamp, method_named
from gatewise.explain.example import Example
from gatewise.explain.explanation import explain_example
from gatewise.explain.intervene import intervene
from gatewise.explain.units import units_over
from gatewise.losses import log_probabilities
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.ensemble import Ensemble
from gatewise.members.ngrams import Ngrams, keys_of
from gatewise.network.architecture import Architecture
from gatewise.ragged import joined
from tests.explain.random_net import (
    ARCHITECTURES,
    explained,
    names_of,
    parameters_of,
    sequence_of,
    steps_of,
    target_score,
)

WEIGHTS = (0.7, 1.3)
SOME = [
    "plain",
    "truncated front",
    "truncated middle",
    "pads",
    "four classes",
    "bidirectional, two layers, mean and max",
    "four classes, bidirectional",
]


def net_of(arch: Architecture, seed: int, length: int = 23) -> tuple[Ensemble, np.ndarray]:
    """A random network with n-grams, half of those of the sequence among them, and that sequence."""
    sequence, rng = sequence_of(arch, length, seed), np.random.default_rng(seed + 1)
    sequence[3:6] = sequence[length - 4 : length - 1]  # an n-gram that stands there twice
    own = np.unique(np.concatenate([keys for keys, _ in keys_of(*joined([sequence]), 3)]))
    other = rng.integers(1, arch.vocab_size, 60) * 2**21 + rng.integers(1, arch.vocab_size, 60)
    keys = np.unique(np.concatenate([own[rng.random(len(own)) < 0.6], other]))
    weight = rng.normal(0.05, 0.3, (len(keys), arch.outputs)).astype(np.float32)
    net = explained(parameters_of(arch, seed), arch, unknown=1, other=Ngrams(3, keys, weight))
    return replace(net, weights=WEIGHTS), sequence


def logits_of(net: Ensemble, sequence: np.ndarray) -> np.ndarray:
    """Of the n-grams, with their weight."""
    return np.asarray(WEIGHTS[1] * net.get("ngrams").logits([sequence])[0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SOME)
def test_network_and_ngram_parts_of_every_method(name: str, method: str) -> None:
    arch = ARCHITECTURES[name]
    net, sequence = net_of(arch, 5)
    found = explain_example(Example(net, EncodedSequence(sequence), steps_of(23)), method)
    of_lstm, of_ngrams = found.parts
    assert (of_lstm.name, of_ngrams.name) == ("LSTM", "n-grams")
    assert (of_lstm.weight, of_ngrams.weight) == WEIGHTS
    logits = WEIGHTS[0] * net.lstm.logits([sequence]) + logits_of(net, sequence)
    predicted = int(logits.argmax())
    assert found.prediction == names_of(arch)[int(log_probabilities(logits)[0].argmax())]
    assert found.target_score == pytest.approx(float(target_score(logits[0], predicted)), abs=1e-6)
    added = float(target_score(logits_of(net, sequence), predicted))
    assert abs(added) > 0.1
    rows = Example(net, EncodedSequence(sequence)).rows
    # the LSTM's part is its own attribution times its weight
    of_network = Example(net.alone(), EncodedSequence(sequence))
    of_network = of_network.with_score(Example(net, EncodedSequence(sequence)).score)
    [alone] = method_named(method).attribute([of_network], True)
    np.testing.assert_allclose(of_lstm.scores, WEIGHTS[0] * alone.scores, atol=5e-4 if "integrated" in method else 1e-6)
    assert found.base_value == pytest.approx(WEIGHTS[0] * alone.base_value, abs=1e-6)
    # the n-grams' part, by its own rule
    if method == "leave-one-out":
        without = [logits_of(net, np.delete(sequence, row)) for row in rows]
        expected = added - np.array([target_score(one, predicted) for one in without])
        assert found.truncated_part == 0
    else:
        every = net.get("ngrams").attribution(sequence)
        if method == "prefix-difference":
            every = np.diff(net.get("ngrams").prefix_logits(sequence), axis=0)
        each = WEIGHTS[1] * target_score(every, predicted)
        expected = each[rows]
        assert found.truncated_part == pytest.approx(float(each.sum() - expected.sum()), abs=1e-9)
        assert float(of_ngrams.scores.sum()) + found.truncated_part == pytest.approx(added, abs=1e-6)
        assert (found.truncated > 0) == (abs(found.truncated_part) > 0)
    np.testing.assert_allclose(of_ngrams.scores, expected, atol=1e-6)
    np.testing.assert_allclose(found.scores, of_lstm.scores + of_ngrams.scores, atol=1e-12)
    whole = found.base_value + found.scores.sum() + found.truncated_part + found.residual
    assert whole == pytest.approx(found.target_score, abs=1e-9)
    if method_named(method).adds_up:
        assert abs(found.residual) < 2e-5
    assert sum(value for _, value, _ in found.sums()[1:]) == pytest.approx(found.target_score, abs=1e-9)


def test_phrases_of_an_explanation() -> None:
    arch = ARCHITECTURES["truncated front"]
    net, sequence = net_of(arch, 6)
    found = explain_example(Example(net, EncodedSequence(sequence), steps_of(23)), "prefix-difference")
    assert sum(one.score for one in found.phrases) == pytest.approx(float(logits_of(net, sequence)[0]), abs=1e-6)
    sizes = [abs(one.score) for one in found.phrases]
    assert sizes == sorted(sizes, reverse=True)
    assert any(one.times == 2 for one in found.phrases)
    assert any(len(one.words) == 3 for one in found.phrases)
    for one in found.phrases:
        assert one.words == tuple(f"w{one.step + n}" for n in range(len(one.words)))
    shown = found.as_dict()
    np.testing.assert_allclose(np.sum([one["scores"] for one in shown["members"]], axis=0), found.scores, atol=1e-12)
    assert [one["weight"] for one in shown["members"]] == list(WEIGHTS)
    assert shown["phrases"][0]["score"] == found.phrases[0].score
    alone = explain_example(
        Example(net.alone(), EncodedSequence(sequence), steps_of(23)), "prefix-difference"
    ).as_dict()
    assert alone["members"] == [{"name": "LSTM", "weight": 1.0}]
    assert "phrases" not in alone


@pytest.mark.parametrize("name", SOME)
def test_prefix_logits_with_ngrams(name: str) -> None:
    arch = ARCHITECTURES[name]
    net, sequence = net_of(arch, 7)
    example, alone = (Example(one, EncodedSequence(sequence), steps_of(23)) for one in (net, net.alone()))
    others = example.other_prefix_logits
    assert not alone.other_prefix_logits.any()
    np.testing.assert_allclose(example.prefix_logits, WEIGHTS[0] * alone.prefix_logits + others, atol=1e-9)
    np.testing.assert_allclose(example.prefix_logits[-1], example.logits, atol=2e-5)
    np.testing.assert_allclose(example.logits, net.logits([EncodedSequence(sequence)])[0], atol=1e-6)
    rows = Example(net, EncodedSequence(sequence)).rows
    for t, row in enumerate(rows, start=1):  # those complete by then, of all the text up to there
        np.testing.assert_allclose(others[t], logits_of(net, sequence[: row + 1]), atol=1e-6)
    np.testing.assert_allclose(others[0], logits_of(net, sequence[: rows[0]]), atol=1e-6)


def test_clamps_do_not_change_the_ngrams() -> None:
    arch = ARCHITECTURES["four classes"]
    net, sequence = net_of(arch, 8)
    found = intervene(Example(net, EncodedSequence(sequence), steps_of(23)), [Clamp("f", 0.0)])
    alone = intervene(Example(net.alone(), EncodedSequence(sequence), steps_of(23)), [Clamp("f", 0.0)])
    for side in ("before", "after"):
        example, network = getattr(found, side), getattr(alone, side)
        np.testing.assert_allclose(example.logits - WEIGHTS[0] * network.logits, logits_of(net, sequence), atol=1e-6)
    assert np.abs(found.after.logits - found.before.logits).max() > 0.01
    added = float(target_score(logits_of(net, sequence), int(found.before.logits.argmax())))
    assert f"The part of the n-grams in the logit, {added:+.3f}, does not change" in found.others_note()
    assert found.as_dict()["others_note"] == found.others_note()
    assert alone.others_note() == ""
    assert "others_note" not in alone.as_dict()


def test_ngrams_of_replaced_words_are_counted_again() -> None:
    arch = ARCHITECTURES["plain"]
    net, sequence = net_of(arch, 9)
    edited = sequence.copy()
    edited[10] = edited[10] % 20 + 2
    example, names = Example(net, EncodedSequence(sequence), steps_of(23)), [*steps_of(23)[:22], "new"]
    found = intervene(example, (), (EncodedSequence(edited), names), ["w"])
    np.testing.assert_allclose(found.after.logits, net.logits([EncodedSequence(edited)])[0], atol=1e-6)
    before, after = float(logits_of(net, sequence)[0]), float(logits_of(net, edited)[0])
    assert abs(before - after) > 0.01
    assert found.others_note().endswith(f"is {before:+.3f} before and {after:+.3f} after.")


def test_ablation_includes_the_ngrams() -> None:
    arch = ARCHITECTURES["plain"]
    net, _ = net_of(arch, 13)
    ngrams = net.get("ngrams")
    heavy = Ngrams(ngrams.order, ngrams.keys, (40 * np.abs(ngrams.weight)).astype(np.float32))
    loud = explained(net.lstm.parameters, arch, unknown=1, other=heavy)  # the n-grams decide every prediction
    sequences = [EncodedSequence(sequence_of(arch, n, 14)) for n in (20, 25, 30)]
    names = [steps_of(len(s)) for s in sequences]
    report = units_over(loud, sequences, names, np.array([1, 1, 0]), names_of(arch))
    assert report.accuracy == pytest.approx(2 / 3)
    assert {unit.accuracy_ablated for unit in report.units} == {report.accuracy}
    assert max(unit.probability_change for unit in report.units) < 1e-3


def test_the_note_on_ngrams_with_a_norm_does_not_speak_of_weights() -> None:
    net, sequence = net_of(ARCHITECTURES["plain"], 7)
    ngrams = net.get("ngrams")
    scaled = net.with_member("ngrams", replace(ngrams, scale=np.ones(len(ngrams), dtype=np.float32)))
    for method in ("prefix-difference", "integrated-gradients"):
        notes = [explain_example(Example(one, EncodedSequence(sequence)), method).method_note for one in (net, scaled)]
        assert ["weight" in note for note in notes] == [True, False]
