"""Types that all packages share."""

from __future__ import annotations

from typing import Any, Literal

from numpy.typing import NDArray

Array = NDArray[Any]
"""An array of any floating dtype; its shape is in the docstring of whoever takes or returns it."""

Gate = Literal["sigmoid", "binary"]
"""The activation of the gates i, f and o: the logistic sigmoid, or exactly 0 or 1 (Li et al. 2018)."""
