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
def pretrain(args: Any) -> None:
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

    if args.epochs is None:
        recipe = pretrain_recipe(args.size, args.minutes)
    else:
        recipe = pretrain_recipe(args.size or "medium", args.minutes, epochs=args.epochs)
    RunFolder.of(args.out, args.resume, args.overwrite)  # an error in it stops the command before it reads the texts
    typed = {name: getattr(args, name) for name in ("data", "text", "out", "minutes", "size", "epochs")}
    pretrained = run(
        read_texts(args.texts, data=args.data, text=table_of(args).texts),
        recipe=recipe,
        seed=args.seed,
        out=args.out,
        resume=args.resume,
        overwrite=args.overwrite,
        callbacks=ProgressPrinter(console(stderr=args.as_json)),
        verbose=0,
        command=options.command_line("pretrain", *args.texts, **typed, seed=args.seed or None),
    )
    if current().rank:
        return
    metadata = pretrained.metadata
    if args.as_json:
        result = {
            "pretrained": args.out,
            "size": metadata.size,
            "epochs": metadata.epochs,
            "perplexity": metadata.perplexity,
        }
        print_json(result)
        return
    folder = shlex.quote(printable(args.out, 500))
    source = "DATA"
    if "imdb" in args.texts:
        source = "imdb"
    print(f"saved to {folder}\n\nnext:\n  gatewise train {source} --pretrained {folder}")
