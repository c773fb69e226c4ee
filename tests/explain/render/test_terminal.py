"""The terminal report: right numbers, with and without colour, and no control character or markup of the user."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from gatewise.explain.example import Example
from gatewise.explain.explanation import Explanation, explain_example
from gatewise.explain.render.terminal import NEGATIVE, POSITIVE, coloured_words, explanation_report
from gatewise.target import target_of
from gatewise.types import Faithfulness
from tests.explain.random_net import ARCHITECTURES, example_of, names_of, printed
from tests.refusals import assert_refused

LENGTH = 14
SGR = re.compile(r"\x1b\[[0-9;]*m")  # what sets a colour, and nothing else
HOSTILE = [
    "\x1b[2J\x1b[31mred",
    "\x1b]0;title\x07",
    "back\b\b\b",
    "\r\nnew line\tand tab",
    "\u202edetrevni\u2066",
    "[red]markup[/red]",
    ":smile:",
    "\x9b31m",
    "zero\u200bwidth",
    "w" * 500,
    "[/]",
    "<b>&amp;",
    "",
    "\ud800",
]


def opened(
    name: str, steps: Sequence[str] | None = None, classes: Sequence[str] | None = None, method: str | None = None
) -> tuple[Explanation, Example]:
    target = target_of(tuple(classes or names_of(ARCHITECTURES[name])))
    example = example_of(name, LENGTH, steps=steps, target=target)
    return explain_example(example, method), example


def drawn(found: Explanation, example: Example, colour: bool = False, width: int = 120, **options: Any) -> str:
    system: Any = "truecolor" if colour else None
    report = explanation_report(found, example, marks=not colour, **options)
    return printed(report, width=width, force_terminal=colour, color_system=system, no_color=not colour)


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("name", ["plain", "bidirectional", "four classes"])
def test_hostile_text_does_nothing(name: str, colour: bool) -> None:
    classes = [f"{word[:20]}{n}" for n, word in enumerate(HOSTILE)][: len(names_of(ARCHITECTURES[name]))]
    shown = drawn(*opened(name, HOSTILE, classes), colour=colour)
    assert colour or "\x1b" not in shown
    shown = SGR.sub("", shown)
    left = {ch for ch in shown if not ch.isprintable() and ch != "\n"}
    assert not left
    assert "[red]markup[/red]" in shown
    assert ":smile:" in shown
    assert "w" * 41 not in shown
    shown.encode("utf-8")


@pytest.mark.parametrize("marks", [False, True])
def test_words_are_coloured_by_sign_and_size(marks: bool) -> None:
    found, _ = opened("pads")
    text = coloured_words(found.steps, found.scores, marks)
    highest = np.abs(found.scores).max()
    assert len({np.sign(score) for score in found.scores}) == 2
    for step, score in zip(found.steps, found.scores, strict=True):
        share = abs(score) / highest
        if marks:
            mark = ("+" if score > 0 else "-") * (int(share >= 0.1) + int(share >= 1 / 3))
            assert f" {mark}{step}{mark} " in f" {text.plain} "
            continue
        place = re.search(rf"\b{step}\b", text.plain)
        styles = [span.style for span in text.spans if span.start == place.start()]
        colour = (POSITIVE if score > 0 else NEGATIVE).color if share >= 0.1 else None
        style = styles[0] if styles else None
        assert getattr(style, "color", None) == colour
        assert bool(getattr(style, "bold", False)) == (share >= 1 / 3)


def test_punctuation_is_spaced_as_in_a_text() -> None:
    steps = ["well", ",", "(", "not", "bad", ")", "!!!", "he", "said", "don't", ".", "a", "b", "c"]
    assert coloured_words(steps, opened("plain", steps)[0].scores).plain == "well, (not bad)!!! he said don't. a b c"


def rows_of(shown: str) -> list[list[str]]:
    return [line.split() for line in shown.splitlines()]


@pytest.mark.parametrize("name", ["plain", "bidirectional, two layers, mean and max", "binary"])
def test_the_applied_gates_are_those_of_the_example(name: str) -> None:
    found, example = opened(name)
    for unit in range(example.contributions.shape[1]):
        gates, column = example.unit(unit)
        rows = rows_of(drawn(found, example, unit=unit, words=3))
        head = rows.index(["step", "word", "i", "f", "g", "o", "c", "h", "contribution"])
        steps = []
        for row in rows[head + 1 :]:
            if not row:
                break
            if row == ["…"]:
                continue
            t = int(row[0]) - 1
            steps.append(t)
            assert row[1] == example.steps[t]
            expected = [getattr(gates, part)[t, column] for part in "ifgoch"] + [example.contributions[t, unit]]
            np.testing.assert_allclose([float(x) for x in row[2:]], expected, atol=5.01e-4)
        last = len(example.steps) - 1
        moved = sorted(range(last + 1), key=lambda t: -abs(example.contributions[t, unit]))[:3]
        assert steps == sorted({0, last, *moved})


def test_the_unit_shown_has_the_largest_effect() -> None:
    """The effect is the sum of the contributions, not of their absolute values."""
    found, example = opened("bidirectional, two layers, mean and max")
    most = example.top_unit
    sums = [sum(example.contributions[:, k]) for k in range(example.contributions.shape[1])]
    assert abs(sums[most]) == max(abs(x) for x in sums)
    assert np.abs(example.contributions).sum(axis=0).argmax() != most, "the two definitions agree here: choose a seed"
    shown = " ".join(drawn(found, example).split())
    assert f"unit {most} (of 0 to 11), layer 2," in shown
    assert f"largest effect on the logit, {sums[most]:+.3f}, the sum of its contributions" in shown
    other = (most + 1) % 12
    shown = " ".join(drawn(found, example, unit=other).split())
    assert f"unit {other} (of 0 to 11)" in shown
    assert f": effect on the logit, {sums[other]:+.3f}, the sum" in shown
    assert_refused("unit must be from 0 to 11, not 12", drawn, found, example, unit=12)


def test_prediction_and_attribution_are_shown() -> None:
    found, example = opened("pads")
    shown = drawn(found, example)
    assert f"{found.prediction}, probability {found.probabilities.max():.4f}" in shown
    assert re.search(rf"logit of class 1 +{re.escape(f'{found.target_score:+.3f}')}", shown)
    assert re.search(rf"base value +{re.escape(f'{found.base_value:+.3f}')} +{found.base_value_note}", shown)
    assert re.search(rf"steps +{re.escape(f'{found.scores.sum():+.3f}')} +sum of the scores", shown)
    assert re.search(rf"residual +{re.escape(f'{found.residual:+.3f}')} +what the scores leave out", shown)
    assert found.method_note in " ".join(shown.split())
    assert "need not add up" in " ".join(shown.split())
    assert "The faithfulness of this method to this model has not been measured." in " ".join(shown.split())
    exact, _ = opened("pads", method="prefix-difference")
    shown = " ".join(drawn(exact, example).split())
    assert re.search(r"residual \S+ rounding", shown)
    measured = dataclasses.replace(exact, faithfulness=Faithfulness(0.4321, 0.0987, 60))
    shown = " ".join(drawn(measured, example).split())
    assert "on 60 validation sequences: the probability of the prediction falls by 0.43 without" in shown
    assert "and by 0.10 with only these steps" in shown


def test_the_strongest_words_are_listed_with_scores() -> None:
    found, example = opened("plain")
    rows = rows_of(drawn(found, example, words=2))
    head = rows.index(["+", "for", "class", "1", "-", "for", "class", "0"])
    positive, negative = found.strongest(2)
    for n in range(2):
        expected = [(found.steps[t], f"{found.scores[t]:+.3f}") for t in (positive[n], negative[n])]
        assert rows[head + 1 + n] == [*expected[0], *expected[1]]


def test_of_several_classes() -> None:
    found, example = opened("four classes")
    shown = drawn(found, example)
    score = re.escape(f"{found.target_score:+.3f}")
    assert re.search(rf"logit of {found.prediction} +{score} +minus the mean of all logits", shown)
    assert f"+ for {found.prediction}" in shown
    assert "- for other classes" in shown


def test_truncation_is_reported() -> None:
    assert "5 more words are truncated: the network reads 9." in drawn(*opened("truncated middle"))
    assert "truncated" not in drawn(*opened("plain"))


def test_the_shares_of_the_gates() -> None:
    found, example = opened("binary")
    share = example.gate_shares()["f"]
    assert share.between == 0
    row = next(row for row in rows_of(drawn(found, example)) if row[:2] == ["forget", "gate"])
    assert row == ["forget", "gate", "f", f"{share.below:.1%}", "0.0%", f"{share.above:.1%}"]


def test_it_fits_a_narrow_terminal() -> None:
    shown = drawn(*opened("bidirectional"), width=72)
    assert max(len(line) for line in shown.splitlines()) <= 72
