"""A batch as the network reads it: ragged, truncated, with each distinct token once.

`distinct (U,)` holds the tokens that occur, ascending, and `index (N,)` the row of `distinct` of each step, so that the
input product is computed once per distinct token. For channels there are `values (N, C)` and no index.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.network.architecture import Architecture
from gatewise.network.distinct_tokens import unique_rows, unique_tokens
from gatewise.ragged import Ragged, joined, starts_of, step_numbers
from gatewise.types import Array, Index, Lengths


@dataclass(frozen=True, eq=False)
class Batch:
    """B sequences, N steps. Tokens: distinct (U,) int64, of words with features (U, 1 + F), and index (N,) int32; for a
    network with a table of its tokens (`network.word_table`) index has the tokens themselves, and distinct is None.
    Channels: values (N, C) float32.

    pads (B,): with padding "pre", the number of pad steps before each sequence; None otherwise. Where there are any,
    PAD is the first row of `distinct`, even if no step of `index` takes it.
    """

    lengths: Lengths
    distinct: NDArray[np.int64] | None = None
    index: Index | None = None
    values: Array | None = None
    pads: Lengths | None = None

    @classmethod
    def of(cls, sequences: Ragged | Sequence[Any], arch: Architecture) -> Batch:
        """From B sequences of token ids (length,) or channels (length, C). Errors as `read_steps`."""
        return cls.of_steps(read_steps(sequences, arch), arch)

    @classmethod
    def of_steps(cls, steps: Ragged, arch: Architecture, has_table: bool = False) -> Batch:
        """From what `read_steps` returns. has_table: whether the network has a table of its tokens."""
        lengths = steps.lengths
        if arch.inputs == "channels":
            return cls(lengths, values=steps.values)
        pads = None
        if arch.padding == "pre":
            pads = arch.max_length - lengths
        if has_table:
            return cls(lengths, index=steps.values.astype(np.int32, copy=False), pads=pads)
        if arch.word_features:
            rows, index = unique_rows(steps.values)
            return cls(lengths, distinct=rows, index=index)
        with_pad = pads is not None and bool(pads.any())
        distinct, index = unique_tokens(steps.values, arch.vocab_size, with_pad)
        return cls(lengths, distinct=distinct, index=index, pads=pads)


def read_steps(sequences: Ragged | Sequence[Any], arch: Architecture) -> Ragged:
    """The steps that the network reads of B sequences, truncated: token ids (N,), or channels (N, C) float32. Raises
    InputError for ids outside of the vocabulary, and naming a series of another shape or with a value that is not
    finite.
    """
    if arch.inputs == "tokens":
        if not isinstance(sequences, Ragged):
            sequences = Ragged.of(sequences)
        tokens = sequences.values
        if tokens.ndim == 2 and not arch.word_features:  # the network does not read the features
            tokens = tokens[:, 0]
            sequences = sequences.with_values(tokens)
        if arch.word_features:
            _check_words(tokens, arch)
            return truncated(sequences, arch)
        if len(tokens) and not 0 <= tokens.min() <= tokens.max() < arch.vocab_size:
            lowest = int(tokens.min())
            highest = int(tokens.max())
            raise InputError(f"token ids must be from 0 to {arch.vocab_size - 1}, found {lowest} to {highest}")
        return truncated(sequences, arch)
    if not isinstance(sequences, Ragged):
        sequences = _ragged_series(sequences, arch)
    values = sequences.values.astype(np.float32, copy=False)
    if values is not sequences.values:
        sequences = sequences.with_values(values)
    if values.ndim != 2 or values.shape[1] != arch.channels:
        raise InputError(f"series: shape must be (steps, {arch.channels}), not {(len(values), *values.shape[1:])}")
    if not sequences.is_finite:
        number, step = sequences.place(int(np.argwhere(~np.isfinite(values))[0, 0]))
        raise InputError(f"series {number}: step {step + 1} is not a finite number")
    return truncated(sequences, arch)


def _check_words(words: Array, arch: Architecture) -> None:
    """Raise InputError unless these are words with features (N, 1 + F) that the network knows."""
    if words.ndim != 2:
        raise InputError(f"words must be (steps, 1 + features), not {words.shape}")
    if not len(words):
        return
    ids = words[:, 0]
    if not 0 <= ids.min() <= ids.max() < arch.vocab_size:
        raise InputError(f"token ids must be from 0 to {arch.vocab_size - 1}, found {ids.min()} to {ids.max()}")
    if words.min() < 0:
        raise InputError(f"feature ids must be at least 0, found {words.min()}")


def _ragged_series(sequences: Sequence[Any], arch: Architecture) -> Ragged:
    """B arrays (length, C) as one. Raises InputError naming an array of another shape."""
    arrays = [np.asarray(series, dtype=np.float32) for series in sequences]
    for number, array in enumerate(arrays):
        if array.ndim != 2 or array.shape[1] != arch.channels:
            raise InputError(f"series {number}: shape must be (steps, {arch.channels}), not {array.shape}")
    values, lengths = joined(arrays, np.float32)
    return Ragged(values.reshape(-1, arch.channels), lengths)


def ragged_chunks(sequences: Ragged | Iterable[Any], max_steps: int) -> Iterator[Ragged]:
    """The sequences in order, in parts of at most `max_steps` steps (or one sequence). An iterator is read in parts, so
    that its sequences need not fit into memory.
    """
    if isinstance(sequences, Ragged):
        yield from sequences.chunks(max_steps)
        return
    for chunk in chunks(sequences, max_steps):
        yield Ragged.of(chunk)


def chunks(sequences: Iterable[Any], max_steps: int) -> Iterator[list[Any]]:
    """The sequences in order, in lists of at most `max_steps` steps (or one sequence)."""
    chunk: list[Any] = []
    steps = 0
    for sequence in sequences:
        if chunk and steps + len(sequence) > max_steps:
            yield chunk
            chunk, steps = [], 0
        chunk.append(sequence)
        steps += len(sequence)
    if chunk:
        yield chunk


def describe_truncation(lengths: Lengths | Sequence[int], arch: Architecture) -> str:
    """What `truncate` leaves of sequences of these lengths, for a message, as in "first 133 and last 267 of up to 2,278
    tokens in 31 of 104 texts"; "" if no sequence is longer.
    """
    longer = 0
    lengths = np.asarray(lengths)
    if arch.max_length:
        longer = int((lengths > arch.max_length).sum())
    if not longer:
        return ""
    head = arch.max_length // 3 if arch.truncation == "middle" else 0
    part = f"first {head:,} and last {arch.max_length - head:,}" if head else f"last {arch.max_length:,}"
    steps = f"{int(lengths.max()):,} {arch.nouns.steps}"
    return f"{part} of up to {steps} in {longer:,} of {len(lengths):,} {arch.nouns.many}"


def truncate(sequence: Array, arch: Architecture) -> Array:
    """The sequence (length, ...) truncated to `arch.max_length` steps, as `Architecture.truncation` says."""
    extra = len(sequence) - arch.max_length
    if arch.max_length == 0 or extra <= 0:
        return sequence
    if arch.truncation == "front":
        return sequence[extra:]
    head = arch.max_length // 3
    return np.delete(sequence, slice(head, head + extra), axis=0)


def truncated(sequences: Ragged, arch: Architecture) -> Ragged:
    """The sequences with `truncate` applied to each."""
    most = arch.max_length
    if most == 0 or not len(sequences) or int(sequences.lengths.max()) <= most:
        return sequences
    lengths = np.minimum(sequences.lengths, most)
    step = step_numbers(lengths)
    head = 0
    if arch.truncation == "middle":
        head = most // 3
    removed = np.repeat(sequences.lengths - lengths, lengths)
    place = step + np.where(step >= head, removed, 0)
    return Ragged(sequences.values[place + np.repeat(starts_of(sequences.lengths), lengths)], lengths)
