"""Which model answers: the folder that is named first, or the one in the box where none is named.

The first argument names a model if it looks like a path or is there on the disk; then it must be a model folder, or the
command ends. Else it is a text (or a source), and the model in the box reads it. What could be a name that was mistyped
is refused, and `--box` says beyond doubt that every argument is for the model in the box.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from gatewise.errors import InputError, quote
from gatewise.model import bundled as bundled

BoxOption = Annotated[
    bool,
    typer.Option("--box", help="Take the model in the box, which comes with gatewise; no argument names another."),
]


@dataclass(frozen=True)
class Which:
    """The model folder, None for the one in the box, and the arguments that are left for it to read."""

    path: str | None
    rest: list[str]

    @property
    def name(self) -> str:
        """For messages and JSON: the folder as it was named, or that it is the one in the box."""
        return f"{bundled.NAME} (in the box)" if self.path is None else self.path

    @property
    def folder(self) -> Path:
        """Where it is. Raises ModelFileError where there is none in the box."""
        return bundled.folder() if self.path is None else Path(self.path)

    def say(self, calibrated: bool = False) -> None:
        """A line on stderr on what is not seen otherwise: that the box answers, that probabilities are calibrated."""
        said = [f"the model in the box answers: {bundled.NAME}"] * (self.path is None)
        said += ["its probabilities are calibrated"] * calibrated
        if said:
            print(f"gatewise: {'; '.join(said)}", file=sys.stderr)


def which_model(words: Sequence[str], in_box: bool, most: int | None = None) -> Which:
    """From a command's arguments, [MODEL] and what it is to read.

    most: as many arguments as can follow a MODEL, None for any number; one more than that begins with a MODEL. Raises
    InputError where the first of several may be a MODEL that was mistyped, or where there are too many.
    """
    rest = list(words)
    if in_box or not rest:
        found = Which(None, rest)
    elif _is_path(rest[0]):
        found = Which(rest[0], rest[1:])
    elif most is not None and len(rest) > most:
        raise InputError(f"{quote(rest[0])} is no model folder")
    elif len(rest) > 1 and not re.search(r"\s", rest[0].strip()):
        raise InputError(
            f"{quote(rest[0])} is no model folder; if it is a text for the model in the box, say --box in front"
        )
    else:
        found = Which(None, rest)
    if most is not None and len(found.rest) > most:
        raise InputError(f"too many arguments: {quote(found.rest[most])} is left over")
    return found


def is_model(word: str) -> bool:
    """Whether it names a folder with a manifest."""
    return os.path.lexists(os.path.join(word, "manifest.json"))


def _is_path(word: str) -> bool:
    """Whether a person who wrote that meant a place on the disk; "-" is stdin."""
    if os.path.lexists(word) or re.match(r"(\.{0,2}|~[^\s/]*)/", word):
        return True
    return "/" in word and not re.search(r"\s", word)
