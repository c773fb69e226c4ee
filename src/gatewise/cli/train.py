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

_RECIPE = (
    "Training recipe: tutorial, fast, lstm (the LSTM alone), many-classes, series, tagging, finetune, frozen, few-shot "
    "or best. Default: fast for texts (many classes of few rows: many-classes), series for time series, tagging for "
    "--task tagging, finetune with --pretrained (few rows: frozen, with --unlabelled or changed fields few-shot)."
)
_PRETRAINED = "Model to fine-tune: of gatewise pretrain, any classifier, or 'bundled', the bundled sentiment model."
_UNLABELLED = "Unlabelled texts for semi-supervised training: imdb, a folder, a table or a .txt file. May be repeated."
_RULES = (
    "Rules that label some of the unlabelled texts: a table with the columns pattern, a regular expression, and label."
)
_SET = (
    "Any field of the recipe, for example lstm.units=128 or epochs=8; gatewise info --recipe NAME lists them. May be "
    "repeated."
)
_CONFIG = "TOML file with options of this command by name, and with fields of the recipe."
_EXAMPLES = "Store N validation rows in the model folder, as examples for the page; whoever has it can read them."
_CLASS_WEIGHT = "Weight of the rows of a class in the loss; balanced: equal weight of all classes. May be repeated."
_THRESHOLD = (
    "Probability from which the second class, or a label, is predicted; f1: the one with the best F1 on the validation "
    "set. Default: 0.5; f1 for several labels per row and for --class-weight balanced; with --class-weight CLASS=W the "
    "threshold that follows from the weights."
)
_VALIDATION = (
    "Labelled data for the validation set, in the form of the training data. The training data are then used whole."
)
_DATA, _MODEL, _RUN = "Data", "Model and training", "Run"
_OWN = '"A text of your own."'


def options_of_config(ctx: click.Context, parameter: click.Parameter, path: str | None) -> dict[str, Any]:
    """The value of --config: the fields of the recipe that the file sets. Its options become the command's defaults."""
    if path is None:
        return {}
    from gatewise.training.recipes import read_config

    named = {name.lstrip("-"): one for one in ctx.command.params for name in (one.name or "", *one.opts)}
    del named["config"], named["epochs"]  # --epochs is a field, and --set replaces it too
    options, changes = read_config(path, named)
    ctx.default_map = {
        named[name].name: [value] if named[name].multiple and not isinstance(value, list) else value
        for name, value in options.items()
    }
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
def train(given: Any) -> None:
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

    table = table_of(given)
    source: str = given.sources[0]
    if current().size > 1 and "-" in given.sources:
        raise InputError("-: stdin cannot be read by several processes: give a file")
    # An error in an option stops the command before it reads the data.
    changes = changed_fields(given, table)
    plan = TrainingPlan(
        recipe=given.recipe,
        changes=changes,
        pretrained=opened_pretrained(given.pretrained),
        class_weight=parsed_class_weight(given.class_weight),
        threshold=parsed_threshold(given.threshold),
        seed=given.seed,
        out=given.out,
        resume=given.resume,
        overwrite=given.overwrite,
        examples=given.keep_examples,
    )
    plan.check(
        "series" if table.series or is_series(source) else None,  # a file may hold series for all that its name says
        table.task,
        unlabelled=bool(given.unlabelled),
        rules=given.rules is not None,
        validation=given.validation is not None,
    )
    rules = None if given.rules is None else read_rules(given.rules)
    if current().rank and table.skip_bad_rows:  # the first process lists them
        table = replace(table, skip_bad_rows=os.devnull)
    splits = read_source(given.sources, given.data, table, given.validation)
    if splits.test is not None and source != "imdb":  # of IMDB, docs/accuracy.md says how many
        warn_about_overlap(splits.train, splits.test, "test")
    held_out = _validation_set(given.validation, table, source)
    unlabelled = None
    if given.unlabelled:
        archive = given.data if "imdb" in given.unlabelled else None
        known = splits if source == "imdb" else None
        unlabelled = read_texts(given.unlabelled, data=archive, text=table.texts, known=known)
    training = plan.bind(
        splits.train,
        unlabelled=unlabelled,
        rules=rules,
        validation=held_out,
        has_groups=bool(table.group),
        default_out=lambda recipe: Path("models", f"{_stem(source)}-{recipe.name}"),
    )
    target = training.out
    names = ("pretrained", "unlabelled", "rules", "out", "seed", "class_weight", "threshold", "validation")
    typed = options.command_line(
        *("train", *given.sources, "--recipe", training.recipe.name),
        data=given.data,
        **vars(table),
        **{name: getattr(given, name) or None for name in (*names, "keep_examples")},
        set=settings_of(changes),
    )
    with closing(callback_of(ProgressPrinter(console(stderr=given.as_json)), verbose=0)) as callback:
        model = training.run(callback, typed)
    if current().rank:
        return
    if given.as_json:
        print_json({"model": str(target), "recipe": training.recipe.name, "seed": given.seed, **saved_json(model)})
        return
    shown, data = shlex.quote(printable(target, 500)), f" --data {shlex.quote(given.data)}" if given.data else ""
    print("\n".join([*saved_lines(model, shown), "", "next:"]))
    if not model.preprocessor.format.in_a_cell:
        print(f"  gatewise predict -m {shown} -i {shlex.quote(printable(source, 500))}")
        return
    of_imdb = source == "imdb"
    print(f"  gatewise evaluate -m {shown} {'imdb' + data if of_imdb else 'TEST'}")
    print(f"  gatewise predict -m {shown} {_OWN if of_imdb else '-i new.csv -o predicted.csv'}")
    print(f"  gatewise explain -m {shown} {'--tutorial-review' + data if of_imdb else _OWN}")


