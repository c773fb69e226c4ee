"""The model in the box: a sentiment model that comes with the package, as one folder of package data.

`make box` makes it from the IMDB archive: pretrain, train, shrink. It is data like any other model folder.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from gatewise.errors import ModelFileError, printable

__all__ = ["FOLDER", "NAME", "folder", "missing"]

NAME = "sentiment"
FOLDER = Path(__file__).resolve().parent / NAME


def folder() -> Path:
    """Where it is. Raises ModelFileError saying how to make it where it is not."""
    unavailable_reason = missing()
    if unavailable_reason is not None:
        raise ModelFileError(unavailable_reason)
    return FOLDER


def missing() -> str | None:
    """One line that says how to make it where it is not there; None where it is."""
    if (FOLDER / "manifest.json").is_file():
        return None
    where = shlex.quote(printable(FOLDER, 500))
    return (
        "there is no model in the box; name a model folder, or make it: gatewise train imdb -o models/big, "
        f"then gatewise compress models/big -o {where} (make box does all of it)"
    )
