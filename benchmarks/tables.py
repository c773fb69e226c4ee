"""Render the tables of the pages named below from what a full run wrote, between marker comments.

    python -m benchmarks.tables [--check]

A marker is `<!-- benchmarks: NAME -->` and the table goes on to `<!-- end -->`. With --check nothing is written, and
the exit status is 1 where a page is not what the results say.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bars import BARS, Bar

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = ("README.md", "docs/benchmarks.md", "docs/kernels.md")
_PART = re.compile(r"^([ ]*)(<!-- benchmarks: ([a-z0-9-]+) -->)\n.*?(<!-- end -->)", re.DOTALL | re.MULTILINE)
_NONE = "Not measured yet: `make bench` does it."
_SHORT = (
    "step_vs_torch_padded",
    "step_vs_keras",
    "step_masked_vs_torch_packed",
    "step_bucketed_vs_torch",
    "recurrence_h128_vs_torch",
    "inference_vs_onnxruntime",
    "latency_vs_onnxruntime",
)

Full = Mapping[str, Any]
Summary = Mapping[str, float | None]


def shown(bar: Bar, value: float | None) -> str:
    """A figure or a limit with its unit."""
    if value is None:
        return "–"
    return f"{100 * value:.0f}%" if bar.unit == "%" else f"{value:.2f}x"


def _bars(bars: Sequence[Bar], summary: Summary) -> str:
    lines = ["| what | measured | wanted | |", "|---|---:|---:|---|"]
    for bar in bars:
        value = summary.get(bar.name)
        wanted = "" if bar.want is None else f"{'under' if bar.most else 'from'} {shown(bar, bar.want)}"
        met = ""
        if value is None:
            met = "not measured"
        elif bar.want is not None:
            met = "met" if (value <= bar.want if bar.most else value >= bar.want) else "**missed**"
        lines.append(f"| {bar.what} | {shown(bar, value)} | {wanted} | {met} |")
    return "\n".join(lines)


def _group(forced: str | None) -> Callable[[Full, Summary], str]:
    """The table of bars for gatewise as it comes (None), or forced to avx2, portable or bf16."""

    def table(full: Full, summary: Summary) -> str:
        starts = ("avx2_", "portable_", "bf16_")
        chosen = [b for b in BARS if (b.name.startswith(f"{forced}_") if forced else not b.name.startswith(starts))]
        return _bars(chosen, summary)

    return table


def _short(full: Full, summary: Summary) -> str:
    lines = ["| what | ratio |", "|---|---:|"]
    lines += [f"| {bar.what} | {shown(bar, summary.get(bar.name))} |" for bar in BARS if bar.name in _SHORT]
    return "\n".join([*lines, "", f"{_machine(full)} Command: `make bench`."])


def _machine(full: Full) -> str:
    machine = full["machine"]
    return f"Two threads where not said otherwise; {machine['processor']}, {machine['cores']} cores; {full['date']}."


def _times(full: Full, summary: Summary) -> str:
    """Every contender of every case."""
    lines = [
        "| case | contender | threads | median | share of sgemm | largest difference |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, case in full["cases"].items():
        rows = {n: row for n, row in case["contenders"].items() if "seconds" in row and not n.startswith("sgemm")}
        yardsticks = [row["seconds"] for n, row in case["contenders"].items() if n.startswith("sgemm")]
        for contender, row in rows.items():
            share = f"{100 * min(yardsticks) * case['scale'] / row['seconds']:.0f}%" if yardsticks else ""
            differs = f"{row['difference']:.0e}" if row.get("difference") else ""
            figures = f"{row['threads']} | {_duration(row['seconds'])} | {share} | {differs}"
            lines.append(f"| {name} | {contender} | {figures} |")
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    return f"{1e3 * seconds:.3f} ms" if seconds < 0.01 else f"{1e3 * seconds:.1f} ms"


def _yardsticks(full: Full, summary: Summary) -> str:
    lines = ["| case | product | GFLOP/s |", "|---|---|---:|"]
    for name, case in full["cases"].items():
        for contender, row in case["contenders"].items():
            if contender.startswith("sgemm") and "seconds" in row:
                lines.append(f"| {name} | {row['about']['settings']} | {1 / row['seconds']:.0f} |")
    return "\n".join(lines)


def _settings(full: Full, summary: Summary) -> str:
    """Each peer's settings, and what the other choices gave."""
    lines = ["| case | contender | settings | also tried |", "|---|---|---|---|"]
    for name, case in full["cases"].items():
        for contender, row in case["contenders"].items():
            if "seconds" not in row or not _is_peer(contender):
                continue
            chosen = row["about"]["settings"]
            others = [f"{what}: {_duration(t)}" for what, t in row.get("tried", {}).items() if what != chosen]
            lines.append(f"| {name} | {contender} | {chosen} | {'; '.join(others)} |")
    return "\n".join(lines)


