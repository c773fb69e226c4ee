"""Target: the native extension, called with arguments that fit together and then with some of them changed.

The bytes of an input are choices, of a function, of sizes, of changes. Built with AddressSanitizer
(trust/attacks/fuzz.py), every read and write outside an array ends the process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from gatewise.kernels import native
from trust.fuzzing.target import Target
from trust.mutate import Rng

T = TypeVar("T")
Arguments = dict[str, Any]

NUMBERS = [0, 1, -1, 2, 3, 255, 2**31 - 1, 2**31, -(2**31), 2**32, 2**40, 2**58 - 1, 2**60 - 1, 2**61, 2**62 - 1, 2**62]
NUMBERS += [2**63 - 1, -(2**63), 2**63]
DTYPES = ["f4", "f8", "f2", "i4", "i8", "i2", "u1", "u8", "?", "c8", ">f4", "O"]
_STATES = ("h0", "c0", "mask")


class Choices:
    """Choices that the bytes of an input make; after its end, the first of each."""

    def __init__(self, raw: bytes) -> None:
        self._raw, self._at = raw, 0

    def below(self, n: int) -> int:
        """A number from 0 to n - 1; n is at most 256."""
        byte = self._raw[self._at] if self._at < len(self._raw) else 0
        self._at += 1
        return byte % n

    def of(self, values: Sequence[T]) -> T:
        """One of them."""
        return values[self.below(len(values))]

    def yes(self) -> bool:
        """One of two."""
        return bool(self.below(2))


class Sizes:
    """Sizes of a batch, and arrays that have them."""

    def __init__(self, choices: Choices, extension: Any) -> None:
        self.isa: str = choices.of([*extension.isas(), *extension.bf16()])
        self.lanes: int = extension.lanes(self.isa)
        self.threads = choices.of([1, 2, 3, 1, 1, 4, 9, 1])
        self.lengths = np.array([choices.below(9) for _ in range(choices.below(6))], np.int64)
        self.batch, self.steps = len(self.lengths), int(self.lengths.sum())
        self.units = choices.of([1, 2, 5, 8, 16, 17, 33, 40])
        self.rows = 1 + choices.below(9)
        self._rng = np.random.default_rng(choices.below(256))
        self._scale = np.float32(choices.of([1.0, 0.0, 1e-42, 1e30, np.inf, np.nan]))

    def numbers(self, *shape: int) -> Any:
        return (self._rng.standard_normal(shape, np.float32) * self._scale).astype(np.float32)

    def whole(self, last: int, *shape: int, dtype: type = np.int32) -> Any:
        return self._rng.integers(0, max(1, last), shape).astype(dtype)

    @property
    def where(self) -> Arguments:
        return {"isa": self.isa, "threads": self.threads}

    def states(self) -> Arguments:
        return {name: self.numbers(self.batch, self.units) for name in _STATES}


def _forward(s: Sizes, c: Choices, extension: Any) -> Arguments:
    indexed, weight = c.yes(), s.numbers(4 * s.units, s.units)
    pre_rows = s.rows if indexed else s.steps
    interpolated = c.yes() and pre_rows > 0
    return {
        **s.where,
        "pre": s.numbers(pre_rows, 4 * s.units),
        "index": s.whole(pre_rows, s.steps) if indexed else None,
        "lengths": s.lengths,
        "weight_hh": weight,
        **s.states(),
        "steps": s.steps,
        "reverse": c.yes(),
        "binary": c.yes(),
        "keep": c.yes(),
        "packed": extension.pack(s.isa, weight) if c.yes() else None,
        "base": s.whole(pre_rows, s.batch) if interpolated else None,
        "alpha": s.numbers(s.batch) if interpolated else None,
    }


def _backward(s: Sizes, c: Choices, extension: Any) -> Arguments:
    indexed = c.yes()
    return {
        **s.where,
        "gates": s.numbers(s.steps, -(-s.units // s.lanes), 4, s.lanes),
        "index": s.whole(s.rows, s.steps) if indexed else None,
        "lengths": s.lengths,
        "weight_hh": s.numbers(4 * s.units, s.units),
        **s.states(),
        **{name: s.numbers(s.steps, s.units) for name in ("h", "c", "dh", "dc")},
        **{name: s.numbers(s.batch, s.units) for name in ("dh_T", "dc_T")},
        "pre_rows": s.rows if indexed else s.steps,
        "reverse": c.yes(),
        "binary": c.yes(),
        "with_dweight": c.yes(),
    }


def _linear(s: Sizes, c: Choices, extension: Any) -> Arguments:
    outputs = 1 + c.below(40)
    return {
        **s.where,
        "x": s.numbers(s.steps, s.units),
        "weight": s.numbers(outputs, s.units),
        "bias": s.numbers(outputs),
    }


def _linear_backward(s: Sizes, c: Choices, extension: Any) -> Arguments:
    arguments = _linear(s, c, extension)
    outputs = arguments.pop("bias").size
    return {**arguments, "dy": s.numbers(s.steps, outputs), "with_dx": c.yes()}


def _count_above(s: Sizes, c: Choices, extension: Any) -> Arguments:
    per_kernel = np.array([c.below(3) for _ in range(c.below(4))], np.int32)
    channels, features = 1 + c.below(4), 84 * int(per_kernel.sum())
    return {
        **s.where,
        "values": s.numbers(s.steps, channels),
        "lengths": s.lengths,
        "dilations": s.whole(c.of([1, 3, 8, 2**31 - 1]), len(per_kernel)),
        "per_kernel": per_kernel,
        "masks": s.whole(c.of([1, 2, 256]), len(per_kernel), 84, channels, dtype=np.uint8),
        "thresholds": s.numbers(features),
        "counts": np.zeros((s.batch, features), np.int32),
    }


def _adam(s: Sizes, c: Choices) -> Arguments:
    selected = 1 + c.below(s.rows)
    return {
        **s.where,
        "weight": s.numbers(s.rows, s.units),
        "rows": s.whole(s.rows, selected, dtype=np.int64) if c.yes() else None,
        "m": s.numbers(s.rows, s.units),
        "v": s.numbers(s.rows, s.units),
        "beta_1": 0.9,
        "rest_1": 0.1,
        "beta_2": 0.99,
        "rest_2": 0.01,
    }


def _adam_step(s: Sizes, c: Choices, extension: Any) -> Arguments:
    arguments = _adam(s, c)
    grad = s.numbers(s.rows if arguments["rows"] is None else arguments["rows"].size, s.units)
    return {**arguments, "grad": grad, "rate": 0.1, "epsilon": 1e-8, "scale": 1.0}


def _adam_catch_up(s: Sizes, c: Choices, extension: Any) -> Arguments:
    arguments, now = _adam(s, c), c.below(6)
    count = s.rows if arguments["rows"] is None else arguments["rows"].size
    tables = {name: s.numbers(now + 1 + c.below(2)) for name in ("rates", "epsilons")}
    return {**arguments, "last": s.whole(now + 1, count, dtype=np.int64), "now": now, **tables}


def _fit_squared_hinge(s: Sizes, c: Choices, extension: Any) -> Arguments:
    starts = np.append(0, np.cumsum(s.lengths)).astype(np.int32)
    return {
        "starts": starts,
        "columns": s.whole(s.rows, s.steps),
        "values": s.numbers(s.steps),
        "sign": s.numbers(s.batch),
        "cost": s.numbers(s.batch).astype(np.float64),
        "max_passes": c.below(4),
        "tol": c.of([0.1, 0.0, -1.0, np.nan]),
        "w": np.zeros(s.rows),
    }


def _segment_reduce(s: Sizes, c: Choices, extension: Any) -> Arguments:
    x = s.numbers(s.steps, s.units)
    return {"threads": s.threads, "maximum": c.yes(), "x": x, "lengths": s.lengths}


def _repeat_rows(s: Sizes, c: Choices, extension: Any) -> Arguments:
    add_to = s.numbers(s.steps, s.units) if c.yes() else None
    grad = s.numbers(s.batch, s.units)
    return {"threads": s.threads, "grad": grad, "lengths": s.lengths, "steps": s.steps, "add_to": add_to}


def _max_backward(s: Sizes, c: Choices, extension: Any) -> Arguments:
    arguments = _repeat_rows(s, c, extension)
    del arguments["steps"]
    x = s.numbers(s.steps, s.units)
    largest = extension.segment_reduce(1, True, x, s.lengths)
    return {**arguments, "x": x, "largest": np.array(largest)}


FUNCTIONS: dict[str, Callable[[Sizes, Choices, Any], Arguments]] = {
    "forward": _forward,
    "backward": _backward,
    "count_above": _count_above,
    "linear": _linear,
    "linear_backward": _linear_backward,
    "adam_step": _adam_step,
    "adam_catch_up": _adam_catch_up,
    "fit_squared_hinge": _fit_squared_hinge,
    "segment_reduce": _segment_reduce,
    "repeat_rows": _repeat_rows,
    "max_backward": _max_backward,
    "pack": lambda s, c, extension: {"isa": s.isa, "weight_hh": s.numbers(4 * s.units, s.units)},
    "sum_of_squares": lambda s, c, extension: {**s.where, "x": s.numbers(s.steps, s.units)},
    "activate": lambda s, c, extension: {"isa": s.isa, "x": s.numbers(s.steps, s.units)},
    "lanes": lambda s, c, extension: {"isa": s.isa},
    "set_cache_limit": lambda s, c, extension: {"bytes": c.of([2**30, 0, 5000])},
}


def _change(value: Any, s: Sizes, c: Choices, others: list[Any]) -> Any:
    """Another value in the place of an argument."""
    if isinstance(value, np.ndarray):
        return _change_array(value, s, c, others)
    if isinstance(value, bool):
        return c.of([not value, None, 2])
    if isinstance(value, int):
        return c.of([*NUMBERS, value + 1, value - 1, -value, None, float(value)])
    if isinstance(value, str):
        return c.of(["portable", "avx2", "avx512", "avx512_bf16", "amx_bf16", "neon", "", "x" * 1000, "\0", None, 1])
    if isinstance(value, float):
        return c.of([0.0, -1.0, 1e30, np.nan, np.inf, None])
    return c.of([None, s.numbers(s.batch), s.whole(s.rows, s.steps), s.numbers(s.batch, s.units), 0])


def _change_array(a: Any, s: Sizes, c: Choices, others: list[Any]) -> Any:
    match c.below(12):
        case 0:
            return None
        case 1:  # one number of an array, which may select memory
            changed = a.copy()
            if a.size and a.dtype.kind in "iu":
                number = c.of([*NUMBERS, a.size, s.rows, s.steps, s.batch])
                bounds = np.iinfo(a.dtype)
                changed.flat[c.below(256) % a.size] = min(max(number, int(bounds.min)), int(bounds.max))
            elif a.size:
                changed.flat[c.below(256) % a.size] = c.of([np.nan, np.inf, -np.inf, 1e-45, 0.0, 255.0])
            return changed
        case 2:  # shorter or longer along an axis
            axis = c.below(max(1, a.ndim))
            return a if a.ndim == 0 else np.ascontiguousarray(np.resize(a, _other_shape(a.shape, axis, c)))
        case 3:
            return a.reshape(-1) if a.ndim > 1 else a[:, None]
        case 4:
            return a.reshape(()) if a.size == 1 else a[None]
        case 5:
            return a.astype(c.of(DTYPES))
        case 6:
            return c.of([a.T, a[::-1], a[::2], a[:0]]) if a.ndim else a
        case 7 if a.dtype != object:  # not aligned to its numbers
            raw = np.zeros(a.nbytes + 1, np.uint8)
            raw[1:] = np.frombuffer(a.tobytes(), np.uint8)
            return raw[1:].view(a.dtype).reshape(a.shape)
        case 8:
            a = a.copy()
            a.flags.writeable = False
            return a
        case 9:  # shared with another argument
            return c.of([a, *others])
        case 10:
            return np.broadcast_to(a.flat[0] if a.size else a.dtype.type(0), a.shape)
        case _:
            return c.of([a.tolist(), a.tobytes(), bytearray(a.tobytes())]) if a.size else []


def _other_shape(shape: tuple[int, ...], axis: int, c: Choices) -> tuple[int, ...]:
    size = c.of([shape[axis] + 1, max(0, shape[axis] - 1), 0, 1, 2 * shape[axis]])
    return (*shape[:axis], size, *shape[axis + 1 :])


def _call(raw: bytes, folder: Path) -> Any:
    extension = native._extension()
    choices = Choices(raw)
    name = choices.of(list(FUNCTIONS))
    sizes = Sizes(choices, extension)
    arguments = FUNCTIONS[name](sizes, choices, extension)
    arrays = [value for value in arguments.values() if isinstance(value, np.ndarray)]
    changes = choices.below(4)
    for _ in range(changes):
        key = choices.of(list(arguments))
        if key != "max_passes":  # any number is allowed, and would be done
            # A change that does not fit to what an earlier one has left is none.
            with suppress(TypeError, ValueError, IndexError, OverflowError):
                arguments[key] = _change(arguments[key], sizes, choices, arrays)
    try:
        # By name, but for functions of one argument, which has no name.
        function = getattr(extension, name)
        result = function(**arguments) if len(arguments) > 1 else function(*arguments.values())
    except (TypeError, ValueError, MemoryError):
        if not changes:
            raise
        return None
    for array in result if isinstance(result, tuple) else [result]:
        if array is not None and hasattr(array, "shape"):
            np.array(array, copy=True)  # reads all of it
    return result


def _seeds() -> list[bytes]:
    """Each function, with sizes and changes at random."""
    rng = np.random.default_rng(0)
    return [bytes([n]) + rng.bytes(60) for n in range(len(FUNCTIONS)) for _ in range(3)]


def _random(rng: Rng, raw: bytes) -> bytes:
    return raw[:1] + rng.bytes(100)


KERNELS = Target(_call, _seeds, change=_random)
