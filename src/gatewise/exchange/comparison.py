"""The comparison of a network of another library with what gatewise read of it.

Both compute the outputs of the same inputs: random ones, all token ids, lengths up to `LONGEST` steps, large and small
numbers, batches of one sequence and more, and padded steps in every place. No input has missing values (NaN): a model
of an imported network refuses them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.errors import InputError, counted
from gatewise.kernels import get
from gatewise.model import SeriesPreprocessor
from gatewise.network import Architecture
from gatewise.network.forward import forward, in_batches
from gatewise.network.ops import Ops
from gatewise.network.value_matching import TOLERANCE, Act, Found, Source, applied, output_rows, read
from gatewise.types import Array, Lengths

SHORT = 64  # steps: each length up to it is compared, and each number of sequences
FEW_BATCHES = (1, 2, 3, 9, 33, 64)  # sequences of a network of one length
FULL_BATCHES = (100,) * 10
LONGEST = 2_000  # steps of a sequence, where the network takes any number
MAGNITUDES = (1e-3, 10.0, 1e3)  # by which the numbers of series are multiplied
BATCHES = (100, 128, 129, 257)  # beyond SHORT
_STEPS = 24  # of a sequence of random numbers
_STEPS_PER_RUN = 6_000  # of a batch with all ids
_ROUNDING = 10.0  # two float32 computations may differ by this many times what one differs from float64
_UNDECIDED = 1e-2  # of an output: with a larger allowance for rounding, nothing is compared


@dataclass(frozen=True)
class Inputs:
    """Inputs of a network. x: ids (B, T) or channels (B, T, C), padded. lengths (B,). inside (B, T): the steps that are
    not padded. name: for messages, such as "numbers times 10". layers: whether each layer is compared, not the outputs
    only.
    """

    name: str
    x: Array
    lengths: Lengths
    inside: Array
    layers: bool = False

    @property
    def shown(self) -> str:
        """For messages."""
        count, steps = self.x.shape[:2]
        return f"{self.name}, {counted(count, 'sequence')} of {counted(steps, 'step')},"


def random_inputs(
    source: Source, scaling: Any, rng: np.random.Generator, steps: int, count: int
) -> tuple[Array, Lengths]:
    """Random inputs (B, T) or (B, T, C) of at most `steps`, padded at the end, and their lengths (B,)."""
    lengths = np.full(count, steps, dtype=np.intp)
    if source.masked:
        lengths[1:] = -np.sort(-rng.integers(1, steps + 1, count - 1))  # in descending order, as packing wants them
    if source.tokens:
        x: Array = rng.integers(source.pad is not None, source.size, (count, steps))
    else:
        mean, std = np.array(scaling or ((0.0,) * source.size, (1.0,) * source.size))
        x = (mean + std * rng.standard_normal((count, steps, source.size))).astype(np.float32)
    x[np.arange(steps) >= lengths[:, None]] = source.pad or 0
    return x, lengths


def compare(source: Source, found: Found, arch: Architecture) -> None:
    """Compare the outputs of the network with those of gatewise, which computes `arch`. Raises InputError naming the
    first operation that differs, and the inputs for which it does.
    """
    comparison = _Comparison(source, found, arch)
    for inputs in comparison.cases():
        comparison.run(inputs)


class _Comparison:
    """front: gatewise pads in front to the `max_length` of the architecture, as its user says."""

    def __init__(self, source: Source, found: Found, arch: Architecture) -> None:
        self.source, self.found, self.arch = source, found, arch
        self.rng = np.random.default_rng(1)
        self.front = arch.padding == "pre"
        self.steps = source.steps or (arch.max_length if self.front else None)
        self.scaling = SeriesPreprocessor(*found.scaling) if not source.tokens else None

    def cases(self) -> Iterator[Inputs]:
        """All inputs that are compared."""
        if self.steps is None:
            for steps, count in enumerate(self.rng.permutation(SHORT) + 1, 1):
                yield self._random("random inputs", steps, self.source.batch or int(count), steps <= _STEPS)
        else:
            for count in (*FEW_BATCHES, *FULL_BATCHES):
                yield self._random("random inputs", self.steps, self.source.batch or count, True)
        if self.source.tokens:
            yield from self._every_id()
        else:
            yield from self._magnitudes()
        for count in () if self.source.batch else BATCHES:
            yield self._random("random inputs", self.steps or 6, count)
        if self.steps is None:
            yield from self._lengths()
        if self.source.pad is not None:
            yield from self._padded_anywhere()

    def run(self, inputs: Inputs) -> None:
        """Compare the outputs for these inputs."""
        if inputs.layers:
            operations = self.source.operations(inputs.x, inputs.lengths)
            wanted = read(operations, inputs.x, inputs.lengths).outputs
        else:
            wanted = self._outputs(inputs)
        outputs = self._computed(inputs, self.found.parameters, Ops())
        if outputs.shape != wanted.shape:
            self._refuse(inputs, np.inf)
        error = _largest(outputs - wanted)
        allowed = TOLERANCE * max(1.0, _largest(wanted))
        if error <= allowed:
            return
        # Float32 rounding grows with the numbers and the steps, in both computations.
        exact = self._computed(inputs, self.found.exact, Ops(get("reference")))
        rounding = _largest(outputs - exact)
        if rounding > _UNDECIDED / _ROUNDING:
            raise InputError(
                f"the outputs for {inputs.shown} cannot be compared: rounding to float32 changes them by {rounding:.2g}"
            )
        if error > allowed + _ROUNDING * rounding:
            self._refuse(inputs, error)

    def _outputs(self, inputs: Inputs) -> Array:
        """Of the network, in the order of the rows of gatewise."""
        x = self.source.operations(inputs.x, inputs.lengths)[-1].x
        assert x is not None
        steps = self.arch.pooling == "none"
        rows = inputs.inside.size if steps else len(inputs.inside)
        if x.size % rows:
            each = "step" if steps else "sequence"
            raise InputError(f"for {inputs.shown} the outputs have the shape {x.shape}, not a row for each {each}")
        return output_rows(x, inputs.inside, steps, self.found.time_first)

    def _computed(self, inputs: Inputs, parameters: Any, ops: Ops) -> Array:
        """Outputs of gatewise, from the sequences without padded steps."""
        sequences = [row[inside] for row, inside in zip(inputs.x, inputs.inside, strict=True)]
        if self.scaling is not None:
            sequences = [self.scaling.encoded(one).steps for one in sequences]
        logits = in_batches(forward, parameters, self.arch, sequences, ops).astype(np.float64)
        return applied(logits, Act(self.found.activation))

    def _refuse(self, inputs: Inputs, error: float) -> None:
        """Raise InputError naming the operation that differs, or the inputs."""
        where = f"for {inputs.shown} an output differs by {error:.2g}"
        if not self.source.masked or inputs.layers:
            try:
                read(self.source.operations(inputs.x, inputs.lengths), inputs.x, inputs.lengths)
            except InputError as reason:
                raise InputError(f"{where}: {reason}") from None
        raise InputError(
            f"{where}, and each layer is read: the network computes something else for such inputs; remove what "
            "depends on the size of the numbers, the length, the batch or the place of padded steps"
        )

    def _random(self, name: str, steps: int, count: int, layers: bool = False, scale: Any = 1.0) -> Inputs:
        """Random inputs. With pads in front, each sequence has a random number of them."""
        x, lengths = random_inputs(self.source, self.found.scaling, self.rng, steps, count)
        inside = np.arange(steps) < lengths[:, None]
        if not self.source.tokens:
            x = np.where(inside[..., None], x * scale, x).astype(np.float32)
        if self.front:
            inside = np.arange(steps) >= steps - self.rng.integers(1, steps + 1, (count, 1))
            x[~inside] = 0
        return Inputs(name, x, lengths, inside, layers)

    def _every_id(self) -> Iterator[Inputs]:
        """Each id of the vocabulary at least once, in random order."""
        first = int(self.source.pad is not None or self.front)
        ids = self.rng.permutation(np.arange(first, self.source.size))
        steps = self.steps or 2  # of many, the network may forget the first ones
        count = self.source.batch or max(1, min(_STEPS_PER_RUN, len(ids)) // steps)
        for start in range(0, len(ids), count * steps):
            some = np.resize(ids[start : start + count * steps], (count, steps))
            lengths = np.full(count, steps, dtype=np.intp)
            yield Inputs("each token id", some, lengths, np.ones(some.shape, dtype=bool), True)

    def _magnitudes(self) -> Iterator[Inputs]:
        steps, count = self.steps or _STEPS, self.source.batch or 20
        for factor in MAGNITUDES:
            yield self._random(f"numbers times {factor:g}", steps, count, scale=factor)
        mixed = 10 ** self.rng.uniform(-3, 3, (count, steps, self.source.size))
        yield self._random("numbers of all sizes", steps, count, scale=mixed)
        yield self._random("numbers of one sign", steps, count, scale=10 * self.rng.random((count, 1, 1)) ** 3)
        yield self._random("zeros", steps, count, scale=0.0)

    def _lengths(self) -> Iterator[Inputs]:
        """A length in each range up to twice as many steps, and the longest."""
        most = SHORT
        while most < LONGEST:
            steps = int(self.rng.integers(most, min(2 * most, LONGEST)))
            most *= 2
            yield self._random("random inputs", steps, self.source.batch or 1)
        yield self._random("random inputs", LONGEST, self.source.batch or 3)

    def _padded_anywhere(self) -> Iterator[Inputs]:
        """Padded steps in front, in the middle and, in random rows, everywhere but at one step."""
        steps, count = self.steps or _STEPS, self.source.batch or 20
        places: dict[str, Callable[[], Array]] = {
            "in front": lambda: np.arange(steps) >= self.rng.integers(0, steps, (count, 1)),
            "in the middle": lambda: self.rng.random((count, steps)) < 0.6,
            "in all steps but one": lambda: np.arange(steps) == self.rng.integers(0, steps, (count, 1)),
        }
        for place, draw in places.items():
            inside = draw()
            inside[np.flatnonzero(~inside.any(axis=1)), self.rng.integers(steps)] = True
            x, _ = random_inputs(self.source, self.found.scaling, self.rng, steps, count)
            other, _ = random_inputs(self.source, self.found.scaling, self.rng, steps, 1)
            x = np.where(x == self.source.pad, other[:, :1], x)
            x[~inside] = self.source.pad
            yield Inputs(f"padded steps {place}", x, np.full(count, steps, dtype=np.intp), inside)


def _largest(numbers: Array) -> float:
    """The largest absolute number; infinite where one is not a number."""
    largest = float(np.abs(numbers).max(initial=0))
    return largest if np.isfinite(largest) else np.inf
