"""A reading beside another, in a terminal: before and after an intervention, or one text beside another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from gatewise.errors import printable
from gatewise.explain.attribution.attribution import Explanation
from gatewise.explain.intervene import Intervention
from gatewise.explain.render.terminal import AGAINST, TOWARDS, Thing, moved_most, plain_table, running_words, unit_view
from gatewise.metrics.evaluation import target_score

__all__ = ["change_report", "compare_report"]

_LONGEST = 40  # characters of a word that are shown


def change_report(
    found: Intervention, *, token_noun: Thing = "word", unit: int | None = None, words: int = 6, marks: bool = False
) -> Group:
    """What was changed, the verdict before and after, the steps at which the two readings part most, and one unit.

    unit: the one whose gates are shown before and after; None for the one that moved the verdict most before. Raises
    InputError for a unit that is not there.
    """
    shown = moved_most(found.before) if unit is None else unit
    parts: list[RenderableType] = [
        Text.assemble(("changed", Style(bold=True)), f": {printable('; '.join(found.changes), 500)}"),
        _sides(found),
        Text(),
        *_parting(found, token_noun, words, marks),
        Text.assemble(("before ", Style(bold=True))),
        unit_view(found.before, shown, token_noun, words),
        Text(),
        Text.assemble(("after ", Style(bold=True))),
        unit_view(found.after, shown, token_noun, words),
    ]
    if found.ngrams_note():
        parts += [Text(), Text(found.ngrams_note())]
    if found.held:
        parts += [Text(), Text("A fact about this network under a change that it was not trained under.")]
    return Group(*parts)


def _sides(found: Intervention) -> Table:
    table = plain_table()
    for heading in ("", "before", "after", "by"):
        table.add_column(heading, justify="right" if heading else "left")
    (one, two), names = found.probabilities(), found.verdicts()
    table.add_row("verdict", *(Text(printable(name)) for name in names), "")
    for k in range(1 if len(found.classes) == 2 else 0, len(found.classes)):
        label = f"probability of {printable(found.classes[k])}"
        table.add_row(Text(label), f"{one[k]:.4f}", f"{two[k]:.4f}", f"{two[k] - one[k]:+.4f}")
    predicted = int(found.before.logits.argmax())
    before, after = (float(target_score(seen.logits, predicted)) for seen in (found.before, found.after))
    about = found.classes[1] if len(found.before.logits) == 1 else found.classes[predicted]
    label = f"logit of {printable(about)}"
    table.add_row(Text(label), f"{before:+.3f}", f"{after:+.3f}", f"{after - before:+.3f}")
    return table


def _parting(found: Intervention, token_noun: Thing, words: int, marks: bool) -> Iterator[RenderableType]:
    if found.before.steps != found.after.steps:
        yield Text(
            "read before, and after:" if not marks else "read before, and after (+ and - by the running verdict):"
        )
        for seen, running in zip((found.before, found.after), found.running(), strict=True):
            yield Text("  ") + running_words(seen.steps, np.diff(running), marks)
        yield Text()
        return
    before, after = (np.diff(side) for side in found.running())
    order = np.argsort(-np.abs(after - before), kind="stable")[:words]
    table = plain_table()
    table.add_column(f"{token_noun} moved the verdict")
    for heading in ("before", "after", "by"):
        table.add_column(heading, justify="right")
    for t in sorted(order.tolist()):
        name = Text(
            f"{t + 1} {printable(found.before.steps[t], _LONGEST)}" if token_noun == "word" else found.before.steps[t]
        )
        by = after[t] - before[t]
        style = Style() if marks else (TOWARDS if by > 0 else AGAINST)
        table.add_row(name, f"{before[t]:+.3f}", f"{after[t]:+.3f}", Text(f"{by:+.3f}", style))
    yield table
    yield Text()


def compare_report(
    found: Sequence[Explanation], *, token_noun: Thing = "word", words: int = 6, marks: bool = False
) -> Group:
    """Texts one under the other, each with its verdict and its strongest steps, all by the same method."""
    parts: list[RenderableType] = []
    for number, one in enumerate(found, start=1):
        side = TOWARDS if one.verdict == one.towards else AGAINST
        verdict = (printable(one.verdict), side + Style(bold=True))
        numbers = f", {one.probability_note}, logit of {printable(one.towards)} {one.logit:+.3f}"
        parts += [Text.assemble((f"{number} ", Style(bold=True)), verdict, numbers)]
        parts += [Text("  ") + running_words(one.steps, one.scores, marks)]
        highest, lowest = one.strongest(words)
        places = sorted({*highest, *lowest}, key=lambda t: -abs(one.scores[t]))[:words]
        shown = (f"{printable(one.steps[t], _LONGEST)} {one.scores[t]:+.3f}" for t in places)
        parts += [Text(f"  {', '.join(shown)}; start {one.start:+.3f}, residual {one.residual:+.3f}"), Text()]
    parts += [Text.assemble((found[0].method, Style(bold=True)), f": {found[0].method_note}")]
    parts += [Text(found[0].faithfulness_note())]
    return Group(*parts)
