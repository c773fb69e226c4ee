"""The inputs for which a network is compared with the original.

What an input is follows from the structure of the graph (`gatewise.network.input_ranges`): ids, lengths, a series or a
mask. The numbers are random, and those that the graph compares with others, on both sides of each comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from gatewise.exchange.proof_sizes import CASE_BUDGET, compared_sizes, cost_of, shown, usual_sizes
from gatewise.network.graph import Graph
from gatewise.network.input_ranges import InputRange, input_ranges
from gatewise.network.operation import ValueType
from gatewise.types import Array

MAGNITUDES = (1e-3, 10.0, 1e3)  # by which the numbers of series are multiplied
_ALWAYS = (0.0, 1.0, -1.0)  # among the numbers of a series
_MAX_CONSTANTS = 12  # of a graph that are compared as pads
_MANY = 31  # sequences or steps
_DRAWS = 20  # of ids until none is a pad where none may be
_UNBOUNDED = 12  # the largest of the integers of which nothing says what they are


@dataclass(frozen=True, eq=False)
class Case:
    """Inputs of a network. name: for messages, such as "numbers times 10". required: whether the original takes them;
    others it may refuse. refusable: whether the graph may refuse them. ids: whether only what depends on the rows of
    tables is compared. ties: whether numbers equal those with which the network compares them.
    """

    name: str
    sizes: Mapping[str, int]
    inputs: Mapping[str, Array]
    required: bool = True
    refusable: bool = False
    ids: bool = False
    ties: bool = False

    @property
    def shown(self) -> str:
        """For messages."""
        sizes = f" ({shown(self.sizes)})" if self.sizes else ""
        return f"{self.name}{sizes}"


@dataclass(frozen=True, eq=False)
class CaseMaker:
    """usual: sizes of which runs are cheap."""

    graph: Graph
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(61))

    def cases(self) -> Iterator[Case]:
        """All inputs that are compared, the cheap and telling ones first."""
        usual = usual_sizes(self.graph)
        patterns = self._many(usual)
        yield self._random("random inputs", usual)
        yield from self._places(patterns)
        yield from self._numbers(patterns)
        yield from self._constants(patterns)
        yield from self._not_finite(usual)
        yield from self._every_id(usual)
        for sizes in compared_sizes(self.graph, usual):
            if max(sizes.values(), default=0) < _MANY:
                yield self._random("random inputs", sizes)
            else:
                ranges, _ = input_ranges(self.graph, sizes)
                yield Case("random inputs, some of them equal", sizes, self._drawn(ranges, self._some_equal))

    def _some_equal(self, random: Array) -> Array:
        """Half of the numbers rounded: sorts of many numbers have their own order of equal ones."""
        return np.where(self.rng.random(random.shape) < 0.5, np.round(random), random)

    def _many(self, usual: Mapping[str, int]) -> dict[str, int]:
        """Sizes with room for several patterns of pads."""
        sizes = dict(usual)
        for name, size in zip(self.graph.symbols, (11, 9, 7, 8, 10), strict=False):
            larger = {**sizes, name: size}
            holds = all(guard.holds(larger) for guard in self.graph.guards)
            if holds and cost_of(self.graph, larger).within(CASE_BUDGET // 8):
                sizes = larger
        return sizes

    def _random(self, name: str, sizes: Mapping[str, int]) -> Case:
        ranges, _ = input_ranges(self.graph, sizes)
        return Case(name, sizes, self._drawn(ranges))

    def _drawn(
        self, ranges: Mapping[str, InputRange], scale: float | Callable[[Array], Array] = 1.0
    ) -> dict[str, Array]:
        inputs = {}
        for name, value_type in self.graph.inputs.items():
            inputs[name] = self._draw(value_type, ranges[name], scale)
        return inputs

    def _draw(self, value_type: ValueType, numbers: InputRange, scale: float | Callable[[Array], Array]) -> Array:
        """Random numbers of one input. Lengths are in descending order, as packing wants them, the first one as long as
        can be.
        """
        shape = numbers.low.shape
        if value_type.dtype == "bool":
            return self._mask(shape)
        bounded = numbers.bounded
        low = np.where(bounded, numbers.low, 0)
        high = np.where(bounded, numbers.high, min(_UNBOUNDED, self._smallest_table() - 1))
        whole: Array = np.floor(low + self.rng.random(shape) * (high - low + 1))
        places: Array = bounded & ~numbers.ids
        if places.any() and places.ndim:
            descending = -np.sort(-np.where(places, whole, -np.inf), axis=0)
            descending[0] = np.where(places[0], high[0], descending[0])
            whole = np.where(places, np.where(np.isfinite(descending), descending, whole), whole)
        whole = self._without_pads(whole, numbers)
        if value_type.dtype != "float":
            integers: Array = whole.astype(value_type.dtype)
            return integers
        random: Array = self.rng.standard_normal(shape)
        random = scale(random) if callable(scale) else random * scale
        numbers_of_series: Array = np.where(bounded, whole, random).astype(np.float32)
        return numbers_of_series

    def _smallest_table(self) -> int:
        """The rows of the smallest table of which the graph reads rows, which any integer of the inputs may be."""
        rows = [_UNBOUNDED + 1]
        for node in self.graph.nodes:
            if node.operation.name() == "Gather" and node.inputs[0] in self.graph.constants:
                table = self.graph.constants[node.inputs[0]]
                if table.ndim > 1:
                    rows.append(table.shape[0])
        return min(rows)

    def _without_pads(self, ids: Array, numbers: InputRange) -> Array:
        """Ids whose first sequence and first steps are no numbers with which the graph compares them, such as that of a
        pad: each sequence has a step, and one has all of them, in whatever order the two axes are.
        """
        first = np.zeros(ids.shape, dtype=bool)
        first[:1] = True
        if ids.ndim > 1:
            first[:, :1] = True
        first &= numbers.ids & numbers.bounded
        for _ in range(_DRAWS):
            pads = np.zeros(ids.shape, dtype=bool)
            for number, elements in numbers.constants.items():
                pads |= first & elements & (ids == number)
            if not pads.any():
                break
            low, high = numbers.low[pads], numbers.high[pads]
            ids[pads] = np.floor(low + self.rng.random(len(low)) * (high - low + 1))
        return ids

    def _mask(self, shape: tuple[int, ...]) -> Array:
        """True, but for pads at the end of some of the sequences."""
        if len(shape) < 2:
            return self.rng.random(shape) < 0.7
        steps = shape[1]
        lengths = self.rng.integers(1, steps + 1, (shape[0], 1))
        lengths[0] = steps
        inside = np.arange(steps) < lengths
        return np.broadcast_to(inside.reshape(inside.shape + (1,) * (len(shape) - 2)), shape).copy()

    def _places(self, sizes: Mapping[str, int]) -> Iterator[Case]:
        """Masks with pads in each place, and lengths in each order."""
        ranges, _ = input_ranges(self.graph, sizes)
        masks = [name for name, value_type in self.graph.inputs.items() if value_type.dtype == "bool"]
        for name in masks:
            shape = ranges[name].low.shape
            for axis in range(min(2, len(shape)) - 1, -1, -1):
                for place, pads in self._pads(shape, axis):
                    inputs = self._drawn(ranges)
                    inputs[name] = ~pads
                    yield Case(f"a mask with pads {place}", sizes, inputs, required=False)
        lengths = {name: ranges[name].bounded & ~ranges[name].ids for name in self.graph.inputs if name not in masks}
        lengths = {name: places for name, places in lengths.items() if places.any()}
        if not lengths:
            return
        orders: dict[str, Callable[[Array, Array], Array]] = {
            "in any order": lambda low, high: self._shuffled(low, high, longest=True),
            "below the largest": lambda low, high: self._shuffled(low, high, longest=False),
            "all of the largest number": lambda low, high: high,
            "all of the smallest number": lambda low, high: low,
        }
        for order, drawn in orders.items():
            inputs = self._drawn(ranges)
            for name, places in lengths.items():
                numbers = drawn(ranges[name].low, ranges[name].high)
                inputs[name] = np.where(places, numbers, inputs[name]).astype(inputs[name].dtype)
            yield Case(f"lengths {order}", sizes, inputs, required=False)

    def _shuffled(self, low: Array, high: Array, *, longest: bool) -> Array:
        with np.errstate(all="ignore"):
            numbers: Array = np.floor(low + self.rng.random(low.shape) * (high - low + 1))
        if not longest:
            below: Array = np.minimum(numbers, np.maximum(low, high - 1))
            return below
        if numbers.ndim and len(numbers) > 1:
            numbers[self.rng.integers(1, len(numbers))] = high[0]
        return numbers

    def _pads(self, shape: tuple[int, ...], axis: int) -> Iterator[tuple[str, Array]]:
        """Which elements are pads along an axis: another number of them in each of the others' rows."""
        if not shape:
            yield "everywhere", np.ones(shape, dtype=bool)
            return
        steps = shape[axis]
        step = np.arange(steps)
        # Each sequence has its own pads, the same ones in all channels.
        count = shape[1 - axis] if len(shape) > 1 else 1
        lengths = self.rng.integers(1, steps + 1, (count, 1))
        places = {
            "at the end": step >= lengths,
            "in front": step < steps - lengths,
            "in the middle": (self.rng.random((count, steps)) < 0.5) & (step > 0) & (step < steps - 1),
            "in all steps but one": step != self.rng.integers(0, steps, (count, 1)),
            "in all steps of some": np.broadcast_to(self.rng.random((count, 1)) < 0.4, (count, steps)),
        }
        for place, pads in places.items():
            arranged = pads if axis == 1 else pads.T
            if len(shape) == 1:
                arranged = pads[0]
            yield place, np.broadcast_to(arranged.reshape(arranged.shape + (1,) * (len(shape) - 2)), shape).copy()

    def _numbers(self, sizes: Mapping[str, int]) -> Iterator[Case]:
        """Series of large and small numbers."""
        ranges, _ = input_ranges(self.graph, sizes)
        types = self.graph.inputs.items()
        if not any(value.dtype == "float" and not ranges[name].bounded.all() for name, value in types):
            return
        for factor in MAGNITUDES:
            yield Case(f"numbers times {factor:g}", sizes, self._drawn(ranges, factor))
        mixed = self._drawn(ranges, lambda random: random * 10 ** self.rng.uniform(-3, 3, random.shape))
        yield Case("numbers of all sizes", sizes, mixed)
        yield Case("numbers above 0", sizes, self._drawn(ranges, lambda random: 3 * random**2))
        yield Case("numbers below 0", sizes, self._drawn(ranges, lambda random: -3 * random**2))
        yield Case("zeros", sizes, self._drawn(ranges, 0.0))

    def _constants(self, sizes: Mapping[str, int]) -> Iterator[Case]:
        """The numbers with which the graph compares its inputs, here and there, as pads, and those next to them."""
        ranges, loose = input_ranges(self.graph, sizes)
        for name, value_type in self.graph.inputs.items():
            numbers = ranges[name]
            if value_type.dtype == "bool" or not numbers.low.size:
                continue
            compared = dict(numbers.constants)
            if value_type.dtype == "float":
                for number in [*_ALWAYS, *sorted(loose, key=abs)]:
                    compared.setdefault(number, ~numbers.bounded)
            if not compared:
                continue
            for within in (True, False):
                inputs = self._drawn(ranges)
                scattered = self._scattered(inputs[name], compared)
                if within:
                    scattered = np.clip(scattered, numbers.low, numbers.high).astype(scattered.dtype)
                inputs[name] = scattered
                yield Case(
                    "the numbers that the network compares with others", sizes, inputs, required=False, ties=True
                )
            for number in list(numbers.constants)[:_MAX_CONSTANTS]:
                yield from self._padded(name, number, numbers.constants[number], sizes, ranges)

    def _padded(
        self, name: str, number: float, elements: Array, sizes: Mapping[str, int], ranges: Mapping[str, InputRange]
    ) -> Iterator[Case]:
        """Pads of a number."""
        for axis in range(min(2, elements.ndim) - 1, -1, -1):
            for place, pads in self._pads(elements.shape, axis):
                inputs = self._drawn(ranges)
                padded = np.where(pads & elements, number, inputs[name])
                inputs[name] = padded.astype(inputs[name].dtype)
                yield Case(f"{number:g} as pads {place}", sizes, inputs, required=False)

    def _scattered(self, array: Array, compared: Mapping[float, Array]) -> Array:
        """An array with half of its elements replaced by numbers of the graph, or those next to them."""
        scattered = array.copy()
        numbers = list(compared)
        chosen = self.rng.integers(0, 2 * len(numbers), array.shape)
        for place, number in enumerate(numbers):
            replaced = (chosen == place) & compared[number]
            scattered[replaced] = self._beside(number, array.dtype, int(replaced.sum()))
        return scattered

    def _beside(self, number: float, dtype: np.dtype[np.generic], count: int) -> Array:
        """A number and those on both sides of it: the next ones that there are, and others close by."""
        if dtype.kind != "f":
            return np.round(number + self.rng.integers(-1, 2, count)).astype(dtype)
        single = np.float32(number)
        above = np.nextafter(single, np.float32(np.inf))
        below = np.nextafter(single, np.float32(-np.inf))
        if number == 0:
            # The numbers next to 0 are subnormal: TensorFlow, and JAX, compute with 0 instead.
            above = np.finfo(np.float32).smallest_normal
            below = -above
        choices = np.array(
            [
                single,
                above,
                below,
                single + np.float32(0.1),
                single - np.float32(0.1),
            ],
            dtype=dtype,
        )
        return choices[self.rng.integers(0, len(choices), count)]

    def _not_finite(self, sizes: Mapping[str, int]) -> Iterator[Case]:
        """NaN and infinite numbers: at one step, and at all steps of a sequence."""
        ranges, _ = input_ranges(self.graph, sizes)
        for name, value_type in self.graph.inputs.items():
            places = np.argwhere(~ranges[name].bounded)
            if value_type.dtype != "float" or not len(places):
                continue
            for number in (np.nan, np.inf, -np.inf):
                inputs = self._drawn(ranges)
                inputs[name][tuple(self.rng.choice(places))] = number
                yield Case(f"{number} in {name!r}", sizes, inputs, required=False, refusable=True)
            inputs = self._drawn(ranges)
            sequence = tuple(self.rng.choice(places)[:1])
            inputs[name][sequence] = np.where(ranges[name].bounded[sequence], inputs[name][sequence], np.nan)
            yield Case(f"a sequence of nan in {name!r}", sizes, inputs, required=False, refusable=True)

    def _every_id(self, usual: Mapping[str, int]) -> Iterator[Case]:
        """Each row of each table, in random order."""
        sizes = dict(usual)
        for name in self.graph.symbols:
            for size in (64, 31, 13):
                larger = {**sizes, name: size}
                holds = all(guard.holds(larger) for guard in self.graph.guards)
                if holds and cost_of(self.graph, larger).within(CASE_BUDGET // 4):
                    sizes = larger
                    break
        ranges, _ = input_ranges(self.graph, sizes)
        for name in self.graph.inputs:
            numbers = ranges[name]
            of_tables = numbers.ids & numbers.bounded
            # Elements of one table have the same bounds.
            tables = set(zip(numbers.low[of_tables].tolist(), numbers.high[of_tables].tolist(), strict=True))
            for low, high in sorted(tables):
                elements = of_tables & (numbers.low == low) & (numbers.high == high)
                ids = self.rng.permutation(np.arange(low, high + 1))
                count = int(elements.sum())
                for start in range(0, len(ids), count):
                    inputs = self._drawn(ranges)
                    # The last ones are filled up with the first ones.
                    some = np.resize(ids[start : start + count], count)
                    inputs[name][elements] = some.astype(inputs[name].dtype)
                    yield Case("each id", sizes, inputs, ids=True)
