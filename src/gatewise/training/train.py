"""`gatewise.train`: from labelled data to a model, in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from gatewise.data.frames import described, is_frame
from gatewise.data.labelled import Labelled, Unlabelled, several
from gatewise.data.labels import convert_groups
from gatewise.data.times import seconds_of
from gatewise.errors import InputError
from gatewise.model.model import Model
from gatewise.training.callback import Callback
from gatewise.training.fields import named_values
from gatewise.training.plan import TrainingPlan
from gatewise.training.progress import callback_of
from gatewise.training.recipe_fields import RecipeFields
from gatewise.training.recipes import Recipe
from gatewise.training.stack import Threshold
from gatewise.training.training_data import ClassWeight
from gatewise.types import ColumnNames, Task

if TYPE_CHECKING:
    from gatewise.model.arrays_preprocessor import ArraysPreprocessor
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
    **changes: Unpack[RecipeFields],
) -> Model:
    """Train a model and return its best epoch.

    >>> texts, labels = ["a good film", "a bad film", "so good", "so bad"] * 15, ["yes", "no", "yes", "no"] * 15
    >>> model = gw.train(texts, labels, epochs=2, units=8, verbose=0)
    >>> print(*model.predict(["good", "bad"]))
    yes no

    The data:

    - data: n texts or series with labels (n,), a data frame (`Labelled.from_frame`), a datasets.DatasetDict (its split
      "train", and "validation" if it has one), or a Labelled (`Labelled.of` lists the forms); arrays by name for a
      `pretrained` network with several inputs, as its `predict` takes them.
    - text, label: columns of a data frame, "text" and "label" by default; sample_weight, groups and times are names of
      columns then, too.
    - numeric, categorical: columns that the model reads besides the text or series, of a data frame or of
      `gatewise.data.with_columns`.
    - task: "classification", "multilabel", "regression" or "tagging"; None: that of the `pretrained` model, unless it
      is a classifier; else what the labels look like.
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
    - pretrained: the model to start from: of `gatewise.pretrain`, any model, its folder, or "bundled", which is the one
      of recipe "frozen" where none is given. For another task, `task` says which, and the last layer is a new one.
      Numbers and columns of labels without names get those of the model.
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
    start = _opened(pretrained)
    data, validation = train_inputs(data, validation, start)
    labelled = labelled_from(
        data,
        labels,
        {"text": text, "label": label, "numeric": numeric, "categorical": categorical},
        start=start,
        groups=groups,
        times=times,
        task=task,
        sample_weight=sample_weight,
        layout=layout,
    )
    plan = TrainingPlan(
        recipe=recipe,
        changes=named_values(Recipe, changes, train.__kwdefaults__ or ()),
        pretrained=start,
        class_weight=class_weight,
        threshold=threshold,
        seed=seed,
        out=out,
        resume=resume,
        overwrite=overwrite,
        examples=examples,
    )
    training = plan.bind(
        labelled,
        unlabelled=unlabelled,
        rules=rules,
        validation=validation,
        has_groups=groups is not None,
        has_times=times is not None,
        layout=layout,
    )
    with closing(callback_of(callbacks, verbose)) as callback:
        return training.run(callback, command)


def _opened(pretrained: PretrainedLM | Model | Pretrained | str | Path | None) -> Pretrained | None:
    """The model to start from, opened."""
    if pretrained is None:
        return None
    from gatewise.training.pretrained import Pretrained  # here, as few runs have one

    return Pretrained.of(pretrained)


_WITH_LABELS = ("numeric", "categorical")
"""The columns of a data frame that may be named where the labels are passed apart."""


def train_inputs(data: Any, validation: Any, start: Pretrained | None) -> tuple[Any, Any]:
    """The data and the validation set of frames by split, such as a datasets.DatasetDict, and with lists of token ids
    as texts, where the model to start from reads ids. Other forms as they are.
    """
    if isinstance(data, Mapping) and is_frame(data.get("train")):
        if validation is None:
            validation = data.get("validation")
        data = data["train"]
    if start is not None:
        data = start.texts(data)
        if isinstance(validation, tuple):
            inputs, *labels = validation
            validation = (start.texts(inputs), *labels)
    return data, validation


def labelled_from(
    data: Any,
    labels: Any,
    columns: Mapping[str, str | Sequence[str] | None],
    *,
    start: Pretrained | None = None,
    groups: Any = None,
    times: Any = None,
    task: Task | None = None,
    sample_weight: Any = None,
    layout: str | None = None,
) -> Labelled:
    """The data of `train` as Labelled, see `Labelled.of` and, where the labels are a column of a data frame,
    `Labelled.from_frame`; with `groups` and `times` in place of its own. columns: text, label, numeric and categorical,
    None where not given. start: the model to start from, which reads rows of arrays by name, and whose task is the
    default. Raises InputError for what stands in the data already.
    """
    arrays: ArraysPreprocessor | None = None
    if start is not None:
        arrays = start.arrays
        if task is None and not isinstance(data, Labelled):
            task = start.default_task
    named = {name: column for name, column in columns.items() if column is not None}
    if labels is None and is_frame(data):
        if layout is not None:
            raise InputError("layout is for arrays, and this is a data frame")
        for name, column in {"sample_weight": sample_weight, "groups": groups, "times": times}.items():
            if column is not None and not isinstance(column, str):
                raise InputError(f"{name} of a data frame must be the name of its column")
        of_rows: dict[str, Any] = {**named, "weight": sample_weight, "group": groups, "time": times}
        return Labelled.from_frame(data, task=task, **of_rows)
    if isinstance(labels, str) and is_frame(data):
        raise InputError(f"labels are one per row: name a column of the data frame with label={labels!r}")
    for name in named:
        if name not in _WITH_LABELS or isinstance(data, Labelled):
            raise InputError(
                f"{name} names a column of a data frame that has the labels, and this is {described(data)}"
            )
    if isinstance(data, Labelled):
        _refuse_parts({"labels": labels, "task": task, "sample_weight": sample_weight, "layout": layout})
        return _regrouped(data, groups, times)
    if labels is None:
        raise InputError("labels are missing: one for each text or series")
    if arrays is not None:
        return arrays.labelled(
            data,
            labels,
            "the data given",
            task=task,
            groups=groups,
            sample_weight=sample_weight,
            times=times,
            layout=layout,
        )
    names = ColumnNames(
        numeric=several(named.get("numeric", ())),
        categorical=several(named.get("categorical", ())),
    )
    return Labelled.of(
        data,
        labels,
        task=task,
        groups=groups,
        sample_weight=sample_weight,
        times=times,
        layout=layout,
        columns=names,
    )


def _refuse_parts(parts: Mapping[str, Any]) -> None:
    """Raise InputError for parts that labelled data have already."""
    for name, value in parts.items():
        if value is not None:
            verb = "are" if name.endswith("s") else "is"
            raise InputError(f"{name} {verb} part of the data already")


def _regrouped(data: Labelled, groups: Any, times: Any) -> Labelled:
    """Labelled data with other groups and times, None for their own. Raises InputError for another number of them."""
    for name, values in (("groups", groups), ("times", times)):
        if values is not None and len(values) != len(data):
            raise InputError(f"there are {len(data):,} inputs but {len(values):,} {name}")
    if groups is not None:
        data = replace(data, groups=convert_groups(groups))
    if times is not None:
        data = replace(data, time=seconds_of(times, lambda row: f"times: row {row}"))
    return data
