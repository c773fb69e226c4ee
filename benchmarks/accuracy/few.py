"""Few labels: gatewise from a base, and the two linear models, on the same labels, in the same run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gatewise as gw
from benchmarks.accuracy.data import Reviews
from benchmarks.accuracy.rows import linear, pretrained_for
from gatewise.training import recipe

__all__ = ["LABELS", "few_labels"]

LABELS = (100, 500, 1_000, 5_000)
LEARNT = 10_000  # of the texts without labels, for the student of any recipe: more hardly help it (docs/log)


def few_labels(
    reviews: Reviews, size: str, seed: int, draws: Iterable[int], numbers: Iterable[int], folder: Path
) -> Iterator[dict[str, Any]]:
    """One entry a draw and a number of labels: accuracy by method on 5,000 test reviews, and gatewise's seconds.
    seed: of the base.
    """
    pretrained, _ = pretrained_for(reviews, seed, folder, size)
    for draw in draws:
        for labels in numbers:
            data = reviews.few(labels, draw)
            began = time.perf_counter()
            model = gw.train(data, pretrained=pretrained, unlabelled=reviews.texts, seed=draw, max_pseudo_labels=LEARNT)
            seconds = time.perf_counter() - began
            row: dict[str, Any] = {
                "labels": len(data),
                "draw": draw,
                "seconds": round(seconds, 1),
                "pretrained_seed": seed,
            }
            row |= {
                "recipe": model.metadata.recipe,
                "calibrated": model.metadata.calibration and model.metadata.calibration.method,
            }
            quick = replace(
                model, precision=recipe(model.metadata.recipe).kernel_precision
            )  # a third of the time of float32
            row["gatewise"] = quick.evaluate(reviews.some_test).accuracy
            yield row | {kind: linear(data, reviews.some_test, kind) for kind in ("tfidf", "nb")}
