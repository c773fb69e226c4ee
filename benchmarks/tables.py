"""Render the benchmark tables of the documentation from benchmarks/results, between marker comments.

    python -m benchmarks.tables [--check | --print NAME]

A marker is `<!-- benchmarks: NAME -->` or `<!-- accuracy: NAME -->`; the table ends at `<!-- end -->`. --check writes
nothing and exits with 1 if a page differs from the results. The tables of SITE_TABLES stand in no page of docs/:
`make docs` makes them for the site, and --print prints them.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from benchmarks.accuracy import ROWS
from benchmarks.machine import MAX_OTHER_LOAD, ROOT
from benchmarks.site_tables import OTHER_TABLES
from benchmarks.targets import TARGETS, Target, summary

RESULTS = ROOT / "benchmarks" / "results"
PAGES = ("README.md", "docs/accuracy.md", "docs/benchmarks.md", "docs/kernels.md")
_MARKED = re.compile(
    r"^([ ]*)(<!-- (benchmarks|accuracy): ([a-z0-9-]+) -->)\n.*?(<!-- end -->)", re.DOTALL | re.MULTILINE
)

Results = Mapping[str, Any]  # of full.json or accuracy.json


def format_value(target: Target, value: float | None) -> str:
    """A figure or a goal with its unit."""
    if value is None:
        return "–"
    return f"{100 * value:.0f}%" if target.unit == "%" else f"{value:.2f}x"


def _targets(variant: str | None) -> Callable[[Results], str]:
    """The target table of the default settings (None) or of avx2, portable or bf16."""
    prefix = ("avx2_", "portable_", "bf16_") if variant is None else f"{variant}_"

    def table(full: Results) -> str:
        figures = summary(full["cases"])
        lines = ["| benchmark | measured | target | |", "|---|---:|---:|---|"]
        for target in (one for one in TARGETS if one.name.startswith(prefix) == (variant is not None)):
            value = figures[target.name]
            goal = ""
            if target.goal is not None:
                goal = f"{'at most' if target.is_limit else 'at least'} {format_value(target, target.goal)}"
            status = ""
            if value is None:
                status = "not measured"
            elif target.goal is not None:
                met = value <= target.goal if target.is_limit else value >= target.goal
                status = "met" if met else "**missed**"
            lines.append(f"| {target.description} | {format_value(target, value)} | {goal} | {status} |")
        return "\n".join(lines)

    return table


def _times(full: Results) -> str:
    """Every contender of every case."""
    lines = [
        "| case | contender | threads | median | share of sgemm | largest difference |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, case in full["cases"].items():
        rows = {n: row for n, row in case["contenders"].items() if "seconds" in row and not n.startswith("sgemm")}
        sgemm = [row["seconds"] for n, row in case["contenders"].items() if n.startswith("sgemm")]
        first = next(iter(case["contenders"]))  # with which the others are compared
        for contender, row in rows.items():
            share = f"{100 * min(sgemm) * case['scale'] / row['seconds']:.0f}%" if sgemm else ""
            difference = None if contender == first else row.get("max_relative_difference")
            shown = "" if difference is None else f"{difference:.0e}" if difference else "0"
            cells = [str(row["threads"]), _duration(row["seconds"]), share, shown]
            lines.append(f"| {name} | {contender} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    return f"{1e3 * seconds:.3f} ms" if seconds < 0.01 else f"{1e3 * seconds:.1f} ms"


def _settings(full: Results) -> str:
    """The settings of each other library, and the times of the variants that were slower."""
    lines = ["| case | contender | settings | also tried |", "|---|---|---|---|"]
    for name, case in full["cases"].items():
        for contender, row in case["contenders"].items():
            if "seconds" not in row or not contender.startswith(("torch", "keras", "onnxruntime", "openvino")):
                continue
            chosen = row["info"]["settings"]
            others = [f"{what}: {_duration(t)}" for what, t in row.get("variants", {}).items() if what != chosen]
            lines.append(f"| {name} | {contender} | {chosen} | {'; '.join(others)} |")
    return "\n".join(lines)


def _environment(full: Results) -> str:
    versions: dict[str, str] = {}
    for case in full["cases"].values():
        for row in case["contenders"].values():
            versions |= {k: v for k, v in row.get("info", {}).items() if k != "settings"}
    packages = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    machine = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in full["machine"].items())
    disturbed = [
        f"`{name}` ({case['other_load']:.2f})"
        for name, case in full["cases"].items()
        if case.get("other_load", 0) > MAX_OTHER_LOAD
    ]
    lines = [
        f"Measured {full['date']}, commit {full['commit'] or '?'}, `{full['command']}`, {full['minutes']} minutes.",
        f"Machine: {machine}.",
        *([f"Processors that other processes used during a case: {', '.join(disturbed)}."] if disturbed else []),
        f"Versions: {packages}.",
        f"Data: {full['data']}.",
    ]
    return "\n".join(lines)


def _kernels(full: Results) -> str:
    """Every kernel, and its speed-up over the first and over the previous one."""
    lines = ["| kernel | time | speed-up | over the previous row |", "|---|---:|---:|---:|"]
    contenders = full["cases"].get("kernels", {}).get("contenders", {})
    rows = {name: row["seconds"] for name, row in contenders.items() if "seconds" in row}
    first = previous = next(iter(rows.values()), 0.0)
    for name, seconds in rows.items():
        gain = "" if seconds == first else f"{previous / seconds:.1f}x"
        lines.append(f"| {name} | {_duration(seconds)} | {first / seconds:.0f}x | {gain} |")
        previous = seconds
    return "\n".join(lines)


def _sentence(full: Results) -> str:
    """The sentence at the top of README.md."""
    pairs = [("step_vs_torch_padded", "`torch.nn.LSTM` on padded batches"), ("step_vs_keras", "Keras 3 on TensorFlow")]
    figures = summary(full["cases"])
    ratios = [f"{figures[name]:.1f} times as fast as with {peer}" for name, peer in pairs if figures[name]]
    return f"A training step of the tutorial recipe is {' and '.join(ratios)}\n([benchmarks](docs/benchmarks.md))."


def _accuracy(results: Results) -> str:
    lines = ["| row | training | accuracy, mean (each seed) | network alone | n-grams alone | minutes | threads |"]
    lines.append("|---|---|---|---:|---:|---:|---:|")
    for row in ROWS:
        seeds = results["rows"].get(row.name, {})
        if not seeds:
            lines.append(f"| `{row.name}` | {row.what} | not measured yet | | | | |")
            continue
        found = [seeds[seed] for seed in sorted(seeds, key=int)]
        alone = [
            f"{statistics.mean(one[part] for one in found):.4f}" if all(part in one for one in found) else ""
            for part in ("network_accuracy", "ngrams_accuracy")
        ]
        every = [one["accuracy"] for one in found]
        each = f" ({', '.join(f'{value:.4f}' for value in every)})" if len(every) > 1 else ""
        accuracy = f"{statistics.mean(every):.4f}{each}"
        lines.append(f"| `{row.name}` | {row.what} | {accuracy} | {' | '.join(alone)} | {_minutes(found)} |")
    return "\n".join(lines)


def _minutes(found: list[dict[str, Any]]) -> str:
    """Two cells: mean minutes, and threads; both of each seed where the seeds differ in threads."""
    minutes, threads = [one["seconds"] / 60 for one in found], [str(one.get("threads", 2)) for one in found]
    if len(set(threads)) == 1:
        return f"{statistics.mean(minutes):.1f} | {threads[0]}"
    return f"{'; '.join(f'{one:.0f}' for one in minutes)} | {'; '.join(threads)}"


_TABLES: dict[str, dict[str, Callable[[Results], str]]] = {
    "accuracy": {"rows": _accuracy},
    "benchmarks": {
        "sentence": _sentence,
        "targets": _targets(None),
        "bf16": _targets("bf16"),
        "environment": _environment,
        "kernels": _kernels,
    },
}


def _of_full(table: Callable[[Results], str]) -> str:
    """A table of the recorded benchmarks of speed."""
    return table(json.loads((RESULTS / "full.json").read_text(encoding="utf-8")))


# In Markdown, by the NAME of the marker `<!-- site: benchmark-NAME -->`.
SITE_TABLES: dict[str, Callable[[], str]] = {
    "avx2": partial(_of_full, _targets("avx2")),
    "portable": partial(_of_full, _targets("portable")),
    "times": partial(_of_full, _times),
    "settings": partial(_of_full, _settings),
    **OTHER_TABLES,
}


def rendered(page: str, results: Mapping[str, Results]) -> str:
    """The page with every marked part rendered from the results of its kind. KeyError for an unknown marker."""

    def render(part: re.Match[str]) -> str:
        table = _TABLES[part[3]][part[4]](results[part[3]])
        return "\n".join(f"{part[1]}{line}" if line else "" for line in (part[2], *table.splitlines(), part[5]))

    return _MARKED.sub(render, page)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or with --check report the outdated ones. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is outdated")
    parser.add_argument("--print", choices=SITE_TABLES, dest="name", help="print this table of the site and exit")
    options = parser.parse_args(arguments)
    if options.name is not None:
        print(SITE_TABLES[options.name]())
        return 0
    check = options.check
    outdated = []
    files = {"accuracy": "accuracy.json", "benchmarks": "full.json"}
    results = {kind: json.loads((RESULTS / name).read_text(encoding="utf-8")) for kind, name in files.items()}
    for name in PAGES:
        page = (ROOT / name).read_text(encoding="utf-8")
        new = rendered(page, results)
        if page != new:
            outdated.append(name)
            if not check:
                (ROOT / name).write_text(new, encoding="utf-8")
    if check and outdated:
        print(f"{', '.join(outdated)}: outdated; run python -m benchmarks.tables", file=sys.stderr)
    return int(check and bool(outdated))


if __name__ == "__main__":
    sys.exit(main())
