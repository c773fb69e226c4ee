"""What nodes of ONNX compute of sizes: Shape, Gather, Concat, Mul and others that exporters write for shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gatewise.errors import InputError
from gatewise.network.size import Atom, Dim, Size, at_least, divided, maximum, minimum, product, remainder

MOST_SIZES = 64  # of a vector of sizes
_BOOL = 9  # the number of the dtype in TensorProto
_INTEGERS = (6, 7)


class Undecided(Exception):
    """What a node computes is no vector of sizes."""


class Sized(NamedTuple):
    """A value whose numbers are sizes: a vector of them, or one without axes."""

    sizes: tuple[Dim, ...]
    scalar: bool = False


def _aligned(*vectors: Sized) -> tuple[tuple[Dim, ...], ...]:
    """The sizes of vectors at each place; one of a single size has it at all places."""
    count = max(len(vector.sizes) for vector in vectors)
    columns = []
    for vector in vectors:
        if len(vector.sizes) not in (1, count):
            raise Undecided
        columns.append(vector.sizes if len(vector.sizes) == count else vector.sizes * count)
    return tuple(zip(*columns, strict=True))


def _each(rule: Callable[[Dim, Dim], Dim]) -> Callable[..., Sized]:
    """A rule on two sizes, for vectors of them."""

    def computed(attributes: Mapping[str, Any], left: Sized, right: Sized) -> Sized:
        sizes = tuple(rule(*pair) for pair in _aligned(left, right))
        return Sized(sizes, left.scalar and right.scalar)

    return computed


def _cast(attributes: Mapping[str, Any], data: Sized) -> Sized:
    """Sizes are whole numbers in any integer dtype. As a bool a size is 1 unless it is 0."""
    to = attributes["to"]
    if to == _BOOL:
        return Sized(tuple(1 - _number(_equal(size, 0)) for size in data.sizes), data.scalar)
    if to not in _INTEGERS:
        raise Undecided
    return data


def _gathered(attributes: Mapping[str, Any], data: Sized, indices: Sized) -> Sized:
    places = [_number(index) for index in indices.sizes]
    for place in places:
        if not -len(data.sizes) <= place < len(data.sizes):
            raise InputError(f"index {place} of {len(data.sizes)} sizes")
    return Sized(tuple(data.sizes[place] for place in places), indices.scalar)


def _sliced(
    attributes: Mapping[str, Any],
    data: Sized,
    start: Sized,
    end: Sized,
    axis: Sized | None = None,
    step: Sized | None = None,
) -> Sized:
    bounds = [_number(vector.sizes[0]) for vector in (start, end)]
    stride = 1
    if step is not None:
        stride = _number(step.sizes[0])
    if stride == 0 or (axis is not None and _number(axis.sizes[0]) not in (0, -1)):
        raise Undecided
    return Sized(data.sizes[bounds[0] : bounds[1] : stride])


def _joined(attributes: Mapping[str, Any], *parts: Sized) -> Sized:
    return Sized(tuple(size for part in parts for size in part.sizes))


def _unsqueezed(attributes: Mapping[str, Any], data: Sized, axes: Sized) -> Sized:
    if not data.scalar:
        raise Undecided
    return Sized(data.sizes)


def _squeezed(attributes: Mapping[str, Any], data: Sized, *_: Any) -> Sized:
    return Sized(data.sizes, len(data.sizes) == 1)


def _reshaped(attributes: Mapping[str, Any], data: Sized, shape: Sized) -> Sized:
    if len(shape.sizes) > 1:
        raise Undecided
    return Sized(data.sizes, not shape.sizes)


def _reduced(attributes: Mapping[str, Any], data: Sized, *_: Any) -> Sized:
    return Sized((product(data.sizes),), not attributes.get("keepdims", 1))


def _equal(left: Dim, right: Dim) -> Dim:
    """1 where two sizes are equal for all inputs, 0 where they never are."""
    if left == right:
        return 1
    if at_least(left, right + 1) or at_least(right, left + 1):
        return 0
    raise Undecided


def _selected(attributes: Mapping[str, Any], condition: Sized, left: Sized, right: Sized) -> Sized:
    sizes = []
    for holds, first, second in _aligned(condition, left, right):
        sizes.append(first if _number(holds) else second)
    return Sized(tuple(sizes), condition.scalar and left.scalar and right.scalar)


def _filled(attributes: Mapping[str, Any], shape: Sized) -> Sized:
    value = np.ravel(attributes.get("value", np.zeros(1)))[0]
    if len(shape.sizes) != 1 or value.dtype.kind != "i":
        raise Undecided
    count = _number(shape.sizes[0])
    if not 0 <= count <= MOST_SIZES:
        raise Undecided
    return Sized((int(value),) * count)


def _number(size: Dim) -> int:
    if isinstance(size, Size):
        raise Undecided
    return size


def _truncated(left: Dim, right: Dim) -> Dim:
    """Integers are divided towards zero, which is the floor where neither is negative, and where nothing is left over,
    as of a - a % b.
    """
    number = _less_its_remainder(left, right)
    if number is not None and at_least(right, 1):
        return divided(number, right)
    if not (at_least(left, 0) and at_least(right, 0)):
        raise Undecided
    return divided(left, right)


def _less_its_remainder(difference: Dim, divisor: Dim) -> Dim | None:
    """a where a size is a - a % divisor."""
    if not isinstance(difference, Size):
        return None
    for factors, coefficient in difference.terms:
        if coefficient != -1 or len(factors) != 1:
            continue
        [atom] = factors
        if isinstance(atom, Atom) and atom.operation == "%" and atom.right == divisor:
            number = difference + remainder(atom.left, divisor)
            if number == atom.left:
                return number
    return None


def _remainders(attributes: Mapping[str, Any], left: Sized, right: Sized) -> Sized:
    """Mod has the sign of the divisor, as a size, or by fmod that of the number: they are equal where it is not
    negative.
    """

    def rule(number: Dim, divisor: Dim) -> Dim:
        if not at_least(divisor, 1) or (attributes.get("fmod") and not at_least(number, 0)):
            raise Undecided
        return remainder(number, divisor)

    return _each(rule)(attributes, left, right)


SIZE_RULES: dict[str, Callable[..., Sized]] = {
    "Add": _each(lambda left, right: left + right),
    "Sub": _each(lambda left, right: left - right),
    "Mul": _each(lambda left, right: left * right),
    "Div": _each(_truncated),
    "Mod": _remainders,
    "Max": _each(maximum),
    "Min": _each(minimum),
    "Equal": _each(_equal),
    "Where": _selected,
    "Gather": _gathered,
    "Slice": _sliced,
    "Concat": _joined,
    "Cast": _cast,
    "Unsqueeze": _unsqueezed,
    "Squeeze": _squeezed,
    "Reshape": _reshaped,
    "ReduceProd": _reduced,
    "ConstantOfShape": _filled,
}
"""What nodes compute of sizes, of their attributes and inputs."""
