"""The losses of training are those of torch; adversarial training: the perturbation, the gradient of both losses."""

import dataclasses
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from gatewise.data.labelled import Labelled
from gatewise.errors import InputError
from gatewise.kernels import get
from gatewise.losses import cross_entropy
from gatewise.network.architecture import Architecture, initial_parameters
from gatewise.network.autograd import Variable
from gatewise.network.batch import Batch
from gatewise.network.forward import forward, inputs
from gatewise.network.ops import Ops, array_of
from gatewise.network.trainable import BatchLoss, LossOf, Network
from gatewise.target import target_of
from gatewise.training import recipe
from gatewise.training.labelled_loop import mean_loss, scores_of
from gatewise.training.network_data import NetworkData, TargetScaling
from gatewise.training.supervised_loop import adversarial_backward, perturb
from gatewise.training.train import train
from gatewise.types import Array, Task
from tests.network.oracle import dense
from tests.network.passes import backward
from tests.refusals import assert_refused
from tests.training.texts import made_reviews

TOKENS = Architecture.stacked("tokens", 12, 5, 4, layers=2, bidirectional=True, pooling="mean+max")
CHANNELS = Architecture.stacked("channels", 3, 0, 4)


def _network(arch: Architecture, dropout: dict[str, float] | None = None) -> Network:
    start = initial_parameters(arch, np.random.default_rng(1))
    network = Network(arch, start, dropout=dropout, dtype="float64", kernel=get("reference"))
    network.dropout.rng = np.random.default_rng(7)
    return network


def _logits(network: Network, batch: Batch) -> Array:
    """Without dropout."""
    return np.asarray(forward(Ops(network.kernel), network.parameters, network.arch, batch))


def _gradients(network: Network) -> dict[str, Array]:
    return dense(network.gradients(), network.parameters)


def _batch(arch: Architecture) -> Batch:
    rng = np.random.default_rng(2)
    lengths = [6, 1, 9]
    if arch.inputs == "channels":
        return Batch.of([rng.standard_normal((n, arch.vocab_size)) for n in lengths], arch)
    return Batch.of([rng.integers(1, arch.vocab_size, n) for n in lengths], arch)


def _mean(logits: Array, targets: list[float], weights: list[float]) -> BatchLoss:
    weight = np.array(weights)[:, None]
    losses, gradient = cross_entropy(logits, np.array(targets)[:, None])
    return BatchLoss(float((weight * losses).mean()), weight * gradient / len(logits))


NAMES = ("a", "b", "c")

LOSSES = {
    "labels": partial(_mean, targets=[1, 0, 1], weights=[1, 1, 1]),
    "teacher": partial(_mean, targets=[1, 0.3, 0.6], weights=[1, 1, 0.5]),  # one label and two soft labels
}


def _inputs_of_steps(network: Network, batch: Batch) -> Array:
    """The inputs (N, D) of every step, without dropout."""
    x = array_of(inputs(network.ops(), network.parameters, batch))
    return x if batch.index is None else x[batch.index]


def test_each_sequence_is_perturbed_along_its_gradient_relative_to_its_norm() -> None:
    rng = np.random.default_rng(0)
    lengths = np.array([3, 0, 2, 1])
    x, gradient = (rng.standard_normal((6, 4)) for _ in range(2))
    gradient[5] = 0
    r = perturb(x, gradient, lengths, 0.1) - x
    for start, stop in ((0, 3), (3, 5)):
        one, slope = r[start:stop], gradient[start:stop]
        assert np.linalg.norm(one) == pytest.approx(0.1 * np.linalg.norm(x[start:stop]))
        np.testing.assert_allclose(one / np.linalg.norm(one), slope / np.linalg.norm(slope))
    np.testing.assert_array_equal(r[5], 0)  # its gradient is 0


