"""The residual of integrated gradients by baseline and number of points.

    python -m benchmarks.quadrature MODEL [MODEL ...] [--data PATH] [--reviews 40]

Over a random sample of the test half: the sum of the absolute residuals, divided by the sum of the absolute differences
of the logit from the base value. With fixed numbers of points, then with the default, which is adaptive.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import gatewise as gw
from gatewise.data import imdb
from gatewise.explain import IntegratedGradients
from gatewise.explain.attribution import attribute
from gatewise.explain.attribution.integrated_gradients import BASELINES
from gatewise.explain.example import predict_examples

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
    print(f"| model, baseline | {' | '.join(f'{points} points' for points in POINTS)} | by default |")
    print("|---|" + "---:|" * (len(POINTS) + 1))
    for folder in options.models:
        model = gw.load(folder)
        examples = predict_examples(model.explained, model.preprocessor.encode_batch(splits.test.take(rows).inputs))
        for baseline in BASELINES:
            shares = []
            for method in (
                *(IntegratedGradients(p, baseline, max_points=p) for p in POINTS),
                IntegratedGradients(baseline=baseline),
            ):
                found = list(zip(attribute(method, examples), examples, strict=True))
                residuals = [attribution.residual(example) for attribution, example in found]
                differences = [example.target_score - attribution.base_value for attribution, example in found]
                shares.append(np.abs(residuals).sum() / np.abs(differences).sum())
            print(f"| {folder.name}, {baseline} | {' | '.join(f'{share:.3%}' for share in shares)} |", flush=True)


if __name__ == "__main__":
    main()
