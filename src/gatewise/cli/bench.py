"""`gatewise bench`: how fast this machine's LSTM is, by itself and beside torch.nn.LSTM where torch is installed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewise.cli.common import JsonOption, console, print_json

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["bench"]


def bench(
    quick: Annotated[
        bool, typer.Option("--quick", help="Small batches and few turns: a look whether it runs, no measurement.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="All instruction sets that can run here, and bfloat16.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure this machine: the kernel, a training step, inference. Random data; under a minute.

    \b
    gatewise bench
    gatewise bench --all --json
    """
    from gatewise.cli.bench_run import machine, run

    found = machine(every)
    if not as_json:
        _print_machine(found)
    found |= run(found, quick=quick, note=lambda text: print(f"measuring {text}", file=sys.stderr))
    if as_json:
        print_json(found)
        return
    show = console()
    print(
        f"\nThe recurrence alone, {found['sequences']} sequences. fwd: forward with its tape; both: with backward.\n"
        "share: of NumPy's own sgemm, in turns with it.\n"
    )
    show.print(_kernel_table(found))
    print(
        f"\nsgemm      {_rates('NumPy', found['sgemm']['numpy'])}{_rates('; torch', found['sgemm']['torch'])} GFLOP/s"
    )
    for row in found["inference"]:
        print(f"inference  {row['words_per_s'] / 1e3:,.0f} thousand words/s, {_threads(row['threads'])}")
    for row in found["latency"]:
        print(f"latency    {row['ms']:.2f} ms for one review of {row['words']} words, {_threads(row['threads'])}")
    if found["training"]:
        print("\nA whole training step of the tutorial's network, 64 random reviews: embedding, LSTM, loss, Adam\n")
        show.print(_training_table(found))
    for reason in found["not_measured"]:
        print(f"\nnot measured: {reason}")
    print(f"\nright, before anything was timed: largest relative error {found['error']:.0e}")
    if quick:
        print("--quick: these figures say that it runs, not how fast")


def _print_machine(found: dict[str, Any]) -> None:
    print(
        f"gatewise   {found['gatewise']}, {found['python']}, NumPy {found['numpy']}, torch {found['torch'] or 'none'}"
    )
    print(f"machine    {found['machine']}")
    print(f"kernel     {', '.join(found['isas']) or 'the reference, far slower'}; {_threads(found['threads'])}")
    print(f"data       {found['data']}")
    if found["load"] > 0.5:
        print(f"busy       {found['load']:.1f} processes ran in the last minute: nothing here is as fast as it can be")
    sys.stdout.flush()


def _threads(count: int) -> str:
    return f"{count} thread{'' if count == 1 else 's'}"


def _rates(name: str, rates: dict[str, float]) -> str:
    each = [f"{rate:.0f} on {_threads(int(threads))}" for threads, rate in rates.items()]
    return f"{name} {', '.join(each)}" if each else ""


def _kernel_table(found: dict[str, Any]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("kernel", min_width=8, no_wrap=True)
    for name in ("H", "thr.", "steps", "fwd ms", "GFLOP/s", "share", "both ms", "GFLOP/s", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in found["kernel"]:
        cells = [row["isa"] or row["kernel"], str(row["units"]), str(row["threads"]), f"{row['steps']:,}"]
        for name in ("forward", "both"):
            cells += [f"{row[name]['ms']:.2f}", f"{row[name]['gflops']:.1f}", f"{row[name]['share']:.0%}"]
        table.add_row(*cells)
    return table


def _training_table(found: dict[str, Any]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("the same function")
    for name in ("threads", "gatewise ms", "nn.LSTM ms", "ratio"):
        table.add_column(name, justify="right")
    table.add_column("torch's threads wait")
    for row in found["training"]:
        cells = [str(row["threads"]), f"{row['ours_ms']:.1f}", f"{row['torch_ms']:.1f}", f"{row['ratio']:.1f}x"]
        table.add_row(row["what"], *cells, row["torch_waits"])
    return table
