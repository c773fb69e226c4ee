"""The fit of a network: cross-validation where there are folds, then training, and its held-out logits.

Small data have no rows to spare for a validation set. Cross-validation trains a network per fold, for as many epochs
as the final one, which is fitted to all rows. After each epoch the network of a fold predicts the rows of this fold.
These out-of-fold logits take the place of the validation set: their loss chooses the epoch of the final network, and
the stack is fitted to them.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from gatewise.model.card import EvalResult
from gatewise.ragged import rows_per_input
from gatewise.training.fields import with_values
from gatewise.training.labelled_loop import LabelledLoop, scores_of
from gatewise.training.members import Run
from gatewise.training.processes import current
from gatewise.training.run import Interrupted, interruptible, run_identity
from gatewise.training.stack import FittedMember
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

LoopOf = Callable[..., LabelledLoop]
"""The loop of a network with its initial weights: (data, run, seed, out_of_fold, **options of `Loop`)."""

MemberOf = Callable[[TrainingData, LabelledLoop], FittedMember]
"""The member with the weights of the best epoch."""


def fit_network(data: TrainingData, run: Run, loop_of: LoopOf, member_of: MemberOf) -> FittedMember:
    """The network of the best epoch. Raises Interrupted after Ctrl-C."""
    with interruptible() as stop:
        folds = _cross_validate(data, run, loop_of, stop)
        loop = loop_of(
            data,
            run,
            run.seed,
            folds,
            callback=run.callback,
            folder=run.checkpoints,
            identity=_identity(data, run),
        )
        loop.restore(run.folder.resume)
        complete = loop.run(stop)
    fitted = _fitted(data, loop, member_of)
    if not complete:
        epochs = loop.steps // loop.steps_per_epoch
        message = f"stopped in epoch {len(loop.progress.history) + 1} of {epochs}"
        raise Interrupted(message, stop, member=fitted)
    return fitted


def _identity(data: TrainingData, run: Run) -> str:
    """What must be equal for the run to continue from a checkpoint."""
    content = data.identity
    if data.soft_targets is not None:
        content += hashlib.sha256(data.soft_targets.tobytes()).hexdigest()
    if run.pretrained is not None:
        content += run.pretrained.fingerprint()
    return run_identity(asdict(data.recipe), run.seed, content, data.recipe.kernel().name)


def _cross_validate(data: TrainingData, run: Run, loop_of: LoopOf, stop: threading.Event) -> list[Array]:
    """Logits (n, outputs) of all rows out of fold, after each epoch; empty without folds, or if `stop` is set."""
    logits: list[Array] = []
    recipe = with_values(data.recipe, {"validation.patience": 0})
    for number, held_out in enumerate(data.folds):
        train = np.setdiff1d(data.train, held_out)
        fold = replace(data, recipe=recipe, train=train, validation=held_out, folds=())
        loop = loop_of(fold, run, number, ())
        if not loop.run(stop):
            return []
        if not logits:
            shape = len(data.labels), loop.validation_logits[0].shape[1]
            logits = [np.zeros(shape) for _ in loop.validation_logits]
        for epoch, of_fold in enumerate(loop.validation_logits):
            logits[epoch][held_out] = of_fold
    if logits:
        loss = scores_of(data, logits[-1], data.validation)[0]
        run.callback.log(
            f"cross-validation of the network: {len(data.folds)} folds, loss {loss:.4f} after the last epoch"
        )
    return logits


def _fitted(data: TrainingData, loop: LabelledLoop, member_of: MemberOf) -> FittedMember:
    """The member of the best epoch; before the end of the first epoch that of the present weights."""
    best_epoch = loop.progress.best_epoch
    metadata: dict[str, Any] = {
        "epochs": len(loop.progress.history),
        "best_epoch": best_epoch,
        "kernel": data.recipe.kernel().name,
    }
    fitted = replace(member_of(data, loop), metadata=metadata, history=loop.progress.history_lines)
    if not best_epoch:
        return fitted
    best = loop.progress.history[best_epoch - 1]
    metadata["evaluations"] = validation_results(data, "epoch", best.val_loss, best.val_accuracy, best.val_rmse)
    if loop.out_of_fold:
        shift: float | Array = 0.0
        if data.logit_shift is not None:
            shift = data.logit_shift
        return replace(fitted, held_out=loop.out_of_fold[best_epoch - 1] - shift)
    if current().rank:  # the first process alone fits the stack
        return fitted
    return replace(fitted, held_out=fitted.logits(data.full(data.validation)))


def validation_results(
    data: TrainingData, chosen: str, loss: float, accuracy: float | None, rmse: float | None
) -> tuple[EvalResult]:
    """The scores of the LSTM alone on the validation set, for the card. chosen: the choice that they decided."""
    scores = {}
    if rmse is not None:
        scores = {"RMSE": rmse}
    if accuracy is not None and data.target.row_score_name != "accuracy":
        scores = {data.target.row_score_name: accuracy}
    n = int(rows_per_input(data.labels[data.validation]).sum())
    # The card adds an interval to an accuracy, for independent rows. The steps of a sequence are not independent.
    if not data.target.row_score_is_share:
        accuracy = None
    return (EvalResult(f"{data.validation_name}, used to choose the {chosen}", n, accuracy, loss, scores=scores),)
