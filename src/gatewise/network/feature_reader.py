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

from gatewise.network.activation_operations import ACTIVATION_NAMES, activation_of
from gatewise.network.elementwise import Elementwise
from gatewise.network.feature_layout import FeatureLayout
from gatewise.network.feature_masks import FeatureMasks
from gatewise.network.feature_pooling import FeaturePooling
from gatewise.network.features import (
    Act,
    Affine,
    Axis,
    Columns,
    Count,
    Equals,
    Features,
    Filled,
    Lstm,
    Merge,
    NotRecognised,
    Numbers,
    Read,
    Role,
    Rule,
    Series,
    Source,
    State,
    StepNumber,
    Token,
    Total,
    Unknown,
    Value,
    aligned,
    column_shape,
    flipped_of,
    numbers_of,
    without_axes,
)
from gatewise.network.graph import Graph, Node
from gatewise.network.merge_mode import MergeName
from gatewise.network.operations.constant_of_shape import ConstantOfShape
from gatewise.network.operations.range import Range
from gatewise.network.operations.recurrent import Recurrent
from gatewise.network.operations.sigmoid import Sigmoid
from gatewise.network.operations.tanh import Tanh
from gatewise.network.reduction import Reduction
from gatewise.network.size import Dim
from gatewise.network.token_functions import TokenFunctions
from gatewise.network.weight_layouts import Weights
from gatewise.types import Array


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
        self.layout = FeatureLayout(graph.types, self.sizes)
        self.pooling = FeaturePooling(self.columns)
        self.tokens = TokenFunctions(graph, inputs.name, inputs.axes, self.sizes, vocab_size, self.columns)
        self.masks = FeatureMasks(self.columns, self.tokens)

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
                if not same_rank or value.columns.shape != column_shape(shape, value.axes):
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
            count = self.masks.count(Rule("lengths", name=self.inputs.lengths))
            self.values[self.inputs.lengths] = Features((("batch",),), count.reshape(()))

    def _node(self, node: Node, values: list[Any]) -> Sequence[Value]:
        operation = node.operation
        if isinstance(operation, Recurrent):
            return self._recurrent(operation, values)
        name = operation.name()
        if self._is_of_numbers(node, values):
            number = operation.value(*(np.float64(value.number) for value in values))  # type: ignore[attr-defined]
            return [Filled(float(number))]
        if not values:
            return [self._without_inputs(node)]
        moved = self.layout.moved(node, values)
        if moved is not None:
            return moved
        # A row of what a node returns, other than the rows of a table that ids select.
        selects = name == "Gather" and isinstance(values[0], Features | Filled)
        if not selects and self.tokens.are_read(values) and not self._pools(node, values):
            return [self.tokens.function(node, values)]
        rule = _RULES.get(name)
        if rule is None or not any(isinstance(value, Features) for value in values):
            if selects and isinstance(values[0], Filled):
                return [values[0]]
            raise NotRecognised("no layer of an Architecture does this")
        return [rule(self, node, values)]

    def _is_of_numbers(self, node: Node, values: list[Any]) -> bool:
        """Whether a node computes one number of one number, such as the half of an array of zeros."""
        floats = all(self.graph.types[name].dtype == "float" for name in (*node.inputs, *node.outputs) if name)
        filled = bool(values) and all(isinstance(value, Filled) for value in values)
        return floats and filled and isinstance(node.operation, Elementwise)

    def _without_inputs(self, node: Node) -> Value:
        operation = node.operation
        if isinstance(operation, ConstantOfShape):
            return Filled(float(operation.value))
        if isinstance(operation, Range):
            counted = (operation.start, operation.limit, operation.delta)
            if counted == (0, self.sizes["steps"], 1):
                return Features((("steps",),), self.columns.once(("number",), StepNumber(), 1).reshape(()))
        raise NotRecognised("it counts something else than the steps")

    def _pools(self, node: Node, values: list[Any]) -> bool:
        """Whether a node goes over the steps."""
        operation = node.operation
        if not isinstance(operation, Reduction):
            return False
        axes = values[0].axes
        return any(axes[axis] for axis in operation._reduced_axes(len(axes)))

    # Rows

    def _gather(self, node: Node, values: list[Any]) -> Value:
        """Of columns: those with constant numbers. Of steps: the first, the last, or the last one of each sequence."""
        value, index = values
        if not isinstance(value, Features):
            raise NotRecognised("numbers of steps select rows of a constant")
        axis = node.operation.axis_of(node.operation.axis, len(value.axes))  # type: ignore[attr-defined]
        if isinstance(index, np.ndarray) and not value.axes[axis]:
            if not index.size or index.min() < -value.full.shape[axis] or index.max() >= value.full.shape[axis]:
                raise NotRecognised("it takes outputs that are not there")
            full = np.take(value.full, index.astype(np.int64), axis=axis)
            axes = (*value.axes[:axis], *((),) * index.ndim, *value.axes[axis + 1 :])
            return Features(axes, without_axes(full, axes), value.flipped)
        if value.axes[axis] != ("steps",) or not isinstance(index, np.ndarray) or index.size != 1:
            raise NotRecognised("it takes steps or sequences at other places than the first or the last step")
        row = int(index.flat[0])
        steps = self.sizes["steps"]
        if isinstance(steps, int):
            row = row % steps - steps
        if row not in (-1, 0, -steps if isinstance(steps, int) else 0):
            raise NotRecognised("it takes steps at other places than the first or the last one")
        time = "last" if (row == -1) != value.flipped else "first"
        columns = self.pooling.row(value.columns, time, None)  # type: ignore[arg-type]
        axes = (*value.axes[:axis], *((),) * index.ndim, *value.axes[axis + 1 :])
        return Features(axes, columns.reshape(column_shape(self.graph.types[node.outputs[0]].shape, axes)))

    def _gather_nd(self, node: Node, values: list[Any]) -> Value:
        """h (B, T, ...) at the steps (B, 1) of each sequence."""
        value, index = values
        operation: Any = node.operation
        read = isinstance(value, Features) and isinstance(index, Features)
        of_batch = read and value.axes[:2] == (("batch",), ("steps",)) and index.axes == (("batch",), ())
        if not of_batch or operation.batch_dims != 1 or index.columns.shape != (1,):
            raise NotRecognised("it takes values at other places than one step of each sequence")
        columns = self._at_length(value, index)
        return Features((("batch",), *value.axes[2:]), columns)

    def _gather_elements(self, node: Node, values: list[Any]) -> Value:
        """h (B, T, H) at the steps (B, 1, H) of each sequence, all H the same."""
        value, index = values
        if not isinstance(value, Features):
            raise NotRecognised("numbers of steps select rows of a constant")
        axis = node.operation.axis_of(node.operation.axis, len(value.axes))  # type: ignore[attr-defined]
        axes = (*value.axes[:axis], (), *value.axes[axis + 1 :])
        if not isinstance(index, Features) or value.axes[axis] != ("steps",) or index.axes != axes:
            raise NotRecognised("it takes values at other places than one step of each sequence")
        if index.full.shape != value.full.shape:
            raise NotRecognised("it takes a step of some outputs only")
        return Features(axes, without_axes(self._at_length(value, index).reshape(value.full.shape), axes))

    def _at_length(self, value: Features, index: Features) -> Numbers:
        source, _ = self.columns.whole(index.columns)
        # Of a mask of ids or numbers the steps may be anywhere, so that a number of them says nothing of the last one.
        if not isinstance(source, Count) or source.less != 1 or source.rule.kind != "lengths" or value.flipped:
            raise NotRecognised("it takes a step whose number is not the length of the sequence less 1")
        return self.pooling.row(value.columns, "last", source.rule)

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
        rule = self.masks.rule_of(given["mask"], x)
        flips = operation.reverse != x.flipped
        bias = np.sum([array.astype(np.float64) for array in biases], axis=0) if biases else np.zeros(len(weight_ih))
        weights = Weights(weight_ih.astype(np.float64), weight_hh.astype(np.float64), bias)
        direction: Literal["forward", "backward"] = "backward" if flips else "forward"
        lstm = Lstm(x.columns.ravel(), weights, direction, rule, operation.masked)
        rows = self.columns.of(lstm, lstm.units)
        final = self.pooling.pooled("final", lstm, rule)
        state = self.columns.of(State(lstm), lstm.units)
        each = (1, lstm.units) if self.single else (lstm.units,)
        return [
            Features(x.axes, rows.reshape(each), x.flipped),
            *(Features((batch, ()), columns.reshape(each)) for columns in (final, state)),
        ]

    # Arithmetic

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
                return np.repeat(self.masks.count(count.rule, count.less - int(shift[0])), len(columns))
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
        return self.masks.inverted(value) if isinstance(source, Read) and np.all(one == 1) else None

    def _mul(self, node: Node, values: list[Any]) -> Value:
        features, constants, axes, shape = self._operands(values)
        if len(features) == 1:
            return self._of_each(features[0], constants[0], 0.0, axes, shape)
        if len(features) != 2:
            raise NotRecognised("it joins more than two outputs of the network")
        for x, mask in (features, features[::-1]):
            if x.of_steps and self.masks.is_mask(mask):
                return self.masks.kept(x, mask, 0.0, axes)
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
            return self.pooling.mean(source.columns, rule)

        wide, _ = np.broadcast_arrays(*aligned([total, count])[1])
        return Features(axes, without_axes(self.columns.mapped(wide, of), axes))

    def _neg(self, node: Node, values: list[Any]) -> Value:
        _, _, axes, shape = self._operands(values)
        return self._of_each(values[0], -1.0, 0.0, axes, shape)

    def _operands(self, values: list[Any]) -> tuple[list[Features], list[Array], tuple[Axis, ...], tuple[int, ...]]:
        """The features and the constants of a node, and the axes and shape to which they are broadcast."""
        axes, arrays = aligned(values)
        features = [value for value in values if isinstance(value, Features)]
        constants = [array for value, array in zip(values, arrays, strict=True) if not isinstance(value, Features)]
        return features, constants, axes, np.broadcast_shapes(*(array.shape for array in arrays))

    def _merged(self, how: MergeName, values: list[Any]) -> Value:
        """Two directions, unit by unit. Whether they are two directions is checked where the layer is known."""
        axes, arrays = aligned(values)
        if len(arrays) != 2 or not all(isinstance(value, Features) for value in values):
            raise NotRecognised("it joins more than two outputs of the network")
        left, right = np.broadcast_arrays(*arrays)
        merge = Merge(how, left.ravel(), right.ravel())
        columns = self.columns.of(merge, left.size).reshape(left.shape)
        return Features(axes, without_axes(columns, axes), flipped_of(values))

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
        flat = x.columns.ravel()
        name = node.operation.name()
        if name in _OF_OUTPUTS:
            source = Act(flat, _OF_OUTPUTS[name])
        else:
            activation = activation_of(node.operation)
            if activation is None:
                raise NotRecognised("an activation with other numbers than an Architecture has")
            source = Act(flat, *activation)
        act = Features(x.axes, self.columns.of(source, len(flat)).reshape(x.columns.shape), x.flipped)
        if name in _OF_OUTPUTS:
            axis = node.operation.axis_of(node.operation.axis, len(x.axes))  # type: ignore[attr-defined]
            if x.axes[axis] or x.full.shape[axis] != flat.size:
                raise NotRecognised("a softmax over the steps, or over a part of the outputs")
        return act

    def _less(self, node: Node, values: list[Any]) -> Value:
        return self.masks.before(values[0], values[1], less=0)

    def _less_or_equal(self, node: Node, values: list[Any]) -> Value:
        return self.masks.before(values[0], values[1], less=1)

    def _greater(self, node: Node, values: list[Any]) -> Value:
        return self.masks.before(values[1], values[0], less=0)

    def _greater_or_equal(self, node: Node, values: list[Any]) -> Value:
        """Of the number of the step: those that are not read."""
        if isinstance(values[0], Features) and self.masks.is_step_number(values[0]):
            return self.masks.inverted(self.masks.before(values[0], values[1], less=0))
        return self.masks.before(values[1], values[0], less=1)

    def _cast(self, node: Node, values: list[Any]) -> Value:
        """Numbers of steps and masks are whole in each dtype."""
        [value] = values
        rounds = self.graph.types[node.inputs[0]].dtype == "float" and node.operation.to != "float"  # type: ignore[attr-defined]
        if rounds and not all(isinstance(one, Count | Read) for one in self.columns.sources(value.columns)):
            raise NotRecognised("it rounds numbers")
        return value  # type: ignore[no-any-return]

    def _where(self, node: Node, values: list[Any]) -> Value:
        mask, x, y = values
        axes, arrays = aligned(values)
        inverted = isinstance(y, Features)
        kept, other = (y, x) if inverted else (x, y)
        if not isinstance(kept, Features) or isinstance(other, Features):
            raise NotRecognised("it chooses between two outputs of the network")
        numbers = np.unique(arrays[1 if inverted else 2])
        if len(numbers) != 1 or np.broadcast_shapes(*(array.shape for array in arrays)) != kept.full.shape:
            raise NotRecognised("it replaces outputs by several numbers")
        return self.masks.kept(kept, mask, float(numbers[0]), axes, inverted)

    def _at_least(self, node: Node, values: list[Any]) -> Value:
        """A number of steps is at least 1, whatever it is limited to."""
        value, bound = (*values, None)[:2]
        if not isinstance(value, Features):
            value, bound = bound, value
        upper = values[2] if len(values) > 2 else None
        source = self.columns.sources(value.columns)[0] if isinstance(value, Features) else None
        is_count = isinstance(source, Count) and source.less == 0 and isinstance(bound, np.ndarray | Filled)
        if not is_count or upper is not None or not np.all(numbers_of(bound) <= 1):
            raise NotRecognised("it limits numbers")
        return value  # type: ignore[no-any-return]

    # Reductions

    def _reduction(self, node: Node, values: list[Any]) -> Value:
        [value] = values
        reduced = node.operation._reduced_axes(len(value.axes))  # type: ignore[attr-defined]
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
            return self.pooling.mean(columns, None)
        if kind == "Max":
            return self.columns.mapped(columns, self.pooling.maximum)
        if kind == "Sum":
            if self.masks.is_mask(value):
                rule, positive = self.masks.of(value)
                if rule is not None and positive:
                    return np.full_like(columns, self.masks.count(rule)[0])
            return self.columns.mapped(columns, self.pooling.total)
        raise NotRecognised("a pooling other than the mean and the maximum")

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


