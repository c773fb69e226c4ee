"""`gatewise pretrain`: from unlabelled texts to a language model that classifiers start from."""

from __future__ import annotations

import shlex

import click

from gatewise.cli.inputs import TableOptions, columns
from gatewise.cli.options import (
    command,
    command_line,
    data_option,
    json_option,
    option,
    overwrite_option,
    resume_option,
)
from gatewise.cli.output import console, print_json
from gatewise.cli.processes import in_processes, ray_option
from gatewise.errors import printable

_TEXTS = "imdb (train half and 50,000 unlabelled reviews); a folder of .txt files; a table; a .txt file."
_MINUTES = "Training time in minutes; also sets the default --size. Default: 10."


@command()
@click.argument("texts", metavar="TEXTS...", nargs=-1, required=True, help=_TEXTS)
@option("-o", "--out", metavar="DIR", default="pretrained", help="Output folder.")
@option("--minutes", metavar="N", type=click.FloatRange(0.01), help=_MINUTES)
@option("--size", metavar="embeddings|small|medium|large", help="Size of the network. Default: by --minutes.")
@option("--epochs", metavar="N", type=click.FloatRange(0.001), help="Number of epochs, instead of --minutes.")
@data_option
@option("--seed", default=0, help="Random seed of weights, order, sampling, dropout.")
@resume_option
@overwrite_option
@ray_option
@json_option
@in_processes
@columns("text")
def pretrain(
    texts: tuple[str, ...],
    out: str,
    minutes: float | None,
    size: str | None,
    epochs: float | None,
    data: str | None,
    table: TableOptions,
    seed: int,
    resume: bool,
    overwrite: bool,
    as_json: bool,
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
