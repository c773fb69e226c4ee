"""The recurrence against float64 and 50 digits, and which results are equal bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mpmath
import numpy as np

from gatewise.kernels import LSTMCall, native
from gatewise.kernels.native import Native
from gatewise.kernels.reference import Reference
from gatewise.types import Precision
from tests.kernels.batches import alone, both, given, same_bits
from tests.kernels.close import BACKWARD, FORWARD, assert_same, saved_of
from trust.attack import Attacks, without_native
from trust.mutate import Rng, choice

ATTACKS = Attacks()
LEAST = 1e-30  # of numbers that are all smaller, float32 keeps few digits
BUILDS: list[tuple[str, Precision]] = [(name, "float32") for name in native.isas()]
BUILDS += [(name, "bf16") for name in native.isas_bf16()]


def _wide(arrays: dict[str, Any]) -> dict[str, Any]:
    floats = ("pre", "weight_hh", "h0", "c0")
    return {name: array.astype(np.float64) if name in floats else array for name, array in arrays.items()}


def _arrays(rng: Rng, longest: int) -> dict[str, Any]:
    # Groups and chunks of the kernel end at 64 and 128 sequences.
    batch, units = int(rng.integers(1, 160 if longest == 9 else 24)), int(rng.integers(1, 140))
    rows = choice(rng, [None, 1, 6, 50])
    arrays = given(units, int(rng.integers(2**31)), batch, longest, rows)
    if longest > 1000:  # one long sequence among short ones
        arrays = given(min(units, 24), int(rng.integers(2**31)), 3, 9, 40)
        arrays["lengths"] = rng.permutation([longest, 0, 7])
        arrays["index"] = rng.integers(0, 40, longest + 7).astype(np.int32)
    return arrays


@ATTACKS.add("numbers", 15, 5_000, unavailable=without_native)
def _against_float64(rng: Rng, folder: Path) -> None:
    """The native kernel's results and gradients are those of the float64 reference to 1e-5 and 2e-5 of the largest
    number, up to 10,000 steps. Float32 stores a gate within 6e-8 of 1 as 1: gradients that vanish for that reason are
    those of the float32 reference to the same bound.

    random batches, instruction sets and thread counts; inputs from subnormal to 1e30, which saturates the gates
    """
    longest = choice(rng, [9] * 20 + [400] * 8 + [10_000])
    arrays = _arrays(rng, longest)
    scale = float(10 ** rng.uniform(-38, 30)) if rng.random() < 0.5 else 1.0  # from subnormal to saturated
    at = rng.random(arrays["pre"].shape) < choice(rng, [0.0, 0.1, 1.0])
    arrays["pre"] = np.where(at, arrays["pre"] * scale, arrays["pre"]).astype(np.float32)
    threads = int(rng.integers(1, 5))
    kernel = Native(isa=choice(rng, native.isas()), threads=threads)
    reference = Reference()
    run, exact = kernel.forward(LSTMCall(**arrays)), reference.forward(LSTMCall(**_wide(arrays)))
    shapes = [run.h.shape, run.h_T.shape, run.c_T.shape]
    gradients = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    back = kernel.backward(saved_of(run), *gradients)
    exact_back = reference.backward(saved_of(exact), *(one.astype(np.float64) for one in gradients))
    where = f"longest {longest}, {scale:.1e}"
    assert_same(run, exact, FORWARD, 1e-5, where, LEAST)
    try:
        assert_same(back, exact_back, BACKWARD, 2e-5, where, LEAST)
    except AssertionError:
        rounded = reference.backward(saved_of(reference.forward(LSTMCall(**arrays))), *gradients)
        assert_same(back, rounded, BACKWARD, 2e-5, where, LEAST)


@ATTACKS.add("digits", 20, 2_000)
def _against_digits(rng: Rng, folder: Path) -> None:
    """The float64 reference computes an LSTM to 1e-12.

    up to 7 steps computed with 50 decimal digits by mpmath
    """
    units, steps = int(rng.integers(1, 4)), int(rng.integers(1, 8))
    scale = float(10 ** rng.uniform(-3, 2))
    pre = rng.normal(0, scale, (steps, 4 * units))
    weight_hh, h0, c0 = rng.normal(size=(4 * units, units)), rng.normal(size=(1, units)), rng.normal(size=(1, units))
    call = LSTMCall(pre=pre, index=None, lengths=np.array([steps]), weight_hh=weight_hh, h0=h0, c0=c0)
    got = Reference().forward(call)
    with mpmath.workdps(50):
        h, c = [mpmath.mpf(float(v)) for v in h0[0]], [mpmath.mpf(float(v)) for v in c0[0]]
        for row in pre:
            z = [
                mpmath.mpf(float(row[k])) + mpmath.fsum(float(w) * v for w, v in zip(weight_hh[k], h, strict=True))
                for k in range(4 * units)
            ]
            sigma = [1 / (1 + mpmath.exp(-v)) for v in z]
            c = [sigma[units + k] * c[k] + sigma[k] * mpmath.tanh(z[2 * units + k]) for k in range(units)]
            h = [sigma[3 * units + k] * mpmath.tanh(c[k]) for k in range(units)]
        for name, ours, exact in (("h", got.h_T[0], h), ("c", got.c_T[0], c)):
            off = max(abs(mpmath.mpf(float(a)) - b) for a, b in zip(ours, exact, strict=True))
            most = max(1.0, *(abs(v) for v in exact))
            assert off <= 1e-12 * most, f"{name}: off by {mpmath.nstr(off, 3)}"


@ATTACKS.add("equal-bits", 40, 5_000, unavailable=without_native)
def _equal_bits(rng: Rng, folder: Path) -> None:
    """Results do not depend on the number of threads or the rest of the batch, and two calls are equal bit for bit; of
    the gradients, only that of weight_hh depends on the number of threads.

    random batches, instruction sets and thread counts, compared bit for bit
    """
    arrays = _arrays(rng, choice(rng, [9, 40, 200]))
    isa, precision = choice(rng, BUILDS)
    one, several = (Native(isa=isa, threads=n, precision=precision) for n in (1, int(rng.integers(2, 5))))
    first = both(one, arrays)
    assert same_bits(first, both(one, arrays), names=""), "a second call differs"
    many = both(several, arrays)
    assert same_bits(first, many), "the number of threads changes more than the gradient of weight_hh"
    assert same_bits(many, both(several, arrays), names=""), "a second call with several threads differs"
    batch = len(arrays["lengths"])
    for b in range(int(rng.integers(min(batch, 9))), batch, 9):
        own, steps = alone(arrays, b)
        run = one.forward(LSTMCall(**own))
        same = np.array_equal(run.h, first[0].h[steps]) and np.array_equal(run.c_T[0], first[0].c_T[b])
        assert same, "a sequence alone differs from the same sequence in a batch"
