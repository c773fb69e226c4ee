"""Data-parallel training on many machines, simulated from measurements on one; renders the tables of docs/scale.md.

    python -m benchmarks.scale [--check]

Reads benchmarks/results/data_parallel.json (`python -m benchmarks.data_parallel`). A step of N processes with b rows
each takes

    compute(b) + local + meet + dense + rows

    compute(b)   c + d b, fitted to the steps of one process with a whole, a half and a quarter batch
    local        what two processes took for the exchange above the next three terms: copies, the wait for each other
    meet         (N - 1) (L + 64 / W)                            the numbers of a step: a ring
    dense        2 (N - 1) (L + 4 P / (N W))                     all_reduce of P float32 numbers: a ring
    rows         (N - 1) (2 L + (8 + 4 D) r(b) / W)              the gradients of r(b) embedding rows of dimension D;
                 (N - 1) (3 L + (8 r(b) + 8 V D / N) / W)        where N r(b) >= 2 V, those of all V rows as one sum

L: seconds per message, which gloo takes on one machine and the network adds; W: bytes per second of the network or of
gloo, whichever are fewer; r(b) = k b^g, fitted to the rows that were read, at most V.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.data_parallel import RESULTS
from benchmarks.tables import write_pages

PAGE = "docs/scale.md"
_TABLE = re.compile(r"(<!-- benchmarks: ([a-z-]+) -->)\n.*?(<!-- end -->)", re.DOTALL)
_NONE = "Not measured yet: run `python -m benchmarks.data_parallel`."
WORKERS = (2, 8, 64, 1000)
NETWORKS = {"10 Gbit/s": (1.25e9, 30e-6), "100 Gbit/s": (12.5e9, 10e-6)}  # bytes per second, seconds per message
NAMES = {
    "tutorial": "tutorial (LSTM 100, 32 texts)",
    "finetune": "fine-tuning (2 x 512 units, 32 texts)",
    "pretrain": "pretraining (2 x 512 units, 64 streams of 70 tokens)",
}


@dataclass(frozen=True)
class Network:
    """latency: seconds per message; bandwidth: bytes per second."""

    latency: float
    bandwidth: float


@dataclass(frozen=True)
class Step:
    """The step of a recipe: compute(rows) = fixed + slope rows seconds; `dense` numbers; a `table` of so many rows of
    dimension `width`, of which scale rows^power are read; `local` seconds of an exchange that are not messages.
    """

    fixed: float
    slope: float
    dense: float
    table: float
    width: float
    scale: float
    power: float
    local: float = 0.0

    @classmethod
    def of(cls, case: Mapping[str, Any], local: Network) -> Step:
        """Fitted to the measurements of a case. local: gloo's network in them."""
        points = [(case["batch"] * share, case[name]) for name, share in (("1/4", 0.25), ("1/2", 0.5), ("1", 1.0))]
        slope, fixed = _line([rows for rows, _ in points], [run["step"] for _, run in points])
        logs = [(math.log(rows), math.log(run["rows"])) for rows, run in points]
        power, scale = _line([x for x, _ in logs], [y for _, y in logs])
        whole = case["1"]
        step = cls(max(0.0, fixed), slope, whole["dense"], whole["table"], whole["width"], math.exp(scale), power)
        more = case["two"]["exchange"] - step.messages(2, case["batch"] / 2, local)
        return replace(step, local=max(0.0, more))

    def compute(self, rows: float) -> float:
        """Seconds of a step of one process."""
        return self.fixed + self.slope * rows

    def messages(self, workers: int, rows: float, network: Network) -> float:
        """Seconds of the messages between so many processes with so many rows each."""
        latency, bandwidth, others = network.latency, network.bandwidth, workers - 1
        read: float = min(self.table, self.scale * rows**self.power)
        seconds = others * (latency + 64 / bandwidth)
        seconds += 2 * others * (latency + 4 * self.dense / (workers * bandwidth))
        if workers * read < 2 * self.table:
            return seconds + others * (2 * latency + (8 + 4 * self.width) * read / bandwidth)
        return seconds + others * (3 * latency + (8 * read + 8 * self.table * self.width / workers) / bandwidth)

    def efficiency(self, workers: int, rows: float, network: Network) -> float:
        """Share of the step that is not exchange, with so many rows per process."""
        compute = self.compute(rows)
        exchange = self.local + self.messages(workers, rows, network) if workers > 1 else 0.0
        return compute / (compute + exchange)

    def least_rows(self, workers: int, network: Network, efficiency: float = 0.5) -> int | None:
        """The fewest rows per process with that efficiency; None above 1,000,000."""
        rows = 1
        while rows <= 1_000_000:
            if self.efficiency(workers, rows, network) >= efficiency:
                return rows
            rows = max(rows + 1, int(rows * 1.05))
        return None


