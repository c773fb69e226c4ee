"""Explanations of a model with n-grams: the network's part, the n-grams' part, and their sum."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.random_scores import RandomScores
from gatewise.explain import METHODS, Clamp
from gatewise.explain.attribution import attribute
from gatewise.explain.attribution.faithfulness import measure
from gatewise.explain.example import Example, predict_examples
from gatewise.explain.explanation import explain_example
from gatewise.explain.intervene import intervene
from gatewise.explain.units import units_over
from gatewise.kernels.ragged import Ragged
from gatewise.members.net import ExplainedNetwork, run_all
from gatewise.members.ngrams import Ngrams, keys_of
from gatewise.network.architecture import Architecture
from gatewise.target import log_probabilities
from tests.explain.random_net import ARCHITECTURES, names_of, parameters_of, sequence_of, steps_of, target_score

SOME = [
    "plain",
    "truncated front",
    "truncated middle",
    "pads",
    "four classes",
    "bidirectional, two layers, mean and max",
    "four classes, bidirectional",
]


def net_of(arch: Architecture, seed: int, length: int = 23) -> tuple[ExplainedNetwork, np.ndarray]:
    """A random network with n-grams, half of those of the sequence among them, and that sequence."""
    sequence, rng = sequence_of(arch, length, seed), np.random.default_rng(seed + 1)
    sequence[3:6] = sequence[length - 4 : length - 1]  # an n-gram that stands there twice
    own = np.unique(np.concatenate([keys for keys, _ in keys_of(Ragged.of([sequence]), 3)]))
    other = rng.integers(1, arch.vocab_size, 60) * 2**21 + rng.integers(1, arch.vocab_size, 60)
    keys = np.unique(np.concatenate([own[rng.random(len(own)) < 0.6], other]))
    weight = rng.normal(0.05, 0.3, (len(keys), arch.outputs)).astype(np.float32)
    return ExplainedNetwork(parameters_of(arch, seed), arch, unknown=1, linear=Ngrams(3, keys, weight)), sequence


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SOME)
def test_network_and_ngram_parts_of_every_method(name: str, method: str) -> None:
    arch = ARCHITECTURES[name]
    net, sequence = net_of(arch, 5)
    assert net.linear is not None
    found = explain_example(Example(net, sequence, steps_of(23)), method)
    assert found.linear_scores is not None
    logits = run_all(net.without_linear(), [sequence]) + net.linear.logits([sequence])
    predicted = int(logits.argmax())
    assert found.prediction == names_of(arch)[int(log_probabilities(logits)[0].argmax())]
    assert found.target_score == pytest.approx(float(target_score(logits[0], predicted)), abs=1e-6)
    added = float(target_score(net.linear.logits([sequence])[0], predicted))
    assert abs(added) > 0.1
    rows = Example(net, sequence).rows
    # the network's part is the attribution of the network without n-grams
    of_network = Example(net.without_linear(), sequence)
    of_network = of_network.with_score(Example(net, sequence).score)
    [alone] = METHODS[method].attribute([of_network], True)
    np.testing.assert_allclose(found.scores - found.linear_scores, alone.scores, atol=1e-6)
    assert found.base_value == pytest.approx(alone.base_value, abs=1e-6)
    # the n-grams' part, by its own rule
    if method == "leave-one-out":
        without = [net.linear.logits([np.delete(sequence, row)])[0] for row in rows]
        expected = added - np.array([target_score(one, predicted) for one in without])
        assert found.truncated_part == 0
    else:
        every = net.linear.attribution(sequence)
        if method == "prefix-difference":
            every = np.diff(net.linear.prefix_logits(sequence), axis=0, prepend=0)
        expected = target_score(every, predicted)[rows]
        assert found.truncated_part == pytest.approx(
            float(target_score(every, predicted).sum() - expected.sum()), abs=1e-9
        )
        assert float(found.linear_scores.sum()) + found.truncated_part == pytest.approx(added, abs=1e-6)
        assert (found.truncated > 0) == (abs(found.truncated_part) > 0)
    np.testing.assert_allclose(found.linear_scores, expected, atol=1e-6)
    whole = found.base_value + found.scores.sum() + found.truncated_part + found.residual
    assert whole == pytest.approx(found.target_score, abs=1e-9)
    if METHODS[method].adds_up:
        assert abs(found.residual) < 2e-5
    assert sum(value for _, value, _ in found.sums()[1:]) == pytest.approx(found.target_score, abs=1e-9)


def added_of(net: ExplainedNetwork, sequence: np.ndarray) -> np.ndarray:
    assert net.linear is not None
    out: np.ndarray = net.linear.logits([sequence])[0]
    return out


def test_ngrams_of_an_explanation() -> None:
    arch = ARCHITECTURES["truncated front"]
    net, sequence = net_of(arch, 6)
    found = explain_example(Example(net, sequence, steps_of(23)), "prefix-difference")
    assert sum(one.score for one in found.ngrams) == pytest.approx(float(added_of(net, sequence)[0]), abs=1e-6)
    sizes = [abs(one.score) for one in found.ngrams]
    assert sizes == sorted(sizes, reverse=True)
    assert any(one.times == 2 for one in found.ngrams)
    assert any(len(one.words) == 3 for one in found.ngrams)
    for one in found.ngrams:
        assert one.words == tuple(f"w{one.step + n}" for n in range(len(one.words)))
    shown = found.as_dict()
    np.testing.assert_allclose(np.add(shown["parts"]["network"], shown["parts"]["linear"]), found.scores, atol=1e-12)
    assert shown["ngrams"][0]["score"] == found.ngrams[0].score
    alone = explain_example(Example(net.without_linear(), sequence, steps_of(23)), "prefix-difference")
    assert alone.linear_scores is None
    assert "ngrams" not in alone.as_dict()


@pytest.mark.parametrize("name", SOME)
def test_prefix_logits_with_ngrams(name: str) -> None:
    arch = ARCHITECTURES[name]
    net, sequence = net_of(arch, 7)
    example, alone = (Example(one, sequence, steps_of(23)) for one in (net, net.without_linear()))
    assert example.linear_prefix_logits is not None
    assert alone.linear_prefix_logits is None
    np.testing.assert_allclose(example.prefix_logits, alone.prefix_logits + example.linear_prefix_logits, atol=1e-9)
    np.testing.assert_allclose(example.prefix_logits[-1], example.logits, atol=2e-5)
    np.testing.assert_allclose(example.logits, run_all(net, [sequence])[0], atol=1e-6)
    rows = Example(net, sequence).rows
    assert net.linear is not None
    for t, row in enumerate(rows, start=1):  # those complete by then, of all the text up to there
        np.testing.assert_allclose(
            example.linear_prefix_logits[t], net.linear.logits([sequence[: row + 1]])[0], atol=1e-6
        )
    np.testing.assert_allclose(example.linear_prefix_logits[0], net.linear.logits([sequence[: rows[0]]])[0], atol=1e-6)


def test_clamps_do_not_change_the_ngrams() -> None:
    arch = ARCHITECTURES["four classes"]
    net, sequence = net_of(arch, 8)
    found = intervene(Example(net, sequence, steps_of(23)), [Clamp("f", 0.0)])
    alone = intervene(Example(net.without_linear(), sequence, steps_of(23)), [Clamp("f", 0.0)])
    for side in ("before", "after"):
        example, network = getattr(found, side), getattr(alone, side)
        np.testing.assert_allclose(example.logits - network.logits, added_of(net, sequence), atol=1e-6)
    assert np.abs(found.after.logits - found.before.logits).max() > 0.01
    added = float(target_score(added_of(net, sequence), int(found.before.logits.argmax())))
    assert f"The n-grams' part of the logit, {added:+.3f}, does not change: n-grams" in found.linear_note()
    assert found.as_dict()["linear_note"] == found.linear_note()
    assert alone.linear_note() == ""
    assert "linear_note" not in alone.as_dict()


def test_ngrams_of_replaced_words_are_counted_again() -> None:
    arch = ARCHITECTURES["plain"]
    net, sequence = net_of(arch, 9)
    edited = sequence.copy()
    edited[10] = edited[10] % 20 + 2
    found = intervene(Example(net, sequence, steps_of(23)), (), (edited, [*steps_of(23)[:22], "new"]), ["w"])
    np.testing.assert_allclose(found.after.logits, run_all(net, [edited])[0], atol=1e-6)
    before, after = float(added_of(net, sequence)[0]), float(added_of(net, edited)[0])
    assert abs(before - after) > 0.01
    assert found.linear_note().endswith(f"is {before:+.3f} before and {after:+.3f} after.")


def test_deletion_scores_include_the_ngrams() -> None:
    arch = ARCHITECTURES["mean and max"]
    net, _ = net_of(arch, 10)
    sequences = [sequence_of(arch, n, 11) for n in (9, 14, 30)]
    found = measure(net, sequences, METHODS["cell-decomposition"])
    p = np.exp(log_probabilities(run_all(net, sequences))).max(axis=1)
    assert found.probability == pytest.approx(float(p.mean()), abs=1e-6)
    examples = predict_examples(net, sequences)
    half = []
    for example, attribution in zip(examples, attribute(METHODS["cell-decomposition"], examples), strict=True):
        sign = 1 if example.logits[0] > 0 else -1
        ranked = np.argsort(-sign * attribution.scores, kind="stable")
        first = ranked[: round(0.5 * len(ranked))]
        left = np.exp(log_probabilities(run_all(net, [np.delete(example.sequence, first)])))[0]
        half.append(p[len(half)] - left[int(np.exp(log_probabilities(example.logits[None]))[0].argmax())])
    np.testing.assert_allclose(found.comprehensiveness[:, -1], half, atol=1e-6)
    assert measure(net.without_linear(), sequences, METHODS["cell-decomposition"]).probability != found.probability


def test_random_scores_ignore_the_ngrams() -> None:
    arch = ARCHITECTURES["plain"]
    net, sequence = net_of(arch, 12)
    [attribution] = attribute(RandomScores(3), predict_examples(net, [sequence]))
    np.testing.assert_array_equal(attribution.scores, np.random.default_rng(3).standard_normal(23))


def test_ablation_includes_the_ngrams() -> None:
    arch = ARCHITECTURES["plain"]
    net, _ = net_of(arch, 13)
    assert net.linear is not None
    heavy = Ngrams(net.linear.order, net.linear.keys, (40 * np.abs(net.linear.weight)).astype(np.float32))
    loud = ExplainedNetwork(net.parameters, arch, unknown=1, linear=heavy)  # the n-grams decide every prediction
    sequences = [sequence_of(arch, n, 14) for n in (20, 25, 30)]
    every: dict[str, Any] = {"truth": np.array([1, 1, 0]), "classes": names_of(arch)}
    names = [steps_of(len(s)) for s in sequences]
    report = units_over(loud, sequences, names, every["truth"], every["classes"])
    assert report.accuracy == pytest.approx(2 / 3)
    assert {unit.accuracy_ablated for unit in report.units} == {report.accuracy}
    assert max(unit.probability_change for unit in report.units) < 1e-3


def test_the_note_on_ngrams_with_a_norm_does_not_speak_of_weights() -> None:
    net, sequence = net_of(ARCHITECTURES["plain"], 7)
    scale = np.ones(len(net.linear), dtype=np.float32)  # type: ignore[arg-type]
    scaled = replace(net, linear=replace(net.linear, scale=scale))  # type: ignore[type-var]
    for method in ("prefix-difference", "integrated-gradients"):
        notes = [explain_example(Example(one, sequence), method).method_note for one in (net, scaled)]
        assert ["weight" in note for note in notes] == [True, False]
