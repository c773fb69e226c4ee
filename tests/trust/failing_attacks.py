"""Attacks for the tests of the runner, in a module that imports no other one: each process of a try imports it."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from trust.attack import MIB, Attack

FAILS: dict[str, tuple[Callable[[], Any], str]] = {
    "draws": (lambda: int("below a half"), "below a half"),
    "crash": (lambda: ctypes.string_at(0), "died with signal SIGSEGV"),
    "hang": (lambda: time.sleep(1000), "no answer within 0.5 s"),
    "memory": (lambda: bytearray(300 * MIB).hex(), "MemoryError at run.py"),
    "leave": (lambda: os._exit(7), "exit code 7"),
}
"""What fails, and what the runner reports of it."""


def attempt(name: str, rng: np.random.Generator, folder: Path) -> None:
    """It fails in half of the tries."""
    if rng.random() < 0.5:
        FAILS[name][0]()


def counted(rng: np.random.Generator, folder: Path) -> str:
    return "refused" if rng.random() < 0.5 else "opens"


ATTACKS = {
    name: Attack(name, "a promise", "a method", 1, 1, partial(attempt, name), seconds=0.5, memory=100 * MIB)
    for name in FAILS
}
ATTACKS["counted"] = Attack("counted", "a promise", "a method", 1, 1, counted)
