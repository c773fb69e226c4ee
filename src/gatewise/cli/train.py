"""`gatewise train`: from data to a model folder."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from gatewise.cli.arguments import DataOption, JsonOption, LabelOption, ResumeOption, SourceArgument, TextOption
from gatewise.cli.inputs import read_source
from gatewise.cli.output import console, print_json, stop
from gatewise.errors import InputError, printable, quote


def train(
    source: SourceArgument,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="NAME",
            help="tutorial, fast, finetune, few-shot or best.  [fast; with --pretrained: finetune or few-shot]",
            show_default=False,
        ),
    ] = None,
    pretrained: Annotated[
        str | None,
        typer.Option(
            "--pretrained", metavar="DIR", help="Fine-tune this folder of gatewise pretrain.", show_default=False
        ),
    ] = None,
    unlabelled: Annotated[
        list[str] | None,
        typer.Option(
            "--unlabelled",
            metavar="TEXTS",
            help="Texts without labels to learn from as well: imdb, a folder, a table, a .txt file. May be repeated.",
            show_default=False,
        ),
    ] = None,
    data: DataOption = None,
    text: TextOption = "text",
    label: LabelOption = "label",
    out: Annotated[
        str | None,
        typer.Option(
            "-o", "--out", metavar="DIR", help="The model folder.  [models/SOURCE-RECIPE]", show_default=False
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Fixes the split, the start values, the order, the dropout.")] = 0,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Instead of the recipe's.", show_default=False)] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", help="Instead of the recipe's.", show_default=False)
    ] = None,
    units: Annotated[int | None, typer.Option("--units", help="Instead of the recipe's.", show_default=False)] = None,
    gate: Annotated[
        str | None,
        typer.Option("--gate", metavar="sigmoid|binary", help="binary: gates of exactly 0 or 1.", show_default=False),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            metavar="float32|bf16",
            help="bf16: faster, rounded products; AVX-512 BF16 only.",
            show_default=False,
        ),
    ] = None,
    ngram_order: Annotated[
        int | None,
        typer.Option(
            "--ngram-order", metavar="N", help="Texts: ensemble with a 1- to N-gram model; 0: none.", show_default=False
        ),
    ] = None,
    adversarial: Annotated[
        float | None,
        typer.Option(
            "--adversarial",
            metavar="EPSILON",
            help="Adversarial training: perturbation size relative to the input norm, e.g. 0.01. A step "
            "takes 2.5 times as long.",
            show_default=False,
        ),
    ] = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a classifier on texts or series, keep its best epoch, save it.

    \b
    gatewise train imdb --recipe tutorial                            the tutorial's model
    gatewise train imdb --data aclImdb_v1.tar.gz
    gatewise train imdb --pretrained DIR                             more accurate; see gatewise pretrain
    gatewise train imdb --pretrained DIR --unlabelled imdb --recipe best  the most accurate
    gatewise train reviews.csv --text review --label sentiment       two or more classes
    gatewise train imdb --ngram-order 0                              the network alone, without n-gram model
    gatewise train gestures.ts --epochs 30 -o models/gestures
    """
    from gatewise.cli.progress import ProgressPrinter
    from gatewise.data import read_texts
    from gatewise.kernels import for_precision
    from gatewise.model.pretrained import load_pretrained
    from gatewise.storage import check_target
    from gatewise.training import RECIPES, Interrupted, default_recipe
    from gatewise.training import recipe as named
    from gatewise.training import train as run

    if gate not in (None, "sigmoid", "binary"):
        raise InputError(f"--gate must be sigmoid or binary, not {quote(gate)}")
    for_precision(precision or "float32")  # type: ignore[arg-type]
    changes: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "units": units,
        "gate": gate,
        "precision": precision,
        "ngram_order": ngram_order,
        "adversarial": adversarial,
    }
    changes = {name: value for name, value in changes.items() if value is not None}
    # Whatever can be refused is refused before the data is read; how much there is of it then chooses the recipe.
    chosen = named(recipe or default_recipe(0, pretrained is not None), **changes)
    if unlabelled and not chosen.uses_unlabelled:
        others = ", ".join(name for name, one in RECIPES.items() if one.uses_unlabelled)
        raise InputError(f"--unlabelled: recipe {chosen.name} cannot learn from texts without labels; {others} can")
    start = None if pretrained is None else load_pretrained(pretrained)
    if out is not None:
        check_target(Path(out))
    splits = read_source(source, data, text, label)
    recipe = recipe or default_recipe(len(splits.train), pretrained is not None)
    target = Path(out) if out is not None else Path("models", f"{_stem(source)}-{recipe}")
    more = None
    if unlabelled:
        known = splits if source == "imdb" else None
        more = read_texts(unlabelled, data=data if "imdb" in unlabelled else None, text=text, known=known)
    progress = ProgressPrinter(console(stderr=as_json))
    options: dict[str, Any] = {
        "data": data,
        "text": None if text == "text" else text,
        "label": None if label == "label" else label,
    }
    options |= {"pretrained": pretrained, "unlabelled": unlabelled, "out": out, "seed": seed or None, **changes}
    try:
        model = run(
            splits.train,
            recipe=recipe,
            pretrained=start,
            unlabelled=more,
            seed=seed,
            out=target,
            resume=resume,
            callback=progress,
            command=_command(source, recipe, options),
            **changes,
        )
    except Interrupted as stopped:
        progress.close()
        stop(str(stopped), 130)
    finally:
        progress.close()
    if as_json:
        history = [json.loads(line) for line in model.history.splitlines()]
        metadata = model.metadata
        print_json(
            {
                "model": str(target),
                "recipe": recipe,
                "seed": seed,
                "kept_epoch": metadata.kept_epoch,
                "history": history,
            }
        )
        return
    folder, where = shlex.quote(printable(target, 500)), f" --data {shlex.quote(data)}" if data else ""
    example = "--tutorial-review" + where if source == "imdb" else '"A text of your own."'
    print(f"saved to {folder}\n\nnext:")
    if splits.train.kind == "series":
        print(f"  gatewise predict {folder} --file {shlex.quote(printable(source, 500))}")
        return
    if source == "imdb":
        print(f"  gatewise evaluate {folder} imdb{where}")
    print(f'  gatewise predict {folder} "A text of your own."')
    print(f"  gatewise explain {folder} {example}")


def _stem(source: str) -> str:
    """A name for the folder: the file's, without what a folder's name should not have."""
    stem = Path(source).name.split(".")[0]
    return "".join(ch if ch.isalnum() or ch in "-_" else "-" for ch in stem) or "data"


def _command(source: str, recipe: str, options: dict[str, Any]) -> str:
    """The command that makes this model again, for its card: every option that is not as it would be anyway."""
    words = ["gatewise", "train", source, "--recipe", recipe]
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                words += [f"--{name.replace('_', '-')}", str(one)]
    return shlex.join(words)
