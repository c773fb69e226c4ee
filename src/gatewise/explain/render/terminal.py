"""The glass box in a terminal: the text coloured by its account, the verdict, the strongest words, one unit's gates.

Blue and orange, which most colour-blind eyes tell apart, each about as far from black as from white. Where there is no
colour, marks say the same: +word+ and ++word++ for one side, -word- and --word-- for the other. Text of the user never
reaches the terminal as it is: `printable` takes out what would move the cursor, and nothing is read as markup.
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
from gatewise.explain.attribution.attribution import Explanation
from gatewise.explain.gates import Gates
from gatewise.explain.render.terminal_ngrams import ngrams_view
from gatewise.explain.render.terminal_style import AGAINST, TOWARDS, plain_table
from gatewise.explain.trace import Trace
from gatewise.types import Array

__all__ = ["AGAINST", "TOWARDS", "moved_most", "plain_table", "report", "running_words", "unit_view"]

_WEAK, _STRONG, _STRONGEST = 0.1, 1 / 3, 2 / 3  # shares of the highest score
_LONGEST = 40  # characters of a word that are shown
_CLOSING, _OPENING = frozenset(".,!?;:)]}%…”’"), frozenset("([{“")

Thing = Literal["word", "step"]


def report(
    found: Explanation,
    seen: Trace,
    *,
    token_noun: Thing = "word",
    unit: int | None = None,
    words: int = 6,
    marks: bool = False,
) -> Group:
    """All of it, to be printed on a rich Console.

    unit: the one whose gates are shown, a place in the top layer's output; None for the one that moved the verdict
    most. words: how many of the strongest on each side, and how many steps of the unit. marks: for output without
    colour. Raises InputError for a unit that is not there.
    """
    chosen = moved_most(seen) if unit is None else unit
    seen.top(chosen)  # refused before anything is drawn
    parts: list[RenderableType] = [running_words(found.steps, found.scores, marks), Text()]
    if found.left_out:
        parts += [
            Text(f"{found.left_out:,} more {token_noun}s were not read: the network reads {len(found.steps):,}."),
            Text(),
        ]
    parts += [*_verdict(found, seen, token_noun), Text(), _strongest(found, words, marks), Text()]
    if found.ngrams is not None:
        parts += [ngrams_view(found, words, marks), Text()]
    parts += [unit_view(seen, chosen, token_noun, words, unit is None), Text(), _shares(seen)]
    return Group(*parts)


def unit_view(seen: Trace, unit: int, token_noun: Thing = "word", words: int = 6, by_itself: bool = False) -> Group:
    """One unit of the top layer: its half-life, and its gates at the steps where it moved the verdict most.

    by_itself: whether it is shown because it moved the verdict most of all. Raises InputError for one that is not
    there.
    """
    gates, column = seen.top(unit)
    heading = _unit_heading(seen, unit, by_itself, gates, column)
    return Group(heading, _unit_steps(seen, unit, gates, column, token_noun, words))


def moved_most(seen: Trace) -> int:
    """The unit of the top layer's output that moved the verdict most: the highest sum of its moves, signs aside."""
    return int(np.abs(seen.moves).sum(axis=0).argmax())


def running_words(steps: Sequence[str], scores: Array, marks: bool = False) -> Text:
    """The steps as running text, each coloured (or marked) by the sign and the size of its score (T,)."""
    text = Text()
    highest = float(np.abs(scores).max(initial=0)) or 1.0
    before = "("  # no space in front of the first
    for step, score in zip(steps, scores.tolist(), strict=True):
        word = printable(step, _LONGEST)
        tight = not marks and (set(word) <= _CLOSING or before in _OPENING)
        text.append("" if tight or not text else " ")
        text.append(*_marked(word, score / highest) if marks else _coloured(word, score / highest))
        before = word
    return text


def _coloured(word: str, share: float) -> tuple[str, Style]:
    if abs(share) < _WEAK:
        return word, Style()
    colour = TOWARDS if share > 0 else AGAINST
    return word, colour + Style(bold=abs(share) >= _STRONG or None, underline=abs(share) >= _STRONGEST or None)


def _marked(word: str, share: float) -> tuple[str, Style]:
    mark = ("+" if share > 0 else "-") * ((abs(share) >= _WEAK) + (abs(share) >= _STRONG))
    return f"{mark}{word}{mark}", Style()


