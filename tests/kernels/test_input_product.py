"""A run that computes its input product itself has the bits of `project` and `forward`."""

from dataclasses import replace

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.kernels import LSTMCall, native, read_only
from gatewise.kernels.call import InputProduct
from gatewise.kernels.native import Native
from gatewise.kernels.reference import Reference
from gatewise.types import Array
from tests.kernels.batches import needs_native
from tests.refusals import assert_refused

pytestmark = needs_native
KERNELS = [*((isa, "float32") for isa in native.isas()), *((isa, "bf16") for isa in native.isas_bf16())]
LENGTHS = {
    "one": [37],
    "few": [5, 0, 130, 1, 64],
    "a group": [9] * 64,
    "more than a group": [1 + 7 * n % 23 for n in range(150)],
    "empty": [0, 0],
    "several segments": [700, 650, 7],
}


def call_of(lengths: list[int], inputs: int, units: int, reverse: bool) -> LSTMCall[Array]:
    rng = np.random.default_rng([len(lengths), inputs, units])

    def numbers(*shape: int) -> Array:
        return rng.normal(size=shape).astype(np.float32)

    weights = [read_only(numbers(4 * units, size)) for size in (inputs, units)]
    product = InputProduct(numbers(sum(lengths), inputs), weights[0], numbers(4 * units))
    states = [numbers(len(lengths), units) for _ in range(2)]
    return LSTMCall(product, None, np.array(lengths, dtype=np.intp), weights[1], *states, reverse=reverse)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize(("inputs", "units"), [(1, 5), (4, 16), (33, 20), (3, 100)])
@pytest.mark.parametrize(("isa", "precision"), KERNELS)
def test_the_bits_are_those_of_the_product_made_first(
    isa: str, precision: str, inputs: int, units: int, lengths: list[int], reverse: bool
) -> None:
    call = call_of(lengths, inputs, units, reverse)
    for threads in (1, 3):
        kernel = Native(isa=isa, precision=precision, threads=threads)  # type: ignore[arg-type]
        expected = kernel.forward(replace(call, pre=kernel.project(*call.pre)), keep=False)
        result = kernel.forward(call, keep=False)
        np.testing.assert_array_equal(result.h, expected.h)
        last = kernel.forward(replace(call, last_only=True), keep=False)
        assert last.h is None
        for states in (result, last):
            np.testing.assert_array_equal(states.h_T, expected.h_T)
            np.testing.assert_array_equal(states.c_T, expected.c_T)


def test_the_reference_and_writeable_weights() -> None:
    """Writeable weights are packed at each call."""
    call = call_of([4, 9, 2], 3, 6, reverse=False)
    weights = [call.pre.weight_ih.copy(), call.weight_hh.copy()]
    writeable = replace(call, pre=call.pre._replace(weight_ih=weights[0]), weight_hh=weights[1])
    reference = Reference()
    expected = reference.forward(replace(call, pre=reference.project(*call.pre)), keep=False)
    for kernel in [Native(isa=isa) for isa in native.isas()]:
        result = kernel.forward(writeable, keep=False)
        np.testing.assert_allclose(result.h, expected.h, atol=1e-6)
        np.testing.assert_allclose(result.c_T, expected.c_T, atol=1e-6)


def test_arrays_that_do_not_fit_are_named() -> None:
    call = call_of([4, 9, 2], 3, 6, reverse=False)
    kernel = Native()

    def run(**changes: object) -> object:
        product = {name: changes.pop(name) for name in ("x", "weight_ih", "bias") if name in changes}
        return kernel.forward(replace(call, pre=call.pre._replace(**product), **changes), keep=False)

    assert_refused("pre", run, x=call.pre.x[:-1])
    assert_refused("x is float64, weight_ih is float32", run, x=call.pre.x.astype(np.float64))
    assert_refused("x: expected .U, 2.", run, weight_ih=call.pre.weight_ih[:, :2])
    assert_refused("bias", run, bias=call.pre.bias[1:])
    assert_refused("h0", run, h0=call.h0[:, 1:].copy())
    with pytest.raises(InputError):
        run(lengths=np.array([4, 9, 3], dtype=np.intp))
