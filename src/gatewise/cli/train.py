"""`gatewise train`: train a classifier or a regressor and save it in a model folder."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from gatewise.cli.arguments import (
    PRECISION,
    DataOption,
    JsonOption,
    OverwriteOption,
    ResumeOption,
    SourceArgument,
    command_line,
    is_file_name,
    option,
)
from gatewise.cli.inputs import NO_OPTIONS, TableOptions, is_series, read_source, takes_columns
from gatewise.cli.output import console, print_json
from gatewise.cli.processes import RayWorkersOption, in_processes
from gatewise.errors import InputError, printable, quote

_RECIPE = (
    "Training recipe: tutorial, fast, series, finetune, few-shot or best. Default: fast for texts, series for time "
    "series, finetune with --pretrained (few-shot below 2,000 rows)."
)
_PRETRAINED = "Model to fine-tune: of gatewise pretrain, any classifier, or 'bundled', the bundled sentiment model."
_UNLABELLED = "Unlabelled texts for semi-supervised training: imdb, a folder, a table or a .txt file. May be repeated."
_GATE = "Gate activation; binary: exactly 0 or 1. Default: sigmoid."
_SET = "Any field of the recipe, for example lstm.units=128; gatewise info --recipe NAME lists them. May be repeated."
_DROPOUT = "Dropout probability of embeddings (texts) and of the dense layer's inputs. Default: the recipe's."
_NGRAM_ORDER = "For texts: ensemble the LSTM with a linear model of 1- to N-grams; 0: LSTM only. Default: the recipe's."
_ADVERSARIAL = (
    "Adversarial perturbation size, relative to the input norm, for example 0.01; an epoch takes 2.5 times as long. "
    "Default: the recipe's."
)
_EXAMPLES = "Store N validation rows in the model folder, as examples for the page; whoever has it can read them."

_CLASS_WEIGHT = "Weight of the rows of a class in the loss; balanced: equal weight of all classes. May be repeated."
_THRESHOLD = (
    "Probability from which the second class, or a label, is predicted; f1: the one with the best F1 on the validation "
    "set. Default: 0.5; f1 for several labels per row and for --class-weight balanced; with --class-weight CLASS=W the "
    "threshold that follows from the weights."
)
_SPLIT = (
    "Rows of the validation set: row: random rows; group: whole groups of rows; time: the last rows in time. Default: "
    "group; time with --time."
)
_VALIDATION = (
    "Labelled data for the validation set, in the form of the training data. The training data are then used whole."
)


@in_processes
@takes_columns()
def train(
    sources: SourceArgument,
    recipe: Annotated[str | None, option("--recipe", "NAME", _RECIPE)] = None,
    pretrained: Annotated[str | None, option("--pretrained", "DIR|bundled", _PRETRAINED)] = None,
    unlabelled: Annotated[list[str] | None, option("--unlabelled", "TEXTS", _UNLABELLED)] = None,
    data: DataOption = None,
    table: TableOptions = NO_OPTIONS,
    out: Annotated[
        str | None, option("--out", "DIR", "Output model folder. Default: models/SOURCE-RECIPE.", "-o")
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", help="Random seed of the split, initial weights, order and dropout.")
    ] = 0,
    config: Annotated[
        str | None, option("--config", "FILE", "TOML file with fields of the recipe, and its name as recipe = NAME.")
    ] = None,
    set_fields: Annotated[list[str] | None, option("--set", "FIELD=VALUE", _SET)] = None,
    epochs: Annotated[int | None, option("--epochs", "N", "Number of epochs. Default: the recipe's.")] = None,
    batch_size: Annotated[
        int | None, option("--batch-size", "N", "Sequences per batch. Default: the recipe's.")
    ] = None,
    learning_rate: Annotated[
        float | None, option("--learning-rate", "RATE", "Adam's learning rate. Default: the recipe's.")
    ] = None,
    units: Annotated[
        int | None, option("--units", "N", "Hidden units per LSTM direction. Default: the recipe's.")
    ] = None,
    layers: Annotated[int | None, option("--layers", "N", "Stacked LSTM layers. Default: the recipe's.")] = None,
    dropout: Annotated[float | None, option("--dropout", "P", _DROPOUT)] = None,
    gate: Annotated[str | None, option("--gate", "sigmoid|binary", _GATE)] = None,
    precision: Annotated[
        str | None, option("--precision", "float32|bf16", f"{PRECISION} Default: the recipe's.")
    ] = None,
    ngram_order: Annotated[int | None, option("--ngram-order", "N", _NGRAM_ORDER)] = None,
    adversarial: Annotated[float | None, option("--adversarial", "EPSILON", _ADVERSARIAL)] = None,
    class_weight: Annotated[list[str] | None, option("--class-weight", "balanced|CLASS=W", _CLASS_WEIGHT)] = None,
    threshold: Annotated[str | None, option("--threshold", "f1|P", _THRESHOLD)] = None,
    split: Annotated[str | None, option("--split", "row|group|time", _SPLIT)] = None,
    validation: Annotated[str | None, option("--validation", "FILE", _VALIDATION)] = None,
    keep_examples: Annotated[int, typer.Option("--keep-examples", metavar="N", min=0, max=20, help=_EXAMPLES)] = 0,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    ray: RayWorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a classifier or a regressor on texts or series; save the epoch with the lowest validation loss.

    \b
    gatewise train imdb --recipe tutorial                            the tutorial's model
    gatewise train imdb --data aclImdb_v1.tar.gz
    gatewise train imdb --pretrained DIR                             more accurate; see gatewise pretrain
    gatewise train reviews.csv --pretrained bundled                  start from the bundled sentiment model
    gatewise train imdb --pretrained DIR --unlabelled imdb --recipe best   the most accurate
    gatewise train reviews.csv --text review --label sentiment       two or more classes
    gatewise train imdb --ngram-order 0                              the LSTM without the n-gram model
    gatewise train reviews.csv --config fast.toml --set patience=2   any field of the recipe
    gatewise train spam.csv --class-weight balanced                  a rare class
    gatewise train gestures.ts --epochs 30 -o models/gestures
    torchrun --nproc-per-node 2 -m gatewise train reviews.csv        in two processes
    """
    from gatewise.data import read_texts
    from gatewise.kernels import for_precision
    from gatewise.training import RECIPES, default_recipe
    from gatewise.training import recipe as named
    from gatewise.training.data_checks import warn_about_overlap
    from gatewise.training.processes import current
    from gatewise.training.progress import ProgressPrinter
    from gatewise.training.recipes import check_settings, match_pretrained
    from gatewise.training.run import RunFolder, checked_seed
    from gatewise.training.train import train as run

    options: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "units": units,
        "layers": layers,
        "lstm.dropout_embedding": dropout,
        "lstm.dropout_output": dropout,
        "gate": gate,
        "precision": precision,
        "ngram_order": ngram_order,
        "adversarial": adversarial,
        "split": split,
    }
    options = {_OPTIONS.get(name, name): value for name, value in options.items() if value is not None}
    source = sources[0]
    if current().size > 1 and "-" in sources:
        raise InputError("-: stdin cannot be read by several processes: give a file")
    # An error in an option stops the command before it reads the data.
    checked_seed(seed, resume)
    weights, at = parsed_class_weight(class_weight or []), parsed_threshold(threshold)
    recipe, changes = changed_fields(recipe, config, set_fields or [], options)
    if table.time is not None and not table.series:
        changes.setdefault("validation.split", "time")
    for_precision(precision or "float32")  # type: ignore[arg-type]
    of_series = table.series or is_series(source)
    if of_series and dropout is not None:
        del changes["lstm.dropout_embedding"]  # series have none
    kind: Literal["text", "series"] = "series" if of_series else "text"
    chosen = named(recipe or default_recipe(0, pretrained is not None, kind), **changes)
    if unlabelled and not chosen.uses_unlabelled:
        others = ", ".join(name for name, one in RECIPES.items() if one.uses_unlabelled)
        raise InputError(f"--unlabelled: recipe {chosen.name} does not use unlabelled texts; {others} do")
    start = None
    if pretrained is not None:
        from gatewise.training.pretrained import Pretrained

        start = Pretrained.of(pretrained)
    check_settings(
        chosen,
        "series" if of_series else None,  # a file may hold series for all that its name says
        pretrained=start,
        unlabelled=bool(unlabelled),
        validation=validation is not None,
    )
    if start is not None:
        match_pretrained(chosen, start)
    if out is not None:
        RunFolder.of(out, resume, overwrite)
    splits = read_source(sources, data, table.listing_in(table.skip_bad_rows, current().rank))
    if splits.test is not None and source != "imdb":  # of IMDB, docs/accuracy.md says how many
        warn_about_overlap(splits.train, splits.test, "test")
    held_out = None
    if validation is not None:  # with a list of bad rows of its own
        bad = table.skip_bad_rows
        bad_validation_rows = bad and str(Path(bad).with_stem(f"{Path(bad).stem}-validation"))
        held_out = read_source([validation], None, table.listing_in(bad_validation_rows, current().rank)).train
    if dropout is not None and splits.train.kind == "series":
        changes.pop("lstm.dropout_embedding", None)
    # The default depends on the kind of the data and on the number of rows.
    chosen = named(recipe or default_recipe(len(splits.train), pretrained is not None, splits.train.kind), **changes)
    given = {"unlabelled": bool(unlabelled), "validation": validation is not None, "groups": bool(table.group)}
    check_settings(chosen, splits.train.kind, splits.train.task, pretrained=start, **given)
    target = Path(out) if out is not None else Path("models", f"{_stem(source)}-{chosen.name}")
    RunFolder.of(target, resume, overwrite)
    more = None
    if unlabelled:
        known = splits if source == "imdb" else None
        more = read_texts(unlabelled, data=data if "imdb" in unlabelled else None, text=table.texts, known=known)
    command = command_line(
        *("train", *sources, "--recipe", chosen.name),
        data=data,
        **vars(table) | {"columns": None},
        pretrained=pretrained,
        unlabelled=unlabelled,
        out=out,
        seed=seed or None,
        class_weight=class_weight,
        threshold=threshold,
        validation=validation,
        keep_examples=keep_examples or None,
        **_as_options(changes),
    )
    model = run(
        splits.train,
        recipe=chosen,
        pretrained=start,
        unlabelled=more,
        class_weight=weights,
        threshold=at,
        validation=held_out,
        seed=seed,
        out=target,
        resume=resume,
        overwrite=overwrite,
        callbacks=ProgressPrinter(console(stderr=as_json)),
        verbose=0,
        command=command,
        examples=keep_examples,
    )
    if current().rank:
        return
    if as_json:
        history = [json.loads(line) for line in model.history.splitlines()]
        result = {"model": str(target), "recipe": chosen.name, "seed": seed, "best_epoch": model.metadata.best_epoch}
        print_json({**result, "members": model.ensemble.weights_json(), "history": history})
        return
    shown, data_option = shlex.quote(printable(target, 500)), f" --data {shlex.quote(data)}" if data else ""
    example = "--tutorial-review" + data_option if source == "imdb" else '"A text of your own."'
    print(f"weights: {model.ensemble}\nsaved to {shown}\n\nnext:")
    if splits.train.kind == "series":
        print(f"  gatewise predict {shown} --file {shlex.quote(printable(source, 500))}")
        return
    if source == "imdb":
        print(f"  gatewise evaluate {shown} imdb{data_option}")
    if is_file_name(source):
        print(f"  gatewise predict {shown} new.csv -o predicted.csv")
    print(f'  gatewise predict {shown} "A text of your own."')
    print(f"  gatewise explain {shown} {example}")


