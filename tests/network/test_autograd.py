"""Gradients of the whole network: float32 in the native kernel against float64; those of channels.

tests/network/test_forward.py compares them with torch's.
"""

import dataclasses

import numpy as np
import pytest

from gatewise.kernels import get
from gatewise.network.architecture import Architecture
from gatewise.network.autograd import VALUES, gradients
from gatewise.network.batch import Batch
from gatewise.network.forward import forward
from gatewise.network.ops import Ops
from gatewise.types import Array
from tests.explain.random_net import ARCHITECTURES, CHANNELS, TOKENS, parameters_of, sequence_of

MORE = {
    "long pads, two layers": Architecture.stacked(**TOKENS, max_length=300, padding="pre", layers=2),
    "binary, bidirectional, mean": Architecture.stacked(**TOKENS, gate="binary", bidirectional=True, pooling="mean"),
    "binary, mean and max": Architecture.stacked(**TOKENS, gate="binary", pooling="mean+max"),  # many ties
    "series, two layers, mean and max": Architecture.stacked(**CHANNELS, layers=2, pooling="mean+max", outputs=3),
}
ALL = {**ARCHITECTURES, **MORE}
LENGTHS = [5, 1, 13, 8]


def batch_of(arch: Architecture) -> tuple[Batch, Array]:
    """A batch, and the gradient (B, outputs) that is sent back."""
    batch = Batch.of([sequence_of(arch, length, 3) for length in LENGTHS], arch)
    return batch, np.random.default_rng(5).normal(0, 1, (len(LENGTHS), arch.outputs))


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("name", ALL)
def test_float32_equals_float64(name: str, threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The native kernel, its two directions one after the other and at the same time; a pad's many gradients add up in
    another order than in the reference kernel.
    """
    monkeypatch.setenv("GATEWISE_THREADS", threads)
    arch = ALL[name]
    parameters = parameters_of(arch, 7)
    batch, dlogits = batch_of(arch)
    logits, found = gradients(parameters, arch, batch, lambda _: dlogits, list(parameters))
    exact = {key: array.astype(np.float64) for key, array in parameters.items()}
    right, wanted = gradients(exact, arch, batch, lambda _: dlogits, list(parameters), get("reference"))
    np.testing.assert_allclose(logits, right, atol=3e-5)
    for key, gradient in wanted.items():
        assert found[key].dtype == np.float32
        scale = float(np.abs(gradient).max())
        unread = arch.pooling == "step" and key.endswith("backward.weight_hh")  # its first step alone is read
        assert scale > 1e-6 or unread
        np.testing.assert_allclose(found[key], gradient, rtol=0, atol=3e-5 * max(scale, 1), err_msg=key)


@pytest.mark.parametrize("name", [name for name, arch in ALL.items() if arch.inputs == "channels"])
def test_the_gradient_of_the_channels_equals_finite_differences(name: str) -> None:
    arch = ALL[name]
    kernel, parameters = get("reference"), parameters_of(arch, 7, "float64")
    batch, dlogits = batch_of(arch)
    assert batch.values is not None
    values = batch.values.astype(np.float64)
    batch = dataclasses.replace(batch, values=values)
    _, found = gradients(parameters, arch, batch, lambda _: dlogits, [VALUES], kernel)
    rng = np.random.default_rng(9)
    for place in zip(*(rng.integers(0, n, 8) for n in values.shape), strict=True):
        ends = []
        for step in (5e-6, -5e-6):
            moved = values.copy()
            moved[place] += step
            here = dataclasses.replace(batch, values=moved)
            ends.append((np.asarray(forward(Ops(kernel), parameters, arch, here)) * dlogits).sum())
        assert found[VALUES][place] == pytest.approx((ends[0] - ends[1]) / 1e-5, abs=2e-8), place


def test_returns_the_wanted_gradients_only() -> None:
    arch = ALL["plain"]
    parameters = parameters_of(arch, 7)
    batch, dlogits = batch_of(arch)
    _, every = gradients(parameters, arch, batch, lambda _: dlogits, list(parameters))
    _, found = gradients(parameters, arch, batch, lambda _: dlogits, ["embedding.weight"])
    assert list(found) == ["embedding.weight"]
    np.testing.assert_array_equal(found["embedding.weight"], every["embedding.weight"])
