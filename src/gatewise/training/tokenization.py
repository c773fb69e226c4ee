"""Words or subwords: the tokens of a recipe with tokenization "auto", by the held-out loss of the n-gram model.

`compare_ngrams` fits the same candidates to n-grams of words and to n-grams of pieces of words. Pieces are taken if
the mean loss of their best candidate over the held-out rows is lower by more than one standard error of the difference
of both losses, row by row (the one-standard-error rule of Breiman et al. 1984). Otherwise the tokens are words, which
explanations show whole. The network reads the same tokens.

Without comparison the tokens are words: below `LEAST_ROWS` rows, where the error is uncertain; above `MOST_ROWS` rows
or `MOST_WORDS` words, where pieces gain least and the comparison takes longest; where less than `LEAST_UNKNOWN` of the
held-out words are unknown, so that pieces have little to add; and where the n-gram model is not chosen by held-out loss
(other tasks, a pretrained model).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np

from gatewise.text import SubwordEncoding
from gatewise.training.callback import Callback
from gatewise.training.ngram_selection import compare_ngrams, selects
from gatewise.training.recipes import Recipe
from gatewise.training.training_data import TrainingData, with_encoding

LEAST_ROWS = 500  # below, a standard error says little
MOST_ROWS = 10_000
MOST_WORDS = 500_000  # of all texts
LEAST_UNKNOWN = 0.15  # 0.07 to 0.10 in English data sets, 0.22 in Slovene comments: docs/log/accuracy.md


def choose_tokenization(training_data: TrainingData, recipe: Recipe, callback: Callback) -> TrainingData:
    """The training data with words or subwords as tokens, and the candidates that were compared. training_data: with
    words. recipe: the one that `prepare` got.
    """
    rows, words = len(training_data.full_sequences), sum(map(len, training_data.full_sequences))
    if not selects(training_data) or not LEAST_ROWS <= rows <= MOST_ROWS or words > MOST_WORDS:
        return training_data
    held_out = np.concatenate([training_data.full_sequences[n] for n in training_data.validation])
    unknown = float(np.mean(held_out == training_data.preprocessor.unknown)) if len(held_out) else 0.0
    if unknown < LEAST_UNKNOWN:
        callback.log(f"tokens: words, {100 * unknown:.0f}% of those in the validation set are unknown")
        return training_data
    texts = cast(Any, training_data.data.inputs)
    encoding = SubwordEncoding.fit([texts[n] for n in training_data.train], vocab_size=recipe.text.vocab_size)
    divided = with_encoding(training_data, encoding, recipe)
    of_words, of_subwords = compare_ngrams(training_data), compare_ngrams(divided)
    if of_subwords is None:
        return replace(training_data, ngram_candidates=of_words)
    if of_words is None:
        return replace(divided, ngram_candidates=of_subwords)
    gain = of_words.best.losses - of_subwords.best.losses  # of the same rows
    error = float(gain.std() / np.sqrt(len(gain)))
    better = float(gain.mean()) > error
    callback.log(
        f"tokens: {'subwords' if better else 'words'}, held-out loss {of_words.best.loss:.4f} with words, "
        f"{of_subwords.best.loss:.4f} with subwords, standard error of the difference {error:.4f}"
    )
    if better:
        return replace(divided, ngram_candidates=of_subwords)
    return replace(training_data, ngram_candidates=of_words)
