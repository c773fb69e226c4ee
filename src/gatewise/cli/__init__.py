"""The command line: one file a verb. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated

import typer

from gatewise._version import __version__
from gatewise.cli.bench import bench
from gatewise.cli.common import Commands
from gatewise.cli.compress import compress
from gatewise.cli.data import data
from gatewise.cli.evaluate import evaluate
from gatewise.cli.explain import explain
from gatewise.cli.info import info
from gatewise.cli.predict import predict
from gatewise.cli.pretrain import pretrain
from gatewise.cli.serve import serve
from gatewise.cli.train import train
from gatewise.errors import printable

app = typer.Typer(
    name="gatewise",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # half the time that --help takes
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for command, short in (
    (pretrain, "Train a language model on texts without labels, to start classifiers from."),
    (train, "Train a classifier and save it."),
    (evaluate, "Measure a model on labelled data."),
    (predict, "Label texts or series."),
    (explain, "Show how the words moved a verdict, and what the gates did."),
    (serve, "Serve models over HTTP, with a page that shows every gate."),
    (compress, "Make a model folder small, and measure what that costs."),
    (info, "Show what would run here, or what a model is made of."),
    (data, "Show what data a source stands for; fetch it if need be."),
    (bench, "Measure the speed of the LSTM kernel on this machine."),
):
    app.command(short_help=short)(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"gatewise {__version__}")
        raise typer.Exit


@app.callback()
def gatewise(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """The glass-box LSTM: train text and series classifiers on the CPU, and see what every gate did.

    \b
    gatewise train imdb --recipe tutorial             the tutorial's model, from the reviews to a folder
    gatewise evaluate models/imdb-tutorial imdb       its accuracy
    gatewise predict models/imdb-tutorial "A text."   a label and a probability
    gatewise explain models/imdb-tutorial "A text."   word by word, gate by gate
    gatewise predict "A text."                        by the sentiment model in the box
    """


def main() -> None:
    """The program: exit code 0, 2 for bad input or usage, 130 after Ctrl-C."""
    warnings.showwarning = _show_warning
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without Unicode shows ? and the command goes on
    try:
        app(prog_name="gatewise")
    finally:
        try:
            sys.stdout.flush()
        except OSError:  # whoever read has gone: no word about it, not from the interpreter's own flush either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"gatewise: warning: {printable(message, 500)}", file=sys.stderr)
