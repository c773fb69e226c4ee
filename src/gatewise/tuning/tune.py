"""Search for the fields of a recipe with the lowest validation loss, by Optuna (extra `tune`).

Source: Bergstra et al. (2011), Algorithms for hyper-parameter optimization: the TPE sampler. Akiba et al. (2019),
Optuna: a next-generation hyperparameter optimization framework.
"""

from __future__ import annotations

import hashlib
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np

from gatewise.data import Unlabelled
from gatewise.errors import DataWarning, InputError, TrainingError, counted, quote, required, warn
from gatewise.model import Model
from gatewise.training import Callback, EpochLog, Interrupted, Recipe, RunInfo, StepLog
from gatewise.training import recipe as named
from gatewise.training.fields import Count, Positive, field_named, field_of, named_values, values_of
from gatewise.training.plan import Training, TrainingPlan
from gatewise.training.pretrained import Pretrained
from gatewise.training.recipe_fields import RecipeFields
from gatewise.training.run import RESUME_HINT, StopEvent, interruptible
from gatewise.training.stack import Threshold
from gatewise.training.train import labelled_from, train_inputs
from gatewise.training.training_data import ClassWeight
from gatewise.tuning.trial_file import TrialFile
from gatewise.types import KindName, Task

if TYPE_CHECKING:
    import optuna

    from gatewise.model import PretrainedLM

Search = Mapping[str, tuple[float, float] | Sequence[Any]]
"""The values of each field: a tuple (low, high) is a range, on a logarithmic scale from 10 times low; of two whole
numbers it holds whole numbers. Any other sequence lists the values."""

State = Literal["complete", "stopped early", "failed"]

# Complete trials before others are stopped early: the median of fewer says little.
_BEFORE_PRUNING = 5

# Fields that cut another validation set, on which losses cannot be compared.
_OF_VALIDATION_SET = ("validation.fraction", "validation.split", "validation.folds")


@dataclass(frozen=True)
class Trial:
    """One trial of a search."""

    number: int
    settings: dict[str, Any]
    """The fields of the recipe that were searched, by `group.field`."""
    loss: float | None
    """Validation loss of the model; None where the trial did not end."""
    state: State
    """Stopped early: its loss was worse than that of others, or not finite, or the time was over."""
    seconds: float


@dataclass(frozen=True)
class TuneResult:
    """What a search found."""

    recipe: Recipe
    """The recipe with the settings of the best trial: `gw.train(data, recipe=result.recipe)`."""
    settings: dict[str, Any]
    loss: float
    trials: tuple[Trial, ...]
    """All finished trials, also those of other processes and of earlier runs with the same storage."""
    model: Model | None
    """The model of the best trial; None without `out`."""


def tune(
    data: Any,
    labels: Sequence[Any] | None = None,
    *,
    search: Search | None = None,
    trials: int = 30,
    minutes: float | None = None,
    storage: str | Path | None = None,
    on_trial: Callable[[Trial], None] | None = None,
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
    overwrite: bool = False,
    command: str = "",
    examples: int = 0,
    **changes: Unpack[RecipeFields],
) -> TuneResult:
    """Train models with different settings of a recipe, and return the settings with the lowest validation loss.

    >>> texts, labels = ["a good film", "a bad film", "so good", "so bad"] * 20, ["yes", "no", "yes", "no"] * 20
    >>> found = gw.tune(texts, labels, trials=2, search={"units": [4, 8]}, epochs=1)
    >>> sorted(found.settings)
    ['lstm.units']

    The other parameters are those of `gatewise.train`; no trial changes a field of the recipe among them. All trials
    have the same validation set, so the loss of the best one is lower than on new data; measure the result on test
    data.

    search: the values of each field, see `Search`; by default `default_search`. The first trial has the recipe's own
    values. A trial whose validation loss is worse than the median of the others, at the same share of its epochs, is
    stopped early.
    trials: finished trials in all. minutes: after this time the running trial is stopped, that of few series after its
    cross-validation, and no other one begins.
    storage: a file that records the trials. A search continues from it, and several processes may share it; each
    finishes when `trials` are finished together. It holds trials of one search alone.
    out: the folder for the model of the best trial, which is trained again; `overwrite` replaces a model there. With
    `storage` that training continues too, if it was stopped.
    on_trial: called after each trial of this process.

    With one process, no storage and no time limit the result depends on the seed alone. Raises InputError for data or
    options that cannot be used, MissingExtra without Optuna, TrainingError if no trial was finished, Interrupted after
    Ctrl-C.
    """
    start = None if pretrained is None else Pretrained.of(pretrained)
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
        changes=named_values(Recipe, changes, tune.__kwdefaults__ or ()),
        pretrained=start,
        class_weight=class_weight,
        threshold=threshold,
        seed=seed,
        out=out,
        resume=continues(out, storage, overwrite),
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
    return run_search(
        training, search, trials=trials, minutes=minutes, storage=storage, on_trial=on_trial, command=command
    )


