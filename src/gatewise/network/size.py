"""Sizes that depend on the inputs of a network, such as T - 1 or 2 B T.

A `Dim` is a whole number, or a `Size`: a polynomial of symbols with whole coefficients. Equal sizes have equal terms,
so that a shape rule compares two sizes with `==`. What no polynomial is, such as T // 2, is an `Atom` of it. Each
symbol stands for the size of an axis, which is at least 1.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gatewise.errors import InputError, ModelFileError, quote

MAX_TERMS = 64  # of a size, and its depth: sizes from a file cannot ask for unbounded work
MAX_DEPTH = 16
MAX_FACTORS = 512  # of a size, those in its quotients too: written out, sizes in sizes can double with each operation
_MOST = (1 << 63) - 1  # of an int64, as which libraries compute sizes

_OPERATIONS: dict[str, Callable[[int, int], int]] = {"//": operator.floordiv, "%": operator.mod, "max": max, "min": min}


@dataclass(frozen=True)
class Atom:
    """A floor division, remainder, maximum or minimum of two sizes that is no polynomial."""

    operation: Literal["//", "%", "max", "min"]
    left: Dim
    right: Dim
    factors: int = field(init=False, repr=False, compare=False)
    """How many it is written with."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "factors", 1 + _factors_of(self.left) + _factors_of(self.right))

    def __str__(self) -> str:
        if self.operation in ("max", "min"):
            return f"{self.operation}({self.left}, {self.right})"
        return f"({_operand(self.left)} {self.operation} {_operand(self.right)})"


Factor = str | Atom
Term = tuple[tuple[Factor, ...], int]
"""A product of symbols and atoms, in the order of their names, and its coefficient."""


@dataclass(frozen=True)
class Size:
    """A size that is no constant: the sum of its terms, in the order of their names. `symbol` and arithmetic make it.

    >>> T = symbol("T")
    >>> str((T + 1) * 2 - T)
    'T + 2'
    >>> maximum(T - 1, 0) == T - 1  # a size is at least 1
    True
    """

    terms: tuple[Term, ...]
    factors: int = field(init=False, repr=False, compare=False)
    """How many it is written with."""

    def __post_init__(self) -> None:
        factors = 0
        for of_term, coefficient in self.terms:
            check_int64(coefficient)
            factors += sum(1 if isinstance(factor, str) else factor.factors for factor in of_term)
        if factors > MAX_FACTORS:
            raise InputError(f"a size has {factors:,} factors, more than {MAX_FACTORS}")
        object.__setattr__(self, "factors", factors)

    def __add__(self, other: Dim) -> Dim:
        return _sum([*self.terms, *_terms(other)])

    def __sub__(self, other: Dim) -> Dim:
        return self + -1 * other

    def __rsub__(self, other: Dim) -> Dim:
        return other + -1 * self

    def __mul__(self, other: Dim) -> Dim:
        products = []
        for factors, coefficient in self.terms:
            for others, scale in _terms(other):
                products.append((_in_order(factors + others), coefficient * scale))
        return _sum(products)

    def __floordiv__(self, other: Dim) -> Dim:
        return divided(self, other)

    def __mod__(self, other: Dim) -> Dim:
        return remainder(self, other)

    __radd__ = __add__
    __rmul__ = __mul__

    @staticmethod
    def from_entry(entry: object, where: str) -> Dim:
        """A size of a file, see `from_entry` below."""
        return from_entry(entry, where)

    def __str__(self) -> str:
        shown = ""
        # The constant stands at the end, as T + 1 is written.
        for factors, coefficient in sorted(self.terms, key=lambda term: not term[0]):
            product = " ".join(map(str, factors))
            text = f"{abs(coefficient)} {product}".strip()
            if product and abs(coefficient) == 1:
                text = product
            if shown:
                sign = "-" if coefficient < 0 else "+"
                shown += f" {sign} {text}"
            elif coefficient < 0:
                shown = f"-{text}"
            else:
                shown = text
        return shown


def _operand(dim: Dim) -> str:
    """A size beside // or %: a sum is in parentheses."""
    return f"({dim})" if isinstance(dim, Size) and len(dim.terms) > 1 else str(dim)


Dim = int | Size
Shape = tuple[Dim, ...]


def check_int64(dim: Dim) -> None:
    """Raise InputError for a number that does not fit into an int64."""
    if isinstance(dim, int) and abs(dim) > _MOST:
        raise InputError("a size does not fit into an int64")


def symbol(name: str) -> Size:
    """The size that has a name, such as "T"."""
    return Size((((name,), 1),))


def divided(left: Dim, right: Dim) -> Dim:
    """left // right: a polynomial where it divides each term, else an atom. Raises InputError for a division by 0."""
    if right == 0:
        raise InputError(f"the size {left} is divided by 0")
    if isinstance(left, int) and isinstance(right, int):
        return left // right
    quotient = _exact_quotient(left, right)
    if quotient is not None:
        return quotient
    if isinstance(right, int) and right > 0:
        # What right divides stands outside, so that (T - 2) // 2 + 1 is T // 2.
        outside, rest = _multiples(left, right)
        return outside + _of(Atom("//", rest, right)) if isinstance(rest, Size) else outside
    return _of(Atom("//", left, right))


