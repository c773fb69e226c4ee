"""Weights to other libraries' forms and back, with random numbers, no two alike."""

from __future__ import annotations

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.network.weight_layouts import (
    Weights,
    from_keras_arrays,
    from_onnx_arrays,
    to_keras_arrays,
    to_onnx_arrays,
)

UNITS, INPUTS = 3, 5


def weights(seed: int = 0, bias: bool = True) -> Weights:
    rng = np.random.default_rng(seed)
    shapes = (4 * UNITS, INPUTS), (4 * UNITS, UNITS), (4 * UNITS,)
    w, u, b = (rng.normal(size=shape) for shape in shapes)
    return Weights(w, u, b if bias else None)


def equal(got: Weights, wanted: Weights) -> bool:
    pairs = zip(got, wanted, strict=True)
    return all(a is b is None or (a is not None and b is not None and np.array_equal(a, b)) for a, b in pairs)


@pytest.mark.parametrize("bias", [False, True])
def test_keras_round_trip(bias: bool) -> None:
    ours = weights(bias=bias)
    arrays = to_keras_arrays(ours)
    assert [array.shape for array in arrays] == [(INPUTS, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,)][: len(arrays)]
    assert equal(from_keras_arrays(*arrays), ours)
    arrays[0][:] = 0
    assert equal(ours, weights(bias=bias)), "the converter shares memory with its source"


@pytest.mark.parametrize("directions", [1, 2])
def test_onnx_round_trip(directions: int) -> None:
    ours = [weights(seed) for seed in range(directions)]
    W, R, B = to_onnx_arrays(ours)
    assert W.shape == (directions, 4 * UNITS, INPUTS)
    input_gate, output_gate, forget_gate, candidate = np.split(B[0, : 4 * UNITS], 4)
    np.testing.assert_array_equal(ours[0].bias, np.concatenate([input_gate, forget_gate, candidate, output_gate]))
    for got, wanted in zip(from_onnx_arrays(W, R, B), ours, strict=True):
        assert equal(got, wanted)
    assert from_onnx_arrays(W, R)[0].bias is None


def test_refused() -> None:
    kernel, recurrent, bias = to_keras_arrays(weights())
    W, R, B = to_onnx_arrays([weights()])
    wrong = [
        ("kernel", lambda: from_keras_arrays(kernel[:, :-1], recurrent, bias)),
        ("recurrent_kernel", lambda: from_keras_arrays(kernel, recurrent.T, bias)),
        ("bias", lambda: from_keras_arrays(kernel, recurrent, bias[:-1])),
        ("W: expected", lambda: from_onnx_arrays(W[:, :-1], R, B)),
        ("R: expected", lambda: from_onnx_arrays(W, R[:, :-4], B)),
        ("B: expected", lambda: from_onnx_arrays(W, R, W[0])),
        ("W and R", lambda: from_onnx_arrays(W[0], R, B)),
    ]
    for message, call in wrong:
        with pytest.raises(InputError, match=message):
            call()
