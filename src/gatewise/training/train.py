"""`gatewise.train`: from labelled data to a model, in one call."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gatewise import kernels
from gatewise.base import Base, load_base
from gatewise.card import Facts, Measured
from gatewise.cell import Array
from gatewise.data import Labelled, Unlabelled
from gatewise.errors import GatewiseError, InputError
from gatewise.kernels.native import threads
from gatewise.model import Model
from gatewise.nn import Network
from gatewise.storage import check_target, locked
from gatewise.training.checkpoint import FILE, run_identity
from gatewise.training.complete import completed
from gatewise.training.head import started
from gatewise.training.latent_line import latent_line
from gatewise.training.loop import Loop
from gatewise.training.observer import Observer
from gatewise.training.prepared import Prepared, prepare, with_taught
from gatewise.training.readers import opinion_of_readers
from gatewise.training.recipes import Recipe, default_recipe
from gatewise.training.recipes import recipe as named
from gatewise.training.scope import interruptible, one_torch_thread, seeded, version
from gatewise.training.start import fitted_to
from gatewise.training.teacher import evenly, keep_opinion, opinion_of, opinion_on_disk

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
    recipe: str | Recipe | None = None,
    base: Base | str | Path | None = None,
    unlabelled: Unlabelled | Sequence[str] | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    observer: Observer | None = None,
    command: str = "",
    **changes: Any,
) -> Model:
    """Train a classifier and return its best epoch.

    data: Labelled, or n texts, or n series (steps, channels), with `labels` (n,) of two or more classes.
    recipe: a name or a Recipe; left out, "fast", or from a base "tuned", "few" for less than 2,000 rows; `changes`
    replace fields of it (`epochs=3`, `units=128`, ...). base: what `gatewise.pretrain` gave, or its folder.
    unlabelled: further texts, for a recipe with `student_epochs`. seed: fixes the split, the start values, the order
    and the dropout. out: a folder that the model is saved to; while it trains, the checkpoint stands in `out`.run, from
    where `resume` goes on, bit for bit. Raises InputError for data or options that cannot be used, TrainingError for a
    loss that is not finite or a run folder that is in use, Interrupted after Ctrl-C.
    """
    labelled = _labelled(data, labels)
    recipe = recipe or default_recipe(len(labelled), base is not None)
    chosen = named(recipe, **changes) if isinstance(recipe, str) else replace(recipe, **changes)
    base = load_base(base) if isinstance(base, str | Path) else base
    chosen = chosen if base is None else fitted_to(chosen, base)
    observer = observer or Observer()
    target = None if out is None else check_target(out)
    if resume and target is None:
        raise InputError("resume needs `out`, the folder that the run was started with")
    if unlabelled is not None and not chosen.student_epochs:
        raise InputError(f"recipe {chosen.name} has no student (student_epochs) to learn from texts without labels")
    more = unlabelled if unlabelled is None or isinstance(unlabelled, Unlabelled) else Unlabelled.of(unlabelled)
    if changes.get("ngrams") and labelled.kind == "series":
        raise InputError(f"{labelled.source}: n-grams are for texts, and a series has no words")
    prepared = prepare(labelled, chosen, seed, None if base is None else base.encoding)
    run = None if target is None else target.with_name(target.name + ".run")
    if run is not None:
        run.mkdir(parents=True, exist_ok=True)
    with locked(run) if run is not None else nullcontext(), seeded(seed), one_torch_thread():
        once = _Run(seed, base, target, resume, observer, command)
        if more is not None:
            prepared = once.taught(prepared, more, run)
        model = once.trained(prepared, run)
    if run is not None:
        shutil.rmtree(run)
    observer.finished(model)
    return model


class _Run:
    """One call of `train`: what all its parts have in common."""

    def __init__(
        self, seed: int, base: Base | None, target: Path | None, resume: bool, observer: Observer, command: str
    ) -> None:
        self.seed, self.base, self.target, self.resume = seed, base, target, resume
        self.observer, self.command = observer, command
        self.began = time.perf_counter()
        self.more = ""  # the texts without labels, in a line

    def taught(self, prepared: Prepared, more: Unlabelled, run: Path | None) -> Prepared:
        """`prepared` with the texts without labels, as a teacher sees them.

        Those that stand among the labelled ones are left out: what trains has its label, and what validates must stay
        unread, or the part that chooses and weighs would be one that was trained on.
        """
        more = more.without(prepared.data)
        self.more = more.source
        whole = [np.asarray(s) for s in prepared.encoder.encode_all(more.texts)]
        folder = None if run is None else run / "teacher"
        if folder is not None:
            folder.mkdir(exist_ok=True)
        identity = self._identity(prepared) + more.fingerprint()
        prepared = replace(prepared, latent=latent_line(prepared, whole, self.seed, self.observer))
        taught = evenly(len(whole), prepared.recipe.student_most)
        shape = len(taught), len(prepared.data.classes)
        opinion = opinion_on_disk(folder, shape, identity) if folder is not None and self.resume else None
        if opinion is None:
            opinion = keep_opinion(self._opinion(prepared, whole, taught, folder), folder, identity)
            self.observer.note(f"student, on the labels and on what the teacher says of {len(taught):,} texts:")
        torch.manual_seed(self.seed)
        return with_taught(prepared, [whole[n] for n in taught], opinion)

    def _opinion(
        self, prepared: Prepared, whole: list[Array], asked: NDArray[np.int64], folder: Path | None
    ) -> NDArray[np.float64]:
        """What a teacher thinks of the texts that it is asked about: a network, or with few labels several readers."""
        recipe = prepared.recipe
        if recipe.teacher == "readers" and recipe.latent and recipe.ngrams:
            self.observer.note(f"teacher: several readers of {self.more}")
            return opinion_of_readers(prepared, whole, asked, self.seed, self.observer)
        self.observer.note(f"teacher, which will read {self.more}:")
        teacher = replace(self._fitted(prepared, folder), precision=recipe.products)
        return opinion_of(teacher, [whole[n] for n in asked])

    def trained(self, prepared: Prepared, run: Path | None) -> Model:
        """The model, saved."""
        model = self._fitted(prepared, run)
        model = model.with_faith([prepared.sequences[n] for n in prepared.validation])
        model = replace(model, facts=replace(model.facts, seconds=round(time.perf_counter() - self.began, 1)))
        if self.target is not None:
            model.save(self.target)
        return model

    def _identity(self, prepared: Prepared) -> str:
        kernel = kernels.for_precision(prepared.recipe.products).name
        data = prepared.data.fingerprint()
        if prepared.soft is not None:
            data += hashlib.sha256(prepared.soft.targets.tobytes()).hexdigest()
        if self.base is not None:
            data += (
                self.base.facts.fingerprint
                + hashlib.sha256(self.base.parameters["embedding.weight"].tobytes()).hexdigest()
            )
        return run_identity(asdict(prepared.recipe), self.seed, data, kernel, threads())

    def _fitted(self, prepared: Prepared, run: Path | None) -> Model:
        """The best epoch of one network over `prepared`, with what the recipe puts beside it. Raises Interrupted."""
        kernel = kernels.for_precision(prepared.recipe.products).name
        network = Network(
            prepared.architecture,
            started(prepared, self.base, self.seed),
            active=prepared.active,
            dropout=prepared.recipe.dropout,
            kernel=kernel,
        )
        loop = Loop(prepared, network, self.seed, self.observer, run, self._identity(prepared))
        if run is not None and self.resume and (run / FILE).exists():
            loop.restore(run)
            self.observer.note(f"resuming after epoch {loop.progress.epoch}, batch {loop.progress.batch}")
        elif run is not None and self.resume:
            self.observer.note(f"there is no checkpoint in {run}: starting from the beginning")
        self.observer.started(loop.plan())
        with interruptible() as stop:
            complete = loop.run(stop)
        model = self._model(prepared, loop, kernel)
        if complete:
            return completed(model, prepared, self.observer)
        raise self._interrupted(model, loop, run)

    def _interrupted(self, model: Model, loop: Loop, run: Path | None) -> Interrupted:
        # Half an epoch is not worth an older model that may stand there, and a teacher is not the model.
        target, student = self.target, run is None or run.name != "teacher"
        save = target is not None and student and (bool(loop.progress.history) or not target.exists())
        if target is not None and save:
            model.save(target)
        where = f"; the model so far is in {target}" if save else ""
        onward = ", and --resume goes on" if target is not None else ""
        return Interrupted(f"stopped in epoch {loop.progress.epoch + 1}{where}{onward}", model)

    def _model(self, prepared: Prepared, loop: Loop, kernel: str) -> Model:
        history = loop.progress.history
        if not history:
            loop.best = loop.network.state()
        kept = history[loop.progress.best_epoch - 1] if loop.progress.best_epoch else None
        facts = Facts(
            gatewise=version(),
            recipe=prepared.recipe.name,
            seed=self.seed,
            data=prepared.data.source,
            fingerprint=prepared.data.fingerprint(),
            trained_on=len(prepared.train),
            validated_on=len(prepared.validation),
            validation=prepared.validation_how,
            epochs=len(history),
            kept_epoch=loop.progress.best_epoch,
            seconds=round(time.perf_counter() - self.began, 1),
            kernel=kernel,
            made=time.strftime("%Y-%m-%d", time.gmtime()),
            command=self.command,
            base="" if self.base is None else self.base.summary,
            unlabelled=self.more,
        )
        if kept is not None:
            name = "validation part, which chose the epoch"
            measured = Measured(name, len(prepared.validation), kept.val_accuracy, kept.val_loss)
            facts = facts.with_measured(measured)
        lines = "".join(json.dumps(asdict(row)) + "\n" for row in history)
        # "auto" is about training: what it gives is weighed, measured and used in float32.
        precision = "float32" if prepared.recipe.precision == "auto" else prepared.recipe.precision
        return replace(loop.model(loop.best), facts=facts, history=lines, precision=precision)


def _labelled(data: Any, labels: Sequence[Any] | None) -> Labelled:
    if isinstance(data, Labelled):
        if labels is not None:
            raise InputError("labels are part of the data already")
        return data
    if labels is None:
        raise InputError("labels are missing: one for each text or series")
    return Labelled.of(data, labels)