def opened_pretrained(name: str | None) -> Pretrained | None:
    """The model of --pretrained."""
    if name is None:
        return None
    from gatewise.training.pretrained import Pretrained

    return Pretrained.of(name)


def _validation_set(file: str | None, table: TableOptions, source: str) -> Labelled | None:
    """The rows of --validation, as the training data `source` are read; bad rows have a list of their own."""
    if file is None:
        return None
    bad = table.skip_bad_rows
    if bad not in (None, os.devnull):
        bad = str(Path(bad).with_stem(f"{Path(bad).stem}-validation"))
    return read_source([file], None, replace(table, skip_bad_rows=bad), source).train


def saved_json(model: Model) -> dict[str, Any]:
    """The model that was saved: scores on the validation set, weights of the members, calibration, thresholds."""
    about = model.metadata
    return {
        "best_epoch": about.best_epoch,
        "validation": asdict(about.evaluations[-1]) if about.evaluations else None,
        "members": model.ensemble.weights_json(),
        "calibration": None if about.calibration is None else asdict(about.calibration),
        "thresholds": list(model.target.thresholds),
        "history": model.history,
    }


def saved_lines(model: Model, where: str) -> list[str]:
    """The same in words."""
    about = model.metadata
    lines = [f"weights: {model.ensemble}"]
    if about.calibration is not None and about.calibrated:
        lines.append(f"calibrated: {calibration_line(about.calibration)}")
    elif about.uncalibrated_reason:
        lines.append(f"not calibrated: {about.uncalibrated_reason}")
    if model.target.thresholds:
        lines.append(f"thresholds: {', '.join(f'{value:.4g}' for value in model.target.thresholds)}")
    figures = f": {about.evaluations[-1].figures} on the validation set" if about.evaluations else ""
    return [*lines, f"saved to {where}{figures}"]


def parsed_class_weight(given: Sequence[str]) -> str | dict[str, float] | None:
    """The value of --class-weight: "balanced", or a weight per class. Raises InputError for anything else."""
    if not given or list(given) == ["balanced"]:
        return "balanced" if given else None
    weights: dict[str, float] = {}
    for one in given:
        name, equals, value = one.rpartition("=")
        try:
            if not equals or not name or name in weights:
                raise ValueError
            weights[name] = float(value)
        except ValueError:
            raise InputError(f"--class-weight {quote(one)}: write balanced, or CLASS=WEIGHT once per class") from None
        if not 0 < weights[name] < math.inf:
            raise InputError(f"--class-weight {quote(one)}: the weight must be finite and above 0")
    return weights


def parsed_threshold(given: str | None) -> float | str | None:
    """The value of --threshold. Raises InputError for anything but f1 and a number from 0 to 1."""
    if given is None or given == "f1":
        return given
    try:
        threshold = float(given)
    except ValueError:
        threshold = math.nan
    if not 0 <= threshold <= 1:
        raise InputError(f"--threshold must be f1 or a probability from 0 to 1, not {quote(given)}")
    return threshold


def changed_fields(given: Any, table: TableOptions) -> dict[str, Any]:
    """The changed fields of the recipe, by `group.field`: --set replaces a value of the configuration file. Times of
    rows, where neither says how, cut the validation set.

    Raises InputError for a field that is set twice on the command line, and for one that a recipe does not have.
    """
    from gatewise.training.fields import field_named
    from gatewise.training.recipes import Recipe

    epochs, changes = getattr(given, "epochs", None), dict[str, Any]()
    settings = [("--set", setting) for setting in given.set_fields]
    if epochs is not None:
        settings.append(("--epochs", f"epochs={epochs}"))
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
    by_time = {"validation.split": "time"} if table.time is not None and not table.series else {}
    return {**by_time, **given.config, **changes}


def settings_of(changes: Mapping[str, Any]) -> list[str]:
    """Fields as values of --set, which read as the same values."""
    return [f"{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in changes.items()]


def _stem(source: str) -> str:
    """A folder name from the file name, with other characters replaced by -."""
    stem = "stdin" if source == "-" else Path(source).name.split(".")[0]
    return "".join(ch if ch.isalnum() or ch in "-_" else "-" for ch in stem) or "data"
