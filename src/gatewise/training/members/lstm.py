"""Fit the LSTM: initial weights, cross-validation, training, and its held-out logits.

Initial weights are random, or those of a pretrained model with a new dense layer. Fine-tuning from a random dense layer
first distorts the pretrained features; with few labels the network never recovers. Kumar et al. (2022) start from a
linear probe: a generalised linear model on the pooled states (`dense_solver`). A pretrained classifier has a dense
layer already; the same fit on its logits z, for rows that it has never seen, maps it to the new classes,

    logits = W z + b        W (outputs, its outputs), L2 penalty on W

so equal, reversed, finer and unrelated classes need no names in common: W is near 0 where z says nothing of them.

Small data have no rows to spare for a validation set. Cross-validation trains a network per fold, for as many epochs
as the final one, which is fitted to all rows. What the networks predict for the rows of their fold, epoch by epoch,
takes the place of the validation set: it chooses the epoch of the final network and is what the stack reads.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gatewise.data.splits import leave_one_out_folds
from gatewise.errors import counted
from gatewise.members.lstm import LSTM
from gatewise.model.card import EvalResult
from gatewise.network.architecture import initial_parameters
from gatewise.network.forward import features, hidden, in_batches
from gatewise.network.ops import Ops
from gatewise.ragged import rows_per_input
from gatewise.training.dense_solver import EPSILON, Ridge, RidgeTargets, fit_standardised_glm
from gatewise.training.fields import with_values
from gatewise.training.members import Run
from gatewise.training.processes import current
from gatewise.training.run import Interrupted, interruptible, run_identity
from gatewise.training.stack import FittedMember
from gatewise.training.supervised_loop import SupervisedLoop, network_of, scores_of
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

if TYPE_CHECKING:
    from gatewise.training.pretrained import Pretrained

MAX_ROWS = 1_000  # of the probe; with more, training itself fits the dense layer as well
MAX_FROZEN_ROWS = 20_000  # of the ridge regression, whose memory grows with them: 0.1 MB per row of 2,048 states
TRANSFER_L2 = 1.0


def fit(data: TrainingData, run: Run) -> FittedMember:
    """The network of the best epoch, or with frozen layers that of `_frozen`. Raises Interrupted after Ctrl-C."""
    if data.recipe.frozen:
        return _frozen(data, run)
    # What must be equal for the run to continue from a checkpoint.
    content = data.identity
    if data.soft_targets is not None:
        content += hashlib.sha256(data.soft_targets.tobytes()).hexdigest()
    if run.pretrained is not None:
        content += run.pretrained.fingerprint()
    kernel = data.recipe.kernel().name
    identity = run_identity(asdict(data.recipe), run.seed, content, kernel)
    with interruptible() as stop:
        folds = _cross_validate(data, run, stop)
        network = network_of(data, initial_weights(data, run.pretrained, run.seed))
        options = {"callback": run.callback, "folder": run.checkpoints, "identity": identity}
        loop = SupervisedLoop(data, network, run.seed, folds, **options)
        loop.restore(run.folder.resume)
        complete = loop.run(stop)
    found = _fitted(data, loop)
    if not complete:
        epochs = loop.steps // loop.steps_per_epoch
        message = f"stopped in epoch {len(loop.progress.history) + 1} of {epochs}"
        raise Interrupted(message, stop, member=found)
    return found


def initial_weights(data: TrainingData, pretrained: Pretrained | None, seed: int) -> dict[str, Array]:
    """Initial parameters by name, see above; random ones where the recipe has probe_l2 0."""
    parameters = initial_parameters(data.architecture, np.random.default_rng([seed, 0x5EED]))
    if pretrained is None:
        return parameters
    parameters |= pretrained_layers(pretrained, data.architecture.vocab_size)
    rows = data.train[:: -(-len(data.train) // MAX_ROWS)]
    sequences, targets = [data.sequences[n] for n in rows], data.targets(rows)
    model = pretrained.classifier(data.target.task)
    if model is not None:
        weight, bias = (model.parameters[f"dense.{name}"].astype(np.float64) for name in ("weight", "bias"))
        states = _states(parameters, data, sequences, Ops())
        to_new, shift = fit_standardised_glm(states @ weight.T + bias, targets, TRANSFER_L2)
        dense = to_new @ weight, to_new @ bias + shift
    else:
        l2 = data.recipe.lstm.probe_l2
        if not l2:
            return parameters
        ops = Ops(data.recipe.kernel())
        states = _states(parameters, data, sequences, ops)
        dense = fit_standardised_glm(states, targets, l2, loss=data.target.loss)
    return parameters | {
        f"dense.{name}": array.astype(np.float32) for name, array in zip(("weight", "bias"), dense, strict=True)
    }


def _states(parameters: Mapping[str, Array], data: TrainingData, sequences: Sequence[Array], ops: Ops) -> Array:
    """Inputs of the output layer for n sequences, or their steps, float32."""
    arch = data.architecture
    found: Array = hidden(ops, parameters, arch, in_batches(features, parameters, arch, sequences, ops))
    return found


def pretrained_layers(pretrained: Pretrained, vocab_size: int) -> dict[str, Array]:
    """All layers but the last by name. Words that the vocabulary was extended by start as the unknown one."""
    layers = {
        name: one for name, one in pretrained.parameters.items() if name.startswith(("embedding.", "lstm.", "hidden."))
    }
    table, unknown = layers.get("embedding.weight"), pretrained.preprocessor.unknown
    if table is not None and unknown is not None and len(table) < vocab_size:
        more = np.repeat(table[unknown : unknown + 1], vocab_size - len(table), axis=0)
        layers["embedding.weight"] = np.concatenate([table, more])
    return layers


def _frozen(data: TrainingData, run: Run) -> FittedMember:
    """The layers of the pretrained model with a dense layer: a ridge regression on the standardised states, which are
    computed once (`gatewise.training.dense_solver`).
    """
    assert run.pretrained is not None
    start, arch, model = time.perf_counter(), data.architecture, run.pretrained.model
    rows = data.fitted_rows[:: -(-len(data.fitted_rows) // MAX_FROZEN_ROWS)]
    run.callback.log(f"recipe {data.recipe.name}: {counted(len(rows), 'row')} of {data.source}; {data.validation_how}")
    given = RidgeTargets(data, rows, leave_one_out_folds(data.data.take(rows[rows < len(data.data)])))
    parameters = initial_parameters(arch, np.random.default_rng(0))
    parameters |= pretrained_layers(run.pretrained, arch.vocab_size)
    kernel = data.recipe.kernel()
    states = _states(parameters, data, [data.sequences[n] for n in rows], Ops(kernel))
    mean, deviation = states.mean(axis=0), states.std(axis=0) + EPSILON
    z = (states - mean) / deviation
    ridge = Ridge.of(z, given.root)
    _, l2, values = given.best(ridge)
    scale, shift = given.calibration(values)
    weight, bias = ridge.weights(z, given.y, l2)
    dense = scale * weight / deviation[:, None]  # (features, outputs)
    parameters["dense.weight"] = np.ascontiguousarray(dense.T, dtype=np.float32)
    parameters["dense.bias"] = (scale * bias + shift - mean @ dense).astype(np.float32)
    lstm = LSTM(arch, parameters, {} if model is None else model.ensemble.lstm.storage)
    held_out = given.held_out(scale * values + shift, lstm.logits)
    loss, accuracy, rmse = scores_of(data, held_out, data.validation)
    what = f"{counted(len(mean), 'state')} of frozen layers, ridge regression with penalty {l2:.3g}"
    seconds = time.perf_counter() - start
    run.callback.log(f"LSTM: {what}, {data.validation_name} loss {loss:.4f}; fitted in {seconds:.1f} s")
    metadata: dict[str, Any] = {"kernel": kernel.name, "evaluations": _measured(data, "penalty", loss, accuracy, rmse)}
    if model is not None:
        metadata["attribution_method"] = model.metadata.attribution_method
    return FittedMember(lstm, np.zeros(lstm.outputs), held_out, metadata=metadata)


def _cross_validate(data: TrainingData, run: Run, stop: threading.Event) -> list[Array]:
    """Logits (n, outputs) of all rows out of fold, after each epoch; empty without folds, or if `stop` is set."""
    logits: list[Array] = []
    recipe = with_values(data.recipe, {"validation.patience": 0})
    for number, held in enumerate(data.folds):
        train = np.setdiff1d(data.train, held)
        part = replace(data, recipe=recipe, train=train, validation=held, folds=())
        loop = SupervisedLoop(part, network_of(part, initial_weights(part, run.pretrained, number)), number)
        if not loop.run(stop):
            return []
        if not logits:
            shape = len(data.labels), loop.validation_logits[0].shape[1]
            logits = [np.zeros(shape) for _ in loop.validation_logits]
        for epoch, found in enumerate(loop.validation_logits):
            logits[epoch][held] = found
    if logits:
        loss = scores_of(data, logits[-1], data.validation)[0]
        run.callback.log(
            f"cross-validation of the network: {len(data.folds)} folds, loss {loss:.4f} after the last epoch"
        )
    return logits


def _fitted(data: TrainingData, loop: SupervisedLoop) -> FittedMember:
    """The member of the best epoch, or of the present weights in the first one."""
    history, best_epoch = loop.progress.history, loop.progress.best_epoch
    parameters, shift = loop.parameters(loop.result()), 0.0 if data.logit_shift is None else data.logit_shift
    parameters["dense.bias"] = (parameters["dense.bias"] - shift).astype(np.float32)
    # "auto" is for training alone: its result is ensembled, evaluated and used in float32.
    precision = data.recipe.optimisation.precision
    lstm = LSTM(data.architecture, parameters, precision="float32" if precision == "auto" else precision)
    kernel = data.recipe.kernel().name
    metadata: dict[str, Any] = {"epochs": len(history), "best_epoch": best_epoch, "kernel": kernel}
    fitted = FittedMember(lstm, np.zeros(lstm.outputs), metadata=metadata, history=loop.progress.history_lines)
    # A temperature alone calibrates a tagger: a shift towards the frequent class, "O", costs entities.
    fitted = replace(fitted, shifts=not data.target.per_step)
    if not best_epoch:
        return fitted
    best = history[best_epoch - 1]
    metadata["evaluations"] = _measured(data, "epoch", best.val_loss, best.val_accuracy, best.val_rmse)
    if loop.out_of_fold:
        return replace(fitted, held_out=loop.out_of_fold[best_epoch - 1] - shift)
    return fitted if current().rank else replace(fitted, held_out=lstm.logits(data.full(data.validation)))


def _measured(
    data: TrainingData, chosen: str, loss: float, accuracy: float | None, rmse: float | None
) -> tuple[EvalResult]:
    """The scores of the LSTM alone on the validation set, for the card. chosen: what they chose."""
    scores = {} if rmse is None else {"RMSE": rmse}
    if accuracy is not None and data.target.row_score_name != "accuracy":
        scores = {data.target.row_score_name: accuracy}
    n = int(rows_per_input(data.labels[data.validation]).sum())
    if data.target.per_step:  # an accuracy of the card has an interval of independent rows
        accuracy = None
    return (EvalResult(f"{data.validation_name}, used to choose the {chosen}", n, accuracy, loss, scores=scores),)
