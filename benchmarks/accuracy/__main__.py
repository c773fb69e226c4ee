"""Accuracy on the IMDB test half, row by row.

    python -m benchmarks.accuracy --data aclImdb_v1.tar.gz [--rows NAME ... | --parts | --few]
        [--seeds 0 1 2] [--quick]

Each row trains from the archive's text alone and is measured once; --parts are the rows of `large` with one part of it
changed. Rows go into results/accuracy.json as they are done, beside the seed, the machine, the versions and the time;
docs/accuracy.md is rendered from it (`benchmarks.accuracy.tables`). Bases are kept in --bases, so that rows of one seed
share theirs; their time counts in each. --quick takes a twentieth of the reviews, prints, and writes nothing.
"""

from __future__ import annotations

import argparse
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.accuracy.data import Reviews
from benchmarks.accuracy.few import LABELS, few_labels
from benchmarks.accuracy.parts import PARTS
from benchmarks.accuracy.rows import ROWS
from benchmarks.machine import machine, now, revision
from gatewise.kernels.threads import threads

ALL = (*ROWS, *PARTS)
RESULTS = Path(__file__).resolve().parents[1] / "results" / "accuracy.json"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the official archive or its folder")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--rows", nargs="+", metavar="NAME", help=f"of {', '.join(row.name for row in ALL)}")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    which.add_argument("--parts", action="store_true", help="the rows with one part of `large` changed")
    which.add_argument("--few", action="store_true", help="few labels, instead of rows")
    parser.add_argument("--size", default="large", help="of the base, for few labels")
    parser.add_argument("--labels", nargs="*", type=int, default=list(LABELS), help="for few labels: how many")
    parser.add_argument("--draws", nargs="*", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--bases", type=Path, default=Path("build") / "bases", help="where bases are kept")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep each row's model there, as NAME-SEED")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    wanted = given.rows or [row.name for row in (PARTS if given.parts else ROWS)]
    chosen = [row for row in ALL if row.name in wanted]
    unknown = sorted(set(wanted) - {row.name for row in ALL})
    if unknown:
        parser.error(f"no row is called {unknown[0]}")
    reviews = Reviews(given.data, 0.05 if given.quick else 1.0)
    folder = given.bases / ("quick" if given.quick else "full")
    folder.mkdir(parents=True, exist_ok=True)
    if given.few:
        for found in few_labels(reviews, given.size, given.seeds[0], given.draws, given.labels, folder):
            print(found, flush=True)
            if not given.quick:
                _note("few", {"rows": [found | {"size": given.size} | _where()]})
        return
    for row in chosen:
        for seed in given.seeds[:1] if row.name in ("tfidf12", "nb13") else given.seeds:
            out = given.keep and given.keep / f"{row.name}-{seed}"
            figures = row.run(reviews, seed, folder, out)
            print(row.name, "seed", seed, figures, flush=True)
            if not given.quick:
                _note("rows", {row.name: {str(seed): figures | _where()}})


def _where() -> dict[str, Any]:
    """Machine, versions, date and commit of a figure."""
    versions = {name: version(name) for name in ("numpy", "torch", "scikit-learn", "tokenizers")}
    return {
        "machine": machine(),
        "threads": threads(),
        "versions": versions,
        "date": now(),
        "revision": revision(),
    }


def _note(part: str, found: dict[str, Any]) -> None:
    """Put what was found into the results, beside what is there."""
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    if part == "rows":
        for name, seeds in found.items():
            results.setdefault("rows", {}).setdefault(name, {}).update(seeds)
    else:  # a draw that was measured before gives way
        done = {(row["labels"], row["draw"]) for row in found["rows"]}
        old = [row for row in results.get(part, {}).get("rows", []) if (row["labels"], row["draw"]) not in done]
        results[part] = found | {"rows": old + found["rows"]}
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
