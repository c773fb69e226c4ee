"""`FeatureReader`: what each value of a graph holds, in the terms of an `Architecture` (`gatewise.network.features`).

It goes through the nodes once and computes no value of the network. A function of one token alone is an exception: it
has as many values as the vocabulary has ids, and each is computed, so that the function becomes rows of the embedding.

A batch of a graph has sequences of one number of steps, some of which a mask or lengths leave out; an `Architecture`
runs on the steps that are read. Each rule below says why both are the same, and what has no such reason is not
recognised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gatewise.errors import InputError
from gatewise.network.activations import SELU_ALPHA, SELU_SCALE
from gatewise.network.elementwise import Elementwise
from gatewise.network.features import (
    Act,
    Affine,
    Axis,
    Columns,
    Count,
    Equals,
    Features,
    Kept,
    Lstm,
    Merge,
    NotRecognised,
    Numbers,
    Pooled,
    Read,
    Role,
    Rule,
    Series,
    Source,
    State,
    StepNumber,
    Token,
    Total,
    without_axes,
)
from gatewise.network.graph import Graph, Node
from gatewise.network.operation import Execution
from gatewise.network.operations.clip import Clip
from gatewise.network.operations.recurrent import Recurrent
from gatewise.network.operations.sigmoid import Sigmoid
from gatewise.network.operations.tanh import Tanh
from gatewise.network.size import Dim, Shape, divided, remainder
from gatewise.network.weight_layouts import Weights
from gatewise.types import Array

MAX_TABLE = 100_000_000  # numbers of a function of each token


@dataclass(frozen=True)
class Filled:
    """An array full of one number, of any shape."""

    number: float


@dataclass(frozen=True)
class Unknown:
    """A value that no rule reads, and why."""

    reason: str


Value = Features | Array | Filled | Unknown
"""A constant is an array."""


@dataclass(frozen=True)
class Input:
    """How the graph is called: the name of its ids or series, what its axes count, and the name of the lengths."""

    name: str
    axes: tuple[Axis, ...]
    lengths: str = ""


class FeatureReader:
    """values: of the graph, by name. sizes: of the batch and of the steps. vocab_size: of the ids, 0 for a series."""

    def __init__(self, graph: Graph, inputs: Input, vocab_size: int) -> None:
        self.graph = graph
        self.inputs = inputs
        self.vocab_size = vocab_size
        self.columns = Columns()
        self.values: dict[str, Value] = {}
        shape = graph.types[inputs.name].shape
        self.sizes: dict[Role, Dim] = {axis[0]: size for axis, size in zip(inputs.axes, shape, strict=True) if axis}
        self._tables: dict[Token, Array] = {}
        self._producers = {name: node for node in graph.nodes for name in node.outputs}

    @property
    def single(self) -> bool:
        """Whether the graph reads one sequence, without an axis of the batch or with one of size 1."""
        return "batch" not in self.sizes

    def read(self) -> None:
        """Go through all nodes."""
        self.values |= self.graph.constants
        self._read_inputs()
        for node in self.graph.nodes:
            values = [self.values[name] if name else None for name in node.inputs]
            unknown = [value for value in values if isinstance(value, Unknown)]
            results: Sequence[Value]
            if unknown:
                results = [unknown[0]] * len(node.outputs)
            else:
                try:
                    results = self._node(node, values)
                    self._check_shapes(node, results)
                except NotRecognised as reason:
                    results = [Unknown(f"{node.shown}, {node.operation.name()}: {reason}")] * len(node.outputs)
            self.values |= zip(node.outputs, results, strict=True)

    def _check_shapes(self, node: Node, results: Sequence[Value]) -> None:
        """A rule that does not know how a node broadcasts would give another shape."""
        for name, value in zip(node.outputs, results, strict=True):
            if isinstance(value, Features):
                shape = self.graph.types[name].shape
                same_rank = len(value.axes) == len(shape)
                if not same_rank or value.columns.shape != self._column_shape(shape, value.axes):
                    raise NotRecognised("it repeats numbers for an axis")

    def _read_inputs(self) -> None:
        name = self.inputs.name
        shape = tuple(
            size for size, axis in zip(self.graph.types[name].shape, self.inputs.axes, strict=True) if not axis
        )
        numbers = [size for size in shape if isinstance(size, int)]
        if len(numbers) < len(shape):
            raise NotRecognised("the number of channels depends on the inputs")
        source: Source = Token(name, self.inputs.axes, False) if self.vocab_size else Series()
        columns = self.columns.of(source, int(np.prod(numbers)))
        self.values[name] = Features(self.inputs.axes, columns.reshape(numbers))
        if self.inputs.lengths:
            count = self._count(Rule("lengths", name=self.inputs.lengths))
            self.values[self.inputs.lengths] = Features((("batch",),), count.reshape(()))

    def _node(self, node: Node, values: list[Any]) -> Sequence[Value]:
        operation = node.operation
        if isinstance(operation, Recurrent):
            return self._recurrent(operation, values)
        name = operation.name()
        if values and all(isinstance(value, Filled) for value in values) and isinstance(operation, Elementwise):
            return [Filled(float(operation.value(*(np.float64(value.number) for value in values))))]
        if name in _LAYOUTS:
            return _LAYOUTS[name](self, node, values)
        if name == "Gather" and isinstance(values[0], (Features, Filled)):
            return self._gather(node, values)
        if self._is_of_tokens(values):
            return [self._token(node, values)]
        return [self._by_rule(node, values)]

    def _by_rule(self, node: Node, values: list[Any]) -> Value:
        rule = _RULES.get(node.operation.name())
        if rule is None or not any(isinstance(value, Features) for value in values):
            raise NotRecognised("no layer of an Architecture does this")
        return rule(self, node, values)

    # Functions of one token

    def _is_of_tokens(self, values: Sequence[Value | None]) -> bool:
        """Whether a node reads functions of one token and constants alone."""
        of_tokens = False
        for value in values:
            if isinstance(value, Features):
                if not all(isinstance(source, Token) for source in self.columns.sources(value.columns)):
                    return False
                of_tokens = True
        return of_tokens

    def _token(self, node: Node, values: Sequence[Value | None]) -> Value:
        """A node that computes the result of each step from the numbers of this step alone."""
        name, operation = node.operation.name(), node.operation
        read = [value for value in values if isinstance(value, Features)]
        axes: tuple[Axis, ...]
        if isinstance(operation, (Elementwise, Clip)) or name in ("Cast", "Where"):
            axes, _ = self._aligned(values)
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
                self._aligned([values[0].with_full(values[0].full[..., :1]), values[2]])
        elif name in ("Softmax", "LogSoftmax", "LayerNormalization", "RMSNormalization"):
            axes = read[0].axes
            first = operation.axis_of(operation.axis, len(axes))  # type: ignore[attr-defined]
            normalised = axes[first : first + 1] if name.endswith("ax") else axes[first:]
            if any(normalised):
                raise NotRecognised("it normalises over the steps")
            self._aligned(values)
        elif name.startswith("Reduce"):
            reduced = self._reduced(node, read[0])
            if any(read[0].axes[axis] for axis in reduced):
                return self._by_rule(node, list(values))
            axes = tuple(
                axis
                for place, axis in enumerate(read[0].axes)
                if place not in reduced or operation.keepdims  # type: ignore[attr-defined]
            )
        else:
            raise NotRecognised("no layer of an Architecture does this")
        if len({value.flipped for value in read}) > 1:
            raise NotRecognised("it joins steps with others in reverse order")
        [output] = node.outputs
        shape = self._column_shape(self.graph.types[output].shape, axes)
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
        needed = _prefix(self.graph, source.name, self.inputs.name)
        rows = []
        for start in range(0, self.vocab_size, per_run * steps):
            ids = np.minimum(np.arange(start, start + per_run * steps), self.vocab_size - 1)
            shape = [{"batch": per_run, "steps": steps}[axis[0]] if axis else 1 for axis in self.inputs.axes]
            grid = ids.reshape(per_run, steps)
            if self.inputs.axes.index(("steps",)) == 0:
                grid = grid.T
            feed = {self.inputs.name: grid.reshape(shape)}
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

    # Masks

    def _count(self, rule: Rule, less: int = 0) -> Numbers:
        return self.columns.once(("count", rule, less), Count(rule, less), 1)

    def mask(self, value: Value) -> tuple[Rule | None, bool]:
        """The rule of a mask, and whether the value is true, or 1, for the steps that it reads. None: it reads all
        steps. Raises NotRecognised for a value that is no mask.
        """
        if not isinstance(value, Features) or len(np.unique(value.columns)) != 1:
            raise NotRecognised("what it reads is no mask of steps")
        source, [place] = self.columns.whole(np.unique(value.columns))
        if isinstance(source, Read):
            return source.rule, not source.negated
        if not isinstance(source, Token):
            raise NotRecognised("what it reads is no mask of steps")
        values = self.table(source)[:, place]
        is_true = values != 0
        if not np.array_equal(values, is_true):
            raise NotRecognised("what it reads is no mask of steps, which has 0 and 1")
        if is_true.all():
            return None, True
        for positive, skipped in ((True, ~is_true), (False, is_true)):
            if skipped.sum() == 1:
                return Rule("id", float(np.flatnonzero(skipped)[0])), positive
        raise NotRecognised("a mask skips several ids")

    # Layout

    def _column_shape(self, shape: Shape, axes: tuple[Axis, ...]) -> tuple[int, ...]:
        sizes = [size for size, axis in zip(shape, axes, strict=True) if not axis]
        if not all(isinstance(size, int) for size in sizes):
            raise NotRecognised("the number of its outputs depends on the inputs")
        return tuple(size for size in sizes if isinstance(size, int))

    def _same(self, node: Node, values: list[Any]) -> Sequence[Value]:
        return [values[0]]

    def _transpose(self, node: Node, values: list[Any]) -> Sequence[Value]:
        [value] = values
        if isinstance(value, Filled):
            return [value]
        perm = node.operation._order(len(value.axes))  # type: ignore[attr-defined]
        full = value.full.transpose(perm)
        axes = tuple(value.axes[axis] for axis in perm)
        return [Features(axes, without_axes(full, axes), value.flipped)]

    def _reshape(self, node: Node, values: list[Any]) -> Sequence[Value]:
        [value] = values
        if isinstance(value, Filled):
            return [value]
        shape = self.graph.types[node.outputs[0]].shape
        axes = self._reshaped_axes(value, shape)
        return [Features(axes, value.columns.reshape(self._column_shape(shape, axes)), value.flipped)]

    def _reshaped_axes(self, value: Features, shape: Shape) -> tuple[Axis, ...]:
        """What the axes count after a reshape, which keeps the order of the numbers: each new axis takes the next of
        the old ones, whole or, of columns, a factor. Axes of size 1 are columns of their own.
        """
        waiting: list[Role | int] = []
        sizes = iter(value.columns.shape)
        for axis in value.axes:
            waiting += axis or [next(sizes)]
        waiting = [one for one in waiting if one != 1]
        axes: list[Axis] = []
        for size in shape:
            rest = size
            roles: list[Role] = []
            of_columns = False
            while rest != 1:
                if not waiting:
                    raise NotRecognised(f"its shape {', '.join(map(str, shape))} is read in no way")
                first = waiting.pop(0)
                taken = self.sizes[first] if isinstance(first, str) else first
                if isinstance(first, int) and isinstance(rest, int) and first % rest == 0:
                    taken = rest
                    waiting[:0] = [first // rest] if first != rest else []
                if remainder(rest, taken) != 0:
                    raise NotRecognised("it joins steps and their outputs, or cuts the sequences into others")
                rest = divided(rest, taken)
                if isinstance(first, str):
                    roles.append(first)
                else:
                    of_columns = True
            if roles and of_columns:
                raise NotRecognised("it joins the outputs of the steps, such as Flatten")
            axes.append(tuple(roles))
        return tuple(axes)

    def _expand(self, node: Node, values: list[Any]) -> Sequence[Value]:
        [value] = values
        if isinstance(value, Filled):
            return [value]
        if isinstance(value, np.ndarray):
            if value.size and np.all(value == value.flat[0]):
                return [Filled(float(value.flat[0]))]
            raise NotRecognised("it repeats a constant for each sequence, such as a learned state")
        shape = self.graph.types[node.outputs[0]].shape
        axes = (*((),) * (len(shape) - len(value.axes)), *value.axes)
        for axis, size in zip(axes, shape, strict=True):
            if not axis and not isinstance(size, int):
                raise NotRecognised("it repeats a value for each step or sequence")
        full = value.full.reshape((1,) * (len(shape) - len(value.axes)) + value.full.shape)
        wide = np.broadcast_to(full, [1 if axis else int(str(size)) for axis, size in zip(axes, shape, strict=True)])
        return [Features(axes, without_axes(wide, axes), value.flipped)]

    def _concat(self, node: Node, values: list[Any]) -> Sequence[Value]:
        if all(isinstance(value, Filled) for value in values) and len(set(values)) == 1:
            return [values[0]]
        features = [value for value in values if isinstance(value, Features)]
        if len(features) < len(values):
            raise NotRecognised("it joins outputs with constants")
        first = features[0]
        axis = node.operation.axis_of(node.operation.axis, len(first.axes))  # type: ignore[attr-defined]
        if first.axes[axis] or any(one.axes != first.axes or one.flipped != first.flipped for one in features):
            raise NotRecognised("it joins steps or sequences")
        return [first.with_full(np.concatenate([one.full for one in features], axis=axis))]

    def _split(self, node: Node, values: list[Any]) -> Sequence[Value]:
        [value] = values
        if isinstance(value, Filled):
            return [value] * len(node.outputs)
        axis = node.operation.axis  # type: ignore[attr-defined]
        axis %= len(value.axes)
        if value.axes[axis]:
            raise NotRecognised("it cuts the steps or the sequences apart")
        sizes = [self.graph.types[name].shape[axis] for name in node.outputs]
        bounds = np.cumsum([size for size in sizes if isinstance(size, int)])[:-1]
        return [value.with_full(chunk) for chunk in np.split(value.full, bounds, axis=axis)]

    def _slice(self, node: Node, values: list[Any]) -> Sequence[Value]:
        [value] = values
        if isinstance(value, Filled):
            return [value]
        operation: Any = node.operation
        shape = self.graph.types[node.inputs[0]].shape
        result = self.graph.types[node.outputs[0]].shape
        full, flipped = value.full, value.flipped
        for axis, start, end, step in operation._bounds(len(value.axes)):
            if not value.axes[axis]:
                full = full[(slice(None),) * axis + (slice(start, end, step),)]
            elif result[axis] != shape[axis] or (value.axes[axis] != ("steps",) and step != 1):
                raise NotRecognised("it takes steps or sequences at constant places")
            elif step == -1:
                flipped = not flipped
            elif step != 1:
                raise NotRecognised("it takes steps at constant places")
        return [Features(value.axes, without_axes(full, value.axes), flipped)]

    def _gather(self, node: Node, values: list[Any]) -> Sequence[Value]:
        """Of columns: those with constant numbers. Of steps: the first, the last, or the last one of each sequence."""
        value, index = values
        if isinstance(value, Filled):
            return [value]
        axis = node.operation.axis_of(node.operation.axis, len(value.axes))  # type: ignore[attr-defined]
        if isinstance(index, np.ndarray) and not value.axes[axis]:
            full = np.take(value.full, index.astype(np.int64), axis=axis)
            axes = (*value.axes[:axis], *((),) * index.ndim, *value.axes[axis + 1 :])
            return [Features(axes, without_axes(full, axes), value.flipped)]
        if value.axes[axis] != ("steps",) or not isinstance(index, np.ndarray) or index.size != 1:
            raise NotRecognised("it takes steps or sequences at other places than the first or the last step")
        row = int(index.flat[0])
        steps = self.sizes["steps"]
        if isinstance(steps, int):
            row = row % steps - steps
        if row not in (-1, 0, -steps if isinstance(steps, int) else 0):
            raise NotRecognised("it takes steps at other places than the first or the last one")
        time = "last" if (row == -1) != value.flipped else "first"
        columns = self._row(value.columns, time, None)  # type: ignore[arg-type]
        axes = (*value.axes[:axis], *((),) * index.ndim, *value.axes[axis + 1 :])
        shape = [size for size, one in zip(self.graph.types[node.outputs[0]].shape, axes, strict=True) if not one]
        return [Features(axes, columns.reshape([int(str(size)) for size in shape]))]

    def _gather_nd(self, node: Node, values: list[Any]) -> Sequence[Value]:
        """h (B, T, ...) at the steps (B, 1) of each sequence."""
        value, index = values
        if node.operation.batch_dims != 1 or value.axes[:2] != (("batch",), ("steps",)):  # type: ignore[attr-defined]
            raise NotRecognised("it takes values at other places than one step of each sequence")
        if not isinstance(index, Features) or index.axes != (("batch",), ()) or index.columns.shape != (1,):
            raise NotRecognised("it takes values at other places than one step of each sequence")
        columns = self._at_length(value, index)
        return [Features((("batch",), *value.axes[2:]), columns)]

    def _gather_elements(self, node: Node, values: list[Any]) -> Sequence[Value]:
        """h (B, T, H) at the steps (B, 1, H) of each sequence, all H the same."""
        value, index = values
        axis = node.operation.axis_of(node.operation.axis, len(value.axes))  # type: ignore[attr-defined]
        axes = (*value.axes[:axis], (), *value.axes[axis + 1 :])
        if not isinstance(index, Features) or value.axes[axis] != ("steps",) or index.axes != axes:
            raise NotRecognised("it takes values at other places than one step of each sequence")
        if index.full.shape != value.full.shape:
            raise NotRecognised("it takes a step of some outputs only")
        return [Features(axes, without_axes(self._at_length(value, index).reshape(value.full.shape), axes))]

    def _at_length(self, value: Features, index: Features) -> Numbers:
        source, _ = self.columns.whole(index.columns)
        # Of a mask of ids or numbers the steps may be anywhere, so that a number of them says nothing of the last one.
        if not isinstance(source, Count) or source.less != 1 or source.rule.kind != "lengths" or value.flipped:
            raise NotRecognised("it takes a step whose number is not the length of the sequence less 1")
        return self._row(value.columns, "last", source.rule)

    # Pooling

    def _row(self, columns: Numbers, time: Literal["first", "last"], rule: Rule | None) -> Numbers:
        """The columns at one step: the first or last one of all steps, or of those that the rule of lengths reads. A
        function of one step is that function of what it reads at the step.
        """

        def of(source: Source) -> Numbers:
            key = ("row", source, time, rule)
            width = self.columns.width(source)
            if isinstance(source, Affine):
                return self.columns.once(key, Affine(at(source.columns), source.weight, source.bias), width)
            if isinstance(source, Act):
                return self.columns.once(key, Act(at(source.columns), source.kind, source.negative_slope), width)
            if isinstance(source, Merge):
                merge = Merge(source.how, at(source.left), at(source.right))
                return self.columns.once(key, merge, width)
            if isinstance(source, Lstm):
                return self._row_of_lstm(source, time, rule)
            raise NotRecognised("it takes one step of what is no output of an LSTM layer")

        def at(read: Numbers) -> Numbers:
            return self._row(read, time, rule)

        return self.columns.mapped(columns, of)

    def _row_of_lstm(self, lstm: Lstm, time: str, rule: Rule | None) -> Numbers:
        """h at one step is the final state where the direction reads this step last, or reads none after it.

        Without a mask the last step in time is the last one that the forward direction reads. With a mask whose
        outputs are repeated ("previous"), the output at that end is that of the last step that was read. At the length
        of a sequence: also without a mask, because a forward direction has read no later step by then.
        """
        reads_last = "last" if lstm.direction == "forward" else "first"
        if rule is not None:
            if lstm.rule not in (None, rule) or (lstm.rule is None and lstm.direction == "backward"):
                raise NotRecognised("it takes the last step of a layer that reads the steps after it")
            return self._pooled("final" if lstm.direction == "forward" else "step", lstm, rule)
        if time == reads_last and (lstm.rule is None or lstm.masked == "previous"):
            return self._pooled("final", lstm, lstm.rule)
        if time == "last" and lstm.rule is None:
            return self._pooled("step", lstm, None)
        raise NotRecognised(
            "it takes the first step of a layer" if lstm.rule is None else "it takes a step that a mask may skip"
        )

    def _pooled(self, kind: Any, source: Lstm | Merge, rule: Rule | None) -> Numbers:
        pooled = Pooled(kind, source, rule)
        return self.columns.once((kind, source, rule), pooled, self.columns.width(source))

    def _mean(self, columns: Numbers, rule: Rule | None) -> Numbers:
        """The mean over the steps that the rule reads, of all without a rule. That of an affine function is the
        function of the mean.
        """

        def of(source: Source) -> Numbers:
            if isinstance(source, Affine):
                mean = Affine(self._mean(source.columns, rule), source.weight, source.bias)
                return self.columns.once(("mean", source, rule), mean, self.columns.width(source))
            self._check_pooled(source, rule)
            assert isinstance(source, (Lstm, Merge))
            return self._pooled("mean", source, rule)

        return self.columns.mapped(columns, of)

    def _maximum(self, columns: Numbers, rule: Rule | None) -> Numbers:
        def of(source: Source) -> Numbers:
            self._check_pooled(source, rule)
            assert isinstance(source, (Lstm, Merge))
            return self._pooled("max", source, rule)

        return self.columns.mapped(columns, of)

    def _check_pooled(self, source: Source, rule: Rule | None) -> None:
        """Raise NotRecognised unless a pooling over these steps is that over the steps that the layer reads.

        Without a rule of its own, a layer that reads forward has at the steps within the lengths what it has without
        the others, which come after them. A mask of ids or numbers may stand anywhere.
        """
        for lstm in self._lstms(source):
            causal = lstm.rule is None and lstm.direction == "forward"
            if lstm.rule != rule and not (causal and rule is not None and rule.kind == "lengths"):
                raise NotRecognised("it pools over other steps than the LSTM layer reads")

    def _lstms(self, source: Source) -> list[Lstm]:
        """The LSTM of a source, or the two that it merges."""
        if isinstance(source, Lstm):
            return [source]
        if isinstance(source, Merge):
            read = self.columns.sources(np.concatenate([source.left, source.right]))
            lstms = [one for one in read if isinstance(one, Lstm)]
            if len(lstms) == len(read):
                return lstms
        raise NotRecognised("it pools what is no output of an LSTM layer")

    # Recurrence

    def _recurrent(self, operation: Recurrent, values: list[Any]) -> Sequence[Value]:
        usual = operation.activations in ((), (Sigmoid(), Tanh(), Tanh()))
        if operation.cell != "LSTM":
            raise NotRecognised(f"a layer of type {operation.cell}")
        if operation.clip or not usual:
            raise NotRecognised("an LSTM with other activations, or with clipping")
        given = dict(zip(operation.formal, (*values, *(None,) * len(operation.formal)), strict=False))
        if given["peepholes"] is not None or given["projection"] is not None:
            raise NotRecognised("an LSTM with peepholes or a projection")
        for name in ("h0", "c0"):
            if given[name] is not None and not _is_zero(given[name]):
                raise NotRecognised("an LSTM that starts from a state other than zero")
        x, weight_ih, weight_hh = given["x"], given["weight_ih"], given["weight_hh"]
        biases = [array for array in (given["bias"], given["recurrent_bias"]) if array is not None]
        if not all(isinstance(array, np.ndarray) for array in (weight_ih, weight_hh, *biases)):
            raise NotRecognised("the weights depend on the inputs")
        batch: Axis = () if self.single else ("batch",)
        if not isinstance(x, Features) or x.axes != (batch, ("steps",), ()):
            raise NotRecognised("it reads no steps of the sequences of the inputs")
        rule = self._rule_of(given["mask"], x)
        flips = operation.reverse != x.flipped
        bias = np.sum([array.astype(np.float64) for array in biases], axis=0) if biases else np.zeros(len(weight_ih))
        weights = Weights(weight_ih.astype(np.float64), weight_hh.astype(np.float64), bias)
        direction: Literal["forward", "backward"] = "backward" if flips else "forward"
        lstm = Lstm(x.columns.ravel(), weights, direction, rule, operation.masked)
        rows = self.columns.of(lstm, lstm.units)
        final = self._pooled("final", lstm, rule)
        state = self.columns.of(State(lstm), lstm.units)
        each = (1, lstm.units) if self.single else (lstm.units,)
        return [
            Features(x.axes, rows.reshape(each), x.flipped),
            *(Features((batch, ()), columns.reshape(each)) for columns in (final, state)),
        ]

    def _rule_of(self, mask: Value | None, x: Features) -> Rule | None:
        if mask is None:
            return None
        if isinstance(mask, np.ndarray | Filled):
            if bool(np.all(mask.number if isinstance(mask, Filled) else mask)):
                return None
            raise NotRecognised("a mask that is a constant")
        rule, positive = self.mask(mask)
        if rule is None:
            return None
        assert isinstance(mask, Features)
        if not positive or mask.flipped != x.flipped:
            raise NotRecognised("a mask of other steps than those that it reads")
        return rule

    # Arithmetic

    def _aligned(self, values: Sequence[Value | None]) -> tuple[tuple[Axis, ...], list[Array]]:
        """The axes of values that are broadcast, and each as an array with the size 1 for steps and sequences: the
        columns of features, or the numbers of constants.
        """
        arrays: list[Array] = []
        axes_of: list[tuple[Axis, ...]] = []
        for value in values:
            if isinstance(value, Features):
                arrays.append(value.full)
                axes_of.append(value.axes)
            elif value is not None and not isinstance(value, Unknown):
                array = np.asarray(value.number) if isinstance(value, Filled) else value
                arrays.append(array)
                axes_of.append(((),) * array.ndim)
        rank = max(len(axes) for axes in axes_of)
        merged: list[Axis] = []
        arrays = [array.reshape((1,) * (rank - array.ndim) + array.shape) for array in arrays]
        axes_of = [(*((),) * (rank - len(axes)), *axes) for axes in axes_of]
        for place in range(rank):
            roles = {axes[place] for axes in axes_of} - {()}
            if len(roles) > 1 or (roles and any(array.shape[place] != 1 for array in arrays)):
                raise NotRecognised("it joins steps with numbers of another order")
            merged.append(roles.pop() if roles else ())
        if len({role for axis in merged for role in axis}) < sum(map(len, merged)):
            raise NotRecognised("it joins each step with each other step")
        return tuple(merged), arrays

    def _flipped(self, values: Sequence[Value | None]) -> bool:
        flips = {value.flipped for value in values if isinstance(value, Features) and value.of_steps}
        if len(flips) > 1:
            raise NotRecognised("it joins steps with others in reverse order")
        return flips.pop() if flips else False

    def _of_each(self, x: Features, scale: Any, shift: Any, axes: tuple[Axis, ...], shape: Any) -> Features:
        """x scale + shift of each column, broadcast to `shape`."""
        rank = len(shape)
        wide = np.broadcast_to(x.full.reshape((1,) * (rank - x.full.ndim) + x.full.shape), shape).ravel()
        scales = np.broadcast_to(np.asarray(scale, np.float64), shape).ravel()
        shifts = np.broadcast_to(np.asarray(shift, np.float64), shape).ravel()
        columns = self._scaled(wide, scales, shifts)
        return Features(axes, without_axes(columns.reshape(shape), axes), x.flipped)

    def _scaled(self, columns: Numbers, scale: Array, shift: Array) -> Numbers:
        sources = self.columns.sources(columns)
        if len(sources) == 1 and isinstance(sources[0], Count) and np.all(scale == 1):
            count = sources[0]
            if np.all(shift == shift[0]) and shift[0] == int(shift[0]):
                return np.repeat(self._count(count.rule, count.less - int(shift[0])), len(columns))
        # Half the sum of two directions is their mean.
        if len(sources) == 1 and isinstance(sources[0], Merge) and sources[0].how == "sum":
            halves = bool(np.all(scale == 0.5) and np.all(shift == 0))
            if halves and np.array_equal(columns, self.columns.all_of(sources[0])):
                mean = Merge("mean", sources[0].left, sources[0].right)
                return self.columns.once(("half", sources[0]), mean, len(columns))
        return self.columns.of(Affine(columns, scale, shift), len(columns))

    def _sum(self, node: Node, values: list[Any]) -> Value:
        features, constants, axes, shape = self._operands(values)
        if len(features) == 1:
            return self._of_each(features[0], 1.0, sum(constants), axes, shape)
        return self._merged("sum", values)

    def _sub(self, node: Node, values: list[Any]) -> Value:
        features, constants, axes, shape = self._operands(values)
        if len(features) != 1:
            raise NotRecognised("it subtracts one output of the network from another")
        if isinstance(values[0], Features):
            return self._of_each(features[0], 1.0, -constants[0], axes, shape)
        mask = self._inverted(features[0], constants[0])
        return mask or self._of_each(features[0], -1.0, constants[0], axes, shape)

    def _inverted(self, value: Features, one: Array) -> Features | None:
        """1 - mask."""
        source = self.columns.sources(value.columns)[0]
        return self._not_read(value) if isinstance(source, Read) and np.all(one == 1) else None

    def _mul(self, node: Node, values: list[Any]) -> Value:
        features, constants, axes, shape = self._operands(values)
        if len(features) == 1:
            return self._of_each(features[0], constants[0], 0.0, axes, shape)
        for x, mask in (features, features[::-1]):
            if x.of_steps and self._is_mask(mask):
                return self._kept(x, mask, 0.0, axes)
        return self._merged("product", values)

    def _div(self, node: Node, values: list[Any]) -> Value:
        features, constants, axes, shape = self._operands(values)
        if len(features) == 1 and isinstance(values[0], Features):
            return self._of_each(features[0], 1 / np.asarray(constants[0], np.float64), 0.0, axes, shape)
        if len(features) == 2:
            return self._mean_of_total(features[0], features[1], axes)
        raise NotRecognised("it divides a number by an output of the network")

    def _mean_of_total(self, total: Features, count: Features, axes: tuple[Axis, ...]) -> Value:
        """The sum over the steps that a rule reads, divided by their number, is their mean."""
        number = self.columns.sources(count.columns)
        if len(number) != 1 or not isinstance(number[0], Count) or number[0].less:
            raise NotRecognised("it divides one output of the network by another")
        rule = number[0].rule

        def of(source: Source) -> Numbers:
            if not isinstance(source, Total) or source.rule != rule:
                raise NotRecognised("it divides by the number of other steps than it adds")
            return self._mean(source.columns, rule)

        wide, _ = np.broadcast_arrays(*self._aligned([total, count])[1])
        return Features(axes, without_axes(self.columns.mapped(wide, of), axes))

    def _neg(self, node: Node, values: list[Any]) -> Value:
        _, _, axes, shape = self._operands(values)
        return self._of_each(values[0], -1.0, 0.0, axes, shape)

    def _operands(self, values: list[Any]) -> tuple[list[Features], list[Array], tuple[Axis, ...], tuple[int, ...]]:
        """The features and the constants of a node, and the axes and shape to which they are broadcast."""
        axes, arrays = self._aligned(values)
        features = [value for value in values if isinstance(value, Features)]
        constants = [array for value, array in zip(values, arrays, strict=True) if not isinstance(value, Features)]
        return features, constants, axes, np.broadcast_shapes(*(array.shape for array in arrays))

    def _merged(self, how: Literal["sum", "mean", "product"], values: list[Any]) -> Value:
        """Two directions, unit by unit. Whether they are two directions is checked where the layer is known."""
        axes, arrays = self._aligned(values)
        if len(arrays) != 2 or not all(isinstance(value, Features) for value in values):
            raise NotRecognised("it joins more than two outputs of the network")
        left, right = np.broadcast_arrays(*arrays)
        merge = Merge(how, left.ravel(), right.ravel())
        columns = self.columns.of(merge, left.size).reshape(left.shape)
        return Features(axes, without_axes(columns, axes), self._flipped(values))

    def _mean_of_two(self, node: Node, values: list[Any]) -> Value:
        return self._merged("mean", values)

    def _matmul(self, node: Node, values: list[Any]) -> Value:
        x, weight = values
        if not isinstance(x, Features) or not isinstance(weight, np.ndarray) or weight.ndim != 2:
            raise NotRecognised("it multiplies outputs of the network")
        return self._dense(x, weight.T, np.zeros(weight.shape[1]))

    def _gemm(self, node: Node, values: list[Any]) -> Value:
        operation: Any = node.operation
        x, weight, *rest = values
        bias = rest[0] if rest else None
        constant = isinstance(weight, np.ndarray) and (bias is None or isinstance(bias, np.ndarray))
        if not isinstance(x, Features) or not constant or operation.transA:
            raise NotRecognised("it multiplies outputs of the network")
        rows = operation.alpha * (weight if operation.transB else weight.T).astype(np.float64)  # (K, F)
        shift = np.zeros(len(rows))
        if bias is not None:
            if bias.ndim == 2 and bias.shape[0] != 1:
                raise NotRecognised("a bias that differs by sequence")
            shift = shift + operation.beta * bias.astype(np.float64).ravel()
        return self._dense(x, rows, shift)

    def _dense(self, x: Features, weight: Array, bias: Array) -> Features:
        if x.axes[-1] or x.columns.size != weight.shape[1]:
            raise NotRecognised("it multiplies over the steps, or each of several parts of the outputs")
        affine = Affine(x.columns.ravel(), weight.astype(np.float64), bias)
        columns = self.columns.of(affine, len(weight))
        return Features(x.axes, columns.reshape((*x.columns.shape[:-1], len(weight))), x.flipped)

    def _activation(self, node: Node, values: list[Any]) -> Value:
        x = values[0]
        kind, slope = _activation_of(node.operation)
        flat = x.columns.ravel()
        columns = self.columns.of(Act(flat, kind, slope), len(flat))
        act = Features(x.axes, columns.reshape(x.columns.shape), x.flipped)
        if kind in ("softmax", "log_softmax"):
            axis = node.operation.axis_of(node.operation.axis, len(x.axes))  # type: ignore[attr-defined]
            if x.axes[axis] or x.full.shape[axis] != flat.size:
                raise NotRecognised("a softmax over the steps, or over a part of the outputs")
        return act

    # Comparisons and masks

    def _equal(self, node: Node, values: list[Any]) -> Value:
        features, constants, _, _ = self._operands(values)
        sources = self.columns.sources(features[0].columns)
        if len(features) != 1 or not isinstance(sources[0], Series) or np.unique(constants[0]).size != 1:
            raise NotRecognised("it compares numbers")
        x = features[0]
        width = self.columns.width(sources[0])
        equals = self.columns.of(Equals(float(constants[0].flat[0]), negated=False), width)
        return Features(x.axes, equals[x.columns.ravel() - self.columns.all_of(sources[0])[0]].reshape(x.columns.shape))

    def _not(self, node: Node, values: list[Any]) -> Value:
        return self._not_read(values[0])

    def _not_read(self, value: Features) -> Features:
        def of(source: Source) -> Numbers:
            width = self.columns.width(source)
            if isinstance(source, Read):
                return self.columns.once(("not", source), Read(source.rule, not source.negated), width)
            if isinstance(source, Equals):
                return self.columns.once(("not", source), Equals(source.value, not source.negated), width)
            raise NotRecognised("what it inverts is no mask")

        return Features(value.axes, self.columns.mapped(value.columns, of), value.flipped)

    def _less(self, node: Node, values: list[Any]) -> Value:
        return self._before(values[0], values[1], less=0)

    def _less_or_equal(self, node: Node, values: list[Any]) -> Value:
        return self._before(values[0], values[1], less=1)

    def _greater(self, node: Node, values: list[Any]) -> Value:
        return self._before(values[1], values[0], less=0)

    def _greater_or_equal(self, node: Node, values: list[Any]) -> Value:
        """Of the number of the step: those that are not read."""
        if isinstance(values[0], Features) and self._is_number(values[0]):
            return self._not_read(self._before(values[0], values[1], less=0))
        return self._before(values[1], values[0], less=1)

    def _is_number(self, value: Features) -> bool:
        return isinstance(self.columns.sources(value.columns)[0], StepNumber)

    def _before(self, number: Value, count: Value, less: int) -> Features:
        """Whether the number of the step is below the length of the sequence."""
        features = [value for value in (number, count) if isinstance(value, Features)]
        if len(features) != 2 or not self._is_number(features[0]) or features[0].flipped:
            raise NotRecognised("it compares numbers")
        source, _ = self.columns.whole(features[1].columns)
        if not isinstance(source, Count) or source.less != less or source.rule.kind != "lengths":
            raise NotRecognised("it compares numbers that are no lengths")
        axes, arrays = self._aligned(features)
        shape = np.broadcast_shapes(*(array.shape for array in arrays))
        read = self.columns.once(("read", source.rule), Read(source.rule), 1)
        return Features(axes, without_axes(np.broadcast_to(read.reshape((1,) * len(shape)), shape), axes))

    def _is_mask(self, value: Value) -> bool:
        try:
            self.mask(value)
        except NotRecognised:
            return False
        return True

    def _kept(
        self, x: Features, mask: Value, otherwise: float, axes: tuple[Axis, ...], inverted: bool = False
    ) -> Value:
        """x at the steps that a mask reads."""
        rule, positive = self.mask(mask)
        assert isinstance(mask, Features)
        if rule is None:
            return x
        if positive == inverted or mask.flipped != x.flipped or not x.of_steps or axes != x.axes:
            raise NotRecognised("it leaves out the steps that the mask reads")
        flat = x.columns.ravel()
        columns = self.columns.of(Kept(flat, rule, otherwise), len(flat))
        return Features(x.axes, columns.reshape(x.columns.shape), x.flipped)

    def _where(self, node: Node, values: list[Any]) -> Value:
        mask, x, y = values
        axes, arrays = self._aligned(values)
        inverted = isinstance(y, Features)
        kept, other = (y, x) if inverted else (x, y)
        if not isinstance(kept, Features) or isinstance(other, Features):
            raise NotRecognised("it chooses between two outputs of the network")
        numbers = np.unique(arrays[1 if inverted else 2])
        if len(numbers) != 1 or np.broadcast_shapes(*(array.shape for array in arrays)) != kept.full.shape:
            raise NotRecognised("it replaces outputs by several numbers")
        return self._kept(kept, mask, float(numbers[0]), axes, inverted)

    def _at_least(self, node: Node, values: list[Any]) -> Value:
        """A number of steps is at least 1, whatever it is limited to."""
        value, bound = values[:2] if isinstance(values[0], Features) else values[1::-1]
        upper = values[2] if len(values) > 2 else None
        source = self.columns.sources(value.columns)[0] if isinstance(value, Features) else None
        is_count = isinstance(source, Count) and source.less == 0 and isinstance(bound, np.ndarray | Filled)
        if not is_count or upper is not None or not np.all(_numbers(bound) <= 1):
            raise NotRecognised("it limits numbers")
        return value  # type: ignore[no-any-return]

    # Reductions

    def _reduced(self, node: Node, value: Features) -> tuple[int, ...]:
        """The axes over which a reduction goes, without those of one column."""
        axes: tuple[int, ...] = node.operation._reduced_axes(len(value.axes))  # type: ignore[attr-defined]
        return axes

    def _reduction(self, node: Node, values: list[Any]) -> Value:
        [value] = values
        if not isinstance(value, Features):
            raise NotRecognised("no layer of an Architecture does this")
        reduced = self._reduced(node, value)
        many = [axis for axis in reduced if value.axes[axis] or value.full.shape[axis] != 1]
        kind = node.operation.name().removeprefix("Reduce")
        full = value.full
        axes = value.axes
        if [axes[axis] for axis in many] == [("steps",)]:
            columns = self._over_steps(kind, value)
            full = columns.reshape(full.shape)
        elif len(many) == 1 and not axes[many[0]]:
            full = self._over_columns(kind, value, many[0])
        elif many:
            raise NotRecognised("it goes over the sequences, or over several axes")
        axes = tuple(() if place in reduced else axis for place, axis in enumerate(axes))
        if not node.operation.keepdims:  # type: ignore[attr-defined]
            axes = tuple(axis for place, axis in enumerate(axes) if place not in reduced)
            full = full.squeeze(reduced)
        of_steps = any("steps" in axis for axis in axes)
        return Features(axes, without_axes(full, axes), value.flipped and of_steps)

    def _over_steps(self, kind: str, value: Features) -> Numbers:
        """The order of the steps makes no difference."""
        columns = value.columns
        if kind == "Mean":
            return self._mean(columns, None)
        if kind == "Max":
            return self.columns.mapped(columns, self._maximum_of)
        if kind == "Sum":
            if self._is_mask(value):
                rule, positive = self.mask(value)
                if rule is not None and positive:
                    return np.full_like(columns, self._count(rule)[0])
            return self.columns.mapped(columns, self._total_of)
        raise NotRecognised("a pooling other than the mean and the maximum")

    def _maximum_of(self, source: Source) -> Numbers:
        """Numbers at the steps that are not read change no maximum where they are below every output of the layer: h
        is above -1, the sum of two above -2.
        """
        if not isinstance(source, Kept):
            return self._maximum(self.columns.all_of(source), None)
        least = -2.0 if any(isinstance(one, Merge) for one in self.columns.sources(source.columns)) else -1.0
        if source.otherwise > least:
            raise NotRecognised(f"the maximum includes {source.otherwise:g} at the steps that the mask skips")
        return self._maximum(source.columns, source.rule)

    def _total_of(self, source: Source) -> Numbers:
        """Zeros at the steps that are not read change no sum."""
        width = self.columns.width(source)
        if isinstance(source, Kept) and source.otherwise == 0:
            return self.columns.once(("total", source), Total(source.columns, source.rule), width)
        rules = {lstm.rule for lstm in self._lstms(source) if lstm.masked == "zero"}
        if len(rules) == 1 and None not in rules and all(one.masked == "zero" for one in self._lstms(source)):
            [rule] = rules
            assert rule is not None
            return self.columns.once(("total", source), Total(self.columns.all_of(source), rule), width)
        raise NotRecognised("a sum over the steps that is not divided by their number")

    def _over_columns(self, kind: str, value: Features, axis: int) -> Numbers:
        """Two directions that were stacked, or the channels that a mask compares."""
        sources = self.columns.sources(value.columns)
        if len(sources) == 1 and isinstance(sources[0], Equals):
            equals = sources[0]
            whole = np.array_equal(np.sort(value.columns.ravel()), self.columns.all_of(equals))
            # A step is padded where all channels have the value: it is read where any differs.
            if whole and kind == ("Max" if equals.negated else "Min"):
                rule = Rule("value", equals.value)
                read = self.columns.once(("read", rule, equals.negated), Read(rule, not equals.negated), 1)
                return np.full([1 if place == axis else size for place, size in enumerate(value.full.shape)], read[0])
        how = {"Sum": "sum", "Mean": "mean", "Prod": "product"}.get(kind)
        full = value.full
        if how is None or full.shape[axis] != 2:
            raise NotRecognised("it goes over the outputs of a step")
        left, right = np.split(full, 2, axis=axis)
        merge = Merge(how, left.ravel(), right.ravel())  # type: ignore[arg-type]
        return self.columns.of(merge, left.size).reshape(left.shape)

    def _range(self, node: Node, values: list[Any]) -> Sequence[Value]:
        operation: Any = node.operation
        if (operation.start, operation.delta, operation.limit) != (0, 1, self.sizes["steps"]):
            raise NotRecognised("it counts something else than the steps")
        return [Features((("steps",),), self.columns.once(("number",), StepNumber(), 1).reshape(()))]

    def _filled(self, node: Node, values: list[Any]) -> Sequence[Value]:
        return [Filled(float(node.operation.value))]  # type: ignore[attr-defined]


def _is_zero(value: Any) -> bool:
    return bool(np.all(_numbers(value) == 0)) if isinstance(value, np.ndarray | Filled) else False


def _numbers(value: Any) -> Array:
    return np.asarray(value.number if isinstance(value, Filled) else value)


def _prefix(graph: Graph, name: str, input_name: str) -> Graph:
    """The nodes on which a value depends, with the input that they read."""
    needed = {name}
    kept = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(node.inputs)
    constants = {key: array for key, array in graph.constants.items() if key in needed}
    inputs = {input_name: graph.inputs[input_name]}
    return Graph(inputs, constants, tuple(reversed(kept)), (name,))


def _activation_of(operation: Any) -> tuple[Any, float]:
    """The activation of an operation, and its slope below 0."""
    name = operation.name()
    usual = True
    if name == "HardSigmoid":
        usual = np.allclose((operation.alpha, operation.beta), (1 / 6, 0.5), rtol=1e-6)
    elif name == "Gelu":
        usual = operation.approximate == "none"
    elif name in ("Elu", "Swish"):
        usual = operation.alpha == 1
    elif name == "Selu":
        usual = np.allclose((operation.alpha, operation.gamma), (SELU_ALPHA, SELU_SCALE), rtol=1e-6)
    if not usual:
        raise NotRecognised("an activation with other numbers than an Architecture has")
    return _ACTIVATIONS[name], operation.alpha if name == "LeakyRelu" else 0.01


_ACTIVATIONS = {
    "Relu": "relu",
    "LeakyRelu": "leaky_relu",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "HardSigmoid": "hard_sigmoid",
    "Gelu": "gelu",
    "Elu": "elu",
    "Selu": "selu",
    "Swish": "silu",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
}

_Layout = Callable[[FeatureReader, Node, list[Any]], Sequence[Value]]

_LAYOUTS: dict[str, _Layout] = {
    "Identity": FeatureReader._same,
    "Transpose": FeatureReader._transpose,
    "Reshape": FeatureReader._reshape,
    "Expand": FeatureReader._expand,
    "Concat": FeatureReader._concat,
    "Split": FeatureReader._split,
    "Slice": FeatureReader._slice,
    "GatherND": FeatureReader._gather_nd,
    "GatherElements": FeatureReader._gather_elements,
    "Range": FeatureReader._range,
    "ConstantOfShape": FeatureReader._filled,
}
"""Nodes that move columns, or read none."""

_RULES: dict[str, Callable[[FeatureReader, Node, list[Any]], Value]] = {
    **dict.fromkeys(_ACTIVATIONS, FeatureReader._activation),
    **dict.fromkeys(("ReduceMean", "ReduceMax", "ReduceSum", "ReduceMin", "ReduceProd"), FeatureReader._reduction),
    "Cast": lambda reader, node, values: values[0],
    "Add": FeatureReader._sum,
    "Sum": FeatureReader._sum,
    "Sub": FeatureReader._sub,
    "Mul": FeatureReader._mul,
    "Div": FeatureReader._div,
    "Neg": FeatureReader._neg,
    "Mean": FeatureReader._mean_of_two,
    "MatMul": FeatureReader._matmul,
    "Gemm": FeatureReader._gemm,
    "Equal": FeatureReader._equal,
    "Not": FeatureReader._not,
    "Less": FeatureReader._less,
    "LessOrEqual": FeatureReader._less_or_equal,
    "Greater": FeatureReader._greater,
    "GreaterOrEqual": FeatureReader._greater_or_equal,
    "Where": FeatureReader._where,
    "Max": FeatureReader._at_least,
    "Clip": FeatureReader._at_least,
}
"""What a node computes of columns that are no functions of one token."""
