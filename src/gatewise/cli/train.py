"""`gatewise train`: train a classifier or a regressor and save it in a model folder."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gatewise.cli import options
from gatewise.cli.options import columns, command, option
from gatewise.cli.output import calibration_line, console, print_json
from gatewise.cli.processes import in_processes
from gatewise.cli.sources import TableOptions, is_series, read_source, table_of
from gatewise.errors import InputError, printable, quote

if TYPE_CHECKING:
    from gatewise.data.labelled import Labelled
    from gatewise.model.model import Model
    from gatewise.training.pretrained import Pretrained
    from gatewise.types import KindName

_RECIPE = (
    "Training recipe: tutorial, fast, lstm (the LSTM alone), many-classes, series, tagging, finetune, frozen, few-shot "
    "or best. Default: fast for texts (many classes of few rows: many-classes), series for time series, tagging for "
    "--task tagging, finetune with --pretrained (few rows: frozen, with --unlabelled or changed fields few-shot)."
)
_PRETRAINED = (
    "Model to fine-tune: the folder of a pretrained model or of any classifier, or 'bundled', the bundled sentiment "
    "model."
)
_UNLABELLED = "Unlabelled texts for semi-supervised training: imdb, a folder, a table or a .txt file. May be repeated."
_RULES = (
    "Rules that label some of the unlabelled texts: a table with the columns pattern, a regular expression, and label."
)
_SET = (
    "Any field of the recipe, for example lstm.units=128 or epochs=8; gatewise info --recipe NAME lists them. May be "
    "repeated."
)
_CONFIG = "TOML file with options of this command by name, and with fields of the recipe."
_EXAMPLES = (
    "Store N validation rows in the model folder, as examples for the page. Everyone with the folder can read them."
)
_CLASS_WEIGHT = "Weight of the rows of a class in the loss; balanced: equal weight of all classes. May be repeated."
_THRESHOLD = (
    "Probability from which the second class, or a label, is predicted; f1: the one with the best F1 on the validation "
    "set. Default: 0.5; f1 for several labels per row and for --class-weight balanced; with --class-weight CLASS=W the "
    "threshold that follows from the weights."
)
_VALIDATION = (
    "Labelled data for the validation set, in the form of the training data. No validation set is split off then."
)
_DATA = "Data"
_MODEL = "Model and training"
_RUN = "Run"
_EXAMPLE_TEXT = '"A text of your own."'


def options_of_config(ctx: click.Context, parameter: click.Parameter, path: str | None) -> dict[str, Any]:
    """The value of --config: the fields of the recipe that the file sets. Its options become the command's defaults."""
    if path is None:
        return {}
    from gatewise.training.recipes import read_config

    parameters: dict[str, click.Parameter] = {}
    for declared in ctx.command.params:
        for name in (declared.name or "", *declared.opts):
            parameters[name.lstrip("-")] = declared
    del parameters["config"]
    del parameters["epochs"]  # in the file, epochs is a field of the recipe, which --set can replace
    options, changes = read_config(path, parameters)
    defaults: dict[str, Any] = {}
    for name, value in options.items():
        declared = parameters[name]
        if isinstance(declared, click.Option) and declared.multiple and not isinstance(value, list):
            value = [value]
        defaults[declared.name or ""] = value
    ctx.default_map = defaults
    return changes


