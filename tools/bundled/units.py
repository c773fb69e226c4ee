"""Store a summary of each unit in a bundled model: words, half-life, shares of gate values.

    python -m tools.bundled.units src/gatewise/model/bundled/tutorial --data aclImdb_v1.tar.gz

Over reviews of the test half. No excerpt is stored: the package has no review text. Units of wide networks are not
ablated, which takes a run of all reviews for each.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import gatewise as gw
from gatewise.data import imdb

SEED = 0
WIDE = 200  # units
# Of a narrow and of a wide network: reviews, words per gate and side, and how often a word must occur.
REVIEWS, WORDS, LEAST = (2_000, 400), (6, 5), (20, 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True)
    given = parser.parse_args()
    model, reviews = gw.load(given.model), imdb(given.data).test
    assert reviews is not None
    wide = model.architecture.top.size > WIDE
    rows = np.random.default_rng(SEED).permutation(len(reviews))[: REVIEWS[wide]]
    parts: dict[str, Any] = {"excerpts": 0, "words": WORDS[wide], "minimum": LEAST[wide], "ablations": not wide}
    parts["listed"] = "c" if wide else "ifgoc"
    data = replace(reviews.take(np.sort(rows)), source="IMDB reviews of the test half")
    model.with_units(data, **parts).save(given.model)


if __name__ == "__main__":
    main()
