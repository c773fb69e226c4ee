"""Explanations, interventions, comparisons and summaries of units in a terminal.

Colours: blue for positive scores and orange for negative ones, which most colour-blind people can tell apart. Without
colour, marks replace them: +word+ and ++word++, -word- and --word--. User text passes through `printable`, which
removes control characters, and is never read as markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from gatewise.errors import counted, printable
from gatewise.explain.example import Example
from gatewise.explain.explanation import Explanation
from gatewise.explain.score import score_text, sum_text
from gatewise.target import Target
from gatewise.types import Array

if TYPE_CHECKING:
    from gatewise.explain.intervene import Intervention
    from gatewise.explain.units import Excerpt, UnitsReport, UnitSummary

POSITIVE, NEGATIVE = Style(color="#2a7de1"), Style(color="#c86000")
_BOLD = Style(bold=True)
_WEAK, _STRONG, _STRONGEST = 0.1, 1 / 3, 2 / 3  # shares of the largest score
# Characters of a word that are shown.
_LONGEST, _LONGEST_IN_EXCERPT, _LONGEST_NGRAM = 40, 24, 60
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

    unit: the unit to show; None for the one with the largest effect. words: how many of the strongest to list on
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
    if len(explanation.parts) > 1:
        parts += [_members(explanation, token_noun, words, marks), Text()]
    if explanation.phrases:
        parts += [_largest_phrases(explanation, words, marks), Text()]
    if note := example.ensemble.lstm_note():
        parts += [Text(note), Text()]
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

    unit: the unit to show; None for one that is clamped, else the one with the largest effect before. Raises InputError
    for a unit that does not exist.
    """
    chosen = found.shown_unit if unit is None else unit
    parts: list[RenderableType] = [
        Text.assemble(("change", _BOLD), f": {printable('; '.join(found.changes), 500)}"),
        _before_and_after(found),
        Text(),
        *_step_differences(found, token_noun, words, marks),
    ]
    if note := found.before.ensemble.lstm_note():
        parts += [Text(note), Text()]
    for name, example in (("before", found.before), ("after", found.after)):
        parts += [Text(name, _BOLD), unit_view(example, chosen, token_noun, words), Text()]
    if found.others_note():
        parts += [Text(found.others_note()), Text()]
    if found.clamps:
        parts += [Text("The network was not trained with these clamps."), Text()]
    return Group(*parts[:-1])


def compare_report(
    found: Sequence[Explanation], *, token_noun: TokenNoun = "word", words: int = 6, marks: bool = False
) -> Group:
    """Texts one under the other, each with its prediction and its strongest steps, by the same method."""
    parts: list[RenderableType] = []
    for number, one in enumerate(found, start=1):
        name = printable(one.score.name(one.of)) + (f" minus that of {printable(one.against)}" if one.against else "")
        score = f", {name} {score_text(one.of, one.target_score)}" * (one.of.task != "regression")
        parts += [Text.assemble((f"{number} ", _BOLD), _prediction_line(one), score)]
        parts += [Text("  ") + coloured_words(one.steps, one.scores, marks)]
        if one.lstm_note():
            parts.append(Text(f"  {one.lstm_note()}"))
        highest, lowest = one.strongest(words)
        places = sorted({*highest, *lowest}, key=lambda t: -abs(one.scores[t]))[:words]
        shown = (f"{printable(one.steps[t], _LONGEST)} {score_text(one.of, one.scores[t])}" for t in places)
        base_value, residual = (score_text(one.of, value) for value in (one.base_value, one.residual))
        parts += [Text(f"  {', '.join(shown)}; base value {base_value}, residual {residual}"), Text()]
    return Group(*parts, *_method_lines(found[0]))


