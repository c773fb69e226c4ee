"""`gatewise pretrain`: from unlabelled texts to a language model that classifiers start from."""

import shlex
from typing import Any

import click

from gatewise.cli import options
from gatewise.cli.options import columns, command, option
from gatewise.cli.output import console, print_json
from gatewise.cli.processes import in_processes
from gatewise.cli.sources import table_of
from gatewise.errors import printable

_TEXTS = "imdb (train half and 50,000 unlabelled reviews); a folder of .txt files; a table; a .txt file."
_MINUTES = "Training time in minutes; also sets the default --size. Default: 10."


@command()
@click.argument("texts", metavar="TEXTS...", nargs=-1, required=True, help=_TEXTS)
@option("-o", "--out", metavar="DIR", default="pretrained", help="Output folder.")
@option("--minutes", metavar="N", type=click.FloatRange(0.01), help=_MINUTES)
@option("--size", metavar="embeddings|small|medium|large", help="Size of the network. Default: by --minutes.")
@option("--epochs", metavar="N", type=click.FloatRange(0.001), help="Number of epochs, instead of --minutes.")
@options.data_option
@option("--seed", default=0, help="Random seed of weights, order, sampling, dropout.")
@options.resume_option
@options.overwrite_option
@options.json_option
@in_processes
@columns("text")
def pretrain(given: Any) -> None:
    """Train a language model on unlabelled texts: `gatewise train --pretrained` fine-tunes it.

    \b
    gatewise pretrain imdb --data aclImdb_v1.tar.gz -o pretrained
    gatewise pretrain letters/ mails.csv --text body --minutes 30 -o pretrained
    gatewise train reviews.csv --pretrained pretrained
    """
    from gatewise.data.read import read_texts
    from gatewise.training import pretrain_recipe
    from gatewise.training.pretrain import pretrain as run
    from gatewise.training.processes import current
    from gatewise.training.progress import ProgressPrinter
    from gatewise.training.run import RunFolder

    size, epochs, out = given.size, given.epochs, given.out
    if epochs is None:
        recipe = pretrain_recipe(size, given.minutes)
    else:
        recipe = pretrain_recipe(size or "medium", given.minutes, epochs=epochs)
    RunFolder.of(out, given.resume, given.overwrite)  # before it reads the texts
    names = ("data", "text", "out", "minutes", "size", "epochs")
    typed = {name: getattr(given, name) for name in names} | {"seed": given.seed or None}
    pretrained = run(
        read_texts(given.texts, data=given.data, text=table_of(given).texts),
        recipe=recipe,
        seed=given.seed,
        out=out,
        resume=given.resume,
        overwrite=given.overwrite,
        callbacks=ProgressPrinter(console(stderr=given.as_json)),
        verbose=0,
        command=options.command_line("pretrain", *given.texts, **typed),
    )
    if current().rank:
        return
    about = pretrained.metadata
    if given.as_json:
        print_json({"pretrained": out, "size": about.size, "epochs": about.epochs, "perplexity": about.perplexity})
        return
    shown, source = shlex.quote(printable(out, 500)), "imdb" if "imdb" in given.texts else "DATA"
    print(f"saved to {shown}\n\nnext:\n  gatewise train {source} --pretrained {shown}")
