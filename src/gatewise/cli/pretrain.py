"""`gatewise pretrain`: from unlabelled texts to a language model that classifiers start from."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from gatewise.cli.arguments import (
    DataOption,
    JsonOption,
    OverwriteOption,
    ResumeOption,
    argument,
    command_line,
    option,
)
from gatewise.cli.inputs import NO_OPTIONS, TableOptions, takes_columns
from gatewise.cli.output import console, print_json
from gatewise.cli.processes import RayWorkersOption, in_processes
from gatewise.errors import printable


@in_processes
@takes_columns("text")
def pretrain(
    texts: Annotated[
        list[str],
        argument(
            "TEXTS...", "imdb (train half and 50,000 unlabelled reviews); a folder of .txt files; a table; a .txt file."
        ),
    ],
    out: Annotated[str, typer.Option("-o", "--out", metavar="DIR", help="Output folder.")] = "pretrained",
    minutes: Annotated[
        float | None,
        option("--minutes", "N", "Training time in minutes; also sets the default --size. Default: 10.", min=0.01),
    ] = None,
    size: Annotated[
        str | None,
        option("--size", "embeddings|small|medium|large", "Size of the network. Default: by --minutes."),
    ] = None,
    epochs: Annotated[
        float | None, option("--epochs", "N", "Number of epochs, instead of --minutes.", min=0.001)
    ] = None,
    data: DataOption = None,
    table: TableOptions = NO_OPTIONS,
    seed: Annotated[int, typer.Option("--seed", help="Random seed of weights, order, sampling, dropout.")] = 0,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    ray: RayWorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a language model on unlabelled texts: `gatewise train --pretrained` fine-tunes it.

    \b
    gatewise pretrain imdb --data aclImdb_v1.tar.gz -o pretrained
    gatewise pretrain letters/ mails.csv --text body --minutes 30 -o pretrained
    gatewise train reviews.csv --pretrained pretrained
    """
    from gatewise.data import read_texts
    from gatewise.training import pretrain_recipe
    from gatewise.training.pretrain import pretrain as run
    from gatewise.training.processes import current
    from gatewise.training.progress import ProgressPrinter
    from gatewise.training.run import RunFolder

    recipe = (
        pretrain_recipe(size, minutes) if epochs is None else pretrain_recipe(size or "medium", minutes, epochs=epochs)
    )
    # An error in an option stops the command before it reads the texts.
    RunFolder.of(out, resume, overwrite)
    corpus = read_texts(texts, data=data, text=table.texts)
    command = command_line(
        *("pretrain", *texts),
        data=data,
        text=table.text,
        out=out,
        minutes=minutes,
        size=size,
        epochs=epochs,
        seed=seed or None,
    )
    progress = ProgressPrinter(console(stderr=as_json))
    pretrained = run(
        corpus,
        recipe=recipe,
        seed=seed,
        out=out,
        resume=resume,
        overwrite=overwrite,
        callbacks=progress,
        verbose=0,
        command=command,
    )
    if current().rank:
        return
    if as_json:
        metadata = pretrained.metadata
        print_json(
            {"pretrained": out, "size": metadata.size, "epochs": metadata.epochs, "perplexity": metadata.perplexity}
        )
        return
    shown = shlex.quote(printable(out, 500))
    print(f"saved to {shown}\n\nnext:\n  gatewise train {'imdb' if 'imdb' in texts else 'DATA'} --pretrained {shown}")
