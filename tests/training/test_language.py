"""The language model: gradients in place equal returned ones; a dropout mask lasts for a whole piece."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gatewise.model.pretrained import pretrained_shapes
from gatewise.nn import LanguageModel
from gatewise.nn.language import DIRECTIONS

ROWS, STREAMS, STEPS = 30, 4, 9


@pytest.mark.parametrize("units", [12, 0], ids=["lstm", "embeddings"])
def test_gradients_of_a_step(units: int) -> None:
    rng = np.random.default_rng(units)
    shapes = pretrained_shapes(ROWS, 8, units)
    network = LanguageModel(
        {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}, kernel="reference"
    )
    network.train()
    candidates = np.array([0, 3, 4, 11, 29])
    pieces = {way: rng.integers(0, ROWS, (STREAMS, STEPS + 1)).astype(np.int32) for way in DIRECTIONS}

    def gradients() -> dict[str, np.ndarray]:
        for way, piece in pieces.items():
            h, _ = network.hidden(way, np.ascontiguousarray(piece[:, :-1]), network.initial_states(STREAMS))
            targets = np.ascontiguousarray(piece[:, 1:])
            network.loss(way, h, targets, candidates, np.zeros(ROWS, dtype=np.float32)).backward()  # type: ignore[no-untyped-call]
        found = {}
        for name in network.names:
            grad = network[name].grad
            found[name] = np.zeros(shapes[name]) if grad is None else grad.numpy().copy()
        return found

    handed_on = gradients()
    for name in network.names:
        network[name].grad = torch.zeros_like(network[name])
    kept = network["embedding.weight"].grad
    added = gradients()
    assert network["embedding.weight"].grad is kept
    assert np.abs(added["embedding.weight"]).max() > 1e-3
    for name in network.names:
        np.testing.assert_allclose(added[name], handed_on[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_dropout_masks_a_unit_for_a_whole_piece() -> None:
    rng, units = np.random.default_rng(3), 12
    parameters = {
        name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in pretrained_shapes(ROWS, 8, units).items()
    }
    network = LanguageModel(parameters, dropout_output=0.5, kernel="reference")
    network.train()
    torch.manual_seed(5)
    h = torch.randn(STREAMS * STEPS, units, requires_grad=True)
    targets = rng.integers(0, ROWS, (STREAMS, STEPS)).astype(np.int32)
    network.loss("forward", h, targets, np.arange(ROWS), np.zeros(ROWS, dtype=np.float32)).backward()  # type: ignore[no-untyped-call]
    assert h.grad is not None
    read = (h.grad != 0).view(STREAMS, STEPS, units)
    assert torch.equal(read.all(dim=1), read.any(dim=1))
    assert 0.2 < float(read.all(dim=1).float().mean()) < 0.8
    assert len(torch.unique(read[:, 0], dim=0)) == STREAMS  # each stream its own
