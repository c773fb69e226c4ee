"""`Streams`: n texts or series that arrive step by step, with the predictions so far after each step.

They run as one batch. The logits after each step are those of `Model.logits` for the steps so far: of an `LSTM` with
the native kernel bit for bit, of a graph to rounding (`gatewise.members.running_network`). Those of a tagger are of the
last step; with a conditional random field their probabilities are those of its label given the steps so far
(`gatewise.members.running_crf`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, ModelFileError, counted, quote
from gatewise.members.ensemble import Ensemble
from gatewise.members.running_crf import RunningCRF
from gatewise.members.running_network import RunningNetwork
from gatewise.model.preprocessor import Preprocessor
from gatewise.model.step_rule import StepRule
from gatewise.model.stream_gaps import MOST_OPEN, Gap, StreamGaps, filled_rows
from gatewise.storage.tensors import metadata_of, tensors_from_bytes, tensors_to_bytes
from gatewise.target import Target
from gatewise.types import Array, Lengths

_MOST_STEPS = 2**53 - 1  # the largest count that JSON of any language and a float64 hold exactly
MOST_STREAMS = 2**31 - 1


class StreamPrediction(NamedTuple):
    """The prediction after `steps` tokens or time steps, from `logits` (outputs,) float64."""

    steps: int
    logits: Array
    target: Target

    @property
    def label(self) -> Any:
        """What `Model.predict` returns for one input. Raises InputError where a logit is not finite."""
        return self.target.labels(self.logits[None])[0]

    @property
    def probabilities(self) -> Array:
        """Probabilities (K,) float64. Raises InputError for regression, and as `label`."""
        return np.asarray(self.target.probabilities(self.logits[None])[0])


# Not frozen: a frozen dataclass takes longer to make, once per push.
@dataclass(eq=False)
class StreamPredictions:
    """The predictions of n streams after `steps` (n,) tokens or time steps each, from `logits` (n, outputs) float64."""

    steps: Lengths
    logits: Array
    target: Target

    def __len__(self) -> int:
        """n, the number of streams."""
        return len(self.logits)

    def __getitem__(self, number: int) -> StreamPrediction:
        """That of one stream."""
        return StreamPrediction(int(self.steps[number]), self.logits[number], self.target)

    @property
    def labels(self) -> Any:
        """What `Model.predict` returns for n inputs. Raises InputError where a logit is not finite."""
        return self.target.labels(self.logits)

    @property
    def probabilities(self) -> Array:
        """Probabilities (n, K) float64. Raises InputError for regression, and as `labels`."""
        return np.asarray(self.target.probabilities(self.logits))


class Streams:
    """Made by `Model.streams`. A step takes the same time and memory however many came before it.

    >>> import gatewise as gw
    >>> texts, labels = ["good", "bad", "a good one", "a bad one"] * 8, ["yes", "no"] * 16
    >>> model = gw.train(texts, labels, epochs=1, units=8, bidirectional=False, verbose=0)
    >>> streams = model.streams(2, network_only=True)
    >>> streams.push(["good", "a bad"]).steps.tolist()
    [1, 2]
    >>> streams.add()
    >>> streams.push(["good"], [2]).steps.tolist(), len(streams)
    ([1], 3)

    Raises InputError for a model that cannot be streamed, with the reason.
    """

    def __init__(self, preprocessor: Preprocessor, ensemble: Ensemble, count: int = 1) -> None:
        nouns = " and ".join(member.noun for member, weight in ensemble.others if weight)
        if nouns:
            raise InputError(
                f"{nouns} cannot be streamed: a new step changes what the steps before it add; network_only=True "
                "streams the LSTM alone"
            )
        if preprocessor.window > 1:
            raise InputError(
                f"a network that reads windows of {preprocessor.window} steps cannot be streamed: a new step changes "
                "the last windows; train with windows=0"
            )
        if not _is_count(count) or count > MOST_STREAMS:
            raise InputError(f"the number of streams must be from 0 to {MOST_STREAMS:,}, not {quote(count)}")
        self._preprocessor = preprocessor
        self._ensemble = ensemble
        self._weight = ensemble.lstm_weight
        self._shift = ensemble.shift
        self._most: int | None = None  # of the steps that the preprocessor leaves as they are
        pads = 0
        rule = getattr(preprocessor, "steps", None)
        if isinstance(rule, StepRule) and rule.length:
            if rule.masked:
                self._most = rule.length
            elif rule.side == "post":
                raise InputError(
                    f"a network whose sequences are padded at the end to {rule.length:,} steps cannot be streamed: the "
                    "pads come after the last step, which a stream does not know"
                )
            else:
                pads = rule.length
        self._start: RunningNetwork = ensemble.network.running(pads)
        if ensemble.transitions is not None:
            self._start = RunningCRF(self._start, self._weight, self._shift, ensemble.target)
            self._weight = 1.0
            self._shift = np.zeros(ensemble.target.outputs)
        self._running = self._start.take(np.zeros(count, np.intp))
        self._gaps = StreamGaps.none(count, preprocessor.channels)

    def __len__(self) -> int:
        """n, the number of streams."""
        return len(self._running.steps)

    @property
    def steps(self) -> Lengths:
        """How many steps each stream has read, (n,)."""
        return self._running.steps.copy()

    @property
    def kept_steps(self) -> int:
        """How many steps all streams keep since missing values. A push may read them again."""
        return sum(self.kept_steps_by_stream.values())

    @property
    def kept_steps_by_stream(self) -> dict[int, int]:
        """`kept_steps` of each stream that keeps some, by its number."""
        return {number: len(gap.rows) for number, gap in self._gaps.open.items()}

    # Reading

    def push(self, values: Any, streams: Sequence[int] | NDArray[Any] | None = None) -> StreamPredictions:
        """The predictions after the next steps of each stream.

        values: of series an array (n, C) of one step each, or (n, steps, C) of several, or a list of n such items; for
        one channel also (n,) and (n, steps). NaN is a missing value, as in a prediction. Of texts a list of n words or
        other parts of texts; of token ids also an array (n,) or (n, steps). A part of several tokens is several steps;
        what the model leaves out, such as a masked step, is none. streams: the numbers (n,) of the streams that read;
        None for all.

        Raises InputError, and reads nothing, for values that are not valid, more steps than the network reads, and for
        a stream that has no step at all yet.
        """
        running = self._running.copy()
        gaps = self._gaps
        numbers = None
        if streams is not None:
            numbers = self.numbers_of(streams)
            running = running.take(numbers)
            gaps = gaps.take(numbers)
        rows, lengths = self._preprocessor.encode_steps(values, running.steps)
        self._check_steps(running, lengths, values, numbers)
        if self._preprocessor.channels:
            gaps = gaps.read(running, rows, lengths, self._preprocessor.step_rows)  # type: ignore[union-attr]
        else:
            running.read(rows, lengths)
        logits = self._weight * running.logits() + self._shift
        if numbers is None:
            self._running = running
            self._gaps = gaps
        else:
            self._running.write(numbers, running)
            self._gaps.write(numbers, gaps)
        return StreamPredictions(running.steps.copy(), logits, self._ensemble.target)

    def numbers_of(self, streams: Sequence[int] | NDArray[Any]) -> NDArray[np.intp]:
        """The numbers (k,) of streams, as `push` takes them. Raises InputError for a number that no stream has, and for
        one that occurs twice.
        """
        return stream_numbers(streams, len(self))

    def _check_steps(
        self, running: RunningNetwork, lengths: Lengths, values: Any, numbers: NDArray[np.intp] | None
    ) -> None:
        """Raise InputError for more steps than the network reads, and for a stream without a step."""
        if not len(lengths):
            return
        steps = running.steps + lengths
        longest_number = int(steps.argmax())
        longest = int(steps[longest_number])
        message = ""
        if self._most is not None and longest > self._most:
            message = f"the network reads {self._most:,} steps: start another stream"
        elif running.most is not None and longest > running.most:
            message = f"the network reads {running.most:,} steps, {running.why_most}: start another stream"
        elif longest > _MOST_STEPS:
            message = f"a stream has at most {_MOST_STEPS:,} steps: start another one"
        if message:
            raise InputError(self._of_stream(longest_number, numbers) + message)
        if np.count_nonzero(steps) < len(steps):
            number = int(steps.argmin())
            item = quote(values[number], 40)
            raise InputError(
                f"{self._of_stream(number, numbers)}{item} has no step for the network, and none came before it"
            )

    def _of_stream(self, number: int, numbers: NDArray[np.intp] | None) -> str:
        """The beginning of a message about one of several streams, from its number among those that read."""
        if len(self) == 1:
            return ""
        if numbers is not None:
            number = int(numbers[number])
        return f"stream {number}: "

    # Joining and leaving

    def add(self, count: int = 1, state: bytes | None = None) -> None:
        """Add streams, whose numbers follow those of the others: `count` without a step, or those of a `state`. Raises
        InputError for what is no state of streams of this model.
        """
        others = self.take([])
        if state is not None:
            others.state = state
            count = len(others)
        elif not _is_count(count):
            raise InputError(f"the number of streams must be a whole number of at least 0, not {quote(count)}")
        if len(self) + count > MOST_STREAMS:
            raise InputError(f"there may be at most {MOST_STREAMS:,} streams")
        if state is None:
            others._running = self._start.take(np.zeros(count, np.intp))
            others._gaps = StreamGaps.none(count, self._preprocessor.channels)
        self._running = self._running.joined(others._running)
        self._gaps = self._gaps.joined(others._gaps)

    def remove(self, streams: Sequence[int] | NDArray[Any]) -> None:
        """Remove the streams of these numbers. Those after them take their places, in the same order."""
        stays = np.ones(len(self), np.bool_)
        stays[self.numbers_of(streams)] = False
        kept = self.take(np.flatnonzero(stays))
        self._running = kept._running
        self._gaps = kept._gaps

    def take(self, streams: Sequence[int] | NDArray[Any]) -> Self:
        """The streams of these numbers, in this order. They continue by themselves and share the weights."""
        numbers = self.numbers_of(streams)
        other = object.__new__(type(self))  # copy.copy takes as long as a step
        other.__dict__.update(self.__dict__)
        other._running = self._running.take(numbers)
        other._gaps = self._gaps.take(numbers)
        return other

    def put(self, streams: Sequence[int] | NDArray[Any], others: Streams) -> None:
        """Continue the streams of these numbers from the states of others, in this order: what `take` returned, after
        it has read on, or as many other streams of the model.
        """
        numbers = self.numbers_of(streams)
        if len(numbers) != len(others):
            raise InputError(f"{counted(len(numbers), 'stream')} cannot continue from {len(others):,}")
        self._running.write(numbers, others._running)
        self._gaps.write(numbers, others._gaps)

    def copy(self) -> Self:
        """The same streams, which continue by themselves. They share the weights."""
        other = self.take(np.arange(len(self)))
        # Computed once for all copies, such as those of a server for each request: it reads all weights.
        other._fingerprint = self._fingerprint
        return other

    # Saving

    @cached_property
    def _fingerprint(self) -> str:
        return self._ensemble.fingerprint()

    @property
    def state(self) -> bytes:
        """The states of all streams as safetensors: some KB of numbers for each, its steps, and the model's fingerprint
        in the metadata. Set it to continue from there, also in another process and with another number of streams.
        Setting raises InputError for the state of another model, and for anything else.
        """
        tensors = {name: _stored(array) for name, array in self._running.arrays.items()}
        tensors["steps"] = self._running.steps.astype(np.int64)
        gaps = self._gaps
        numbers = sorted(gaps.open)
        rows = [gaps.open[number].rows for number in numbers]
        if self._preprocessor.channels:
            lengths = np.zeros(len(self), np.int64)
            lengths[numbers] = [len(of_gap) for of_gap in rows]
            all_rows = np.concatenate([*rows, gaps.values[:0]])
            tensors |= {_GAPS["lengths"]: lengths, _GAPS["ago"]: gaps.ago}
            for name, array in (("values", gaps.values), ("rows", all_rows)):
                # A file of tensors has no NaN.
                tensors[_GAPS[name]] = np.nan_to_num(array, nan=0.0)
                tensors[_GAPS[f"{name}_known"]] = _stored(~np.isnan(array))
            no_sequence = self._start.take(np.zeros(0, np.intp))
            before = no_sequence.joined(*(gaps.open[number].state for number in numbers))
            tensors |= {f"{_BEFORE}{name}": _stored(array) for name, array in before.arrays.items()}
            tensors[f"{_BEFORE}steps"] = before.steps.astype(np.int64)
        counts = {"streams": len(self), "gaps": len(numbers), "gap_steps": sum(map(len, rows))}
        return tensors_to_bytes(tensors, {"model": self._fingerprint} | {key: str(n) for key, n in counts.items()})

    @state.setter
    def state(self, state: bytes) -> None:
        if not isinstance(state, bytes | bytearray | memoryview):
            raise InputError(
                f"state: expected the bytes of a stream's state, not a value of type {type(state).__name__}"
            )
        state = bytes(state)
        try:
            count, gap_count, gap_steps = self._counts_of(metadata_of(state, "state"), len(state))
            tensors = tensors_from_bytes(state, self._forms(count, gap_count, gap_steps), "state")
        except ModelFileError as error:
            raise InputError(str(error)) from None
        running = self._running_of(tensors, "", count)
        gaps = StreamGaps.none(count, self._preprocessor.channels)
        if self._preprocessor.channels:
            before = self._running_of(tensors, _BEFORE, gap_count)
            gaps = self._gaps_of(tensors, running.steps, before)
        self._running = running
        self._gaps = gaps

    def _counts_of(self, metadata: dict[str, str], size: int) -> tuple[int, int, int]:
        """How many streams, gaps, and steps of gaps a state has, in `size` bytes."""
        if metadata.get("model") != self._fingerprint or set(metadata) != {"model", "streams", "gaps", "gap_steps"}:
            raise InputError("state: it is that of another model")
        counts = []
        for name in ("streams", "gaps", "gap_steps"):
            text = metadata[name]
            # Each stream and each step has some bytes, so a larger number is not that of this state.
            if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= size):
                raise InputError(f"state: the number of {name} {quote(text, 20)} does not fit its {size:,} bytes")
            counts.append(int(text))
        count, gap_count, gap_steps = counts
        return count, gap_count, gap_steps

    def _forms(self, count: int, gap_count: int, gap_steps: int) -> dict[str, tuple[tuple[int, ...], Any]]:
        """Shape and dtype of each tensor of a state."""
        forms: dict[str, tuple[tuple[int, ...], Any]] = {"steps": ((count,), np.int64)}
        arrays = self._start.arrays
        forms |= {name: ((count, *array.shape[1:]), _stored(array).dtype.type) for name, array in arrays.items()}
        channels = self._preprocessor.channels
        if not channels:
            return forms
        forms |= {
            _GAPS["lengths"]: ((count,), np.int64),
            _GAPS["ago"]: ((count, channels), np.int64),
            _GAPS["values"]: ((count, channels), np.float32),
            _GAPS["values_known"]: ((count, channels), np.uint8),
            _GAPS["rows"]: ((gap_steps, channels), np.float32),
            _GAPS["rows_known"]: ((gap_steps, channels), np.uint8),
            f"{_BEFORE}steps": ((gap_count,), np.int64),
        }
        for name, array in arrays.items():
            forms[f"{_BEFORE}{name}"] = ((gap_count, *array.shape[1:]), _stored(array).dtype.type)
        return forms

    def _running_of(self, tensors: dict[str, Array], prefix: str, count: int) -> RunningNetwork:
        """The network in the states of the tensors whose names have this prefix."""
        steps = tensors[f"{prefix}steps"]
        outside = steps[(steps < 0) | (steps > _MOST_STEPS)]
        if len(outside):
            raise InputError(f"state: steps must be from 0 to {_MOST_STEPS:,}, not {outside[0]:,}")
        running = self._start.take(np.zeros(count, np.intp))
        running.steps = steps.astype(np.intp)
        running.arrays = {
            name: tensors[f"{prefix}{name}"].astype(array.dtype) for name, array in self._start.arrays.items()
        }
        return running

    def _gaps_of(self, tensors: dict[str, Array], steps: Lengths, before: RunningNetwork) -> StreamGaps:
        """The gaps of a state. steps (n,): of the streams. before: the network before each gap."""
        values = tensors[_GAPS["values"]]
        values[tensors[_GAPS["values_known"]] == 0] = np.nan
        rows = tensors[_GAPS["rows"]]
        rows[tensors[_GAPS["rows_known"]] == 0] = np.nan
        ago = tensors[_GAPS["ago"]]
        lengths = tensors[_GAPS["lengths"]]
        numbers = np.flatnonzero(lengths)
        fits = (
            len(numbers) == len(before.steps)
            and bool(np.all((lengths >= 0) & (lengths <= MOST_OPEN)))
            and int(lengths.sum()) == len(rows)
            and bool(np.all((ago >= 1) & (ago <= _MOST_STEPS)))
            and np.array_equal(before.steps + lengths[numbers], steps[numbers])
        )
        if not fits:
            raise InputError("state: its gaps do not fit its steps")
        gaps = {}
        end = 0
        for place, number in enumerate(numbers.tolist()):
            of_gap = rows[end : end + int(lengths[number])]
            end += len(of_gap)
            filled = filled_rows(of_gap, values[number], ago[number])
            gaps[number] = Gap(of_gap, filled, before.take(np.array([place])))
        return StreamGaps(values, ago, gaps)


_BEFORE = "before_gap."  # begins the names of the states before gaps
_GAPS = {name: f"gaps.{name}" for name in ("lengths", "ago", "values", "values_known", "rows", "rows_known")}


def stream_numbers(streams: Sequence[int] | NDArray[Any], count: int) -> NDArray[np.intp]:
    """The numbers (k,) of some of `count` streams. Errors as `Streams.numbers_of`."""
    numbers = np.asarray(streams)
    if numbers.dtype.kind not in "iu" and numbers.size:
        raise InputError(f"streams must be whole numbers from 0 to {count - 1:,}")
    numbers = numbers.astype(np.intp)
    if numbers.ndim != 1:
        raise InputError(f"streams must be a list of numbers, not an array {numbers.shape}")
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < count:
        outside = numbers[(numbers < 0) | (numbers >= count)][0]
        raise InputError(f"there is no stream {outside:,}: there are {counted(count, 'stream')}, from 0")
    if len(set(numbers.tolist())) < len(numbers):
        raise InputError("streams must not hold a number twice")
    return numbers


def _is_count(count: Any) -> bool:
    return isinstance(count, int | np.integer) and not isinstance(count, bool) and bool(count >= 0)


def _stored(array: Array) -> Array:
    """An array as it is in a file, which has no bool."""
    if array.dtype == np.bool_:
        return array.astype(np.uint8)
    return np.ascontiguousarray(array)
