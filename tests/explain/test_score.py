"""What is explained: a class, a class against another, a label, a number; by every method, with a linear model too."""

from typing import Any

import numpy as np
import pytest

from gatewise.explain import METHODS, Clamp, method_named
from gatewise.explain.attribution.faithfulness import measure
from gatewise.explain.example import Example
from gatewise.explain.explanation import Explanation, explain_example
from gatewise.explain.intervene import intervene
from gatewise.explain.render.html import plain_table
from gatewise.explain.render.terminal import explanation_report
from gatewise.explain.serialize import prefix_json
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.network.architecture import Architecture
from gatewise.target import Target, target_of
from gatewise.types import Faithfulness
from tests.explain import random_net
from tests.explain.random_net import CHANNELS, TOKENS, printed, sequence_of
from tests.refusals import assert_refused
from tests.training.test_new_member import Length

LENGTH = 13
LABELS = target_of(("a", "b", "c"), task="multilabel", thresholds=(0.2, 0.9, 0.5))
NUMBERS = target_of(("price", "size"), task="regression")
CLASSES = target_of(("w", "x", "y", "z"))


def example_of(target: Target, seed: int = 5, **more: Any) -> Example:
    series = target.task == "regression"
    arch = Architecture.stacked(**(CHANNELS if series else TOKENS), outputs=target.outputs, pooling="mean+max")
    return random_net.example_of(arch, LENGTH, seed, unknown=None if series else 1, target=target, **more)


def explanation_of(example: Example, method: str, target: int | None = None, against: int | None = None) -> Explanation:
    score = example.ensemble.target.score(example.logits, target, against)
    return explain_example(example.with_score(score), method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("of", "target", "against", "weights"),
    [
        (CLASSES, 2, 1, [0, -1, 1, 0]),
        (CLASSES, 3, None, [-0.25, -0.25, -0.25, 0.75]),
        (LABELS, 1, None, [0, 1, 0]),
        (NUMBERS, 1, None, [0, 1]),
    ],
)
def test_the_score_is_a_linear_combination_of_the_logits(
    of: Target, target: int, against: int | None, weights: list[float], method: str
) -> None:
    example = example_of(of)
    found = explanation_of(example, method, target, against)
    expected = float(example.logits @ np.array(weights))
    assert found.target_score == pytest.approx(expected, abs=1e-9)
    total = found.base_value + found.scores.sum() + found.residual
    assert total == pytest.approx(expected, abs=1e-9)
    if method_named(method).adds_up:
        assert abs(found.residual) < 5e-6
    [empty] = example.ensemble.logits([example.sequence[:0]])
    if method in ("leave-one-out", "prefix-difference"):
        assert found.base_value == pytest.approx(float(empty @ np.array(weights)), abs=1e-5)
    assert (found.target, found.against) == (of.classes[target], None if against is None else of.classes[against])
    assert ("logit" in found.method_note) == (of is not NUMBERS)


def test_scores_are_linear_in_the_choice() -> None:
    """The scores for x against y are those for x against all minus those for y against all."""
    example = example_of(CLASSES)
    for method in ("prefix-difference", "cell-decomposition", "leave-one-out"):
        x, y, both = (explanation_of(example, method, *pair) for pair in ((1, None), (2, None), (1, 2)))
        np.testing.assert_allclose(both.scores, x.scores - y.scores, atol=1e-6)


def test_defaults() -> None:
    classes, labels = example_of(CLASSES), example_of(LABELS)
    assert classes.score.target == int(classes.logits.argmax())
    assert labels.score.target == int(labels.logits.argmax())
    assert example_of(NUMBERS).score.target == 0
    best = int(classes.logits.argmax())
    other = CLASSES.score(classes.logits, against=best)
    assert other.target == int(np.argsort(-classes.logits)[1]), "the most probable of the others"
    two = target_of(("no", "yes"))
    assert two.score(np.array([-3.0])).target == 1, "a single logit favours classes[1]"
    assert two.score(np.array([2.0]), against=1).weights.tolist() == [-1]
    assert two.score(np.array([2.0]), target=0)(np.array([2.0])) == -2


def test_predictions_in_words_and_as_data() -> None:
    p = np.array([0.25, 0.6, 0.7])
    assert LABELS.text(LABELS.decide(p[None])[0]) == "a, c"
    assert LABELS.text(np.zeros(3, dtype=np.int64)) == "no label"
    found = LABELS.record(LABELS.decide(p[None])[0], p)
    assert found == {"prediction": ["a", "c"], "probabilities": {"a": 0.25, "b": 0.6, "c": 0.7}}
    assert NUMBERS.text(np.array([12345.6, -0.00123])) == "price 12,346, size -0.00123"
    assert target_of(("price",), task="regression").text(np.array([3.2])) == "3.2"
    assert NUMBERS.record(np.array([1.5, 2.0]), None) == {"prediction": {"price": 1.5, "size": 2.0}}