def _is_zero(value: Any) -> bool:
    return bool(np.all(numbers_of(value) == 0)) if isinstance(value, np.ndarray | Filled) else False


_OF_OUTPUTS: dict[str, Literal["softmax", "log_softmax"]] = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}
"""Activations of outputs alone."""

_ACTIVATIONS = (*ACTIVATION_NAMES, *_OF_OUTPUTS)

_RULES: dict[str, Callable[[FeatureReader, Node, list[Any]], Value]] = {
    **dict.fromkeys(_ACTIVATIONS, FeatureReader._activation),
    **dict.fromkeys(("ReduceMean", "ReduceMax", "ReduceSum", "ReduceMin", "ReduceProd"), FeatureReader._reduction),
    "Cast": FeatureReader._cast,
    "Gather": FeatureReader._gather,
    "GatherND": FeatureReader._gather_nd,
    "GatherElements": FeatureReader._gather_elements,
    "Add": FeatureReader._sum,
    "Sum": FeatureReader._sum,
    "Sub": FeatureReader._sub,
    "Mul": FeatureReader._mul,
    "Div": FeatureReader._div,
    "Neg": FeatureReader._neg,
    "Mean": FeatureReader._mean_of_two,
    "MatMul": FeatureReader._matmul,
    "Gemm": FeatureReader._gemm,
    "Equal": lambda reader, node, values: reader.masks.equal(values),
    "Not": lambda reader, node, values: reader.masks.inverted(values[0]),
    "Less": FeatureReader._less,
    "LessOrEqual": FeatureReader._less_or_equal,
    "Greater": FeatureReader._greater,
    "GreaterOrEqual": FeatureReader._greater_or_equal,
    "Where": FeatureReader._where,
    "Max": FeatureReader._at_least,
    "Clip": FeatureReader._at_least,
}
"""What a node computes of columns that are no functions of one token."""
