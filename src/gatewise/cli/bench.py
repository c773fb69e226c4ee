"""`gatewise bench`: the speed of the LSTM kernel on this machine; `benchmarks/` compares it with other libraries."""

from __future__ import annotations

import sys
import timeit
from typing import TYPE_CHECKING, Any

from gatewise.cli import options
from gatewise.cli.options import command, flag
from gatewise.cli.output import console, print_json
from gatewise.errors import GatewiseError

if TYPE_CHECKING:
    import numpy as np

    from gatewise.kernels.interface import Kernel

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
    print(f"gatewise {result['gatewise']}, kernel {kernel.name}{isa}; {result['processor']}, {result['machine']}")
    print(f"largest relative difference from the reference in float64: {result['max_relative_error']:.0e}")
    print(f"\n{sequences} random sequences with the lengths of film reviews, shorter above 128 units:\n")
    from gatewise.system.console import plain_table

    heads = "units", "threads", "steps", "forward ms", "GFLOP/s", "with backward ms", "GFLOP/s"
    table = plain_table("r" * len(heads), *heads)
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

    from gatewise.kernels.reference import Reference

    batch = random_batch(np.random.default_rng(7), 37, 9)
    lengths = batch["lengths"] // 20  # some are 0
    batch |= {"lengths": lengths, "index": batch["index"][: int(lengths.sum())]}
    results = [_run(one, batch, kind) for one, kind in ((kernel, np.float32), (Reference(), np.float64))]
    worst = float(np.max([np.abs(a - b).max() / np.abs(b).max() for a, b in zip(*results, strict=True)]))
    if not worst < TOLERANCE[kernel.name]:
        raise GatewiseError(f"kernel '{kernel.name}' differs from the reference by {worst:.1e}: nothing was timed")
    return worst


def _run(kernel: Kernel, batch: dict[str, Any], kind: Any, backward: bool = True) -> list[Any]:
    """The arrays of a forward pass, and of the backward pass with the outputs as gradients, in float32 or float64."""
    from gatewise.kernels import LSTMCall

    call = LSTMCall(**{name: a.astype(kind, copy=False) if a.dtype.kind == "f" else a for name, a in batch.items()})
    out = kernel.forward(call)
    assert out.saved is not None
    return [*out[:3], *(kernel.backward(out.saved, None, *out[1:3]) if backward else ())]


def random_batch(rng: np.random.Generator, units: int, count: int) -> dict[str, Any]:
    """Arguments for a kernel's forward: `count` sequences with the lengths and token frequencies of film reviews.

    Lengths are log-normal, mean near 238, at most 1000; above 128 units they shrink so that the work stays about equal.
    """
    import numpy as np

    lengths = np.clip(np.exp(rng.normal(5.2, 0.72, count)), 10, 1000) * min(1.0, (128 / units) ** 2)
    lengths = np.maximum(1, lengths).astype(np.intp)
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

    from gatewise.kernels.native import Native
    from gatewise.kernels.reference import Reference

    precision: Any = "bf16" if name == "bf16" else "float32"
    kernel = Reference() if name == "reference" else Native(threads=threads, precision=precision)
    batch = random_batch(np.random.default_rng(units), units, sequences)
    steps = int(batch["lengths"].sum())
    row: dict[str, Any] = {"units": units, "threads": threads, "steps": steps}
    for run, flops in FLOPS.items():

        def once(backward: bool = run == "forward_backward") -> None:
            _run(kernel, batch, np.float32, backward)

        once()
        repeat = max(3, int(seconds / 2 / timeit.timeit(once, number=1)))
        taken = float(np.median(timeit.repeat(once, number=1, repeat=repeat)))
        row |= {f"{run}_ms": 1e3 * taken, f"{run}_gflops": flops * units**2 * steps / taken / 1e9}
    return row