@pytest.mark.parametrize("loss_of", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("arch", [TOKENS, CHANNELS], ids=["tokens", "channels"])
def test_gradient_of_the_mean_of_both_losses(arch: Architecture, loss_of: LossOf) -> None:
    """Against central differences of that mean, with the perturbation held constant."""
    network, batch, epsilon = _network(arch), _batch(arch), 0.05
    logits, of_plain = adversarial_backward(network, batch, loss_of, epsilon)
    loss = of_plain.value
    np.testing.assert_array_equal(logits, _logits(network, batch))
    assert loss == loss_of(logits)[0]
    found = _gradients(network)

    here, by_step = Variable(_inputs_of_steps(network, batch)), dataclasses.replace(batch, index=None)
    backward(network, by_step, loss_of, here)
    r = perturb(here.value, here.grad_or_zeros(), batch.lengths, epsilon) - here.value

    def both() -> float:
        x = Variable(_inputs_of_steps(network, batch) + r)
        perturbed = backward(network, by_step, loss_of, x)[1]
        return (loss_of(_logits(network, batch))[0] + perturbed) / 2

    assert both() > loss, "the perturbation must increase the loss"
    for name, weight in network.parameters.items():
        for place in np.random.default_rng(3).integers(0, weight.size, 3):
            flat, step = weight.reshape(-1), 1e-6
            was = float(flat[place])
            flat[place] = was + step
            up = both()
            flat[place] = was - step
            down = both()
            flat[place] = was
            assert found[name].flat[place] == pytest.approx((up - down) / (2 * step), abs=1e-8), name


def test_both_losses_share_the_embedding_dropout() -> None:
    """With epsilon 0 the gradient is that of one loss, dropout included."""
    dropout = {"embedding": 0.5, "word": 0.3}
    one, both = (_network(TOKENS, dropout) for _ in range(2))  # with equal generators
    adversarial_backward(both, _batch(TOKENS), LOSSES["labels"], 0.0)
    backward(one, _batch(TOKENS), LOSSES["labels"])
    wanted = _gradients(one)
    for name, gradient in _gradients(both).items():
        np.testing.assert_allclose(gradient, wanted[name], rtol=0, atol=1e-15, err_msg=name)
    network = _network(TOKENS)
    backward(network, _batch(TOKENS), LOSSES["labels"])
    assert not np.allclose(_gradients(network)["dense.weight"], wanted["dense.weight"])


def test_it_trains_texts_and_series() -> None:
    data = made_reviews(400, 1)
    how: dict[str, Any] = {"recipe": "fast", "seed": 3, "epochs": 6, "adversarial": 0.02, "ngrams__order": 0}
    how |= {"units": 8, "embedding_dim": 6, "batch_size": 16, "vocab_size": 80}
    model = train(data, **how)
    plain = train(data, **how | {"adversarial": 0.0})
    assert model.evaluate(made_reviews(100, 2)).accuracy > 0.8
    assert model.logits(data.inputs).tobytes() != plain.logits(data.inputs).tobytes()

    rng = np.random.default_rng(4)
    series = [rng.standard_normal((int(n), 2)).astype(np.float32) + n % 2 for n in rng.integers(4, 9, 60)]
    labels = [("even", "odd")[len(one) % 2] for one in series]
    found = train(series, labels, recipe="fast", epochs=6, adversarial=0.02, units=6, batch_size=8, ngrams__order=0)
    assert found.evaluate(Labelled.of(series, labels)).accuracy > 0.8


def test_a_negative_epsilon_and_what_differs_by_sequence_with_shared_pads_are_refused() -> None:
    with pytest.raises(InputError, match=r"recipe: optimisation.adversarial must be from 0 to below 1, not -0\.1"):
        recipe("best", adversarial=-0.1)
    assert_refused("recipe: adversarial differs by sequence", recipe, "tutorial", adversarial=0.01)
    assert recipe("tutorial", adversarial=0.01, padding="none").optimisation.adversarial == 0.01


@pytest.mark.parametrize(
    ("task", "outputs"), [("classification", 1), ("classification", 3), ("multilabel", 3), ("regression", 3)]
)
def test_the_losses_and_their_gradients_are_those_of_torch(task: Task, outputs: int) -> None:
    """Of soft targets, and of logits whose exponentials are infinite and 0."""
    rng = np.random.default_rng(outputs)
    z, y = rng.standard_normal((7, outputs)) * 3, rng.uniform(0, 1, (7, outputs))
    if outputs > 1 and task == "classification":
        y = rng.dirichlet(np.ones(outputs), 7)
    if task != "regression":
        z[0], z[1] = 800, -800
    logits, targets = torch.from_numpy(z.copy()).requires_grad_(), torch.from_numpy(y)
    if task == "regression":
        theirs = (logits - targets).square()
    elif task == "multilabel" or outputs == 1:
        theirs = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    else:
        theirs = functional.cross_entropy(logits, targets, reduction="none")[:, None]
    theirs.sum().backward()  # type: ignore[no-untyped-call]
    losses, gradient = target_of(NAMES[: max(2, outputs)], task).loss(z, y)
    np.testing.assert_allclose(losses, theirs.detach(), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(gradient, logits.grad, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("weighted", ["", "rows", "labels"])
@pytest.mark.parametrize(
    ("task", "outputs", "soft"),
    [
        ("classification", 1, False),
        ("classification", 1, True),
        ("classification", 3, False),
        ("classification", 3, True),
        ("multilabel", 3, False),
        ("regression", 3, False),
    ],
)
def test_the_loss_of_a_batch_is_a_weighted_mean(task: Task, outputs: int, soft: bool, weighted: str) -> None:
    """Of its rows, from their labels or the soft labels of a teacher; of numbers that are standardised. That of a
    validation set is divided by the sum of the weights.
    """
    rng, classes, rows = np.random.default_rng(4), max(2, outputs), np.array([5, 0, 2, 9, 4])
    labels = rng.integers(0, 2, (10, 3)) if task == "multilabel" else rng.integers(0, classes, 10)
    p = rng.dirichlet(np.ones(classes), 10) if soft else np.eye(classes)[labels.ravel()[:10] % classes]
    expected = p[:, 1 if classes == 2 else 0 :] if task == "classification" else labels
    scaling = None
    if task == "regression":
        labels = rng.normal(3, 9, (10, 3))
        scaling = TargetScaling(np.array([3.0, -5.0, 1.0]), np.array([2.0, 0.5, 9.0]))
        expected = (labels - scaling.mean) / scaling.scale
    shape = (10, 3) if weighted == "labels" and task == "multilabel" else (10,)
    weights = rng.uniform(0.2, 3, shape).astype(np.float32) if weighted else None
    target = target_of(NAMES[:classes], task)
    data: Any = SimpleNamespace(target=target, labels=labels, loss_weight=weights, target_scaling=scaling)
    data.soft_targets = p if soft else None
    data._target_values = partial(NetworkData._target_values, data)
    data.targets = partial(NetworkData.targets, data)
    z = rng.standard_normal((5, outputs))
    loss, gradient, *_ = mean_loss(data, z, rows)
    losses, slopes = target.loss(z, expected[rows])
    each = np.ones((5, 1)) if weights is None else weights[rows].reshape(5, -1)
    assert loss == pytest.approx((each * losses).mean(), rel=1e-6)
    np.testing.assert_allclose(gradient, each * slopes / losses.size, rtol=1e-6, atol=1e-7)
    logits = z if scaling is None else z * scaling.scale + scaling.mean  # as a validation set has them
    total = np.broadcast_to(each, losses.shape)
    assert scores_of(data, logits, rows)[0] == pytest.approx((total * losses).sum() / total.sum(), rel=1e-6)
