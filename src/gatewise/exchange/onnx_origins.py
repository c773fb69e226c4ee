"""Where the numbers of an ONNX graph come from: stored in it, made of sizes or lengths, or of the inputs.

An operation without weights is otherwise read by its effect on random inputs. That does not show what it does to other
lengths or numbers: a slice with constant bounds, a comparison or a limit. Such an operation is refused by name, unless
its origins prove that it is what exporters write for shapes and masks.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

import numpy as np

from gatewise.network.value_matching import Operation
from gatewise.types import Array

_COMPARISONS = ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual")
_LIMITS = ("Max", "Min", "Clip", "Mod")
# What may compute a size or a mask: it adds, multiplies or moves numbers. Others, such as Relu, could limit them.
_LINEAR = """
    Add Sub Mul Div Cast CastLike Concat Gather GatherND GatherElements Slice Squeeze Unsqueeze Reshape Shape Size Range
    Expand Tile Transpose Where And Or Not ReduceMax ReduceSum ConstantOfShape Identity Constant Flatten Split LSTM
"""
_NUMBER_TYPES = (1, 6, 7, 11)  # of TensorProto: float32, int32, int64, float64
_BOOL = 9
_WHOLE = 2**31 - 1  # exporters write this or a larger number for the end of an axis

_COMPARES = (
    "it compares numbers, so what it does depends on them; gatewise reads comparisons of lengths and sizes only: "
    "give the file a second input of the lengths (B,), or do this before the network"
)
_LIMITS_NUMBERS = "it limits numbers, which gatewise does not compute; do this before or after the network"
_SELECTS = "its condition is not the mask of the lengths, so what it does depends on numbers"
_CUTS = (
    "it takes steps or sequences at constant places from an axis of any length; export the network with a fixed number "
    "of steps, or take the last step"
)


class Origin(IntEnum):
    """Of the numbers of a value. An operation has the largest origin of what it reads."""

    STORED = 0  # in the file
    FILLED = 1  # a stored number, in a shape that the inputs have
    SIZE = 2
    LENGTHS = 3
    INPUT = 4


class Origins:
    """The origins of all values of a graph, and which of their axes have any length.

    inputs: the names of the inputs, that of the lengths last. probes: the values for two sizes of the axes of the
    inputs. tokens: the inputs are ids.
    """

    def __init__(
        self, nodes: Sequence[Any], inputs: Sequence[str], probes: Sequence[Mapping[str, Array]], tokens: bool
    ):
        self._origins = {name: Origin.INPUT if n == 0 else Origin.LENGTHS for n, name in enumerate(inputs)}
        self._probes = probes
        self._input = inputs[0]
        self._ids = {inputs[0]} if tokens else set()  # the ids as they are
        for node in nodes:
            origin = self._origin_of(node)
            self._origins |= {name: origin for name in node.output if name}
            if node.op_type in ("Cast", "Identity") and node.input[0] in self._ids:
                self._ids.add(node.output[0])

    def of(self, name: str) -> Origin:
        """The origin of a value."""
        return self._origins.get(name, Origin.STORED)

    def _origin_of(self, node: Any) -> Origin:
        kinds = [self.of(name) for name in node.input]
        largest = max(kinds, default=Origin.STORED)
        if largest == Origin.STORED:
            return largest
        if node.op_type in ("Shape", "Size"):
            return Origin.SIZE
        if node.op_type == "ConstantOfShape" or self._is_below_ids(node):
            return Origin.FILLED
        if node.op_type in ("Expand", "Tile", "Reshape"):
            return max(kinds[0], Origin.FILLED)
        return largest

    def _is_below_ids(self, node: Any) -> bool:
        """Whether it asks for ids below 0, as TensorFlow does; there are none."""
        if node.op_type != "Less" or node.input[0] not in self._ids or self.of(node.input[1]) != Origin.STORED:
            return False
        bound = self._probes[0].get(node.input[1])
        return bound is not None and bool(np.all(bound <= 0))

    def _size(self, name: str, axis: int) -> tuple[int, ...]:
        """The sizes of an axis in both probes."""
        return tuple(probe[name].shape[axis] for probe in self._probes if name in probe)

    def varies(self, name: str, axis: int) -> bool:
        """Whether the length of an axis depends on the inputs."""
        return len(set(self._size(name, axis))) > 1

    def is_steps(self, name: str, axis: int, steps_axis: int) -> bool:
        """Whether an axis has the steps of the inputs."""
        return self._size(name, axis) == self._size(self._input, steps_axis)

    def check(self, node: Any, own: Operation, values: Mapping[str, Array], inside: Array, steps_axis: int) -> None:
        """Refuse a node whose effect depends on numbers or lengths. values: of one run, whose inputs have the steps
        inside (B, T). steps_axis: of the input.
        """
        kinds = [self.of(name) for name in node.input]
        largest = max(kinds, default=Origin.STORED)
        kind = node.op_type
        if largest < Origin.SIZE:
            return
        settings = {one.name: one for one in node.attribute}
        if kind in _COMPARISONS:
            self._check_comparison(node, own, kinds, values)
        elif kind in _LIMITS:
            self._check_limit(node, own, kinds, values, settings)
        elif kind in ("And", "Or", "Not") and largest == Origin.INPUT:
            own.refuse(_COMPARES)
        elif kind == "Where" and kinds[0] >= Origin.LENGTHS:
            if kinds[0] == Origin.INPUT or not _is_mask(values[node.input[0]], inside):
                own.refuse(_SELECTS)
        elif kind == "Cast":
            to = settings["to"].i
            kept = to in _NUMBER_TYPES or (to == _BOOL and values[node.input[0]].dtype == bool)
            if not kept:
                own.refuse("it rounds or compares numbers, so what it does depends on them")
        elif kind == "LSTM":
            self._check_lengths(node, own, kinds, values, inside)
        elif kind in (
            "Slice",
            "Gather",
            "GatherND",
            "GatherElements",
            "Split",
            "Squeeze",
            "Pad",
            "MaxPool",
            "AveragePool",
        ):
            self._check_places(node, own, kinds, values, settings, steps_axis)
        elif kind == "ReverseSequence" and kinds[1] < Origin.SIZE:
            own.refuse(_CUTS)
        elif kind == "Div" and largest < Origin.INPUT and np.issubdtype(values[node.input[0]].dtype, np.integer):
            if kinds[0] >= Origin.SIZE and np.any(values[node.input[1]] != 1):
                own.refuse("it divides sizes without a rest")
        elif kind in ("BatchNormalization", "Dropout"):
            training = settings["training_mode"].i if "training_mode" in settings else 0
            if training or (kind == "Dropout" and len(node.input) > 2 and np.any(values.get(node.input[2], False))):
                own.refuse("it is in the mode of training; export the network in the mode of inference")
        elif largest < Origin.INPUT and kind not in _LINEAR.split():
            own.refuse("it computes with sizes or lengths what gatewise does not read")

    def _check_comparison(self, node: Any, own: Operation, kinds: Sequence[Origin], values: Any) -> None:
        if self._is_below_ids(node):
            return
        if max(kinds) == Origin.INPUT:
            own.refuse(_COMPARES)
        if min(kinds) >= Origin.SIZE:
            return
        constant = values[node.input[kinds.index(min(kinds))]]
        # An exporter marks with -1 the sizes that stay as they are, and no size is negative.
        if not (node.op_type == "Equal" and np.all(constant == -1)):
            own.refuse(_COMPARES)

    def _check_limit(self, node: Any, own: Operation, kinds: Sequence[Origin], values: Any, settings: Any) -> None:
        if max(kinds) == Origin.INPUT or node.op_type == "Mod":
            own.refuse(_LIMITS_NUMBERS)
        constants = [values[name] for name, kind in zip(node.input, kinds, strict=True) if name and kind < Origin.SIZE]
        if node.op_type == "Clip" and ((len(node.input) > 2 and node.input[2]) or "max" in settings):
            own.refuse(_LIMITS_NUMBERS)
        if node.op_type == "Min" and constants:
            own.refuse(_LIMITS_NUMBERS)
        if any(np.any(one > 1) for one in constants) or ("min" in settings and settings["min"].f > 1):
            own.refuse(_LIMITS_NUMBERS)  # at 1, which no length and no size is below, it does nothing

    def _check_lengths(self, node: Any, own: Operation, kinds: Sequence[Origin], values: Any, inside: Array) -> None:
        if len(node.input) < 5 or not node.input[4]:
            return
        lengths = values[node.input[4]]
        same = np.array_equal(lengths, inside.sum(axis=1)) or np.all(lengths == values[node.input[0]].shape[0])
        if kinds[4] not in (Origin.SIZE, Origin.LENGTHS) or not same:
            own.refuse("the lengths that it reads are not the lengths of the inputs")

    def _check_places(
        self, node: Any, own: Operation, kinds: Sequence[Origin], values: Any, settings: Any, steps_axis: int
    ) -> None:
        name = node.input[0]
        x = values[name]
        indices: Any = values[node.input[1]] if len(node.input) > 1 and node.input[1] else None
        if node.op_type == "Slice":
            starts, ends, *rest = [values[one].ravel().tolist() if one else [] for one in node.input[1:]]
            axes = (rest[0] if rest else []) or list(range(len(starts)))
            steps = (rest[1] if len(rest) > 1 else []) or [1] * len(starts)
            free = any(kind > Origin.SIZE for kind in kinds[1:])
            for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
                if self.varies(name, axis):
                    bounds = (start, end, step, x.shape[axis])
                    fixed = max(kinds[1:3]) < Origin.SIZE
                    end_allowed = self.is_steps(name, axis, steps_axis)
                    if free or not _is_whole(*bounds, fixed=fixed, end_allowed=end_allowed):
                        own.refuse(_CUTS)
        elif node.op_type == "Gather" and kinds[0] >= Origin.SIZE:
            axis = settings["axis"].i if "axis" in settings else 0
            if self.varies(name, axis):
                last = x.shape[axis] - 1
                ends = (0, -1) if kinds[1] < Origin.SIZE else (0, -1, last)
                at_end = bool(np.isin(indices, ends).all()) and np.size(indices) == 1
                allowed = kinds[1] == Origin.LENGTHS or (at_end and kinds[1] <= Origin.SIZE)
                if not allowed or not self.is_steps(name, axis, steps_axis):
                    own.refuse(_CUTS)
        elif node.op_type in ("GatherND", "GatherElements") and kinds[0] >= Origin.SIZE:
            if kinds[1] not in (Origin.SIZE, Origin.LENGTHS) and any(self.varies(name, axis) for axis in range(x.ndim)):
                own.refuse(_CUTS)
        elif node.op_type == "Split":
            if self.varies(name, settings["axis"].i if "axis" in settings else 0):
                own.refuse(_CUTS)
        elif node.op_type == "Squeeze":
            has_axes = "axes" in settings or indices is not None
            if not has_axes and any(self.varies(name, axis) for axis in range(x.ndim)):
                own.refuse("it removes the axis of a batch of one sequence or of a single step; give it the axes")
        elif node.op_type == "Pad":
            pads = np.ravel(indices if indices is not None else settings["pads"].ints)
            axes = values[node.input[3]].ravel().tolist() if len(node.input) > 3 and node.input[3] else range(x.ndim)
            padded = [axis for n, axis in enumerate(axes) if pads[n] or pads[n + len(pads) // 2]]
            if any(self.varies(name, axis) for axis in padded):
                own.refuse(_CUTS)
        elif any(self.varies(name, axis) for axis in range(2, x.ndim)):
            own.refuse(_CUTS)  # of MaxPool and AveragePool


def _is_whole(start: int, end: int, step: int, size: int, fixed: bool, end_allowed: bool) -> bool:
    """Whether bounds of a slice take a whole axis, or one step at its end. fixed: the bounds are constants, so they
    must not depend on the size of this run.
    """
    if step == -1:
        return start in (-1, _WHOLE, 2**63 - 1) and end <= -_WHOLE
    if step != 1:
        return False
    to_the_end = end >= _WHOLE or (not fixed and end >= size)
    whole = start == 0 and to_the_end
    last = (start == -1 or (not fixed and start == size - 1)) and to_the_end
    return whole or (end_allowed and (last or (start, end) == (0, 1)))


def _is_mask(condition: Array, inside: Array) -> bool:
    """Whether a condition is true of the steps inside (B, T), or of all others, in any layout of the axes."""
    if condition.size == 0 or condition.all() or not condition.any():
        return True
    if condition.size % inside.size:
        return False
    if condition.size > inside.size:  # repeated for every feature
        repeated = condition.reshape(-1, condition.size // inside.size)
        if not (repeated == repeated[:, :1]).all():
            return False
        condition = repeated[:, 0]
    flat = condition.ravel()
    layouts = (inside.ravel(), inside.T.ravel())
    return any(np.array_equal(flat, one) or np.array_equal(flat, ~one) for one in layouts)
