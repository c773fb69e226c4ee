"""Pooling of ragged batches and its gradients: native against NumPy, ties, empty sequences."""

from typing import Any

import numpy as np
import pytest

from gatewise.kernels import extension_for
from gatewise.kernels.pooling import max_backward, repeat_rows, segment_reduce
from tests.kernels.batches import needs_native

LENGTHS = np.array([4, 0, 1, 700, 0, 33], dtype=np.int64)


def values(dtype: str, width: int = 37, ties: bool = False) -> np.ndarray:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((int(LENGTHS.sum()), width))
    return (np.round(x) if ties else x).astype(dtype)


@pytest.fixture(params=["reference", pytest.param("native", marks=needs_native)])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    monkeypatch.setenv("GATEWISE_KERNEL", name)
    return name


@pytest.mark.parametrize("threads", ["1", "2", "3"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_each_sequence_by_itself(kernel: str, dtype: str, threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_THREADS", threads)
    x = values(dtype)
    parts = np.split(x, np.cumsum(LENGTHS)[:-1])
    total, largest = segment_reduce(x, LENGTHS, "sum"), segment_reduce(x, LENGTHS, "max")
    tolerance = 1e-4 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(total, [part.sum(axis=0) for part in parts], atol=tolerance)
    np.testing.assert_array_equal(largest, [part.max(axis=0) if len(part) else 0 * x[0] for part in parts])
    assert total.dtype == largest.dtype == x.dtype


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", [None, "C", "F"])
def test_equal_maxima_share_the_gradient(kernel: str, dtype: str, order: Any) -> None:
    """A new array, or added in place to one of this order."""
    x = values(dtype, ties=True)
    rng = np.random.default_rng(5)
    grad, before = rng.standard_normal((6, 37)).astype(dtype), rng.standard_normal(x.shape).astype(dtype)
    largest = segment_reduce(x, LENGTHS, "max")
    expected = []
    for part, top, to in zip(np.split(x, np.cumsum(LENGTHS)[:-1]), largest, grad, strict=True):
        equal = part == top
        expected.append(equal * (to / np.maximum(equal.sum(axis=0), 1)))
    assert sum(int((part > 0).sum()) for part in expected) > 37 * 4, "there are ties"
    for run, wanted in (
        (lambda add_to: max_backward(x, largest, LENGTHS, grad, add_to), np.concatenate(expected)),
        (lambda add_to: repeat_rows(grad, LENGTHS, add_to), np.repeat(grad, LENGTHS, axis=0)),
    ):
        add_to = before.copy(order=order) if order else None
        found = run(add_to)
        assert add_to is None or found is add_to
        np.testing.assert_allclose(found, wanted + (before if order else 0), atol=1e-6)


def test_a_nan_is_not_lost_also_in_a_strided_array(kernel: str) -> None:
    x = values("float32", 80)[:, ::2]
    x[100, 3] = np.nan
    for found in (segment_reduce(x, LENGTHS, "sum"), segment_reduce(x, LENGTHS, "max")):
        assert np.argwhere(np.isnan(found)).tolist() == [[3, 3]]
    np.testing.assert_array_equal(found, segment_reduce(np.ascontiguousarray(x), LENGTHS, "max"))


@needs_native
def test_the_native_kernel_runs_in_the_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_KERNEL", "native")
    assert extension_for(values("float32"), values("float64")) is not None
    assert extension_for(values("float64")) is None
    assert extension_for(values("float32"), values("float64")[:, ::2]) is None
