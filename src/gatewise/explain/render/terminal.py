"""Explanations, interventions and comparisons in a terminal.

Colours: blue for positive scores and orange for negative ones, which most colour-blind people can tell apart. Without
colour, marks replace them: +word+ and ++word++, -word- and --word--. User text passes through `printable`, which
removes control characters, and is never read as markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from gatewise.errors import printable
from gatewise.explain.example import Example
from gatewise.explain.explanation import Explanation
from gatewise.explain.intervene import Intervention
from gatewise.types import Array

POSITIVE, NEGATIVE = Style(color="#2a7de1"), Style(color="#c86000")
_BOLD = Style(bold=True)
_WEAK, _STRONG, _STRONGEST = 0.1, 1 / 3, 2 / 3  # shares of the largest score
_LONGEST = 40  # characters of a word that are shown
_LONGEST_NGRAM = 60
_CLOSING, _OPENING = frozenset(".,!?;:)]}%…”’"), frozenset("([{“")

TokenNoun = Literal["word", "step"]


def explanation_report(
    explanation: Explanation,
    example: Example,
    *,
    token_noun: TokenNoun = "word",
    unit: int | None = None,
    words: int = 6,
    marks: bool = False,
) -> Group:
    """The text, the prediction, the strongest words, the n-grams and one unit of the top layer.

    unit: the unit to show; None for the one with the largest contributions. words: how many of the strongest to list on
    each side, and how many steps of the unit. marks: for output without colour. Raises InputError for a unit that does
    not exist.
    """
    chosen = example.top_unit if unit is None else unit
    example.unit(chosen)  # raises before anything is drawn
    parts: list[RenderableType] = [coloured_words(explanation.steps, explanation.scores, marks), Text()]
    if explanation.truncated:
        cut = (
            f"{explanation.truncated:,} more {token_noun}s are truncated: the network reads {len(explanation.steps):,}."
        )
        parts += [Text(cut), Text()]
    parts += [*_prediction(explanation), Text(), _strongest(explanation, words, marks), Text()]
    if explanation.ngram_scores is not None:
        parts += [_ngram_parts(explanation, words, marks), Text(), _largest_ngrams(explanation, words, marks), Text()]
    parts += [unit_view(example, chosen, token_noun, words, unit is None), Text(), _gate_shares(example)]
    return Group(*parts)


def change_report(
    found: Intervention,
    *,
    token_noun: TokenNoun = "word",
    unit: int | None = None,
    words: int = 6,
    marks: bool = False,
) -> Group:
    """The change, the prediction before and after, the steps whose effect differs most, and one unit.

    unit: the unit to show; None for the one with the largest contributions before. Raises InputError for a unit that
    does not exist.
    """
    chosen = found.before.top_unit if unit is None else unit
    parts: list[RenderableType] = [
        Text.assemble(("change", _BOLD), f": {printable('; '.join(found.changes), 500)}"),
        _before_and_after(found),
        Text(),
        *_step_differences(found, token_noun, words, marks),
    ]
    for name, example in (("before", found.before), ("after", found.after)):
        parts += [Text(name, _BOLD), unit_view(example, chosen, token_noun, words), Text()]
    if found.ngram_note():
        parts += [Text(found.ngram_note()), Text()]
    if found.clamps:
        parts += [Text("The network was not trained with these clamps."), Text()]
    return Group(*parts[:-1])


def compare_report(
    found: Sequence[Explanation], *, token_noun: TokenNoun = "word", words: int = 6, marks: bool = False
) -> Group:
    """Texts one under the other, each with its prediction and its strongest steps, by the same method."""
    parts: list[RenderableType] = []
    for number, one in enumerate(found, start=1):
        logit = f", logit of {printable(one.target)} {one.logit:+.3f}"
        parts += [Text.assemble((f"{number} ", _BOLD), _prediction_line(one), logit)]
        parts += [Text("  ") + coloured_words(one.steps, one.scores, marks)]
        highest, lowest = one.strongest(words)
        places = sorted({*highest, *lowest}, key=lambda t: -abs(one.scores[t]))[:words]
        shown = (f"{printable(one.steps[t], _LONGEST)} {one.scores[t]:+.3f}" for t in places)
        parts += [Text(f"  {', '.join(shown)}; base value {one.base_value:+.3f}, residual {one.residual:+.3f}"), Text()]
    return Group(*parts, *_method_lines(found[0]))


def unit_view(
    example: Example, unit: int, token_noun: TokenNoun = "word", words: int = 6, largest: bool = False
) -> Group:
    """One unit of the top layer: its half-life, and its gates at the steps with the largest contributions.

    largest: whether it is the unit with the largest contributions. Raises InputError for a unit that does not exist.
    """
    gates, column = example.unit(unit)
    contributions = example.contributions[:, unit]
    where = f"unit {unit} (of 0 to {example.contributions.shape[1] - 1})"
    if len(example.lstms) > 1:
        where += f", layer {gates.layer + 1}, {gates.direction}"
    which = "largest contributions to the logit" if largest else "contributions to the logit"
    text = f": {which}, {np.abs(contributions).sum():.3f} in absolute sum; {half_life_text(gates.half_life()[column])}"
    table = plain_table(step="right")
    if token_noun == "word":
        table.add_column("word")
    for name in ("i", "f", "g", "o", "c", "h", "contribution"):
        table.add_column(name, justify="right")
    shown = np.argsort(-np.abs(contributions), kind="stable")[:words]
    previous = -1
    for t in sorted({0, len(contributions) - 1, *shown.tolist()}):
        if t > previous + 1:
            table.add_row(Text("…"))
        numbers = [float(getattr(gates, name)[t, column]) for name in "ifgoch"]
        step = printable(example.steps[t], _LONGEST)
        cells = [Text(f"{t + 1}"), Text(step)] if token_noun == "word" else [Text(step)]
        cells += [Text(f"{x:.3f}" if n in (0, 1, 3) else f"{x:+.3f}") for n, x in enumerate(numbers)]
        table.add_row(*cells, Text(f"{contributions[t]:+.3f}"))
        previous = t
    return Group(Text.assemble((where, _BOLD), text), table)


def coloured_words(steps: Sequence[str], scores: Array, marks: bool = False) -> Text:
    """The steps as running text, each coloured (or marked) by the sign and the size of its score (T,)."""
    text = Text()
    largest = float(np.abs(scores).max(initial=0)) or 1.0
    previous = "("  # no space before the first
    for step, score in zip(steps, scores.tolist(), strict=True):
        word, share = printable(step, _LONGEST), score / largest
        tight = not marks and (set(word) <= _CLOSING or previous in _OPENING)
        text.append("" if tight or not text else " ")
        if marks:
            mark = ("+" if share > 0 else "-") * ((abs(share) >= _WEAK) + (abs(share) >= _STRONG))
            text.append(f"{mark}{word}{mark}")
        elif abs(share) < _WEAK:
            text.append(word)
        else:
            weight = Style(bold=abs(share) >= _STRONG or None, underline=abs(share) >= _STRONGEST or None)
            text.append(word, (POSITIVE if share > 0 else NEGATIVE) + weight)
        previous = word
    return text


def half_life_text(steps: float | None) -> str:
    """The half-life of a unit's memory in words; None or infinite where it forgets nothing."""
    return "its memory does not decay" if steps is None or np.isinf(steps) else f"memory half-life {steps:.1f} steps"


