"""`python -m benchmarks.own_data imbalance`: one class against the rest at 1:50; results/own_data_imbalance.json.

A set is one class of a text set against all others, with as many of its rows as make 1:50, in the training part and in
the official test part alike. The figure is the F1 of the rare class. gatewise: `class_weight="balanced"`, seeds 0 to 2;
compared with TF-IDF of 1- and 2-grams with logistic regression, without and with `class_weight="balanced"`.
"""

from __future__ import annotations

import argparse
import json
import sysconfig
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import ROOT, machine, now, revision
from benchmarks.own_data.text import tfidf_lr
from benchmarks.own_data.text_sets import text_set

RESULTS = ROOT / "benchmarks" / "results" / "own_data_imbalance.json"
RATIO = 50
SETS = (
    ("r8", "earn"),
    ("r8", "acq"),
    ("r8", "crude"),
    ("newsgroups", "rec.sport.hockey"),
    ("newsgroups", "sci.crypt"),
)
Part = tuple[list[str], list[str]]


def one_against_rest(name: str, label: str, packages: Path) -> tuple[Part, Part]:
    """Training and test part of a set: texts, and labels "rare" and "rest"."""
    cut = text_set(name).load(packages)[0]
    train, test = (_part(texts, labels, label) for texts, labels in (cut.train, cut.test))
    return train, test


def _part(texts: list[str], labels: list[str], label: str) -> Part:
    rare = np.array([one == label for one in labels])
    count = min(int(rare.sum()), round(int((~rare).sum()) / RATIO))
    chosen = np.random.default_rng(0).choice(np.flatnonzero(rare), count, replace=False)
    rows = np.sort(np.concatenate([chosen, np.flatnonzero(~rare)]))
    return [texts[n] for n in rows], ["rare" if rare[n] else "rest" for n in rows]


def main(arguments: list[str]) -> int:
    from sklearn.metrics import f1_score

    import gatewise as gw

    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_data imbalance", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0, 1, ... of gatewise")
    parser.add_argument("--packages", default=sysconfig.get_path("purelib"), help="site-packages with the data sets")
    parser.add_argument("--only", nargs="+", metavar="SET:CLASS", help="some of the sets")
    parser.add_argument("--dry-run", action="store_true", help="print, write nothing")
    options = parser.parse_args(arguments)
    if unknown := set(options.only or []) - {f"{name}:{label}" for name, label in SETS}:
        parser.error(f"{min(unknown)} does not exist")
    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name, label in SETS:
        if options.only and f"{name}:{label}" not in options.only:
            continue
        train, test = one_against_rest(name, label, Path(options.packages))

        def f1(predicted: Any, truth: list[str] = test[1]) -> float:
            return round(float(f1_score(truth, predicted, pos_label="rare")), 4)

        result: dict[str, Any] = {
            "train": len(train[0]),
            "train_rare": train[1].count("rare"),
            "test": len(test[0]),
            "test_rare": test[1].count("rare"),
            "tfidf_lr": f1(tfidf_lr(*train, test[0]).labels),
            "tfidf_lr_balanced": f1(tfidf_lr(*train, test[0], class_weight="balanced").labels),
            "gatewise_per_seed": [],
        }
        for seed in range(options.seeds):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", gw.errors.DataWarning)
                model = gw.train(*train, class_weight="balanced", seed=seed)
                result["gatewise_per_seed"].append(f1(model.predict(test[0])))
            print(name, label, seed, result["gatewise_per_seed"][-1], flush=True)
        result["gatewise"] = round(float(np.mean(result["gatewise_per_seed"])), 4)
        print(name, label, result, flush=True)
        found[f"{name}:{label}"] = result | {"date": now(), "revision": revision(), "machine": machine()}
        if not options.dry_run:
            RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0
