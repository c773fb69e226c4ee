"""`gatewise bench`: the speed of the LSTM kernel on this machine; `benchmarks/` compares it with other libraries."""

from __future__ import annotations

import sys
import timeit
from typing import TYPE_CHECKING, Any

from gatewise.cli import options
from gatewise.cli.options import command, flag
from gatewise.cli.output import console, plain_table, print_json
from gatewise.errors import GatewiseError

if TYPE_CHECKING:
    import numpy as np

    from gatewise.kernels import Kernel
    from gatewise.types import Precision

UNITS = (100, 128, 256, 512)
TOLERANCE = {"bf16": 5e-2, "native": 1e-5, "reference": 1e-5}  # relative to the largest number of each array
# Per step and H²: 4 gates, multiply and add; the backward pass does twice as many.
FLOPS = {"forward": 8, "forward_backward": 24}


@command()
@flag("--quick", help="Small batches, few repetitions: check that it runs, not how fast.")
@options.json_option
def bench(given: Any) -> None:
    """Measure the speed of the LSTM kernel on random data, after a check against the reference kernel.

    \b
    gatewise bench
    gatewise bench --json
    GATEWISE_KERNEL=bf16 GATEWISE_THREADS=1 gatewise bench
    """
    from gatewise import kernels
    from gatewise.cli.info import environment

    kernel = kernels.get()
    sequences, seconds = (8, 0.02) if given.quick else (64, 0.5)
    result = environment() | {"quick": given.quick, "sequences": sequences, "max_relative_error": check(kernel)}
    result["results"] = []
    for threads in [1] if kernel.name == "reference" else sorted({1, result["threads"]}):
        print(f"measuring with {threads} thread{'s' * (threads > 1)}", file=sys.stderr)
        for units in UNITS[:1] if given.quick else UNITS:
            result["results"].append(_measure(kernel.name, threads, units, sequences, seconds))
    if given.as_json:
        print_json(result)
        return
    isa = f", {result['isa']}" if kernel.name == "native" else ""
    print(f"gatewise   {result['gatewise']}, {result['python']}, NumPy {result['numpy']}")
    print(f"machine    {result['processor']}, {result['machine']}")
    print(f"kernel     {kernel.name}{isa}")
    error = f"{result['max_relative_error']:.0e}"
    print(f"error      {error}, the largest relative difference from the reference in float64")
    print(f"\n{sequences} random sequences with the lengths of film reviews, shorter above 128 units:\n")
    table = plain_table("units", "threads", "steps", "forward ms", "GFLOP/s", "with backward ms", "GFLOP/s", left=0)
    for row in result["results"]:
        rates = [f"{row[f'{name}_{unit}']:.{digits}f}" for name in FLOPS for unit, digits in (("ms", 2), ("gflops", 1))]
        table.add_row(str(row["units"]), str(row["threads"]), f"{row['steps']:,}", *rates)
    console().print(table)
    if given.quick:
        print("\n--quick: these figures do not measure the speed")


def check(kernel: Kernel) -> float:
    """The kernel's largest relative error against the reference in float64, over outputs and gradients.

    Raises GatewiseError above `TOLERANCE`: nothing is timed then.
    """
    import numpy as np

    from gatewise.kernels import LSTMCall
    from gatewise.kernels.reference import Reference

    rng, errors = np.random.default_rng(7), []
    for units in (5, 37):
        batch = random_batch(rng, units, 9) | {"lengths": rng.integers(0, 13, 9)}
        batch["index"] = rng.integers(0, len(batch["pre"]), int(batch["lengths"].sum())).astype(np.int32)
        gradients = [rng.normal(size=(9, units)).astype(np.float32) for _ in range(2)]
        results = []
        for each, dtype in ((kernel, np.float32), (Reference(), np.float64)):
            cast = {name: a.astype(dtype) if a.dtype == np.float32 else a for name, a in batch.items()}
            out = each.forward(LSTMCall(**cast))
            assert out.saved is not None
            results.append([*out[:3], *each.backward(out.saved, None, *(g.astype(dtype) for g in gradients))])
        errors += [np.abs(a - b).max() / np.abs(b).max() for a, b in zip(*results, strict=True)]
    worst = float(np.max(errors))
    if not worst < TOLERANCE[kernel.name]:
        raise GatewiseError(f"kernel '{kernel.name}' differs from the reference by {worst:.1e}: nothing was timed")
    return worst


def random_batch(rng: np.random.Generator, units: int, count: int) -> dict[str, Any]:
    """Arguments for a kernel's forward: `count` sequences with the lengths and token frequencies of film reviews.

    Lengths are log-normal, mean near 238, at most 1000; above 128 units they shrink so that the work stays about equal.
    """
    import numpy as np

    lengths = np.clip(np.exp(rng.normal(5.2, 0.72, count)), 10, 1000) * min(1.0, (128 / units) ** 2)
    lengths = np.maximum(1, lengths).astype(np.int64)
    tokens = (10_000 * rng.random(int(lengths.sum())) ** 4).astype(np.int32)
    unique, index = np.unique(tokens, return_inverse=True)
    return {
        "pre": rng.normal(size=(len(unique), 4 * units)).astype(np.float32),
        "index": index.astype(np.int32),
        "lengths": lengths,
        "weight_hh": (rng.normal(size=(4 * units, units)) / units**0.5).astype(np.float32),
        "h0": np.zeros((count, units), np.float32),
        "c0": np.zeros((count, units), np.float32),
    }


def _measure(name: str, threads: int, units: int, sequences: int, seconds: float) -> dict[str, Any]:
    """Steps, and for forward and for forward with backward: milliseconds and GFLOP/s. Each is the median of at least
    three runs in about half of `seconds`, after one that warms up.
    """
    import numpy as np

    from gatewise.kernels import LSTMCall
    from gatewise.kernels.native import Native
    from gatewise.kernels.reference import Reference

    precision: Precision = "bf16" if name == "bf16" else "float32"
    kernel = Reference() if name == "reference" else Native(threads=threads, precision=precision)
    call = LSTMCall(**random_batch(np.random.default_rng(units), units, sequences))
    dh_T, dc_T = np.ones_like(call.h0), np.zeros_like(call.h0)
    steps = int(call.lengths.sum())

    def forward_backward() -> None:
        saved = kernel.forward(call).saved
        assert saved is not None
        kernel.backward(saved, None, dh_T, dc_T)

    row: dict[str, Any] = {"units": units, "threads": threads, "steps": steps}
    for run, function in {"forward": lambda: kernel.forward(call), "forward_backward": forward_backward}.items():
        function()
        repeat = max(3, int(seconds / 2 / timeit.timeit(function, number=1)))
        taken = float(np.median(timeit.repeat(function, number=1, repeat=repeat)))
        row |= {f"{run}_ms": 1e3 * taken, f"{run}_gflops": FLOPS[run] * units**2 * steps / taken / 1e9}
    return row
