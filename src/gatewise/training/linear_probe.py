"""Fit the dense layer on what a base says of the labelled rows, before anything else moves: a linear probe.

Fine-tuning from a drawn head pulls the base's states towards that head's errors first, and where labels are few it
never recovers; Kumar et al. (2022) start from a fitted one. With x_i the pooled states of row i, less their mean over
the rows and divided by their standard deviation, what is minimised by L-BFGS from zero is

    Σ_i cross-entropy_i + l2/2 Σ w²        logit = w x + b; the bias is free

and mean and deviation are folded into the layer that comes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from gatewise import kernels
from gatewise.model.pretrained import PretrainedLM
from gatewise.network.inference import features_of
from gatewise.network.ops import NumpyOps
from gatewise.training.ngrams import targets_of
from gatewise.training.start import start_parameters
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

__all__ = ["fit_linear_probe", "pooled", "started", "with_head"]

MOST = 1_000  # rows that it is fitted on: more of them teach a head nothing that training would not
FLAT = 1e-6  # added to a standard deviation: a state that never moves tells nothing


def started(training_data: TrainingData, pretrained: PretrainedLM | None, seed: int) -> dict[str, Array]:
    """What a network over `prepared` starts from: drawn, or the base with the head that the recipe asks for."""
    parameters = start_parameters(training_data.architecture, pretrained, seed)
    return (
        with_head(parameters, training_data) if pretrained is not None and training_data.recipe.probe_l2 else parameters
    )


def with_head(parameters: Mapping[str, Array], training_data: TrainingData) -> dict[str, Array]:
    """`parameters` with a dense layer fitted on the training part's labels, of at most MOST rows."""
    rows = training_data.train[:: -(-len(training_data.train) // MOST)]
    states = pooled(parameters, training_data, [training_data.sequences[n] for n in rows])
    weight, bias = fit_linear_probe(
        states, targets_of(training_data.labels[rows], len(training_data.data.classes)), training_data.recipe.probe_l2
    )
    return {**parameters, "dense.weight": weight, "dense.bias": bias}


def pooled(parameters: Mapping[str, Array], training_data: TrainingData, sequences: Sequence[Array]) -> Array:
    """The pooled states (n, F) of n sequences, cut already, in the recipe's precision."""
    ops = NumpyOps(kernels.for_precision(training_data.recipe.kernel_precision))
    return features_of(parameters, training_data.architecture, sequences, ops)


def fit_linear_probe(states: Array, targets: Array, l2: float, *, shared_scale: bool = False) -> tuple[Array, Array]:
    """weight (outputs, F) and bias (outputs,) float32 from pooled states (n, F) and targets (n, outputs), which are as
    `targets_of` gives them. shared_scale: one deviation for all numbers,
    the root of their mean square, for numbers whose
    own deviations say how much they matter. The same arguments give the same bits.
    """
    wide = states.astype(np.float64)
    mean, deviation = wide.mean(axis=0), wide.std(axis=0) + FLAT
    if shared_scale:
        deviation = np.full_like(deviation, np.sqrt(np.mean(deviation**2)))
    x, y = torch.from_numpy((wide - mean) / deviation), torch.from_numpy(targets.astype(np.float64))
    w = torch.zeros((x.shape[1], y.shape[1]), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(y.shape[1], dtype=torch.float64, requires_grad=True)
    lbfgs = torch.optim.LBFGS([w, bias], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        lbfgs.zero_grad()
        z = x @ w + bias
        one = y.shape[1] == 1
        losses = torch.nn.functional.softplus(z) - y * z if one else -y * z.log_softmax(dim=1)
        loss = losses.sum() + 0.5 * l2 * w.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    lbfgs.step(closure)  # type: ignore[no-untyped-call]
    folded = w.detach().numpy().T / deviation  # (outputs, F)
    shift = bias.detach().numpy() - folded @ mean
    return np.ascontiguousarray(folded, dtype=np.float32), shift.astype(np.float32)
