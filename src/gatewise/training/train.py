"""`gatewise.train`: from labelled data to a model, in one call."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise import kernels
from gatewise._version import __version__
from gatewise.data import Labelled, Unlabelled
from gatewise.data.frames import is_frame
from gatewise.errors import InputError
from gatewise.model.card import EvalResult, ModelMetadata
from gatewise.model.model import Model, model_of_files
from gatewise.model.pretrained import PretrainedLM
from gatewise.network.trainable import Network
from gatewise.training.callback import Callback
from gatewise.training.class_weights import ClassWeight
from gatewise.training.cross_validation import cross_validate
from gatewise.training.data_checks import warn_about_data, warn_about_overlap, warn_about_pretrained
from gatewise.training.ensemble import fit_ensemble
from gatewise.training.fields import named_values
from gatewise.training.linear_probe import initial_weights
from gatewise.training.loop import Loop
from gatewise.training.lsa import LSA, fit_lsa_classifier, fit_lsa_of, subsampled
from gatewise.training.objective import SupervisedObjective
from gatewise.training.pretrained import Pretrained
from gatewise.training.processes import current
from gatewise.training.progress import callback_of
from gatewise.training.recipes import (
    Recipe,
    check_groups,
    check_settings,
    default_recipe,
    match_pretrained,
)
from gatewise.training.recipes import recipe as named
from gatewise.training.run import Interrupted, RunFolder, StopEvent, checked_seed, interruptible, run_identity
from gatewise.training.series_ensemble import fit_series_ensemble
from gatewise.training.soft_labels import load_soft_labels, predict_soft_labels, save_soft_labels, subsample
from gatewise.training.stacking import stacked_predictions
from gatewise.training.thresholds import Threshold, check_threshold, with_thresholds
from gatewise.training.tokenization import choose_tokenization
from gatewise.training.training_data import TrainingData, prepare, with_pseudo_labels
from gatewise.training.transfer import transfer_ngrams, transfer_weights
from gatewise.types import Array, Task


def train(
    data: Labelled | Sequence[str] | Sequence[Any],
    labels: Sequence[Any] | None = None,
    *,
    recipe: str | Recipe | None = None,
    pretrained: PretrainedLM | Model | Pretrained | str | Path | None = None,
    unlabelled: Unlabelled | Sequence[str] | None = None,
    task: Task | None = None,
    sample_weight: Sequence[float] | None = None,
    layout: str | None = None,
    class_weight: ClassWeight | None = None,
    threshold: Threshold | None = None,
    groups: Sequence[Any] | None = None,
    times: Sequence[Any] | None = None,
    validation: Labelled | tuple[Any, Any] | None = None,
    seed: int | None = 0,
    out: str | Path | RunFolder | None = None,
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Callback | Sequence[Callback] | None = None,
    verbose: int | str = "auto",
    command: str = "",
    examples: int = 0,
    **changes: Any,
) -> Model:
    """Train a model and return its best epoch.

    data: Labelled, or n texts or series with `labels` (n,), see `Labelled.of`. task: "classification", "multilabel" or
    "regression"; by default what the labels look like. layout: of three-dimensional arrays, "time-first" or
    "channels-first", see `gatewise.data.inputs`. recipe: a name or a Recipe; by default "fast" for texts and "series"
    for series, with `pretrained` "finetune", or "few-shot" below 2,000 rows. changes: fields of the recipe to replace,
    by name where one group alone has it (`epochs=3`, `units=128`), always as `group__field` (`ngrams__order=2`).
    pretrained: a model to start from: a language model of `gatewise.pretrain` or any classifier, its folder, or
    "bundled", the bundled sentiment model. unlabelled: further texts, for a recipe with `student_epochs` or
    `lsa_components`.

    sample_weight (n,): weight of each row in the loss, in the ensemble weights and in the calibration. Only the ratios
    matter; a row of weight 0 is left out. class_weight: "balanced", or a weight per label, see
    `gatewise.training.class_weights`. With class weights the model learns from the weighted rows and its thresholds
    move; its probabilities remain those for the class frequencies of the data. threshold: the probability from which a
    label is predicted: a number (of the second of two classes, or of every label), one number per label, or "f1", which
    chooses the thresholds of the best F1 on the validation set, see `gatewise.training.thresholds`. Default: "f1" for
    multi-label and for balanced classes, the threshold that follows from the weights for a weight per label, else 0.5.

    The validation set chooses the epoch, the ensemble weights and the thresholds. By default it is the fraction
    `validation.fraction` of the data. split="row" holds out rows at random, "group" whole groups, "time" the last rows.
    groups (n,): the group of each row, for "group". times (n,): when each row was made, for "time", see
    `gatewise.data.split`. validation: a validation set of its own, (inputs, labels) or Labelled; all of data are then
    trained on.

    seed: fixes the split, the initial weights, the order and the dropout; None draws one, which the model card records.
    out: the folder for the model; the checkpoint stands in `out`.run during training, and `resume` continues from it,
    bit for bit; `overwrite` replaces a model or an unfinished run there. callbacks: one or several
    `gatewise.training.Callback`, told of each step and epoch. verbose: "auto" shows progress in a terminal and in a
    notebook, 0 never, 1 with a bar, 2 without one. command: written to the model card.
    examples: how many validation rows the model keeps for the page; they are then part of the model folder.
    In a `gatewise.training.process_group`, several processes share each batch. All of them call this function with the
    same arguments and return the same model; only the first one writes and calls the callbacks.

    Raises InputError for data or options that cannot be used, TrainingError for a loss that is not finite or a run
    folder in use, Interrupted after Ctrl-C.
    """
    labelled = labelled_of(data, labels, task, groups, sample_weight, layout)
    check_threshold(labelled.target, threshold)
    seed = checked_seed(seed, resume)
    if recipe is not None and not isinstance(recipe, str | Recipe):
        raise InputError(f"recipe must be a name or a gatewise.training.Recipe, not {type(recipe).__name__}")
    recipe = recipe or default_recipe(len(labelled), pretrained is not None, labelled.kind)
    recipe = named(recipe, **named_values(Recipe, changes, train.__kwdefaults__ or ()))
    start = None if pretrained is None else Pretrained.of(pretrained)
    given = {"unlabelled": unlabelled is not None, "validation": validation is not None}
    check_settings(recipe, labelled.kind, labelled.task, pretrained=start, **given)
    check_groups(groups is not None, validation is not None, labelled.kind, recipe)
    if start is not None:
        recipe = match_pretrained(recipe, start)
    folder = RunFolder.of(out, resume, overwrite)
    if unlabelled is not None and not recipe.uses_unlabelled:
        raise InputError(f"recipe {recipe.name} cannot use unlabelled texts (student_epochs, lsa_components)")
    if unlabelled is not None and not isinstance(unlabelled, Unlabelled):
        unlabelled = Unlabelled.of(unlabelled)
    if unlabelled is not None and labelled.task != "classification":
        raise InputError(f"{labelled.source}: only classifiers learn from unlabelled texts, not {labelled.task}")
    if unlabelled is not None and labelled.kind == "series":
        raise InputError(f"{labelled.source}: series cannot learn from unlabelled texts")
    if unlabelled is not None and (labelled.sample_weight != 1).any():
        raise InputError(f"{labelled.source}: sample_weight does not reach unlabelled texts: leave one of them out")
    if times is not None and len(times) != len(labelled):
        raise InputError(f"there are {len(labelled):,} inputs but {len(times):,} times")
    counts = labelled.sample_weight > 0
    if not counts.all():
        if times is not None:
            times = [when for when, kept in zip(times, counts, strict=True) if kept]
        labelled = labelled.take(counts)
    held_out = _validation(validation, labelled, layout)
    if held_out is not None:
        warn_about_overlap(labelled, held_out, "validation")
    training_data = prepare(
        labelled,
        recipe,
        seed,
        None if start is None else start.preprocessor,
        validation=held_out,
        times=times,
        class_weight=class_weight,
    )
    if start is not None and recipe.ngrams.order:
        training_data = replace(training_data, transferred=transfer_ngrams(training_data, start))
    with closing(callback_of(callbacks, verbose)) as callback:
        with folder.entered():
            run = _Run(seed, start, folder, callback, command)
            if recipe.text.tokenization == "auto" and start is None:
                training_data = choose_tokenization(training_data, recipe, callback)
            warn_about_data(training_data, labelled, np.flatnonzero(counts))
            warn_about_pretrained(training_data, start)
            if unlabelled is not None:
                training_data = run.add_unlabelled(training_data, unlabelled)
            model = run.fit(training_data, folder.folder)
            model = shared_model(model, lambda model: run.finish(model, training_data, threshold, examples))
        callback.on_train_end(model)
    return model


@dataclass
class _Run:
    """What a teacher and its student have in common."""

    seed: int
    pretrained: Pretrained | None
    folder: RunFolder
    callback: Callback
    command: str
    unlabelled: str = ""  # source of the unlabelled texts, in a line
    out_of_fold: Array | None = None  # logits of the validation rows, of a model that was fitted to them too
    train_logits: Array | None = None  # logits of the training rows from models without them
    start: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        return round(time.perf_counter() - self.start, 1)

    def fit(self, training_data: TrainingData, folder: Path | None) -> Model:
        """The best epoch of one network, in the first process ensembled and calibrated as the recipe asks. Raises
        Interrupted.
        """
        with interruptible() as stop:
            folds = cross_validate(training_data, self._loop, stop, self.callback)
            loop = self._loop(training_data, self.seed, self.callback, folder, folds)
            loop.restore(self.folder.resume)
            complete = loop.run(stop)
        kernel = kernels.for_precision(training_data.recipe.kernel_precision).name
        model = self._model(training_data, loop, kernel)
        if not complete:
            raise self._interrupted(model, loop, stop, teacher=folder != self.folder.folder)
        if current().rank:
            return model
        network = folds[loop.progress.best_epoch - 1] if folds else None
        if network is not None and training_data.logit_shift is not None:
            network = network - training_data.logit_shift
        if training_data.recipe.convolutions.features and training_data.data.kind == "series":
            model, self.out_of_fold = fit_series_ensemble(model, training_data, network, self.seed, self.callback)
        else:
            fitted = fit_ensemble(model, training_data, network, self.callback)
            model, self.out_of_fold, self.train_logits = fitted
        return model

    def finish(self, model: Model, training_data: TrainingData, threshold: Threshold | None, examples: int) -> Model:
        """The trained model with thresholds, the faithfulness of its attributions and examples; saved."""
        model = with_thresholds(model, training_data, threshold, self.callback, self.out_of_fold, self.train_logits)
        # Deletion scores may take as many steps as the training itself, which on few rows is less than by default.
        epochs = training_data.recipe.optimisation.epochs
        steps = epochs * sum(len(training_data.sequences[n]) for n in training_data.train)
        rows = training_data.validation
        model = model.with_faithfulness([training_data.sequences[n] for n in rows], max(10_000, steps))
        if examples:
            model = model.with_examples(training_data.data.take(training_data.validation), examples)
        model = replace(model, metadata=replace(model.metadata, seconds=self.seconds))
        if self.folder.target is not None:
            model.save(self.folder.target)
        return model

    def _loop(
        self,
        training_data: TrainingData,
        seed: int,
        callback: Callback,
        folder: Path | None,
        out_of_fold: Sequence[Array] = (),
    ) -> Loop[SupervisedObjective]:
        """The loop of a new network."""
        parameters = None if self.pretrained is None else transfer_weights(training_data, self.pretrained)
        if parameters is None:
            parameters = initial_weights(training_data, self.pretrained, seed)
        network = Network(
            training_data.architecture,
            parameters,
            trainable_rows=training_data.trainable_rows,
            dropout=training_data.recipe.dropout,
            direction_loss=training_data.recipe.optimisation.direction_loss,
            kernel=kernels.for_precision(training_data.recipe.kernel_precision),
        )
        objective = SupervisedObjective(training_data, network, seed, out_of_fold)
        return Loop(objective, callback, folder, self._identity(training_data))

    def add_unlabelled(self, training_data: TrainingData, unlabelled: Unlabelled) -> TrainingData:
        """The training data with what the unlabelled texts give: an LSA classifier, and a teacher's soft labels.

        Texts that are among the labelled ones are left out: training texts have their label, and a validation text
        must not be trained on.
        """
        unlabelled = unlabelled.without(training_data.data)
        self.unlabelled = unlabelled.source
        sequences = [np.asarray(s) for s in training_data.preprocessor.encode_batch(unlabelled.texts)]
        identity = self._identity(training_data) + unlabelled.fingerprint()
        if training_data.recipe.unlabelled.teacher == "stacking":  # which needs the document vector of each text
            sequences = subsampled(sequences)
        lsa = fit_lsa_of(training_data, sequences, self.seed, self.callback)
        if lsa is not None:
            training_data = replace(training_data, lsa_classifier=fit_lsa_classifier(training_data, lsa))
        settings = training_data.recipe.unlabelled
        if not settings.student_epochs:
            return training_data
        folder = None
        if self.folder.folder is not None:
            folder = self.folder.folder / "teacher"
            folder.mkdir(exist_ok=True)
        query = subsample(len(sequences), settings.max_pseudo_labels)
        soft_labels = None
        if folder is not None and self.folder.resume:
            soft_labels = load_soft_labels(folder, (len(query), len(training_data.data.classes)), identity)
        if not current().share(b"" if soft_labels is None else b"found"):
            soft_labels = self._teach(training_data, sequences, lsa, query, folder)
            if soft_labels is not None:
                soft_labels = save_soft_labels(soft_labels, folder, identity)
            self.callback.log(f"student: learns from the labels and {len(query):,} soft labels of the teacher")
        raw = current().share(b"" if soft_labels is None else soft_labels.tobytes())
        soft_labels = np.frombuffer(raw, dtype=np.float64).reshape(len(query), -1)
        return with_pseudo_labels(training_data, [sequences[n] for n in query], soft_labels)

    def _teach(
        self,
        training_data: TrainingData,
        unlabelled: list[Array],
        lsa: LSA | None,
        query: NDArray[np.int64],
        folder: Path | None,
    ) -> NDArray[np.float64] | None:
        """The teacher's soft labels (m, K) of the m query rows of the unlabelled texts, in the first process."""
        recipe = training_data.recipe
        if recipe.unlabelled.teacher == "stacking" and recipe.uses_lsa:
            if current().rank:
                return None
            self.callback.log(f"teacher: stacking, for {self.unlabelled}")
            return stacked_predictions(training_data, unlabelled, lsa, query, self.seed, self.callback)
        self.callback.log(f"teacher: a network, for {self.unlabelled}")
        teacher = self.fit(training_data, folder).with_lstm(precision=recipe.kernel_precision)
        if current().rank:
            return None
        return predict_soft_labels(teacher, [unlabelled[n] for n in query])

    def _identity(self, training_data: TrainingData) -> str:
        kernel = kernels.for_precision(training_data.recipe.kernel_precision).name
        data = training_data.identity
        if training_data.soft_targets is not None:
            data += hashlib.sha256(training_data.soft_targets.targets.tobytes()).hexdigest()
        if self.pretrained is not None:
            data += self.pretrained.fingerprint()
        return run_identity(asdict(training_data.recipe), self.seed, data, kernel)

    def _interrupted(
        self, model: Model, loop: Loop[SupervisedObjective], stop: StopEvent, *, teacher: bool
    ) -> Interrupted:
        # Neither half an epoch nor a teacher replaces a model that is there.
        target = self.folder.target
        saved = target is not None and not teacher and (bool(loop.progress.history) or not target.exists())
        done, steps = len(loop.progress.history), loop.objective.steps_per_epoch
        epochs = f"epoch {done + 1} of {loop.objective.steps // steps}"
        model = replace(model, metadata=replace(model.metadata, interrupted=f"stopped in {epochs}"))
        if target is not None and saved:
            model.save(target)
        where = f"; the model so far is in {target}" if saved else ""
        return Interrupted(f"stopped in {epochs}{where}{self.folder.resume_hint}", stop, model)

    def _model(self, training_data: TrainingData, loop: Loop[SupervisedObjective], kernel: str) -> Model:
        """The network's best epoch with its metadata and history."""
        history, best_epoch = loop.progress.history, loop.progress.best_epoch
        metadata = ModelMetadata(
            columns=training_data.data.columns,
            gatewise=__version__,
            recipe=training_data.recipe.name,
            seed=self.seed,
            data=training_data.data.source,
            fingerprint=training_data.fingerprint,
            n_train=len(training_data.train),
            n_validation=len(training_data.validation),
            median_length=int(np.median([len(sequence) for sequence in training_data.full_sequences])),
            validation=training_data.validation_how,
            epochs=len(history),
            best_epoch=best_epoch,
            seconds=self.seconds,
            kernel=kernel,
            created=time.strftime("%Y-%m-%d", time.gmtime()),
            command=self.command,
            pretrained="" if self.pretrained is None else self.pretrained.summary,
            unlabelled=self.unlabelled,
        )
        if best_epoch:
            best = history[best_epoch - 1]
            name = f"{training_data.validation_name}, used to choose the epoch"
            scores = {} if best.val_rmse is None else {"RMSE": best.val_rmse}
            if training_data.data.task == "multilabel" and best.val_accuracy is not None:
                scores = {"subset accuracy": best.val_accuracy}
            metadata = metadata.with_evaluation(
                EvalResult(
                    name,
                    len(training_data.validation),
                    best.val_accuracy,
                    best.val_loss,
                    scores=scores,
                )
            )
        # "auto" is for training alone: its result is ensembled, evaluated and used in float32.
        precision = training_data.recipe.optimisation.precision
        precision = "float32" if precision == "auto" else precision
        model = loop.objective.model(loop.result())
        if training_data.logit_shift is not None:
            bias = model.parameters["dense.bias"] - training_data.logit_shift
            model = model.with_lstm(parameters={**model.parameters, "dense.bias": bias.astype(np.float32)})
        return replace(model.with_lstm(precision=precision), metadata=metadata, history=loop.progress.history_lines)


