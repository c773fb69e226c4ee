"""Data-parallel training: each process computes the gradients of its rows of a batch, and all of them take their sum.

The loss of a batch is the mean over all its rows, so each process counts with its share of the rows, however uneven the
shares are. The dense gradients are summed as one array. Of an embedding table, the rows that a process has read are
exchanged, unless all of them together are more than the table: then its sum is exchanged as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.network.autograd import RowGradient, sum_rows
from gatewise.network.trainable import Gradients
from gatewise.training.communicator import Communicator
from gatewise.types import Array


def balanced_part(rows: NDArray[np.int64], sequences: Sequence[Array], communicator: Communicator) -> NDArray[np.int64]:
    """This process's share of a batch, the rows (n,) of `sequences`. They are dealt out by length, back and forth, so
    that no process computes much longer than the others, which wait for it.
    """
    size = communicator.size
    if size == 1:
        return rows
    steps = np.array([len(sequences[n]) for n in rows])
    place = np.arange(len(rows)) % (2 * size)
    owner = np.minimum(place, 2 * size - 1 - place)
    mine: NDArray[np.int64] = rows[np.argsort(-steps, kind="stable")[owner == communicator.rank]]
    return mine


class StepSum(NamedTuple):
    """Of a step, over all processes. loss: the mean over the rows of the batch; correct: rows that are predicted
    correctly; stop: whether a process is to stop; save: whether a checkpoint is due; gradients: of the loss.
    """

    gradients: Gradients
    loss: float
    correct: int = 0
    stop: bool = False
    save: bool = False


class GradientExchange:
    """parameters: by name; their shapes are those of the gradients."""

    def __init__(self, communicator: Communicator, parameters: Mapping[str, Array]) -> None:
        self.communicator = communicator
        self._rows = {name: len(value) for name, value in parameters.items() if value.ndim}
        self._buffer = np.zeros(0)

    def sum(self, mine: StepSum, weight: float) -> StepSum:
        """The sum over all processes. mine: of this process's share `weight` of the batch's rows; 0 without a row."""
        if self.communicator.size == 1:
            return mine
        tables = {name: g for name, g in mine.gradients.items() if isinstance(g, RowGradient)}
        counts = [len(g.rows) for g in tables.values()]
        met = self.communicator.meet(weight * mine.loss if weight else 0.0, mine.correct, mine.stop, mine.save, *counts)
        done: Gradients = self._dense(mine.gradients, weight)
        for place, (name, gradient) in enumerate(tables.items()):
            done[name] = self._table(self._rows[name], gradient, weight, met[:, 4 + place].astype(int))
        gradients = {name: done[name] for name in mine.gradients}  # in the order of one process
        stop, save = bool(met[:, 2].any()), bool(met[:, 3].any())
        return StepSum(gradients, float(met[:, 0].sum()), int(met[:, 1].sum()), stop, save)

    def _dense(self, gradients: Gradients, weight: float) -> Gradients:
        dense = {name: g for name, g in gradients.items() if not isinstance(g, RowGradient)}
        size, dtype = sum(g.size for g in dense.values()), np.result_type(*dense.values())
        if self._buffer.shape != (size,) or self._buffer.dtype != dtype:
            self._buffer = np.empty(size, dtype)
        done: Gradients = {}
        at = 0
        for name, gradient in dense.items():
            part = self._buffer[at : at + gradient.size].reshape(gradient.shape)
            np.multiply(gradient, dtype.type(weight), out=part)
            done[name] = part
            at += gradient.size
        self.communicator.all_reduce(self._buffer)
        return done

    def _table(self, length: int, gradient: RowGradient, weight: float, counts: NDArray[np.int64]) -> RowGradient:
        """The sum of the gradients by row, of which process r has counts[r] rows."""
        values = gradient.values * gradient.values.dtype.type(weight)
        most = int(counts.max())
        padded = np.zeros(most, np.int64)
        padded[: len(values)] = gradient.rows
        rows = np.concatenate([one[:n] for one, n in zip(self.communicator.all_gather(padded), counts, strict=True)])
        if len(counts) * most < 2 * length:  # a sum of all rows is sent twice: in pieces, then as the sum
            block = np.zeros((most, values.shape[1]), values.dtype)
            block[: len(values)] = values
            blocks = self.communicator.all_gather(block)
            return sum_rows(rows, np.concatenate([one[:n] for one, n in zip(blocks, counts, strict=True)]))
        table = np.zeros((length, values.shape[1]), values.dtype)
        table[gradient.rows] = values
        self.communicator.all_reduce(table)
        read = np.unique(rows)
        return RowGradient(read, table[read])
