"""Columns by name: equal, or the only one that is equal without case and spaces."""

from __future__ import annotations

from collections.abc import Sequence

from gatewise.errors import InputError, quote


def find_column(name: str, columns: Sequence[str], hint: str = "") -> str:
    """The column `name` as the table writes it. Raises InputError that lists the columns, followed by the hint."""
    same = [column for column in columns if column == name]
    near = [column for column in columns if _folded(column) == _folded(name)]
    if len(same or near) == 1:
        return (same or near)[0]
    if same:
        raise InputError(f"there are {len(same)} columns {quote(name)}")
    if near:
        raise InputError(f"{quote(name)} may be {' or '.join(map(quote, near))}")
    shown = ", ".join(quote(column) for column in columns[:20]) or "none"
    more = f", … ({len(columns)} in all)" if len(columns) > 20 else ""
    raise InputError(f"no column {quote(name)}; there are {shown}{more}{hint}")


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())
