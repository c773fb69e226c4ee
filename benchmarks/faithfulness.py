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
from gatewise.explain import METHODS, IntegratedGradients, Method, method_named
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
    methods: dict[str, Method] = {name: method_named(name) for name in METHODS}
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


def deletion_curve(found: DeletionScores) -> Any:
    """The mean probability of the prediction after each deletion (5,)."""
    return found.probability - found.comprehensiveness.mean(axis=0)


def standard_errors(found: DeletionScores) -> tuple[float, float]:
    """One standard error of the two means, over the sequences."""
    n = max(len(found.sufficiency), 1)
    one, two = (float(part.mean(axis=1).std() / n**0.5) for part in (found.comprehensiveness, found.sufficiency))
    return one, two


def _row(name: str, found: DeletionScores) -> str:
    error, other = standard_errors(found)
    curve = ", ".join(f"{p:.2f}" for p in deletion_curve(found))
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
        "standard_errors": list(standard_errors(found)),
        "shares": list(SHARES),
        "deletion_curve": deletion_curve(found).tolist(),
        "probability": found.probability,
        "seconds_per_review": found.seconds,
    }


if __name__ == "__main__":
    main()
