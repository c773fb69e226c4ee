"""Runs that compute the input product with the recurrence and keep their activations: the bits of `project` and
`forward`, and the gradients of `backward` and `project_backward`, on every instruction set.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gatewise.kernels import LSTMCall
from gatewise.kernels.call import InputProduct
from gatewise.kernels.native import Native, isas, isas_bf16
from gatewise.types import Array, Gate
from tests.kernels.batches import needs_native
from tests.refusals import assert_refused

pytestmark = needs_native
BUILDS = [(isa, "float32") for isa in isas()] + [(isa, "bf16") for isa in isas_bf16()]
LENGTHS = np.array([33, 0, 70, 1, 29], dtype=np.int64)  # more rows than a chunk of backward, and no step at all


def random_arrays(units: int, inputs: int) -> dict[str, Array]:
    rng = np.random.default_rng(units + inputs)
    rows = int(LENGTHS.sum())
    shapes = {
        "x": (rows, inputs),
        "weight_ih": (4 * units, inputs),
        "bias": (4 * units,),
        "weight_hh": (4 * units, units),
        "h0": (len(LENGTHS), units),
        "c0": (len(LENGTHS), units),
        "mask": (len(LENGTHS), units),
        "dh": (rows, units),
        "dc": (rows, units),
        "dh_T": (len(LENGTHS), units),
        "dc_T": (len(LENGTHS), units),
    }
    return {name: rng.normal(0, 0.4, shape).astype(np.float32) for name, shape in shapes.items()}


def call_of(
    arrays: dict[str, Array], pre: Any, *, reverse: bool, masked: bool, gate: Gate = "sigmoid"
) -> LSTMCall[Any]:
    mask = None
    if masked:
        mask = arrays["mask"]
    return LSTMCall(
        pre, None, LENGTHS, arrays["weight_hh"], arrays["h0"], arrays["c0"], reverse=reverse, gate=gate, mask=mask
    )


def relative_error(result: Array, wanted: Array) -> float:
    return float(np.linalg.norm(result - wanted) / np.linalg.norm(wanted))


@pytest.mark.parametrize(("units", "inputs"), [(5, 1), (16, 3), (33, 70), (100, 17)])
@pytest.mark.parametrize(
    ("reverse", "masked", "gate"), [(False, False, "sigmoid"), (True, True, "sigmoid"), (True, False, "binary")]
)
@pytest.mark.parametrize(("isa", "precision"), BUILDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_equals_the_operations_one_by_one(
    isa: str, precision: Any, threads: int, reverse: bool, masked: bool, gate: Gate, units: int, inputs: int
) -> None:
    kernel = Native(isa=isa, precision=precision, threads=threads)
    arrays = random_arrays(units, inputs)
    product = InputProduct(arrays["x"], arrays["weight_ih"], arrays["bias"])
    run = call_of(arrays, kernel.project(*product), reverse=reverse, masked=masked, gate=gate)
    wanted = kernel.forward(run)
    result = kernel.forward(replace(run, pre=product))
    for name in ("h", "h_T", "c_T", "c"):
        assert np.array_equal(getattr(result, name), getattr(wanted, name)), name
    assert np.array_equal(result.saved.packed_gates, wanted.saved.packed_gates)

    output_gradients = [arrays[name] for name in ("dh", "dh_T", "dc_T", "dc")]
    fused = kernel.backward_inputs(result.saved, arrays["x"], arrays["weight_ih"], *output_gradients)
    assert np.array_equal(result.saved.packed_gates, wanted.saved.packed_gates)
    gradients = kernel.backward(wanted.saved, *output_gradients)
    for name in ("dweight_hh", "dh0", "dc0"):
        assert np.array_equal(getattr(fused, name), getattr(gradients, name)), name
    parts = kernel.project_backward(arrays["x"], arrays["weight_ih"], gradients.dpre)
    for name, part in zip(("dx", "dweight_ih", "dbias"), parts, strict=True):
        assert part is not None
        assert relative_error(getattr(fused, name), part) < 1e-6, name
    for option, left_out in (("with_dx", "dx"), ("with_dweight", "dweight_hh")):
        without = kernel.backward_inputs(
            result.saved, arrays["x"], arrays["weight_ih"], *output_gradients, **{option: False}
        )
        assert getattr(without, left_out) is None
        for name in {*fused._fields} - {left_out}:
            assert np.array_equal(getattr(without, name), getattr(fused, name)), (option, name)


@pytest.mark.parametrize("isa", isas())
def test_a_row_without_a_gradient_of_every_step(isa: str) -> None:
    """None for dh and dc stands for zeros."""
    kernel = Native(isa=isa, threads=1)
    arrays = random_arrays(7, 3)
    run = call_of(arrays, InputProduct(arrays["x"], arrays["weight_ih"], arrays["bias"]), reverse=False, masked=False)
    saved = kernel.forward(run).saved
    zeros = np.zeros_like(arrays["dh"])
    ends = (arrays["dh_T"], arrays["dc_T"])
    wanted = kernel.backward_inputs(saved, arrays["x"], arrays["weight_ih"], zeros, *ends, zeros)
    result = kernel.backward_inputs(saved, arrays["x"], arrays["weight_ih"], None, *ends)
    for name, array in result._asdict().items():
        assert np.array_equal(array, getattr(wanted, name)), name


def test_refused() -> None:
    kernel = Native(threads=1)
    arrays = random_arrays(7, 3)
    product = InputProduct(arrays["x"], arrays["weight_ih"], arrays["bias"])
    run = call_of(arrays, product, reverse=False, masked=False)
    saved = kernel.forward(run).saved
    ends = (arrays["dh_T"], arrays["dc_T"])
    assert_refused("mask: expected", kernel.forward, replace(run, mask=arrays["mask"][1:]))
    assert_refused("x: expected", kernel.backward_inputs, saved, arrays["x"][:, 1:], arrays["weight_ih"], None, *ends)
    assert_refused("dh: expected", kernel.backward_inputs, saved, *product[:2], arrays["dh"][1:], *ends)
    assert_refused("dh_T: expected", kernel.backward_inputs, saved, *product[:2], None, arrays["dh_T"][1:], ends[1])
    for change in (
        {"index": np.arange(LENGTHS.sum(), dtype=np.int32)},
        {"interpolation": (np.zeros(len(LENGTHS), np.int32), np.ones(len(LENGTHS), np.float32))},
        {"held": (np.zeros(LENGTHS.sum(), np.int32), np.full((1, 28), np.nan, np.float32))},
    ):
        assert_refused("a run with an input product has none", kernel.forward, replace(run, **change))
    indexed = replace(saved, index=np.arange(LENGTHS.sum(), dtype=np.int32))
    assert_refused("a run with an input product has none", kernel.backward_inputs, indexed, *product[:2], None, *ends)
    held = replace(saved, held=True)
    assert_refused("held gates", kernel.backward_inputs, held, *product[:2], None, *ends)
    shorter = replace(saved, h=saved.h[1:])
    assert_refused("saved: h", kernel.backward_inputs, shorter, *product[:2], None, *ends)
    kernel.backward(saved, None, *ends)  # it overwrites the gates
    assert_refused("read-only after its backward pass", kernel.backward_inputs, saved, *product[:2], None, *ends)
