"""`python -m benchmarks.own_data text`: gatewise's default and scikit-learn on texts; results/own_data_text.json."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from typing import Any

import numpy as np

from benchmarks.machine import ROOT, machine, now, revision
from benchmarks.own_data.text_contenders import CONTENDERS, SEEDLESS
from benchmarks.own_data.text_sets import TEXT_SETS

RESULTS = ROOT / "benchmarks" / "results" / "own_data_text.json"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_data text", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"sets of {', '.join(s.name for s in TEXT_SETS)}")
    parser.add_argument("--contenders", nargs="+", metavar="NAME", default=list(CONTENDERS))
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0, 1, ... of gatewise")
    parser.add_argument("--packages", default=sysconfig.get_path("purelib"), help="site-packages with the data sets")
    parser.add_argument("--dry-run", action="store_true", help="print, write nothing")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.only or []) - {one.name for one in TEXT_SETS})
    unknown += sorted(set(options.contenders) - set(CONTENDERS))
    if unknown:
        parser.error(f"{unknown[0]} does not exist")
    for one in TEXT_SETS:
        if options.only and one.name not in options.only:
            continue
        for contender in options.contenders:
            seeds = range(1 if contender in SEEDLESS else options.seeds)
            runs = [_run(one.name, contender, seed, options.packages) for seed in seeds]
            mean = {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
            print(one.name, contender, {key: round(value, 4) for key, value in mean.items()}, flush=True)
            if not options.dry_run:
                _save(one.name, contender, mean | {"accuracy_per_seed": [run["accuracy"] for run in runs]})
    return 0


def _run(name: str, contender: str, seed: int, packages: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.own_data.text_worker", name, contender, str(seed), packages]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name}, {contender}:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _save(name: str, contender: str, result: dict[str, Any]) -> None:
    data: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    data.setdefault(name, {})[contender] = {
        key: round(value, 4) if isinstance(value, float) else value for key, value in result.items()
    } | {
        "machine": machine(),
        "versions": {package: version(package) for package in ("numpy", "scikit-learn", "tokenizers")},
        "date": now(),
        "revision": revision(),
    }
    text = json.dumps(data, indent=1, sort_keys=True) + "\n"
    RESULTS.write_text(text, encoding="utf-8")
