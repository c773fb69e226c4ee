"""Configuration files: a recipe's name and changed fields, as TOML.

recipe = "fast"
epochs = 8
learning_rate = 0.002
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from gatewise.errors import InputError, quote
from gatewise.training.recipes import recipe, setting


def read_config(path: str | Path) -> tuple[str | None, dict[str, Any]]:
    """The recipe's name (None if the file has none) and the fields that it changes.

    Raises InputError naming the file and the key for a file that cannot be read, an unknown key, and a value of a wrong
    type or out of range.
    """
    file = quote(path, 200)
    try:
        config = tomllib.loads(Path(path).expanduser().read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{file}: not valid TOML: {error}") from None
    name = config.pop("recipe", None)
    try:
        if name is not None:
            recipe(name)
        return name, {key: setting(key).checked(value) for key, value in config.items()}
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
