"""`gatewise pretrain`: from unlabelled texts to a language model that classifiers start from."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from gatewise.cli.arguments import DataOption, JsonOption, ResumeOption, TextOption, command_line, option
from gatewise.cli.output import console, print_json, stop
from gatewise.errors import printable


def pretrain(
    texts: Annotated[
        list[str],
        typer.Argument(
            metavar="TEXTS...",
            help="imdb (train half and 50,000 unlabelled reviews); a folder of .txt files; a table; a .txt file.",
            show_default=False,
        ),
    ],
    out: Annotated[str, typer.Option("-o", "--out", metavar="DIR", help="Output folder.")] = "pretrained",
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            metavar="N",
            min=0.01,
            help="Training time in minutes; also sets the default --size.  [default: 10]",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        str | None,
        option("--size", "embeddings|small|medium|large", "Size of the network.  [default: by --minutes]"),
    ] = None,
    epochs: Annotated[
        float | None,
        typer.Option(
            "--epochs", metavar="N", min=0.001, help="Number of epochs, instead of --minutes.", show_default=False
        ),
    ] = None,
    data: DataOption = None,
    text: TextOption = "text",
    seed: Annotated[int, typer.Option("--seed", help="Random seed of weights, order, sampling, dropout.")] = 0,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a language model on unlabelled texts: `gatewise train --pretrained` fine-tunes it.

    \b
    gatewise pretrain imdb --data aclImdb_v1.tar.gz -o pretrained
    gatewise pretrain letters/ mails.csv --text body --minutes 30 -o pretrained
    gatewise train reviews.csv --pretrained pretrained
    """
    from gatewise.cli.progress import ProgressPrinter
    from gatewise.data import read_texts
    from gatewise.storage import check_target
    from gatewise.training import Interrupted, pretrain_recipe
    from gatewise.training import pretrain as run

    recipe = (
        pretrain_recipe(size, minutes) if epochs is None else pretrain_recipe(size or "medium", minutes, epochs=epochs)
    )
    check_target(Path(out))
    corpus = read_texts(texts, data=data, text=text)
    command = command_line(
        *("pretrain", *texts),
        data=data,
        text=None if text == "text" else text,
        out=out,
        minutes=minutes,
        size=size,
        epochs=epochs,
        seed=seed or None,
    )
    progress = ProgressPrinter(console(stderr=as_json))
    try:
        pretrained = run(corpus, recipe=recipe, seed=seed, out=out, resume=resume, callback=progress, command=command)
    except Interrupted as stopped:
        progress.close()
        stop(str(stopped), 130)
    finally:
        progress.close()
    if as_json:
        metadata = pretrained.metadata
        print_json(
            {"pretrained": out, "size": metadata.size, "epochs": metadata.epochs, "perplexity": metadata.perplexity}
        )
        return
    folder = shlex.quote(printable(out, 500))
    print(f"saved to {folder}\n\nnext:\n  gatewise train {'imdb' if 'imdb' in texts else 'DATA'} --pretrained {folder}")
