"""Sizes are polynomials: equal ones are equal, and each is the number that Python computes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError, ModelFileError
from gatewise.network.size import (
    Dim,
    at_least,
    divided,
    from_entry,
    maximum,
    minimum,
    remainder,
    symbol,
    symbols_of,
    to_entry,
    value_of,
)

B, T = symbol("B"), symbol("T")


def test_equal_sizes_are_equal() -> None:
    assert (T + 1) * (T - 1) == T * T - 1
    assert B * T == T * B
    assert (T + B) - B == T
    assert T - T == 0
    assert 2 * T * 3 == 6 * T
    assert divided(6 * B * T, 2 * T) == 3 * B
    assert remainder(6 * B * T + 4 * T, 2 * T) == 0
    assert divided(T, 2) == divided(T, 2)
    assert divided(T, 2) * 2 != T  # T may be odd
    assert maximum(T, 5) == maximum(5, T)


def test_what_holds_for_all_sizes_of_at_least_1_is_decided() -> None:
    assert maximum(T - 1, 0) == T - 1
    assert maximum(0, 1 - T) == 0
    assert minimum(T, T + 3) == T
    assert minimum(maximum(T, 7), 7) == 7
    assert at_least(2 * B * T, 2)
    assert not at_least(T, 2)
    assert not at_least(B * T - T, 1)
    assert not at_least(5, T)
    assert at_least(T, 2 * (T // 2))
    assert at_least(3 * T + 1, T // 2 + 5 * (T // 2))
    assert not at_least(T, 2 * (T // 2) + 1)
    assert not at_least(T, 3 * (T // 2))
    assert str(minimum(T, 50)) == "min(50, T)"


def test_random_sizes_are_the_numbers_that_python_computes() -> None:
    """Expressions of depth 4, each evaluated as a size and as numbers, for all sizes from 1 to 4."""
    rng = np.random.default_rng(3)

    def expression(depth: int) -> tuple[Any, Any]:
        if depth == 0:
            number = int(rng.integers(-3, 6))
            leaves: list[tuple[Any, Any]] = [
                (number, lambda b, t: number),
                (B, lambda b, t: b),
                (T, lambda b, t: t),
            ]
            return leaves[rng.integers(3)]
        left, left_of = expression(depth - 1)
        right, right_of = expression(depth - 1)
        divisor = int(rng.integers(1, 5))
        return [
            (left + right, lambda b, t: left_of(b, t) + right_of(b, t)),
            (left - right, lambda b, t: left_of(b, t) - right_of(b, t)),
            (left * right, lambda b, t: left_of(b, t) * right_of(b, t)),
            (divided(left, divisor), lambda b, t: left_of(b, t) // divisor),
            (remainder(left, divisor), lambda b, t: left_of(b, t) % divisor),
            (maximum(left, right), lambda b, t: max(left_of(b, t), right_of(b, t))),
            (minimum(left, right), lambda b, t: min(left_of(b, t), right_of(b, t))),
        ][rng.integers(7)]

    for _ in range(400):
        size, number_of = expression(4)
        stored = json.loads(json.dumps(to_entry(size)))
        assert from_entry(stored, "size") == size, size
        numbers = [number_of(b, t) for b, t in itertools.product(range(1, 5), repeat=2)]
        values = [value_of(size, {"B": b, "T": t}) for b, t in itertools.product(range(1, 5), repeat=2)]
        assert values == numbers, size
        if at_least(size, 0):
            assert min(numbers) >= 0, size
        assert symbols_of(size) <= {"B", "T"}


@pytest.mark.parametrize(
    "entry",
    [
        1.5,
        True,
        None,
        "2T",
        [],
        ["+", 1],
        ["-", 1, 2],
        ["//", "T", 0],
        ["%", "T", 0],
        ["max", 1, 2, 3],
        [["+"], 1, 2],
        1 << 70,
        {"T": 1},
    ],
)
def test_what_is_no_size_in_a_file_is_refused(entry: Any) -> None:
    with pytest.raises(ModelFileError, match="config: "):
        from_entry(entry, "config")


def test_a_size_from_a_file_has_limits() -> None:
    deep: Any = "T"
    for _ in range(40):
        deep = ["//", deep, 2]
    with pytest.raises(ModelFileError, match="is not a size"):
        from_entry(deep, "config")
    wide: Any = ["+", *(f"s{n}" for n in range(60))]
    with pytest.raises(ModelFileError, match="more than 64 terms"):
        from_entry(["*", wide, wide, wide], "config")


def test_a_division_by_0_is_refused() -> None:
    with pytest.raises(InputError, match="divided by 0"):
        divided(T, 0)
    with pytest.raises(InputError, match="divided by 0"):
        value_of(divided(5, T - 1), {"T": 1})


def test_what_a_number_divides_stands_outside_of_a_division() -> None:
    T = symbol("T")
    assert divided(T - 2, 2) + 1 == divided(T, 2)
    assert divided(3 * T + 7, 3) == T + 2
    assert remainder(T + 4, 2) == remainder(T, 2)
    assert remainder(4 * T + 3, 2) == 1
    assert str(divided(5 * T - 3, 4)) == "((5 T + 1) // 4) - 1"
    for steps in range(1, 30):
        assert value_of(divided(5 * T - 3, 4), {"T": steps}) == (5 * steps - 3) // 4
        assert value_of(remainder(5 * T - 3, 4), {"T": steps}) == (5 * steps - 3) % 4


def test_sizes_that_double_with_each_operation_are_refused() -> None:
    """Written out they would have 2^60 parts."""

    def product_of_quotients(size: Dim) -> Dim:
        return divided(size, 5) * remainder(size, 7)

    def square(size: Dim) -> Dim:
        return size * size

    for rule in (product_of_quotients, square):
        with pytest.raises(InputError, match=r"a size has [0-9,]+ factors, more than 512"):
            _sixty_times(rule, T)


def test_numbers_beyond_int64_are_refused() -> None:
    with pytest.raises(InputError, match="a size does not fit into an int64"):
        _sixty_times(lambda size: 7 * size, T)


def _sixty_times(rule: Callable[[Dim], Dim], size: Dim) -> None:
    for _ in range(60):
        size = rule(size)
