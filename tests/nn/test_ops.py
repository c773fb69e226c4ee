"""Mean and maximum over segments and their gradients: the slope in float64, and a tie shared whatever the sign."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gatewise.network.architecture import Architecture
from gatewise.network.batch import Batch
from gatewise.nn import Network
from gatewise.nn.network import TorchOps
from gatewise.nn.ops import segment_max, segment_mean
from tests.explain.random_net import TOKENS, parameters_of, sequence_of

Lengths = NDArray[np.int64]
LENGTHS: Lengths = np.array([4, 0, 1, 7, 0], dtype=np.int64)


def test_it_is_the_maximum_and_zero_where_there_is_nothing() -> None:
    x = np.random.default_rng(3).standard_normal((12, 5)) - 2
    found = segment_max(torch.from_numpy(x), LENGTHS).numpy()
    np.testing.assert_array_equal(found, [x[:4].max(0), 0 * x[0], x[4], x[5:].max(0), 0 * x[0]])


def test_the_mean_is_zero_where_there_is_nothing() -> None:
    x = np.random.default_rng(3).standard_normal((12, 5))
    found = segment_mean(torch.from_numpy(x), LENGTHS).numpy()
    np.testing.assert_allclose(found, [x[:4].mean(0), 0 * x[0], x[4], x[5:].mean(0), 0 * x[0]], atol=1e-15)


@pytest.mark.parametrize("pooled", [segment_mean, segment_max])
def test_its_gradient_is_the_slope_in_float64(pooled: Callable[[torch.Tensor, Lengths], torch.Tensor]) -> None:
    x = torch.from_numpy(np.random.default_rng(5).standard_normal((12, 5))).requires_grad_()
    assert torch.autograd.gradcheck(lambda values: pooled(values, LENGTHS), x, eps=1e-6, atol=1e-9)


def test_a_tie_is_shared_whatever_the_sign() -> None:
    x = torch.tensor([[1, 5, 0], [3, 5, 0], [3, 2, 0], [7, 7, 7]], dtype=torch.float32, requires_grad=True)
    largest = segment_max(x, np.array([3, 1]))
    largest.backward(torch.tensor([[4, -6, -9], [1, -1, 2]], dtype=torch.float32))
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad, [[0, -3, -3], [2, -3, -3], [2, 0, -3], [1, -1, 2]])


def test_what_a_tie_is_given_is_what_came_in() -> None:
    """Over random ties the gradient of each maximum is handed on whole, neither lost nor multiplied."""
    rng = np.random.default_rng(7)
    x = torch.from_numpy(rng.integers(0, 3, (60, 8)).astype(np.float64)).requires_grad_()
    lengths = np.array([11, 20, 1, 28])
    given = torch.from_numpy(rng.standard_normal((4, 8)))
    segment_max(x, lengths).backward(given)
    assert x.grad is not None
    sums = [part.sum(dim=0).numpy() for part in x.grad.split(lengths.tolist())]
    np.testing.assert_allclose(sums, given.numpy(), atol=1e-12)


def test_the_same_for_every_order_of_the_ties() -> None:
    values = np.array([2.0, 1.0, 2.0, 2.0, 0.0])
    rng = np.random.default_rng(1)
    for sign in (1.0, -1.0):
        for _ in range(5):
            order = rng.permutation(5)
            x = torch.from_numpy(values[order][:, None].copy()).requires_grad_()
            segment_max(x, np.array([5])).backward(torch.tensor([[sign]], dtype=torch.float64))
            assert x.grad is not None
            np.testing.assert_allclose(x.grad[:, 0], sign * (values[order] == 2) / 3)


def test_training_takes_it() -> None:
    """Gates of 0 or 1 tie: with torch's own the embedding's gradient is another one."""
    arch = Architecture(**TOKENS, gate="binary", pooling="max")
    batch = Batch.of([sequence_of(arch, length, 3) for length in (9, 2, 14)], arch)

    def gradient(ops: type[TorchOps]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        network = Network(arch, parameters_of(arch, 7, "float64"), dtype=torch.float64)
        network._plain = network._ops = ops()
        network(batch).sum().neg().backward()
        found = network.weights["embedding_weight"].grad
        assert found is not None
        return found.numpy()

    class Torchs(TorchOps):
        def segment_max(self, x: torch.Tensor, lengths: Lengths) -> torch.Tensor:
            return torch.segment_reduce(x, "max", lengths=torch.from_numpy(lengths), unsafe=True)

    assert np.abs(gradient(TorchOps) - gradient(Torchs)).max() > 1e-3
