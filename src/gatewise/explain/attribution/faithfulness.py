"""How faithful an account is to its model, measured: what the verdict does without the steps that it ranks first.

An account can be exact and miss what the network would do: the sum is one thing, the deletion another. So, after ERASER
(DeYoung et al. 2020), the steps are ranked by how far they speak for the verdict, and for q = 1, 5, 10, 20 and 50%

    comprehensiveness   p(verdict | all steps) - p(verdict | all but the first q)     higher is better
    sufficiency         p(verdict | all steps) - p(verdict | the first q alone)       lower is better

each a mean over the five shares. The same verdict is followed, whatever the edited sequence would be called. Edited
texts are no texts that anyone wrote, and deletion favours methods that delete (leave-one-out). Random ranks stand
beside, and what an account costs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gatewise.explain.attribution import (
    METHODS,
    Attribution,
    Beside,
    Example,
    Method,
    attributions_of,
    predict_examples,
)
from gatewise.explain.net import ExplainedNetwork, chunks, run_all
from gatewise.metrics.evaluation import Faithfulness, log_probabilities
from gatewise.types import Array

__all__ = ["SHARES", "STEPS", "DeletionScores", "Random", "choose", "measure", "measure_all", "sample"]

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
STEPS = 2_000_000  # of leave-one-out that a sample may take: some seconds of 128 units
_AT_ONCE = 16_384  # steps of readings whose accounts are held at a time


@dataclass(frozen=True, eq=False)
class DeletionScores:
    """One method on one sample of n sequences. comprehensiveness, sufficiency (n, 5): by sequence and share of
    `SHARES`.

    deleted (5,): the mean probability of the verdict behind each deletion, the deletion curve; whole: before any.
    seconds: what an account took, a sequence.
    """

    comprehensiveness: Array
    sufficiency: Array
    whole: float
    seconds: float

    @property
    def deleted(self) -> Array:
        """The deletion curve (5,)."""
        return np.asarray(self.whole - self.comprehensiveness.mean(axis=0))

    @property
    def each(self) -> Array:
        """Comprehensiveness less sufficiency of each sequence (n,)."""
        return np.asarray((self.comprehensiveness - self.sufficiency).mean(axis=1))

    @property
    def faithfulness(self) -> Faithfulness:
        """The two means."""
        return Faithfulness(float(self.comprehensiveness.mean()), float(self.sufficiency.mean()), len(self.sufficiency))

    @property
    def errors(self) -> tuple[float, float]:
        """One standard error of the two means, over the sequences."""
        n = max(len(self.sufficiency), 1)
        one, two = (float(part.mean(axis=1).std() / n**0.5) for part in (self.comprehensiveness, self.sufficiency))
        return one, two


def choose(found: Mapping[str, DeletionScores]) -> str:
    """The method to explain by: of those that are as good as the best, the one that `METHODS` names first.

    METHODS goes from exact and free to costly. As good: by the mean over the same sequences of comprehensiveness less
    sufficiency, at most two standard errors of the difference behind.
    """
    each = {name: found[name].each for name in METHODS if name in found}
    best = max(each, key=lambda name: float(each[name].mean()))

    def as_good(name: str) -> bool:
        behind = each[best] - each[name]
        return bool(behind.mean() <= 2 * behind.std() / len(behind) ** 0.5)

    return next(name for name in each if as_good(name))


class Random:
    """Ranks by chance: what any method must beat."""

    adds_up = False
    beside: Beside = "within"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def note(self, net: ExplainedNetwork) -> str:
        return f"The {net.token_noun}s in an order drawn by chance; it is an account of nothing."

    def start_note(self, net: ExplainedNetwork) -> str:
        return "nothing"

    def accounts(self, net: ExplainedNetwork, readings: Sequence[Example], channels: bool = False) -> list[Attribution]:
        rng = np.random.default_rng(self.seed)
        return [Attribution(rng.standard_normal(len(reading.rows)), 0.0) for reading in readings]


def measure(net: ExplainedNetwork, sequences: Sequence[Array], method: Method) -> DeletionScores:
    """One method on sequences (length, ...), none of them empty; only the steps that the network reads take part."""
    cut = [reading.read for reading in predict_examples(net, sequences)]
    readings = predict_examples(net, cut)
    began = time.perf_counter()
    scores: list[Array] = []
    for some in chunks([_Sized(reading) for reading in readings], _AT_ONCE):
        scores += [account.scores for account in attributions_of(net, method, [one.reading for one in some])]
    seconds = (time.perf_counter() - began) / len(readings)
    edited = run_all(net, _edited(readings, scores))  # (n 5 2, outputs)
    p = np.exp(log_probabilities(edited)).reshape(len(readings), len(SHARES), 2, -1)  # (n, 5, 2, K)
    whole = np.exp(log_probabilities(np.stack([reading.logits for reading in readings])))  # (n, K)
    which = whole.argmax(axis=1)
    before = whole[np.arange(len(which)), which]  # (n,)
    after = np.take_along_axis(p, which[:, None, None, None], axis=3)[..., 0]  # (n, 5, 2)
    drop = before[:, None, None] - after
    return DeletionScores(drop[..., 0], drop[..., 1], float(before.mean()), seconds)


def measure_all(
    net: ExplainedNetwork, sequences: Sequence[Array], methods: Mapping[str, Method] | None = None
) -> dict[str, DeletionScores]:
    """Every method on the same sequences, by name."""
    return {name: measure(net, sequences, method) for name, method in (methods or METHODS).items()}


def sample(lengths: Sequence[int], most: int = 60, steps: int = STEPS, seed: int = 0) -> list[int]:
    """Rows of a small sample, drawn by chance: at most `most`, and so that leave-one-out on all of them, which is
    quadratic in a sequence's length, takes at most `steps` steps; at least one. Those of no step are left out.
    """
    rows: list[int] = []
    spent = 0
    for row in np.random.default_rng(seed).permutation(len(lengths)).tolist():
        if len(rows) == most:
            break
        cost = lengths[row] ** 2
        if lengths[row] and (not rows or spent + cost <= steps):
            rows.append(row)
            spent += cost
    return rows


class _Sized:
    def __init__(self, reading: Example) -> None:
        self.reading = reading

    def __len__(self) -> int:
        return len(self.reading.rows)


def _edited(readings: Sequence[Example], scores: Sequence[Array]) -> Iterator[Array]:
    """For each reading and share: it without the steps ranked first, and those alone, in their order."""
    for reading, score in zip(readings, scores, strict=True):
        ranked = np.argsort(-reading.towards * score, kind="stable")
        for share in SHARES:
            first = np.zeros(len(ranked), dtype=bool)
            first[ranked[: max(1, round(share * len(ranked)))]] = True
            yield reading.sequence[~first]
            yield reading.sequence[first]
