"""`check_rows`: whether the outputs of a sequence are the same in each batch. A model predicts each sequence alone, in
batches of any size for which the network was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from gatewise.errors import InputError, counted
from gatewise.exchange.proof_inputs import Case, CaseMaker
from gatewise.exchange.proof_sizes import boundaries_of
from gatewise.exchange.read_network import ReadNetwork
from gatewise.members.graph_axes import GraphAxes
from gatewise.network.operation import Execution
from gatewise.network.size import Size, symbols_of
from gatewise.types import Array

_TOLERANCE = 1e-6  # of numbers in float64, which products of other sizes round in another way
_MOST_BATCH = 600  # sequences: larger numbers at which a network changes are not tried


def check_rows(network: ReadNetwork) -> None:
    """Raise InputError for a network whose outputs for a sequence depend on the others of its batch, naming the first
    node that does, or on their number.
    """
    axes = GraphAxes(network.graph)
    if not isinstance(axes.batch_size, Size) or str(axes.batch_size) not in network.graph.symbols:
        return
    for case in CaseMaker(network.graph).cases():
        try:
            network.graph.run(case.inputs)
        except InputError:
            continue  # such as fewer steps than the network reads
        _Rows(network, axes, axes.batch_size, case).check()
        return


class _Rows:
    """The outputs for one batch, whose rows are then put into other batches."""

    def __init__(self, network: ReadNetwork, axes: GraphAxes, size: Size, case: Case) -> None:
        self.network = network
        self.graph = network.graph
        self.axes = axes
        self.size = size
        self.inputs = case.inputs
        self.sizes = case.sizes
        self.count = case.sizes[str(size)]
        # Of a value with two such axes, as of products of all sequences, nothing says which row belongs to which.
        self.with_rows = [name for name, kind in self.graph.types.items() if kind.shape.count(size) == 1]
        self.outputs = [name for name in self.graph.outputs if name in self.with_rows]

    def check(self) -> None:
        """Raise InputError, see `check_rows`."""
        values = self._values(self.inputs)
        for places in _arrangements(self.count):
            try:
                arranged = self._values(self._batch(places))
            except InputError:
                continue  # the network was not read for this number of sequences
            if all(self._same(name, arranged[name], values[name], places) for name in self.outputs):
                continue
            for node in self.graph.nodes:
                for name in node.outputs:
                    if name in values and not self._same(name, arranged[name], values[name], places):
                        raise InputError(
                            f"{node.shown}: what it computes for a sequence depends on the other sequences of the "
                            "batch, and a model predicts each sequence alone: compute along the other axes"
                        )
        for count in self._other_counts():
            self._check_count(count, values)

    def _check_count(self, count: int, values: Mapping[str, Array]) -> None:
        """Whether the original computes something else for a number of sequences for which the graph was not read."""
        places = np.sort(np.resize(np.arange(self.count), count))
        try:
            original = self.network.original_values(self._batch(places), self.outputs, "float64")
        except InputError:
            return
        for name in self.outputs:
            # Without an axis that it removes for one sequence, an output is the same in another shape.
            has_shape = original[name].shape == self._rows_of(name, values[name], places).shape
            if has_shape and not self._same(name, original[name], values[name], places):
                raise InputError(
                    f"for {counted(count, 'sequence')} the network computes something else than for other numbers of "
                    "sequences, and a model predicts each sequence alone: remove the condition on the batch"
                )

    def _other_counts(self) -> Iterator[int]:
        """The numbers of sequences, next to a boundary, for which the graph was not read."""
        name = str(self.size)
        for count in boundaries_of(self.graph, name, self.sizes):
            sizes = {**self.sizes, name: count}
            refusing = [guard for guard in self.graph.guards if not guard.holds(sizes)]
            of_batch = all(symbols_of(guard.left) | symbols_of(guard.right) == {name} for guard in refusing)
            if refusing and of_batch and count <= _MOST_BATCH:
                yield count

    def _batch(self, places: Sequence[int] | Array) -> dict[str, Array]:
        """The inputs of these rows."""
        batch = {}
        for name, array in self.inputs.items():
            axis = self.axes.of_inputs[name].batch
            batch[name] = array if axis is None else np.take(array, places, axis)
        return batch

    def _values(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        execution = Execution(dtype=np.float64, keep=False)
        return dict(self.graph.run(inputs, values=self.with_rows, execution=execution))

    def _rows_of(self, name: str, array: Array, places: Sequence[int] | Array) -> Array:
        return np.take(array, places, self.graph.types[name].shape.index(self.size))

    def _same(self, name: str, array: Array, wanted: Array, places: Sequence[int] | Array) -> bool:
        rows = self._rows_of(name, wanted, places)
        return array.shape == rows.shape and np.allclose(
            array, rows, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=array.dtype.kind == "f"
        )


def _arrangements(count: int) -> Iterator[list[int]]:
    """The rows of other batches. The first row stays in front, and none moves before another one: sequences may be in
    the order of their lengths.
    """
    yield [place for place in range(count) for _ in range(1 + place % 3)]
    yield [0, *range(count)][:count]
    yield [0]
    if count > 2:
        yield [0, count - 1]
