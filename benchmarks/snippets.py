"""The bundled model's training on snippets that it has not seen: five-fold, on single sentences from Rotten Tomatoes.

    python -m benchmarks.snippets --data aclImdb_v1.tar.gz --pretrained models/pretrained [--folds 0 ...]

For each fold, a model is trained as `python -m tools.bundled` does, without the snippets of the fold, and measured on
them. Prints accuracy, calibration error and loss per fold, and for the snippets with a negation alone.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gatewise.data import Labelled, imdb, imdb_texts, rotten_tomatoes
from tools.bundled.__main__ import fit

FOLDS = 5
NEGATION = re.compile(r"\b(?:not|no|never|nothing|nobody|none|nor|neither|without|hardly|\w+n't)\b")


def folds(snippets: Labelled) -> list[NDArray[np.int64]]:
    """The row numbers of each fold; equal in every call."""
    order = np.random.default_rng(0).permutation(len(snippets))
    return [np.sort(order[fold::FOLDS]) for fold in range(FOLDS)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.snippets", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the official archive of IMDB or its folder")
    parser.add_argument("--pretrained", type=Path, required=True, help="the model of gatewise pretrain")
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(FOLDS)), help="of 0 to 4")
    parser.add_argument("--recipe", default="best", help="finetune takes a third of the time")
    options = parser.parse_args()
    reviews, snippets = imdb(options.data, progress=False, download=False).train, rotten_tomatoes()
    texts = imdb_texts(options.data, progress=False, download=False)
    accuracies = []
    for fold in options.folds:
        held_out = folds(snippets)[fold]
        seen = snippets.take(np.setdiff1d(np.arange(len(snippets)), held_out))
        model = fit(reviews, seen, texts, options.pretrained, recipe=options.recipe)
        unseen = snippets.take(held_out)
        negated = [n for n, text in enumerate(unseen.inputs) if NEGATION.search(str(text).lower())]
        for name, data in (("snippets", unseen), ("with a negation", unseen.take(negated))):
            result = model.evaluate(data)
            print(
                f"fold {fold}: {len(data):,} {name}: accuracy {result.accuracy:.4f}, "
                f"calibration error {result.calibration_error:.4f}, loss {result.loss:.4f}",
                flush=True,
            )
            accuracies += [result.accuracy] if name == "snippets" else []
    print(f"mean accuracy of {len(accuracies)} folds: {np.mean(accuracies):.4f}")


if __name__ == "__main__":
    main()
