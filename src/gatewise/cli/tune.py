"""`gatewise tune`: search for the settings of a recipe with the lowest validation loss."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from gatewise.cli import options
from gatewise.cli.options import columns, command, option
from gatewise.cli.output import print_json
from gatewise.cli.sources import is_series, read_source, table_of
from gatewise.cli.train import changed_fields, opened_pretrained, settings_of, training_options
from gatewise.errors import InputError, counted, quote

if TYPE_CHECKING:
    from gatewise.tuning.tune import Trial

_SEARCH = (
    "Values to try: a range as learning_rate=0.001..0.01, or a list as lstm.units=32,64,128. May be repeated. Default: "
    "learning rate, dropout, epochs, units and others, around the recipe's values."
)
_STORAGE = (
    "File that records the trials. The same command continues from it, also in several processes at the same time."
)
_SHOWN = 5  # trials of the table at the end


@command()
@options.sources_argument
@option("-o", "--out", metavar="DIR", help="Train the best settings again, into this model folder.")
@option("--trials", metavar="N", type=click.IntRange(1), default=30, help="Trials in all.")
@option("--minutes", metavar="M", type=float, help="Stop after this time, the final training excluded.")
@option("--search", metavar="FIELD=VALUES", multiple=True, help=_SEARCH)
@option("--storage", metavar="FILE", help=_STORAGE)
@training_options
@options.data_option
@option("--seed", default=0, help="Random seed of the search and of each training.")
@options.overwrite_option
@options.json_option
@columns()
def tune(given: Any) -> None:
    """Train with different settings of a recipe, and report those with the lowest validation loss. Needs Optuna.

    All trials are compared on one validation set, so the best loss is lower than on new data: evaluate the model on
    test data.

    \b
    gatewise tune reviews.csv --trials 30 --minutes 20 -o models/tuned
    gatewise tune reviews.csv --search learning_rate=0.001..0.01 --search units=32,64,128
    gatewise tune reviews.csv --storage trials.jsonl        continues; also from a second terminal
    """
    from gatewise.training.plan import TrainingPlan
    from gatewise.tuning.tune import continues, run_search

    table = table_of(given)
    # An error in an option stops the command before it reads the data.
    changes = changed_fields(given, table)
    space = parsed_search(given.search)
    plan = TrainingPlan(
        recipe=given.recipe,
        changes=changes,
        pretrained=opened_pretrained(given.pretrained),
        seed=given.seed,
        out=given.out,
        resume=continues(given.out, given.storage, given.overwrite),
        overwrite=given.overwrite,
    )
    # A file may hold series for all that its name says.
    plan.check("series" if table.series or is_series(given.sources[0]) else None, table.task)
    training = plan.bind(read_source(given.sources, given.data, table).train, has_groups=bool(table.group))
    shown = {"data": given.data, **vars(table), "pretrained": given.pretrained, "seed": given.seed or None}
    searched = {"trials": given.trials, "search": given.search, "recipe": given.recipe}
    result = run_search(
        training,
        space or None,
        trials=given.trials,
        minutes=given.minutes,
        storage=given.storage,
        on_trial=None if given.as_json else _print_trial,
        command=options.command_line("tune", *given.sources, **searched, set=settings_of(changes), **shown),
    )
    if given.as_json:
        rows = [vars(trial) for trial in result.trials]
        print_json({"recipe": result.recipe.name, "settings": result.settings, "loss": result.loss, "trials": rows})
        return
    complete = [trial for trial in result.trials if trial.loss is not None]
    complete.sort(key=lambda trial: trial.loss or 0.0)
    print(f"\n{counted(len(result.trials), 'trial')}, {len(complete)} complete; the best:")
    for trial in complete[:_SHOWN]:
        print(f"  {_line(trial)}")
    following = f"gatewise evaluate -m {given.out} TEST"
    if result.model is None:
        best = settings_of({**changes, **result.settings})
        following = options.command_line(
            "train", *given.sources, recipe=result.recipe.name, **shown, set=best, out="DIR"
        )
    else:
        figures = result.model.metadata.evaluations[-1].figures
        print(f"saved to {quote(given.out, 200)}: {figures} on the validation set")
    print(f"\nnext:\n  {following}")


def parsed_search(given: Sequence[str]) -> dict[str, Any]:
    """The values of --search by field. Raises InputError for anything but a range and a list."""
    from gatewise.training.fields import field_named
    from gatewise.training.recipes import Recipe

    space: dict[str, Any] = {}
    for search in given:
        key, equals, values = search.partition("=")
        key = key.strip().replace("-", "_")
        low, dots, high = values.partition("..")
        parts = [low, high] if dots else values.split(",")
        if not equals or len(parts) < 2:
            raise InputError(f"--search {quote(search)}: write FIELD=LOW..HIGH, or FIELD=VALUE,VALUE")
        try:
            field = field_named(Recipe, key)
            parsed = [field.parsed(part.strip()) for part in parts]
        except InputError as error:
            raise InputError(f"--search: {error}") from None
        if field.name in space:
            raise InputError(f"--search {field.name}: the field is given twice")
        space[field.name] = tuple(parsed) if dots else parsed
    return space


def _print_trial(trial: Trial) -> None:
    with suppress(OSError):  # a search goes on after its terminal or the reader of its output is closed
        print(_line(trial), flush=True)


def _line(trial: Trial) -> str:
    loss = trial.state if trial.loss is None else f"loss {trial.loss:.4f}"
    return f"trial {trial.number:3}  {loss:13}  {trial.seconds:6.1f} s  {' '.join(settings_of(trial.settings))}"