def test_a_threshold_decides_the_prediction_of_an_explanation() -> None:
    p = float(random_net.example_of("plain").probabilities[1])
    for threshold, expected in ((p - 0.01, "yes"), (p + 0.01, "no")):
        target = target_of(("no", "yes"), thresholds=(threshold,))
        found = random_net.explanation_of("plain", "prefix-difference", target=target)
        assert found.prediction == expected
        assert found.favours_prediction == (expected == "yes")
    of, logits = target_of(("a", "b", "c"), thresholds=(1.0, 1.0, 0.1)), np.array([1.0, 0.5, 0.0])
    assert of.score(logits).target == of.predicted(logits[None])[0] == 2
    assert of.score(logits, against=2).target == 0


def test_a_regression_of_a_small_unit_shows_its_numbers() -> None:
    example = example_of(target_of(("price",), task="regression"))
    parameters = dict(example.lstm.parameters)
    for name in ("dense.weight", "dense.bias"):
        parameters[name] = parameters[name] * np.float32(1e-6)
    example = Example(example.ensemble.with_lstm(parameters=parameters), example.sequence, example.names)
    found = explain_example(example, "prefix-difference", {"prefix-difference": Faithfulness(3e-7, 1e-7, 9)})
    assert "moves back by 3e-07 without" in found.faithfulness_note()
    exact = np.array(prefix_json(example)["score"])
    np.testing.assert_allclose(exact, example.score(example.prefix_logits), rtol=1e-3)
    shown = printed(explanation_report(found, example))
    top = max(found.scores, key=abs)
    assert f"{top:+.4g}" in shown
    assert f"{top:+.4g}" in plain_table(found)
    assert f"effect on the prediction, {example.effects[example.top_unit]:+.4g}, the sum of its contributions" in shown


def test_an_intervention_keeps_the_score() -> None:
    example = example_of(CLASSES)
    example = example.with_score(CLASSES.score(example.logits, 2, 0))
    found = intervene(example, [Clamp("f", 0.0)])
    before, after = found.before.target_score, found.after.target_score
    assert before == pytest.approx(example.logits[2] - example.logits[0])
    assert after == pytest.approx(found.after.logits[2] - found.after.logits[0])
    numbers = intervene(example_of(NUMBERS), [Clamp("f", 0.0)]).as_dict()
    assert numbers["before"]["prediction"] != numbers["after"]["prediction"]
    assert "probabilities" not in numbers["before"]


@pytest.mark.parametrize(("scale", "said"), [(30.0, True), (0.02, False)])
def test_a_line_says_when_the_lstm_hardly_took_part(scale: float, said: bool) -> None:
    other = Length(scale * np.array([0.8, 1.3]))
    found = explain_example(example_of(NUMBERS, other=other), "prefix-difference")
    lstm, length = (abs(float(part.scores.sum())) for part in found.parts)
    share = lstm / (lstm + length)
    assert found.lstm_share == pytest.approx(share)
    assert bool(found.lstm_note()) == said == (share < 0.1)
    if said:
        assert f"The LSTM contributed {share:.0%} of this score, the length" in found.lstm_note()
    assert explain_example(example_of(NUMBERS), "prefix-difference").lstm_note() == ""


def test_faithfulness_of_a_regression_is_in_its_unit() -> None:
    example = example_of(NUMBERS)
    net = example.ensemble
    sequences = [EncodedSequence(sequence_of(net.lstm.arch, n, n)) for n in (7, 12, 20, 31)]
    found = measure(net, sequences, method_named("prefix-difference"))
    numbers = net.logits(sequences)[:, 0]
    [[base, _]] = net.logits([sequences[0][:0]])
    sign = np.where(numbers < base, -1, 1)
    attribution = [explain_example(Example(net, s), "prefix-difference").scores for s in sequences]
    half = []
    for s, scores, one, number in zip(sequences, attribution, sign, numbers, strict=True):
        first = np.argsort(-one * scores, kind="stable")[: round(0.5 * len(s))]
        [[left, _]] = net.logits([s[np.delete(np.arange(len(s)), first)]])
        half.append(one * (number - left))
    np.testing.assert_allclose(found.comprehensiveness[:, -1], half, atol=1e-5)


def test_errors() -> None:
    logits = np.array([0.3, 0.2, 0.1, 0.0])
    assert_refused("the target and the class to compare with are the same: 'x'", CLASSES.score, logits, 1, 1)
    assert_refused("is for classification; the model's task is multilabel", LABELS.score, logits[:3], 1, 0)
    assert_refused("there is no class 'q'; the classes are 'w', 'x', 'y', 'z'", CLASSES.index, "q")
    assert example_of(NUMBERS).probabilities is None


@pytest.mark.parametrize("target", [LABELS, NUMBERS, CLASSES], ids=lambda target: target.task)
def test_an_explanation_is_printed_with_the_score_of_each_step(target: Target) -> None:
    found = explain_example(example_of(target), "leave-one-out")
    lines = str(found).splitlines()
    assert lines[0].startswith(found.prediction)
    assert lines[0].endswith("; method leave-one-out")
    assert [line.split()[-1] for line in lines[-LENGTH:]] == [f"{score:+.4f}" for score in found.scores]
    assert len(lines) == 1 + len(found.sums()) + LENGTH