def continues(out: str | Path | None, storage: str | Path | None, overwrite: bool) -> bool:
    """Whether the training of the best model goes on from a checkpoint: where a file records which one is the best."""
    return out is not None and storage is not None and not overwrite


def run_search(
    training: Training,
    search: Search | None = None,
    *,
    trials: int = 30,
    minutes: float | None = None,
    storage: str | Path | None = None,
    on_trial: Callable[[Trial], None] | None = None,
    command: str = "",
) -> TuneResult:
    """Run a training with different fields of its recipe. The parameters and errors are those of `tune`."""
    optuna = required("optuna", "tune", "gatewise tune")
    trials = field_of("trials", Count).checked(trials)
    deadline = math.inf
    if minutes is not None:
        deadline = time.monotonic() + 60 * field_of("minutes", Positive).checked(minutes)
    space = search_space(training, search)
    with _quiet(optuna):
        study = _study(storage, training.plan.drawn_seed, _identity(training, space))
        _enqueue_own_values(study, training.recipe, space)
        _optimize(study, training, space, trials, deadline, on_trial)
    finished = tuple(_trial_of(frozen) for frozen in study.get_trials(deepcopy=False) if frozen.state.is_finished())
    losses = {trial.number: trial.loss for trial in finished if trial.loss is not None}
    if not losses:
        raise TrainingError(f"none of {counted(len(finished), 'trial')} was finished: allow more time or other values")
    best = min(losses, key=lambda number: (losses[number], number))
    settings = study.trials[best].user_attrs["settings"]
    _warn_without_effect(study, best)
    chosen = training.with_fields(settings)
    model = None if training.out is None else _trained(chosen, storage, command)
    return TuneResult(chosen.recipe, settings, losses[best], finished, model)


def _optimize(
    study: optuna.Study,
    training: Training,
    space: Search,
    trials: int,
    deadline: float,
    on_trial: Callable[[Trial], None] | None,
) -> None:
    """Run trials until so many are finished, in all processes, or the time is over. Raises Interrupted after Ctrl-C."""

    def after(study: optuna.Study, frozen: optuna.trial.FrozenTrial) -> None:
        if on_trial is not None:
            on_trial(_trial_of(frozen))
        if stop.is_set() or time.monotonic() > deadline or _ended(study) >= trials:
            study.stop()

    # A signal must not end a write to the storage.
    with interruptible() as stop:
        objective = _Objective(training.unsaved(), space, deadline, stop)
        try:
            if _ended(study) < trials:
                study.optimize(objective, callbacks=[after])
        except Interrupted as error:  # of a training, which had the signal
            stop.number = error.exit_code - 128
            stop.set()
        if stop.is_set() and _ended(study) < trials:
            raise Interrupted(f"stopped after {counted(_ended(study), 'trial')}", stop)


