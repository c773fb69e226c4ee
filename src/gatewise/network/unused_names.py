"""`UnusedNames`: names for values and nodes that are added to a graph."""

from __future__ import annotations

from collections.abc import Iterable


class UnusedNames:
    """taken: the names that there are.

    >>> names = UnusedNames(["h"])
    >>> names.unused("h"), names.unused("h"), names.unused("c")
    ('h_1', 'h_2', 'c')
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def unused(self, base: str) -> str:
        """The name, with a number where it is taken. It is taken from then on."""
        name = base
        number = 1
        while name in self._taken:
            name = f"{base}_{number}"
            number += 1
        self._taken.add(name)
        return name
