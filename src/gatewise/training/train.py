"""`gatewise.train`: from labelled data to a model, in one call: check, prepare, fit members, stack, measure, save."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gatewise._version import __version__
from gatewise.data.frames import described, is_frame
from gatewise.data.inputs import convert_inputs
from gatewise.data.labelled import Labelled, Unlabelled, several
from gatewise.data.labels import convert_groups
from gatewise.data.row_columns import refuse_unread, rows_with_columns, without_columns
from gatewise.data.schema import RowSchema
from gatewise.data.times import seconds_of
from gatewise.errors import InputError
from gatewise.losses import log_probabilities
from gatewise.members.ensemble import Ensemble
from gatewise.members.lstm import LSTM
from gatewise.model.card import ModelMetadata
from gatewise.model.model import Model
from gatewise.ragged import shaped_like
from gatewise.storage.folder import Folder
from gatewise.training.calibration import calibration_report
from gatewise.training.callback import Callback
from gatewise.training.data_checks import count_near_duplicates, warn_about_data, warn_about_overlap
from gatewise.training.fields import checked_seed, named_values
from gatewise.training.members import Run, fit_members
from gatewise.training.members.ngrams import choose_tokenization
from gatewise.training.processes import current
from gatewise.training.progress import callback_of
from gatewise.training.recipes import Recipe, match_pretrained, recipe_of_run
from gatewise.training.run import Interrupted, RunFolder
from gatewise.training.stack import FittedMember, Stack, Threshold, choose_thresholds, stack
from gatewise.training.training_data import ClassWeight, TrainingData, prepare
from gatewise.types import Array, ColumnNames, RuleReport, Task

if TYPE_CHECKING:
    from gatewise.model.pretrained import PretrainedLM
    from gatewise.training.pretrained import Pretrained


def train(
    data: Any,
    labels: Sequence[Any] | None = None,
    *,
    recipe: str | Recipe | None = None,
    pretrained: PretrainedLM | Model | Pretrained | str | Path | None = None,
    unlabelled: Unlabelled | Sequence[str] | None = None,
    rules: Sequence[Any] | None = None,
    task: Task | None = None,
    text: str | Sequence[str] | None = None,
    label: str | Sequence[str] | None = None,
    numeric: str | Sequence[str] | None = None,
    categorical: str | Sequence[str] | None = None,
    sample_weight: Sequence[float] | str | None = None,
    layout: str | None = None,
    class_weight: ClassWeight | None = None,
    threshold: Threshold | None = None,
    groups: Sequence[Any] | str | None = None,
    times: Sequence[Any] | str | None = None,
    validation: Any = None,
    seed: int | None = 0,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Callback | Sequence[Callback] | None = None,
    verbose: int | str = "auto",
    command: str = "",
    examples: int = 0,
    **changes: Any,
) -> Model:
    """Train a model and return its best epoch.

    >>> texts, labels = ["a good film", "a bad film", "so good", "so bad"] * 15, ["yes", "no", "yes", "no"] * 15
    >>> model = gw.train(texts, labels, epochs=2, units=8, verbose=0)
    >>> print(*model.predict(["good", "bad"]))
    yes no

    The data:

    - data: n texts or series with labels (n,), a data frame (`Labelled.from_frame`), a datasets.DatasetDict (its split
      "train", and "validation" if it has one), or a Labelled (`Labelled.of` lists the forms).
    - text, label: columns of a data frame, "text" and "label" by default; sample_weight, groups and times are names of
      columns then, too.
    - numeric, categorical: columns that the model reads besides the text or series, of a data frame or of
      `gatewise.data.with_columns`.
    - task: "classification", "multilabel", "regression" or "tagging"; None: what the labels look like.
    - layout: of three-dimensional arrays, "time-first" or "channels-first".
    - sample_weight (n,): of each row in the loss and the calibration; only ratios matter, and 0 leaves a row out.
    - class_weight: "balanced", or a weight per label. It moves the thresholds and not the probabilities, which
      remain those for the class frequencies of the data.
    - unlabelled: further texts, for a recipe with `student_epochs` or `lsa_components`, or for rules.
    - rules: what gives some of the unlabelled texts a label, as in `gatewise.data.label_by_rules`. These texts are
      further training rows, without what the rules read, and no validation rows.

    The model:

    - recipe: a name or a Recipe. None: "fast" for texts, "many-classes" for 20 classes or more with fewer than 20 texts
      on average, "series" for series, "tagging" for a label per step; with `pretrained` "finetune", on few rows
      "frozen", or "few-shot" with `unlabelled` or changes.
    - changes: fields of the recipe, by name where one group alone has it (`epochs=3`), always as `group__field`
      (`ngrams__order=2`).
    - pretrained: the model to start from: of `gatewise.pretrain`, any classifier, its folder, or "bundled", which is
      the one of recipe "frozen" where none is given.
    - threshold: the probability from which a label is predicted: a number (of the second of two classes, or of every
      label), one per label, or "f1", those of the best F1 on the validation set. None: "f1" for multi-label and
      balanced classes, what follows from a weight per label, else 0.5.
    - seed: of split, initial weights, order and dropout; None draws one, which the model card records.

    The validation set, which chooses the epoch, the ensemble weights and the thresholds:

    - validation: its (inputs, labels), data frame or Labelled; None: the fraction `validation.fraction` of the data,
      with split="row" rows at random, with "group" whole groups, with "time" the last rows.
    - groups (n,), times (n,): of each row, for "group" and "time".

    The run:

    - out: the folder for the model; its checkpoint stands in `out`.run. resume: continue from it, bit for bit.
      overwrite: replace a model or an unfinished run.
    - callbacks: one or several `gatewise.training.Callback`. verbose: "auto" shows progress in a terminal and in a
      notebook, 0 never, 1 with a bar, 2 without one.
    - examples: how many validation rows the model folder keeps, for the page. command: for the model card.

    Processes of a `gatewise.training.process_group` share each batch: each calls this function with the same arguments
    and gets the same model; the first one writes.

    Raises InputError for data or options that cannot be used, TrainingError for a loss that is not finite or a run
    folder in use, Interrupted after Ctrl-C.
    """
    own = {"task": task, "sample_weight": sample_weight, "layout": layout}
    if isinstance(data, Mapping) and is_frame(data.get("train")):  # frames by split, such as a datasets.DatasetDict
        data, validation = data["train"], data.get("validation") if validation is None else validation
    start = None
    if pretrained is not None:
        from gatewise.training.pretrained import Pretrained  # here, as few runs have one

        start = Pretrained.of(pretrained)
        data = start.texts(data)
        if isinstance(validation, tuple):
            validation = (start.texts(validation[0]), *validation[1:])
    columns = {"text": text, "label": label, "numeric": numeric, "categorical": categorical}
    labelled = labelled_of(data, labels, columns, groups=groups, times=times, **own)
    if threshold is not None:
        labelled.target.check_threshold(threshold)
    seed = checked_seed(seed, resume)
    changes = named_values(Recipe, changes, train.__kwdefaults__ or ())
    optional = {"unlabelled": unlabelled, "rules": rules, "validation": validation, "groups": groups}
    given: dict[str, Any] = {name: value is not None for name, value in optional.items()}
    recipe = recipe_of_run(recipe, changes, labelled, pretrained=start, **given)
    if times is not None and recipe.validation.split != "time":
        raise InputError("times need a split by='time'")
    if recipe.frozen and start is None:
        from gatewise.training.pretrained import BUNDLED, Pretrained

        start = Pretrained.of(BUNDLED)
    recipe = recipe if start is None else match_pretrained(recipe, start)
    if labelled.target.per_step and current().size > 1:
        raise InputError("a tagger is trained in one process: the steps of its rows are not divided among several")
    folder = RunFolder.of(out, resume, overwrite)
    more = None if unlabelled is None else _unlabelled_of(unlabelled, labelled)
    rows = np.flatnonzero(labelled.sample_weight > 0)
    labelled = labelled if len(rows) == len(labelled) else labelled.take(rows)
    separate = None if validation is None else _validation_of(validation, labelled, layout)
    by_rules: Labelled | None = None
    reports: tuple[RuleReport, ...] = ()
    if more is not None and rules is not None:
        from gatewise.data.rules import label_unlabelled, rules_of  # here, as few runs have some

        by_rules, more, reports = label_unlabelled(more, rules_of(rules), labelled, separate)

    reader = None if start is None else start.preprocessor
    others: dict[str, Any] = {"validation": separate, "rule_labelled": by_rules}
    training_data = prepare(labelled, recipe, seed, reader, class_weight=class_weight, **others)
    if start is not None:
        training_data = replace(training_data, architecture=start.shape_of(training_data.architecture))
    with closing(callback_of(callbacks, verbose)) as callback:
        with folder.entered():
            run = Run(seed, callback, folder, start, folder.folder, command)
            training_data = choose_tokenization(training_data, recipe, run)
            run.near_duplicates = count_near_duplicates(training_data)
            warn_about_data(training_data, labelled, rows, start, run.near_duplicates)
            if more is not None and reports:
                run.unlabelled, run.rules = more.source, reports
                for line in (more.source, *map(str, reports)):
                    callback.log(line)
            if more is not None and more.texts and recipe.uses_unlabelled:
                from gatewise.training.unlabelled import learn_unlabelled

                training_data = learn_unlabelled(training_data, more, run, _teach)
            model, found = _fit(training_data, run)
            if found is not None:
                model = _measure(model, training_data, found, threshold, examples, run)
                if folder.target is not None:
                    model.save(folder.target)
            if current().size > 1:
                model = _shared(model)
        callback.on_train_end(model)
    return model


def labelled_of(
    data: Any, labels: Any, columns: Mapping[str, Any], *, groups: Any = None, times: Any = None, **given: Any
) -> Labelled:
    """The data of `train` as Labelled, see `Labelled.of` and, where the labels are a column of a data frame,
    `Labelled.from_frame`; with `groups` and `times` in place of its own. columns: text, label, numeric and categorical,
    None where not given. Raises InputError for what stands in the data already.
    """
    named = {name: one for name, one in columns.items() if one is not None}
    if labels is None and is_frame(data):
        if given.pop("layout") is not None:
            raise InputError("layout is for arrays, and this is a data frame")
        single = {"weight": given.pop("sample_weight"), "group": groups, "time": times}
        for name, one in single.items():
            if one is not None and not isinstance(one, str):
                raise InputError(f"{name}s of a data frame: name their column")
        return Labelled.from_frame(data, **named, **given, **single)
    if wrong := [name for name in named if name in ("text", "label") or isinstance(data, Labelled)]:
        raise InputError(
            f"{wrong[0]} names a column of a data frame that has the labels, and this is {described(data)}"
        )
    if not isinstance(data, Labelled):
        if labels is None:
            raise InputError("labels are missing: one for each text or series")
        of_row: dict[str, Any] = {name: several(one) for name, one in named.items()}
        names = ColumnNames(**of_row)
        schema = RowSchema.of(names)
        if schema and is_frame(data):
            data = rows_with_columns(convert_inputs(without_columns(data, schema.names)), data, schema)
        made = Labelled.of(data, labels, groups=groups, times=times, columns=names, **given)
        refuse_unread(made.inputs, schema)
        return made
    for name, value in {"labels": labels, **given}.items():
        if value is not None:
            raise InputError(f"{name} {'are' if name.endswith('s') else 'is'} part of the data already")
    for name, values in (("groups", groups), ("times", times)):
        if values is not None and len(values) != len(data):
            raise InputError(f"there are {len(data):,} inputs but {len(values):,} {name}")
    found: Labelled = data if groups is None else replace(data, groups=convert_groups(groups))
    return found if times is None else replace(found, time=seconds_of(times, lambda row: f"times: row {row}"))


def _validation_of(validation: Any, data: Labelled, layout: str | None) -> Labelled:
    """A separate validation set as Labelled, with the task and the columns of the training data; warns of rows that
    both have.
    """
    own = data.columns
    if own.label and is_frame(validation):
        row: dict[str, Any] = {"numeric": own.numeric, "categorical": own.categorical}
        validation = Labelled.from_frame(validation, text=own.text, label=own.label, task=data.task, **row)
    if not isinstance(validation, Labelled):
        if not isinstance(validation, tuple | list) or len(validation) != 2:
            raise InputError("validation must be (inputs, labels) or Labelled")
        names = data.target.column_classes
        (inputs, labels), source = validation, "the validation set given"
        given: dict[str, Any] = {"task": data.task, "classes": names, "layout": layout}
        columns = ColumnNames(numeric=own.numeric, categorical=own.categorical)
        validation = Labelled.of(inputs, labels, source, columns=columns, **given)
    found: Labelled = validation
    warn_about_overlap(data, found, "validation")
    return found


def _unlabelled_of(unlabelled: Any, data: Labelled) -> Unlabelled:
    """Unlabelled texts. Raises InputError where the data have weights."""
    if (data.sample_weight != 1).any():
        raise InputError(f"{data.source}: sample_weight does not reach unlabelled texts: leave one of them out")
    if schema := RowSchema.of(data.columns):
        raise InputError(f"{data.source}: unlabelled texts have no columns {schema}: leave one of them out")
    return unlabelled if isinstance(unlabelled, Unlabelled) else Unlabelled.of(unlabelled)


def _fit(data: TrainingData, run: Run) -> tuple[Model, Stack | None]:
    """Fit the members and stack them: the model, with its scores on the validation set and the report on its
    calibration, and the stack. In all processes but the first, the LSTM alone and None. Raises Interrupted.
    """
    try:
        members = fit_members(data, run)
    except Interrupted as stopped:
        if stopped.member is None:  # a callback stopped it
            raise
        raise _interrupted(stopped, data, run) from None
    model = _model(data, run, members[0])
    if current().rank:
        return model, None
    # The plain network of the tutorial is not calibrated.
    rows, calibrates = data.validation, data.recipe.lstm.padding == "none" or len(members) > 1
    targets = data.targets(rows)
    options: dict[str, Any] = {
        # Members that predict the same, each alone: numbers, or the soft labels of a teacher.
        "mean": data.target.loss.has_unit or data.soft_targets is not None,
        "sample_weight": data.sample_weight(rows),
        "train_targets": data.targets(data.train),
    }
    loss = data.target.loss
    found = stack(members, targets, loss=loss, scaling=data.target_scaling, calibrate=calibrates, **options)
    model = replace(model, ensemble=found.ensemble(members, model.target))
    if not calibrates:
        return model, found
    part, labels, weights = data.validation_name, data.labels[rows], found.describe(members)
    name = f"{part}, used to fit the ensemble weights"
    after: Any = model.target.evaluate(shaped_like(found.held_out, labels), labels, name)
    model = model.with_evaluation(after)
    run.callback.log(f"ensemble: {weights}; {part}: {model.metadata.evaluations[-1].figures}")
    if not model.target.has_probabilities:
        return model, found
    report = calibration_report(
        members, targets, labels, data.data.groups[rows], model.target, method=weights, data=f"the {part}", **options
    )
    # The weights are fitted in any case; without a report, or with a reason against it, nothing is claimed.
    model = replace(model, metadata=replace(model.metadata, calibration=report))
    if not model.metadata.calibrated:
        run.callback.log(f"not calibrated: {model.metadata.uncalibrated_reason}")
    return model, found


def _measure(
    model: Model, data: TrainingData, found: Stack, threshold: Threshold | None, examples: int, run: Run
) -> Model:
    """The model with thresholds, the faithfulness of its attributions and examples."""
    chosen = choose_thresholds(data, found, threshold, run.callback)
    labels = data.labels[data.validation]
    if chosen is not None:
        thresholds, use = chosen
        model = model.with_thresholds(thresholds)
        name = f"{data.validation_name}, {use}"
        model = model.with_evaluation(model.target.evaluate(shaped_like(found.held_out, labels), labels, name))
    # Deletion scores may take as many steps as the training itself, which on few rows is less than by default. With
    # frozen layers they would take longer than it; the card of the pretrained model has them.
    if model.ensemble.lstm_weight and not data.recipe.frozen:
        from gatewise.explain.attribution.faithfulness import measure_sample

        steps = data.recipe.optimisation.epochs * sum(len(data.sequences[n]) for n in data.train)
        sequences, window = [data.sequences[n] for n in data.validation], getattr(model.preprocessor, "window", 0)
        scores, best = measure_sample(model.explained, sequences, max(10_000, steps), window)
        model = replace(model, metadata=replace(model.metadata, faithfulness=scores, attribution_method=best))
    if examples:
        model = model.with_examples(data.data.take(data.validation), examples)
    return replace(model, metadata=replace(model.metadata, seconds=run.seconds))


def _teach(data: TrainingData, sequences: list[Array], run: Run) -> Array | None:
    """The soft labels that a model trained on the data gives to full sequences."""
    teacher, found = _fit(data, run)
    if found is None:
        return None
    teacher = teacher.with_lstm(kernel=data.recipe.kernel())
    return np.asarray(np.exp(log_probabilities(teacher.ensemble.logits(sequences))), dtype=np.float64)


def _model(data: TrainingData, run: Run, lstm: FittedMember) -> Model:
    """The model of the LSTM alone, with its metadata and history."""
    metadata = ModelMetadata(
        gatewise=__version__,
        recipe=data.recipe.name,
        seed=run.seed,
        data=data.source,
        columns=data.data.columns,
        fingerprint=data.fingerprint,
        n_train=len(data.train),
        n_validation=len(data.validation),
        median_length=int(np.median([len(sequence) for sequence in data.full_sequences])),
        validation=data.validation_how,
        seconds=run.seconds,
        created=time.strftime("%Y-%m-%d", time.gmtime()),
        command=run.command,
        pretrained="" if run.pretrained is None else run.pretrained.summary,
        unlabelled=run.unlabelled,
        rules=run.rules,
        near_duplicates=run.near_duplicates,
        **lstm.metadata,
    )
    ensemble = Ensemble.of(cast(LSTM, lstm.member), data.target)
    return Model(data.preprocessor, ensemble, metadata, lstm.history)


def _interrupted(stopped: Interrupted, data: TrainingData, run: Run) -> Interrupted:
    """What `train` raises after Ctrl-C. Neither half an epoch nor a teacher replaces a model that is there."""
    target, model, message = run.folder.target, _model(data, run, stopped.member), str(stopped)
    model = replace(model, metadata=replace(model.metadata, interrupted=message))
    teacher = run.checkpoints != run.folder.folder
    if target is not None and not teacher and (model.metadata.epochs or not target.exists()):
        model.save(target)
        message += f"; the model so far is in {target}"
    return Interrupted(message + run.folder.resume_hint, stopped.stop, model)


def _shared(model: Model) -> Model:
    """The model of the first process, in all of them."""
    communicator = current()
    files = {} if communicator.rank else model.to_files()
    names = json.loads(communicator.share(json.dumps(list(files)).encode()))
    received = {name: communicator.share(files.get(name, b"")) for name in names}
    if not communicator.rank:
        return model
    return Model.from_folder(Folder(Path("process 0"), received, ""), model.ensemble.lstm.precision)