def _trained(training: Training, storage: str | Path | None, command: str) -> Model:
    """The model of the best settings, trained again and saved."""
    try:
        return training.run(Callback(), command)
    except Interrupted as stopped:
        message = str(stopped).removesuffix(RESUME_HINT)
        if storage is not None:
            message += "; the same search continues it"
        raise Interrupted(message, stopped.stop, stopped.model) from None


class _Objective:
    """The validation loss of a training with the fields of a trial."""

    def __init__(self, training: Training, space: Search, deadline: float, stop: StopEvent) -> None:
        self.training = training
        self.space = space
        self.deadline = deadline
        self.stop = stop

    def __call__(self, trial: optuna.Trial) -> float:
        from optuna import TrialPruned

        settings = {name: suggest(trial, name, values) for name, values in self.space.items()}
        trial.set_user_attr("settings", settings)
        reporter = _Reporter(trial, self.deadline, self.stop)
        with warnings.catch_warnings():
            # All trials read the same data, and the first one has said what is wrong with them.
            if trial.number:
                warnings.simplefilter("ignore", DataWarning)
            try:
                model = self.training.with_fields(settings).run(reporter)
            except (_StoppedEarly, TrainingError) as error:  # TrainingError: a loss that is not finite
                raise TrialPruned from error
        trial.set_user_attr("without_weight", members_without_weight(model))
        return validation_loss(model)


def search_space(training: Training, search: Search | None) -> dict[str, Any]:
    """The values of each field that is searched, by `group.field`. Raises InputError for a search that is none."""
    fixed = training.plan.changes
    if search is None:
        defaults = default_search(training.recipe, training.inputs.labelled.kind, training.start is not None)
        search = {name: values for name, values in defaults.items() if name not in fixed}
    space = {name: _plain(values) for name, values in named_values(Recipe, search).items()}
    check_search(space, training.recipe, fixed)
    # Each value with the first ones of the other fields: what fits neither the data nor a pretrained model is refused
    # before a model is trained.
    first = {name: values[0] for name, values in space.items()}
    for name, values in space.items():
        for value in values:
            try:
                training.recipe_with({**first, name: value})
            except InputError as error:
                raise InputError(f"search: {error}") from None
    return space


def _plain(values: Any) -> Any:
    """NumPy's numbers as those of Python, whose types Optuna and `suggest` go by."""
    if not isinstance(values, list | tuple):
        return values
    return type(values)(value.item() if isinstance(value, np.generic) else value for value in values)


