"""What a case is: contenders that do the same work, and the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.wire import Arrays

Settings = dict[str, Any]

# File of benchmarks/contenders/ and the library that its Python must have; None for the Python that gatewise is in.
LIBRARY: dict[str, str | None] = {
    "ours": None,
    "openblas": None,
    "pytorch": "torch",
    "tensorflow": "tensorflow",
    "onnx_runtime": "onnxruntime",
}


@dataclass(frozen=True)
class Entry:
    """One contender of a case. module: a file of benchmarks/contenders/. environment: what it needs beyond the number
    of threads. settings ("kind" may be among them), arrays: over the case's. variants: settings to choose from, where
    "environment" holds variables of the process; each is tried and the fastest takes part. tolerance: largest relative
    difference from the first entry.
    """

    name: str
    module: str
    threads: int
    settings: Settings = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    variants: tuple[Settings, ...] = ({},)
    tolerance: float = 1e-4
    arrays: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """Work that several entries do in turns. same: they compute the same function, which is checked first. warm: turns
    that do not count. fresh: each entry gets a new process. scale: what one run is worth (see the unit).
    """

    name: str
    what: str
    kind: str
    entries: tuple[Entry, ...]
    settings: Settings
    arrays: Arrays
    same: bool = True
    warm: int = 2
    turns: int = 15
    fresh: bool = False
    scale: float = 1.0
    unit: str = ""


BF16_TOLERANCE = 0.05  # 8 bits of mantissa in the operands, over a thousand steps


def gatewise(threads: int, *, forced: tuple[str, ...] = (), **settings: Any) -> tuple[Entry, ...]:
    """gatewise as it comes, then as it is forced to be: an instruction set by its name, or the kernel bf16."""
    entries = [Entry("gatewise", "ours", threads, settings)]
    for name in forced:
        variable, tolerance = ("GATEWISE_KERNEL", BF16_TOLERANCE) if name == "bf16" else ("GATEWISE_ISA", 1e-4)
        entries.append(Entry(f"gatewise {name}", "ours", threads, settings, {variable: name}, tolerance=tolerance))
    return tuple(entries)
