"""Networks of other libraries: the list of their operations, as they ran on a batch, becomes an architecture with its
parameters.

A front end (`gatewise.exchange.keras_operations`, `gatewise.nn.operations`, `gatewise.exchange.onnx_operations`) runs
the network on random inputs and lists its operations in order: those with weights and the activations by their type,
each with the array that it read. `read` runs the same operations here. What stands between two of them (slices,
transpositions, pooling) has no parameters: it is found by comparing what the next operation read with every way in
which the outputs so far can be arranged and pooled. An array that none of them gives ends the reading, with the name of
the operation and of what stands before it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, NoReturn, Self, cast, get_args

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.kernels import LSTMCall, get
from gatewise.network.architecture import Architecture, Hidden, Layer, parameter_shapes
from gatewise.network.ops import Ops
from gatewise.network.weight_layouts import Weights
from gatewise.ragged import starts_of
from gatewise.types import Activation, Array, Lengths

TOLERANCE = 1e-5  # of an output, relative to outputs above 1
OUTPUT_ACTIVATIONS = ("linear", "sigmoid", "softmax", "log_softmax")
# By their names as types of modules, functions and nodes, in lower case without underscores.
ACTIVATIONS = {name.replace("_", ""): name for name in (*get_args(Activation), *OUTPUT_ACTIVATIONS) if name != "linear"}
_POOLINGS: tuple[Literal["last", "step", "mean", "max", "mean+max"], ...] = ("last", "step", "mean", "max", "mean+max")


_REASONS = {  # by a part of the type
    "gru": "gatewise computes LSTM layers only; train the network with an LSTM in its place",
    "rnn": "gatewise computes LSTM layers only; train the network with an LSTM in its place",
    "conv": "gatewise has no convolutions inside a network; train the network without it",
    "lambda": "its code is not read; use a layer of the library for what it does",
    "repeatvector": "the LSTM layers must read the inputs; a decoder after an encoder is not read",
    "": "gatewise has no such operation: a network is an embedding, LSTM layers, pooling, dense layers and activations",
}


class Act(NamedTuple):
    """An activation. name: of `gatewise.types.Activation`, or of `OUTPUT_ACTIVATIONS`."""

    name: str
    negative_slope: float = 0.01


class Affine(NamedTuple):
    """x weightᵀ + bias, weight (K, F). light: a normalisation, which is joined with the dense layer after or before."""

    weight: Array
    bias: Array
    light: bool = False

    @classmethod
    def dense(cls, weight: Array, bias: Any = None) -> Self:
        """Of a dense layer, bias (K,) or none."""
        return cls(weight.astype(np.float64), np.zeros(len(weight)) if bias is None else bias.astype(np.float64))

    @classmethod
    def scaling(cls, scale: Array, shift: Any = 0.0) -> Self:
        """x scale + shift, both (F,)."""
        return cls(np.diag(scale.astype(np.float64)), np.zeros(len(scale)) + shift, light=True)


@dataclass(frozen=True)
class Operation:
    """One operation of a network, as it ran on a batch of B sequences of T steps.

    name, type, place: as the other library shows them. what: an embedding's table (V, D), LSTM layers with the weights
    of each direction, an affine map, an activation, or None for an operation that has an effect on the order or the
    number of the values only. x, y: what it read and returned, in any layout of the axes; None: not recorded.
    """

    name: str
    type: str
    place: str
    what: Array | list[tuple[Layer, list[Weights]]] | Affine | Act | None = None
    x: Array | None = None
    y: Array | None = None

    def __str__(self) -> str:
        return f"{quote(self.name, 60)} ({self.type}, {self.place})"

    def ran(self, what: Any, x: Any, y: Any = None) -> Self:
        """With what it does, read and returned."""
        x, y = (None if one is None else np.asarray(one, np.float64) for one in (x, y))
        return replace(self, what=what, x=x, y=y)

    def refuse(self, reason: str = "") -> NoReturn:
        """Raise InputError that names it. reason: what is not read, or has to change; "": that of its type."""
        by_type = next(reason for part, reason in _REASONS.items() if part in self.type.lower())
        raise InputError(f"layer {self}: {reason or by_type}")


class ShapeError(InputError):
    """A network of another library does not run for inputs of this shape."""


class Source:
    """A network of another library, and how it is called: with token ids (B, T) or series (B, T, C), in some libraries
    with the axes of time and batch exchanged, or without a batch.

    tokens: of ids, not of series. size: of the vocabulary, or C. batch, steps: the only ones that it takes, None for
    any. masked: it skips the steps beyond the lengths of the sequences. pad: what it takes for a padded step, in any
    place; None: nothing.
    """

    framework = ""
    pad: float | None = None

    def __init__(self, tokens: bool, size: int, shape: Sequence[int | None], masked: bool = False) -> None:
        """shape: of the axes without the channels, None for any length."""
        self.tokens, self.size, self.masked = tokens, size, masked
        self.single, self.time_first = len(shape) == 1, False
        if len(shape) not in (1, 2):
            raise InputError(
                f"the inputs must be ids (B, T) or series (B, T, C), not of {len(shape) + (not tokens)} axes"
            )
        self.batch, self.steps = (1, shape[0]) if self.single else shape
        if not self.single and (self.batch, self.steps) != (1, None) and self._reads_time_first():
            self.time_first, self.batch, self.steps = True, self.steps, self.batch

    def _reads_time_first(self) -> bool:
        """Whether the first axis of the inputs is the time: what the first LSTM layer reads of a probe shows it."""
        shape = self.batch or 3, self.steps or 5
        x = np.zeros(shape if self.tokens else (*shape, self.size))
        try:
            operations = self.run(x, np.full(shape[0], shape[1]))
        except ShapeError as error:
            if not self.masked:
                raise
            try:  # with lengths for the second axis
                operations = self.run(x, np.full(shape[1], shape[0]))
            except ShapeError:
                raise error from None
        lstms = [one.x for one in operations if isinstance(one.what, list)]
        return bool(lstms) and lstms[0] is not None and lstms[0].shape[:2] == shape[::-1] != shape

    def run(self, x: Array, lengths: Lengths) -> list[Operation]:
        """The operations for inputs as the network takes them. The last one has the outputs as x."""
        raise NotImplementedError

    def operations(self, inputs: Array, lengths: Lengths) -> list[Operation]:
        """The operations for ids (B, T) or series (B, T, C), padded at the end, of `lengths` (B,)."""
        return self.run(inputs[0] if self.single else inputs.swapaxes(0, 1) if self.time_first else inputs, lengths)


class Found(NamedTuple):
    """What `read` returns. activation: of the outputs, one of `OUTPUT_ACTIVATIONS`. scaling: mean and std by which the
    channels are standardised before. outputs: of the network, (B, K), with pooling "none" (N, K). time_first: the
    network returns outputs of steps with the time as the first axis. exact: the parameters in float64.
    """

    arch: Architecture
    parameters: dict[str, Array]
    activation: str
    scaling: tuple[tuple[float, ...], tuple[float, ...]]
    outputs: Array
    time_first: bool
    exact: dict[str, Array]


def read(operations: Sequence[Operation], inputs: Array, lengths: Lengths) -> Found:
    """The architecture and the float32 parameters of a network that ran on inputs, token ids (B, T) or channels
    (B, T, C), of `lengths` (B,) steps. The last operation has the outputs as x. Raises InputError naming the operation.
    """
    reader = _Reader(inputs, lengths)
    for operation in operations:
        reader.take(operation)
    return reader.found(operations[-1])


class _Reader:
    """rows: the outputs of the operations so far, (N, F) of all steps, or (B, F) once `pooling` is known."""

    def __init__(self, inputs: Array, lengths: Lengths) -> None:
        self.lengths = lengths
        self.inside = np.arange(inputs.shape[1]) < lengths[:, None]  # (B, T)
        self.channels = inputs.shape[2] if inputs.ndim == 3 else 0
        rows = inputs[self.inside].astype(np.float64)
        self.rows = rows if self.channels else rows[:, None]
        self.table: Array | None = None
        self.layers: list[tuple[Layer, list[Weights]]] = []
        self.states: list[tuple[Array, Array]] = []  # h (N, H) and h_T (B, H) of each direction of the top layer
        self.steps: list[Affine | Act] = []  # since the last LSTM layer
        self.pooling = ""
        self.before: Operation | None = None
        self.between: list[str] = []
        self.scaling = (0.0,) * self.channels, (1.0,) * self.channels
        self.seen = rows  # what the operation read, arranged as `rows`

    def take(self, operation: Operation) -> None:
        """Run an operation, after finding its input among the outputs so far."""
        what = operation.what
        flipped = None if operation.x is None else self._find(operation.x)
        if operation.x is None or (flipped is None and isinstance(what, Affine) and what.light):  # part of a pooling
            self.between.append(operation.type)
            return
        if flipped is None:
            self._unknown(operation)
        if isinstance(what, np.ndarray):
            if self.table is not None or self.channels or self.layers:
                operation.refuse("an embedding must be the first layer, and the only one")
            self.table, self.rows = what.astype(np.float64), what[self.rows[:, 0].astype(np.int64)].astype(np.float64)
        elif isinstance(what, list):
            self._lstm(operation, what, flipped)
        elif what is not None:
            self._apply(operation, what)
        elif flipped and not self.pooling:
            operation.refuse("the outputs are in reverse order of the steps")
        self.before, self.between = operation, []

    def _apply(self, operation: Operation, what: Affine | Act) -> None:
        first = self.channels and not (self.layers or self.steps or any(self.scaling[0]))
        if isinstance(what, Affine) and what.light and first and (scale := what.weight.diagonal()).min() > 0:
            self.scaling = tuple((-what.bias / scale).tolist()), tuple((1 / scale).tolist())
        elif self.layers or (self.channels and isinstance(what, Affine)):
            self.steps.append(what)
        elif self.table is None:
            operation.refuse("it stands in front of the first LSTM layer, where a series may have linear layers only")
        else:  # a function of each token alone: that of its row of the table
            self.table = applied(self.table, what)
        self.rows = applied(self.rows, what)

    def _lstm(self, operation: Operation, layers: list[tuple[Layer, list[Weights]]], flipped: bool) -> None:
        if self.pooling:
            operation.refuse("it reads pooled states; every LSTM layer must read the steps of the one below")
        joined: Affine | None = None
        for step in self.steps:
            if isinstance(step, Act):
                operation.refuse(f"the activation {step.name} stands in front of it, where only linear layers may")
            joined = Affine(step.weight @ joined.weight, applied(joined.bias, step)) if joined else step
        read, self.states = self.rows, []
        for layer, every in layers:
            if flipped and layer.direction == "both":
                operation.refuse("a layer of two directions reads the steps in reverse order")
            if flipped:
                layer = replace(layer, direction="forward" if layer.direction == "backward" else "backward")
            own, runs = [], []
            for (W, R, bias), direction in zip(every, layer.directions, strict=True):
                b = np.zeros(len(W)) if bias is None else bias.astype(np.float64)
                pre = (read @ W.T + b).astype(np.float32)
                zero = np.zeros((len(self.lengths), layer.units), np.float32)
                states = self.lengths, np.ascontiguousarray(R, np.float32), zero, zero
                run = get().forward(LSTMCall(pre, None, *states, direction == "backward"), keep=False)
                runs.append((run.h.astype(np.float64), run.h_T.astype(np.float64)))
                own.append(Weights(W @ joined.weight, R, b + W @ joined.bias) if joined else Weights(W, R, b))
            joined = None
            self.layers.append((layer, own))
            self.states, read = runs, Ops().merge([h for h, _ in runs], layer.merge)
        self.rows, self.steps = read, []

    def _find(self, x: Array) -> bool | None:
        """Whether x holds `rows` in reverse order of the steps, in any layout of the axes; None: not at all. `rows`
        becomes what x holds: the outputs of the steps, or the parts of a pooling in any order.
        """
        best: tuple[float, Any] = TOLERANCE * max(1.0, float(np.abs(x).max(initial=0))), None
        for each, flipped, seen in self._arranged(x):
            for merge in self._merges():
                for pooling in ("none",) if each else (self.pooling,) if self.pooling else _POOLINGS:
                    parts = self._parts(pooling, merge)
                    width = parts[0].shape[1] if parts else 0
                    if not width or len(parts[0]) != len(seen) or seen.shape[1] % width:
                        continue
                    blocks = np.split(seen, seen.shape[1] // width, axis=1)
                    errors = np.array([[np.abs(block - part).max(initial=0) for part in parts] for block in blocks])
                    if (error := float(errors.min(axis=1).max())) < best[0]:
                        best = error, (flipped, merge, pooling, parts, errors.argmin(axis=1), seen)
            if each and best[1] is not None:
                break
        if best[1] is None:
            return None
        flipped, merge, pooling, parts, order, self.seen = best[1]
        self.rows = np.concatenate([parts[place] for place in order], axis=1)
        self.pooling = "" if pooling == "none" else pooling
        if order.tolist() != list(range(len(parts))):
            width = parts[0].shape[1]
            columns = (order[:, None] * width + np.arange(width)).ravel()
            self.steps.append(Affine(np.eye(len(parts) * width)[columns], np.zeros(len(columns)), light=True))
        if self.layers:
            layer, weights = self.layers[-1]
            self.layers[-1] = replace(layer, merge=merge), weights
        return bool(flipped)

    def _arranged(self, x: Array) -> Iterator[tuple[bool, bool, Array]]:
        """x as rows of steps (N, K), in both orders of the steps, and of sequences (B, K)."""
        (B, T), features = self.inside.shape, self.channels or self.table is not None or self.layers
        last = x.shape[-1] if features and x.ndim else 1
        if x.size == B * T * last and not self.pooling:
            for steps in (x.reshape(B, T, last), x.reshape(T, B, last).swapaxes(0, 1)):
                yield True, False, steps[self.inside]
                yield True, True, steps[:, ::-1][self.inside]
        if self.layers and x.size % B == 0:
            yield False, False, x.reshape(B, -1)

    def _parts(self, pooling: str, merge: Any) -> list[Array]:
        """The features of a pooling, by direction; none where it does not commute with the steps before it."""
        ends = starts_of(self.lengths) + self.lengths - 1
        if self.pooling or not self.layers:
            return [self.rows]
        if self.steps:
            every, last = [self.rows], [self.rows[ends]] if self.layers[-1][0].direction == "forward" else []
        else:
            every, last = ([run[k] for run in self.states] for k in (0, 1))
            if merge != "concat":
                every, last = [Ops().merge(every, merge)], [Ops().merge(last, merge)]
        if pooling in ("none", "last"):
            return every if pooling == "none" else last
        if pooling == "step":
            return [h[ends] for h in every]
        if self.steps and (pooling != "mean" or any(isinstance(step, Act) for step in self.steps)):
            return []
        hows = [how for how in ("mean", "max") if how in pooling]
        return [Ops().pool(h, self.lengths, how) for how in hows for h in every]  # type: ignore[arg-type]

    def _merges(self) -> list[Any]:
        """How the directions of the top layer may be merged, where nothing has read them yet."""
        if not self.layers:
            return ["concat"]
        top = self.layers[-1][0]
        new = (top.direction, top.merge) == ("both", "concat") and not self.steps and not self.pooling
        return ["concat", "sum", "mean", "product"] if new else [top.merge]

    def _unknown(self, operation: Operation) -> NoReturn:
        """Raise InputError: what the operation read is not what the operations before it return."""
        before = self.before
        if before is None:
            operation.refuse(f"it does not read the inputs as they are{self._between()}")
        if isinstance(before.what, Act) and before.what.name.endswith("softmax"):
            before.refuse("a softmax may only be the last layer; attention over the steps is not read")
        if before.y is not None and self._find(before.y) is None:
            raise InputError(f"layer {before} differs by more than {TOLERANCE:g} from what gatewise computes for it")
        what = "what it reads is" if operation.what is not None else "the outputs are"
        ways = "the last state, the last step, the mean or the maximum of the steps" if self.layers else "as it is"
        operation.refuse(f"{what} not the output of layer {before}, {ways}{self._between()}")

    def _between(self) -> str:
        names = list(dict.fromkeys(self.between))
        return f"; between them: {', '.join(names[:8])}" if names else ""

    def found(self, last: Operation) -> Found:
        """The network of all operations."""
        if not self.layers:
            last.refuse("the network has no LSTM layer")
        width = self.layers[-1][0].width * (2 if self.pooling == "mean+max" else 1)
        dense, acts = _joined(self.steps, width)
        ends = len(acts) == len(dense)  # with an activation
        activation = acts.pop().name if ends and acts and acts[-1].name in OUTPUT_ACTIVATIONS else "linear"
        if len(acts) == len(dense):  # the outputs of a network are logits
            dense.append(_identity(self.rows.shape[1]))
        if inner := [act.name for act in acts if act.name not in get_args(Activation)]:
            last.refuse(f"the activation {inner[0]} stands in front of it; gatewise computes it of the outputs only")
        hidden: Any = [Hidden(len(one.bias), *act) for one, act in zip(dense, acts, strict=False)]  # type: ignore[arg-type]
        kind: Literal["channels", "tokens"] = "channels" if self.table is None else "tokens"
        size, width = (self.channels, 0) if self.table is None else self.table.shape
        layers, pooling = tuple(layer for layer, _ in self.layers), cast(Any, self.pooling or "none")
        arch = Architecture(kind, size, width, layers, pooling, tuple(hidden), len(dense[-1].bias))
        arrays: list[Any] = [] if self.table is None else [self.table]
        arrays += [part for _, weights in self.layers for one in weights for part in one]
        arrays += [part for one in dense for part in one[:2]]
        names = parameter_shapes(arch)  # from input to output
        exact = {name: np.ascontiguousarray(one, np.float64) for name, one in zip(names, arrays, strict=True)}
        parameters = {name: np.ascontiguousarray(one, np.float32) for name, one in exact.items()}
        assert last.x is not None
        time_first = not np.array_equal(self.seen, output_rows(last.x, self.inside, not self.pooling, False))
        return Found(arch, parameters, activation, self.scaling, self.seen, time_first, exact)


def _joined(steps: Sequence[Affine | Act], width: int) -> tuple[list[Affine], list[Act]]:
    """Dense layers of features (B, width), and the activation after each; after the last one there may be none. A light
    map is joined with the dense layer before or after it.
    """
    dense: list[Affine] = []
    acts: list[Act] = []
    for step in steps:
        if isinstance(step, Act):
            if len(dense) == len(acts):
                dense.append(_identity(len(dense[-1].bias) if dense else width))
            acts.append(step)
        elif len(dense) > len(acts) and (step.light or dense[-1].light):
            weight, bias, light = dense.pop()
            dense.append(Affine(step.weight @ weight, applied(bias, step), step.light and light))
        else:
            acts += [Act("linear")] * (len(dense) - len(acts))
            dense.append(step)
    return dense, acts


def _identity(size: int) -> Affine:
    return Affine.scaling(np.ones(size))


def applied(rows: Array, what: Affine | Act) -> Array:
    """An affine map or an activation of rows (..., F)."""
    if isinstance(what, Affine):
        return np.asarray(rows @ what.weight.T + what.bias)
    if what.name not in ("softmax", "log_softmax"):
        return np.asarray(Ops().activate(rows, what.name, what.negative_slope))  # type: ignore[arg-type]
    logs = rows - rows.max(axis=-1, keepdims=True)
    logs = logs - np.log(np.exp(logs).sum(axis=-1, keepdims=True))
    return np.asarray(np.exp(logs) if what.name == "softmax" else logs)


def output_rows(x: Array, inside: Array, steps: bool, time_first: bool) -> Array:
    """The outputs x of a network, in any layout of the axes: (B, K) of sequences, or with `steps` (N, K) of the steps
    that are inside (B, T).
    """
    batch, length = inside.shape
    if not steps:
        return x.reshape(batch, -1)
    if time_first:
        return x.reshape(length, batch, -1).swapaxes(0, 1)[inside]
    return x.reshape(batch, length, -1)[inside]


def near(found: Array, expected: Array) -> bool:
    """Whether all numbers are equal to `TOLERANCE`, relative to the largest one above 1."""
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    return found.shape == expected.shape and bool(np.all(np.abs(found - expected) <= TOLERANCE * scale))
