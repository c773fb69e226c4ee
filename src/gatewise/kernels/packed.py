"""Recurrent weights that cannot change, in the order in which the native kernel reads them, once for all calls.

Packing costs as much as some twenty steps of one sequence; a model that is asked for one text after the other would pay
it every time.
"""

from __future__ import annotations

import weakref
from typing import Any

from gatewise.types import Array

__all__ = ["packed_weights", "readonly_copy"]

_kept: dict[tuple[int, str], tuple[weakref.ref[Array], Array]] = {}


def readonly_copy(array: Array) -> Array:
    """A copy that nobody can write to."""
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def packed_weights(extension: Any, isa: str, weight_hh: Array) -> Array | None:
    """`weight_hh` packed for this instruction set; None for an array that somebody may write to."""
    if not _is_readonly(weight_hh):
        return None
    key = id(weight_hh), isa
    found = _kept.get(key)
    if found is not None and found[0]() is weight_hh:
        return found[1]
    packed: Array = extension.pack(isa, weight_hh)
    _kept[key] = weakref.ref(weight_hh, lambda _: _kept.pop(key, None)), packed
    return packed


def _is_readonly(array: Array) -> bool:
    """Whether neither the array nor anything that it is a view of can be written to."""
    return array.base is None and not array.flags.writeable
