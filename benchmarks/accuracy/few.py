"""Few labels: gatewise from a base, and the two linear models, on the same labels, in the same run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import gatewise as gw
from benchmarks.accuracy.data import Reviews
from benchmarks.accuracy.rows import base_for, linear
from gatewise.data import Unlabelled

__all__ = ["LABELS", "few_labels"]

LABELS = (100, 500, 1_000, 5_000)
READ = 10_000  # texts without labels that a teacher reads: a minute, where all of them take ten


def few_labels(reviews: Reviews, size: str, draws: int, folder: Path) -> list[dict[str, Any]]:
    """One entry a number of labels and a draw: accuracy by method on 5,000 test reviews, and gatewise's seconds."""
    base, _ = base_for(reviews, 0, folder, size)
    texts = reviews.texts.texts
    more = Unlabelled(texts[:: max(1, len(texts) // READ)], f"{READ:,} texts without labels")
    found = []
    for labels in LABELS:
        for draw in range(draws):
            data = reviews.few(labels, draw)
            began = time.perf_counter()
            model = gw.train(data, base=base, unlabelled=more, seed=draw)
            seconds = time.perf_counter() - began
            row: dict[str, Any] = {"labels": len(data), "draw": draw, "seconds": round(seconds, 1)}
            row["gatewise"] = model.evaluate(reviews.some_test).accuracy
            row |= {kind: linear(data, reviews.some_test, kind) for kind in ("tfidf", "nb")}
            print(row, flush=True)
            found.append(row)
    return found
