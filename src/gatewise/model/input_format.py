"""How clients of a server write the inputs of a model: as JSON, and as a tensor of the Open Inference Protocol.

    text      BYTES (n,) or (n, 1)       one string per element
    series    FP32 (n, steps, channels)  n series of equal length; null or NaN is a missing value

A preprocessor has one (`TextPreprocessor.format`, `SeriesPreprocessor.format`), so that nothing above it asks whether a
model reads texts or series. Source of the tensors: kserve/open-inference-protocol, `inference_rest.md`, and its binary
tensor extension.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from typing import Any, ClassVar, Self

import numpy as np

from gatewise.errors import InputError, counted
from gatewise.types import SERIES, TEXTS, Array, InputNouns

_CHARACTERS_PER_TOKEN = 5


class TensorError(InputError):
    """A tensor that does not hold inputs. place: what is wrong in it, "shape", "data" or one of its elements."""

    def __init__(self, place: str, message: str) -> None:
        self.place = place
        super().__init__(message)


@dataclass(frozen=True)
class InputFormat(ABC):
    """name: of the field of a request, and of the tensor. datatype: of the tensor."""

    name: ClassVar[str]
    datatype: ClassVar[str]
    nouns: ClassVar[InputNouns]
    in_a_cell: ClassVar[bool]
    """Whether one cell of a table holds an input, and one argument of a command."""
    in_a_tensor: ClassVar[bool] = True
    """Whether one tensor holds inputs."""

    shortest: int = field(kw_only=True, default=0)
    """The fewest steps of the example."""
    whole: bool = field(kw_only=True, default=False)
    """Whether its numbers are whole."""

    def with_example(self, shortest: int, whole: bool, shapes: Mapping[str, tuple[int, ...]]) -> Self:
        """The format with an example that a network reads: at least so many steps, whole numbers, and of several inputs
        arrays of these shapes.
        """
        return replace(self, shortest=shortest, whole=whole)

    def described(self) -> dict[str, Any]:
        """What the page must know of the inputs, by name."""
        return {}

    @property
    @abstractmethod
    def example(self) -> Any:
        """A short input as JSON."""

    @property
    @abstractmethod
    def shape(self) -> list[int]:
        """The shape of the tensor of n inputs, with -1 for a size that is free."""

    @property
    @abstractmethod
    def example_shape(self) -> list[int]:
        """The shape of the tensor of `example` alone."""

    @property
    @abstractmethod
    def example_steps(self) -> list[Any]:
        """The parts of `example` as JSON, as a stream takes them one after the other."""

    @abstractmethod
    def read(self, item: Any) -> Any:
        """The input of a value from JSON, whose numbers are checked to be numbers (`gatewise.serve.schemas`). Raises
        InputError, which begins with "must be".
        """

    @abstractmethod
    def steps_of(self, item: Any) -> int:
        """About how many steps an input has, as `read` returns it: an estimate of its work, before it is encoded."""

    def read_step(self, item: Any) -> Any:
        """What a stream reads next, of a value from JSON. Raises InputError as `read`."""
        return item

    def steps_of_step(self, item: Any) -> int:
        """About how many steps that is."""
        return 1

    def read_steps(self, items: Sequence[Any]) -> Any:
        """What n streams read next, of a value from JSON each. Raises InputError as `read`."""
        return [self.read_step(item) for item in items]

    @abstractmethod
    def read_tensor(self, shape: Sequence[int], values: Any) -> list[Any]:
        """The n inputs of a tensor. values: bytes, or lists, flat or nested as the shape. Raises TensorError."""


@dataclass(frozen=True)
class TextFormat(InputFormat):
    """Texts are strings."""

    name: ClassVar[str] = "text"
    datatype: ClassVar[str] = "BYTES"
    nouns: ClassVar[InputNouns] = TEXTS
    in_a_cell: ClassVar[bool] = True
    shape: ClassVar[list[int]] = [-1]
    example_shape: ClassVar[list[int]] = [1]

    @property
    def example(self) -> str:
        sentence = "A warm, funny and honest film."
        return " ".join([sentence] * max(1, math.ceil(self.shortest / len(sentence.split()))))

    @property
    def example_steps(self) -> list[Any]:
        return self.example.split()

    def read(self, item: Any) -> str:
        if isinstance(item, str):
            return item
        raise InputError("must be a string: the model reads texts")

    def steps_of(self, item: Any) -> int:
        return 1 + len(item) // _CHARACTERS_PER_TOKEN

    def steps_of_step(self, item: Any) -> int:
        if isinstance(item, str):
            return self.steps_of(item)
        return 1

    def read_tensor(self, shape: Sequence[int], values: Any) -> list[Any]:
        elements = _strings(values) if isinstance(values, bytes) else values
        array = _as_shaped(shape, np.array(elements, dtype=object))
        if array.shape[1:] not in ((), (1,)):
            raise TensorError("shape", "must be [n] or [n, 1], for n strings")
        texts: list[Any] = array.ravel().tolist()
        if not all(isinstance(text, str) for text in texts):
            raise TensorError("data", "must be strings")
        return texts


@dataclass(frozen=True)
class TokenIdFormat(TextFormat):
    """Of a model without a vocabulary: lists of token ids, or strings with spaces between them."""

    vocab_size: int

    def described(self) -> dict[str, Any]:
        return {"token_ids": self.vocab_size}

    @property
    def example(self) -> str:
        ids = islice(cycle((3, 1, 4, 2)), max(4, self.shortest))
        return " ".join(str(min(id, self.vocab_size - 1)) for id in ids)

    def read(self, item: Any) -> str:
        if isinstance(item, str):
            return item
        if isinstance(item, list) and all(isinstance(id, float) and id.is_integer() for id in item):
            return " ".join(f"{id:.0f}" for id in item)
        raise InputError(f"must be token ids below {self.vocab_size:,}: a list, or a string with spaces")

    def steps_of_step(self, item: Any) -> int:
        return len(item) if isinstance(item, list) else super().steps_of_step(item)

    def read_step(self, item: Any) -> str:
        return self.read([item] if isinstance(item, float) else item)


@dataclass(frozen=True)
class SeriesFormat(InputFormat):
    """Series are lists of steps, each a list of one number per channel, or of one channel a number."""

    channels: int
    name: ClassVar[str] = "series"
    datatype: ClassVar[str] = "FP32"
    nouns: ClassVar[InputNouns] = SERIES
    in_a_cell: ClassVar[bool] = False

    @property
    def example(self) -> list[list[float]]:
        values = (1.0, 0.0) if self.whole else (0.5, -0.5)
        numbers = islice(cycle(values), max(2, self.shortest))
        return [[number] * self.channels for number in numbers]

    @property
    def shape(self) -> list[int]:
        return [-1, -1, self.channels]

    @property
    def example_shape(self) -> list[int]:
        return [1, len(self.example), self.channels]

    @property
    def example_steps(self) -> list[Any]:
        return self.example

    def steps_of(self, item: Any) -> int:
        return len(item)

    def steps_of_step(self, item: Any) -> int:
        # A list of numbers is one step where there are several channels.
        has_several = isinstance(item, list) and (self.channels == 1 or isinstance(item[0], list))
        return len(item) if has_several else 1

    def read_step(self, item: Any) -> Any:
        """A number or null, one step, or several steps; null is a missing value."""
        if item is None:
            return np.nan
        if isinstance(item, list):
            return [self.read_step(value) for value in item]
        return item

    def read_steps(self, items: Sequence[Any]) -> Any:
        """Numbers of the same shape as an array, which is read faster; others one by one."""
        try:
            array = np.array(items)
        except ValueError:  # different shapes
            array = np.array(None)
        if array.dtype.kind in "if":
            return array.astype(np.float64)
        return super().read_steps(items)

    def read(self, item: Any) -> Array:
        """A series (steps, channels) float64, with NaN for a missing value."""
        series: Array = np.zeros((0, 0, 0))  # of no shape that is a series
        # The steps differ in length, something else than a number is among them, or a number is too large.
        with suppress(ValueError, TypeError, OverflowError):
            series = np.array(item, dtype=np.float64)  # None becomes NaN
        if series.ndim == 1:
            series = series[:, None]
        if series.shape[1:] == (self.channels,):
            return series
        steps = f"a list of time steps, each a list of {counted(self.channels, 'number')}"
        if self.channels == 1:
            steps += " or one number"
        if series.ndim == 2:
            steps += f", not of {series.shape[1]}"
        raise InputError(f"must be {steps}; null is a missing one")

    def read_tensor(self, shape: Sequence[int], values: Any) -> list[Any]:
        if len(shape) != 3 or shape[2] != self.channels or 0 in shape:
            raise TensorError("shape", f"must be [n, steps, {self.channels}]")
        try:
            numbers = np.frombuffer(values, "<f4") if isinstance(values, bytes) else np.array(values)
            if numbers.dtype.kind == "U":
                raise ValueError
        except ValueError:  # bytes that end within a number, or lists of different lengths
            raise TensorError("data", "must be numbers, nested as the shape or flat") from None
        return list(_as_shaped(shape, numbers).astype(np.float32))  # None becomes NaN


def _as_shaped(shape: Sequence[int], values: Array) -> Array:
    """The values, flat or nested as the shape, in that shape."""
    if values.ndim > 1 and values.shape != tuple(shape):
        raise TensorError("data", "nested in another way than the shape")
    if values.size != math.prod(shape):
        raise TensorError("shape", "the number of values does not fit the shape")
    return values.reshape(shape)


def _strings(raw: bytes) -> list[str]:
    """The elements of a BYTES tensor: each a length of four bytes, little-endian, and that many bytes of UTF-8."""
    strings: list[str] = []
    place = 0
    while place < len(raw):
        start = place + 4
        place = start + int.from_bytes(raw[place:start], "little")
        if place > len(raw):
            raise TensorError("data", "the bytes end within an element")
        try:
            strings.append(raw[start:place].decode())
        except UnicodeDecodeError:
            raise TensorError(f"data[{len(strings)}]", "not UTF-8") from None
    return strings
