"""The part of `gatewise bench` that runs without torch, for one number of threads, in a process of its own.

    python -m gatewise.cli.bench_kernel SETTINGS

SETTINGS is a JSON object; the result is one on stdout. A process of its own, because a BLAS takes its number of threads
from the environment when NumPy is loaded.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np

from gatewise import kernels
from gatewise.cli.bench_work import FLOPS, ROWS, in_turns, kernel_batch, review_tokens
from gatewise.errors import GatewiseError
from gatewise.kernels import Kernel
from gatewise.kernels.native import Native
from gatewise.kernels.reference import Reference
from gatewise.network.architecture import Architecture, initial_parameters
from gatewise.network.batch import Batch
from gatewise.network.forward import forward
from gatewise.network.ops import NumpyOps
from gatewise.types import Array

__all__ = ["check", "measure"]

BARS = {"bf16": 5e-2}  # operands of 8 bits
BAR = 1e-5  # largest error of a kernel against the reference in float64, relative to the largest number
LATENCY_WORDS = 238  # the mean length of an IMDB review
_SQUARE = 1024  # side of sgemm's matrices


def measure(settings: dict[str, Any]) -> dict[str, Any]:
    """settings: isas (empty: the reference), threads, units, sequences, reviews, seconds (a figure). What was found."""
    threads, seconds = settings["threads"], settings["seconds"]
    found: dict[str, Any] = {"threads": threads, "error": 0.0, "kernel": []}
    for name in settings["isas"] or [None]:
        kernel = _kernel(name, threads)
        error = check(kernel)
        if kernel.name not in BARS:
            found["error"] = max(found["error"], error)
        for units in settings["units"]:
            row = {"isa": name, "kernel": kernel.name, "units": units, "threads": threads}
            found["kernel"].append({**row, **_recurrence(kernel, units, settings["sequences"], seconds)})
    time.sleep(0.05)
    kernel = _kernel(settings["isas"][0] if settings["isas"] else None, threads)
    return found | _inference(kernel, settings["reviews"], seconds)


def check(kernel: Kernel) -> float:
    """The kernel's largest error against the reference in float64. Raises GatewiseError beyond 1e-5 (bf16: 5e-2): then
    nothing is timed.
    """
    rng, errors = np.random.default_rng(7), []
    for units in (5, 37):
        given = kernel_batch(rng, units, 9) | {"lengths": rng.integers(0, 13, 9)}
        given["index"] = rng.integers(0, len(given["pre"]), int(given["lengths"].sum())).astype(np.int32)
        gradients = [rng.normal(size=(9, units)).astype(np.float32) for _ in range(2)]
        sides = []
        for each, dtype in ((kernel, np.float32), (Reference(), np.float64)):
            cast = {n: a.astype(dtype) if a.dtype == np.float32 else a for n, a in given.items()}
            run = each.forward(**cast)
            assert run.saved is not None
            back = each.backward(run.saved, None, *(g.astype(dtype) for g in gradients))
            sides.append([*run[:3], *back])
        for got, want in zip(*sides, strict=True):
            errors.append(np.abs(got - want).max() / np.abs(want).max())
    worst, bar = float(np.max(errors)), BARS.get(kernel.name, BAR)
    if not worst < bar:
        raise GatewiseError(f"kernel '{kernel.name}' differs from the reference by {worst:.1e}: nothing was timed")
    return worst


def _kernel(isa: str | None, threads: int) -> Kernel:
    if isa and isa.endswith(" bf16"):
        return Native(isa=isa.removesuffix(" bf16"), threads=threads, precision="bf16")
    return Native(isa=isa, threads=threads) if isa else kernels.get("reference")


def _recurrence(kernel: Kernel, units: int, sequences: int, seconds: float) -> dict[str, Any]:
    """Forward with its tape, and forward and backward: ms, GFLOP/s, and share of NumPy's sgemm, in turns with it."""
    given = kernel_batch(np.random.default_rng(units), units, sequences)
    a, b = np.random.default_rng(0).normal(size=(2, _SQUARE, _SQUARE)).astype(np.float32)
    product = np.empty_like(a)
    dh_T, dc_T = np.ones_like(given["h0"]), np.zeros_like(given["h0"])

    def both() -> None:
        saved = kernel.forward(**given).saved
        assert saved is not None
        kernel.backward(saved, None, dh_T, dc_T)

    steps = int(given["lengths"].sum())
    runs = {"sgemm": lambda: np.matmul(a, b, out=product), "forward": lambda: kernel.forward(**given), "both": both}
    taken = in_turns(runs, seconds, rest_after="sgemm")
    rate = 2 * _SQUARE**3 / taken["sgemm"] / 1e9
    row: dict[str, Any] = {"steps": steps, "sgemm_gflops": rate}
    for name in FLOPS:
        gflops = FLOPS[name] * units**2 * steps / taken[name] / 1e9
        row[name] = {"ms": 1e3 * taken[name], "gflops": gflops, "share": gflops / rate}
    return row


def _inference(kernel: Kernel, reviews: int, seconds: float) -> dict[str, Any]:
    """The tutorial's network without pads: words a second over length-sorted batches of 64, and one review's time."""
    arch = Architecture("tokens", ROWS, 32, 100, max_length=1000)
    rng = np.random.default_rng(1)
    parameters: dict[str, Array] = initial_parameters(arch, rng)
    texts = sorted(review_tokens(rng, reviews), key=len)
    one = [(4 + (ROWS - 4) * rng.random(LATENCY_WORDS) ** 4).astype(np.int32)]

    def logits(batch: list[Any]) -> Array:
        found: Array = forward(NumpyOps(kernel), parameters, arch, Batch.of(batch, arch))
        return found

    def every() -> None:
        for first in range(0, len(texts), 64):
            logits(texts[first : first + 64])

    words = sum(map(len, texts))
    return {
        "inference": {"reviews": reviews, "words": words, "words_per_s": words / in_turns({"": every}, seconds)[""]},
        "latency": {"words": LATENCY_WORDS, "ms": 1e3 * in_turns({"": lambda: logits(one)}, seconds)[""]},
    }


if __name__ == "__main__":
    try:
        print(json.dumps(measure(json.loads(sys.argv[1])), allow_nan=False))
    except GatewiseError as error:
        print(json.dumps({"failed": str(error)}))
