"""Before anything is timed: every contender of a case computes the same function, from the same weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks.wire import Arrays

TOLERANCE = 1e-4  # float32 rounding over a thousand steps, relative to the largest number of each array


class Different(Exception):
    """Two contenders do not compute the same; the message names them and what differs."""


def difference(
    ours: str, found: Mapping[str, Arrays], tolerances: Mapping[str, float] | None = None
) -> dict[str, float]:
    """The largest difference of each contender from `ours`, over all arrays, each relative to its own largest number.

    Raises Different where one is beyond its tolerance, lacks an array, has one of another shape, or one that is not
    finite.
    """
    wanted, worst = found[ours], {}
    for name, arrays in found.items():
        tolerance = (tolerances or {}).get(name, TOLERANCE)
        if missing := set(wanted) ^ set(arrays):
            raise Different(f"{name} and {ours}: only one of them gives {', '.join(sorted(missing))}")
        worst[name] = 0.0
        for part, want in wanted.items():
            got = arrays[part]
            if got.shape != want.shape:
                raise Different(f"{name}: {part} is {got.shape}, that of {ours} {want.shape}")
            if not np.isfinite(got).all():
                raise Different(f"{name}: {part} is not finite")
            error = float(np.abs(got.astype(np.float64) - want).max(initial=0))
            relative = error / max(float(np.abs(want).max(initial=0)), 1e-30)
            if not relative <= tolerance:
                raise Different(f"{name} and {ours} do not compute the same: {part} differs by {relative:.1e}")
            worst[name] = max(worst[name], relative)
    return worst
