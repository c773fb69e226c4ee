"""Few labels: gatewise with a pretrained model, and two linear models, on the same labels."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import gatewise as gw
from benchmarks.accuracy.data import Reviews
from benchmarks.accuracy.rows import linear, pretrained_for
from gatewise.training import recipe

LABELS = (100, 500, 1_000, 5_000)
PRETRAINED = ("pretrained_size", "pretrained_epochs", "pretrained_seed")  # what a figure is comparable within
MAX_PSEUDO_LABELS = 10_000  # with any recipe: more hardly help a student (docs/log)


def few_labels(
    reviews: Reviews,
    size: str,
    epochs: float,
    seed: int,
    samples: Iterable[int],
    label_counts: Iterable[int],
    folder: Path,
) -> Iterator[dict[str, Any]]:
    """One result per sample and number of labels: accuracy of each method on 5,000 test reviews, and gatewise's
    seconds. size, epochs, seed: of the pretrained model.
    """
    pretrained, _ = pretrained_for(reviews, seed, folder, size, epochs=epochs)
    for sample in samples:
        for labels in label_counts:
            data = reviews.few(labels, sample)
            start = time.perf_counter()
            model = gw.train(
                data,
                pretrained=pretrained,
                unlabelled=reviews.texts,
                seed=sample,
                max_pseudo_labels=MAX_PSEUDO_LABELS,
            )
            seconds = time.perf_counter() - start
            metadata = model.metadata
            # Evaluation in the precision of training takes a third of the time of float32.
            evaluated = model.with_lstm(precision=recipe(metadata.recipe).kernel_precision)
            yield {
                "labels": len(data),
                "sample": sample,
                "seconds": round(seconds, 1),
                "pretrained_size": size,
                "pretrained_seed": seed,
                "pretrained_epochs": epochs,
                "recipe": metadata.recipe,
                "calibration": metadata.calibration and metadata.calibration.method,
                "gatewise": evaluated.evaluate(reviews.some_test).accuracy,
                **{kind: linear(data, reviews.some_test, kind) for kind in ("tfidf", "nb")},
            }
