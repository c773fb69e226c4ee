"""The exceptions of gatewise.

    GatewiseError               one line that says what is wrong and where; the CLI prints it, exit code 2
    ├── InputError              an invalid argument, text, array or option (also a ValueError)
    │   └── FutureValuesError   a forecast lacks values of columns that are known in advance
    ├── DataError               a data set: missing, truncated, wrong checksum, an invalid row
    ├── ModelFileError          a model folder: missing file, changed byte, unknown key, other format version
    ├── KernelUnavailable       a requested kernel or instruction set that cannot run here
    ├── TrainingError           training cannot continue: a loss that is not finite, a run folder in use
    └── MissingExtra            an optional dependency is not installed (also an ImportError)

A message has at most 500 characters, none of them a control character. `quote` cuts a user's text to 80.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from importlib import import_module
from types import FrameType
from typing import Any

_LONGEST = 500  # characters of a message


class GatewiseError(Exception):
    """Base class. `str(error)` is one line for users, of at most 500 printable characters: parts of it may come from a
    file or a request. exit_code: of the command that it stops.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(printable(" ".join(message.split()), _LONGEST))


class InputError(GatewiseError, ValueError):
    """An invalid argument, text, array or option."""


class FutureValuesError(InputError):
    """A forecast lacks values of columns that are known in advance, or has two of one time. The message quotes names of
    the fit alone, nothing of what was given.
    """


class DataError(GatewiseError):
    """A missing, damaged or invalid data set."""


class DataWarning(UserWarning):
    """Data that can be used, but not as its owner may expect: few rows, contradicting labels, truncated inputs. Of the
    category UserWarning, so that a program can filter it.
    """


class ModelFileError(GatewiseError):
    """A missing, damaged, changed or unsupported model folder."""


class KernelUnavailable(GatewiseError):
    """A requested kernel or instruction set that cannot run here."""


class TrainingError(GatewiseError):
    """Training cannot continue. The checkpoint is kept."""


class MissingExtra(GatewiseError, ImportError):
    """An optional dependency is not installed; the message says what to install. extra: None for the package alone."""

    def __init__(self, package: str, extra: str | None, needed_for: str) -> None:
        installed = f"'gatewise[{extra}]'" if extra else package
        super().__init__(f"{needed_for} needs {package}: pip install {installed}")

    def __reduce__(self) -> tuple[Any, ...]:
        """By the message alone: a worker process sends its exceptions as pickles."""
        return Exception.__new__, (type(self), str(self))


def required(module: str, extra: str | None, needed_for: str) -> Any:
    """A module that an extra installs, or a package by itself, imported now. Raises MissingExtra without it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtra(module.partition(".")[0], extra, needed_for) from error


def warn(message: str, category: type[Warning] = DataWarning) -> None:
    """Warn with the line that called gatewise, where a user looks for the reason. It is the first one outside of the
    package, from here up; `skip_file_prefixes` of Python 3.12 does the same.
    """
    frame: FrameType | None = sys._getframe(1)
    level = 2  # of the caller of this function, as `warnings.warn` counts
    while frame is not None and _is_internal(frame):
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)


def _is_internal(frame: FrameType) -> bool:
    """Whether it is of the package, or of a context manager of the package, whose code `contextlib` calls."""
    package = str(frame.f_globals.get("__name__")).partition(".")[0]
    return package in ("gatewise", "contextlib")


def printable(text: object, limit: int = 80) -> str:
    """`text` on one line, at most `limit` characters. Unprintable characters become a replacement character, also those
    that would move the cursor, change the colour or the text direction of a terminal."""
    plain = "".join(ch if ch.isprintable() else "\N{REPLACEMENT CHARACTER}" for ch in str(text)[: limit + 1])
    return f"{plain[:limit]}…" if len(plain) > limit else plain


def quote(text: object, limit: int = 80) -> str:
    """`printable` text in quotation marks, for messages."""
    return f"'{printable(text, limit)}'"


def counted(number: int, one: str, several: str = "") -> str:
    """A number with its noun, for messages: "1 row", "2,000 rows". several: the plural; "": the noun with an s."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def number_text(value: float) -> str:
    """A number with four significant digits, or all digits before the point."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def reason(error: OSError | ValueError) -> str:
    """The reason alone, in the words of the operating system. A ValueError comes from an invalid path (a NUL, a lone
    surrogate).
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return "the path cannot be used" if isinstance(error, ValueError) else type(error).__name__


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: "; did you mean 'epochs'?", or "" if no known name is near."""
    from difflib import get_close_matches  # only for messages: it takes longer to import than this module

    near = get_close_matches(str(name).lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {quote(near[0])}?" if near else ""
