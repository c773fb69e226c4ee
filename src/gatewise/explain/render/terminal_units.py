"""The units over a data set, in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from gatewise.errors import printable
from gatewise.explain.clamp import GATE_NAMES
from gatewise.explain.render.terminal import NEGATIVE, POSITIVE, half_life_text, plain_table
from gatewise.explain.units import Excerpt, UnitsReport, UnitSummary

_LONGEST = 24  # characters of a word that are shown


def units_report(report: UnitsReport, *, count: int = 10, marks: bool = False) -> Group:
    """The `count` units whose ablation changes the predictions most, and where their memory rises and falls."""
    data = f"{report.n:,} of {printable(report.data, 300)}"
    head = f"{data}; accuracy {report.accuracy:.4f} with all {len(report.units)} units"
    table = plain_table()
    for heading in ("unit", "accuracy if ablated", "probability change", "half-life"):
        table.add_column(heading, justify="right")
    for heading in ("memory rises at", "memory falls at"):
        table.add_column(heading)
    for summary in sorted(report.units, key=lambda one: -one.probability_change)[:count]:
        life = "no decay" if summary.half_life is None else f"{summary.half_life:.1f}"
        numbers = (f"{summary.unit}", f"{summary.accuracy_ablated:.4f}", f"{summary.probability_change:.4f}", life)
        rises, falls = _words_at(summary.rises, marks, POSITIVE), _words_at(summary.falls, marks, NEGATIVE)
        table.add_row(*numbers, rises, falls)
    note = "A unit can be ablated without loss if other units carry the same information."
    return Group(Text(head), Text(), table, Text(), Text(note))


def unit_report(report: UnitsReport, unit: int, *, marks: bool = False) -> Group:
    """The summary of one unit. Raises InputError for a unit that does not exist."""
    return Group(*_unit(report, report.unit(unit), marks))


def _unit(report: UnitsReport, summary: UnitSummary, marks: bool) -> Iterator[RenderableType]:
    data = f" over {report.n:,} of {printable(report.data, 300)}"
    yield Text.assemble((f"unit {summary.unit}", Style(bold=True)), data)
    yield Text(
        f"accuracy {summary.accuracy_ablated:.4f} if ablated, {report.accuracy:.4f} otherwise; mean change of the "
        f"predicted class's probability {summary.probability_change:.4f}; {half_life_text(summary.half_life)}"
    )
    for excerpts, verb, style in ((summary.rises, "rises", POSITIVE), (summary.falls, "falls", NEGATIVE)):
        if excerpts:
            yield Text(f"\nexcerpts where its memory {verb} most")
            yield _excerpts(excerpts, Style() if marks else style, marks)
    if summary.top_words:
        yield Text(
            f"\nwords with the highest and lowest mean gate values, among words with {report.minimum} or more uses"
        )
        table = plain_table(gate="left", top_words="left", bottom_words="left")
        for gate, name in GATE_NAMES.items():
            sides = (summary.top_words.get(gate, ()), summary.bottom_words.get(gate, ()))
            cells = (", ".join(f"{printable(one.word, _LONGEST)} {one.mean:.2f}" for one in side) for side in sides)
            table.add_row(f"{name} {gate}", *map(Text, cells))
        yield table


def _excerpts(excerpts: tuple[Excerpt, ...], style: Style, marks: bool) -> Table:
    table = plain_table(change="right", label="left", words="left")
    table.show_header = False
    for excerpt in excerpts:
        words = Text()
        for place, word in enumerate(excerpt.words):
            here, shown = place == excerpt.place, printable(word, _LONGEST)
            words.append(" " if place else "")
            words.append(f"[{shown}]" if here and marks else shown, style if here else Style())
        table.add_row(f"{excerpt.change:+.3f}", Text(printable(excerpt.label, _LONGEST)), words)
    return table


def _words_at(excerpts: tuple[Excerpt, ...], marks: bool, style: Style) -> Text:
    words = list(dict.fromkeys(printable(one.words[one.place], _LONGEST) for one in excerpts))[:3]
    return Text(", ".join(words), Style() if marks else style)
