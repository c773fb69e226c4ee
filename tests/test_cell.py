"""The cell against numbers worked out by hand. Every kernel is compared with torch: tests/kernels/suite.py."""

import numpy as np
import pytest

from gatewise.cell import applied_gates, sigmoid, step_forward
from gatewise.types import Gate


@pytest.mark.parametrize("gate", ["sigmoid", "binary"])
def test_one_unit_by_hand(gate: Gate) -> None:
    """The example of docs/cell.md, and its binary twin: i = [½ > ½] = 0, f = 1, o = 1."""
    step = step_forward(np.array([[0, 2, 0.5, 1]]), np.zeros((1, 1)), np.array([[0.4]]), np.zeros((4, 1)), gate)
    gates, c, h = [0.5, 0.8808, 0.4621, 0.7311], 0.5834, 0.3839
    if gate == "binary":
        gates, c, h = [0, 1, 0.4621, 1], 0.4, np.tanh(0.4)
    np.testing.assert_allclose(applied_gates(step.gates, gate), [gates], atol=5e-5)
    np.testing.assert_allclose([step.c, step.h], [[[c]], [[h]]], atol=5e-5)


def test_sigmoid_is_exact_at_both_ends_and_keeps_the_dtype() -> None:
    x = np.array([-1000, -30, 0, 30, 1000], dtype=np.float32)
    found = sigmoid(x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [0, np.exp(-30.0), 0.5, 1, 1], rtol=1e-6, atol=0)
    assert np.isnan(sigmoid(np.array([np.nan]))).all()
