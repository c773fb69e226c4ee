"""The residual of integrated gradients by baseline and number of points; the table of docs/glassbox.md.

    python -m benchmarks.quadrature MODEL [MODEL ...] [--data PATH] [--reviews 40]

Over reviews of the test half, drawn by a fixed seed: the sum of the residuals, signs aside, over that of the distances
of the logit from its start. Fixed points first; then what the method does by default, halving where they do not do.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import gatewise as gw
from gatewise.data import imdb
from gatewise.explain import IntegratedGradients
from gatewise.explain.attribution import BASELINES, attributions_of, predict_examples
from gatewise.metrics.evaluation import target_score

POINTS = (8, 16, 32, 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--data", default="embedded", help="the IMDB archive or its folder")
    parser.add_argument("--reviews", type=int, default=40)
    options = parser.parse_args()
    splits = imdb(options.data)
    assert splits.test is not None
    rows = np.random.default_rng(0).permutation(len(splits.test.inputs))[: options.reviews]
    print(f"| network, baseline | {' | '.join(f'{points} points' for points in POINTS)} | by default |")
    print("|---|" + "---:|" * (len(POINTS) + 1))
    for folder in options.models:
        model = gw.load(folder)
        readings = predict_examples(model.net, model.preprocessor.encode_batch(splits.test.take(rows).inputs))
        for baseline in BASELINES:
            shares = []
            for method in (
                *(IntegratedGradients(p, baseline, most=p) for p in POINTS),
                IntegratedGradients(baseline=baseline),
            ):
                accounts = attributions_of(model.net, method, readings)
                residuals = [a.residual(r) for a, r in zip(accounts, readings, strict=True)]
                ways = [target_score(r.logits, r.predicted) - a.start for a, r in zip(accounts, readings, strict=True)]
                shares.append(np.abs(residuals).sum() / np.abs(ways).sum())
            print(f"| {folder.name}, {baseline} | {' | '.join(f'{share:.3%}' for share in shares)} |", flush=True)


if __name__ == "__main__":
    main()
