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
from gatewise.ragged import joined
from gatewise.types import Array, Index, Lengths

PAD = 0  # the padding token, as in Keras


@dataclass(frozen=True, eq=False)
class Batch:
    """B sequences, N steps. Tokens: distinct (U,) int64 and index (N,) int32. Channels: values (N, C) float32.

    pads (B,): with padding "pre", the number of pad steps before each sequence; None otherwise. Where there are any,
    PAD is the first row of `distinct`, even if no step of `index` takes it.
    """

    lengths: Lengths
    distinct: NDArray[np.int64] | None = None
    index: Index | None = None
    values: Array | None = None
    pads: Lengths | None = None

    @classmethod
    def of(cls, sequences: Sequence[Any], arch: Architecture) -> Batch:
        """From B arrays, (length,) token ids or (length, C) channels. Raises InputError naming the invalid sequence."""
        if arch.inputs == "tokens":
            tokens, lengths = joined([truncate(np.asarray(s), arch) for s in sequences])
            if len(tokens) and not 0 <= tokens.min() <= tokens.max() < arch.vocab_size:
                found = f"found {int(tokens.min())} to {int(tokens.max())}"
                raise InputError(f"token ids must be from 0 to {arch.vocab_size - 1}, {found}")
            pads = arch.max_length - lengths if arch.padding == "pre" else None
            distinct, index = unique_tokens(tokens, arch.vocab_size, with_pad=pads is not None and bool(pads.any()))
            return cls(lengths, distinct=distinct, index=index, pads=pads)
        arrays = [np.asarray(s, dtype=np.float32) for s in sequences]
        for n, array in enumerate(arrays):
            if array.ndim != 2 or array.shape[1] != arch.channels:
                raise InputError(f"series {n}: shape must be (steps, {arch.channels}), not {array.shape}")
            if not np.isfinite(array).all():
                step = int(np.argwhere(~np.isfinite(array))[0, 0])
                raise InputError(f"series {n}: step {step + 1} is not a finite number")
        values, lengths = joined([truncate(array, arch) for array in arrays], np.float32)
        return cls(lengths, values=values.reshape(-1, arch.channels))


def unique_tokens(tokens: Array, vocab_size: int, with_pad: bool = False) -> tuple[NDArray[np.int64], Index]:
    """The distinct tokens (U,) among `tokens` (N,), ascending, with PAD if `with_pad`; and the row of each token (N,).

    As `np.unique` with `return_inverse`, but faster: one flag per vocabulary entry instead of sorting.
    """
    seen = np.zeros(vocab_size, dtype=bool)
    seen[tokens] = True
    if with_pad:
        seen[PAD] = True
    distinct = np.flatnonzero(seen)
    row_of = np.empty(vocab_size, dtype=np.int32)
    row_of[distinct] = np.arange(len(distinct), dtype=np.int32)
    return distinct, row_of[tokens]


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


def describe_truncation(lengths: Sequence[int], arch: Architecture) -> str:
    """What `truncate` leaves of sequences of these lengths, for a message, as in "first 133 and last 267 of up to 2,278
    tokens in 31 of 104 texts"; "" if no sequence is longer.
    """
    longer = sum(length > arch.max_length for length in lengths) if arch.max_length else 0
    if not longer:
        return ""
    head = arch.max_length // 3 if arch.truncation == "middle" else 0
    part = f"first {head:,} and last {arch.max_length - head:,}" if head else f"last {arch.max_length:,}"
    steps = f"{max(lengths):,} {arch.nouns.steps}"
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
