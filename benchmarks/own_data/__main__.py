"""Accuracy on data sets that ship inside PyPI packages, compared with other libraries in the same run.

    python -m benchmarks.own_data PART --peers VENV [--only NAME ...] [--seeds N] [--alone]

PART is forecast, forecast_gain, series or text. VENV is a virtual environment with the packages whose files are the
data, and with the peers: statsforecast for forecasts, aeon for series; scikit-learn is here. The sets that are measured
are replaced in results/own_data_PART.json. Nothing is chosen on a test part. Taggers have a command of their own,
`python -m benchmarks.own_data.tagging`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, machine, now, revision
from benchmarks.own_data import forecast, forecast_gain, series, text

PARTS: dict[str, Any] = {"forecast": forecast, "forecast_gain": forecast_gain, "series": series, "text": text}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_data", description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--peers", type=Path, default=ROOT / ".venv-peers", help="with the peers and the data")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="data sets; default: all")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0, 1, ... of gatewise")
    parser.add_argument("--alone", action="store_true", help="without the peers; prints, and writes nothing")
    options = parser.parse_args()
    part = PARTS[options.part]
    path = ROOT / "benchmarks" / "results" / f"own_data_{options.part}.json"
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    packages = next(options.peers.glob("lib/python3*/site-packages"), None)
    if packages is None:
        parser.error(f"{options.peers} is no virtual environment")
    sets = part.sets(packages)
    names = options.only or list(sets)
    if unknown := set(names) - set(sets):
        parser.error(f"no data set is called {min(unknown)}; there are {', '.join(sets)}")
    for name in names:
        found = part.measured(sets[name], options.seeds, None if options.alone else options.peers)
        about = {"machine": machine(), "date": now(), "revision": revision()}
        results[name] = (results.get(name, {}) if options.alone else {}) | found | about
        print(part.line(name, found), flush=True)
        if not options.alone:
            path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(part.summary(results))


if __name__ == "__main__":
    main()
