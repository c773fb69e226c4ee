"""Batches for the tests of the native kernel, and what is compared."""

from typing import Any

import numpy as np
import pytest

from gatewise.kernels import LSTMCall, native, unavailable_reason
from gatewise.kernels.call import Forward
from gatewise.kernels.interface import Backward
from gatewise.kernels.native import Native

HERE = native.isas()
needs_native = pytest.mark.skipif(
    unavailable_reason("native") is not None, reason=f"native: {unavailable_reason('native')}"
)


def given(units: int = 37, seed: int = 5, batch: int = 11, longest: int = 9, rows: int | None = 6) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, longest + 1, batch)
    steps = int(lengths.sum())
    return {
        "pre": rng.normal(size=(rows or steps, 4 * units)).astype(np.float32),
        "index": None if rows is None else rng.integers(0, rows, steps).astype(np.int32),
        "lengths": lengths,
        "weight_hh": (rng.normal(size=(4 * units, units)) / np.sqrt(units)).astype(np.float32),
        "h0": rng.normal(size=(batch, units)).astype(np.float32),
        "c0": rng.normal(size=(batch, units)).astype(np.float32),
    }


def alone(arrays: dict[str, Any], b: int) -> tuple[dict[str, Any], slice]:
    """The sequence b of a batch by itself, and its steps in the batch."""
    end = int(arrays["lengths"][: b + 1].sum())
    steps = slice(end - int(arrays["lengths"][b]), end)
    one = {name: arrays[name][b : b + 1] for name in ("lengths", "h0", "c0")}
    own = "pre" if arrays["index"] is None else "index"
    return {**arrays, **one, own: arrays[own][steps]}, steps


def both(kernel: Native, arrays: dict[str, Any], seed: int = 8) -> tuple[Forward, Backward]:
    out = kernel.forward(LSTMCall(**arrays))
    rng = np.random.default_rng(seed)
    dh, dh_T, dc_T = (rng.normal(size=a.shape).astype(np.float32) for a in (out.h, out.h_T, out.c_T))
    return out, kernel.backward(out.saved, dh, dh_T, dc_T)


def same_bits(one: tuple[Forward, Backward], other: tuple[Forward, Backward], names: str = "dweight_hh") -> bool:
    """Whether all results but the gradient `names` are the same bits."""
    forwards = zip(one[0][:3], other[0][:3], strict=True)
    backwards = ((getattr(one[1], n), getattr(other[1], n)) for n in Backward._fields if n not in names.split())
    return all(np.array_equal(a, b) for pairs in (forwards, backwards) for a, b in pairs)
