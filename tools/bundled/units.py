"""Store a summary of each unit in a bundled model: words, half-life, shares of gate values.

    python -m tools.bundled.units src/gatewise/model/bundled/tutorial --data aclImdb_v1.tar.gz [--word-index JSON]

Over reviews of the test half. No excerpt is stored: the package has no review text. Units of wide networks are not
ablated, which takes a run of all reviews for each. --word-index gives the words of the tutorial's model the ids of
Keras: those of its published word index, imdb_word_index.json.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import gatewise as gw
from gatewise.data import imdb
from gatewise.kernels import read_only
from gatewise.model import with_units
from gatewise.model.compress import EMBEDDING
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.text import KerasEncoding

SEED = 0
WIDE = 200  # units
# Of a narrow and of a wide network: reviews, words per gate and side, and how often a word must occur.
REVIEWS, WORDS, LEAST = (2_000, 400), (6, 5), (20, 8)
FIRST = 4  # the id of the first word


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--word-index", type=Path)
    given = parser.parse_args()
    model, reviews = gw.load(given.model), imdb(given.data).test
    if given.word_index:
        model = with_ids(model, json.loads(given.word_index.read_text(encoding="utf-8")))
    assert reviews is not None
    wide = model.architecture.top.size > WIDE
    rows = np.random.default_rng(SEED).permutation(len(reviews))[: REVIEWS[wide]]
    parts: dict[str, Any] = {"excerpts": 0, "words": WORDS[wide], "minimum": LEAST[wide], "ablations": not wide}
    parts["listed"] = "c" if wide else "ifgoc"
    data = replace(reviews.take(np.sort(rows)), source="IMDB reviews of the test half")
    with_units(model, data, **parts).save(given.model)


def with_ids(model: Any, published: dict[str, int]) -> Any:
    """The index has the same words and counts as the model, and breaks ties in another order. Words move with their
    embeddings, so every prediction stays as it is. Of the words with the smallest count some are not among the 10,000
    most frequent ones of the index; they keep the ids that are left.
    """
    encoding = model.preprocessor.encoding
    size = len(encoding.index)
    ranks = {word: published[word] for word in encoding.index if published[word] <= size}
    left = iter(sorted(set(range(1, size + 1)) - set(ranks.values())))
    ranks |= {word: next(left) for word in encoding.index if word not in ranks}
    rows = np.arange(FIRST + size)
    for word, rank in encoding.index.items():
        rows[FIRST + ranks[word] - 1] = FIRST + rank - 1
    model = model.with_lstm(parameters={**model.parameters, EMBEDDING: read_only(model.parameters[EMBEDDING][rows])})
    return replace(model, preprocessor=TextPreprocessor(KerasEncoding(ranks, encoding.num_words)))


if __name__ == "__main__":
    main()
