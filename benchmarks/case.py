"""A benchmark case: the work, and the contenders that do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.contenders.base import Arrays, Settings

# Modules of benchmarks/contenders/ and the library that each needs; others run in gatewise's own environment.
LIBRARY = {
    "pytorch": "torch",
    "tensorflow": "tensorflow",
    "onnx_runtime": "onnxruntime",
    "onnx_server": "onnxruntime",
    "openvino": "openvino",
}


TOLERANCE = 1e-4  # float32 rounding over a thousand steps, relative to the largest number of each array
BF16_TOLERANCE = 0.05  # operands with 8 bits of mantissa, over a thousand steps


@dataclass(frozen=True)
class Contender:
    """One contender of a case.

    module: a module of benchmarks/contenders/. settings (with an optional "kind") and arrays override those of the
    case. environment: environment variables besides the number of threads. variants: alternative settings, with an
    optional "environment"; each is tried and the fastest is measured. tolerance: largest relative difference from the
    case's first contender.
    """

    name: str
    module: str
    threads: int
    settings: Settings = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    variants: tuple[Settings, ...] = ({},)
    tolerance: float = TOLERANCE
    arrays: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """Work that several contenders do, interleaved.

    equivalent: all compute the same function, which is checked first. warmup: rounds that do not count. scale: the work
    of one run, in `unit`.
    """

    name: str
    description: str
    kind: str
    contenders: tuple[Contender, ...]
    settings: Settings
    arrays: Arrays
    equivalent: bool = True
    warmup: int = 2
    rounds: int = 15
    scale: float = 1.0
    unit: str = ""


# The C library gives large blocks back to the system when they are freed, and a new block then faults page by page.
# With these thresholds (bytes) the heap keeps its pages, as with jemalloc and tcmalloc, which torch's tuning guide
# recommends. Each contender is tried with both heaps.
KEPT_HEAP = {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 33)}


def on_both_heaps(variants: tuple[Settings, ...]) -> tuple[Settings, ...]:
    """The variants with the heap of the C library as it is, then with a heap that keeps its pages."""
    kept = ({**variant, "environment": {**variant.get("environment", {}), **KEPT_HEAP}} for variant in variants)
    return (*variants, *kept)


ONE_AND_TWO_THREADS = tuple(Contender(f"{n} thread{'s' * (n > 1)}", "gatewise", n, {"threads": n}) for n in (1, 2))


def gatewise(threads: int, *, variants: tuple[str, ...] = (), **settings: Any) -> tuple[Contender, ...]:
    """gatewise with its defaults, and once for each instruction set or "bf16" of `variants`, on both heaps."""
    heaps = on_both_heaps(({},))
    contenders = [Contender("gatewise", "gatewise", threads, settings, variants=heaps)]
    for name in variants:
        variable, tolerance = ("GATEWISE_KERNEL", BF16_TOLERANCE) if name == "bf16" else ("GATEWISE_ISA", TOLERANCE)
        environment = {variable: name}
        contenders.append(Contender(f"gatewise {name}", "gatewise", threads, settings, environment, heaps, tolerance))
    return tuple(contenders)