def remainder(left: Dim, right: Dim) -> Dim:
    """left % right, 0 where it divides each term. Raises InputError for a division by 0."""
    if right == 0:
        raise InputError(f"the size {left} is divided by 0")
    if isinstance(left, int) and isinstance(right, int):
        return left % right
    if _exact_quotient(left, right) is not None:
        return 0
    if isinstance(right, int) and right > 0:
        left = _multiples(left, right)[1]
        if isinstance(left, int):
            return left
    return _of(Atom("%", left, right))


def maximum(left: Dim, right: Dim) -> Dim:
    """The larger one, an atom where that depends on the symbols."""
    if at_least(left, right):
        return left
    if at_least(right, left):
        return right
    return _of(Atom("max", *sorted((left, right), key=str)))


def minimum(left: Dim, right: Dim) -> Dim:
    """The smaller one, an atom where that depends on the symbols."""
    if at_least(left, right):
        return right
    if at_least(right, left):
        return left
    return _of(Atom("min", *sorted((left, right), key=str)))


def product(shape: Shape) -> Dim:
    """The number of elements of an array of this shape."""
    whole: Dim = 1
    for size in shape:
        whole = whole * size
    return whole


def at_least(left: Dim, right: Dim) -> bool:
    """Whether left >= right for all sizes of at least 1; False also where this rule cannot tell."""
    difference = left - right
    bound = _bound(difference)
    if bound is not None:
        return bound >= 0
    for factors, coefficient in _terms(difference):
        if len(factors) == 1 and coefficient < 0 and _divides_by_number(factors[0]):
            [atom] = factors
            assert isinstance(atom, Atom)
            # A quotient of whole numbers is at most the exact one: x - c (y // k) >= (k x - c y) / k.
            rest = difference - coefficient * _of(atom)
            return at_least(rest * atom.right + coefficient * atom.left, 0)
    return False


def _divides_by_number(factor: Factor) -> bool:
    return isinstance(factor, Atom) and factor.operation == "//" and isinstance(factor.right, int) and factor.right > 0


def value_of(dim: Dim, sizes: Mapping[str, int]) -> int:
    """The number that a size is for these sizes of the symbols. Raises KeyError for a symbol without a size."""
    if isinstance(dim, int):
        return dim
    total = 0
    for factors, coefficient in dim.terms:
        product = coefficient
        for factor in factors:
            product *= _factor_value(factor, sizes)
        total += product
    return total


def substituted(dim: Dim, sizes: Mapping[str, Dim]) -> Dim:
    """A size with sizes in place of some of its symbols.

    >>> str(substituted(symbol("T") * symbol("B") + 1, {"T": 3}))
    '3 B + 1'
    """
    if isinstance(dim, int):
        return dim
    total: Dim = 0
    for factors, coefficient in dim.terms:
        product: Dim = coefficient
        for factor in factors:
            product = product * _factor_substituted(factor, sizes)
        total = total + product
    return total


def symbols_of(dim: Dim) -> set[str]:
    """The names of the symbols of a size."""
    names: set[str] = set()
    for factors, _ in _terms(dim):
        for factor in factors:
            if isinstance(factor, str):
                names.add(factor)
            else:
                names |= symbols_of(factor.left) | symbols_of(factor.right)
    return names


Entry = int | str | list["Entry"]
"""A size in a file: a number, the name of a symbol, or a list of an operation, + * // % max min, and its arguments."""


def to_entry(dim: Dim) -> Entry:
    """A size as a file has it."""
    if isinstance(dim, int):
        return dim
    terms = []
    for factors, coefficient in dim.terms:
        entries: list[Entry] = [_factor_entry(factor) for factor in factors]
        if coefficient != 1 or not entries:
            entries.insert(0, coefficient)
        terms.append(entries[0] if len(entries) == 1 else ["*", *entries])
    return terms[0] if len(terms) == 1 else ["+", *terms]


def from_entry(entry: object, where: str, depth: int = 0) -> Dim:
    """A size of a file. Raises ModelFileError for anything that `to_entry` does not write."""
    if type(entry) is int and -(1 << 63) <= entry < 1 << 63:
        return entry
    if isinstance(entry, str) and entry.isidentifier():
        return symbol(entry)
    if not isinstance(entry, list) or not 3 <= len(entry) <= MAX_TERMS or depth == MAX_DEPTH:
        raise ModelFileError(f"{where}: {quote(entry)} is not a size")
    operation, *rest = entry
    sizes = [from_entry(part, where, depth + 1) for part in rest]
    try:
        return _applied(operation, sizes, where)
    except InputError as error:
        raise ModelFileError(f"{where}: {error}") from None