def default_search(recipe: Recipe, kind: KindName, pretrained: bool) -> dict[str, Any]:
    """The fields that `tune` searches by default, and their values."""
    if recipe.frozen:
        # The layers of the pretrained model stay, so that the n-grams alone are left.
        return {"ngrams.l2": (0.5, 32.0)}
    rate = recipe.optimisation.learning_rate
    space: dict[str, Any] = {
        "optimisation.learning_rate": (rate / 4, rate * 4),
        "lstm.dropout_output": (0.0, 0.6),
    }
    if kind == "text":
        epochs = recipe.optimisation.epochs
        space["lstm.dropout_embedding"] = (0.0, 0.6)
        space["lstm.dropout_word"] = (0.0, 0.3)
        space["optimisation.epochs"] = (max(1, epochs // 2), 2 * epochs)
    else:
        space["optimisation.batch_size"] = [8, 16, 32]
        space["lstm.layers"] = [1, 2]
    # The layers of a pretrained model have their size.
    if not pretrained:
        units = recipe.lstm.units
        space["lstm.units"] = sorted({units // 2 or 1, units, units * 2})
    if kind == "text" and recipe.ngrams.order:
        space["ngrams.l2"] = (0.5, 32.0)
    return space


def check_search(search: Search, recipe: Recipe, fixed: Mapping[str, Any]) -> None:
    """Raise InputError for a search without fields, for a field that is fixed or cuts another validation set, and for
    values that it cannot take. search, fixed: by `group.field`.
    """
    if not search:
        raise InputError("search names no field of the recipe")
    for name, values in search.items():
        field = field_named(Recipe, name)
        if name in fixed:
            raise InputError(f"{name} is set to {fixed[name]}, so it cannot be searched")
        if name in _OF_VALIDATION_SET:
            raise InputError(f"search: {name} cuts another validation set, on which losses cannot be compared")
        ends: list[Any] = []
        if isinstance(values, Sequence) and not isinstance(values, str):
            ends = list(values)
        if len(ends) < 2:
            raise InputError(f"search: {name} needs a range (low, high) or a list of two values or more")
        for value in ends:
            try:
                named(recipe, **{name: field.checked(value)})
            except InputError as error:
                raise InputError(f"search: {error}") from None
        if isinstance(values, tuple) and (len(ends) != 2 or isinstance(ends[0], str | bool) or not ends[0] < ends[1]):
            raise InputError(f"search: {name}: a range is (low, high), two numbers with low below high")


def suggest(trial: optuna.Trial, name: str, values: Any) -> Any:
    """A value of a field for the trial."""
    if not isinstance(values, tuple):
        return trial.suggest_categorical(name, list(values))
    low, high = values
    log = low > 0 and high >= 10 * low
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=log)
    value = trial.suggest_float(name, low, high, log=log)
    return min(max(float(f"{value:.3g}"), low), high)  # so that the settings can be read and typed


def _enqueue_own_values(study: optuna.Study, recipe: Recipe, space: Search) -> None:
    """Let the first trial of a study have the recipe's own values, where the search has them."""
    if study.trials:
        return
    own = values_of(recipe)
    study.enqueue_trial({name: own[name] for name, values in space.items() if _contains(values, own[name])})


def _contains(values: Any, value: Any) -> bool:
    if isinstance(values, tuple):
        low, high = values
        return bool(low <= value <= high)
    return value in values


class _StoppedEarly(Exception):
    """The trial is worse than the others, or the time is over."""


class _Reporter(Callback):
    """Reports each epoch's validation loss to the trial. Epochs are compared at the same share of a run: with a
    schedule, half of four epochs is like half of two.
    """

    def __init__(self, trial: optuna.Trial, deadline: float, stop: StopEvent) -> None:
        self.trial = trial
        self.deadline = deadline
        self.stop = stop
        self.epochs = 1
        self.runs = 0

    def on_train_begin(self, run: RunInfo) -> None:
        """A teacher and its student each begin; the first one is compared."""
        self.runs += 1
        self.epochs = run.recipe.optimisation.epochs if isinstance(run.recipe, Recipe) else 1

    def on_step_end(self, step: StepLog) -> None:
        """Stop at the end of the time, and after a Ctrl-C that came before the first step."""
        self.epochs = step.epochs
        if self.stop.is_set():
            raise Interrupted("stopped", self.stop)
        if time.monotonic() > self.deadline:
            raise _StoppedEarly

    def on_epoch_end(self, epoch: EpochLog) -> None:
        """Compare the loss with that of other trials."""
        if self.runs != 1 or epoch.epoch > self.epochs:
            return
        self.trial.report(epoch.val_loss, 100 * epoch.epoch // self.epochs)
        if self.trial.should_prune():
            raise _StoppedEarly


_MEMBER_OF = {
    "lstm": "lstm",
    "optimisation": "lstm",
    "series": "lstm",
    "ngrams": "ngrams",
    "convolutions": "convolutions",
}
"""The member that the fields of a group of the recipe set."""


def members_without_weight(model: Model) -> list[str]:
    """The kinds of the members with weight 0, which do not change a prediction."""
    return [member.kind for member, weight in model.ensemble if not weight]


def _warn_without_effect(study: optuna.Study, best: int) -> None:
    """A DataWarning for searched fields that set a member with weight 0 in the best trial: its loss does not depend on
    them. best: the number of this trial.
    """
    trials = study.get_trials(deepcopy=False)
    without_weight = [trial.user_attrs.get("without_weight", ()) for trial in trials]
    for kind in without_weight[best]:
        searched = trials[best].user_attrs["settings"]
        fields = [name for name in searched if _MEMBER_OF.get(name.partition(".")[0]) == kind]
        if fields:
            count = sum(kind in kinds for kinds in without_weight)
            warn(
                f"search: {', '.join(fields)} did not change the loss of the best trial: its member {kind} has weight "
                f"0, as in {count} of {counted(len(trials), 'trial')}; search fields of the other members, or leave "
                "these out"
            )


def validation_loss(model: Model) -> float:
    """The loss of the whole model on its validation set: with n-grams and calibration, where it has them."""
    return float(model.metadata.evaluations[-1].loss)


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Optuna without a message for each study and trial."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _ended(study: optuna.Study) -> int:
    """How many trials have a loss or were stopped early, in all processes."""
    states = [trial.state.name for trial in study.get_trials(deepcopy=False)]
    return states.count("COMPLETE") + states.count("PRUNED")


def _identity(training: Training, space: Search) -> str:
    """SHA-256 of all that the loss of a trial depends on, besides its settings: trials of one file have one."""
    inputs = training.inputs
    parts = (
        training.data.identity,
        None if inputs.unlabelled is None else inputs.unlabelled.fingerprint(),
        training.recipe.name,
        values_of(training.recipe),
        None if training.start is None else training.start.fingerprint(),
        training.plan.drawn_seed,
        training.plan.threshold,
        # A range is not a list of its ends.
        sorted((name, isinstance(values, tuple), list(values)) for name, values in space.items()),
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _study(storage: str | Path | None, seed: int, identity: str) -> optuna.Study:
    """The study in the file, or a new one. Raises InputError for a file of another search."""
    import optuna

    pruner = optuna.pruners.MedianPruner(n_startup_trials=_BEFORE_PRUNING)
    if storage is None:
        return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), pruner=pruner)
    path = Path(storage)
    if path.exists() and not path.is_file():
        raise InputError(f"{quote(path, 200)} is not a file of trials")
    if not path.parent.is_dir():
        raise InputError(f"{quote(path, 200)}: its folder does not exist")
    # Processes that share a file must not draw the same values.
    sampler = optuna.samplers.TPESampler(constant_liar=True)
    try:
        journal = TrialFile(path)
        backend = optuna.storages.JournalStorage(journal)  # type: ignore[arg-type]
        study = optuna.create_study(
            study_name="gatewise tune", storage=backend, sampler=sampler, pruner=pruner, load_if_exists=True
        )
        if "identity" not in study.user_attrs:
            study.set_user_attr("identity", identity)
        # The first entry counts: another process may have begun at the same time.
        recorded = next(entry["user_attr"]["identity"] for entry in journal.read_logs(0) if "user_attr" in entry)
        for frozen in study.get_trials(deepcopy=False):
            dict(_trial_of(frozen).settings)  # damaged trials show here
    except InputError:
        raise
    except Exception as error:  # whatever Optuna makes of bytes that are no journal
        raise InputError(f"{quote(path, 200)} is not a file of trials: {quote(error, 200)}") from None
    if recorded != identity:
        raise InputError(
            f"{quote(path, 200)} holds trials of another search: other data, recipe, options, values or seed. Give "
            "another file"
        )
    return study


def _trial_of(frozen: optuna.trial.FrozenTrial) -> Trial:
    """A trial of Optuna as one of a search."""
    states: dict[str, State] = {"COMPLETE": "complete", "PRUNED": "stopped early"}
    state = states.get(frozen.state.name, "failed")
    seconds = 0.0
    if frozen.duration is not None:
        seconds = frozen.duration.total_seconds()
    loss = frozen.value if state == "complete" else None
    return Trial(frozen.number, frozen.user_attrs.get("settings", {}), loss, state, seconds)
