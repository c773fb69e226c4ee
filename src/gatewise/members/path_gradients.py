"""The gradients of scores on straight paths of a network's inputs, for integrated gradients
(`gatewise.explain.attribution.integrated_gradients`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gatewise.network.autograd import VALUES, gradients
from gatewise.network.batch import Batch
from gatewise.network.distinct_tokens import PAD
from gatewise.ragged import starts_of
from gatewise.types import Array, Lengths

if TYPE_CHECKING:
    from gatewise.kernels.interface import Kernel
    from gatewise.network.architecture import Architecture


@dataclass(frozen=True, eq=False)
class PathPoints:
    """Points base + alpha (x - base) of the path from `base` (D,) to x (T, D), what `Network.embedded` returns of
    `part`. alphas, weights (K,): the points and their weights. logit_weights (outputs,): of the logits in the score.
    step: of a network with logits per step, the explained one.
    """

    x: Array
    base: Array
    alphas: Array
    weights: Array
    logit_weights: Array
    step: int | None
    part: Any

    def __len__(self) -> int:
        """The number of steps of all points."""
        return len(self.alphas) * len(self.x)


class PathGradient(NamedTuple):
    """scores (K,) float64 at the points. gradient (T, D) float64: Σ_k weight_k ∂score/∂x at point k."""

    scores: Array
    gradient: Array


class _Rows(NamedTuple):
    """A batch whose inputs are rows of their own. parameters: with these rows, where the network has an embedding;
    name: of the array of all rows, among the gradients; first: the number of the first row in it.
    """

    batch: Batch
    parameters: dict[str, Array]
    name: str
    first: int


def lstm_path_gradients(
    arch: Architecture,
    parameters: Mapping[str, Array],
    points: Sequence[PathPoints],
    kernel: Kernel,
    memo: dict[str, tuple[Array, Array]] | None,
) -> list[PathGradient]:
    """Of an `LSTM`. All points are one batch. Its input rows are the pad, the baseline and the steps of each path; the
    runs interpolate between them, so no point has an input product of its own.
    """
    bases = np.stack([path.base for path in points])  # (S, D)
    rows = np.concatenate([path.x for path in points])  # (R, D)
    runs = np.array([len(path.alphas) for path in points])
    steps = np.array([len(path.x) for path in points], dtype=np.intp)
    first = len(points) + starts_of(steps)
    index = np.concatenate(
        [np.tile(np.arange(f, f + t), k) for f, t, k in zip(first, steps, runs, strict=True)]
    )  # (N,): of each step of each run its row
    lengths = np.repeat(steps, runs)
    if arch.word_features:  # the rows are those of words and features together
        arch = replace(arch, embedding_dim=arch.input_size, word_features=0, feature_dim=0)
    of_rows = _rows(arch, parameters, np.concatenate([bases, rows]), index, lengths)
    base = of_rows.first + np.repeat(np.arange(len(points)), runs)
    alphas = np.concatenate([path.alphas for path in points]).astype(rows.dtype)
    dlogits = np.concatenate([path.weights[:, None] * path.logit_weights for path in points])  # (runs, outputs)
    explained = np.arange(len(lengths))  # the rows of the logits
    if points[0].step is not None:
        explained = starts_of(lengths) + np.repeat([path.step for path in points], runs)

    def gradient(logits: Array) -> Array:
        of_logits = np.zeros_like(logits, dtype=dlogits.dtype)
        of_logits[explained] = dlogits
        return of_logits

    logits, slopes = gradients(
        of_rows.parameters,
        arch,
        of_rows.batch,
        gradient,
        [of_rows.name],
        kernel,
        interpolation=(base.astype(np.int32), alphas),
        memo=memo,
    )
    logits = logits[explained]
    slope = slopes[of_rows.name][-len(rows) :].astype(np.float64)  # (R, D), weighted and summed over the runs
    results = []
    run = 0
    row = 0
    for path in points:
        of_runs = slice(run, run + len(path.alphas))
        of_steps = slice(row, row + len(path.x))
        scores = logits[of_runs].astype(np.float64) @ path.logit_weights
        results.append(PathGradient(scores, slope[of_steps]))
        run = of_runs.stop
        row = of_steps.stop
    return results


def _rows(arch: Architecture, parameters: Mapping[str, Array], rows: Array, index: Array, lengths: Lengths) -> _Rows:
    """The batch of sequences whose steps are `rows` (R, D), index (N,) the row of each step."""
    if arch.channels:
        return _Rows(Batch(lengths, values=rows, index=index.astype(np.int32)), dict(parameters), VALUES, 0)
    # The rows are an embedding of their own, after the pad, whose row stays the same.
    name = "embedding.weight"
    pad = np.zeros((1, rows.shape[1]), rows.dtype)
    of_pad = parameters[name][PAD]
    pad[0, : len(of_pad)] = of_pad
    embedding = np.concatenate([pad, rows])
    pads = arch.max_length - lengths if arch.padding == "pre" else None
    batch = Batch(lengths, np.arange(len(embedding)), (index + 1).astype(np.int32), pads=pads)
    return _Rows(batch, {**parameters, name: embedding}, name, 1)