def gloo(results: Mapping[str, Any]) -> Network:
    """gloo between two processes of one machine: all_reduce of n bytes takes 2 (L + n / (2 W)) seconds."""
    times = {int(size) * 4: seconds for size, seconds in results["all_reduce"].items()}
    small, large = min(times), max(times)
    return Network(times[small] / 2, (large - small) / (times[large] - times[small]))


def _line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Slope and value at 0 of the line through the points with the least squared error."""
    mx, my = sum(x) / len(x), sum(y) / len(y)
    slope = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / sum((a - mx) ** 2 for a in x)
    return slope, my - slope * mx


def measured(results: Mapping[str, Any]) -> str:
    """The table of one and two processes."""
    lines = ["| step | one process | two processes | speed-up | efficiency | exchange | its messages |"]
    lines.append("|---|---:|---:|---:|---:|---:|---:|")
    network = gloo(results)
    for name, case in results["cases"].items():
        one, two = case["1"], case["two"]
        modelled = Step.of(case, network).messages(2, case["batch"] / 2, network)
        lines.append(
            f"| {NAMES[name]} | {1e3 * one['step']:.1f} ms | {1e3 * two['step']:.1f} ms | {case['speedup']:.2f}x "
            f"| {100 * case['speedup'] / 2:.0f}% | {1e3 * two['exchange']:.1f} ms | {1e3 * modelled:.1f} ms |"
        )
    where = f"{results['when'][:10]}, {results['machine']['processor']}, {results['machine']['cores']} cores"
    speed = f"{1e6 * network.latency:.0f} µs per message, {network.bandwidth / 1e9:.1f} GB/s"
    return "\n".join([*lines, "", f"{where}. gloo on this machine: {speed}."])


def simulated(results: Mapping[str, Any]) -> str:
    """The table of many machines."""
    local = gloo(results)
    head = ["| step | network | " + " | ".join(f"{n:,} processes" for n in WORKERS[1:]) + " |"]
    lines = [*head, "|---|---|" + "---:|" * (len(WORKERS) - 1)]
    for name, case in results["cases"].items():
        step = Step.of(case, local)
        for title, (bandwidth, latency) in NETWORKS.items():
            network = Network(local.latency + latency, min(local.bandwidth, bandwidth))
            cells = []
            for workers in WORKERS[1:]:
                share = step.efficiency(workers, case["batch"], network)
                least = step.least_rows(workers, network)
                fewest = "more than 1,000,000 rows" if least is None else f"{least:,} row{'s' if least > 1 else ''}"
                cells.append(f"{100 * share:.0f}%, {workers * share:.0f}x; {fewest}")
            lines.append(f"| {NAMES[name]} | {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


TABLES = {"data-parallel": measured, "many-machines": simulated}


def rendered(page: str, results: Mapping[str, Any] | None) -> str:
    """The page with its tables. KeyError for an unknown table."""

    def table(match: re.Match[str]) -> str:
        render = TABLES[match[2]]
        return f"{match[1]}\n{_NONE if results is None else render(results)}\n{match[3]}"

    return _TABLE.sub(table, page)


def main(arguments: Sequence[str] | None = None) -> int:
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else None
    return write_pages("benchmarks.scale", __doc__, (PAGE,), lambda page: rendered(page, results), arguments)


if __name__ == "__main__":
    sys.exit(main())