# Options that set a field; the command on the card has the other fields as --set.
_OPTIONS = {
    "epochs": "optimisation.epochs",
    "batch_size": "optimisation.batch_size",
    "learning_rate": "optimisation.learning_rate",
    "units": "lstm.units",
    "layers": "lstm.layers",
    "gate": "lstm.gate",
    "precision": "optimisation.precision",
    "ngram_order": "ngrams.order",
    "adversarial": "optimisation.adversarial",
    "split": "validation.split",
}


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


def changed_fields(
    recipe: str | None, config: str | None, set_fields: Sequence[str], options: Mapping[str, Any]
) -> tuple[str | None, dict[str, Any]]:
    """The recipe's name (None: the default) and its changed fields, by `group.field`, as options are. An option or
    --set replaces a value of the configuration file, and --recipe its recipe.

    Raises InputError for a field that is set twice on the command line, and for one that a recipe does not have.
    """
    from gatewise.training.fields import field_named
    from gatewise.training.recipes import Recipe, read_config

    name, changes = (None, {}) if config is None else read_config(config)
    given = dict(options)
    for one in set_fields:
        key, equals, value = one.partition("=")
        key = key.strip().replace("-", "_")
        if not equals:
            raise InputError(f"--set {quote(one)}: write --set FIELD=VALUE")
        try:
            field = field_named(Recipe, key)
            parsed = field.parsed(value.strip())
        except InputError as error:
            raise InputError(f"--set: {error}") from None
        if field.name in given:
            raise InputError(f"--set {field.name}: the field is set twice on the command line")
        given[field.name] = parsed
    return recipe or name, changes | given


def _as_options(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changed fields as options of `gatewise train`."""
    own = {option_name: changes[name] for option_name, name in _OPTIONS.items() if name in changes}
    others = settings_of({name: value for name, value in changes.items() if name not in _OPTIONS.values()})
    return own | ({"set": others} if others else {})


def settings_of(changes: Mapping[str, Any]) -> list[str]:
    """Fields as values of --set, which read as the same values."""
    return [f"{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in changes.items()]


def _stem(source: str) -> str:
    """A folder name from the file name, with other characters replaced by -."""
    stem = "stdin" if source == "-" else Path(source).name.split(".")[0]
    return "".join(ch if ch.isalnum() or ch in "-_" else "-" for ch in stem) or "data"
