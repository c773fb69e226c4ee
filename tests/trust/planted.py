"""Attacks and a target that fail in every way, for the tests of the runner and of the fuzzer."""

from __future__ import annotations

import ctypes
import os
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


ATTACKS = {
    name: Attack(name, "a promise", "a method", 1, 1, attempt)
    for name, attempt in {"one": _third, "crash": _crash, "leave": _leave}.items()
}
ATTACKS["hang"] = Attack("hang", "a promise", "a method", 1, 1, _hang, seconds=0.5)
ATTACKS["memory"] = Attack("memory", "a promise", "a method", 1, 1, _memory, memory=100 * MIB)


def _broken(raw: bytes, folder: Path) -> int:
    return 1 // (len(raw) % 7 - 3)


BROKEN = Target("broken", _broken, lambda: [b"0123456"])
