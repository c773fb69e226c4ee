"""What the attacks on imported networks share: the inputs, and when outputs are equal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gatewise.types import Array
from trust.mutate import Rng

LONGEST = 2_000  # steps
TOLERANCE = 1e-5  # of an output, relative to numbers above 1
ROUNDING = 10.0  # gatewise may differ from float64 by this many times what the float32 network itself differs
STEPS = 6_000  # of a batch


def random_lengths(rng: Rng, longest: int = LONGEST) -> Array:
    """Lengths (B,) of 1 to 64 sequences in descending order, the first of up to `longest` steps, most of them short."""
    steps = int(np.exp(rng.uniform(0, np.log(longest + 1))))
    count = int(rng.integers(1, min(64, max(1, STEPS // steps)) + 1))
    lengths = rng.integers(1, steps + 1, count)
    lengths[0] = steps
    return -np.sort(-lengths)


def random_series(rng: Rng, lengths: Array, channels: int) -> list[Array]:
    """A series (length, channels) for each length, of numbers of one size from 1e-3 to 1e3, or of all of them."""
    size = 10 ** rng.uniform(-3, 3)
    found = []
    for length in lengths.tolist():
        shape = length, channels
        scale = 10 ** rng.uniform(-3, 3, shape) if rng.random() < 0.2 else size
        found.append((scale * rng.standard_normal(shape)).astype(np.float32))
    return found


def random_ids(rng: Rng, lengths: Array, vocab_size: int, first: int = 0) -> list[Array]:
    """Token ids (length,) from `first` on for each length: each id once, as far as there is room, then random ones."""
    each, more = rng.permutation(np.arange(first, vocab_size)), rng.integers(first, vocab_size, lengths.sum())
    ids = np.concatenate([each, more])
    return np.split(ids[: lengths.sum()], np.cumsum(lengths)[:-1])


def check_outputs(found: Sequence[Any], float32: Sequence[Any], float64: Sequence[Any], where: str) -> None:
    """The outputs of gatewise are those of the network in float64, but for what its own float32 run is off."""
    for number, (ours, rounded, exact) in enumerate(zip(found, float32, float64, strict=True)):
        assert np.shape(ours) == np.shape(exact), f"{where}: shape {np.shape(ours)}, not {np.shape(exact)}"
        scale = max(1.0, float(np.abs(exact).max(initial=0)))
        allowed = TOLERANCE * scale + ROUNDING * float(np.abs(rounded - exact).max(initial=0))
        error = float(np.abs(ours - exact).max(initial=0))
        assert error <= allowed, f"{where}: sequence {number} is off by {error:.2g}, above {allowed:.2g}"


def activated(logits: Array, name: str) -> Array:
    """Outputs in float64 of logits (..., K)."""
    logits = np.asarray(logits, np.float64)
    if name == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-logits)))
    if name == "linear":
        return logits
    logs = logits - logits.max(axis=-1, keepdims=True)
    logs = logs - np.log(np.exp(logs).sum(axis=-1, keepdims=True))
    return np.asarray(logs if name == "log_softmax" else np.exp(logs))
