"""Deletion scores of every attribution method, of LIME and of random scores, on held-out reviews.

    python -m benchmarks.faithfulness MODEL [MODEL ...] [--data PATH] [--reviews 500] [--lime 5000] [--json FILE]

The reviews are a random sample of the test half, or of the hold-out of the embedded data. The scores are defined in
`gatewise.explain.attribution.faithfulness`.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import gatewise as gw
from benchmarks.lime import Lime
from benchmarks.machine import machine, now
from benchmarks.random_scores import RandomScores
from gatewise.data import imdb
from gatewise.explain import METHODS, IntegratedGradients, Method
from gatewise.explain.attribution.faithfulness import SHARES, DeletionScores, measure
from gatewise.explain.attribution.integrated_gradients import BASELINES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--data", default="embedded", help="the IMDB archive or its folder")
    parser.add_argument("--reviews", type=int, default=500)
    parser.add_argument("--lime", type=int, default=5000, help="samples per review for LIME; 0: without LIME")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    splits = imdb(options.data)
    assert splits.test is not None
    rows = np.random.default_rng(0).permutation(len(splits.test.inputs))[: options.reviews]
    reviews = splits.test.take(rows)
    methods: dict[str, Method] = {**METHODS}
    methods |= {
        f"integrated-gradients, {b}, 32 points": IntegratedGradients(baseline=b, max_points=32) for b in BASELINES
    }
    methods |= {"LIME": Lime(options.lime)} if options.lime else {}
    methods["random"] = RandomScores()
    out: dict[str, Any] = {"date": now(), "machine": machine(), "reviews": len(reviews), "lime_samples": options.lime}
    print(f"{len(reviews)} reviews of {splits.note}.")
    for folder in options.models:
        model = gw.load(folder)
        sequences = model.preprocessor.encode_batch(reviews.inputs)
        print(f"\n{folder.name}; default method: {model.metadata.attribution_method or 'none chosen'}\n")
        print("| method | comprehensiveness | sufficiency | after 1, 5, 10, 20, 50% deleted | ms per review |")
        print("|---|---:|---:|---|---:|")
        scores = {}
        for name, method in methods.items():
            began = time.perf_counter()
            one = measure(model.explained, sequences, method)
            print(_row(name, one), flush=True)
            scores[name] = {**_as_dict(one), "total_seconds": time.perf_counter() - began}
        probability = next(iter(scores.values()))["probability"]
        print(f"\nProbability of the predicted class before any deletion: {probability:.3f}.")
        out[folder.name] = {"attribution_method": model.metadata.attribution_method, "methods": scores}
    if options.json:
        options.json.write_text(json.dumps(out, indent=2) + "\n", encoding="utf-8")


def _row(name: str, found: DeletionScores) -> str:
    error, other = found.errors
    curve = ", ".join(f"{p:.2f}" for p in found.deleted)
    faithfulness = found.faithfulness
    return (
        f"| {name} | {faithfulness.comprehensiveness:.3f} ± {error:.3f} | "
        f"{faithfulness.sufficiency:.3f} ± {other:.3f} | {curve} | "
        f"{1e3 * found.seconds:.1f} |"
    )


def _as_dict(found: DeletionScores) -> dict[str, Any]:
    return {
        "comprehensiveness": found.faithfulness.comprehensiveness,
        "sufficiency": found.faithfulness.sufficiency,
        "standard_errors": list(found.errors),
        "shares": list(SHARES),
        "deletion_curve": found.deleted.tolist(),
        "probability": found.probability,
        "seconds_per_review": found.seconds,
    }


if __name__ == "__main__":
    main()
