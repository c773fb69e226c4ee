"""`Kernel.stepper`: one step at a time has the bits of `project` and `forward`."""

from typing import Any

import numpy as np
import pytest

from gatewise.kernels import LSTMCall
from gatewise.kernels.native import ISAS_BF16, Native, isas_bf16
from gatewise.kernels.reference import Reference
from tests.kernels.batches import HERE, needs_native

SIZES = [(100, 1), (100, 32), (37, 5), (16, 64), (3, 2)]  # H, D


def _given(units: int, inputs: int, seed: int = 0) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    shapes = (4 * units, inputs), (4 * units, units), (4 * units,), (20, inputs), (units,), (units,)
    return tuple(rng.normal(0, 0.15, shape).astype(np.float32) for shape in shapes)


def _check(kernel: Any, *, exact: bool) -> None:
    for units, inputs in SIZES:
        for gate in ("sigmoid", "binary"):
            weight_ih, weight_hh, bias, x, h, c = _given(units, inputs)
            pre = kernel.project(x, weight_ih, bias)
            run = kernel.forward(LSTMCall(pre, None, np.array([20]), weight_hh, h[None], c[None], gate=gate))
            for array in (weight_ih, weight_hh, bias, x):
                array.flags.writeable = False
            step = kernel.stepper(weight_ih, weight_hh, bias, gate)
            rows = []
            for row in x:
                step(row, h, c)
                rows.append([h.copy(), c.copy()])
            np.testing.assert_allclose(rows, np.stack([run.h, run.c], 1), rtol=0, atol=0 if exact else 1e-6)


def test_the_reference_takes_the_same_steps() -> None:
    _check(Reference(), exact=False)  # a product of one row may have other last bits than one of several


@needs_native
@pytest.mark.parametrize("isa", HERE)
def test_a_step_is_bit_equal_in_every_build(isa: str) -> None:
    _check(Native(isa=isa), exact=True)


@pytest.mark.parametrize("isa", ISAS_BF16)
def test_a_step_is_bit_equal_in_bfloat16(isa: str) -> None:
    if isa not in isas_bf16():
        pytest.skip(f"no {isa} here")
    _check(Native(isa=isa, precision="bf16"), exact=True)


@needs_native
def test_arrays_that_do_not_fit_are_refused() -> None:
    """Those of a step. Of the weights: test_native_arguments.py."""
    weight_ih, weight_hh, bias, x, h, c = _given(7, 3)
    step: Any = Native().stepper(weight_ih, weight_hh, bias, "sigmoid")
    for name, given in {"x": (x[0, :2], h, c), "h": (x[0], h[:-1], c), "c": (x[0], h, c[:-1])}.items():
        with pytest.raises(ValueError, match=f"^{name}"):
            step(*given)
    fixed = h.copy()
    fixed.flags.writeable = False
    for given in ((x[0], fixed, c), (x[0].astype(np.float64), h, c), (x[0], h[::-1], c)):
        with pytest.raises(TypeError):
            step(*given)
