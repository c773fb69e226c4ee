"""The linear path in a terminal: the strongest words with the two parts of their score, and the heaviest n-grams."""

from __future__ import annotations

import numpy as np
from rich.console import Group
from rich.style import Style
from rich.table import Table
from rich.text import Text

from gatewise.errors import printable
from gatewise.explain.attribution.attribution import Explanation
from gatewise.explain.render.terminal_style import AGAINST, TOWARDS, plain_table

__all__ = ["ngrams_view"]

_LONGEST = 60  # characters of an n-gram that are shown


def ngrams_view(found: Explanation, count: int = 6, marks: bool = False) -> Group:
    """The `count` words with the highest scores, signs aside, as the network's part and the n-grams'; then the `count`
    heaviest n-grams. marks: for output without colour.
    """
    assert found.ngrams is not None, "an explanation of a model without n-grams"
    return Group(_words(found, count, marks), Text(), _phrases(found, count, marks))


def _words(found: Explanation, count: int, marks: bool) -> Table:
    assert found.ngrams is not None
    table = plain_table()
    for heading in ("strongest words", "in all", "network", "n-grams"):
        table.add_column(heading, justify="left" if heading == "strongest words" else "right")
    for t in np.argsort(-np.abs(found.scores), kind="stable")[:count].tolist():
        parts = (found.scores[t], found.scores[t] - found.ngrams[t], found.ngrams[t])
        table.add_row(Text(f"{t + 1} {printable(found.steps[t], _LONGEST)}"), *(_number(x, marks) for x in parts))
    return table


def _phrases(found: Explanation, count: int, marks: bool) -> Table:
    table = plain_table()
    table.add_column(f"heaviest of {len(found.phrases):,} n-grams")
    for heading in ("times", "adds"):
        table.add_column(heading, justify="right")
    for one in found.phrases[:count]:
        words = printable(" ".join(one.words), _LONGEST)
        table.add_row(Text(words), str(one.times), _number(one.score, marks))
    return table


def _number(value: float, marks: bool) -> Text:
    return Text(f"{value:+.3f}", Style() if marks else TOWARDS if value > 0 else AGAINST)
