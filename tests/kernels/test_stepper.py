"""`Kernel.stepper`: one step at a time has the bits of `project` and `forward`."""

from functools import partial
from typing import Any

import numpy as np
import pytest

from gatewise.kernels import LSTMCall
from gatewise.kernels.native import Native, isas_bf16
from gatewise.kernels.reference import Reference
from tests.kernels.batches import HERE, needs_native

SIZES = [(100, 1), (100, 32), (37, 5), (16, 64), (3, 2)]  # H, D


def _given(units: int, inputs: int, seed: int = 0) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    shapes = (4 * units, inputs), (4 * units, units), (4 * units,), (20, inputs), (units,), (units,)
    return tuple(rng.normal(0, 0.15, shape).astype(np.float32) for shape in shapes)


def _kernels() -> list[Any]:
    """The reference, and native for each build. A product of one row may have other last bits than one of several."""
    bf16 = [pytest.param(partial(Native, isa=isa, precision="bf16"), 0, id=f"{isa} bf16") for isa in isas_bf16()]
    return [
        pytest.param(Reference, 1e-6, id="reference"),
        *(pytest.param(partial(Native, isa=isa), 0, id=isa) for isa in HERE),
        *bf16,
    ]


@pytest.mark.parametrize(("make", "tolerance"), _kernels())
def test_a_step_has_the_bits_of_forward(make: Any, tolerance: float) -> None:
    kernel = make()
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
            np.testing.assert_allclose(rows, np.stack([run.h, run.c], 1), rtol=0, atol=tolerance)


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
