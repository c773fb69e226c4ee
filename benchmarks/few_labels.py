"""Accuracy on the IMDB test half with few labels: from a pretrained model and unlabelled texts, or with rules.

    python -m benchmarks.few_labels --data aclImdb_v1.tar.gz --pretrained DIR [--labels 100 500 1000 5000] [--seeds 0]
    python -m benchmarks.few_labels --data aclImdb_v1.tar.gz --rules [--labels 0 100 500 1000 5000] [--seeds 0]

With --pretrained: the default recipe for so many labels, from that model; all other reviews of the train half and of
the unlabelled part are unlabelled texts. Half of the labels are positive. A seed is that of the sample and of the
training. Measured on 5,000 reviews of the test half, equal for all seeds.

With --rules: recipe `fast`, without a pretrained model, with the rules of rules.csv that read ratings ("8/10") and
without. The labels are a random sample. With rules, the reviews that a rule fits are unlabelled texts; the recipe reads
no others. Measured on the whole test half.
"""

import argparse
import re
import time
from pathlib import Path
from typing import Any

import numpy as np

import gatewise as gw
from benchmarks.accuracy import Reviews, read
from gatewise.data import Labelled, Unlabelled, label_by_rules, read_rules
from gatewise.metrics import Evaluation
from gatewise.model.model import Model
from gatewise.training import recipe

RULES = Path(__file__).with_name("rules.csv")
TEST_ROWS = 5_000  # with a pretrained model, which takes several minutes for the whole test half


def sample(train: Labelled, count: int, seed: int, *, balanced: bool = False) -> Labelled:
    """So many rows at random. balanced: as many of each of the two classes."""
    rng, rows = np.random.default_rng([seed, count]), np.arange(len(train))
    if not balanced:
        return train.take(np.sort(rng.permutation(rows)[:count]))
    of_class = [rng.permutation(rows[train.labels == k])[: count // 2] for k in (0, 1)]
    return train.take(np.sort(np.concatenate(of_class)))


def report(name: str, model: Model, test: Labelled, seconds: float) -> None:
    """One line with the figures, one with the data that the model was trained on."""
    result = model.evaluate(test)
    assert isinstance(result, Evaluation)
    about = model.metadata
    print(f"{name}: {result.accuracy:.4f}, loss {result.loss:.4f}; recipe {about.recipe}, {seconds:.0f} s", flush=True)
    print("    " + "; ".join(part for part in (about.data, about.unlabelled) if part), flush=True)


def from_pretrained(reviews: Reviews, path: Path, labels: list[int], seeds: list[int]) -> None:
    """Print the accuracy from the pretrained model in `path`."""
    pretrained = gw.load_pretrained(path)
    test = reviews.test.take(np.sort(np.random.default_rng(1).permutation(len(reviews.test))[:TEST_ROWS]))
    for count in labels:
        for seed in seeds:
            labelled, start = sample(reviews.train, count, seed, balanced=True), time.perf_counter()
            model = gw.train(labelled, pretrained=pretrained, unlabelled=reviews.texts, seed=seed, verbose=0)
            seconds = time.perf_counter() - start
            model = model.with_lstm(kernel=recipe(model.metadata.recipe).kernel())  # as in training: faster
            report(f"{len(labelled):,} labels, seed {seed}", model, test, seconds)


def by_rules(reviews: Reviews, labels: list[int], seeds: list[int]) -> None:
    """Print the accuracy with rules and without."""
    rules = read_rules(RULES)
    patterns = [rule.reads for rule in rules if isinstance(rule.reads, re.Pattern)]
    rated = [text for text in reviews.texts.texts if any(pattern.search(text) for pattern in patterns)]
    texts = Unlabelled(rated, f"{len(rated):,} reviews that state a rating")
    for count in labels:
        for seed in seeds:
            labelled = sample(reviews.train, count, seed) if count else label_by_rules(texts, rules)
            cases: tuple[dict[str, Any], ...] = ({"unlabelled": texts, "rules": rules}, {}) if count else ({},)
            for given in cases:
                start = time.perf_counter()
                model = gw.train(labelled, recipe="fast", seed=seed, verbose=0, **given)
                seconds = time.perf_counter() - start
                how = "with rules" if given or not count else "without rules"
                report(f"{count:,} labels, seed {seed}, {how}", model, reviews.test, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.few_labels", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the official archive or its folder")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--pretrained", type=Path, metavar="DIR", help="what `gatewise pretrain` made")
    which.add_argument("--rules", action="store_true", help="with rules.csv and without")
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 500, 1000, 5000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--quick", action="store_true", help="a twentieth of the reviews")
    options = parser.parse_args()
    reviews = read(options.data, options.quick)
    if options.rules:
        by_rules(reviews, options.labels, options.seeds)
    else:
        from_pretrained(reviews, options.pretrained, options.labels, options.seeds)


if __name__ == "__main__":
    main()
