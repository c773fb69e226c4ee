"""The cell against numbers worked out by hand, central differences, and an LSTM written a second time, by torch."""

import numpy as np
import pytest
import torch

from gatewise.cell import applied_gates, sigmoid, step_backward, step_forward
from gatewise.types import Gate


def test_one_unit_by_hand() -> None:
    pre = np.array([[0, 2, 0.5, 1]])
    step = step_forward(pre, np.zeros((1, 1)), np.array([[0.4]]), np.zeros((4, 1)))
    np.testing.assert_allclose(step.gates, [[0.5, 0.8808, 0.4621, 0.7311]], atol=5e-5)
    np.testing.assert_allclose(step.c, [[0.5834]], atol=5e-5)
    np.testing.assert_allclose(step.h, [[0.3839]], atol=5e-5)


def test_sigmoid_is_exact_at_both_ends_and_keeps_the_dtype() -> None:
    x = np.array([-1000, -30, 0, 30, 1000], dtype=np.float32)
    found = sigmoid(x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [0, np.exp(-30.0), 0.5, 1, 1], rtol=1e-6, atol=0)
    assert np.isnan(sigmoid(np.array([np.nan]))).all()


@pytest.mark.parametrize("units", [1, 5])
def test_a_step_equals_torchs_cell(units: int) -> None:
    rng = np.random.default_rng(units)
    pre, w = rng.standard_normal((3, 4 * units)), rng.standard_normal((4 * units, units))
    h, c = rng.standard_normal((2, 3, units))
    step = step_forward(pre, h, c, w)
    zero = torch.zeros(4 * units, dtype=torch.float64)
    wanted = torch._VF.lstm_cell(
        torch.from_numpy(pre),
        (torch.from_numpy(h), torch.from_numpy(c)),
        torch.eye(4 * units).double(),
        torch.from_numpy(w),
        zero,
        zero,
    )
    np.testing.assert_allclose(step.h, wanted[0], atol=1e-14)
    np.testing.assert_allclose(step.c, wanted[1], atol=1e-14)


def test_backward_equals_central_differences() -> None:
    rng = np.random.default_rng(2)
    pre, w = rng.standard_normal((3, 16)), rng.standard_normal((16, 4))
    h, c = rng.standard_normal((2, 3, 4))
    dh, dc = rng.standard_normal((2, 3, 4))

    def loss(pre: np.ndarray, h: np.ndarray, c: np.ndarray) -> float:
        step = step_forward(pre, h, c, w)
        return float((step.h * dh).sum() + (step.c * dc).sum())

    found = step_backward(step_forward(pre, h, c, w), c, dh, dc, w)
    for n, (array, gradient) in enumerate(zip((pre, h, c), found, strict=True)):
        for place in np.ndindex(array.shape):
            sides = []
            for shift in (1e-5, -1e-5):
                moved = [a.copy() for a in (pre, h, c)]
                moved[n][place] += shift
                sides.append(loss(*moved))
            assert gradient[place] == pytest.approx((sides[0] - sides[1]) / 2e-5, abs=1e-8)


@pytest.mark.parametrize("gate", ["sigmoid", "binary"])
def test_applied_gates(gate: Gate) -> None:
    gates = np.array([[0.2, 0.7, 0.5, 0.51, -0.3, 0.9, 0.6, 0.5]])  # two units: i i f f g g o o
    shown = applied_gates(gates, gate)
    wanted = gates if gate == "sigmoid" else [[0, 1, 0, 1, -0.3, 0.9, 1, 0]]
    np.testing.assert_array_equal(shown, wanted)
