"""The bundled models: folders of package data that are installed with the package. They are ordinary model folders.

sentiment    the bundled model, a sentiment classifier; `make bundled` trains it on IMDB: pretrain, train, compress
tutorial     the tutorial's model, of which the lesson is made; `make tutorial-model` trains and compresses it
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from gatewise.errors import ModelFileError, printable

NAME = "sentiment"
TUTORIAL = "tutorial"
FOLDER = Path(__file__).resolve().parent / NAME
_MADE_BY = {
    NAME: ("the bundled model", "gatewise train imdb -o models/big", "make bundled"),
    TUTORIAL: ("the tutorial's model", "gatewise train imdb --recipe tutorial -o models/big", "make tutorial-model"),
}


def folder(name: str = NAME) -> Path:
    """The folder of that model. Raises ModelFileError, which says how to make it, if it is missing."""
    if reason := missing(name):
        raise ModelFileError(reason)
    return FOLDER.with_name(name) if name != NAME else FOLDER


def missing(name: str = NAME) -> str | None:
    """A message that says how to make that model if it is missing, else None."""
    path = FOLDER.with_name(name) if name != NAME else FOLDER
    if (path / "manifest.json").is_file():
        return None
    noun, train, make = _MADE_BY[name]
    return (
        f"{noun} is missing; give a model folder, or make it: {train}, then gatewise compress -m models/big -o "
        f"{shlex.quote(printable(path, 500))} (or {make})"
    )


def resolve(path: str | Path | None) -> Path:
    """The folder of a model: that path, or of None and "bundled" the sentiment classifier. "sentiment" and "tutorial"
    are the bundled models of these names, unless a file or folder here has one. Raises ModelFileError if it is missing.
    """
    name = named(path)
    return Path(str(path)) if name is None else folder(name)


def named(path: str | Path | None) -> str | None:
    """The name of the bundled model that `resolve` takes; None for any other path."""
    if path in (None, "bundled"):
        return NAME
    if path in (NAME, TUTORIAL) and not os.path.lexists(str(path)):
        return str(path)
    return None
