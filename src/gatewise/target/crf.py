"""The linear-chain conditional random field (Lafferty et al. 2001) above the logits of the steps of a sequence.

The score of the labels y of a sequence with logits e (T, K), which are called emissions here, is

    s(y) = start[y_1] + Σ_t e[t, y_t] + Σ_t between[y_t-1, y_t] + end[y_T]        p(y) = exp(s(y)) / Σ_y' exp(s(y'))

The loss of a sequence is -log p(y), by the forward algorithm; the probability of a label at a step, its marginal, by
forward-backward; the most probable labels by the Viterbi algorithm (Rabiner 1989). A transition of -inf never occurs.

Everything runs over all sequences of a batch at a time, step by step, in float64 and in logarithms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.ragged import Ragged, starts_of
from gatewise.types import Array

NAMES = ("start", "between", "end")
_LARGEST_EXPONENT = 600  # of exp in float64, with a margin


@dataclass(frozen=True, eq=False)
class Transitions:
    """start (K,): of the first label. between (K, K): of a label, by row, and the label after it. end (K,): of the last
    label. float64. Raises InputError for other shapes, and for NaN or +inf.
    """

    start: Array
    between: Array
    end: Array

    def __post_init__(self) -> None:
        count = len(self.start)
        for name, shape in shapes(count).items():
            array = getattr(self, name)
            if array.shape != shape or not (array < np.inf).all():
                raise InputError(f"transitions: {name} must be {shape}, without NaN and +inf")

    @classmethod
    def zeros(cls, count: int) -> Self:
        """Those under which the steps are independent. count: K."""
        return cls(**{name: np.zeros(shape) for name, shape in shapes(count).items()})

    @classmethod
    def of(cls, arrays: Mapping[str, Array], prefix: str = "") -> Self:
        """From arrays by name, such as parameters, with a prefix."""
        return cls(**{name: np.asarray(arrays[prefix + name], dtype=np.float64) for name in NAMES})

    def arrays(self, prefix: str = "") -> dict[str, Array]:
        """The arrays by name, with a prefix."""
        return {prefix + name: getattr(self, name) for name in NAMES}

    def scaled(self, weight: float) -> Self:
        """Each score times a weight; a transition that never occurs stays so."""
        return type(self)(*(np.where(np.isneginf(array), array, weight * array) for array in self.arrays().values()))

    def __add__(self, other: Transitions) -> Transitions:
        return Transitions(self.start + other.start, self.between + other.between, self.end + other.end)

    def __len__(self) -> int:
        """K, the number of labels."""
        return len(self.start)


def shapes(count: int) -> dict[str, tuple[int, ...]]:
    """The shape of each array of `Transitions` of K labels, by name."""
    return {"start": (count,), "between": (count, count), "end": (count,)}


class SequenceLosses(NamedTuple):
    """losses (B,): -log p(y) of each sequence, in nats. emissions (N, K), transitions: the gradients of their sum.
    marginals (N, K): the probability of each label at each step.
    """

    losses: Array
    emissions: Array
    transitions: dict[str, Array]
    marginals: Array


def sequence_losses(
    emissions: Ragged, labels: NDArray[np.int64], transitions: Transitions, weight: Array | None = None
) -> SequenceLosses:
    """The loss of B sequences with their labels (N,), and its gradients. weight (B,): of each sequence, in the
    gradients only; None for 1.
    """
    chain = _Chain(emissions, transitions)
    log_forward = chain.forward()
    log_backward = chain.backward()
    log_partition = chain.log_partition(log_forward)
    losses = log_partition - chain.scores(labels)
    if weight is None:
        weight = np.ones(len(losses))
    log_partition_of_step = np.repeat(log_partition, emissions.lengths)[:, None]
    weight_of_step = np.repeat(weight, emissions.lengths)
    marginals = np.exp(log_forward + log_backward - log_partition_of_step)
    expected = marginals * weight_of_step[:, None]
    of_emissions = expected.copy()
    of_emissions[np.arange(len(labels)), labels] -= weight_of_step
    first = chain.first
    last = chain.last
    gradients = {name: np.zeros(shape) for name, shape in shapes(len(transitions)).items()}
    gradients["start"] += expected[first].sum(axis=0)
    gradients["end"] += expected[last].sum(axis=0)
    np.subtract.at(gradients["start"], labels[first], weight[chain.is_read])
    np.subtract.at(gradients["end"], labels[last], weight[chain.is_read])
    after = chain.after_first
    if len(after):
        log_of_pairs = log_forward[after - 1], emissions.values[after] + log_backward[after]
        gradients["between"] += _expected_pairs(
            *log_of_pairs, transitions.between, log_partition_of_step[after], weight_of_step[after]
        )
        np.subtract.at(gradients["between"], (labels[after - 1], labels[after]), weight_of_step[after])
    return SequenceLosses(losses, of_emissions, gradients, marginals)


def _expected_pairs(before: Array, at: Array, between: Array, log_partition: Array, weight: Array) -> Array:
    """The expected number (K, K) of each transition, of n pairs of steps with their weights (n,).

    p(a, b) = exp(before[a] + between[a, b] + at[b] - log_partition)        before, at (n, K), log_partition (n, 1)
    """
    top_before = before.max(axis=1, keepdims=True)
    top_at = at.max(axis=1, keepdims=True)
    exponent = (top_before + top_at - log_partition)[:, 0]
    largest = np.abs(between[np.isfinite(between)]).max(initial=0)
    # One product of matrices for all pairs. Where a factor could overflow, or all of it underflow, each p(a, b).
    is_safe = np.abs(exponent) + largest < _LARGEST_EXPONENT
    scale = np.exp(exponent[is_safe]) * weight[is_safe]
    left = np.exp(before[is_safe] - top_before[is_safe]) * scale[:, None]
    pairs: Array = left.T @ np.exp(at[is_safe] - top_at[is_safe])
    if largest < _LARGEST_EXPONENT:
        pairs *= np.exp(between)
    for pair in np.flatnonzero(~is_safe):
        log_p = before[pair][:, None] + between + at[pair] - log_partition[pair]
        pairs += weight[pair] * np.exp(log_p)
    return pairs


def log_marginals(emissions: Ragged, transitions: Transitions) -> Array:
    """The logarithm (N, K) of the probability of each label at each step."""
    chain = _Chain(emissions, transitions)
    joint = chain.forward() + chain.backward()
    return joint - _log_sum_exp(joint)


def log_filtered(emissions: Array, before: Array | None, transitions: Transitions) -> Array:
    """The logarithm (B, K) of the probability of each label at a step of B sequences, of the steps up to it alone.
    emissions (B, K): of this step. before (B, K): the result for the step before it; None for the first step.
    """
    if before is None:
        joint = transitions.start + emissions
    else:
        joint = _log_product(before, transitions.between) + emissions
    return joint - _log_sum_exp(joint)


def viterbi(emissions: Ragged, transitions: Transitions) -> NDArray[np.int64]:
    """The labels (N,) of the highest score of each sequence. Of equal scores the label with the lower number."""
    chain = _Chain(emissions, transitions)
    values = chain.emissions
    best = np.empty_like(values)
    from_label = np.zeros(values.shape, dtype=np.int64)
    for step, rows in enumerate(chain.rows_of_step):
        if not step:
            best[rows] = transitions.start + values[rows]
            continue
        with_transition = best[rows - 1][:, :, None] + transitions.between  # (B, from, to)
        origin = with_transition.argmax(axis=1)
        from_label[rows] = origin
        best[rows] = np.take_along_axis(with_transition, origin[:, None, :], axis=1)[:, 0] + values[rows]
    path = np.zeros(len(values), dtype=np.int64)
    path[chain.last] = (best[chain.last] + transitions.end).argmax(axis=1)
    for rows in reversed(chain.rows_of_step[1:]):
        path[rows - 1] = from_label[rows, path[rows]]
    return path


class _Chain:
    """The steps of a batch in the order in which the algorithms read them.

    rows_of_step: for t = 0, 1, ... the row of step t of each sequence that has one. first, last: the rows of the first
    and last step of each sequence with steps; is_read (B,): which have some. after_first: the rows of all other steps.
    """

    def __init__(self, emissions: Ragged, transitions: Transitions) -> None:
        self.emissions = emissions.values.astype(np.float64, copy=False)
        self.lengths = emissions.lengths
        self.transitions = transitions
        starts = starts_of(self.lengths)
        self.is_read = self.lengths > 0
        self.first = starts[self.is_read]
        self.last = (starts + self.lengths - 1)[self.is_read]
        is_first = np.zeros(len(self.emissions), dtype=bool)
        is_first[self.first] = True
        self.after_first = np.flatnonzero(~is_first)
        # The longest sequences come first, so that those that have a step t are a prefix.
        order = np.argsort(-self.lengths, kind="stable")
        descending = self.lengths[order]
        longest = int(descending[0]) if len(descending) else 0
        counts = np.searchsorted(-descending, -np.arange(longest), side="left")
        self.rows_of_step = [starts[order[:count]] + step for step, count in enumerate(counts.tolist())]

    def scores(self, labels: NDArray[np.int64]) -> Array:
        """s(y) (B,) of the sequences with their labels (N,)."""
        of_step = self.emissions[np.arange(len(labels)), labels]
        of_step[self.first] += self.transitions.start[labels[self.first]]
        of_step[self.last] += self.transitions.end[labels[self.last]]
        after = self.after_first
        of_step[after] += self.transitions.between[labels[after - 1], labels[after]]
        sums = np.zeros(len(self.lengths))
        np.add.at(sums, np.repeat(np.arange(len(sums)), self.lengths), of_step)
        return sums

    def forward(self) -> Array:
        """The logarithm (N, K) of the sum of exp over the labels up to each step, that step's emission included."""
        out = np.empty_like(self.emissions)
        for step, rows in enumerate(self.rows_of_step):
            if not step:
                out[rows] = self.transitions.start + self.emissions[rows]
            else:
                out[rows] = _log_product(out[rows - 1], self.transitions.between) + self.emissions[rows]
        return out

    def backward(self) -> Array:
        """The logarithm (N, K) of the sum of exp over the labels after each step."""
        out = np.empty_like(self.emissions)
        out[self.last] = self.transitions.end
        transposed = self.transitions.between.T
        for rows in reversed(self.rows_of_step[1:]):
            out[rows - 1] = _log_product(out[rows] + self.emissions[rows], transposed)
        return out

    def log_partition(self, log_forward: Array) -> Array:
        """log Σ exp(s) (B,) of each sequence; 0 of one without steps."""
        out = np.zeros(len(self.lengths))
        out[self.is_read] = _log_sum_exp(log_forward[self.last] + self.transitions.end)[:, 0]
        return out


def _log_sum_exp(z: Array) -> Array:
    """(n, 1) of z (n, K)."""
    top = z.max(axis=1, keepdims=True)
    sums: Array = top + np.log(np.exp(z - top).sum(axis=1, keepdims=True))
    return sums


def _log_product(left: Array, right: Array) -> Array:
    """log Σ_a exp(left[n, a] + right[a, b]) (n, K), as a product of matrices."""
    top_left = left.max(axis=1, keepdims=True)
    top_right = right.max(axis=0, keepdims=True)
    # A label that no transition reaches: its column is -inf throughout.
    top_right = np.where(np.isneginf(top_right), 0.0, top_right)
    product = np.exp(left - top_left) @ np.exp(right - top_right)
    with np.errstate(divide="ignore"):
        out: Array = np.log(product) + top_left + top_right
    # A sum that underflows to 0 where it is not: only paths of a probability below 1e-300 of the others lead there.
    lost = np.argwhere((product == 0) & ~np.isneginf(right).all(axis=0))
    for row, column in lost:
        terms = left[row] + right[:, column]
        top = terms.max()
        if not np.isneginf(top):
            out[row, column] = top + np.log(np.exp(terms - top).sum())
    return out