def unit_view(
    example: Example, unit: int, token_noun: TokenNoun = "word", words: int = 6, largest: bool = False
) -> Group:
    """One unit of the top layer: its effect on the score, which is the sum of its contributions, its half-life, and its
    gates at the steps with the largest contributions.

    largest: whether it is the unit with the largest effect. Raises InputError for a unit that does not exist.
    """
    gates, column = example.unit(unit)
    contributions = example.contributions[:, unit]
    where = f"unit {unit} (of 0 to {example.contributions.shape[1] - 1})"
    if len(example.lstms) > 1:
        where += f", layer {gates.layer + 1}, {gates.direction}"
    of, effect = example.ensemble.target, score_text(example.ensemble.target, float(example.effects[unit]))
    which = f"{'largest ' * largest}effect on the {example.ensemble.score_noun}, {effect}, the sum of its contributions"
    text = f": {which}; {_half_life_text(gates.half_life()[column])}"
    numbers = (*"ifgoch", "contribution")
    word = token_noun == "word"
    table = _table("rlrrrrrrr", "step", "word", *numbers) if word else _table("rrrrrrrr", "step", *numbers)
    shown = np.argsort(-np.abs(contributions), kind="stable")[:words]
    previous = -1
    for t in sorted({0, len(contributions) - 1, *shown.tolist()}):
        if t > previous + 1:
            table.add_row(Text("…"))
        values = [float(getattr(gates, name)[t, column]) for name in "ifgoch"]
        step = printable(example.steps[t], _LONGEST)
        cells = [Text(f"{t + 1}"), Text(step)] if word else [Text(step)]
        cells += [Text(f"{x:.3f}" if n in (0, 1, 3) else f"{x:+.3f}") for n, x in enumerate(values)]
        table.add_row(*cells, Text(score_text(of, contributions[t])))
        previous = t
    return Group(Text.assemble((where, _BOLD), text), table)


def units_report(report: UnitsReport, *, count: int = 10, marks: bool = False) -> Group:
    """The `count` units whose ablation changes the predictions most, and where their memory rises and falls."""
    data = f"{report.n:,} of {printable(report.data, 300)}"
    head = f"{data}; accuracy {report.accuracy:.4f} with all {counted(len(report.units), 'unit')}"
    headings = ("unit", "accuracy if ablated", "probability change", "half-life", "memory rises at", "memory falls at")
    table = _table("rrrrll", *headings)
    for summary in sorted(report.units, key=lambda one: -one.probability_change)[:count]:
        life = "no decay" if summary.half_life is None else f"{summary.half_life:.1f}"
        rises, falls = _words_at(summary.rises, marks, POSITIVE), _words_at(summary.falls, marks, NEGATIVE)
        ablated = (f"{summary.accuracy_ablated:.4f}", f"{summary.probability_change:.4f}")
        table.add_row(f"{summary.unit}", *ablated, life, rises, falls)
    note = "A unit can be ablated without loss if other units carry the same information."
    return Group(Text(head), Text(), table, Text(), Text(note))


def unit_report(report: UnitsReport, unit: int, *, marks: bool = False) -> Group:
    """The summary of one unit. Raises InputError for a unit that does not exist."""
    return Group(*_unit(report, report.unit(unit), marks))


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


def _half_life_text(steps: float | None) -> str:
    """The half-life of a unit's memory in words; None or infinite where it forgets nothing."""
    return "its memory does not decay" if steps is None or np.isinf(steps) else f"memory half-life {steps:.1f} steps"


