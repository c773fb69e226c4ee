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
from gatewise.kernels.threads import threads
from gatewise.model.card import EvalResult, ModelMetadata
from gatewise.model.model import Model
from gatewise.model.pretrained import PretrainedLM
from gatewise.nn import Network
from gatewise.training.callback import Callback
from gatewise.training.checkpoint import FILE, run_identity
from gatewise.training.complete import completed
from gatewise.training.linear_probe import started
from gatewise.training.loop import Loop
from gatewise.training.lsa_classifier import fit_lsa_classifier
from gatewise.training.scope import interruptible
from gatewise.training.soft_labels import load_soft_labels, predict_soft_labels, save_soft_labels, subsample
from gatewise.training.stacking import stacked_predictions
from gatewise.training.training_data import TrainingData, with_taught
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
        self,
        seed: int,
        pretrained: PretrainedLM | None,
        target: Path | None,
        resume: bool,
        callback: Callback,
        command: str,
    ) -> None:
        self.seed, self.pretrained, self.target, self.resume = seed, pretrained, target, resume
        self.callback, self.command = callback, command
        self.began = time.perf_counter()
        self.more = ""  # the texts without labels, in a line

    def taught(self, training_data: TrainingData, more: Unlabelled, run: Path | None) -> TrainingData:
        """`prepared` with what the texts without labels give: a line beside n-grams, a teacher's opinion of them.

        Those that stand among the labelled ones are left out: what trains has its label, and what validates must stay
        unread, or the part that chooses and weighs would be one that was trained on.
        """
        more = more.without(training_data.data)
        self.more = more.source
        whole = [np.asarray(s) for s in training_data.preprocessor.encode_batch(more.texts)]
        identity = self._identity(training_data) + more.fingerprint()
        training_data = replace(
            training_data, latent=fit_lsa_classifier(training_data, whole, self.seed, self.callback)
        )
        if not training_data.recipe.student_epochs:
            return training_data
        folder = None if run is None else run / "teacher"
        if folder is not None:
            folder.mkdir(exist_ok=True)
        taught = subsample(len(whole), training_data.recipe.max_pseudo_labels)
        shape = len(taught), len(training_data.data.classes)
        opinion = load_soft_labels(folder, shape, identity) if folder is not None and self.resume else None
        if opinion is None:
            opinion = save_soft_labels(self._opinion(training_data, whole, taught, folder), folder, identity)
            self.callback.note(f"student, on the labels and on what the teacher says of {len(taught):,} texts:")
        torch.manual_seed(self.seed)
        return with_taught(training_data, [whole[n] for n in taught], opinion)

    def _opinion(
        self, training_data: TrainingData, whole: list[Array], asked: NDArray[np.int64], folder: Path | None
    ) -> NDArray[np.float64]:
        """What a teacher thinks of the texts that it is asked about: a network, or with few labels several readers."""
        recipe = training_data.recipe
        if recipe.teacher == "stacking" and recipe.lsa_components and recipe.ngram_order:
            self.callback.note(f"teacher: several readers of {self.more}")
            return stacked_predictions(training_data, whole, asked, self.seed, self.callback)
        self.callback.note(f"teacher, which will read {self.more}:")
        teacher = replace(self._fitted(training_data, folder), precision=recipe.kernel_precision)
        return predict_soft_labels(teacher, [whole[n] for n in asked])

    def trained(self, training_data: TrainingData, run: Path | None) -> Model:
        """The model, saved."""
        model = self._fitted(training_data, run)
        model = model.with_faithfulness([training_data.sequences[n] for n in training_data.validation])
        model = replace(model, metadata=replace(model.metadata, seconds=round(time.perf_counter() - self.began, 1)))
        if self.target is not None:
            model.save(self.target)
        return model

    def _identity(self, training_data: TrainingData) -> str:
        kernel = kernels.for_precision(training_data.recipe.kernel_precision).name
        data = training_data.data.fingerprint()
        if training_data.soft is not None:
            data += hashlib.sha256(training_data.soft.targets.tobytes()).hexdigest()
        if self.pretrained is not None:
            embedding = self.pretrained.parameters["embedding.weight"]
            data += self.pretrained.metadata.fingerprint + hashlib.sha256(embedding.tobytes()).hexdigest()
        return run_identity(asdict(training_data.recipe), self.seed, data, kernel, threads())

    def _fitted(self, training_data: TrainingData, run: Path | None) -> Model:
        """The best epoch of one network over `prepared`, with what the recipe puts beside it. Raises Interrupted."""
        kernel = kernels.for_precision(training_data.recipe.kernel_precision).name
        network = Network(
            training_data.architecture,
            started(training_data, self.pretrained, self.seed),
            trainable_rows=training_data.trainable_rows,
            dropout=training_data.recipe.dropout,
            kernel=kernel,
        )
        loop = Loop(training_data, network, self.seed, self.callback, run, self._identity(training_data))
        if run is not None and self.resume and (run / FILE).exists():
            loop.restore(run)
            self.callback.note(f"resuming after epoch {loop.progress.epoch}, batch {loop.progress.batch}")
        elif run is not None and self.resume:
            self.callback.note(f"there is no checkpoint in {run}: starting from the beginning")
        self.callback.started(loop.plan())
        with interruptible() as stop:
            complete = loop.run(stop)
        model = self._model(training_data, loop, kernel)
        if complete:
            return completed(model, training_data, self.callback)
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

    def _model(self, training_data: TrainingData, loop: Loop, kernel: str) -> Model:
        history = loop.progress.history
        if not history:
            loop.best = loop.network.state()
        kept = history[loop.progress.best_epoch - 1] if loop.progress.best_epoch else None
        metadata = ModelMetadata(
            gatewise=__version__,
            recipe=training_data.recipe.name,
            seed=self.seed,
            data=training_data.data.source,
            fingerprint=training_data.data.fingerprint(),
            trained_on=len(training_data.train),
            validated_on=len(training_data.validation),
            validation=training_data.validation_how,
            epochs=len(history),
            kept_epoch=loop.progress.best_epoch,
            seconds=round(time.perf_counter() - self.began, 1),
            kernel=kernel,
            made=time.strftime("%Y-%m-%d", time.gmtime()),
            command=self.command,
            base="" if self.pretrained is None else self.pretrained.summary,
            unlabelled=self.more,
        )
        if kept is not None:
            name = "validation part, which chose the epoch"
            measured = EvalResult(name, len(training_data.validation), kept.val_accuracy, kept.val_loss)
            metadata = metadata.with_result(measured)
        lines = "".join(json.dumps(asdict(row)) + "\n" for row in history)
        # "auto" is about training: what it gives is weighed, measured and used in float32.
        precision = "float32" if training_data.recipe.precision == "auto" else training_data.recipe.precision
        return replace(loop.model(loop.best), metadata=metadata, history=lines, precision=precision)
