"""Sizes of torch.export, which are expressions of SymPy, as sizes of a graph; its guards as guards of a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, Literal

from gatewise.errors import InputError
from gatewise.network.graph import Guard
from gatewise.network.size import Dim, divided, maximum, minimum, remainder, symbol

_RELATIONS: dict[str, tuple[Literal["==", "!=", "<=", "<"], bool]] = {
    "Equality": ("==", False),
    "Unequality": ("!=", False),
    "LessThan": ("<=", False),
    "StrictLessThan": ("<", False),
    "GreaterThan": ("<=", True),
    "StrictGreaterThan": ("<", True),
}
"""The relations of SymPy by their classes, and whether their sides change places."""


def dim_of(expression: Any, names: Mapping[str, str]) -> Dim:
    """The size that an expression of SymPy stands for. names: of the symbols of the graph, by those of torch.

    Raises InputError for an expression that is no size, such as a fraction.
    """
    if expression.is_Integer:
        return int(expression)
    if expression.is_Symbol:
        if expression.name not in names:
            raise InputError(f"the size {expression.name} depends on the values of the inputs")
        return symbol(names[expression.name])
    kind = type(expression).__name__
    if kind not in _RULES:
        raise InputError(f"{expression} is no size that a graph can have")
    return _RULES[kind]([dim_of(argument, names) for argument in expression.args])


def guard_of(condition: Any, names: Mapping[str, str]) -> list[Guard]:
    """The guards that a condition of SymPy stands for, none where it always holds. Raises InputError for one that is no
    relation of sizes.
    """
    if condition is True or (getattr(condition, "is_Boolean", False) and str(condition) == "True"):
        return []
    if type(condition).__name__ == "And":
        return [guard for argument in condition.args for guard in guard_of(argument, names)]
    if type(condition).__name__ not in _RELATIONS:
        raise InputError(f"the condition {condition} is no relation of two sizes")
    relation, swapped = _RELATIONS[type(condition).__name__]
    left, right = (dim_of(side, names) for side in condition.args)
    if swapped:
        left, right = right, left
    return [Guard(left, relation, right)]


def _sum(sizes: list[Dim]) -> Dim:
    total: Dim = 0
    for size in sizes:
        total = total + size
    return total


def _product(sizes: list[Dim]) -> Dim:
    product: Dim = 1
    for size in sizes:
        product = product * size
    return product


def _power(sizes: list[Dim]) -> Dim:
    base, exponent = sizes
    if not isinstance(exponent, int) or not 0 <= exponent <= 16:
        raise InputError(f"{base} to the power of {exponent} is no size that a graph can have")
    return _product([base] * exponent)


def _maximum(sizes: list[Dim]) -> Dim:
    return reduce(maximum, sizes)


def _minimum(sizes: list[Dim]) -> Dim:
    return reduce(minimum, sizes)


def _quotient(sizes: list[Dim]) -> Dim:
    return divided(*sizes)


def _remainder(sizes: list[Dim]) -> Dim:
    return remainder(*sizes)


_RULES: dict[str, Callable[[list[Dim]], Dim]] = {
    "Add": _sum,
    "Mul": _product,
    "Pow": _power,
    "PowByNatural": _power,
    "FloorDiv": _quotient,
    "CleanDiv": _quotient,
    "Mod": _remainder,
    "PythonMod": _remainder,
    "Max": _maximum,
    "Min": _minimum,
}
"""What the functions of SymPy, and those that torch adds, are by the names of their classes."""
