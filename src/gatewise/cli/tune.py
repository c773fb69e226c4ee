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
from gatewise.cli.train import changed_fields, opened_pretrained, read_for, settings_of, training_options
from gatewise.errors import InputError, counted, quote

if TYPE_CHECKING:
    from gatewise.tuning.tune import Trial
    from gatewise.types import KindName

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
def tune(args: Any) -> None:
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

    table = table_of(args)
    # An error in an option stops the command before it reads the data.
    changes = changed_fields(args, table)
    space = parsed_search(args.search)
    start = opened_pretrained(args.pretrained)
    table = read_for(start, table)
    plan = TrainingPlan(
        recipe=args.recipe,
        changes=changes,
        pretrained=start,
        seed=args.seed,
        out=args.out,
        resume=continues(args.out, args.storage, args.overwrite),
        overwrite=args.overwrite,
    )
    kind: KindName | None = None  # what the file holds may be known only when it is read
    if table.arrays is not None:
        kind = "arrays"
    elif table.series or is_series(args.sources[0]):
        kind = "series"
    plan.check(kind, table.task)
    splits = read_source(args.sources, args.data, table)
    training = plan.bind(splits.train, has_groups=bool(table.group))
    typed = {"data": args.data, **table.typed, "pretrained": args.pretrained, "seed": args.seed or None}
    result = run_search(
        training,
        space or None,
        trials=args.trials,
        minutes=args.minutes,
        storage=args.storage,
        on_trial=None if args.as_json else _print_trial,
        command=options.command_line(
            "tune",
            *args.sources,
            trials=args.trials,
            search=args.search,
            recipe=args.recipe,
            set=settings_of(changes),
            **typed,
        ),
    )
    if args.as_json:
        trials = [vars(trial) for trial in result.trials]
        print_json({"recipe": result.recipe.name, "settings": result.settings, "loss": result.loss, "trials": trials})
        return
    complete = [trial for trial in result.trials if trial.loss is not None]
    complete.sort(key=lambda trial: trial.loss or 0.0)
    print(f"\n{counted(len(result.trials), 'trial')}, {len(complete)} complete; the best:")
    for trial in complete[:_SHOWN]:
        print(f"  {_line(trial)}")
    if result.model is None:
        best = settings_of({**changes, **result.settings})
        next_command = options.command_line(
            "train", *args.sources, recipe=result.recipe.name, **typed, set=best, out="DIR"
        )
    else:
        figures = result.model.metadata.evaluations[-1].figures
        print(f"saved to {quote(args.out, 200)}: {figures} on the validation set")
        next_command = f"gatewise evaluate -m {args.out} TEST"
    print(f"\nnext:\n  {next_command}")


def parsed_search(searches: Sequence[str]) -> dict[str, Any]:
    """The values of --search by field: a tuple for a range, a list for values. Raises InputError for anything else."""
    from gatewise.training.fields import field_named
    from gatewise.training.recipes import Recipe

    space: dict[str, Any] = {}
    for search in searches:
        key, equals, text = search.partition("=")
        key = key.strip().replace("-", "_")
        low, is_range, high = text.partition("..")
        values = [low, high] if is_range else text.split(",")
        if not equals or len(values) < 2:
            raise InputError(f"--search {quote(search)}: write FIELD=LOW..HIGH, or FIELD=VALUE,VALUE")
        try:
            field = field_named(Recipe, key)
            parsed = [field.parsed(value.strip()) for value in values]
        except InputError as error:
            raise InputError(f"--search: {error}") from None
        if field.name in space:
            raise InputError(f"--search {field.name}: the field is searched twice")
        if is_range:
            space[field.name] = tuple(parsed)
        else:
            space[field.name] = parsed
    return space


def _print_trial(trial: Trial) -> None:
    with suppress(OSError):  # a search goes on after its terminal or the reader of its output is closed
        print(_line(trial), flush=True)


def _line(trial: Trial) -> str:
    outcome: str = trial.state
    if trial.loss is not None:
        outcome = f"loss {trial.loss:.4f}"
    return f"trial {trial.number:3}  {outcome:13}  {trial.seconds:6.1f} s  {' '.join(settings_of(trial.settings))}"
