"""Target: the native extension, called with arguments that fit together and then with some of them changed.

The bytes of an input are choices, of a function, of sizes, of changes. Built with AddressSanitizer
(trust/attacks/fuzz.py), every read and write outside an array ends the process.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from gatewise.kernels import native
from tests.kernels.arguments import fitting, function_of, unaligned
from trust.fuzzing.target import Target
from trust.mutate import Rng

T = TypeVar("T")
Arguments = dict[str, Any]

NUMBERS = [0, 1, -1, 2, 3, 255, 2**31 - 1, 2**31, -(2**31), 2**32, 2**40, 2**58 - 1, 2**60 - 1, 2**61, 2**62 - 1, 2**62]
NUMBERS += [2**63 - 1, -(2**63), 2**63]
DTYPES = ["f4", "f8", "f2", "i4", "i8", "i2", "u1", "u8", "?", "c8", ">f4", "O"]
OPTIONAL = ("packed", "add_to", "base", "index")
NAMES = [*fitting(), "activate", "lanes", "set_cache_limit"]


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
        self.threads = choices.of([1, 2, 3, 1, 1, 4, 9, 1])
        self.lengths = [choices.below(9) for _ in range(choices.below(6))]
        self.batch, self.steps = len(self.lengths), sum(self.lengths)
        self.units = choices.of([1, 2, 5, 8, 16, 17, 33, 40])
        self.rows = self.steps or 1 if choices.yes() else 1 + choices.below(9)
        self._rng = np.random.default_rng(choices.below(256))
        self._scale = np.float32(choices.of([1.0, 0.0, 1e-42, 1e30, np.inf, np.nan]))

    def numbers(self, *shape: int) -> Any:
        return (self._rng.standard_normal(shape, np.float32) * self._scale).astype(np.float32)

    def whole(self, last: int, *shape: int) -> Any:
        return self._rng.integers(0, max(1, last), shape).astype(np.int32)

    def arguments(self) -> dict[str, Arguments]:
        """Of each function, those that fit together."""
        return fitting(self.lengths, self.units, self.rows, self.isa, self.threads, self.numbers) | {
            "activate": {"isa": self.isa, "x": self.numbers(self.steps, self.units)},
            "lanes": {"isa": self.isa},
            "set_cache_limit": {"bytes": 2**30},
        }


def _other_options(arguments: Arguments, s: Sizes, c: Choices) -> None:
    """Switch flags, and leave out what may be left out."""
    for key, value in arguments.items():
        if isinstance(value, bool):
            arguments[key] = c.yes()
        elif key in OPTIONAL and (key != "index" or s.rows == s.steps) and c.yes():
            arguments[key] = None
            if key == "base":
                arguments["alpha"] = None
    # Activations include h, and only a run with an input product leaves h out.
    if "with_h" in arguments and (arguments["keep"] or arguments["pre"] is not None):
        arguments["with_h"] = True


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
            if a.ndim == 0:
                return a
            size = c.of([a.shape[axis] + 1, max(0, a.shape[axis] - 1), 0, 1, 2 * a.shape[axis]])
            return np.ascontiguousarray(np.resize(a, (*a.shape[:axis], size, *a.shape[axis + 1 :])))
        case 3:
            return a.reshape(-1) if a.ndim > 1 else a[:, None]
        case 4:
            return a.reshape(()) if a.size == 1 else a[None]
        case 5:
            return a.astype(c.of(DTYPES))
        case 6:
            return c.of([a.T, a[::-1], a[::2], a[:0]]) if a.ndim else a
        case 7 if a.dtype != object:  # not aligned to its numbers
            return unaligned(a)
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


def _call(raw: bytes, folder: Path) -> Any:
    extension = native._extension()
    choices = Choices(raw)
    name = choices.of(NAMES)
    sizes = Sizes(choices, extension)
    arguments = sizes.arguments()[name]
    _other_options(arguments, sizes, choices)
    arrays = [value for value in arguments.values() if isinstance(value, np.ndarray)]
    changes = choices.below(4)
    for _ in range(changes):
        key = choices.of(list(arguments))
        if key != "max_passes":  # any number is allowed, and would be done
            # A change that does not fit to what an earlier one has left is none.
            with suppress(TypeError, ValueError, IndexError, OverflowError):
                arguments[key] = _change(arguments[key], sizes, choices, arrays)
    try:
        result = function_of(name)(*arguments.values())
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
    return [bytes([n]) + rng.bytes(60) for n in range(len(NAMES)) for _ in range(3)]


def _random(rng: Rng, raw: bytes) -> bytes:
    return raw[:1] + rng.bytes(100)


KERNELS = Target(_call, _seeds, change=_random)