def _verdict(found: Explanation, seen: Trace, token_noun: Thing) -> Iterator[RenderableType]:
    side = TOWARDS if found.verdict == found.towards else AGAINST
    yield Text.assemble((printable(found.verdict), side + Style(bold=True)), f", {found.probability_note}")
    table = plain_table()
    for justify in ("left", "right", "left"):
        table.add_column(justify=justify)
    for name, value, note in found.sums():
        table.add_row(Text(printable(name)), f"{value:+.0e}" if 0 < abs(value) < 5e-4 else f"{value:+.3f}", note)
    table.show_header = False
    yield table
    yield Text.assemble((found.method, Style(bold=True)), f": {found.method_note}")
    yield Text(found.faithfulness_note())


def _strongest(found: Explanation, words: int, marks: bool) -> Table:
    towards, against = found.strongest(words)
    table = plain_table()
    other = (
        printable(found.classes[0]) if found.towards == found.classes[-1] and len(found.classes) == 2 else "the others"
    )
    table.add_column(f"{'+ ' * marks}towards {printable(found.towards)}", style=None if marks else TOWARDS)
    table.add_column("", justify="right")
    table.add_column(f"{'- ' * marks}towards {other}", style=None if marks else AGAINST)
    table.add_column("", justify="right")
    for n in range(max(len(towards), len(against))):
        cells: list[Text] = []
        for side in (towards, against):
            here = n < len(side)
            cells.append(Text(printable(found.steps[side[n]], _LONGEST) if here else ""))
            cells.append(Text(f"{found.scores[side[n]]:+.3f}" if here else ""))
        table.add_row(*cells)
    return table


def _unit_heading(seen: Trace, unit: int, by_itself: bool, gates: Gates, column: int) -> Text:
    moved = float(np.abs(seen.moves[:, unit]).sum())
    half_life = float(gates.half_life()[column])
    lasting = (
        "its memory fades not at all"
        if np.isinf(half_life)
        else f"half of its memory is gone after {half_life:.1f} steps"
    )
    why = "of all units it moved the verdict most" if by_itself else "it moved the verdict"
    where = f"unit {unit} (of 0 to {seen.moves.shape[1] - 1})"
    if len(seen.lstms) > 1:
        where += f", layer {gates.layer + 1}, {gates.direction}"
    return Text.assemble((where, Style(bold=True)), f": {why}, by {moved:.3f} in all; {lasting}")


def _unit_steps(seen: Trace, unit: int, gates: Gates, column: int, token_noun: Thing, count: int) -> Table:
    table = plain_table()
    table.add_column("step", justify="right")
    if token_noun == "word":
        table.add_column("word")
    for name in ("i", "f", "g", "o", "c", "h", "moved"):
        table.add_column(name, justify="right")
    before = -1
    for t in _shown_steps(seen.moves[:, unit], count):
        if t > before + 1:
            table.add_row(Text("…"))
        numbers = [float(getattr(gates, name)[t, column]) for name in "ifgoch"]
        cells = (
            [Text(f"{t + 1}"), Text(printable(seen.steps[t], _LONGEST))]
            if token_noun == "word"
            else [Text(seen.steps[t])]
        )
        cells += [Text(f"{x:.3f}" if n in (0, 1, 3) else f"{x:+.3f}") for n, x in enumerate(numbers)]
        table.add_row(*cells, Text(f"{seen.moves[t, unit]:+.3f}"))
        before = t
    return table


def _shown_steps(moves: Array, count: int) -> Sequence[int]:
    """The first step, the last, and the `count` that moved most, in the order of the text."""
    most = np.argsort(-np.abs(moves), kind="stable")[:count]
    return sorted({0, len(moves) - 1, *most.tolist()})


def _shares(seen: Trace) -> Table:
    table = plain_table()
    table.add_column("gates of all units and steps")
    for heading in ("below 0.1", "0.1 to 0.9", "above 0.9"):
        table.add_column(heading, justify="right")
    names = {"i": "input gate i", "f": "forget gate f", "o": "output gate o"}
    for gate, share in seen.gate_shares().items():
        table.add_row(names[gate], *(f"{part:.1%}" for part in share))
    return table
