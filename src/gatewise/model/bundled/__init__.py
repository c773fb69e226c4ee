"""The bundled model: a sentiment classifier that is installed with the package, as a folder of package data.

`make bundled` trains it on IMDB: pretrain, train, compress. It is an ordinary model folder.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from gatewise.errors import ModelFileError, printable

__all__ = ["FOLDER", "NAME", "folder", "missing"]

NAME = "sentiment"
FOLDER = Path(__file__).resolve().parent / NAME


def folder() -> Path:
    """The folder. Raises ModelFileError, which says how to make it, if it is missing."""
    if not (FOLDER / "manifest.json").is_file():
        raise ModelFileError(str(missing()))
    return FOLDER


def missing() -> str | None:
    """A message that says how to make the bundled model if it is missing, else None."""
    if (FOLDER / "manifest.json").is_file():
        return None
    where = shlex.quote(printable(FOLDER, 500))
    return (
        "the bundled model is missing; give a model folder, or make it: gatewise train imdb -o models/big, "
        f"then gatewise compress -m models/big -o {where} (or make bundled)"
    )
