"""`Attack`: a promise, and a function that tries once to break it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.errors import GatewiseError
from gatewise.kernels import unavailable_reason

MIB = 2**20
ROOT = Path(__file__).resolve().parents[1]
Attempt = Callable[[np.random.Generator, Path], str | None]
"""Of a generator and an empty folder. It may return what became of the try, which a run counts."""


@dataclass(frozen=True)
class Attack:
    """attempt(rng, folder): one try in an empty folder; it fails with an exception, as a test does. short, full: number
    of tries in `make test` and in `make trust`; short is 0 where a test of its own takes the place. prepare: runs once
    per process, before the limits are set. unavailable: why the attack cannot run here, if so. seconds: limit of a try.
    memory: address space in bytes that a try may add; 0 for no limit.
    """

    name: str
    promise: str
    method: str
    short: int
    full: int
    attempt: Attempt
    prepare: Callable[[], object] = bool
    unavailable: Callable[[], str | None] = str
    seconds: float = 60.0
    memory: int = 1024 * MIB

    @property
    def module(self) -> str:
        """The module of its attempt, which has it in ATTACKS: a child process imports this one, and not the registry,
        which imports every attack and with them torch, pandas and the server.
        """
        attempt = self.attempt.func if isinstance(self.attempt, partial) else self.attempt
        return attempt.__module__


class Attacks(dict[str, Attack]):
    """Attacks by name, in the order in which they run."""

    def add(self, name: str, short: int, full: int, **options: Any) -> Callable[[Attempt], Attempt]:
        """Decorate the attempt of an attack. Its docstring is the promise, an empty line, and the method."""

        def added(attempt: Attempt) -> Attempt:
            promise, method = (" ".join(part.split()) for part in (attempt.__doc__ or "").split("\n\n"))
            self[name] = Attack(name, promise, method, short, full, attempt, **options)
            return attempt

        return added


without_native = partial(unavailable_reason, "native")  # why an attack on the kernel cannot run here


def missing(*modules: str) -> str:
    """Why an attack that needs these modules cannot run here, or ""."""
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    return f"{absent[0]} is not installed" if absent else ""


def check_message(error: GatewiseError) -> None:
    """A message is one printable line of at most 500 characters and an ellipsis."""
    message = str(error)
    right = message.isprintable() and 0 < len(message) <= 501
    assert right, f"a message that is not one printable line: {message!a}"
