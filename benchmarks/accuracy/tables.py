"""The tables of accuracy, from results/accuracy.json: `python -m benchmarks.tables` writes them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.accuracy.rows import ROWS

Results = Mapping[str, Any]


def _four(values: Sequence[float]) -> str:
    """The mean, and each value in brackets if there are several."""
    each = f" ({', '.join(f'{value:.4f}' for value in values)})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{each}"


def _rows(results: Results) -> str:
    lines = ["| row | training | accuracy, mean (each seed) | network alone | n-grams alone | minutes | threads |"]
    lines.append("|---|---|---|---:|---:|---:|---:|")
    for row in ROWS:
        seeds = results.get("rows", {}).get(row.name, {})
        if not seeds:
            lines.append(f"| `{row.name}` | {row.what} | not measured yet | | | | |")
            continue
        found = [seeds[seed] for seed in sorted(seeds, key=int)]
        alone = [
            f"{statistics.mean(one[part] for one in found):.4f}" if all(part in one for one in found) else ""
            for part in ("network_accuracy", "ngrams_accuracy")
        ]
        accuracy = _four([one["accuracy"] for one in found])
        lines.append(f"| `{row.name}` | {row.what} | {accuracy} | {' | '.join(alone)} | {_minutes(found)} |")
    return "\n".join(lines)


def _minutes(found: list[dict[str, Any]]) -> str:
    """Two cells: mean minutes, and threads; both of each seed where the seeds differ in threads."""
    minutes, threads = [one["seconds"] / 60 for one in found], [str(one.get("threads", 2)) for one in found]
    if len(set(threads)) == 1:
        return f"{statistics.mean(minutes):.1f} | {threads[0]}"
    return f"{'; '.join(f'{one:.0f}' for one in minutes)} | {'; '.join(threads)}"


def _cores(count: int) -> str:
    return "1 core" if count == 1 else f"{count} cores"


def _environment(results: Results) -> str:
    every = [one for seeds in results.get("rows", {}).values() for one in seeds.values()]
    machines = sorted({f"{one['machine']['processor']}, {_cores(one['machine']['cores'])}" for one in every})
    versions = sorted({f"{name} {version}" for one in every for name, version in one["versions"].items()})
    dates = sorted({one["date"][:10] for one in every})
    return f"{'; '.join(machines)}; {' to '.join(sorted({dates[0], dates[-1]}))}; {', '.join(versions)}."


TABLES: dict[str, Callable[[Results], str]] = {
    "rows": _rows,
    "environment": _environment,
}
