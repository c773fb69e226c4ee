"""Attacks and a target that fail in every way, for the tests of the runner and of the fuzzer."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from pathlib import Path

import numpy as np

from trust.attack import MIB, Attack
from trust.fuzzing.target import Target


def _third(rng: np.random.Generator, folder: Path) -> str | None:
    return "the third of ten" if rng.integers(2**62) == THIRD else None


THIRD = int(np.random.default_rng([5, 3]).integers(2**62))


def _crash(rng: np.random.Generator, folder: Path) -> str | None:
    if rng.random() < 0.5:
        ctypes.string_at(0)
    return None


def _hang(rng: np.random.Generator, folder: Path) -> str | None:
    if rng.random() < 0.5:
        time.sleep(1000)
    return None


def _memory(rng: np.random.Generator, folder: Path) -> str | None:
    (folder / "left").write_bytes(bytes(10))
    bytearray(300 * MIB)
    return None


def _leave(rng: np.random.Generator, folder: Path) -> str | None:
    os._exit(7)


def _later(rng: np.random.Generator, folder: Path) -> str | None:
    threading.Timer(0.2, os._exit, [7]).start()
    return None


def _planted(name: str, attempt: object, **options: float) -> Attack:
    return Attack(name, "a promise", "a method", 1, 1, attempt, **options)  # type: ignore[arg-type]


ONE = _planted("one", _third)
CRASH = _planted("crash", _crash)
HANG = _planted("hang", _hang, seconds=0.5)
MEMORY = _planted("memory", _memory, memory=100 * MIB)
LEAVE = _planted("leave", _leave)
LATER = _planted("later", _later)


def _broken(raw: bytes, folder: Path) -> int:
    return 1 // (len(raw) % 7 - 3)


BROKEN = Target("broken", _broken, lambda: [b"0123456"])
