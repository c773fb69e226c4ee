"""`gatewise tune`: search for the settings of a recipe with the lowest validation loss."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from gatewise.cli.inputs import TableOptions, columns, read_source
from gatewise.cli.options import (
    command,
    command_line,
    data_option,
    json_option,
    option,
    overwrite_option,
    sources_argument,
)
from gatewise.cli.output import print_json
from gatewise.cli.train import changed_fields, settings_of, training_options
from gatewise.errors import InputError, counted, quote

if TYPE_CHECKING:
    from gatewise.training.tune import Trial

_SEARCH = (
    "Values to try: a range as learning_rate=0.001..0.01, or a list as lstm.units=32,64,128. May be repeated. Default: "
    "learning rate, dropout, epochs, units and others, around the recipe's values."
)
_STORAGE = (
    "File that records the trials. The same command continues from it; several processes may run it at the same time."
)
_SHOWN = 5  # trials of the table at the end


@command()
@sources_argument
@option("-o", "--out", metavar="DIR", help="Train the best settings again, into this model folder.")
@option("--trials", metavar="N", type=click.IntRange(1), default=30, help="Trials in all.")
@option("--minutes", metavar="M", type=float, help="Stop after this time, the final training excluded.")
@option("--search", metavar="FIELD=VALUES", multiple=True, help=_SEARCH)
@option("--storage", metavar="FILE", help=_STORAGE)
@training_options
@data_option
@option("--seed", default=0, help="Random seed of the search and of each training.")
@overwrite_option
@json_option
@columns()
def tune(
    sources: tuple[str, ...],
    trials: int,
    minutes: float | None,
    search: tuple[str, ...],
    storage: str | None,
    recipe: str | None,
    pretrained: str | None,
    data: str | None,
    table: TableOptions,
    out: str | None,
    seed: int,
    config: dict[str, Any],
    set_fields: tuple[str, ...],
    overwrite: bool,
    as_json: bool,
) -> None:
    """Train with different settings of a recipe, and report those with the lowest validation loss. Needs Optuna.

    All trials are compared on one validation set, so the best loss is lower than on new data: evaluate the model on
    test data.

    \b
    gatewise tune reviews.csv --trials 30 --minutes 20 -o models/tuned
    gatewise tune reviews.csv --search learning_rate=0.001..0.01 --search units=32,64,128
    gatewise tune reviews.csv --storage trials.jsonl        continues; also from a second terminal
    """
    from gatewise.training import default_recipe
    from gatewise.training import recipe as named
    from gatewise.training.pretrained import Pretrained
    from gatewise.training.recipes import check_settings
    from gatewise.training.tune import tune as run

    changes = changed_fields(config, set_fields, table)
    space = parsed_search(search)
    splits = read_source(sources, data, table)
    kind, start = splits.train.kind, None if pretrained is None else Pretrained.of(pretrained)
    base = named(recipe or default_recipe(len(splits.train), start is not None, kind), **changes)
    check_settings(base, kind, splits.train.task, pretrained=start, groups=bool(table.group))
    shown_options = {**vars(table), "columns": None, "data": data, "pretrained": pretrained, "seed": seed or None}
    result = run(
        splits.train,
        search=space or None,
        trials=trials,
        minutes=minutes,
        storage=storage,
        recipe=recipe,
        pretrained=start,
        seed=seed,
        out=out,
        overwrite=overwrite,
        on_trial=None if as_json else _print_trial,
        command=command_line(
            "tune", *sources, trials=trials, search=search, recipe=recipe, set=settings_of(changes), **shown_options
        ),
        **changes,
    )
    every = settings_of({**changes, **result.settings})
    again = command_line("train", *sources, recipe=result.recipe.name, **shown_options, set=every, out="DIR")
    if as_json:
        rows = [vars(trial) for trial in result.trials]
        print_json({"recipe": result.recipe.name, "settings": result.settings, "loss": result.loss, "trials": rows})
        return
    complete = sorted((one for one in result.trials if one.loss is not None), key=lambda one: one.loss or 0.0)
    print(f"\n{counted(len(result.trials), 'trial')}, {len(complete)} complete; the best:")
    for trial in complete[:_SHOWN]:
        print(f"  {_line(trial)}")
    if result.model is not None:
        print(f"saved to {quote(out, 200)}: {result.model.metadata.evaluations[-1].figures} on the validation set")
    print(f"\nnext:\n  {f'gatewise evaluate -m {out} TEST' if out else again}")


def parsed_search(given: Sequence[str]) -> dict[str, Any]:
    """The values of --search by field. Raises InputError for anything but a range and a list."""
    from gatewise.training.fields import field_named
    from gatewise.training.recipes import Recipe

    space: dict[str, Any] = {}
    for one in given:
        key, equals, values = one.partition("=")
        key = key.strip().replace("-", "_")
        low, dots, high = values.partition("..")
        parts = [low, high] if dots else values.split(",")
        if not equals or len(parts) < 2:
            raise InputError(f"--search {quote(one)}: write FIELD=LOW..HIGH, or FIELD=VALUE,VALUE")
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
