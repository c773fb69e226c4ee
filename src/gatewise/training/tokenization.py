"""Words or subwords: the tokens of a recipe with tokenization "auto", by the held-out loss of the n-gram model.

`members.ngrams.compare` fits the same candidates to n-grams of words and to n-grams of pieces of words. Pieces are
taken if the mean loss of their best candidate over the held-out rows is lower by more than one standard error of the
difference of both losses, row by row (the one-standard-error rule of Breiman et al. 1984). Otherwise the tokens are
words, which explanations show whole. The network reads the same tokens.

Without comparison the tokens are words: below `LEAST_ROWS` rows, where the error is uncertain; above `MOST_ROWS` rows
or `MOST_WORDS` words, where pieces gain least and the comparison takes longest; where less than `LEAST_UNKNOWN` of the
held-out words are unknown, so that pieces have little to add; and where the n-gram model is not chosen by held-out loss
(other tasks, a pretrained model).
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from gatewise.training.members import Run
from gatewise.training.members.ngrams import compare, selects
from gatewise.training.recipes import Recipe
from gatewise.training.training_data import TrainingData, with_encoding

LEAST_ROWS = 500  # below, a standard error says little
MOST_ROWS = 10_000
MOST_WORDS = 500_000  # of all texts
ROUNDING = 1e-6  # of the losses of equal candidates
LEAST_UNKNOWN = 0.15  # 0.07 to 0.10 in English data sets, 0.22 in Slovene comments: docs/log/accuracy.md


def choose_tokenization(data: TrainingData, recipe: Recipe, run: Run) -> TrainingData:
    """The training data with words or subwords as tokens; the candidates that were compared are left for the fit of the
    n-grams. data: with words. recipe: the one that `prepare` got.
    """
    if recipe.text.tokenization != "auto" or run.pretrained is not None or not selects(data):
        return data
    rows, words = len(data.full_sequences), sum(map(len, data.full_sequences))
    if not LEAST_ROWS <= rows <= MOST_ROWS or words > MOST_WORDS:
        return data
    held_out = np.concatenate(data.full(data.validation))
    unknown = float(np.mean(held_out == data.preprocessor.unknown)) if len(held_out) else 0.0
    if unknown < LEAST_UNKNOWN:
        run.callback.log(f"tokens: words, {100 * unknown:.0f}% of those in the validation set are unknown")
        return data
    from gatewise.text.subwords import SubwordEncoding  # here, as few runs come so far

    texts = cast(Any, data.data.inputs)
    divided = with_encoding(data, SubwordEncoding.fit([texts[n] for n in data.train], recipe.text.vocab_size), recipe)
    of_words, of_subwords = compare(data), compare(divided)
    if of_words is None or of_subwords is None:
        better = of_words is None and of_subwords is not None
    else:
        gain = of_words.losses - of_subwords.losses  # of the same rows
        error = float(gain.std() / np.sqrt(len(gain)))
        better = float(gain.mean()) > error + ROUNDING
        run.callback.log(
            f"tokens: {'subwords' if better else 'words'}, held-out loss {of_words.loss:.4f} with words, "
            f"{of_subwords.loss:.4f} with subwords, standard error of the difference {error:.4f}"
        )
    run.memo["ngrams"] = of_subwords if better else of_words
    return divided if better else data