def training_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options that `train` and `tune` share: of the model and its training."""
    for decorate in (
        option("--config", metavar="FILE", is_eager=True, callback=options_of_config, group=_MODEL, help=_CONFIG),
        option(
            "--set",
            "set_fields",
            metavar="FIELD=VALUE",
            multiple=True,
            shell_complete=options.complete_fields,
            help=_SET,
        ),
        option("--pretrained", metavar="DIR|bundled", help=_PRETRAINED),
        option("--recipe", metavar="NAME", shell_complete=options.complete_recipes, help=_RECIPE),
    ):
        function = decorate(function)
    return function


@command(first=("text", "label", "task", "out", "recipe", "pretrained", "epochs", "set_fields", "overwrite", "as_json"))
@in_processes
@options.sources_argument
@columns()
@option("-o", "--out", metavar="DIR", help="Output model folder. Default: models/SOURCE-RECIPE.")
@training_options
@option("--epochs", metavar="N", type=int, help="Number of epochs. Default: the recipe's.")
@options.overwrite_option
@options.json_option
@option("--unlabelled", metavar="TEXTS", multiple=True, group=_DATA, help=_UNLABELLED)
@option("--rules", metavar="FILE", group=_DATA, help=_RULES)
@option("--validation", metavar="FILE", group=_DATA, help=_VALIDATION)
@options.data_option
@option("--class-weight", metavar="balanced|CLASS=W", multiple=True, group=_MODEL, help=_CLASS_WEIGHT)
@option("--threshold", metavar="f1|P", group=_MODEL, help=_THRESHOLD)
@option("--seed", default=0, group=_RUN, help="Random seed of the split, initial weights, order and dropout.")
@option("--keep-examples", metavar="N", type=click.IntRange(0, 20), default=0, group=_RUN, help=_EXAMPLES)
@options.resume_option
def train(args: Any) -> None:
    """Train a classifier, a regressor or a tagger on texts or series; save the epoch with the lowest validation loss.

    \b
    gatewise train reviews.csv --text review --label sentiment       two or more classes
    gatewise train imdb --recipe tutorial                            the tutorial's model
    gatewise train imdb --pretrained DIR                             more accurate; see gatewise pretrain
    gatewise train imdb --pretrained DIR --unlabelled imdb --recipe best   the most accurate
    gatewise train reviews.csv --unlabelled more.txt --rules rules.csv     weak supervision by rules
    gatewise train reviews.csv --pretrained bundled                  start from the bundled sentiment model
    gatewise train reviews.csv --config fast.toml --set patience=2   any option, any field of the recipe
    gatewise train reviews.csv --recipe lstm                         the LSTM alone
    gatewise train spam.csv --class-weight balanced                  a rare class
    gatewise train gestures.ts --epochs 30 -o models/gestures
    gatewise train names.conll --task tagging                        a label for each word
    torchrun --nproc-per-node 2 -m gatewise train reviews.csv        in two processes
    """
    from gatewise.data import read_rules, read_texts
    from gatewise.training.data_checks import warn_about_overlap
    from gatewise.training.plan import TrainingPlan
    from gatewise.training.processes import current
    from gatewise.training.progress import ProgressPrinter, callback_of

    table = table_of(args)
    source: str = args.sources[0]
    if current().size > 1 and "-" in args.sources:
        raise InputError("-: stdin cannot be read by several processes: give a file")
    # An error in an option stops the command before it reads the data.
    changes = changed_fields(args, table)
    start = opened_pretrained(args.pretrained)
    table = read_for(start, table)
    plan = TrainingPlan(
        recipe=args.recipe,
        changes=changes,
        pretrained=start,
        class_weight=parsed_class_weight(args.class_weight),
        threshold=parsed_threshold(args.threshold),
        seed=args.seed,
        out=args.out,
        resume=args.resume,
        overwrite=args.overwrite,
        examples=args.keep_examples,
    )
    kind: KindName | None = None  # what the file holds may be known only when it is read
    if table.arrays is not None:
        kind = "arrays"
    elif table.series or is_series(source):
        kind = "series"
    plan.check(
        kind,
        table.task,
        unlabelled=bool(args.unlabelled),
        rules=args.rules is not None,
        validation=args.validation is not None,
    )
    rules = None
    if args.rules is not None:
        rules = read_rules(args.rules)
    if current().rank and table.skip_bad_rows:  # the first process writes the list
        table = replace(table, skip_bad_rows=os.devnull)
    splits = read_source(args.sources, args.data, table, args.validation)
    if splits.test is not None and source != "imdb":  # the overlap of IMDB is known: docs/accuracy.md
        warn_about_overlap(splits.train, splits.test, "test")
    validation = _validation_set(args.validation, table, source)
    unlabelled = None
    if args.unlabelled:
        archive = None
        if "imdb" in args.unlabelled:
            archive = args.data
        already_read = None
        if source == "imdb":
            already_read = splits
        unlabelled = read_texts(args.unlabelled, data=archive, text=table.texts, known=already_read)
    training = plan.bind(
        splits.train,
        unlabelled=unlabelled,
        rules=rules,
        validation=validation,
        has_groups=bool(table.group),
        default_out=lambda recipe: Path("models", f"{_stem(source)}-{recipe.name}"),
    )
    typed = options.command_line(
        "train",
        *args.sources,
        recipe=training.recipe.name,
        data=args.data,
        **table.typed,
        pretrained=args.pretrained,
        unlabelled=args.unlabelled,
        rules=args.rules,
        out=args.out,
        seed=args.seed or None,
        class_weight=args.class_weight,
        threshold=args.threshold,
        validation=args.validation,
        keep_examples=args.keep_examples or None,
        set=settings_of(changes),
    )
    with closing(callback_of(ProgressPrinter(console(stderr=args.as_json)), verbose=0)) as callback:
        model = training.run(callback, typed)
    if current().rank:
        return
    out = training.out
    if args.as_json:
        print_json({"model": str(out), "recipe": training.recipe.name, "seed": args.seed, **saved_json(model)})
        return
    folder = shlex.quote(printable(out, 500))
    print("\n".join([*saved_lines(model, folder), "", "next:"]))
    for line in _next_commands(model, folder, source, args.data):
        print(f"  {line}")


def _next_commands(model: Model, folder: str, source: str, data: str | None) -> list[str]:
    """The commands that a user may want next. folder: of the model, quoted for a shell. data: the value of --data."""
    if not model.preprocessor.format.in_a_cell:  # an input of series does not fit into the command line
        return [f"gatewise predict -m {folder} -i {shlex.quote(printable(source, 500))}"]
    if source == "imdb":
        with_data = f" --data {shlex.quote(data)}" if data else ""
        return [
            f"gatewise evaluate -m {folder} imdb{with_data}",
            f"gatewise predict -m {folder} {_EXAMPLE_TEXT}",
            f"gatewise explain -m {folder} --tutorial-review{with_data}",
        ]
    return [
        f"gatewise evaluate -m {folder} TEST",
        f"gatewise predict -m {folder} -i new.csv -o predicted.csv",
        f"gatewise explain -m {folder} {_EXAMPLE_TEXT}",
    ]


def opened_pretrained(name: str | None) -> Pretrained | None:
    """The model of --pretrained."""
    if name is None:
        return None
    from gatewise.training.pretrained import Pretrained

    return Pretrained.of(name)


def read_for(start: Pretrained | None, table: TableOptions) -> TableOptions:
    """The options with what reads rows of arrays for the model to start from, and its task where none is given."""
    if start is None:
        return table
    task = table.task
    if task is None and table.label_separator is None:
        task = start.default_task
    return replace(table, arrays=start.arrays, task=task)


def _validation_set(file: str | None, table: TableOptions, source: str) -> Labelled | None:
    """The rows of --validation, read with the options of the training data `source`. Its bad rows have a list of their
    own, next to that of the training data.
    """
    if file is None:
        return None
    bad_rows = table.skip_bad_rows
    if bad_rows is not None and bad_rows != os.devnull:
        path = Path(bad_rows)
        bad_rows = str(path.with_stem(f"{path.stem}-validation"))
    return read_source([file], None, replace(table, skip_bad_rows=bad_rows), source).train


def saved_json(model: Model) -> dict[str, Any]:
    """The saved model as JSON: scores on the validation set, weights of the members, calibration, thresholds."""
    metadata = model.metadata
    validation = None
    if metadata.evaluations:
        validation = asdict(metadata.evaluations[-1])
    calibration = None
    if metadata.calibration is not None:
        calibration = asdict(metadata.calibration)
    return {
        "best_epoch": metadata.best_epoch,
        "validation": validation,
        "members": model.ensemble.weights_json(),
        "calibration": calibration,
        "thresholds": list(model.target.thresholds),
        "history": model.history,
    }


def saved_lines(model: Model, folder: str) -> list[str]:
    """The saved model in lines of text."""
    metadata = model.metadata
    lines = [f"weights: {model.ensemble}"]
    if metadata.calibration is not None and metadata.calibrated:
        lines.append(f"calibrated: {calibration_line(metadata.calibration)}")
    elif metadata.uncalibrated_reason:
        lines.append(f"not calibrated: {metadata.uncalibrated_reason}")
    if model.target.thresholds:
        lines.append(f"thresholds: {', '.join(f'{value:.4g}' for value in model.target.thresholds)}")
    saved = f"saved to {folder}"
    if metadata.evaluations:
        saved += f": {metadata.evaluations[-1].figures} on the validation set"
    lines.append(saved)
    return lines


def parsed_class_weight(values: Sequence[str]) -> str | dict[str, float] | None:
    """The value of --class-weight: "balanced", a weight per class, or None. Raises InputError for anything else."""
    if not values:
        return None
    if list(values) == ["balanced"]:
        return "balanced"
    weights: dict[str, float] = {}
    for value in values:
        name, _, number = value.rpartition("=")
        if not name or name in weights:
            raise InputError(f"--class-weight {quote(value)}: write balanced, or CLASS=WEIGHT once per class")
        try:
            weights[name] = float(number)
        except ValueError:
            message = "write balanced, or CLASS=WEIGHT once per class"
            raise InputError(f"--class-weight {quote(value)}: {message}") from None
        if not 0 < weights[name] < math.inf:
            raise InputError(f"--class-weight {quote(value)}: the weight must be finite and above 0")
    return weights


def parsed_threshold(value: str | None) -> float | str | None:
    """The value of --threshold. Raises InputError for anything but f1 and a number from 0 to 1."""
    if value is None or value == "f1":
        return value
    try:
        threshold = float(value)
    except ValueError:
        threshold = math.nan
    if not 0 <= threshold <= 1:  # also where it is NaN
        raise InputError(f"--threshold must be f1 or a probability from 0 to 1, not {quote(value)}")
    return threshold


def changed_fields(args: Any, table: TableOptions) -> dict[str, Any]:
    """The changed fields of the recipe, by `group.field`. --set replaces a value of the configuration file. With --time
    and no other choice, the last rows are the validation set.

    Raises InputError for a field that is set twice on the command line, and for one that a recipe does not have.
    """
    from gatewise.training.fields import field_named
    from gatewise.training.recipes import Recipe

    settings = [("--set", setting) for setting in args.set_fields]
    epochs = getattr(args, "epochs", None)  # an option of train, not of tune
    if epochs is not None:
        settings.append(("--epochs", f"epochs={epochs}"))
    changes: dict[str, Any] = {}
    for typed_as, setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise InputError(f"--set {quote(setting)}: write --set FIELD=VALUE")
        try:
            field = field_named(Recipe, key)
            parsed = field.parsed(value.strip())
        except InputError as error:
            raise InputError(f"{typed_as}: {error}") from None
        if field.name in changes:
            raise InputError(f"--set {field.name}: the field is set twice on the command line")
        changes[field.name] = parsed
    defaults = {}
    if table.time is not None and not table.series:  # with --series, the times order the steps of a series
        defaults["validation.split"] = "time"
    return {**defaults, **args.config, **changes}


def settings_of(changes: Mapping[str, Any]) -> list[str]:
    """Changed fields as values of --set."""
    settings = []
    for name, value in changes.items():
        if isinstance(value, bool):
            value = str(value).lower()
        settings.append(f"{name}={value}")
    return settings


def _stem(source: str) -> str:
    """A folder name from the file name, with other characters replaced by -."""
    if source == "-":
        return "stdin"
    stem = Path(source).name.split(".")[0]
    return "".join(ch if ch.isalnum() or ch in "-_" else "-" for ch in stem) or "data"