def _table(justify: str, *headings: str) -> Table:
    """A table without lines. justify: `l` (left) or `r` (right) for each column."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    for side, heading in zip(justify, headings, strict=True):
        table.add_column(heading, justify="left" if side == "l" else "right")
    return table


def _prediction_line(one: Explanation) -> Text:
    side = POSITIVE if one.favours_prediction else NEGATIVE
    note = f", {one.probability_note}" if one.probability_note else ""
    return Text.assemble((printable(one.prediction, 200), side + _BOLD), note)


def _method_lines(one: Explanation) -> Iterator[Text]:
    yield Text.assemble((one.method, _BOLD), f": {one.method_note}")
    yield Text(one.faithfulness_note())


def _prediction(one: Explanation) -> Iterator[RenderableType]:
    yield Text("Prediction: ") + _prediction_line(one)
    if one.lstm_note():
        yield Text(one.lstm_note())
    table = _table("lrl", "name", "value", "note")
    for name, value, note in one.sums():
        table.add_row(Text(printable(name)), sum_text(one.of, value), note)
    table.show_header = False
    yield table
    yield from _method_lines(one)


def _strongest(one: Explanation, words: int, marks: bool) -> Table:
    sides = one.strongest(words)
    table = _table("")
    for name, mark, style in zip(_sides(one), "+-", (POSITIVE, NEGATIVE), strict=True):
        table.add_column(Text(f"{f'{mark} ' * marks}{name}"), style=None if marks else style)
        table.add_column("", justify="right")
    for n in range(max(map(len, sides))):
        cells: list[Text] = []
        for side in sides:
            here = n < len(side)
            cells.append(Text(printable(one.steps[side[n]], _LONGEST) if here else ""))
            cells.append(Text(score_text(one.of, one.scores[side[n]]) if here else ""))
        table.add_row(*cells)
    return table


def _sides(one: Explanation) -> tuple[str, str]:
    """What positive and negative scores mean, as headings."""
    if one.of.task == "regression":
        return "increases the prediction", "decreases the prediction"
    target = printable(one.target, _LONGEST)
    if one.of.task == "multilabel":
        return f"for {target}", f"against {target}"
    other = one.against
    if len(one.classes) == 2:
        other = one.classes[1 - one.score.target]
    return f"for {target}", "for other classes" if other is None else f"for {printable(other, _LONGEST)}"


def _members(one: Explanation, token_noun: TokenNoun, count: int, marks: bool) -> Table:
    """The `count` steps with the largest absolute scores, divided into the parts of the members."""
    names = (f"{part.name} x {part.weight:.2f}" for part in one.parts)
    table = _table("lr" + "r" * len(one.parts), f"strongest {token_noun}s", "score", *names)
    for t in np.argsort(-np.abs(one.scores), kind="stable")[:count].tolist():
        step = printable(one.steps[t], _LONGEST)
        name = f"{t + 1} {step}" if token_noun == "word" else step
        scores = (one.scores[t], *(part.scores[t] for part in one.parts))
        table.add_row(Text(name), *(_signed(one.of, x, marks) for x in scores))
    return table


def _largest_phrases(one: Explanation, count: int, marks: bool) -> Table:
    table = _table("lrr", f"largest of {len(one.phrases):,} n-grams", "count", "score")
    for phrase in one.phrases[:count]:
        words = printable(" ".join(phrase.words), _LONGEST_NGRAM)
        table.add_row(Text(words), str(phrase.times), _signed(one.of, phrase.score, marks))
    return table


def _gate_shares(example: Example) -> Table:
    table = _table("lrrr", "gate values of all units and steps", "below 0.1", "0.1 to 0.9", "above 0.9")
    names = {"i": "input gate i", "f": "forget gate f", "o": "output gate o"}
    for gate, share in example.gate_shares().items():
        table.add_row(names[gate], *(f"{part:.1%}" for part in share))
    return table


def _before_and_after(found: Intervention) -> Table:
    table = _table("lrrr", "", "before", "after", "change")
    of = found.of
    table.add_row("prediction", *(Text(printable(name)) for name in found.predictions()), "")
    if of.task != "regression":
        one, two = found.probabilities()
        for k in _shown_classes(one, two):
            label = f"probability of {printable(of.classes[k])}"
            table.add_row(Text(label), f"{one[k]:.4f}", f"{two[k]:.4f}", f"{two[k] - one[k]:+.4f}")
    before, after = found.target_scores()
    label = printable(found.before.score.name(of))
    table.add_row(Text(label), *(score_text(of, value) for value in (before, after, after - before)))
    return table


def _shown_classes(one: Array, two: Array) -> list[int]:
    """Of two classes the second; of more all up to six, else the three most probable ones before and after."""
    if len(one) <= 6:
        return list(range(1 if len(one) == 2 else 0, len(one)))
    return sorted({int(k) for p in (one, two) for k in np.argsort(-p, kind="stable")[:3]})


def _step_differences(found: Intervention, token_noun: TokenNoun, words: int, marks: bool) -> Iterator[RenderableType]:
    """The steps whose prefix difference changes most; of other words, both texts coloured by prefix difference."""
    before, after = (np.diff(side) for side in found.prefix_scores())
    if found.before.steps != found.after.steps:
        yield Text(f"Text before and after ({'marked' if marks else 'coloured'} by prefix-difference):")
        yield Text("  ") + coloured_words(found.before.steps, before, marks)
        yield Text("  ") + coloured_words(found.after.steps, after, marks)
        yield Text()
        return
    table = _table("lrrr", f"prefix difference of {token_noun}", "before", "after", "change")
    for t in sorted(np.argsort(-np.abs(after - before), kind="stable")[:words].tolist()):
        step = printable(found.before.steps[t], _LONGEST)
        name = Text(f"{t + 1} {step}" if token_noun == "word" else step)
        both = (score_text(found.of, side[t]) for side in (before, after))
        table.add_row(name, *both, _signed(found.of, after[t] - before[t], marks))
    yield table
    yield Text()


def _signed(of: Target, value: float, marks: bool) -> Text:
    return Text(score_text(of, value), Style() if marks else POSITIVE if value > 0 else NEGATIVE)


def _unit(report: UnitsReport, summary: UnitSummary, marks: bool) -> Iterator[RenderableType]:
    from gatewise.members.clamp import GATE_NAMES

    data = f" over {report.n:,} of {printable(report.data, 300)}"
    yield Text.assemble((f"unit {summary.unit}", Style(bold=True)), data)
    yield Text(
        f"accuracy {summary.accuracy_ablated:.4f} if ablated, {report.accuracy:.4f} otherwise; mean change of the "
        f"predicted class's probability {summary.probability_change:.4f}; {_half_life_text(summary.half_life)}"
    )
    for excerpts, verb, style in ((summary.rises, "rises", POSITIVE), (summary.falls, "falls", NEGATIVE)):
        if excerpts:
            yield Text(f"\nexcerpts where its memory {verb} most")
            yield _excerpts(excerpts, Style() if marks else style, marks)
    if summary.top_words:
        yield Text(
            f"\nwords with the highest and lowest mean gate values, among words with {report.minimum} or more uses"
        )
        table = _table("lll", "gate", "top words", "bottom words")
        for gate, name in GATE_NAMES.items():
            sides = (summary.top_words.get(gate, ()), summary.bottom_words.get(gate, ()))
            cells = (
                ", ".join(f"{printable(one.word, _LONGEST_IN_EXCERPT)} {one.mean:.2f}" for one in side)
                for side in sides
            )
            table.add_row(f"{name} {gate}", *map(Text, cells))
        yield table


def _excerpts(excerpts: tuple[Excerpt, ...], style: Style, marks: bool) -> Table:
    table = _table("rll", "change", "label", "words")
    table.show_header = False
    for excerpt in excerpts:
        words = Text()
        for place, word in enumerate(excerpt.words):
            here, shown = place == excerpt.place, printable(word, _LONGEST_IN_EXCERPT)
            words.append(" " if place else "")
            words.append(f"[{shown}]" if here and marks else shown, style if here else Style())
        table.add_row(f"{excerpt.change:+.3f}", Text(printable(excerpt.label, _LONGEST_IN_EXCERPT)), words)
    return table


def _words_at(excerpts: tuple[Excerpt, ...], marks: bool, style: Style) -> Text:
    words = list(dict.fromkeys(printable(one.words[one.place], _LONGEST_IN_EXCERPT) for one in excerpts))[:3]
    return Text(", ".join(words), Style() if marks else style)
