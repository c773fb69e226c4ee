"""Gradients of the whole network: against finite differences; float32 in the native kernel against float64.

tests/network/test_operations.py has each operation alone, tests/network/test_forward.py the network against torch.
"""

from __future__ import annotations

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
        return float((np.asarray(forward(Ops(kernel), changed, arch, here)) * dlogits).sum())

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
