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


ONE_AND_TWO_THREADS = tuple(Contender(f"{n} thread{'s' * (n > 1)}", "gatewise", n, {"threads": n}) for n in (1, 2))


def gatewise(threads: int, *, variants: tuple[str, ...] = (), **settings: Any) -> tuple[Contender, ...]:
    """gatewise with its defaults, and once for each instruction set or "bf16" of `variants`."""
    contenders = [Contender("gatewise", "gatewise", threads, settings)]
    for name in variants:
        variable, tolerance = ("GATEWISE_KERNEL", BF16_TOLERANCE) if name == "bf16" else ("GATEWISE_ISA", TOLERANCE)
        environment = {variable: name}
        contenders.append(
            Contender(f"gatewise {name}", "gatewise", threads, settings, environment, tolerance=tolerance)
        )
    return tuple(contenders)
