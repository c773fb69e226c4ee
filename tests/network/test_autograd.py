"""Gradients of the network in NumPy, against torch's autograd over the same network and against finite differences."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from gatewise.kernels import get
from gatewise.network.architecture import Architecture
from gatewise.network.autograd import VALUES, RecordingOps, Variable, gradients
from gatewise.network.batch import Batch
from gatewise.network.forward import forward
from gatewise.network.ops import NumpyOps
from gatewise.nn import Network
from gatewise.types import Array
from tests.explain.random_net import ARCHITECTURES, CHANNELS, TOKENS, parameters_of, sequence_of

MORE = {
    "long pads, two layers": Architecture(**TOKENS, max_length=300, padding="pre", layers=2),
    "binary, bidirectional, mean": Architecture(**TOKENS, gate="binary", bidirectional=True, pooling="mean"),
    "binary, mean and max": Architecture(**TOKENS, gate="binary", pooling="mean+max"),  # many ties
    "series, two layers, mean and max": Architecture(**CHANNELS, layers=2, pooling="mean+max", outputs=3),
}
ALL = {**ARCHITECTURES, **MORE}
LENGTHS = [5, 1, 13, 8]


def batch_of(arch: Architecture) -> tuple[Batch, Array]:
    """A batch, and the gradient (B, outputs) that is sent back."""
    batch = Batch.of([sequence_of(arch, length, 3) for length in LENGTHS], arch)
    return batch, np.random.default_rng(5).normal(0, 1, (len(LENGTHS), arch.outputs))


@pytest.mark.parametrize(("dtype", "close"), [("float32", 3e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("name", ALL)
def test_equals_torch_autograd(name: str, dtype: str, close: float) -> None:
    """In float32 the two add up a pad's many gradients in another order; in float64 nothing else is left to see."""
    arch = ALL[name]
    parameters = parameters_of(arch, 7, dtype)
    batch, dlogits = batch_of(arch)
    kernel = get("reference") if dtype == "float64" else None
    logits, found = gradients(parameters, arch, batch, lambda _: dlogits, list(parameters), kernel)
    network = Network(arch, parameters, dtype=getattr(torch, dtype))
    want = network(batch)
    want.backward(torch.from_numpy(dlogits.astype(dtype)))
    np.testing.assert_allclose(logits, want.detach().numpy(), atol=close)
    for key in parameters:
        gradient = network.weights[key.replace(".", "_")].grad
        assert gradient is not None
        scale = float(gradient.abs().max())
        assert scale > 1e-6
        np.testing.assert_allclose(found[key], gradient.numpy(), atol=close * max(scale, 1), err_msg=key)


@pytest.mark.parametrize("name", [name for name, arch in ALL.items() if arch.gate == "sigmoid"])
def test_equals_finite_differences(name: str) -> None:
    """Two points an input, 1e-5 apart, with the reference kernel; also for a series' own values."""
    arch = ALL[name]
    kernel, parameters = get("reference"), parameters_of(arch, 7, "float64")
    batch, dlogits = batch_of(arch)
    if batch.values is not None:
        batch = dataclasses.replace(batch, values=batch.values.astype(np.float64))
    wanted = [*parameters, *([VALUES] if batch.values is not None else [])]
    _, found = gradients(parameters, arch, batch, lambda _: dlogits, wanted, kernel)

    def loss(key: str, place: tuple[int, ...], step: float) -> float:
        changed, here = dict(parameters), batch
        moved = (batch.values if key == VALUES else changed[key]).copy()  # type: ignore[union-attr]
        moved[place] += step
        if key == VALUES:
            here = dataclasses.replace(batch, values=moved)
        else:
            changed[key] = moved
        return float((np.asarray(forward(NumpyOps(kernel), changed, arch, here)) * dlogits).sum())

    rng = np.random.default_rng(9)
    for key in wanted:
        for _ in range(4):
            place = tuple(int(rng.integers(n)) for n in found[key].shape)
            slope = (loss(key, place, 5e-6) - loss(key, place, -5e-6)) / 1e-5
            assert found[key][place] == pytest.approx(slope, abs=2e-8), (key, place)


def test_returns_the_wanted_gradients_only() -> None:
    arch = ALL["plain"]
    parameters = parameters_of(arch, 7)
    batch, dlogits = batch_of(arch)
    _, every = gradients(parameters, arch, batch, lambda _: dlogits, list(parameters))
    _, found = gradients(parameters, arch, batch, lambda _: dlogits, ["embedding.weight"])
    assert list(found) == ["embedding.weight"]
    np.testing.assert_array_equal(found["embedding.weight"], every["embedding.weight"])


def test_a_tie_for_the_maximum_is_shared_whatever_the_sign() -> None:
    """With gates of 0 or 1 many steps show exactly 0. `nn.segment_max` is held to the same (tests/nn/test_ops.py),
    since torch.segment_reduce (2.13) shares a positive gradient alone.
    """
    ops = RecordingOps()
    x = Variable(np.array([[1, 5, 0], [3, 5, 0], [3, 2, 0], [7, 7, 7]], dtype=np.float32), ops)
    largest = ops.segment_max(x, np.array([3, 1]))
    largest.accumulate(np.array([[4, -6, -9], [1, -1, 2]], dtype=np.float32))
    ops.backward()
    np.testing.assert_array_equal(x.grad_or_zeros(), [[0, -3, -3], [2, -3, -3], [2, 0, -3], [1, -1, 2]])
