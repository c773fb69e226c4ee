"""The bundled model's training on snippets that it has not seen: five-fold, on single sentences from Rotten Tomatoes.

    python -m benchmarks.snippets --data aclImdb_v1.tar.gz --pretrained models/pretrained --predictions build/snippets

For each fold, a model is trained as `python -m tools.bundled` does, without the snippets of the fold, and predicts
them. The predictions of a fold are kept: a later run continues with the folds that are missing. Prints accuracy,
calibration error and loss per fold and of all folds, also of the snippets with a negation alone. Beside the calibration
error stand those of labels that are drawn with the model's own probabilities: on few snippets they are not 0 either.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gatewise.data import Labelled, imdb, imdb_texts, rotten_tomatoes
from gatewise.metrics import Evaluation
from gatewise.types import Array
from tools.bundled.__main__ import fit

FOLDS = 5
NEGATION = re.compile(r"\b(?:not|no|never|nothing|nobody|none|nor|neither|without|hardly|\w+n't)\b")
DRAWS = 200


def folds(snippets: Labelled) -> list[NDArray[np.int64]]:
    """The row numbers of each fold; equal in every call."""
    order = np.random.default_rng(0).permutation(len(snippets))
    return [np.sort(order[fold::FOLDS]) for fold in range(FOLDS)]


def evaluation(probabilities: Array, labels: NDArray[np.int64]) -> Evaluation:
    """Of the probabilities (n, 2) of the classes negative and positive."""
    return Evaluation.of(np.log(probabilities), labels, ("negative", "positive"), "snippets")


def calibration_errors(probabilities: Array) -> Array:
    """Calibration errors (DRAWS,) of labels that are drawn with these probabilities (n, 2)."""
    rng = np.random.default_rng(0)
    labels = (rng.random((DRAWS, len(probabilities))) < probabilities[:, 1]).astype(np.int64)
    return np.array([evaluation(probabilities, drawn).calibration_error for drawn in labels])


def report(title: str, snippets: Labelled, probabilities: Array) -> None:
    """Print the figures of these snippets and of those among them with a negation."""
    negated = [n for n, text in enumerate(snippets.inputs) if NEGATION.search(str(text).lower())]
    for name, rows in (("snippets", range(len(snippets))), ("with a negation", negated)):
        found = evaluation(probabilities[rows], snippets.labels[rows])
        low, high = np.quantile(calibration_errors(probabilities[rows]), (0.05, 0.95))
        print(
            f"{title}: {found.n:,} {name}: accuracy {found.accuracy:.4f}, loss {found.loss:.4f}, calibration error "
            f"{found.calibration_error:.4f} (of drawn labels: {low:.4f} to {high:.4f} in 90% of draws)",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.snippets", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the official archive of IMDB or its folder")
    parser.add_argument("--pretrained", type=Path, required=True, help="the model of gatewise pretrain")
    parser.add_argument("--predictions", type=Path, required=True, help="folder for the predictions of each fold")
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(FOLDS)), help="of 0 to 4")
    parser.add_argument("--recipe", default="best", help="finetune takes a third of the time")
    options = parser.parse_args()
    options.predictions.mkdir(parents=True, exist_ok=True)
    reviews, snippets = imdb(options.data, progress=False, download=False).train, rotten_tomatoes()
    texts = imdb_texts(options.data, progress=False, download=False)
    rows, parts = folds(snippets), []
    for fold in options.folds:
        file = options.predictions / f"{options.recipe}-{fold}.npy"
        unseen = snippets.take(rows[fold])
        if file.exists():
            print(f"fold {fold}: predictions of {file}, no training", flush=True)
        else:
            seen = snippets.take(np.setdiff1d(np.arange(len(snippets)), rows[fold]))
            model = fit(reviews, seen, texts, options.pretrained, recipe=options.recipe)
            np.save(file, model.predict_proba(list(unseen.inputs)))
        parts.append(np.load(file, allow_pickle=False))
        report(f"fold {fold}", unseen, parts[-1])
    report("all folds", snippets.take(np.concatenate([rows[fold] for fold in options.folds])), np.concatenate(parts))


if __name__ == "__main__":
    main()
