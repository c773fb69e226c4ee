"""Explanations, interventions, comparisons and summaries of units in a terminal.

Colours: blue for positive scores and orange for negative ones, which most colour-blind people can tell apart. Without
colour, marks replace them: +word+ and ++word++, -word- and --word--. User text passes through `printable`, which
removes control characters, and is never read as markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from gatewise.errors import counted, printable
from gatewise.explain.example import Example
from gatewise.explain.explanation import Explanation
from gatewise.members.clamp import ALL_GATE_NAMES
from gatewise.system.console import plain_table
from gatewise.types import Array

if TYPE_CHECKING:
    from gatewise.explain.intervene import Intervention
    from gatewise.explain.units import UnitsReport

POSITIVE = Style(color="#2a7de1")  # both have a contrast above 4 on black and on white
NEGATIVE = Style(color="#c86000")
_BOLD = Style(bold=True)
# Shares of the largest score.
_WEAK = 0.1
_STRONG = 1 / 3
_STRONGEST = 2 / 3
# Characters of a word that are shown.
_LONGEST = 40
_LONGEST_IN_EXCERPT = 24
_LONGEST_NGRAM = 60
# Marks without a space before them, and after them.
_CLOSING = frozenset(".,!?;:)]}%…”’")
_OPENING = frozenset("([{“")


def explanation_report(
    explanation: Explanation, example: Example, *, unit: int | None = None, words: int = 6, marks: bool = False
) -> Group:
    """The text, the prediction, the strongest words, the n-grams and one unit of the top layer.

    unit: the unit to show; None for the one with the largest effect. words: how many of the strongest to list on
    each side, and how many steps of the unit. marks: for output without colour. Raises InputError for a unit that does
    not exist.
    """
    one, noun = explanation, explanation.token_noun
    blocks: list[RenderableType] = [coloured_words(one.steps, one.scores, marks)]
    if one.labels is not None:
        pairs = (f"{printable(step, _LONGEST)}/{label}" for step, label in zip(one.steps, one.labels, strict=True))
        blocks.append(Text(f"Labels: {' '.join(pairs)}"))
    if one.truncated:
        blocks.append(f"{one.truncated:,} more {noun}s are truncated: the network reads {len(one.steps):,}.")
    sums = plain_table("lrl")
    for name, value, note in one.sums():
        sums.add_row(Text(printable(name)), one.of.sum_text(value), Text(note))
    lstm_note = [Text(one.lstm_note())] if one.lstm_note() else []
    of_step = "" if one.step is None else f" for {noun} {one.step + 1}, {printable(one.steps[one.step], _LONGEST)}"
    blocks.append(Group(Text(f"Prediction{of_step}: ") + _prediction(one), *lstm_note, sums, _method_note(one)))
    blocks.append(_strongest(one, words, marks))
    if len(one.parts) > 1:
        names = [f"{part.name} x {part.weight:.2f}" for part in one.step_parts]
        table = plain_table("lr" + "r" * len(names), f"strongest {noun}s", "score", *names)
        for t in _largest(one.scores, words):
            scores = [one.scores[t], *(part.scores[t] for part in one.step_parts)]
            table.add_row(_step(one.steps, t, noun), *(_signed(one.of.score_text(x), x, marks) for x in scores))
        blocks.append(table)
    if one.phrases:
        table = plain_table("lrr", f"largest of {len(one.phrases):,} n-grams", "count", "score")
        for phrase in one.phrases[:words]:
            score = _signed(one.of.score_text(phrase.score), phrase.score, marks)
            table.add_row(Text(printable(" ".join(phrase.words), _LONGEST_NGRAM)), str(phrase.times), score)
        blocks.append(table)
    if note := example.ensemble.lstm_note():
        blocks.append(note)
    if not example.network.layers and unit is None:
        return _spaced(blocks)
    blocks.append(unit_view(example, example.top_unit if unit is None else unit, words, unit is None))
    gates = plain_table("lrrr", "gate values of all units and steps", "below 0.1", "0.1 to 0.9", "above 0.9")
    for gate, shares in example.gate_shares().items():
        gates.add_row(f"{ALL_GATE_NAMES[gate]} gate {gate}", *(f"{share:.1%}" for share in shares))
    return _spaced([*blocks, gates])


def change_report(found: Intervention, *, unit: int | None = None, words: int = 6, marks: bool = False) -> Group:
    """The change, the prediction before and after, the steps whose effect differs most, and one unit.

    unit: the unit to show; None for one that is clamped, else the one with the largest effect before. Raises InputError
    for a unit that does not exist.
    """
    of, before, after = found.of, found.before, found.after
    chosen = found.shown_unit if unit is None else unit
    table = plain_table("lrrr", "", "before", "after", "change")
    decisions = [of.decision_text(example.predicted, example.probabilities) for example in (before, after)]
    table.add_row("prediction", *(Text(printable(decision)) for decision in decisions), "")
    one, two = before.probabilities, after.probabilities
    if one is not None and two is not None:
        shown = list(range(1 if len(one) == 2 else 0, len(one)))  # of two classes the second; of many the most probable
        if len(one) > 6:
            shown = sorted({*_largest(one, 3), *_largest(two, 3)})
        for k in shown:
            label = Text(f"probability of {printable(of.classes[k])}")
            table.add_row(label, f"{one[k]:.4f}", f"{two[k]:.4f}", f"{two[k] - one[k]:+.4f}")
    difference = after.target_score - before.target_score
    scores = (before.target_score, after.target_score, difference)
    table.add_row(Text(printable(before.score.name)), *map(of.score_text, scores))
    change = Text.assemble(("change", _BOLD), f": {printable('; '.join(found.changes), 500)}")
    blocks: list[RenderableType] = [Group(change, table), _step_differences(found, words, marks)]
    if note := before.ensemble.lstm_note():
        blocks.append(note)
    for name, example in (("before", before), ("after", after)):
        blocks.append(Group(Text(name, _BOLD), unit_view(example, chosen, words)))
    if others_note := found.others_note():
        blocks.append(others_note)
    if found.clamps:
        blocks.append("The network was not trained with these clamps.")
    return _spaced(blocks)


def compare_report(found: Sequence[Explanation], *, words: int = 6, marks: bool = False) -> Group:
    """Texts one under the other, each with its prediction and its strongest steps, by the same method."""
    blocks: list[RenderableType] = []
    for number, one in enumerate(found, start=1):
        name = printable(one.score.name)
        if one.against:
            name += f" minus that of {printable(one.against)}"
        score = ""
        if one.probabilities is not None:  # else the prediction is the score
            score = f", {name} {one.of.score_text(one.target_score)}"
        parts = [Text.assemble((f"{number} ", _BOLD), _prediction(one), score)]
        parts.append(Text("  ") + coloured_words(one.steps, one.scores, marks))
        if one.lstm_note():
            parts.append(Text(f"  {one.lstm_note()}"))
        highest, lowest = one.strongest(words)
        places = sorted({*highest, *lowest}, key=lambda t: -abs(one.scores[t]))[:words]
        shown = (f"{printable(one.steps[t], _LONGEST)} {one.of.score_text(one.scores[t])}" for t in places)
        base_value, residual = (one.of.score_text(value) for value in (one.base_value, one.residual))
        parts.append(Text(f"  {', '.join(shown)}; base value {base_value}, residual {residual}"))
        blocks.append(Group(*parts))
    return _spaced([*blocks, _method_note(found[0])])


def unit_view(example: Example, unit: int, words: int = 6, largest: bool = False) -> Group:
    """One unit of the top layer: its effect on the score, which is the sum of its contributions, its half-life, and its
    gates at the steps with the largest contributions.

    largest: whether it is the unit with the largest effect. Raises InputError for a unit that does not exist.
    """
    gates, column = example.unit(unit)
    of = example.ensemble.target.each
    noun = of.score_noun
    if example.contributions is None:
        contributions = gates.memory_changes()[:, column]
        effect = f"{example.network.no_effect}; the steps at which its memory changes most"
        last_column = f"change of {gates.memory}"
    else:
        contributions = example.contributions[:, unit]
        total = of.score_text(float(contributions.sum()))
        effect = f"{'largest ' * largest}effect on the {noun}, {total}, the sum of its contributions"
        last_column = "contribution"
    where = f"unit {unit} (of 0 to {example.network.layers[-1].size - 1})"
    if len(example.lstms) > 1:
        where += f", layer {gates.layer + 1}, {gates.direction}"
    if name := example.network.layers[gates.layer].name:
        where += f" of {printable(name, 40)}"
    text = f": {effect}; {_half_life(gates.half_life()[column])}"
    if example.ensemble.token_noun == "word":
        table = plain_table("rl" + "r" * (len(gates.names) + 1), "step", "word", *gates.names, last_column)
    else:
        table = plain_table("r" * (len(gates.names) + 2), "step", *gates.names, last_column)
    previous = -1
    for t in sorted({0, len(contributions) - 1, *_largest(contributions, words)}):
        if t > previous + 1:
            table.add_row("…")
        previous = t
        step = [Text(printable(example.steps[t], _LONGEST))]
        if example.ensemble.token_noun == "word":
            step.insert(0, Text(f"{t + 1}"))  # the name of a step of a series is its number
        values = [_gate_text(name, getattr(gates, name)[t, column]) for name in gates.names]
        table.add_row(*step, *values, of.score_text(contributions[t]))
    return Group(Text.assemble((where, _BOLD), text), table)


def _gate_text(name: str, value: float) -> str:
    """The value of a gate or a state: the gates i, f and o are between 0 and 1, the others have a sign."""
    if name in "iforz":
        return f"{value:.3f}"
    return f"{value:+.3f}"


def units_report(report: UnitsReport, *, count: int = 10, marks: bool = False) -> Group:
    """The `count` units whose ablation changes the predictions most, and where their memory rises and falls."""
    data = f"{report.n:,} of {printable(report.data, 300)}"
    head = f"{data}; accuracy {report.accuracy:.4f} with all {counted(len(report.units), 'unit')}"
    headings = ("unit", "accuracy if ablated", "probability change", "half-life", "memory rises at", "memory falls at")
    table = plain_table("rrrrll", *headings)
    for one in sorted(report.units, key=lambda one: -(one.probability_change or 0))[:count]:
        life = "no decay"
        if one.half_life is not None:
            life = f"{one.half_life:.1f}"
        at = []
        for excerpts, style in ((one.rises, POSITIVE), (one.falls, NEGATIVE)):
            words = dict.fromkeys(printable(part.words[part.place], _LONGEST_IN_EXCERPT) for part in excerpts)
            at.append(Text(", ".join([*words][:3]), Style() if marks else style))
        ablated = ("–" if value is None else f"{value:.4f}" for value in (one.accuracy_ablated, one.probability_change))
        table.add_row(f"{one.unit}", *ablated, life, *at)
    note = "A unit can be ablated without loss if other units carry the same information."
    return _spaced([Text(head), table, note])


def unit_report(report: UnitsReport, unit: int, *, marks: bool = False) -> Group:
    """The summary of one unit. Raises InputError for a unit that does not exist."""
    one = report.unit(unit)
    ablated = ""
    if one.accuracy_ablated is not None and one.probability_change is not None:
        ablated = (
            f"accuracy {one.accuracy_ablated:.4f} if ablated, {report.accuracy:.4f} otherwise; mean change of the "
            f"predicted class's probability {one.probability_change:.4f}; "
        )
    parts: list[RenderableType] = [
        Text.assemble((f"unit {unit}", _BOLD), f" over {report.n:,} of {printable(report.data, 300)}"),
        Text(f"{ablated}{_half_life(one.half_life)}"),
    ]
    for excerpts, verb, style in ((one.rises, "rises", POSITIVE), (one.falls, "falls", NEGATIVE)):
        if excerpts:
            table = plain_table("rll")
            for excerpt in excerpts:
                words = Text()
                for place, word in enumerate(excerpt.words):
                    shown = printable(word, _LONGEST_IN_EXCERPT)
                    if place:
                        words.append(" ")
                    if place != excerpt.place:
                        words.append(shown)
                    elif marks:
                        words.append(f"[{shown}]")
                    else:
                        words.append(shown, style)
                table.add_row(f"{excerpt.change:+.3f}", Text(printable(excerpt.label, _LONGEST_IN_EXCERPT)), words)
            parts += [Text(f"\nexcerpts where its memory {verb} most"), table]
    if one.top_words:
        table = plain_table("lll", "gate", "top words", "bottom words")
        for gate in one.top_words:
            name = ALL_GATE_NAMES.get(gate, "change of memory")
            sides = (
                ", ".join(
                    f"{printable(word.word, _LONGEST_IN_EXCERPT)} {word.mean:.2f}" for word in words.get(gate, ())
                )
                for words in (one.top_words, one.bottom_words)
            )
            table.add_row(f"{name} {gate}", *map(Text, sides))
        uses = f"among words with {report.minimum} or more uses"
        parts += [Text(f"\nwords with the highest and lowest mean gate values, {uses}"), table]
    return Group(*parts)


def coloured_words(steps: Sequence[str], scores: Array, marks: bool = False) -> Text:
    """The steps as running text, each coloured (or marked) by the sign and the size of its score (T,)."""
    text = Text()
    largest = float(np.abs(scores).max(initial=0)) or 1.0
    previous = "("  # no space before the first
    for step, score in zip(steps, scores.tolist(), strict=True):
        word = printable(step, _LONGEST)
        share = score / largest
        # Marks such as +word+ need a space between a word and its punctuation, colours do not.
        tight = not marks and (set(word) <= _CLOSING or previous in _OPENING)
        if text and not tight:
            text.append(" ")
        if marks:
            mark = _mark(share)
            text.append(f"{mark}{word}{mark}")
        else:
            text.append(word, _style(share))
        previous = word
    return text


def _mark(share: float) -> str:
    """What stands on both sides of a word in place of a colour: "", + or ++, - or --."""
    sign = "+" if share > 0 else "-"
    if abs(share) < _WEAK:
        return ""
    if abs(share) < _STRONG:
        return sign
    return sign * 2


def _style(share: float) -> Style:
    """The colour of a word; large shares are bold, the largest ones underlined."""
    if abs(share) < _WEAK:
        return Style()
    colour = POSITIVE if share > 0 else NEGATIVE
    return colour + Style(bold=abs(share) >= _STRONG or None, underline=abs(share) >= _STRONGEST or None)


def _spaced(blocks: Sequence[RenderableType]) -> Group:
    """The blocks with an empty line between them. A str is text, not markup."""
    parts: list[RenderableType] = []
    for block in blocks:
        parts += [Text(), Text(block) if isinstance(block, str) else block]
    return Group(*parts[1:])


def _largest(values: Array, count: int) -> list[int]:
    """The places of the `count` largest absolute values, the largest first."""
    return [int(place) for place in np.argsort(-np.abs(values), kind="stable")[:count]]


def _step(steps: Sequence[str], t: int, noun: str) -> Text:
    """The name of a step, for words with its number."""
    return Text(f"{t + 1} " * (noun == "word") + printable(steps[t], _LONGEST))


def _signed(text: str, value: float, marks: bool) -> Text:
    if marks:
        return Text(text)
    return Text(text, POSITIVE if value > 0 else NEGATIVE)


def _half_life(steps: float | None) -> str:
    """The half-life of a unit's memory in words; None or infinite where it forgets nothing."""
    return "its memory does not decay" if steps is None or np.isinf(steps) else f"memory half-life {steps:.1f} steps"


