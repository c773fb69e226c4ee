"""Accuracy on the IMDB test half with few labels or none, with rules that read ratings ("8/10") and without.

    python -m benchmarks.rules --data aclImdb_v1.tar.gz [--labels 0 100 500 1000 5000 22500] [--seed 0]

Recipe `fast`, without a pretrained model. The labels are a random sample of the train half. With rules (rules.csv), the
reviews of the train half and of the unlabelled part that a rule fits are unlabelled texts; the recipe reads no others.
"""

import argparse
import re
import time
from pathlib import Path
from typing import Any

import numpy as np

import gatewise as gw
from benchmarks.accuracy import read
from gatewise.data import Labelled, Unlabelled, label_by_rules, read_rules

RULES = Path(__file__).with_name("rules.csv")


def sample(train: Labelled, count: int, seed: int) -> Labelled:
    """So many rows at random."""
    return train.take(np.sort(np.random.default_rng([seed, count]).permutation(len(train))[:count]))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rules", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the official archive or its folder")
    parser.add_argument("--labels", type=int, nargs="+", default=[0, 100, 500, 1000, 5000, 22500])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the reviews")
    options = parser.parse_args()
    reviews, rules = read(options.data, options.quick), read_rules(RULES)
    patterns = [rule.reads for rule in rules if isinstance(rule.reads, re.Pattern)]
    rated = [text for text in reviews.texts.texts if any(pattern.search(text) for pattern in patterns)]
    texts = Unlabelled(rated, f"{len(rated):,} reviews that state a rating")
    for count in options.labels:
        labelled = sample(reviews.train, count, options.seed) if count else label_by_rules(texts, rules)
        cases: tuple[dict[str, Any], ...] = ({"unlabelled": texts, "rules": rules}, {}) if count else ({},)
        for given in cases:
            start = time.perf_counter()
            model = gw.train(labelled, recipe="fast", seed=options.seed, verbose=0, **given)
            seconds = time.perf_counter() - start
            result, about = model.evaluate(reviews.test), model.metadata
            how = "with rules" if given or not count else "without rules"
            print(f"{count:,} labels {how}: {result.accuracy:.4f}, loss {result.loss:.4f}; {seconds:.0f} s", flush=True)
            print(f"    {about.data}; {about.unlabelled}", flush=True)


if __name__ == "__main__":
    main()
