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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from gatewise.data.labelled import Labelled, Unlabelled
from gatewise.errors import DataWarning, InputError, TrainingError, counted, quote, required, warn
from gatewise.model.model import Model
from gatewise.training.callback import Callback, EpochLog, RunInfo, StepLog
from gatewise.training.fields import Count, Positive, checked_seed, field_named, field_of, named_values, values_of
from gatewise.training.pretrained import Pretrained
from gatewise.training.recipes import Recipe, recipe_of_run
from gatewise.training.recipes import recipe as named
from gatewise.training.run import RESUME_HINT, Interrupted, RunFolder, StopEvent, interruptible
from gatewise.training.train import labelled_from, train
from gatewise.tuning.trial_file import TrialFile

if TYPE_CHECKING:
    import optuna

Search = Mapping[str, tuple[float, float] | Sequence[Any]]
"""The values of each field: a tuple (low, high) is a range, on a logarithmic scale from 10 times low; of two whole
numbers it holds whole numbers. Any other sequence lists the values."""

State = Literal["complete", "stopped early", "failed"]
_BEFORE_PRUNING = 5  # complete trials before others are stopped early


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
    data: Labelled | Sequence[str] | Sequence[Any],
    labels: Sequence[Any] | None = None,
    *,
    search: Search | None = None,
    trials: int = 30,
    minutes: float | None = None,
    storage: str | Path | None = None,
    recipe: str | Recipe | None = None,
    pretrained: Any = None,
    seed: int = 0,
    out: str | Path | None = None,
    overwrite: bool = False,
    on_trial: Callable[[Trial], None] | None = None,
    command: str = "",
    **options: Any,
) -> TuneResult:
    """Train models with different settings of a recipe, and return the settings with the lowest validation loss.

    >>> texts, labels = ["a good film", "a bad film", "so good", "so bad"] * 20, ["yes", "no", "yes", "no"] * 20
    >>> found = gw.tune(texts, labels, trials=2, search={"units": [4, 8]}, epochs=1)
    >>> sorted(found.settings)
    ['lstm.units']

    data, labels, recipe, pretrained, seed and options are those of `gatewise.train`: `task`, `numeric`, `validation`,
    `class_weight`, or fields of the recipe, which no trial changes. All trials have the same validation set, so the
    loss of the best one is lower than on new data; measure the result on test data.

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
    own = {name: options.pop(name, None) for name in ("task", "groups", "times", "sample_weight", "layout")}
    columns = {name: options.pop(name, None) for name in ("text", "label", "numeric", "categorical")}
    labelled = labelled_from(data, labels, columns, **own)
    seed = checked_seed(seed, False)
    trials = field_of("trials", Count).checked(trials)
    minutes = math.inf if minutes is None else field_of("minutes", Positive).checked(minutes)
    library = required("optuna", "tune", "gatewise tune")
    start = None if pretrained is None else Pretrained.of(pretrained)
    train_options = {name: options.pop(name) for name in list(options) if name in _TRAIN_OPTIONS}
    fixed = named_values(Recipe, options, (*_TRAIN_OPTIONS, *own, *columns, *(tune.__kwdefaults__ or ())))
    given: dict[str, Any] = {
        name: train_options.get(name) is not None for name in ("unlabelled", "rules", "validation")
    }
    given["groups"] = own["groups"] is not None
    base = recipe_of_run(recipe, fixed, labelled, pretrained=start, **given)
    if search is None:
        found = default_search(base, labelled.kind, start is not None)
        search = {name: values for name, values in found.items() if name not in fixed}
    space = named_values(Recipe, search)
    check_search(space, base, fixed)
    resume = out is not None and storage is not None and not overwrite
    RunFolder.of(out, resume, overwrite)  # an error now rather than after the search
    # All that the loss of a trial depends on, besides its settings.
    known = start and start.fingerprint()
    parts = labelled, base.name, values_of(base), known, seed, space, train_options
    with _quiet(library):
        study = _study(storage, seed, hashlib.sha256(repr(_content(parts)).encode()).hexdigest())
    if not study.trials:
        first = values_of(base)
        study.enqueue_trial({name: first[name] for name, values in space.items() if _has(values, first[name])})
    fit = partial(train, labelled, pretrained=start, seed=seed, verbose=0, **train_options)
    deadline = time.monotonic() + 60 * minutes

    def objective(trial: optuna.Trial) -> float:
        """The validation loss of one model."""
        settings = {name: suggest(trial, name, values) for name, values in space.items()}
        trial.set_user_attr("settings", settings)
        with warnings.catch_warnings():
            if trial.number:
                warnings.simplefilter("ignore", DataWarning)  # the first trial has said it
            try:
                reporter = _Reporter(trial, deadline, stop)
                model = fit(recipe=named(base, **settings), callbacks=reporter)
                trial.set_user_attr("without_weight", members_without_weight(model))
                return validation_loss(model)
            except (_StoppedEarly, TrainingError) as error:  # TrainingError: a loss that is not finite
                raise library.TrialPruned from error

    def after(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if on_trial is not None:
            on_trial(_trial(trial))
        if stop.is_set() or time.monotonic() > deadline or _ended(study) >= trials:
            study.stop()

    with _quiet(library), interruptible() as stop:  # not in the middle of a write to the storage
        try:
            if _ended(study) < trials:
                study.optimize(objective, callbacks=[after])
        except Interrupted as error:  # of a training, which had the signal
            stop.number = error.exit_code - 128
            stop.set()
        if stop.is_set() and _ended(study) < trials:
            raise Interrupted(f"stopped after {counted(_ended(study), 'trial')}", stop)
    finished = tuple(_trial(one) for one in study.get_trials(deepcopy=False) if one.state.is_finished())
    complete = [one for one in finished if one.loss is not None]
    if not complete:
        raise TrainingError(f"none of {counted(len(finished), 'trial')} was finished: allow more time or other values")
    best = min(complete, key=lambda one: (one.loss, one.number))
    weightless = [list(one.user_attrs.get("without_weight", ())) for one in study.get_trials(deepcopy=False)]
    warn_without_effect(best, weightless[best.number], weightless)
    chosen = named(base, **best.settings)
    model = None
    if out is not None:
        try:
            model = fit(recipe=chosen, out=out, overwrite=overwrite, resume=resume, command=command)
        except Interrupted as stopped:
            how = "" if storage is None else "; the same search continues it"
            raise Interrupted(f"{str(stopped).removesuffix(RESUME_HINT)}{how}", stopped.stop, stopped.model) from None
    return TuneResult(chosen, best.settings, cast(float, best.loss), finished, model)


_TRAIN_OPTIONS = ("unlabelled", "rules", "validation", "class_weight", "threshold", "examples")


def default_search(recipe: Recipe, kind: Literal["text", "series"], pretrained: bool) -> dict[str, Any]:
    """The fields that `tune` searches by default, and their values."""
    rate, epochs, units = recipe.optimisation.learning_rate, recipe.optimisation.epochs, recipe.lstm.units
    found: dict[str, Any] = {
        "optimisation.learning_rate": (rate / 4, rate * 4),
        "lstm.dropout_output": (0.0, 0.6),
    }
    if kind == "text":
        found |= {"lstm.dropout_embedding": (0.0, 0.6), "lstm.dropout_word": (0.0, 0.3)}
        found |= {"optimisation.epochs": (max(1, epochs // 2), 2 * epochs)}
    else:
        found |= {"optimisation.batch_size": [8, 16, 32], "lstm.layers": [1, 2]}
    if not pretrained:
        found["lstm.units"] = sorted({units // 2 or 1, units, units * 2})
    if kind == "text" and recipe.ngrams.order:
        found["ngrams.l2"] = (0.5, 32.0)
    return found


def check_search(search: Search, recipe: Recipe, fixed: Mapping[str, Any]) -> None:
    """Raise InputError for a search without fields, for a field that is fixed, and for values that it cannot take.
    search, fixed: by `group.field`.
    """
    if not search:
        raise InputError("search names no field of the recipe")
    for name, values in search.items():
        field = field_named(Recipe, name)
        if name in fixed:
            raise InputError(f"{name} is set to {fixed[name]}, so it cannot be searched")
        ends = list(values) if isinstance(values, Sequence) and not isinstance(values, str) else []
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


def _has(values: Any, value: Any) -> bool:
    return values[0] <= value <= values[1] if isinstance(values, tuple) else value in values


class _StoppedEarly(Exception):
    """The trial is worse than the others, or the time is over."""


class _Reporter(Callback):
    """Reports each epoch's validation loss to the trial. Epochs are compared at the same share of a run: with a
    schedule, half of four epochs is like half of two.
    """

    def __init__(self, trial: optuna.Trial, deadline: float, stop: StopEvent) -> None:
        self.trial, self.deadline, self.stop = trial, deadline, stop
        self.epochs, self.runs = 1, 0

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


def warn_without_effect(best: Trial, without_weight: Sequence[str], of_trials: Sequence[Sequence[str]]) -> None:
    """A DataWarning for searched fields that set a member with weight 0 in the best trial: its loss does not depend on
    them. without_weight: the kinds of such members of the best trial; of_trials: of all trials.
    """
    for kind in without_weight:
        fields = [name for name in best.settings if _MEMBER_OF.get(name.partition(".")[0]) == kind]
        if fields:
            count = sum(kind in one for one in of_trials)
            warn(
                f"search: {', '.join(fields)} did not change the loss of the best trial: its member {kind} has weight "
                f"0, as in {count} of {counted(len(of_trials), 'trial')}; search fields of the other members, or leave "
                "these out"
            )


def validation_loss(model: Model) -> float:
    """The loss of the whole model on its validation set: with n-grams and calibration, where it has them."""
    return float(model.metadata.evaluations[-1].loss)


@contextmanager
def _quiet(library: Any) -> Iterator[None]:
    """Optuna without a message for each study and trial."""
    verbosity = library.logging.get_verbosity()
    library.logging.set_verbosity(library.logging.ERROR)
    try:
        yield
    finally:
        library.logging.set_verbosity(verbosity)


def _ended(study: optuna.Study) -> int:
    """How many trials have a loss or were stopped early, in all processes."""
    return sum(one.state.name in ("COMPLETE", "PRUNED") for one in study.get_trials(deepcopy=False))


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
        # The first one: another process may have begun at the same time.
        found = next(one["user_attr"]["identity"] for one in journal.read_logs(0) if "user_attr" in one)
        for one in study.get_trials(deepcopy=False):
            dict(_trial(one).settings)  # damaged trials show here
    except InputError:
        raise
    except Exception as error:  # whatever Optuna makes of bytes that are no journal
        raise InputError(f"{quote(path, 200)} is not a file of trials: {quote(error, 200)}") from None
    if found != identity:
        raise InputError(
            f"{quote(path, 200)} holds trials of another search: other data, recipe, options, values or seed. Give "
            "another file"
        )
    return study


def _trial(one: optuna.trial.FrozenTrial) -> Trial:
    seconds = 0.0 if one.duration is None else one.duration.total_seconds()
    states: dict[str, State] = {"COMPLETE": "complete", "PRUNED": "stopped early"}
    state, settings = states.get(one.state.name, "failed"), one.user_attrs.get("settings", {})
    return Trial(one.number, settings, one.value if state == "complete" else None, state, seconds)


def _content(value: Any) -> Any:
    """All of a value, of which `repr` leaves nothing out, as it does of a long array."""
    if isinstance(value, Labelled):
        return [value.fingerprint(), *(part.tolist() for part in (value.groups, value.sample_weight, value.time))]
    if isinstance(value, Unlabelled):
        return value.fingerprint()
    if isinstance(value, Mapping):
        return sorted((repr(name), _content(one)) for name, one in value.items())
    if hasattr(value, "tolist"):  # an array, or a column of a data frame
        value = value.tolist()
    if isinstance(value, list | tuple):  # a range is not a list of its ends
        return isinstance(value, tuple), [_content(one) for one in value]
    return value