def _prediction(one: Explanation) -> Text:
    side = POSITIVE if one.favours_prediction else NEGATIVE
    note = f", {one.probability_note}" if one.probability_note else ""
    return Text.assemble((printable(one.decision, 200), side + _BOLD), note)


def _method_note(one: Explanation) -> Text:
    return Text.assemble((one.method, _BOLD), f": {one.method_note}\n{one.faithfulness_note()}")


def _strongest(one: Explanation, words: int, marks: bool) -> Table:
    """The words with the largest positive and negative scores, side by side."""
    names = one.of.side_names(one.score, lambda name: printable(name, _LONGEST))
    sides, mark = one.strongest(words), ("+ ", "- ") if marks else ("", "")
    table = plain_table("lrlr", Text(mark[0] + names[0]), "", Text(mark[1] + names[1]), "")
    if not marks:
        table.columns[0].style, table.columns[2].style = POSITIVE, NEGATIVE
    for n in range(max(map(len, sides))):
        cells: list[str | Text] = []
        for side in sides:
            here = side[n : n + 1]
            cells += [Text(printable(one.steps[t], _LONGEST)) for t in here] or [""]
            cells += [one.of.score_text(one.scores[t]) for t in here] or [""]
        table.add_row(*cells)
    return table


def _step_differences(found: Intervention, words: int, marks: bool) -> RenderableType:
    """The steps whose prefix difference changes most; of other words, both texts coloured by prefix difference."""
    before, after = (np.diff(one.score(one.prefix_logits)) for one in (found.before, found.after))
    if found.before.steps != found.after.steps:
        return Group(
            Text(f"Text before and after ({'marked' if marks else 'coloured'} by prefix-difference):"),
            Text("  ") + coloured_words(found.before.steps, before, marks),
            Text("  ") + coloured_words(found.after.steps, after, marks),
        )
    noun = found.before.ensemble.token_noun
    table = plain_table("lrrr", f"prefix difference of {noun}", "before", "after", "change")
    for t in sorted(_largest(after - before, words)):
        change = after[t] - before[t]
        values = [found.of.score_text(value) for value in (before[t], after[t], change)]
        table.add_row(_step(found.before.steps, t, noun), *values[:2], _signed(values[2], change, marks))
    return table