def plain_table(**columns: Literal["left", "right"]) -> Table:
    """A table without lines, with a column for each heading (`_` stands for a space)."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    for heading, justify in columns.items():
        table.add_column(heading.replace("_", " "), justify=justify)
    return table


def _prediction_line(one: Explanation) -> Text:
    side = POSITIVE if one.prediction == one.target else NEGATIVE
    return Text.assemble((printable(one.prediction), side + _BOLD), f", {one.probability_note}")


def _method_lines(one: Explanation) -> Iterator[Text]:
    yield Text.assemble((one.method, _BOLD), f": {one.method_note}")
    yield Text(one.faithfulness_note())


def _prediction(one: Explanation) -> Iterator[RenderableType]:
    yield Text("Prediction: ") + _prediction_line(one)
    table = plain_table(name="left", value="right", note="left")
    for name, value, note in one.sums():
        table.add_row(Text(printable(name)), f"{value:+.0e}" if 0 < abs(value) < 5e-4 else f"{value:+.3f}", note)
    table.show_header = False
    yield table
    yield from _method_lines(one)


def _strongest(one: Explanation, words: int, marks: bool) -> Table:
    sides = one.strongest(words)
    two = one.target == one.classes[-1] and len(one.classes) == 2
    names = (printable(one.target), printable(one.classes[0]) if two else "other classes")
    table = plain_table()
    for name, mark, style in zip(names, "+-", (POSITIVE, NEGATIVE), strict=True):
        table.add_column(f"{f'{mark} ' * marks}for {name}", style=None if marks else style)
        table.add_column("", justify="right")
    for n in range(max(map(len, sides))):
        cells: list[Text] = []
        for side in sides:
            here = n < len(side)
            cells.append(Text(printable(one.steps[side[n]], _LONGEST) if here else ""))
            cells.append(Text(f"{one.scores[side[n]]:+.3f}" if here else ""))
        table.add_row(*cells)
    return table


def _ngram_parts(one: Explanation, count: int, marks: bool) -> Table:
    """The `count` words with the largest absolute scores, divided into the network's and the n-grams' part."""
    assert one.ngram_scores is not None
    table = plain_table(strongest_words="left", score="right", network="right")
    table.add_column("n-grams", justify="right")
    for t in np.argsort(-np.abs(one.scores), kind="stable")[:count].tolist():
        parts = (one.scores[t], one.scores[t] - one.ngram_scores[t], one.ngram_scores[t])
        table.add_row(Text(f"{t + 1} {printable(one.steps[t], _LONGEST)}"), *(_signed(x, marks) for x in parts))
    return table


def _largest_ngrams(one: Explanation, count: int, marks: bool) -> Table:
    table = plain_table()
    table.add_column(f"largest of {len(one.ngrams):,} n-grams")
    for heading in ("count", "score"):
        table.add_column(heading, justify="right")
    for ngram in one.ngrams[:count]:
        words = printable(" ".join(ngram.words), _LONGEST_NGRAM)
        table.add_row(Text(words), str(ngram.times), _signed(ngram.score, marks))
    return table


def _gate_shares(example: Example) -> Table:
    table = plain_table()
    table.add_column("gate values of all units and steps")
    for heading in ("below 0.1", "0.1 to 0.9", "above 0.9"):
        table.add_column(heading, justify="right")
    names = {"i": "input gate i", "f": "forget gate f", "o": "output gate o"}
    for gate, share in example.gate_shares().items():
        table.add_row(names[gate], *(f"{part:.1%}" for part in share))
    return table


def _before_and_after(found: Intervention) -> Table:
    table = plain_table()
    table.add_column("")
    for heading in ("before", "after", "change"):
        table.add_column(heading, justify="right")
    (one, two), names = found.probabilities(), found.predictions()
    table.add_row("prediction", *(Text(printable(name)) for name in names), "")
    for k in range(1 if len(found.classes) == 2 else 0, len(found.classes)):
        label = f"probability of {printable(found.classes[k])}"
        table.add_row(Text(label), f"{one[k]:.4f}", f"{two[k]:.4f}", f"{two[k] - one[k]:+.4f}")
    before, after = found.target_scores()
    label = f"logit of {printable(found.classes[found.before.target])}"
    table.add_row(Text(label), f"{before:+.3f}", f"{after:+.3f}", f"{after - before:+.3f}")
    return table


def _step_differences(found: Intervention, token_noun: TokenNoun, words: int, marks: bool) -> Iterator[RenderableType]:
    """The steps whose prefix difference changes most; of other words, both texts coloured by prefix difference."""
    before, after = (np.diff(side) for side in found.prefix_scores())
    if found.before.steps != found.after.steps:
        yield Text(f"Text before and after ({'marked' if marks else 'coloured'} by prefix-difference):")
        yield Text("  ") + coloured_words(found.before.steps, before, marks)
        yield Text("  ") + coloured_words(found.after.steps, after, marks)
        yield Text()
        return
    table = plain_table()
    table.add_column(f"prefix difference of {token_noun}")
    for heading in ("before", "after", "change"):
        table.add_column(heading, justify="right")
    for t in sorted(np.argsort(-np.abs(after - before), kind="stable")[:words].tolist()):
        step = printable(found.before.steps[t], _LONGEST)
        name = Text(f"{t + 1} {step}" if token_noun == "word" else step)
        table.add_row(name, f"{before[t]:+.3f}", f"{after[t]:+.3f}", _signed(after[t] - before[t], marks))
    yield table
    yield Text()


def _signed(value: float, marks: bool) -> Text:
    return Text(f"{value:+.3f}", Style() if marks else POSITIVE if value > 0 else NEGATIVE)
