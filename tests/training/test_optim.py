"""Whole training steps against torch's Adam on a network of torch."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch.nn import functional

from gatewise.data.labelled import Labelled
from gatewise.network.architecture import initial_parameters
from gatewise.network.autograd import RowGradient
from gatewise.network.trainable import TABLE, Network
from gatewise.training import recipe
from gatewise.training.loop import Loop
from gatewise.training.objective import SupervisedObjective, network_of
from gatewise.training.training_data import prepare
from gatewise.types import Array
from tests.network.oracle import padded_logits
from tests.training.texts import made_reviews

STEPS = 4
NO_DROPOUT = {"dropout_word": 0.0, "dropout_embedding": 0.0, "dropout_output": 0.0}
SMALL: dict[str, Any] = {"units": 7, "batch_size": 16, "epochs": 1}
TEXT: dict[str, Any] = {**SMALL, "embedding_dim": 5, "vocab_size": 400}


STEPS_AS_THEY_ARE = {"windows": 0, "noise": 0.0}


class Case(NamedTuple):
    recipe: str
    changes: dict[str, Any]
    classes: tuple[str, ...] = ("negative", "positive")


CASES = {
    "fast": Case("fast", {**TEXT, **NO_DROPOUT, "ngrams__order": 0, "grad_clip": 0.05}),
    "fast, three classes": Case(
        "fast", {**TEXT, **NO_DROPOUT, "ngrams__order": 0, "embedding_lr_scale": 0.5, "layers": 2}, ("a", "b", "c")
    ),
    "tutorial": Case("tutorial", {**TEXT, "max_length": 60}),
    "tutorial, changing rate": Case("tutorial", {**TEXT, "max_length": 60, "schedule": "one-cycle"}),
    "series": Case("series", {**SMALL, "dropout_output": 0.0, "folds": 0, "grad_clip": 0.2, **STEPS_AS_THEY_ARE}),
}


def made_series(n: int) -> Labelled:
    rng = np.random.default_rng(3)
    series = [rng.standard_normal((int(length), 2)) + length % 3 for length in rng.integers(3, 20, n)]
    return Labelled.of(series, [("even", "odd")[len(one) % 2] for one in series])


def made_texts(classes: tuple[str, ...]) -> Labelled:
    """Reviews with rare words, which most batches do not read."""
    data, rng = made_reviews(160, 40, classes), np.random.default_rng(5)
    texts = [f"{text} rare{a} rare{b}" for text, (a, b) in zip(data.inputs, rng.integers(0, 60, (160, 2)), strict=True)]
    return replace(data, inputs=texts)


def loop_of(case: Case) -> Loop[SupervisedObjective]:
    data = made_series(160) if case.recipe == "series" else made_texts(case.classes)
    training_data = prepare(data, recipe(case.recipe, **case.changes), 0)
    start = initial_parameters(training_data.architecture, np.random.default_rng(1))
    network = Network(training_data.architecture, start, trainable_rows=network_of(training_data, start).trainable_rows)
    return Loop(SupervisedObjective(training_data, network, 0))


class TorchTraining:
    """The same steps in float64: a plainly padded network with its whole embedding, torch.optim.Adam."""

    def __init__(self, objective: SupervisedObjective) -> None:
        self.data, self.objective = objective.training_data, objective
        start = objective.network.arrays()
        self.weights = {name: torch.from_numpy(a.astype(np.float64)).requires_grad_() for name, a in start.items()}
        settings = self.data.recipe.optimisation
        betas = 0.9, settings.beta_2
        scales = {TABLE: settings.embedding_lr_scale}
        groups = [{"params": [weight], "scale": scales.get(name, 1.0)} for name, weight in self.weights.items()]
        self.adam = torch.optim.Adam(groups, lr=1.0, betas=betas)
        self.clipped = 0

    def step(self, rows: Array, number: int) -> tuple[float, int]:
        data, settings = self.data, self.data.recipe.optimisation
        logits = padded_logits(data.architecture, self.weights, [data.sequences[n] for n in rows])
        labels = torch.from_numpy(data.labels[rows])
        if logits.shape[1] == 1:
            loss = functional.binary_cross_entropy_with_logits(logits[:, 0], labels.double())
            correct = int(((logits[:, 0] > 0) == (labels > 0)).sum())
        else:
            loss = functional.cross_entropy(logits, labels)
            correct = int((logits.argmax(1) == labels).sum())
        self.adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if settings.grad_clip:
            norm = torch.nn.utils.clip_grad_norm_(self.weights.values(), settings.grad_clip)
            self.clipped += bool(norm > settings.grad_clip)
        rate = self.objective.learning_rate(number)
        for group in self.adam.param_groups:
            group["lr"] = rate * group["scale"]
            # torch adds epsilon to the corrected square root of v, Keras to the uncorrected one.
            group["eps"] = 1e-7 / np.sqrt(1 - settings.beta_2 ** (number + 1))
        self.adam.step()
        return loss.item(), correct


@pytest.mark.parametrize("name", CASES)
def test_whole_steps_equal_those_of_torch(name: str) -> None:
    """Weights to 1e-6 in float32, also of embedding rows that a batch does not read, once they are caught up."""
    loop = loop_of(CASES[name])
    objective, progress = loop.objective, loop.progress
    network, settings = objective.network, objective.training_data.recipe.optimisation
    theirs, start, order = TorchTraining(objective), network.arrays(), objective.batches(0)
    rates, small, behind = set(), 0, 0
    for number, rows in enumerate(order[:STEPS]):
        before, correct = progress.loss_sum, progress.correct
        loop._step(number)
        wanted, right = theirs.step(rows, number)
        assert progress.loss_sum - before == pytest.approx(wanted * len(rows), rel=1e-5)
        assert progress.correct - correct == right
        for gradient in network.gradients().values():
            values = gradient.values if isinstance(gradient, RowGradient) else gradient
            small += int(((np.abs(values) < 1e-6) & (values != 0)).sum())
        rates.add(objective.learning_rate(number))
        if number % 2 == 0:
            continue  # rows miss two steps
        late = network.arrays()
        objective.optimizer.catch_up_all()
        found = network.arrays()
        if TABLE in late:
            behind += int((late[TABLE] != found[TABLE]).any(axis=1).sum())
        for key, weight in theirs.weights.items():
            np.testing.assert_allclose(found[key], weight.detach(), rtol=0, atol=1e-6, err_msg=f"{key}, {number}")
            assert np.abs(found[key] - start[key]).max() > 1e-4, key
    assert len(rates) == (1 if settings.schedule == "constant" else 3)
    assert theirs.clipped >= (2 if "grad_clip" in CASES[name].changes else 0)
    assert behind > 10 or name == "series", "rows must be behind, or nothing is shown"
    assert small > 50 or name != "tutorial", "gradients near epsilon must occur, or its place is not shown"
