"""The units over a data set, in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from gatewise.errors import printable
from gatewise.explain.clamp import GATE_NAMES
from gatewise.explain.render.terminal import AGAINST, TOWARDS, plain_table
from gatewise.explain.unit_summary import Excerpt, UnitsReport, UnitSummary

__all__ = ["unit_report", "units_report"]

_LONGEST = 24  # characters of a word that are shown


def units_report(report: UnitsReport, *, count: int = 10, marks: bool = False) -> Group:
    """The `count` units without which the verdict moves most, and where their memory rises and falls."""
    units = sorted(report.units, key=lambda metadata: -metadata.shift)[:count]
    of = f"{report.n:,} of {printable(report.data, 300)}"
    head = f"{of}; accuracy {report.accuracy:.4f} with all {len(report.units)} units"
    table = plain_table()
    for heading in ("unit", "without it", "verdict moves", "half-life"):
        table.add_column(heading, justify="right")
    for heading in ("memory rises at", "memory falls at"):
        table.add_column(heading)
    for metadata in units:
        life = "none" if metadata.half_life is None else f"{metadata.half_life:.1f}"
        numbers = (f"{metadata.unit}", f"{metadata.without:.4f}", f"{metadata.shift:.4f}", life)
        table.add_row(*numbers, _at(metadata.up, marks, True), _at(metadata.down, marks, False))
    return Group(Text(head), Text(), table, Text(), Text("Of units that do the same, each can be missed without harm."))


def unit_report(report: UnitsReport, unit: int, *, marks: bool = False) -> Group:
    """All that is known of one unit. Raises InputError for one that is not there."""
    return Group(*_unit(report, report.unit(unit), marks))


def _unit(report: UnitsReport, metadata: UnitSummary, marks: bool) -> Iterator[RenderableType]:
    life = (
        "it forgets nothing"
        if metadata.half_life is None
        else f"half of its memory is gone after {metadata.half_life:.1f} steps"
    )
    yield Text.assemble(
        (f"unit {metadata.unit}", Style(bold=True)), f" over {report.n:,} of {printable(report.data, 300)}"
    )
    yield Text(
        f"accuracy without it {metadata.without:.4f} (with it {report.accuracy:.4f}); the verdict's probability then "
        f"moves by {metadata.shift:.4f} on average; {life}"
    )
    for excerpts, word, style in ((metadata.up, "rose", TOWARDS), (metadata.down, "fell", AGAINST)):
        if excerpts:
            yield Text(f"\nits memory {word} most at")
            yield _passages(excerpts, Style() if marks else style, marks)
    if metadata.opens:
        yield Text(f"\nwords read {report.minimum} times or more at which, on average, a gate was")
        yield _words(metadata)


def _passages(excerpts: tuple[Excerpt, ...], style: Style, marks: bool) -> Table:
    table = plain_table()
    table.add_column(justify="right")
    table.add_column()
    table.add_column()
    table.show_header = False
    for passage in excerpts:
        around = Text()
        for place, word in enumerate(passage.words):
            here = place == passage.place
            shown = printable(word, _LONGEST)
            around.append(" " if place else "").append(
                f"[{shown}]" if here and marks else shown, style if here else Style()
            )
        table.add_row(f"{passage.moved:+.3f}", Text(printable(passage.label, _LONGEST)), around)
    return table


def _words(metadata: UnitSummary) -> Table:
    table = plain_table()
    for heading in ("gate", "most open", "most shut"):
        table.add_column(heading)
    for gate, name in GATE_NAMES.items():
        heading = f"{name} {gate}" + (" (high, low)" if gate == "g" else "")
        cells = []
        for words in (metadata.opens.get(gate, ()), metadata.shuts.get(gate, ())):
            cells.append(Text(", ".join(f"{printable(word.word, _LONGEST)} {word.mean:.2f}" for word in words)))
        table.add_row(heading, *cells)
    return table


def _at(excerpts: tuple[Excerpt, ...], marks: bool, up: bool) -> Text:
    words = list(dict.fromkeys(printable(passage.words[passage.place], _LONGEST) for passage in excerpts))[:3]
    return Text(", ".join(words), Style() if marks else (TOWARDS if up else AGAINST))
