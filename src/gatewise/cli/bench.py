"""`gatewise bench`: the speed of the LSTM kernel on this machine; `benchmarks/` compares it with other libraries."""

from __future__ import annotations

import sys
import timeit
from typing import TYPE_CHECKING, Any

from gatewise.cli import options
from gatewise.cli.options import command, flag
from gatewise.cli.output import console, print_json
from gatewise.errors import GatewiseError, counted

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
def bench(args: Any) -> None:
    """Measure the speed of the LSTM kernel on random data, after a check against the reference kernel.

    \b
    gatewise bench
    gatewise bench --json
    GATEWISE_KERNEL=bf16 GATEWISE_THREADS=1 gatewise bench
    """
    from gatewise import kernels
    from gatewise.cli.info import environment

    kernel = kernels.get()
    if args.quick:
        sequences = 8
        seconds = 0.02
        sizes: tuple[int, ...] = UNITS[:1]
    else:
        sequences = 64
        seconds = 0.5
        sizes = UNITS
    result = environment() | {"quick": args.quick, "sequences": sequences, "max_relative_error": check(kernel)}
    thread_counts = [1]
    if kernel.name != "reference":  # NumPy has one thread
        thread_counts = sorted({1, result["threads"]})
    result["results"] = []
    for threads in thread_counts:
        print(f"measuring with {counted(threads, 'thread')}", file=sys.stderr)
        for units in sizes:
            result["results"].append(_measure(kernel.name, threads, units, sequences, seconds))
    if args.as_json:
        print_json(result)
        return
    _print_result(result)


def _print_result(result: dict[str, Any]) -> None:
    from gatewise.system.console import plain_table

    kernel = result["kernel"]
    if kernel == "native":
        kernel = f"native, {result['isa']}"
    print(f"gatewise {result['gatewise']}, kernel {kernel}; {result['processor']}, {result['machine']}")
    print(f"largest relative difference from the reference in float64: {result['max_relative_error']:.0e}")
    print(f"\n{result['sequences']} random sequences with the lengths of film reviews, shorter above 128 units:\n")
    heads = ("units", "threads", "steps", "forward ms", "GFLOP/s", "with backward ms", "GFLOP/s")
    table = plain_table("r" * len(heads), *heads)
    for row in result["results"]:
        cells = [str(row["units"]), str(row["threads"]), f"{row['steps']:,}"]
        for run in FLOPS:
            cells.append(f"{row[f'{run}_ms']:.2f}")
            cells.append(f"{row[f'{run}_gflops']:.1f}")
        table.add_row(*cells)
    console().print(table)
    if result["quick"]:
        print("\n--quick: these figures do not measure the speed")


def check(kernel: Kernel) -> float:
    """The kernel's largest relative error against the reference in float64, over outputs and gradients.

    Raises GatewiseError above `TOLERANCE`: nothing is timed then.
    """
    import numpy as np

    from gatewise.kernels.reference import Reference

    batch = random_batch(np.random.default_rng(7), units=37, count=9)
    lengths = batch["lengths"] // 20  # some are 0
    batch["lengths"] = lengths
    batch["index"] = batch["index"][: int(lengths.sum())]
    arrays = _run(kernel, batch, np.float32)
    expected = _run(Reference(), batch, np.float64)
    errors = [np.abs(a - b).max() / np.abs(b).max() for a, b in zip(arrays, expected, strict=True)]
    largest = float(np.max(errors))
    if not largest < TOLERANCE[kernel.name]:  # also where it is NaN
        raise GatewiseError(f"kernel '{kernel.name}' differs from the reference by {largest:.1e}: nothing was timed")
    return largest


def _run(kernel: Kernel, batch: dict[str, Any], dtype: Any, backward: bool = True) -> list[Any]:
    """The arrays of a forward pass, and of the backward pass with the outputs as gradients, in float32 or float64."""
    from gatewise.kernels import LSTMCall

    arrays = dict(batch)
    for name, array in batch.items():
        if array.dtype.kind == "f":
            arrays[name] = array.astype(dtype, copy=False)
    out = kernel.forward(LSTMCall(**arrays))
    assert out.saved is not None
    results: list[Any] = [out.h, out.h_T, out.c_T]
    if backward:
        results += kernel.backward(out.saved, None, out.h_T, out.c_T)
    return results


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
    three runs in about half of `seconds`, after a run that warms up.
    """
    import numpy as np

    from gatewise.kernels.native import Native
    from gatewise.kernels.reference import Reference

    kernel: Kernel
    if name == "reference":
        kernel = Reference()
    elif name == "bf16":
        kernel = Native(threads=threads, precision="bf16")
    else:
        kernel = Native(threads=threads)
    batch = random_batch(np.random.default_rng(units), units, sequences)
    steps = int(batch["lengths"].sum())
    row: dict[str, Any] = {"units": units, "threads": threads, "steps": steps}
    for run, flops in FLOPS.items():

        def once(backward: bool = run == "forward_backward") -> None:
            _run(kernel, batch, np.float32, backward)

        once()
        repeat = max(3, int(seconds / 2 / timeit.timeit(once, number=1)))
        median = float(np.median(timeit.repeat(once, number=1, repeat=repeat)))
        row[f"{run}_ms"] = 1e3 * median
        row[f"{run}_gflops"] = flops * units**2 * steps / median / 1e9
    return row
