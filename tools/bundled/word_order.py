"""Give the words of the tutorial's model the ids of Keras: those of its published word index.

    python -m tools.bundled.word_order src/gatewise/model/bundled/tutorial imdb_word_index.json

The index has the same words and counts as ours, and breaks ties in another order. Words move with their embeddings, so
every prediction stays as it is. Of the words with the smallest count some are not among the 10,000 most frequent ones
of the index; they keep the ids that are left.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import gatewise as gw
from gatewise.kernels import read_only
from gatewise.model.compress import EMBEDDING
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.text import KerasEncoding

FIRST = 4  # the id of the first word


def main(folder: str, index: str) -> None:
    model: Any = gw.load(folder)
    encoding, published = model.preprocessor.encoding, json.loads(Path(index).read_text(encoding="utf-8"))
    size = len(encoding.index)
    ranks = {word: published[word] for word in encoding.index if published[word] <= size}
    left = iter(sorted(set(range(1, size + 1)) - set(ranks.values())))
    ranks |= {word: next(left) for word in encoding.index if word not in ranks}
    rows = np.arange(FIRST + size)
    for word, rank in encoding.index.items():
        rows[FIRST + ranks[word] - 1] = FIRST + rank - 1
    embedding = read_only(model.parameters[EMBEDDING][rows])
    ensemble = model.ensemble.with_lstm(parameters={**model.parameters, EMBEDDING: embedding})
    preprocessor = TextPreprocessor(KerasEncoding(ranks, encoding.num_words))
    replace(model, preprocessor=preprocessor, ensemble=ensemble).save(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
