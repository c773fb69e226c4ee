"""The names of classes as exact numbers, and their places among those of a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, quote

DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,3})?", re.I)


def number_of(name: str) -> Decimal | None:
    """The exact number that a label is, 1 for "1" and "1.0"; None for a text."""
    return Decimal(name) if DECIMAL.fullmatch(name) else None


def class_places(names: Sequence[str], classes: Sequence[str], owner: str) -> NDArray[np.intp]:
    """The place of each name among `classes` (len(names),): that of the equal class, else of the only one that is the
    same number, as 1.0 is the class 1. Raises InputError for another one.
    """
    places: list[int] = []
    for name in names:
        number = number_of(name)
        equal = [place for place, other in enumerate(classes) if number is not None and number_of(other) == number]
        if name in classes:
            places.append(classes.index(name))
        elif len(equal) == 1:
            places.append(equal[0])
        else:
            known = ", ".join(map(quote, classes))
            raise InputError(f"{owner} has no class {quote(name)}; its classes are {known}")
    return np.array(places, dtype=np.intp)


def check_array(name: str, array: Any, shape: tuple[int, ...], dtype: type[Any]) -> None:
    """Raise InputError for an array of another shape or dtype."""
    if array.dtype != dtype or array.shape != shape:
        raise InputError(f"{name} must be {shape} {dtype.__name__}, got {array.shape} {array.dtype}")
