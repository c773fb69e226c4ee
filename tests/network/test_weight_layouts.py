"""Arrays of other libraries that do not fit. tests/nn and tests/exchange compare the layouts with the libraries."""

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


def weights() -> Weights:
    rng = np.random.default_rng(0)
    shapes = (4 * UNITS, INPUTS), (4 * UNITS, UNITS), (4 * UNITS,)
    w, u, b = (rng.normal(size=shape) for shape in shapes)
    return Weights(w, u, b)


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
