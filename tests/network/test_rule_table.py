"""`RuleTable`: functions that register themselves by the names of operations."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gatewise.network.rule_table import RuleTable

Rule = Callable[[float], float]


def test_a_function_is_the_rule_of_each_of_its_names() -> None:
    table: RuleTable[Rule] = RuleTable()

    @table.rule("Double", "Twice")
    def double(x: float) -> float:
        return 2 * x

    assert table == {"Double": double, "Twice": double}
    assert double(1.5) == 3.0


def test_a_second_rule_of_a_name_is_refused() -> None:
    table: RuleTable[Rule] = RuleTable()
    table.rule("Neg", "Minus")(lambda x: -x)
    first = table["Minus"]
    with pytest.raises(ValueError, match="Minus has the rule"):
        table.rule("Abs", "Minus")(abs)
    assert table["Minus"] is first
