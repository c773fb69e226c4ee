"""`StepSizes`: how the sizes of a graph depend on the number of steps, as a + b T."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gatewise.errors import InputError
from gatewise.network.size import Dim, Size, symbol


class StepSizes:
    """How sizes depend on the number of steps."""

    def __init__(self, lengths: Sequence[int], name: str) -> None:
        self.lengths = lengths
        self.steps = symbol(name)

    def of(self, numbers: Mapping[int, Dim], what: str) -> Dim:
        """The size that these are, by the number of the graph. Raises InputError for one that is not a + b T."""
        dims = list(numbers.values())
        if all(dim == dims[0] for dim in dims):
            return dims[0]
        total: Dim = 0
        terms: list[dict[tuple[Any, ...], int]] = [
            dict(dim.terms) if isinstance(dim, Size) else {(): dim} for dim in dims
        ]
        for factors in {factors for of_dim in terms for factors in of_dim}:
            coefficients = [of_dim.get(factors, 0) for of_dim in terms]
            product: Dim = self._line(list(numbers), coefficients, what)
            for factor in factors:
                product = product * (symbol(factor) if isinstance(factor, str) else Size((((factor,), 1),)))
            total = total + product
        return total

    def _line(self, graphs: Sequence[int], numbers: Sequence[int], what: str) -> Dim:
        lengths = [self.lengths[graph] for graph in graphs]
        slope, rest = divmod(numbers[-1] - numbers[0], lengths[-1] - lengths[0])
        start = numbers[0] - slope * lengths[0]
        fits = all(start + slope * length == number for length, number in zip(lengths, numbers, strict=True))
        if rest or not fits:
            those = ", ".join(f"{number} for {length}" for length, number in zip(lengths, numbers, strict=True))
            raise InputError(f"{what} has a number that does not grow evenly with the steps: {those}")
        return start + slope * self.steps
