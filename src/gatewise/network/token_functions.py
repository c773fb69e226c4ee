"""`TokenFunctions`: what a graph computes of the id of one step alone.

Such a function has as many values as the vocabulary has ids. All of them are computed, so that the function becomes
rows of an embedding, or a mask that skips one id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from gatewise.errors import InputError
from gatewise.network.elementwise import Elementwise
from gatewise.network.features import (
    Axis,
    Columns,
    Features,
    NotRecognised,
    Role,
    Token,
    Value,
    aligned,
    column_shape,
)
from gatewise.network.graph import Graph, Node
from gatewise.network.operation import Execution
from gatewise.network.operations.clip import Clip
from gatewise.network.reduction import Reduction
from gatewise.network.size import Dim
from gatewise.types import Array

MAX_TABLE = 100_000_000  # numbers of a function of each token


class TokenFunctions:
    """name, axes: of the ids among the inputs. sizes: of the batch and of the steps. columns: of all values."""

    def __init__(
        self,
        graph: Graph,
        name: str,
        axes: tuple[Axis, ...],
        sizes: Mapping[Role, Dim],
        vocab_size: int,
        columns: Columns,
    ) -> None:
        self.graph = graph
        self.name = name
        self.axes = axes
        self.sizes = sizes
        self.vocab_size = vocab_size
        self.columns = columns
        self._tables: dict[Token, Array] = {}

    def are_read(self, values: Sequence[Value | None]) -> bool:
        """Whether a node reads functions of one token and constants alone."""
        of_tokens = False
        for value in values:
            if isinstance(value, Features):
                if not all(isinstance(source, Token) for source in self.columns.sources(value.columns)):
                    return False
                of_tokens = True
        return of_tokens

    def function(self, node: Node, values: Sequence[Value | None]) -> Value:
        """A node that computes the result of each step from the numbers of this step alone."""
        name, operation = node.operation.name(), node.operation
        read = [value for value in values if isinstance(value, Features)]
        axes: tuple[Axis, ...]
        if isinstance(operation, (Elementwise, Clip)) or name in ("Cast", "Where"):
            axes, _ = aligned(values)
        elif name == "Gather":  # rows of a constant
            where = operation.axis_of(operation.axis, np.ndim(values[0]))  # type: ignore[attr-defined, arg-type]
            axes = (*((),) * where, *read[0].axes, *((),) * (np.ndim(values[0]) - where - 1))  # type: ignore[arg-type]
        elif name == "OneHot":
            rank = len(read[0].axes) + 1
            where = operation.axis_of(operation.axis, rank)  # type: ignore[attr-defined]
            axes = (*read[0].axes[:where], (), *read[0].axes[where:])
        elif name in ("MatMul", "Gemm") and isinstance(values[0], Features):
            transposed = name == "Gemm" and operation.transA  # type: ignore[attr-defined]
            if values[0].axes[-1] or transposed or np.ndim(values[1]) != 2:  # type: ignore[arg-type]
                raise NotRecognised("it multiplies over the steps")
            axes = values[0].axes
            if len(values) > 2:
                aligned([values[0].with_full(values[0].full[..., :1]), values[2]])
        elif name in ("Softmax", "LogSoftmax", "LayerNormalization", "RMSNormalization"):
            axes = read[0].axes
            first = operation.axis_of(operation.axis, len(axes))  # type: ignore[attr-defined]
            normalised = axes[first : first + 1] if name.endswith("ax") else axes[first:]
            if any(normalised):
                raise NotRecognised("it normalises over the steps")
            aligned(values)
        elif isinstance(operation, Reduction):
            reduced = () if operation.keepdims else operation._reduced_axes(len(read[0].axes))
            axes = tuple(axis for place, axis in enumerate(read[0].axes) if place not in reduced)
        else:
            raise NotRecognised("no layer of an Architecture does this")
        if len({value.flipped for value in read}) > 1:
            raise NotRecognised("it joins steps with others in reverse order")
        [output] = node.outputs
        shape = column_shape(self.graph.types[output].shape, axes)
        columns = self.columns.of(Token(output, axes, read[0].flipped), int(np.prod(shape)))
        return Features(axes, columns.reshape(shape), read[0].flipped)

    def table(self, source: Token) -> Array:
        """The values (vocab_size, K) float64 of a function of one token for each id."""
        if source not in self._tables:
            self._tables[source] = self._computed(source)
        return self._tables[source]

    def _computed(self, source: Token) -> Array:
        """All ids, in as many batches of the size of the inputs as they take."""
        sizes = {role: size if isinstance(size, int) else 0 for role, size in self.sizes.items()}
        steps = sizes["steps"] or 1
        per_run = sizes.get("batch", 1) or -(-self.vocab_size // steps)
        if self.vocab_size * self.columns.width(source) > MAX_TABLE:
            raise NotRecognised("a function of each token has too many values")
        needed = _prefix(self.graph, source.name, self.name)
        rows = []
        for start in range(0, self.vocab_size, per_run * steps):
            ids = np.minimum(np.arange(start, start + per_run * steps), self.vocab_size - 1)
            shape = [{"batch": per_run, "steps": steps}[axis[0]] if axis else 1 for axis in self.axes]
            grid = ids.reshape(per_run, steps)
            if self.axes.index(("steps",)) == 0:
                grid = grid.T
            feed = {self.name: grid.reshape(shape)}
            try:
                run = needed.run(feed, execution=Execution(dtype=np.float64, keep=False))
            except InputError as error:
                raise NotRecognised(f"a function of each token does not take each id: {error}") from None
            rows.append(self._rows(source, run[source.name]))
        return np.concatenate(rows)[: self.vocab_size]

    def _rows(self, source: Token, array: Array) -> Array:
        """The values (B T, K) of an array in the axes of a token function, sequence by sequence."""
        roles = [axis[0] for axis in source.axes if len(axis) == 1]
        if len(roles) < sum(map(bool, source.axes)):
            order: tuple[Role, ...] = next(axis for axis in source.axes if len(axis) > 1)
            raise NotRecognised(f"a function of each token has {' and '.join(order)} in one axis")
        places = [source.axes.index((role,)) for role in ("batch", "steps") if role in roles]
        moved = np.moveaxis(array, places, range(len(places)))
        if source.flipped:
            moved = np.flip(moved, len(places) - 1)
        rows = int(np.prod(moved.shape[: len(places)]))
        return moved.reshape(rows, -1).astype(np.float64)


def _prefix(graph: Graph, name: str, input_name: str) -> Graph:
    """The nodes on which a value depends, with the input that they read."""
    return replace(graph.part([name]), inputs={input_name: graph.inputs[input_name]}, guards=())
