"""The input product of every kernel: right in float64's eyes at every odd size, and refused where it does not fit."""

from typing import Any

import numpy as np

from gatewise.kernels.interface import Kernel
from gatewise.types import Array
from tests.kernels.close import TOLERANCE, assert_close, assert_refused

# U, 4H, D: around the tile's rows (3, 6), vectors (4 to 64 floats) and the rows taken at a time (96); nothing at all.
SHAPES = ((1, 4, 1), (5, 28, 7), (6, 64, 16), (97, 68, 33), (200, 400, 32), (193, 520, 130), (3, 12, 300), (0, 8, 3))


def _drawn(rows: int, outputs: int, inputs: int) -> tuple[Array, Array, Array, Array]:
    rng = np.random.default_rng([rows, outputs, inputs])
    shapes = ((rows, inputs), (outputs, inputs), (outputs,), (rows, outputs))
    x, weight, bias, dpre = (rng.normal(size=shape) for shape in shapes)
    return x, weight, bias, dpre


def check_project(kernel: Kernel) -> None:
    """x weight_ihᵀ + bias."""
    for shape in SHAPES:
        x, weight, bias, _ = _drawn(*shape)
        for dtype in kernel.dtypes:
            got = kernel.project(x.astype(dtype), weight.astype(dtype), bias.astype(dtype))
            assert got.dtype == dtype
            assert_close(got, x @ weight.T + bias, TOLERANCE[dtype], f"project {shape} {dtype}")


def check_project_backward(kernel: Kernel) -> None:
    """dx, dweight_ih and dbias, by the definition: sums over what each number touches."""
    for shape in SHAPES:
        x, weight, _, dpre = _drawn(*shape)
        wanted = (np.einsum("un,nd->ud", dpre, weight), np.einsum("un,ud->nd", dpre, x), np.einsum("un->n", dpre))
        for dtype in kernel.dtypes:
            arrays = x.astype(dtype), weight.astype(dtype), dpre.astype(dtype)
            got = kernel.project_backward(*arrays)
            for name, array, want in zip(("dx", "dweight_ih", "dbias"), got, wanted, strict=True):
                assert array is not None, name
                assert array.dtype == dtype, name
                assert_close(array, want, TOLERANCE[dtype], f"project {shape} {dtype}: {name}")
            dx, dweight_ih, _ = kernel.project_backward(*arrays, with_dx=False)
            assert dx is None, "a dx that was not asked for"
            assert np.array_equal(dweight_ih, got[1]), "dweight_ih differs without dx"


def check_project_arguments(kernel: Kernel) -> None:
    """Arrays that do not fit together are refused by name."""
    good = dict(zip(("x", "weight_ih", "bias"), (a.astype("float32") for a in _drawn(5, 28, 7)[:3]), strict=True))
    wrong: dict[str, dict[str, Any]] = {
        "x: expected": {"x": good["x"][:, :6]},
        "weight_ih: expected": {"weight_ih": good["weight_ih"][0]},
        "bias: expected": {"bias": good["bias"][:-1]},
        "bias is float64": {"bias": good["bias"].astype("float64")},
        "x must be C-contiguous": {"x": np.asfortranarray(good["x"])},
    }
    for message, changed in wrong.items():
        assert_refused(lambda changed=changed: kernel.project(**{**good, **changed}), message)  # type: ignore[misc]
    dpre = np.zeros((5, 27), "float32")
    assert_refused(lambda: kernel.project_backward(good["x"], good["weight_ih"], dpre), "dpre: expected")
