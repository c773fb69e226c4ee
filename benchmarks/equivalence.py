"""The check before timing: all contenders of a case compute the same function from the same weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks.contenders.base import Arrays

TOLERANCE = 1e-4  # float32 rounding over a thousand steps, relative to the largest number of each array


class NotEquivalent(Exception):
    """Two contenders compute different results; the message names them and the array."""


def max_relative_difference(
    reference: str, results: Mapping[str, Arrays], tolerances: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Each contender's largest difference from `reference` over all arrays, relative to each array's largest number.

    Raises NotEquivalent for a difference above the tolerance, and for an array that is missing, has another shape or is
    not finite.
    """
    expected, worst = results[reference], {}
    for name, arrays in results.items():
        tolerance = (tolerances or {}).get(name, TOLERANCE)
        if missing := set(expected) ^ set(arrays):
            raise NotEquivalent(f"{name} and {reference}: only one of them returns {', '.join(sorted(missing))}")
        worst[name] = 0.0
        for part, correct in expected.items():
            array = arrays[part]
            if array.shape != correct.shape:
                raise NotEquivalent(f"{name}: {part} has shape {array.shape}, in {reference} {correct.shape}")
            if not np.isfinite(array).all():
                raise NotEquivalent(f"{name}: {part} is not finite")
            error = float(np.abs(array.astype(np.float64) - correct).max(initial=0))
            relative = error / max(float(np.abs(correct).max(initial=0)), 1e-30)
            if not relative <= tolerance:
                raise NotEquivalent(f"{name} and {reference} are not equivalent: {part} differs by {relative:.1e}")
            worst[name] = max(worst[name], relative)
    return worst
