"""`TrainingPlan`: what a training is to do, checked before its data are read. Bound to data, it is a `Training`.

    plan = TrainingPlan(recipe="fast", changes={"optimisation.epochs": 3})     the options, each checked once
    training = plan.bind(labelled, validation=held_out)                        the recipe and the rows of these data
    model = training.run(callback)                                             fit, stack, measure, save

The function `gatewise.train`, the command line, the estimators and the search of settings run such plans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from gatewise.data.frames import is_frame
from gatewise.data.labelled import Labelled, Unlabelled
from gatewise.data.schema import RowSchema
from gatewise.errors import InputError
from gatewise.model.model import Model
from gatewise.training.callback import Callback
from gatewise.training.data_checks import count_near_duplicates, warn_about_data, warn_about_overlap
from gatewise.training.fields import checked_seed
from gatewise.training.fit import fit_model, measure, shared_model, teach
from gatewise.training.members import Run
from gatewise.training.ngram_comparison import choose_tokenization
from gatewise.training.processes import current
from gatewise.training.recipes import Recipe
from gatewise.training.run import RunFolder
from gatewise.training.run_recipe import Available, match_pretrained, recipe_of_run
from gatewise.training.stack import Threshold
from gatewise.training.training_data import ClassWeight, TrainingData, prepare
from gatewise.types import ColumnNames, KindName, RuleReport, Task

if TYPE_CHECKING:
    from gatewise.training.pretrained import Pretrained


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """The options of a training. Raises InputError for a seed or an output folder that cannot be used."""

    recipe: str | Recipe | None = None
    """A name or a Recipe; None for the default of the data."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the recipe, by `group.field`."""
    pretrained: Pretrained | None = None
    """The model to start from."""
    class_weight: ClassWeight | None = None
    threshold: Threshold | None = None
    seed: int | None = 0
    """Of split, initial weights, order and dropout. None draws one."""
    out: str | Path | None = None
    """The folder for the model; None for none, unless `bind` gets a default."""
    resume: bool = False
    overwrite: bool = False
    examples: int = 0
    """How many validation rows the model folder keeps."""
    drawn_seed: int = field(init=False)
    """`seed`, or the one that was drawn."""
    folder: RunFolder | None = field(init=False, default=None)
    """Of `out`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "drawn_seed", checked_seed(self.seed, self.resume))
        if self.out is not None:
            object.__setattr__(self, "folder", RunFolder.of(self.out, self.resume, self.overwrite))

    def check(self, kind: KindName | None, task: Task | None, **available: Unpack[Available]) -> None:
        """Raise InputError for options that fit no data of this kind and task, None where they are not known yet, so
        that a command stops before it reads its data.
        """
        recipe = recipe_of_run(self.recipe, self.changes, None, kind, task, pretrained=self.pretrained, **available)
        recipe.kernel()
        if self.pretrained is not None:
            match_pretrained(recipe, self.pretrained)

    def bind(
        self,
        labelled: Labelled,
        *,
        unlabelled: Unlabelled | Sequence[str] | None = None,
        rules: Sequence[Any] | None = None,
        validation: Any = None,
        has_groups: bool = False,
        has_times: bool = False,
        layout: str | None = None,
        default_out: Callable[[Recipe], Path] | None = None,
    ) -> Training:
        """The training on these data. has_groups, has_times: whether a user gave groups or times of the rows. layout:
        of a validation set of arrays. default_out: the folder for the model where `out` is None. Raises InputError for
        data that do not fit the options.
        """
        if self.pretrained is not None:
            labelled = self.pretrained.with_names(labelled)
        if self.threshold is not None:
            labelled.target.each.check_threshold(self.threshold)
        available: Available = {
            "unlabelled": unlabelled is not None,
            "rules": rules is not None,
            "validation": validation is not None,
            "groups": has_groups,
        }
        recipe = recipe_of_run(self.recipe, self.changes, labelled, pretrained=self.pretrained, **available)
        if has_times and recipe.validation.split != "time":
            raise InputError("times need a split by='time'")
        if current().size > 1:
            labelled.target.refuse_steps(
                "a tagger is trained in one process: the steps of its rows are not divided among several"
            )
        recipe, start = self.with_start(recipe)
        out = self.out
        if out is None and default_out is not None:
            out = default_out(recipe)
        folder = self.folder or RunFolder.of(out, self.resume, self.overwrite)
        inputs = _inputs_of(labelled, unlabelled, rules, validation, layout, available, start)
        data = inputs.prepared(recipe, start, self.drawn_seed, self.class_weight)
        return Training(self, recipe, start, out, folder, inputs, data)

    def with_start(self, recipe: Recipe) -> tuple[Recipe, Pretrained | None]:
        """The recipe with the fields of the model to start from, and this model: the bundled one where the recipe keeps
        the layers of a model and none is given.
        """
        start = self.pretrained
        if start is None and recipe.frozen:
            from gatewise.training.pretrained import BUNDLED, Pretrained  # here, as few runs have one

            start = Pretrained.of(BUNDLED)
        if start is None:
            return recipe, None
        return match_pretrained(recipe, start), start


@dataclass(frozen=True, eq=False)
class TrainingInputs:
    """What a training gets, whatever its recipe.

    labelled: the rows with a weight above 0; rows: their numbers in the data of the user. validation: a validation set
    of its own. by_rules: texts that rules labelled, unlabelled: the other texts without labels, reports: on the rules.
    """

    labelled: Labelled
    rows: NDArray[np.intp]
    validation: Labelled | None
    by_rules: Labelled | None
    unlabelled: Unlabelled | None
    reports: tuple[RuleReport, ...]
    available: Available

    def prepared(
        self, recipe: Recipe, start: Pretrained | None, seed: int, class_weight: ClassWeight | None
    ) -> TrainingData:
        """The rows as a recipe splits and encodes them."""
        data = prepare(
            self.labelled,
            recipe,
            seed,
            None if start is None else start.preprocessor,
            class_weight=class_weight,
            validation=self.validation,
            rule_labelled=self.by_rules,
            extends_vocabulary=start is None or start.extends_vocabulary,
        )
        if start is None:
            return data
        return replace(data, architecture=start.shape_of(data.architecture))


@dataclass(frozen=True, eq=False)
class Training:
    """A plan with its data.

    recipe, start: of this run. out: the folder for the model, as it was named. data: the rows of `inputs`, encoded.
    """

    plan: TrainingPlan
    recipe: Recipe
    start: Pretrained | None
    out: str | Path | None
    folder: RunFolder
    inputs: TrainingInputs
    data: TrainingData

    def with_fields(self, changes: Mapping[str, Any]) -> Training:
        """The training with other fields of its recipe, by `group.field`, on the same inputs. They are encoded again,
        as most fields of the recipe may change how. Raises InputError as `recipe_with`.
        """
        recipe, start = self.recipe_with(changes)
        data = self.inputs.prepared(recipe, start, self.plan.drawn_seed, self.plan.class_weight)
        return replace(self, recipe=recipe, start=start, data=data)

    def recipe_with(self, changes: Mapping[str, Any]) -> tuple[Recipe, Pretrained | None]:
        """The recipe with other fields, and the model to start from. Raises InputError for fields that do not fit the
        inputs or this model.
        """
        inputs = self.inputs
        recipe = recipe_of_run(
            self.recipe, changes, inputs.labelled, pretrained=self.plan.pretrained, **inputs.available
        )
        return self.plan.with_start(recipe)

    def unsaved(self) -> Training:
        """The training without a folder for its model."""
        return replace(self, out=None, folder=RunFolder.of(None, resume=False))

    def run(self, callback: Callback, command: str = "") -> Model:
        """Train, and save the model where there is a folder for it. command: for the model card."""
        with self.folder.entered():
            run = Run(self.plan.drawn_seed, callback, self.folder, self.start, self.folder.folder, command)
            data = choose_tokenization(self.data, self.recipe, run)
            run.near_duplicates = count_near_duplicates(data)
            warn_about_data(data, self.inputs.labelled, self.inputs.rows, self.start, run.near_duplicates)
            self._log_rules(run)
            data = self._with_unlabelled(data, run)
            model, stack = fit_model(data, run)
            if stack is not None:  # of the first process
                model = measure(model, data, stack, self.plan.threshold, self.plan.examples, run)
                if self.folder.target is not None:
                    model.save(self.folder.target)
            if current().size > 1:
                model = shared_model(model)
        callback.on_train_end(model)
        return model

    def _log_rules(self, run: Run) -> None:
        """Write what the rules labelled to the log, and keep it for the card."""
        unlabelled = self.inputs.unlabelled
        if unlabelled is None or not self.inputs.reports:
            return
        run.unlabelled = unlabelled.source
        run.rules = self.inputs.reports
        for line in (unlabelled.source, *map(str, self.inputs.reports)):
            run.callback.log(line)

    def _with_unlabelled(self, data: TrainingData, run: Run) -> TrainingData:
        """The data with what a recipe for unlabelled texts learns from them."""
        unlabelled = self.inputs.unlabelled
        if unlabelled is None or not unlabelled.texts or not self.recipe.uses_unlabelled:
            return data
        from gatewise.training.unlabelled import learn_unlabelled  # here, as few runs have some

        return learn_unlabelled(data, unlabelled, run, teach)


def _inputs_of(
    labelled: Labelled,
    unlabelled: Unlabelled | Sequence[str] | None,
    rules: Sequence[Any] | None,
    validation: Any,
    layout: str | None,
    available: Available,
    start: Pretrained | None,
) -> TrainingInputs:
    """What a training gets. layout: of a validation set of arrays. start: the model to start from."""
    texts: Unlabelled | None = None
    if unlabelled is not None:
        texts = _unlabelled_of(unlabelled, labelled)
    rows = labelled.present_rows
    used = labelled.present
    separate: Labelled | None = None
    if validation is not None:
        separate = _validation_of(validation, used, layout, start)
    by_rules: Labelled | None = None
    reports: tuple[RuleReport, ...] = ()
    if texts is not None and rules is not None:
        from gatewise.data.rules import label_unlabelled, rules_of  # here, as few runs have some

        by_rules, texts, reports = label_unlabelled(texts, rules_of(rules), used, separate)
    return TrainingInputs(used, rows, separate, by_rules, texts, reports, available)


def _validation_of(validation: Any, data: Labelled, layout: str | None, start: Pretrained | None) -> Labelled:
    """A separate validation set as Labelled, with the task and the columns of the training data, without rows of weight
    0; warns of rows that both have. start: the model to start from.
    """
    columns = ColumnNames(numeric=data.columns.numeric, categorical=data.columns.categorical)
    if data.columns.label and is_frame(validation):
        validation = Labelled.from_frame(
            validation,
            text=data.columns.text,
            label=data.columns.label,
            numeric=columns.numeric,
            categorical=columns.categorical,
            task=data.task,
        )
    if not isinstance(validation, Labelled):
        if not isinstance(validation, tuple | list) or len(validation) != 2:
            raise InputError("validation must be (inputs, labels) or Labelled")
        inputs, labels = validation
        options: dict[str, Any] = {"task": data.task, "classes": data.target.each.column_classes, "layout": layout}
        arrays = None if start is None else start.arrays
        if arrays is not None:
            validation = arrays.labelled(inputs, labels, "the validation set given", **options)
        else:
            validation = Labelled.of(inputs, labels, "the validation set given", columns=columns, **options)
    present: Labelled = validation.present
    warn_about_overlap(data, present, "validation")
    return present.with_names_of(data.target)


def _unlabelled_of(unlabelled: Any, data: Labelled) -> Unlabelled:
    """Unlabelled texts. Raises InputError where the data have weights or columns, which these texts lack."""
    if (data.sample_weight != 1).any():
        raise InputError(f"{data.source}: sample_weight does not reach unlabelled texts: leave one of them out")
    if schema := RowSchema.of(data.columns):
        raise InputError(f"{data.source}: unlabelled texts have no columns {schema}: leave one of them out")
    return unlabelled if isinstance(unlabelled, Unlabelled) else Unlabelled.of(unlabelled)
