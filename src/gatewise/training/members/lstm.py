"""Fit the LSTM: its initial weights, and the fit of a dense layer on frozen layers.

Initial weights are random, or those of a pretrained model with a new dense layer. Fine-tuning from a random dense layer
first distorts the pretrained features; with few labels the network never recovers. Kumar et al. (2022) start from a
linear probe: a generalised linear model on the pooled states (`dense_solver`). A pretrained model of the same task has
a dense layer already; the same fit on its logits z, for rows that it has never seen, maps it to the new classes or
numbers,

    logits = W z + b        W (outputs, its outputs), L2 penalty on W

so equal, reversed, finer and unrelated classes need no names in common: W is near 0 where z says nothing of them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gatewise.data.splits import leave_one_out_folds
from gatewise.errors import counted
from gatewise.members.lstm import LSTM
from gatewise.network.architecture import initial_parameters
from gatewise.network.forward import features, hidden, in_batches
from gatewise.network.ops import Ops
from gatewise.training.dense_solver import EPSILON, fit_standardised_glm
from gatewise.training.labelled_loop import LabelledLoop, scores_of
from gatewise.training.members import Run
from gatewise.training.network_fit import fit_network, validation_results
from gatewise.training.ridge import Ridge
from gatewise.training.ridge_targets import RidgeTargets
from gatewise.training.stack import FittedMember
from gatewise.training.supervised_loop import SupervisedLoop, network_of
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

if TYPE_CHECKING:
    from gatewise.model.model import Model
    from gatewise.training.pretrained import Pretrained

MAX_ROWS = 1_000  # of the linear probe; of more rows, training fits the dense layer as well
MAX_FROZEN_ROWS = 20_000  # of the ridge regression, whose memory grows with them: 0.1 MB per row of 2,048 states
TRANSFER_L2 = 1.0


def fit(data: TrainingData, run: Run) -> FittedMember:
    """The network of the best epoch, or with frozen layers that of `_frozen`. Raises Interrupted after Ctrl-C."""
    if data.recipe.frozen:
        return _frozen(data, run)
    return fit_network(data, run, _loop, _member)


def _loop(data: TrainingData, run: Run, seed: int, out_of_fold: Sequence[Array], **options: Any) -> SupervisedLoop:
    network = network_of(data, initial_weights(data, run.pretrained, seed))
    return SupervisedLoop(data, network, seed, out_of_fold, **options)


def _member(data: TrainingData, loop: LabelledLoop) -> FittedMember:
    """The LSTM with the weights of the best epoch."""
    parameters = loop.parameters(loop.result())
    shift: float | Array = 0.0
    if data.logit_shift is not None:
        shift = data.logit_shift
    parameters["dense.bias"] = (parameters["dense.bias"] - shift).astype(np.float32)
    precision = data.recipe.optimisation.precision
    if precision == "auto":  # for training alone: its result is ensembled, evaluated and used in float32
        precision = "float32"
    lstm = LSTM(data.architecture, parameters, precision=precision)
    return FittedMember(lstm, np.zeros(lstm.outputs))


def initial_weights(data: TrainingData, pretrained: Pretrained | None, seed: int) -> dict[str, Array]:
    """Initial parameters by name, as the module's docstring says. The dense layer is random without a pretrained model,
    and where the recipe has probe_l2 0.
    """
    parameters = initial_parameters(data.architecture, np.random.default_rng([seed, 0x5EED]))
    if pretrained is None:
        return parameters
    parameters |= pretrained_layers(pretrained, data.architecture.vocab_size)
    model = pretrained.of_task(data.target.task)
    if model is not None:
        weight, bias = _transferred_dense(parameters, data, model)
    elif data.recipe.lstm.probe_l2:
        weight, bias = _linear_probe(parameters, data)
    else:
        return parameters
    parameters["dense.weight"] = weight.astype(np.float32)
    parameters["dense.bias"] = bias.astype(np.float32)
    return parameters


def _transferred_dense(parameters: Mapping[str, Array], data: TrainingData, model: Model) -> tuple[Array, Array]:
    """Weight (outputs, F) and bias (outputs,) of the dense layer of a pretrained model, mapped to the new classes or
    numbers.
    """
    weight = model.parameters["dense.weight"].astype(np.float64)
    bias = model.parameters["dense.bias"].astype(np.float64)
    rows = _probe_rows(data)
    states = _states(parameters, data, [data.sequences[n] for n in rows], Ops())
    # Training starts from this fit and gives the rows their weights.
    targets = data.targets(rows).unweighted
    to_new, shift = fit_standardised_glm(states @ weight.T + bias, targets, TRANSFER_L2)
    return to_new @ weight, to_new @ bias + shift


def _linear_probe(parameters: Mapping[str, Array], data: TrainingData) -> tuple[Array, Array]:
    """Weight (outputs, F) and bias (outputs,) of a dense layer, fitted to the states of the pretrained layers."""
    rows = _probe_rows(data)
    states = _states(parameters, data, [data.sequences[n] for n in rows], Ops(data.recipe.kernel()))
    # Training starts from this fit and gives the rows their weights.
    return fit_standardised_glm(states, data.targets(rows).unweighted, data.recipe.lstm.probe_l2)


def _probe_rows(data: TrainingData) -> NDArray[np.int64]:
    """At most MAX_ROWS training rows, evenly spaced."""
    stride = math.ceil(len(data.train) / MAX_ROWS)
    return data.train[::stride]


def _states(parameters: Mapping[str, Array], data: TrainingData, sequences: Sequence[Array], ops: Ops) -> Array:
    """Inputs of the output layer for n sequences, or their steps, float32."""
    arch = data.architecture
    states: Array = hidden(ops, parameters, arch, in_batches(features, parameters, arch, sequences, ops))
    return states


def pretrained_layers(pretrained: Pretrained, vocab_size: int) -> dict[str, Array]:
    """The parameters of all layers but the last by name. Words that extend the vocabulary start as the unknown word."""
    kept = ("embedding.", "feature_embedding.", "lstm.", "hidden.")
    layers = {name: array for name, array in pretrained.parameters.items() if name.startswith(kept)}
    table = layers.get("embedding.weight")
    unknown = pretrained.preprocessor.unknown
    if table is not None and unknown is not None and len(table) < vocab_size:
        new_words = np.repeat(table[unknown : unknown + 1], vocab_size - len(table), axis=0)
        layers["embedding.weight"] = np.concatenate([table, new_words])
    return layers


def _frozen(data: TrainingData, run: Run) -> FittedMember:
    """The layers of the pretrained model with a dense layer: a ridge regression on the standardised states, which are
    computed once (`gatewise.training.ridge`).
    """
    assert run.pretrained is not None
    start = time.perf_counter()
    arch = data.architecture
    stride = math.ceil(len(data.fitted_rows) / MAX_FROZEN_ROWS)
    rows = data.fitted_rows[::stride]
    run.callback.log(f"recipe {data.recipe.name}: {counted(len(rows), 'row')} of {data.source}; {data.validation_how}")
    # The further rows, which come last, are in no fold: they are fitted every time, and predicted never.
    labelled_rows = rows[rows < len(data.data)]
    folds = leave_one_out_folds(data.data.take(labelled_rows))
    ridge_targets = RidgeTargets(data, rows, folds)
    parameters = initial_parameters(arch, np.random.default_rng(0))
    parameters |= pretrained_layers(run.pretrained, arch.vocab_size)
    kernel = data.recipe.kernel()
    states = _states(parameters, data, [data.sequences[n] for n in rows], Ops(kernel))
    mean = states.mean(axis=0)
    deviation = states.std(axis=0) + EPSILON
    z = (states - mean) / deviation
    ridge = Ridge.of(z, ridge_targets.root)
    _, l2, values = ridge_targets.best(ridge)
    scale, shift = ridge_targets.calibration(values)
    weight, bias = ridge.weights(z, ridge_targets.y, l2)
    dense = scale * weight / deviation[:, None]  # (features, outputs), of states that are not standardised
    parameters["dense.weight"] = np.ascontiguousarray(dense.T, dtype=np.float32)
    parameters["dense.bias"] = (scale * bias + shift - mean @ dense).astype(np.float32)
    model = run.pretrained.model
    storage: Mapping[str, str] = {}
    if model is not None:
        storage = model.ensemble.lstm.storage
    lstm = LSTM(arch, parameters, storage)
    fitted = FittedMember(lstm, np.zeros(lstm.outputs))
    held_out = ridge_targets.held_out(scale * values + shift, fitted.logits)
    loss, accuracy, rmse = scores_of(data, held_out, data.validation)
    features = f"{counted(len(mean), 'state')} of frozen layers, ridge regression with penalty {l2:.3g}"
    seconds = time.perf_counter() - start
    run.callback.log(f"LSTM: {features}, {data.validation_name} loss {loss:.4f}; fitted in {seconds:.1f} s")
    metadata: dict[str, Any] = {
        "kernel": kernel.name,
        "evaluations": validation_results(data, "penalty", loss, accuracy, rmse),
    }
    if model is not None:
        metadata["attribution_method"] = model.metadata.attribution_method
    return replace(fitted, held_out=held_out, metadata=metadata)
