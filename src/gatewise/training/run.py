"""One run of `gatewise.train`: teacher and student, or one network; what stands beside it; the model and its card."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gatewise import kernels
from gatewise._version import __version__
from gatewise.data import Unlabelled
from gatewise.errors import GatewiseError
from gatewise.kernels.native import threads
from gatewise.model.card import Facts, Measured
from gatewise.model.model import Model
from gatewise.model.pretrained import Base
from gatewise.nn import Network
from gatewise.training.callback import Observer
from gatewise.training.checkpoint import FILE, run_identity
from gatewise.training.complete import completed
from gatewise.training.linear_probe import started
from gatewise.training.loop import Loop
from gatewise.training.lsa_classifier import latent_line
from gatewise.training.scope import interruptible
from gatewise.training.soft_labels import evenly, keep_opinion, opinion_of, opinion_on_disk
from gatewise.training.stacking import opinion_of_readers
from gatewise.training.training_data import Prepared, with_taught
from gatewise.types import Array

__all__ = ["Interrupted", "Run"]


class Interrupted(GatewiseError):
    """Training was stopped by hand. `model` is the best epoch so far (or the present weights before the first is
    over).
    """

    def __init__(self, message: str, model: Model) -> None:
        super().__init__(message)
        self.model = model


class Run:
    """One call of `train`: what all its parts have in common."""

    def __init__(
        self, seed: int, base: Base | None, target: Path | None, resume: bool, observer: Observer, command: str
    ) -> None:
        self.seed, self.base, self.target, self.resume = seed, base, target, resume
        self.observer, self.command = observer, command
        self.began = time.perf_counter()
        self.more = ""  # the texts without labels, in a line

    def taught(self, prepared: Prepared, more: Unlabelled, run: Path | None) -> Prepared:
        """`prepared` with what the texts without labels give: a line beside n-grams, a teacher's opinion of them.

        Those that stand among the labelled ones are left out: what trains has its label, and what validates must stay
        unread, or the part that chooses and weighs would be one that was trained on.
        """
        more = more.without(prepared.data)
        self.more = more.source
        whole = [np.asarray(s) for s in prepared.encoder.encode_all(more.texts)]
        identity = self._identity(prepared) + more.fingerprint()
        prepared = replace(prepared, latent=latent_line(prepared, whole, self.seed, self.observer))
        if not prepared.recipe.student_epochs:
            return prepared
        folder = None if run is None else run / "teacher"
        if folder is not None:
            folder.mkdir(exist_ok=True)
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
            embedding = self.base.parameters["embedding.weight"]
            data += self.base.facts.fingerprint + hashlib.sha256(embedding.tobytes()).hexdigest()
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
            gatewise=__version__,
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
