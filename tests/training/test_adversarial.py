"""Adversarial training: size and direction of the perturbation, and the gradient of both losses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gatewise.data.labelled import Labelled
from gatewise.errors import InputError
from gatewise.network.architecture import Architecture, initial_parameters
from gatewise.network.batch import Batch
from gatewise.nn import Network
from gatewise.training import Interrupted, recipe, train
from gatewise.training.adversarial import adversarial_backward, perturb
from gatewise.training.soft_labels import soft_cross_entropy
from tests.training.callbacks import InterruptAt
from tests.training.texts import made_reviews

TOKENS = Architecture("tokens", 12, 5, 4, layers=2, bidirectional=True, pooling="mean+max")
CHANNELS = Architecture("channels", 3, 0, 4)
SMALL: dict[str, Any] = {
    "units": 8,
    "embedding_dim": 6,
    "batch_size": 16,
    "vocab_size": 80,
    "ngram_order": 0,
    "calibrate": False,
}


def _network(arch: Architecture, dropout: dict[str, float] | None = None) -> Network:
    start = initial_parameters(arch, np.random.default_rng(1))
    return Network(arch, start, dropout=dropout, dtype=torch.float64, kernel="reference")


def _batch(arch: Architecture) -> Batch:
    rng = np.random.default_rng(2)
    lengths = [6, 1, 9]
    if arch.inputs == "channels":
        return Batch.of([rng.standard_normal((n, arch.vocab_size)) for n in lengths], arch)
    return Batch.of([rng.integers(1, arch.vocab_size, n) for n in lengths], arch)


def _loss(logits: Tensor) -> Tensor:
    target = torch.tensor([1.0, 0.0, 1.0], dtype=logits.dtype)
    return torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], target)


def _soft_loss(logits: Tensor) -> Tensor:
    """One label and two soft labels, one with weight 1/2."""
    targets = torch.tensor([[0.0, 1.0], [0.7, 0.3], [0.4, 0.6]], dtype=logits.dtype)
    return soft_cross_entropy(logits, targets, torch.tensor([1.0, 1.0, 0.5], dtype=logits.dtype))


def test_each_sequence_is_perturbed_along_its_gradient_relative_to_its_norm() -> None:
    rng = np.random.default_rng(0)
    lengths = np.array([3, 0, 2, 1])
    x, gradient = (torch.from_numpy(rng.standard_normal((6, 4))) for _ in range(2))
    gradient[5] = 0
    r = (perturb(x, gradient, lengths, 0.1) - x).numpy()
    for start, stop in ((0, 3), (3, 5)):
        one, inputs, slope = r[start:stop], x[start:stop].numpy(), gradient[start:stop].numpy()
        assert np.linalg.norm(one) == pytest.approx(0.1 * np.linalg.norm(inputs))
        np.testing.assert_allclose(one / np.linalg.norm(one), slope / np.linalg.norm(slope))
    np.testing.assert_array_equal(r[5], 0)  # its gradient is 0


@pytest.mark.parametrize("loss_of", [_loss, _soft_loss], ids=["labels", "teacher"])
@pytest.mark.parametrize("arch", [TOKENS, CHANNELS], ids=["tokens", "channels"])
def test_gradient_of_the_mean_of_both_losses(arch: Architecture, loss_of: Callable[[Tensor], Tensor]) -> None:
    """Against central differences of that mean, with the perturbation held constant."""
    network, batch, epsilon = _network(arch), _batch(arch), 0.05
    network.train()
    network.zero_grad()
    logits, loss = adversarial_backward(network, batch, loss_of, epsilon)
    torch.testing.assert_close(logits, network(batch).detach())
    torch.testing.assert_close(loss, loss_of(logits))
    found = {name: network.weight(name).grad.numpy().copy() for name in network.names}  # type: ignore[union-attr]

    here = network.inputs(batch).detach().requires_grad_()
    loss_of(network(batch, here)).backward()  # type: ignore[no-untyped-call]
    assert here.grad is not None
    r = perturb(here.detach(), here.grad, batch.lengths, epsilon) - here.detach()

    def both() -> float:
        with torch.no_grad():
            return float((loss_of(network(batch)) + loss_of(network(batch, network.inputs(batch) + r))) / 2)

    assert both() > float(loss), "the perturbation must increase the loss"
    for name in network.names:
        weight = network.weight(name).detach()
        for place in np.random.default_rng(3).integers(0, weight.numel(), 6):
            flat, step = weight.view(-1), 1e-6
            was = float(flat[place])
            flat[place] = was + step
            up = both()
            flat[place] = was - step
            down = both()
            flat[place] = was
            assert found[name].flat[place] == pytest.approx((up - down) / (2 * step), abs=1e-8), name


def test_both_losses_share_the_embedding_dropout() -> None:
    """With epsilon 0 the gradient is that of one loss, dropout included."""
    network, batch = _network(TOKENS, {"embedding": 0.5, "word": 0.3}), _batch(TOKENS)
    network.train()
    torch.manual_seed(0)
    network.zero_grad()
    adversarial_backward(network, batch, _loss, 0.0)
    both = {name: network.weight(name).grad.clone() for name in network.names}  # type: ignore[union-attr]
    torch.manual_seed(0)
    network.zero_grad()
    _loss(network(batch)).backward()  # type: ignore[no-untyped-call]
    for name, gradient in both.items():
        torch.testing.assert_close(network.weight(name).grad, gradient, msg=name)


def test_it_trains_texts_and_series_and_resumes_bit_for_bit(tmp_path: Path) -> None:
    data = made_reviews(400, 1)
    how: dict[str, Any] = {"recipe": "fast", "seed": 3, "epochs": 6, "adversarial": 0.02} | SMALL
    model = train(data, out=tmp_path / "one", **how)
    plain = train(data, **how | {"adversarial": 0.0})
    assert model.evaluate(made_reviews(100, 2)).accuracy > 0.8
    assert model.logits(data.inputs).tobytes() != plain.logits(data.inputs).tobytes()

    with pytest.raises(Interrupted):
        train(data, out=tmp_path / "two", callbacks=InterruptAt(2, 3), **how)
    resumed = train(data, out=tmp_path / "two", resume=True, **how)
    assert resumed.logits(data.inputs).tobytes() == model.logits(data.inputs).tobytes()

    rng = np.random.default_rng(4)
    series = [rng.standard_normal((int(n), 2)).astype(np.float32) + n % 2 for n in rng.integers(4, 9, 60)]
    labels = [("even", "odd")[len(one) % 2] for one in series]
    found = train(
        series, labels, recipe="fast", epochs=6, adversarial=0.02, units=6, batch_size=8, calibrate=False, ngram_order=0
    )
    assert found.evaluate(Labelled.of(series, labels)).accuracy > 0.8


def test_a_negative_epsilon_or_shared_pads_are_refused() -> None:
    with pytest.raises(InputError, match=r"recipe: adversarial must be from 0 to below 1, not -0\.1"):
        recipe("best", adversarial=-0.1)
    with pytest.raises(InputError, match="recipe: adversarial differs by sequence"):
        recipe("tutorial", adversarial=0.01)
    assert recipe("tutorial", adversarial=0.01, padding="none").adversarial == 0.01