def _applied(operation: object, sizes: list[Dim], where: str) -> Dim:
    left, right = sizes[0], sizes[1]
    if operation == "+":
        return sum(sizes)
    if operation == "*":
        product = left
        for size in sizes[1:]:
            product = product * size
        return product
    if len(sizes) == 2:
        if operation == "//":
            return divided(left, right)
        if operation == "%":
            return remainder(left, right)
        if operation == "max":
            return maximum(left, right)
        if operation == "min":
            return minimum(left, right)
    raise ModelFileError(f"{where}: {quote(operation)} is not an operation on sizes")


def _terms(dim: Dim) -> tuple[Term, ...]:
    if isinstance(dim, Size):
        return dim.terms
    return (((), dim),) if dim else ()


def _sum(terms: list[Term]) -> Dim:
    """The sum of terms, a number where no symbol is left. Raises InputError for too many terms."""
    coefficients: dict[tuple[Factor, ...], int] = {}
    for factors, coefficient in terms:
        coefficients[factors] = coefficients.get(factors, 0) + coefficient
    kept = [(factors, coefficient) for factors, coefficient in coefficients.items() if coefficient]
    if not kept:
        return 0
    if len(kept) > MAX_TERMS:
        raise InputError(f"a size has more than {MAX_TERMS} terms")
    if len(kept) == 1 and not kept[0][0]:
        return kept[0][1]
    return Size(tuple(sorted(kept, key=lambda term: tuple(map(str, term[0])))))


def _factors_of(dim: Dim) -> int:
    return dim.factors if isinstance(dim, Size) else 0


def _of(atom: Atom) -> Size:
    return Size((((atom,), 1),))


def _in_order(factors: tuple[Factor, ...]) -> tuple[Factor, ...]:
    return tuple(sorted(factors, key=str))


def _exact_quotient(left: Dim, right: Dim) -> Dim | None:
    """left / right where right has one term that divides each term of left."""
    divisors = _terms(right)
    if len(divisors) != 1:
        return 1 if left == right else None
    [(divisor, scale)] = divisors
    quotients = []
    for factors, coefficient in _terms(left):
        rest = list(factors)
        for factor in divisor:
            if factor not in rest:
                return None
            rest.remove(factor)
        if coefficient % scale:
            return None
        quotients.append((tuple(rest), coefficient // scale))
    return _sum(quotients)


def _multiples(dim: Dim, divisor: int) -> tuple[Dim, Dim]:
    """A size as divisor · outside + rest: of the terms that the divisor divides, and of the constant."""
    outside: Dim = 0
    rest: Dim = 0
    for factors, coefficient in _terms(dim):
        whole, left = divmod(coefficient, divisor)
        if factors and left:
            whole, left = 0, coefficient
        outside = outside + _sum([(factors, whole)])
        rest = rest + _sum([(factors, left)])
    return outside, rest


def _bound(dim: Dim) -> int | None:
    """A number that the size is never below; None where this rule cannot tell, as of 1 - T."""
    total = 0
    for factors, coefficient in _terms(dim):
        product = _bound_of_product(factors)
        if factors and (product is None or coefficient < 0):
            return None
        total += coefficient * (product or 0)
    return total


def _bound_of_product(factors: tuple[Factor, ...]) -> int | None:
    product = 1
    for factor in factors:
        bound = 1 if isinstance(factor, str) else _bound_of_atom(factor)
        # Two factors below 0 have a product above their bounds' one.
        if bound is None or (bound < 0 and len(factors) > 1):
            return None
        product *= bound
    return product


def _bound_of_atom(atom: Atom) -> int | None:
    left, right = _bound(atom.left), _bound(atom.right)
    if atom.operation == "max":
        known = [bound for bound in (left, right) if bound is not None]
        return max(known, default=None)
    if left is None or right is None:
        return None
    if atom.operation == "min":
        return min(left, right)
    return 0 if left >= 0 and right >= 1 else None


def _factor_value(factor: Factor, sizes: Mapping[str, int]) -> int:
    if isinstance(factor, str):
        return sizes[factor]
    left = value_of(factor.left, sizes)
    right = value_of(factor.right, sizes)
    if right == 0 and factor.operation in ("//", "%"):
        raise InputError(f"the size {factor} is divided by 0")
    return _OPERATIONS[factor.operation](left, right)


def _factor_substituted(factor: Factor, sizes: Mapping[str, Dim]) -> Dim:
    if isinstance(factor, str):
        return sizes.get(factor, symbol(factor))
    rules = {"//": divided, "%": remainder, "max": maximum, "min": minimum}
    return rules[factor.operation](substituted(factor.left, sizes), substituted(factor.right, sizes))


def _factor_entry(factor: Factor) -> Entry:
    if isinstance(factor, str):
        return factor
    return [factor.operation, to_entry(factor.left), to_entry(factor.right)]
