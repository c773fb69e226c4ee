"""Accuracy on the IMDB test half, row by row.

    python -m benchmarks.accuracy --data aclImdb_v1.tar.gz [--rows NAME ...] [--seeds 0 1 2] [--quick]

Each row trains on the archive's texts alone and is measured once. Results go into results/accuracy.json as they are
measured, with seed, machine, versions and time; docs/accuracy.md is rendered from it (`python -m benchmarks.tables`).
Pretrained models are kept in --pretrained, for all rows of a seed; their time counts in each. --quick takes a
twentieth of the reviews, prints, and writes nothing.
"""

from __future__ import annotations

import argparse
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.accuracy.rows import BASELINES, ROWS, Reviews
from benchmarks.machine import machine, now, revision
from gatewise.kernels.threads import threads

RESULTS = Path(__file__).resolve().parents[1] / "results" / "accuracy.json"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the official archive or its folder")
    parser.add_argument("--rows", nargs="+", metavar="NAME", help=f"of {', '.join(row.name for row in ROWS)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--pretrained", type=Path, default=Path("build", "pretrained"), help="pretrained models")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="save each row's model there, as NAME-SEED")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the reviews; write nothing")
    options = parser.parse_args()
    names = options.rows or [row.name for row in ROWS]
    unknown = sorted(set(names) - {row.name for row in ROWS})
    if unknown:
        parser.error(f"no row is called {unknown[0]}")
    reviews = Reviews(options.data, 0.05 if options.quick else 1.0)
    folder = options.pretrained / ("quick" if options.quick else "full")
    folder.mkdir(parents=True, exist_ok=True)
    for row in (row for row in ROWS if row.name in names):
        for seed in options.seeds[:1] if row in BASELINES else options.seeds:
            out = options.save and options.save / f"{row.name}-{seed}"
            figures = row.run(reviews, seed, folder, out)
            print(row.name, "seed", seed, figures, flush=True)
            if not options.quick:
                _save_row(row.name, seed, figures | _environment())


def _environment() -> dict[str, Any]:
    """Machine, versions, date and commit of a figure."""
    versions = {name: version(name) for name in ("numpy", "scipy", "scikit-learn", "tokenizers")}
    return {
        "machine": machine(),
        "threads": threads(),
        "versions": versions,
        "date": now(),
        "revision": revision(),
    }


def _save_row(name: str, seed: int, figures: dict[str, Any]) -> None:
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    results.setdefault("rows", {}).setdefault(name, {})[str(seed)] = figures
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
