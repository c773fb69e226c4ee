"""`RuleTable`: what a reader does with each operation, by the name of the operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Rule = TypeVar("Rule", bound=Callable[..., object])


class RuleTable(dict[str, Rule]):
    """The functions of several modules, which register themselves when they are imported.

    >>> table: RuleTable[Callable[[float], float]] = RuleTable()
    >>> @table.rule("Neg")
    ... def _neg(x: float) -> float:
    ...     return -x
    >>> table["Neg"](2.0)
    -2.0
    """

    def rule(self, *names: str) -> Callable[[Rule], Rule]:
        """Make a function the rule of the operations with these names. Raises ValueError for one that has a rule: which
        of the two holds would depend on the order of the imports.
        """

        def register(function: Rule) -> Rule:
            for name in names:
                if name in self:
                    raise ValueError(f"{name} has the rule {self[name]!r} already")
                self[name] = function
            return function

        return register
