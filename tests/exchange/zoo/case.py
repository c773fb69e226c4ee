"""`Case`: a network as people write it, its inputs, and whether it must open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Inputs = Callable[[np.random.Generator, int, int], tuple[Any, ...]]
"""Of a generator, a number of sequences and a number of steps: the arguments of the network, NumPy arrays. An argument
may be a tuple of arrays, such as a hidden state.
"""


@dataclass(frozen=True)
class Case:
    """network: a function without arguments, of the module `keras` for a network of Keras, that builds the network.
    inputs: its inputs. example: numbers of sequences and of steps of the example for a reader. batches, steps: numbers
    of sequences and steps for which the graph is compared; those of the example are compared too. expected: "opens",
    or "refused" for a network that may be refused, with `notes` that say why.
    """

    network: Callable[..., Any]
    inputs: Inputs
    example: tuple[int, int] = (2, 9)
    batches: tuple[int, ...] = (1, 2, 5)
    steps: tuple[int, ...] = (1, 2, 7)
    expected: Literal["opens", "refused"] = "opens"
    notes: str = ""


# The functions below make `Inputs`.


def ids(vocab_size: int, *, time_first: bool = False) -> Inputs:
    """Token ids (B, T), or (T, B), with 0 for the pad anywhere, also as a whole row."""

    def inputs(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
        tokens = rng.integers(0, vocab_size, (batch, steps))
        tokens[rng.random(tokens.shape) < 0.2] = 0
        return (np.ascontiguousarray(tokens.T) if time_first else tokens,)

    return inputs


def tokens_with_pads_behind(vocab_size: int) -> Inputs:
    """Token ids (B, T) without a 0 but for the pads at the end of the rows; the first row has none."""

    def inputs(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
        lengths = random_lengths(rng, batch, steps)
        tokens = rng.integers(1, vocab_size, (batch, steps))
        tokens[np.arange(steps) >= lengths[:, None]] = 0
        return (tokens,)

    return inputs


def ids_and_lengths(vocab_size: int, *, time_first: bool = False, descending: bool = False) -> Inputs:
    """Token ids and their lengths (B,), of which one is the number of steps."""

    def inputs(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
        lengths = random_lengths(rng, batch, steps)
        if descending:
            lengths = -np.sort(-lengths)
        # What stands behind the end of a row must not matter, so it is not the pad only.
        tokens = rng.integers(0, vocab_size, (batch, steps))
        return (np.ascontiguousarray(tokens.T) if time_first else tokens), lengths

    return inputs


def series(channels: int, *, time_first: bool = False) -> Inputs:
    """Numbers (B, T, C), or (T, B, C), of magnitudes from 0.01 to 100, negative ones and zeros among them."""

    def inputs(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
        shape = (steps, batch, channels) if time_first else (batch, steps, channels)
        return (numbers(rng, shape),)

    return inputs


def series_and_lengths(channels: int) -> Inputs:
    """Numbers (B, T, C) and their lengths (B,)."""

    def inputs(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
        return numbers(rng, (batch, steps, channels)), random_lengths(rng, batch, steps)

    return inputs


def joined(*each: Inputs) -> Inputs:
    """The arguments of each, one after the other."""

    def inputs(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
        return tuple(argument for one in each for argument in one(rng, batch, steps))

    return inputs


def table(columns: int) -> Inputs:
    """Numbers (B, C)."""

    def inputs(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
        return (numbers(rng, (batch, columns)),)

    return inputs


def random_lengths(rng: np.random.Generator, batch: int, steps: int) -> Any:
    """Lengths (B,) from 1 on, of which one is the number of steps."""
    lengths = rng.integers(1, steps + 1, batch)
    lengths[rng.integers(batch)] = steps
    return lengths


def numbers(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Numbers of magnitudes from 0.01 to 100, and some zeros."""
    values = rng.normal(size=shape) * 10 ** rng.uniform(-2, 2, shape)
    values[rng.random(shape) < 0.05] = 0
    return values.astype(np.float32)
