"""How near is near enough, in one place."""

from typing import Any

import numpy as np

from gatewise.kernels.call import Forward
from gatewise.kernels.saved_activations import SavedActivations
from gatewise.types import Array

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
FORWARD = ("h", "h_T", "c_T")
BACKWARD = ("dpre", "dweight_hh", "dh0", "dc0")


def assert_close(got: Any, wanted: Array, tolerance: float, what: str, least: float = 0.0) -> None:
    """Same shape, all finite, and nowhere further off than `tolerance` times the largest number wanted, or `least`."""
    assert got.shape == wanted.shape, f"{what}: shape {got.shape}, expected {wanted.shape}"
    assert np.isfinite(got).all(), f"{what}: not finite"
    limit = tolerance * np.abs(wanted).max(initial=least)
    off = np.abs(got.astype(np.float64) - wanted).max(initial=0)
    assert off <= limit, f"{what}: off by {off:.3g}, allowed {limit:.3g}"


def assert_same(got: Any, wanted: Any, names: tuple[str, ...], tolerance: float, what: str, least: float = 0.0) -> None:
    for name in names:
        assert_close(getattr(got, name), getattr(wanted, name), tolerance, f"{what}: {name}", least)


def saved_of(run: Forward) -> SavedActivations:
    assert run.saved is not None, "keep=True saved no activations"
    return run.saved
