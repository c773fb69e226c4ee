"""Every error that gatewise raises on purpose.

    GatewiseError               one line that names what is wrong and where; the CLI prints it, exit code 2
    ├── InputError              an argument, text, array or option that cannot be used (also a ValueError)
    ├── DataError               a data set: missing, truncated, wrong checksum, a bad row
    ├── ModelFileError          a model folder: missing file, changed byte, unknown key, newer format
    ├── KernelUnavailable       a kernel or instruction set that was asked for and cannot run here
    ├── TrainingError           training cannot go on: a loss that is not finite, a folder in use
    └── MissingExtra            an optional dependency that the call needs (also an ImportError)

A message never holds more than 80 characters of the user's own text, and no control characters of it (`quote`).
"""

from __future__ import annotations

__all__ = [
    "DataError",
    "GatewiseError",
    "InputError",
    "KernelUnavailable",
    "MissingExtra",
    "ModelFileError",
    "TrainingError",
    "printable",
    "quote",
]


class GatewiseError(Exception):
    """Base of all; `str(error)` is one line fit to be shown to a person."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class InputError(GatewiseError, ValueError):
    """An argument, text, array or option that cannot be used."""


class DataError(GatewiseError):
    """A data set that is missing, damaged or not what it should be."""


class ModelFileError(GatewiseError):
    """A model folder that is missing, damaged, changed or not understood."""


class KernelUnavailable(GatewiseError):
    """A kernel or instruction set that was asked for and cannot run here."""


class TrainingError(GatewiseError):
    """Training cannot go on; what had been reached is kept."""


class MissingExtra(GatewiseError, ImportError):
    """An optional dependency is not installed; the message says what to install."""

    def __init__(self, package: str, extra: str, needed_for: str) -> None:
        super().__init__(f"{needed_for} needs {package}: pip install 'gatewise[{extra}]'")


def printable(text: object, limit: int = 80) -> str:
    """`text` on one line, at most `limit` characters, with a replacement character for each that is not seen, or that
    would move the cursor, change the colour or turn the direction of a terminal."""
    plain = "".join(ch if ch.isprintable() else "\N{REPLACEMENT CHARACTER}" for ch in str(text)[: limit + 1])
    return f"{plain[:limit]}…" if len(plain) > limit else plain


def quote(text: object, limit: int = 80) -> str:
    """`printable` text in quotation marks, as it may stand in a message."""
    return f"'{printable(text, limit)}'"