def shared_model(model: Model, finish: Callable[[Model], Model]) -> Model:
    """The model that the first process finishes, in all of them."""
    communicator = current()
    if not communicator.rank:
        model = finish(model)
    if communicator.size == 1:
        return model
    files = {} if communicator.rank else model.to_files()
    names = json.loads(communicator.share(json.dumps(list(files)).encode()))
    received = {name: communicator.share(files.get(name, b"")) for name in names}
    return model_of_files(received, "process 0", model.ensemble.lstm.precision) if communicator.rank else model


def labelled_of(
    data: Any, labels: Any, task: Task | None, groups: Any, sample_weight: Any, layout: str | None
) -> Labelled:
    """The arguments of `train` as Labelled. Raises InputError for what stands in the data already."""
    if isinstance(data, Labelled):
        given = {"labels": labels, "task": task, "groups": groups, "sample_weight": sample_weight}
        given["layout"] = layout
        for name, value in given.items():
            if value is not None:
                raise InputError(f"{name} {'are' if name.endswith('s') else 'is'} part of the data already")
        return data
    if labels is None:
        hint = "; Labelled.from_frame takes both from a data frame" if is_frame(data) else ""
        raise InputError(f"labels are missing: one for each text or series{hint}")
    return Labelled.of(data, labels, task=task, groups=groups, sample_weight=sample_weight, layout=layout)


def _validation(validation: Any, data: Labelled, layout: str | None) -> Labelled | None:
    """The validation set as Labelled, with the task of the training data."""
    if validation is None or isinstance(validation, Labelled):
        return validation
    if not isinstance(validation, tuple | list) or len(validation) != 2:
        raise InputError("validation must be (inputs, labels) or Labelled")
    names = None if data.task == "classification" else data.classes
    inputs, labels = validation
    source = "the validation set given"
    return Labelled.of(inputs, labels, source, task=data.task, classes=names, layout=layout)
