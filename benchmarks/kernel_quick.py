"""The native kernel alone: right first, then how fast, beside torch.nn.LSTM and as a share of this machine's own sgemm.

    python benchmarks/kernel_quick.py [--repeats 9] [--isa v4] [--cases tutorial,equal,one]

Prints medians of interleaved runs. `tutorial`: 64 ragged sequences with about the lengths of IMDB reviews (mean near
238, at most 1000), H = 100, an index into about 3,500 rows of pre. `equal`: 64 sequences of 200 steps, one row of pre a
step, against torch.nn.LSTM with one input (its input product is then negligible). `one`: the forward of one sequence of
238 steps, one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from gatewise.kernels.native import Native, isa, isas
from gatewise.kernels.reference import Reference

FLOPS = {"forward": 8, "both": 24}  # a step and H² weights: 4 gates, multiply and add; backward twice as much


def batch(lengths: np.ndarray, units: int, rows: int | None, seed: int) -> dict[str, Any]:
    """Arguments for a kernel: random, with the input rows that Zipf's law would ask for where `rows` is given."""
    rng = np.random.default_rng(seed)
    steps = int(lengths.sum())
    index = None
    if rows is not None:
        index = np.minimum(rows * rng.random(steps) ** 3, rows - 1).astype(np.int32)
        _, index = np.unique(index, return_inverse=True)
        index = index.astype(np.int32)
    count = steps if index is None else int(index.max()) + 1
    return {
        "pre": rng.normal(size=(count, 4 * units)).astype(np.float32),
        "index": index,
        "lengths": lengths.astype(np.int64),
        "weight_hh": (rng.normal(size=(4 * units, units)) / np.sqrt(units)).astype(np.float32),
        "h0": rng.normal(size=(len(lengths), units)).astype(np.float32) * 0.1,
        "c0": rng.normal(size=(len(lengths), units)).astype(np.float32) * 0.1,
    }


def review_lengths(rng: np.random.Generator, count: int = 64) -> np.ndarray:
    """Lengths spread about as those of IMDB reviews: mean near 238, capped at 1000."""
    return np.clip(np.exp(rng.normal(5.2, 0.72, count)), 10, 1000).astype(np.int64)


def check(kernel: Native) -> None:
    """Largest error of every result against the reference in float64, relative to the largest value."""
    lengths = np.array([7, 0, 12, 1, 9, 9, 3, 20])
    for units in (1, 16, 100, 130):
        given = batch(lengths, units, 11, units)
        wide = {k: v.astype(np.float64) if v.dtype == np.float32 else v for k, v in given.items()}
        got, want = kernel.forward(**given), Reference().forward(**wide)
        rng = np.random.default_rng(1)
        grads = [rng.normal(size=s).astype(np.float32) for s in (got.h.shape, got.h_T.shape, got.c_T.shape)]
        assert got.tape is not None
        assert want.tape is not None
        back = kernel.backward(got.tape, *grads)
        oracle = Reference().backward(want.tape, *[g.astype(np.float64) for g in grads])
        for ours, theirs in [*zip(got[:3], want[:3], strict=True), *zip(back, oracle, strict=True)]:
            error = np.abs(ours - theirs).max() / np.abs(theirs).max()
            assert error < 1e-5, f"H = {units}: relative error {error:.1e}"


def interleaved(runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each, run in turns."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 2):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn >= 2:
                times[name].append(time.perf_counter() - start)
    return {name: float(np.median(t)) for name, t in times.items()}


def sgemm(threads: int) -> float:
    """FLOP/s of torch's float32 product of 1024 x 1024 matrices."""
    torch.set_num_threads(threads)
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    return 2 * 1024**3 / interleaved({"mm": lambda: torch.mm(a, b)}, 15)["mm"]


def ours(kernel: Native, given: dict[str, Any]) -> tuple[Callable[[], Any], Callable[[], Any]]:
    units, size = given["weight_hh"].shape[1], len(given["lengths"])
    ones = np.ones((size, units), np.float32)
    zeros = np.zeros((size, units), np.float32)

    def both() -> None:
        out = kernel.forward(**given)
        assert out.tape is not None
        kernel.backward(out.tape, None, ones, zeros)

    return (lambda: kernel.forward(**given)), both


def theirs(steps: int, size: int, units: int) -> Callable[[], Any]:
    lstm = torch.nn.LSTM(1, units, batch_first=True)
    x = torch.randn(size, steps, 1)

    def both() -> None:
        lstm.zero_grad()
        _, (h, _) = lstm(x)
        h.sum().backward()

    return both


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=9)
    options.add_argument("--isa", choices=isas(), default=isa())
    options.add_argument("--cases", default="tutorial,equal,one")
    options.add_argument("--units", default="100,128,256,512")
    chosen = options.parse_args()
    check(Native(isa=chosen.isa))
    rates = {threads: sgemm(threads) for threads in (1, 2)}
    print(f"{chosen.isa}: right; sgemm {rates[1] / 1e9:.0f} GFLOP/s on one thread, {rates[2] / 1e9:.0f} on two")
    if "tutorial" in chosen.cases:
        lengths = review_lengths(np.random.default_rng(0))
        given = batch(lengths, 100, 4300, 0)
        print(f"tutorial: {lengths.sum()} steps, longest {lengths.max()}, {len(given['pre'])} rows of pre")
        runs = {}
        for threads in (1, 2):
            forward, both = ours(Native(isa=chosen.isa, threads=threads), given)
            runs |= {f"forward, {threads}": forward, f"both, {threads}": both}
        for name, seconds in interleaved(runs, chosen.repeats).items():
            kind, threads = name.split(", ")
            share = FLOPS[kind] * 100**2 * lengths.sum() / seconds / rates[int(threads)]
            print(f"  {kind:8} {threads} thread(s): {1e3 * seconds:7.2f} ms, {100 * share:.0f}% of sgemm")
    if "equal" in chosen.cases:
        for units in map(int, chosen.units.split(",")):
            steps = 200 if units < 300 else 50
            given = batch(np.full(64, steps), units, None, units)
            for threads in (1, 2):
                torch.set_num_threads(threads)
                runs = {
                    "ours": ours(Native(isa=chosen.isa, threads=threads), given)[1],
                    "torch": theirs(steps, 64, units),
                }
                took = interleaved(runs, chosen.repeats)
                work = FLOPS["both"] * units**2 * 64 * steps
                each = [f"{n} {1e3 * t:.2f} ms ({100 * work / t / rates[threads]:.0f}%)" for n, t in took.items()]
                ratio = took["torch"] / took["ours"]
                print(f"equal, H {units}, {threads} thread(s): {', '.join(each)}: {ratio:.2f}x")
    if "one" in chosen.cases:
        given = batch(np.array([238]), 100, 200, 1)
        kernel = Native(isa=chosen.isa, threads=1)
        took = interleaved({"one": lambda: kernel.forward(**given, keep=False)}, 20 * chosen.repeats)
        print(f"one sequence of 238 steps, forward: {1e3 * took['one']:.3f} ms")


if __name__ == "__main__":
    main()
