"""The roles of tensors in a Keras graph as it runs: which of them are the inputs, their mask, or a number of steps.

An operation without weights is otherwise read by its effect on random inputs. That does not show what it does to other
lengths or numbers: a comparison with a constant, a slice with constant bounds, the pads that a maximum takes. Such an
operation is refused by name, unless the roles of what it reads prove that it is the mask.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from gatewise.network.value_matching import Operation

_BELOW = -2.0  # every h is above -1, and a sum of two above -2
# What returns the tensor that it reads, in another layout, type or order of the steps.
_PASSING = """
    Cast ExpandDims Squeeze Identity Reshape Permute Transpose Flip Dropout SpatialDropout1D GaussianNoise
    GaussianDropout AlphaDropout ActivityRegularization
"""
_SAME_PLACE = "Cast Identity Dropout SpatialDropout1D GaussianNoise GaussianDropout AlphaDropout ActivityRegularization"
_NUMBER_TYPES = ("int32", "int64", "uint32", "uint64", "float32", "float64")

_COMPARES = (
    "it compares numbers, so what it does depends on them; gatewise reads only the mask of the inputs: a Masking layer "
    "that reads them, mask_zero=True, or not_equal(inputs, value) with the same value"
)
_SELECTS = "its condition is not the mask of the inputs, so what it does depends on numbers"
_CUTS = (
    "it takes steps at constant places from a sequence of any length, so long and short sequences differ; take the "
    "last step with [:, -1], or give the network an Input of a fixed length"
)
_POOLS_PADS = (
    "it ignores the mask and so it reads the steps that the mask skips, such as the zeros of pads in front; use "
    "GlobalAveragePooling1D, or put where(expand_dims(not_equal(inputs, 0), -1), states, -3.0) before it"
)


class Role(NamedTuple):
    """What a tensor is. "compared": the inputs (B, T, C) are not the pad value. "mask": whether a step is no pad.
    "count": the number of such steps, and constants added. "filled": the pads of states are replaced by `fill`.
    """

    kind: Literal["inputs", "compared", "mask", "count", "filled"]
    fill: float = 0.0


class Roles:
    """The roles of the tensors of one run. pad: the number that the mask of the network skips, None without a mask.
    tokens: the inputs are ids (B, T).
    """

    def __init__(self, inputs: Any, pad: float | None, tokens: bool) -> None:
        self.pad = pad
        self.tokens = tokens
        self._roles: dict[int, Role] = {}
        self._tensors: list[Any] = []  # as long as they live, no other tensor has their id
        self.add(inputs, Role("inputs"))

    def add(self, tensor: Any, role: Role) -> None:
        """Give a tensor its role. One that an operation returns as it is keeps that which it has."""
        if id(tensor) not in self._roles:
            self._roles[id(tensor)] = role
            self._tensors.append(tensor)

    def kind(self, tensor: Any) -> str:
        """The kind of the role of a tensor, "" without one."""
        role = self._roles.get(id(tensor))
        return role.kind if role else ""

    def check(self, own: Operation, layer: Any, values: Sequence[Any], shape: Sequence[int | None]) -> None:
        """Refuse an operation whose effect depends on numbers or lengths. values: its arguments. shape: of the first
        one, None for any length.
        """
        kinds = [self.kind(value) for value in values]
        match own.type:
            case "NotEqual" if not self._is_mask(values, kinds):
                own.refuse(_COMPARES)
            case "Any" if kinds[:1] != ["compared"] or not _is_last(layer.axis, len(shape)):
                own.refuse(_COMPARES)
            case "LogicalAnd" | "LogicalOr" if kinds != ["mask", "mask"]:
                own.refuse(_COMPARES)
            case "Cast" if not self._keeps_numbers(layer, kinds):
                own.refuse(f"it rounds to {layer.dtype}, so what it does depends on the numbers")
            case "Where" if kinds[:1] != ["mask"]:
                own.refuse(_SELECTS)
            case "Maximum" if kinds[:1] != ["count"] or _constant(values[1]) > 1:
                own.refuse("it limits numbers, which gatewise does not compute; do this before the network")
            case "Divide" if np.isnan(_constant(values[1])) and kinds[1] != "count":
                own.refuse("it divides by numbers of the network")
            case "Masking" if kinds[:1] != ["inputs"]:
                own.refuse("it must read the inputs, because gatewise leaves out the steps that have its value there")
            case "GlobalMaxPooling1D" | "Max":
                self._check_maximum(own, layer, values)
            case "GetItem" if not _whole_steps(values[1], shape):
                own.refuse(_CUTS)
            case "Take" if shape[_axis(layer.axis, shape)] is None and not _is_end(values[1], layer.axis):
                own.refuse(_CUTS)
            case "TakeAlongAxis":
                own.refuse("it takes steps by their numbers, which are others for pads in front; take the last state")
            case "Cropping1D" if tuple(layer.cropping) != (0, 0) and shape[1] is None:
                own.refuse(_CUTS)
            case "Split" if shape[_axis(layer.axis, shape)] is None:
                own.refuse(_CUTS)
            case "Squeeze" if layer.axis is None and None in shape:
                own.refuse("it removes the axis of a batch of one sequence or of a single step; give it the axis")
            case _:
                pass

    def check_mask(self, own: Operation, mask: Any) -> None:
        """Refuse a layer that is called with a mask which is not that of the inputs."""
        if mask is not None and self.kind(mask) != "mask":
            own.refuse("it is called with a mask that is not the mask of the inputs")

    def record(self, layer: Any, values: Sequence[Any], output: Any) -> None:
        """Give the output of an operation its role, if it has one."""
        first = self._roles.get(id(values[0])) if values else None
        kind = type(layer).__name__
        if kind == "NotEqual":
            self.add(output, Role("mask" if self.tokens else "compared"))
        elif kind in ("Any", "LogicalAnd", "LogicalOr"):
            self.add(output, Role("mask"))
        elif kind == "Where":
            fill = _constant(values[2])
            if not np.isnan(fill):
                self.add(output, Role("filled", fill))
        elif first is None:
            return
        elif (kind == "Sum" and first.kind == "mask") or (
            kind in ("Subtract", "Add", "Maximum") and first.kind == "count" and not np.isnan(_constant(values[1]))
        ):
            self.add(output, Role("count"))
        elif first.kind in ("inputs", "compared"):
            if kind in _SAME_PLACE.split():
                self.add(output, first)
        elif kind in _PASSING.split() or (kind == "GetItem" and _keeps_all(values[1])):
            self.add(output, first)

    def _is_mask(self, values: Sequence[Any], kinds: Sequence[str]) -> bool:
        constants = [_constant(value) for value, kind in zip(values, kinds, strict=True) if kind != "inputs"]
        return self.pad is not None and len(constants) == 1 and constants[0] == np.float32(self.pad)

    def _keeps_numbers(self, layer: Any, kinds: Sequence[str]) -> bool:
        return kinds[0] in ("mask", "compared", "count") or str(layer.dtype) in _NUMBER_TYPES

    def _check_maximum(self, own: Operation, layer: Any, values: Sequence[Any]) -> None:
        """In Keras the state before the first step that is no pad is zero."""
        if getattr(layer, "initial", None) is not None:
            own.refuse("it takes the maximum with a constant, its argument initial")
        role = self._roles.get(id(values[0]))
        filled = role is not None and role.kind == "filled" and role.fill <= _BELOW
        if self.pad is not None and not filled:
            own.refuse(_POOLS_PADS)


def _constant(value: Any) -> float:
    """The number of a scalar that is no tensor of the network, else NaN."""
    if isinstance(value, bool | int | float | np.number):
        return float(value)
    array = np.asarray(value) if isinstance(value, np.ndarray) else None
    return float(array.ravel()[0]) if array is not None and array.size == 1 else float("nan")


def _axis(axis: Any, shape: Sequence[int | None]) -> int:
    return int(axis or 0) % len(shape)


def _is_last(axis: Any, axes: int) -> bool:
    return axis is not None and [one % axes for one in np.atleast_1d(axis).tolist()] == [axes - 1]


def _is_end(index: Any, axis: Any) -> bool:
    """Whether a constant index is the first or the last one, of any axis but that of the batch."""
    return axis not in (None, 0) and isinstance(index, int | np.integer) and int(index) in (0, -1)


def _parts(key: Any) -> list[Any]:
    return list(key) if isinstance(key, tuple | list) else [key]


def _keeps_all(key: Any) -> bool:
    """Whether an index takes everything, in this order, as [:, :, None] does."""
    return all(part is None or part is Ellipsis or part == slice(None) for part in _parts(key))


def _whole_steps(key: Any, shape: Sequence[int | None]) -> bool:
    """Whether an index takes all steps of each axis of any length, or one at an end. The axis of the batch is taken as
    a whole.
    """
    parts = _parts(key)
    before = next((n for n, part in enumerate(parts) if part is Ellipsis), len(parts))
    axes = [part for part in parts[:before] if part is not None]
    after = [part for part in parts[before + 1 :] if part is not None]
    axes += [slice(None)] * (len(shape) - len(axes) - len(after)) + after
    return all(
        size is not None or _whole_axis(part, axis) for axis, (part, size) in enumerate(zip(axes, shape, strict=True))
    )


def _whole_axis(part: Any, axis: int) -> bool:
    if not isinstance(part, slice):
        return _is_end(part, axis)
    bounds = (part.start, part.stop, part.step)
    if not all(bound is None or isinstance(bound, int) for bound in bounds):
        return False
    whole = bounds in ((None, None, None), (0, None, None), (None, None, 1), (0, None, 1), (None, None, -1))
    end = bounds[:2] in ((-1, None), (0, 1), (None, 1)) and part.step in (None, 1)
    return whole or (end and axis > 0)
