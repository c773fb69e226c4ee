"""`Attack`: a promise, and a function that tries once to break it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MIB = 2**20


def nothing() -> None:
    """Nothing to prepare."""


def available() -> str:
    """The attack can run here."""
    return ""


@dataclass(frozen=True)
class Attack:
    """attempt(rng, folder): one try in an empty folder; returns None if the promise held, else what happened. An
    exception is a failure too. prepare: runs once per process, before the limits are set. unavailable: why the attack
    cannot run here, or "". short, full: number of tries in `make test` and in `make trust`; short is 0 where a test of
    its own takes the place. seconds: limit of a try.
    memory: address space in bytes that a try may add; 0 for no limit.
    """

    name: str
    promise: str
    method: str
    short: int
    full: int
    attempt: Callable[[np.random.Generator, Path], str | None]
    prepare: Callable[[], object] = nothing
    unavailable: Callable[[], str] = available
    seconds: float = 60.0
    memory: int = 1024 * MIB


def generator(seed: int, number: int) -> np.random.Generator:
    """The generator of a try."""
    return np.random.default_rng([seed, number])
