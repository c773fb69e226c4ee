"""The virtual adversarial loss: its gradient, the perturbation, the windows, and its place in a training run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError, TrainingError
from gatewise.network.architecture import Architecture
from gatewise.network.autograd import Variable
from gatewise.target import log_probabilities
from gatewise.training import Interrupted, recipe, train
from gatewise.training.adversarial import perturb
from gatewise.training.virtual_adversarial import FIRST, WINDOW, divergence, virtual_adversarial_backward, windows
from tests.training.callbacks import InterruptAt
from tests.training.test_adversarial import SMALL, TOKENS, _batch, _gradients, _inputs_of_steps, _network
from tests.training.texts import made_reviews

THREE_CLASSES = Architecture("tokens", 12, 5, 4, bidirectional=True, pooling="mean", outputs=3)


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_divergence_and_its_gradient(outputs: int) -> None:
    rng = np.random.default_rng(0)
    logits = 3 * rng.standard_normal((5, outputs))
    log_p = log_probabilities(rng.standard_normal((5, outputs)))
    loss, gradient = divergence(log_p, logits)
    log_q = log_probabilities(logits)
    assert loss == pytest.approx(sum(np.exp(p) @ (p - q) for p, q in zip(log_p, log_q, strict=True)) / 5)
    assert gradient.shape == logits.shape
    for place in np.ndindex(logits.shape):
        up, down = logits.copy(), logits.copy()
        up[place] += 1e-6
        down[place] -= 1e-6
        slope = (divergence(log_p, up)[0] - divergence(log_p, down)[0]) / 2e-6
        assert gradient[place] == pytest.approx(slope, abs=1e-8)
    assert divergence(log_q, logits)[0] == 0
    assert divergence(log_probabilities(np.array([[-800.0]])), np.array([[800.0]]))[0] == pytest.approx(800)


@pytest.mark.parametrize("arch", [TOKENS, THREE_CLASSES], ids=["two classes", "three classes"])
def test_gradient_of_the_loss(arch: Architecture) -> None:
    """Against central differences, with the prediction and the perturbation held constant."""
    network, batch, epsilon = _network(arch, {"embedding": 0.5, "output": 0.5, "recurrent": 0.5}), _batch(arch), 0.1
    loss = virtual_adversarial_backward(network, batch, epsilon, np.random.default_rng(3))
    found = _gradients(network)

    network = _network(arch)  # equal weights, no dropout
    here = _inputs_of_steps(network, batch)
    log_p = log_probabilities(network.logits(batch))
    near = Variable(perturb(here, np.random.default_rng(3).standard_normal(here.shape), batch.lengths, FIRST * epsilon))
    network.backward_from(batch, near, lambda logits: divergence(log_p, logits))
    r = perturb(here, near.grad_or_zeros(), batch.lengths, epsilon) - here

    def divergence_now() -> float:
        network.zero_grad()
        x = Variable(_inputs_of_steps(network, batch) + r)
        return network.backward_from(batch, x, lambda logits: divergence(log_p, logits))[1]

    assert loss == pytest.approx(divergence_now())
    for name, weight in network.parameters.items():
        for place in np.random.default_rng(4).integers(0, weight.size, 6):
            flat, step = weight.reshape(-1), 1e-6
            was = float(flat[place])
            flat[place] = was + step
            up = divergence_now()
            flat[place] = was - step
            down = divergence_now()
            flat[place] = was
            assert found[name].flat[place] == pytest.approx((up - down) / (2 * step), abs=1e-9), name


def test_the_perturbation_changes_the_prediction_more_than_a_random_one() -> None:
    batch, epsilon, rng = _batch(TOKENS), 0.1, np.random.default_rng(5)
    found = virtual_adversarial_backward(_network(TOKENS), batch, epsilon, rng)
    network = _network(TOKENS)
    here, log_p = _inputs_of_steps(network, batch), log_probabilities(network.logits(batch))
    random = [
        network.backward_from(
            batch,
            Variable(perturb(here, rng.standard_normal(here.shape), batch.lengths, epsilon)),
            lambda logits: divergence(log_p, logits),
        )[1]
        for _ in range(100)
    ]
    assert found > 2 * max(random)


def test_windows_are_parts_of_sequences_from_all_places() -> None:
    sequences = [np.arange(WINDOW + 50), np.arange(1000, 1007)]
    found = windows(sequences, 400, np.random.default_rng(6))
    starts = [int(window[0]) for window in found]
    for window, start in zip(found, starts, strict=True):
        assert window.tolist() == list(range(start, start + (7 if start == 1000 else WINDOW)))
    assert starts.count(1000) in range(150, 250)
    assert {min(starts), max(start for start in starts if start < 1000)} == {0, 50}


def test_only_the_last_epochs_have_the_loss_and_resuming_is_bit_for_bit(tmp_path: Path) -> None:
    data, texts = made_reviews(200, 1), [str(text) for text in made_reviews(100, 2).inputs]
    how: dict[str, Any] = {"recipe": "best", "seed": 3, "epochs": 3, "min_steps": 0, "adversarial": 0.02} | SMALL
    how |= {"unlabelled": texts, "lsa_components": 0, "virtual_adversarial_epochs": 1}
    model = train(data, out=tmp_path / "one", **how)
    plain = train(data, **how | {"virtual_adversarial_epochs": 0, "unlabelled": None})
    losses, others = ([json.loads(line)["val_loss"] for line in one.history.splitlines()] for one in (model, plain))
    assert losses[:2] == others[:2]
    assert losses[2] != others[2]
    with pytest.raises(Interrupted):
        train(data, out=tmp_path / "two", callbacks=InterruptAt(3, 2), **how)
    resumed = train(data, out=tmp_path / "two", resume=True, **how)
    assert resumed.logits(data.inputs).tobytes() == model.logits(data.inputs).tobytes()
    with pytest.raises(Interrupted):
        train(data, out=tmp_path / "three", callbacks=InterruptAt(3, 2), **how)
    with pytest.raises(TrainingError, match="holds another run: it differs in data"):
        train(data, out=tmp_path / "three", resume=True, **how | {"unlabelled": texts[1:]})


def test_what_cannot_be_used_is_refused() -> None:
    data = made_reviews(60, 1)
    with pytest.raises(InputError, match="virtual_adversarial_epochs needs a size of the perturbation"):
        recipe("finetune", virtual_adversarial_epochs=1)
    with pytest.raises(InputError, match="virtual_adversarial_epochs is for unlabelled texts, and there are none"):
        train(data, recipe="fast", adversarial=0.01, virtual_adversarial_epochs=1)
    how: dict[str, Any] = {"recipe": "fast", "adversarial": 0.01, "virtual_adversarial_epochs": 1} | SMALL
    with pytest.raises(InputError, match="the unlabelled texts have no token of the training texts"):
        train(data, unlabelled=["日本語", "ελληνικά"], **how)