def _is_peer(contender: str) -> bool:
    """Whether a contender is another library, and not gatewise under a name that says what it was given."""
    return contender.startswith(("torch", "keras", "onnxruntime"))


def _where(full: Full, summary: Summary) -> str:
    versions: dict[str, str] = {}
    for case in full["cases"].values():
        for row in case["contenders"].values():
            versions |= {k: v for k, v in row.get("about", {}).items() if k != "settings"}
    named = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    machine = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in full["machine"].items())
    commit = full["revision"] or "unknown"
    newer = [
        f"`{name}` {case['date']}, commit {case['revision']}"
        for name, case in full["cases"].items()
        if case.get("date", full["date"]) != full["date"]
    ]
    lines = [
        f"Measured {full['date']}, commit {commit}, `{full['command']}`, {full['minutes']} minutes.",
        *([f"Measured again since then: {'; '.join(newer)}."] if newer else []),
        f"Machine: {machine}.",
        f"Versions: {named}.",
        f"Data: {full['data']}.",
    ]
    return "\n".join(lines)


def _ladder(full: Full, summary: Summary) -> str:
    """Every rung, and what it gained over the one below."""
    lines = ["| rung | time | of the first | over the one before |", "|---|---:|---:|---:|"]
    rows = {n: r["seconds"] for n, r in full["cases"].get("ladder", {}).get("contenders", {}).items() if "seconds" in r}
    first = before = next(iter(rows.values()), 0.0)
    for name, seconds in rows.items():
        gained = "" if seconds == first else f"{before / seconds:.1f}x"
        lines.append(f"| {name} | {_duration(seconds)} | {first / seconds:.0f}x | {gained} |")
        before = seconds
    return "\n".join(lines)


def _sentence(full: Full, summary: Summary) -> str:
    """For the top of README."""
    pairs = [("step_vs_torch_padded", "`torch.nn.LSTM` on padded batches"), ("step_vs_keras", "Keras 3 on TensorFlow")]
    said = [f"{summary[name]:.1f} times as fast as with {peer}" for name, peer in pairs if summary.get(name)]
    where = "([how, and what else](docs/benchmarks.md))"
    return f"A whole training step of the tutorial recipe is {' and '.join(said)}\n{where}."


_TABLES: dict[str, Callable[[Full, Summary], str]] = {
    "sentence": _sentence,
    "short": _short,
    "bars": _group(None),
    "avx2": _group("avx2"),
    "portable": _group("portable"),
    "bf16": _group("bf16"),
    "times": _times,
    "sgemm": _yardsticks,
    "settings": _settings,
    "where": _where,
    "ladder": _ladder,
}


def rendered(page: str, full: Full | None, summary: Summary) -> str:
    """The page with every marked part as the results say (None: there are none). KeyError for a marker that names no
    table.
    """

    def put(part: re.Match[str]) -> str:
        made = _TABLES[part[3]]
        lines = [part[2], *(_NONE if full is None else made(full, summary)).splitlines(), part[4]]
        return "\n".join(f"{part[1]}{line}" if line else "" for line in lines)

    return _PART.sub(put, page)


def results(folder: Path = RESULTS) -> tuple[Full | None, Summary]:
    """What the last full run wrote; None and nothing before the first."""
    found = [folder / f"{name}.json" for name in ("full", "summary")]
    if not all(path.exists() for path in found):
        return None, {}
    full, summary = (json.loads(path.read_text(encoding="utf-8")) for path in found)
    return full, summary


def write_pages(
    module: str, about: str | None, pages: Sequence[str], render: Callable[[str], str], arguments: Sequence[str] | None
) -> int:
    """The command line of a module that renders `pages`: writes them, or with --check says which are not as they
    should be. The exit status.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=about)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 where a page differs from the results")
    check = parser.parse_args(arguments).check
    stale = []
    for name in pages:
        path = ROOT / name
        page = path.read_text(encoding="utf-8")
        wanted = render(page)
        if page != wanted:
            stale.append(name)
            if not check:
                path.write_text(wanted, encoding="utf-8")
    if check and stale:
        print(f"{', '.join(stale)}: not what benchmarks/results says; run python -m {module}", file=sys.stderr)
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    full, summary = results()
    return write_pages("benchmarks.tables", __doc__, PAGES, lambda page: rendered(page, full, summary), arguments)


if __name__ == "__main__":
    sys.exit(main())
