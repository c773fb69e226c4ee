"""`gatewise.train`: from labelled data to a model, in one call."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gatewise import kernels
from gatewise.architecture import initial_parameters
from gatewise.card import Facts, Measured
from gatewise.data import Labelled
from gatewise.errors import GatewiseError, InputError
from gatewise.kernels.native import threads
from gatewise.model import Model
from gatewise.nn import Network
from gatewise.storage import check_target, locked
from gatewise.training.checkpoint import FILE, read_checkpoint, run_identity
from gatewise.training.complete import completed
from gatewise.training.loop import Loop, interruptible
from gatewise.training.observer import Observer, Plan
from gatewise.training.prepared import Prepared, prepare
from gatewise.training.recipes import Recipe
from gatewise.training.recipes import recipe as named

__all__ = ["Interrupted", "train"]


class Interrupted(GatewiseError):
    """Training was stopped by hand. `model` is the best epoch so far (or the present weights before the first is
    over).
    """

    def __init__(self, message: str, model: Model) -> None:
        super().__init__(message)
        self.model = model


def train(
    data: Labelled | Sequence[str] | Sequence[Any],
    labels: Sequence[Any] | None = None,
    *,
    recipe: str | Recipe = "fast",
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    observer: Observer | None = None,
    command: str = "",
    **changes: Any,
) -> Model:
    """Train a classifier and return its best epoch.

    data: Labelled, or n texts, or n series (steps, channels), with `labels` (n,) of two or more classes.
    recipe: a name or a Recipe; `changes` replace fields of it (`epochs=3`, `units=128`, ...).
    seed: fixes the split, the start values, the order and the dropout. out: a folder that the model is saved to; while
    it trains, the checkpoint stands in `out`.run, from where `resume` goes on, bit for bit. Raises InputError for data
    or options that cannot be used, TrainingError for a loss that is not finite or a run folder that is in use,
    Interrupted after Ctrl-C.
    """
    chosen = named(recipe, **changes) if isinstance(recipe, str) else replace(recipe, **changes)
    observer = observer or Observer()
    target = None if out is None else check_target(out)
    if resume and target is None:
        raise InputError("resume needs `out`, the folder that the run was started with")
    prepared = prepare(_labelled(data, labels), chosen, seed)
    run = None if target is None else target.with_name(target.name + ".run")
    if run is not None:
        run.mkdir(parents=True, exist_ok=True)
    with locked(run) if run is not None else nullcontext(), _seeded(seed), _one_torch_thread():
        model = _trained(prepared, seed, target, run, resume, observer, command)
    if run is not None:
        shutil.rmtree(run)
    observer.finished(model)
    return model


def _trained(
    prepared: Prepared, seed: int, target: Path | None, run: Path | None, resume: bool, observer: Observer, command: str
) -> Model:
    kernel = kernels.for_precision(prepared.recipe.precision).name
    rng = np.random.default_rng([seed, 0x5EED])
    network = Network(
        prepared.architecture,
        initial_parameters(prepared.architecture, rng),
        active=prepared.active,
        dropout=prepared.recipe.dropout,
        kernel=kernel,
    )
    fingerprint = prepared.data.fingerprint()
    identity = run_identity(asdict(prepared.recipe), seed, fingerprint, kernel, threads())
    loop = Loop(prepared, network, seed, observer, run, identity)
    if run is not None and resume and (run / FILE).exists():
        loop.progress, weights, loop.best = read_checkpoint(run, identity, network.state(), loop.best, loop.optimizer)
        network.set_state(weights)
        observer.note(f"resuming after epoch {loop.progress.epoch}, batch {loop.progress.batch}")
    elif run is not None and resume:
        observer.note(f"there is no checkpoint in {run}: starting from the beginning")
    observer.started(_plan(prepared, kernel))
    began = time.perf_counter()
    with interruptible() as stop:
        complete = loop.run(stop)
    history = loop.progress.history
    if not complete and not history:
        loop.best = network.state()
    kept = history[loop.progress.best_epoch - 1] if loop.progress.best_epoch else None
    facts = Facts(
        gatewise=_version(),
        recipe=prepared.recipe.name,
        seed=seed,
        data=prepared.data.source,
        fingerprint=fingerprint,
        trained_on=len(prepared.train),
        validated_on=len(prepared.validation),
        validation=prepared.validation_how,
        epochs=len(history),
        kept_epoch=loop.progress.best_epoch,
        seconds=round(time.perf_counter() - began, 1),
        kernel=kernel,
        made=time.strftime("%Y-%m-%d", time.gmtime()),
        command=command,
    )
    if kept is not None:
        facts = facts.with_measured(
            Measured(
                "validation part, which chose the epoch", len(prepared.validation), kept.val_accuracy, kept.val_loss
            )
        )
    lines = "".join(json.dumps(asdict(row)) + "\n" for row in history)
    model = replace(loop.model(loop.best), facts=facts, history=lines)
    if complete:
        model = completed(model, prepared, observer)
        model = model.with_faith([prepared.sequences[n] for n in prepared.validation])
    # Half an epoch is not worth an older model that may stand there.
    save = target is not None and (complete or bool(history) or not target.exists())
    if target is not None and save:
        model.save(target)
    if not complete:
        where = f"; the model so far is in {target}" if save else ""
        onward = ", and --resume goes on" if target is not None else ""
        raise Interrupted(f"stopped in epoch {loop.progress.epoch + 1}{where}{onward}", model)
    return model


def _plan(prepared: Prepared, kernel: str) -> Plan:
    batches = -(-len(prepared.train) // prepared.recipe.batch)
    return Plan(
        recipe=prepared.recipe,
        architecture=prepared.architecture,
        train=len(prepared.train),
        validation=len(prepared.validation),
        batches=batches,
        source=prepared.data.source,
        validation_how=prepared.validation_how,
        kernel=kernel,
    )


def _labelled(data: Any, labels: Sequence[Any] | None) -> Labelled:
    if isinstance(data, Labelled):
        if labels is not None:
            raise InputError("labels are part of the data already")
        return data
    if labels is None:
        raise InputError("labels are missing: one for each text or series")
    return Labelled.of(data, labels)


def _version() -> str:
    from gatewise import __version__

    return __version__


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """What is left to torch between two calls of the kernel is smaller than waking a thread for it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """torch's generator from `seed`, and as it was before when it is over."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
