"""Prompts: what a pretrained language model predicts after a sentence of a text and a prompt, as features of the text.

What a language model predicts after a prompt depends on the text before it (Radford et al. 2019): after a positive
sentence and "it is a", other words than after a negative one. The prompts are mined (Jiang et al. 2020). Those of the
forward LSTM are the most frequent openings of sentences in the texts. Those of the backward LSTM are the most frequent
endings, such as "this movie .", before which it predicts a word. From its state after each sentence, in its direction,
an LSTM reads each prompt:

    v = mean over the sentences of W h      (D,)      h (H,): the state after the prompt, W (D, H): the decoder

The logits of the next word are products of the embeddings with v, and a bias. docs/log/accuracy.md compares v with the
mean of the states themselves.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import quote
from gatewise.kernels import LSTMCall
from gatewise.kernels.interface import Kernel
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.network.batch import chunks, truncate
from gatewise.network.distinct_tokens import PAD, unique_tokens
from gatewise.network.language_model import DIRECTIONS
from gatewise.network.ops import Ops
from gatewise.network.pooling import MEAN
from gatewise.network.trainable import TABLE
from gatewise.ragged import joined, starts_of
from gatewise.text.tokens import TokenEncoding
from gatewise.training.members import Run
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

TOKENS = 3  # of a prompt; an ending's last one ends the sentence
PROMPTS = 2  # per direction
STEPS_PER_BATCH = 1 << 14  # bounds the memory of a batch: the activations of each step are kept
MARKS = (".", "!", "?", "。", "！", "？")  # tokens that end a sentence

Prompts = dict[str, NDArray[np.int32]]  # by direction: (prompts, TOKENS), in reading order


def prompted_vectors(data: TrainingData, texts: list[Array], rows: NDArray[np.int64], run: Run) -> Array | None:
    """Features of these rows of the texts, full sequences: (n, F) float32, 0 for other texts. None without a pretrained
    language model with LSTMs, and where the texts have no sentences.
    """
    if run.pretrained is None or "decoder.bias" not in run.pretrained.parameters or not run.pretrained.has_lstm:
        return None
    parameters = run.pretrained.parameters
    preprocessor = cast(TextPreprocessor, run.pretrained.preprocessor)
    encoding = cast(TokenEncoding, preprocessor.encoding)
    size = len(parameters[TABLE])
    marks = [encoding.ids[mark] for mark in MARKS if mark in encoding.ids]
    prompts = mine_prompts(texts, marks, data.excluded_tokens, size)
    if prompts is None:
        return None
    words = {id: word for word, id in encoding.ids.items()}
    of_both = np.concatenate(list(prompts.values())).tolist()
    shown = [quote(" ".join(words[id] for id in prompt)) for prompt in of_both]
    run.callback.log(f"prompts of the language model: {', '.join(shown)}")
    truncated = [truncate(texts[row], data.architecture) for row in rows]
    # Words that extend the vocabulary are unknown words, as the network starts with them.
    sequences = [np.where(sequence < size, sequence, encoding.unknown) for sequence in truncated]
    features = prompted_features(parameters, sequences, prompts, marks, data.recipe.kernel())
    vectors = np.zeros((len(texts), features.shape[1]), dtype=np.float32)
    vectors[rows] = features
    return vectors


def mine_prompts(
    sequences: Sequence[Array], marks: Sequence[int], excluded: Sequence[int], vocab_size: int
) -> Prompts | None:
    """The most frequent openings and endings of sentences; None where the texts have no two sentences in a row.

    marks: the tokens that end a sentence. A prompt has no token in `excluded`, none from `vocab_size` on, and no mark
    inside.
    """
    tokens = np.concatenate([piece for s in sequences for piece in (s, [PAD])]).astype(np.int32)
    ends = np.flatnonzero(_sentence_ends(tokens, marks))
    ends = ends[(ends >= TOKENS - 1) & (ends + TOKENS < len(tokens))][:, None]
    openings = tokens[ends + np.arange(1, 1 + TOKENS)]  # after the mark of the sentence before
    endings = tokens[ends + np.arange(1 - TOKENS, 1)]  # whose last token is the mark
    forbidden = [PAD, *marks, *excluded]
    prompts = {
        "forward": _most_frequent(openings, openings, forbidden, vocab_size),
        "backward": _most_frequent(endings, endings[:, :-1], forbidden, vocab_size),
    }
    if not all(map(len, prompts.values())):
        return None
    return prompts


def _most_frequent(
    prompts: NDArray[np.int32], inside: NDArray[np.int32], forbidden: Sequence[int], vocab_size: int
) -> NDArray[np.int32]:
    """The PROMPTS most frequent rows of `prompts` (n, TOKENS). inside (n, m): the tokens that must not be forbidden."""
    usable = ~np.isin(inside, forbidden).any(axis=1) & (prompts < vocab_size).all(axis=1)
    distinct, counts = np.unique(prompts[usable], axis=0, return_counts=True)
    return distinct[np.argsort(-counts, kind="stable")[:PROMPTS]]


def prompted_features(
    language_model: Mapping[str, Array],
    sequences: Sequence[Array],
    prompts: Prompts,
    marks: Sequence[int],
    kernel: Kernel,
) -> Array:
    """v of each prompt, next to each other, for n sequences: (n, F) float32.

    language_model: parameters by name, with LSTMs. An empty sequence counts as one of `PAD`.
    """
    sequences = [sequence if len(sequence) else np.full(1, PAD) for sequence in sequences]
    features = []
    for chunk in chunks(sequences, STEPS_PER_BATCH):
        of_directions = [
            _features(language_model, direction, chunk, prompts[direction], marks, kernel) for direction in DIRECTIONS
        ]
        features.append(np.concatenate(of_directions, axis=1))
    return np.concatenate(features)


def _features(
    language_model: Mapping[str, Array],
    direction: str,
    sequences: Sequence[Array],
    prompts: NDArray[np.int32],
    marks: Sequence[int],
    kernel: Kernel,
) -> Array:
    """v of the prompts of one direction (n, prompts D)."""
    weight_ih = language_model[f"lstm.0.{direction}.weight_ih"]
    weight_hh = language_model[f"lstm.0.{direction}.weight_hh"]
    bias = language_model[f"lstm.0.{direction}.bias"]
    decoder = language_model[f"decoder.{direction}.weight"]

    def run(tokens: Array, lengths: Array, h0: Array, c0: Array, *, keep: bool) -> tuple[Array, Array]:
        distinct, index = unique_tokens(tokens, len(language_model[TABLE]))
        pre = kernel.project(language_model[TABLE][distinct], weight_ih, bias)
        reverse = direction == "backward"
        states = kernel.forward(LSTMCall(pre, index, lengths, weight_hh, h0, c0, reverse), keep=keep)
        if keep:  # of every step
            return states.h, states.c
        return states.h_T, states.c_T

    tokens, lengths = joined(sequences)
    starts = starts_of(lengths)
    ends = _sentence_ends(tokens, marks)
    ends[starts + lengths - 1] = True
    last = np.flatnonzero(ends)
    # The step at which a direction has read the whole sentence.
    rows = last
    if direction == "backward":
        rows = np.append(0, last[:-1] + 1)
    start = np.zeros((len(lengths), weight_hh.shape[1]), dtype=np.float32)
    h, c = run(tokens, lengths, start, start, keep=True)  # (N, H) each
    h = np.ascontiguousarray(h[rows])  # (sentences, H)
    c = np.ascontiguousarray(c[rows])
    sentences = np.add.reduceat(ends, starts, dtype=np.intp)  # (n,), of each text
    features = []
    for prompt in prompts:
        h_T, _ = run(np.tile(prompt, len(rows)), np.full(len(rows), TOKENS), h, c, keep=False)
        features.append(Ops(kernel).pool(h_T, sentences, MEAN) @ decoder.T)
    return np.concatenate(features, axis=1)


def _sentence_ends(tokens: Array, marks: Sequence[int]) -> NDArray[np.bool_]:
    """Whether each token is a mark and the next one is not."""
    is_mark = np.isin(tokens, marks)
    return np.asarray(is_mark & ~np.append(is_mark[1:], False))
