"""The linear model on convolution features, a member of series models. NumPy and the kernel only.

    logit = Σ_f weight_f (PPV_f - mean_f)        PPV_f = the share of steps at which convolution f is above a threshold

The features are those of MiniRocket (Dempster, Schmidt & Webb 2021): 84 fixed kernels of nine taps, dilated; thresholds
and means are fitted by `gatewise.training.members.convolutions`. `gatewise.kernels.convolution` defines them exactly.
The channels are those of the series followed by their first differences x(t) - x(t - 1), 0 at the first step.

A PPV is a mean over steps, so the part of the logit of each step is exact: the indicator belongs to the step at the
centre of the nine taps. A feature that counts only the steps whose taps all lie within the series gives the other steps
no part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, ModelFileError, counted
from gatewise.kernels import read_only
from gatewise.kernels.convolution import CENTRE, KERNELS, Banks, convolve, count_above, padded
from gatewise.members.encoded_batch import Encoded, ragged_series
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.member import Inputs, Member, PaddedSequences, Rule, check_entry
from gatewise.network.architecture import MAX_LENGTH
from gatewise.network.batch import ragged_chunks
from gatewise.ragged import Ragged, starts_of
from gatewise.storage.tensors import tensors_from_bytes, tensors_to_bytes
from gatewise.types import Array

MAX_FEATURES = 50_000
MAX_BANKS = 10_000  # in a file
STEPS_PER_CHUNK = 1 << 20  # bounds the memory of the series that are transformed together
ROWS_PER_CHUNK = 512  # and that of their features


@dataclass(frozen=True, eq=False)
class Convolutions(Member):
    """banks: dilations, thresholds and channel masks (D, 84, 2C) of F features. mean (F,) float32. weight (F, outputs)
    float32. window: W, steps of the series at each step of a sequence, see `series_steps`.

    Raises InputError for values out of range.
    """

    banks: Banks
    mean: NDArray[np.float32]
    weight: NDArray[np.float32]
    window: int = 1
    kind: ClassVar[str] = "convolutions"
    noun: ClassVar[str] = "convolutions"

    def __post_init__(self) -> None:
        banks = self.banks
        if not 1 <= banks.dilations.min() <= banks.dilations.max() <= MAX_LENGTH:
            raise InputError(f"convolutions: dilations must be from 1 to {MAX_LENGTH:,}")
        if banks.counts.min() < 1 or len(KERNELS) * int(banks.counts.sum(dtype=np.int64)) != len(self):
            raise InputError(f"convolutions: counts must be at least 1, and those of {len(self):,} features in all")
        if banks.channels.max(initial=0) > 1:
            raise InputError("convolutions: channels must be 0 or 1")
        for name, array in (("threshold", banks.thresholds), ("mean", self.mean), ("weight", self.weight)):
            if not np.isfinite(array).all():
                raise InputError(f"convolutions: a {name} is NaN or infinite")

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def channels(self) -> int:
        """C, of the series."""
        return int(self.banks.channels.shape[2]) // 2

    @property
    def outputs(self) -> int:
        return int(self.weight.shape[1])

    def check(self, inputs: Inputs) -> None:
        inputs.require("channels", "convolutions need series; the model reads tokens")
        if (self.window, self.channels) != inputs.series:
            own = _described(self.window, self.channels)
            raise InputError(f"convolutions of {own}; the model reads {_described(*inputs.series)}")

    def part_of(self, sequence: EncodedSequence) -> Array:
        """The steps of the series (T, W, C)."""
        if sequence.series is None:
            raise InputError("convolutions need series, and the sequence is a text")
        return sequence.series

    def summary(self) -> list[tuple[str, str, int]]:
        return [(f"Convolutions ({len(self):,} features)", f"({self.outputs},)", self.weight.size)]

    def parts_of(self, rows: Encoded) -> Ragged:
        return ragged_series(rows)

    def logits(self, sequences: Ragged | Iterable[Array]) -> Array:
        """Logits (n, outputs) float64 of n series (T, W, C), before truncation. An empty series has logit 0. An
        iterator is read in chunks.
        """
        weight = self.weight.astype(np.float64)
        logits = [np.zeros((0, self.outputs))]
        for some in ragged_chunks(sequences, STEPS_PER_CHUNK):
            for chunk in _chunks(ragged_series_steps(some, self.channels, self.window)):
                centred = features_of(self.banks, chunk).astype(np.float64) - self.mean
                centred[chunk.lengths == 0] = 0
                logits.append(centred @ weight)
        return np.concatenate(logits)

    def attribution(self, sequence: Array) -> Array:
        """As `Member`. A step has the share of the features that are above their threshold when centred there, minus
        the mean's share; a row of several steps has their sum.
        """
        rows = len(sequence)
        series = self._steps(sequence)
        length = len(series)
        out = np.zeros((length, self.outputs))
        if not length:
            return out
        for bank in self._banks_on(series):
            valid = bank.valid(length)
            is_padded = bank.is_padded(length)
            conv = convolve(bank.x, bank.dilation, bank.channels)
            out += bank.above(conv, is_padded) / length - bank.offset(is_padded) / length
            if not is_padded.all():
                inside = bank.above(conv[:, valid], ~is_padded) - bank.offset(~is_padded)
                out[valid] += inside / (valid.stop - valid.start)
        if self.window == 1:
            return out
        return np.asarray(np.add.reduceat(out, np.arange(rows) * self.window, axis=0))

    def prefix_logits(self, sequence: Array) -> Array:
        """As `Member`. The last steps of a prefix, 4 dilations, have up to four taps after its end, which read zeros.
        So five convolutions per bank and running sums give all prefixes, in linear time.
        """
        series = self._steps(sequence)
        length = len(series)
        out = np.zeros((length, self.outputs))
        prefixes = np.arange(1, length + 1)
        for bank in self._banks_on(series):
            margin = CENTRE * bank.dilation
            # The convolutions whose last CENTRE - m taps read zeros, for m = 0 to CENTRE.
            convs = [convolve(bank.x, bank.dilation, bank.channels, last=CENTRE + 1 + m) for m in range(CENTRE + 1)]
            is_even = (bank.number + np.arange(len(KERNELS))) % 2 == 0
            for kernels, counts_inner_steps in ((is_even, False), (~is_even, True)):
                running = [_running(bank.above(conv, kernels)) for conv in convs]
                means = _prefix_sums(running, prefixes, bank.dilation) / prefixes[:, None]
                if counts_inner_steps and length > 2 * margin:
                    # Only the inner steps of a prefix count, where it is longer than the nine taps.
                    is_long = prefixes > 2 * margin
                    ends = prefixes[is_long] - margin
                    inner = running[CENTRE][ends] - running[CENTRE][margin]
                    means[is_long] = inner / (ends - margin)[:, None]
                out += means - bank.offset(kernels)
        ends = np.minimum(np.arange(0, length + self.window, self.window), length)
        return np.concatenate([np.zeros((1, self.outputs)), out])[ends]

    def note(self, rule: Rule) -> str:
        return {
            "prefix": "The convolutions are added as the change of their logits when the step is read.",
            "shared": "The convolutions are added in equal parts to the steps at which they are above their threshold.",
            "left-out": "The convolutions of the edited series are computed again.",
        }[rule]

    def entry(self) -> dict[str, Any]:
        entry = {"dilations": len(self.banks.dilations), "features": len(self)}
        if self.window > 1:
            entry["window"] = self.window
        return entry

    def arrays(self) -> dict[str, Array]:
        return {
            "dilations": self.banks.dilations,
            "counts": self.banks.counts,
            "channels": self.banks.channels,
            "thresholds": self.banks.thresholds,
            "mean": self.mean,
            "weight": self.weight,
        }

    @classmethod
    def from_file(cls, entry: dict[str, Any], raw: bytes, inputs: Inputs, outputs: int, file: str) -> Self:
        check_entry(entry, ["dilations", "features"], ["window"], cls.kind)
        count = entry["dilations"]
        features = entry["features"]
        window = entry.get("window", 1)
        if not type(count) is type(features) is type(window) is int:
            raise InputError("member 'convolutions': dilations, features and window must be whole numbers")
        steps, channels = inputs.series
        if window != steps:
            raise InputError(f"member 'convolutions': a window of {window} steps; the model reads windows of {steps}")
        if not 1 <= count <= MAX_BANKS or not len(KERNELS) <= features <= MAX_FEATURES:
            raise InputError(
                f"member 'convolutions': there must be 1 to {MAX_BANKS:,} dilations and {len(KERNELS)} to "
                f"{MAX_FEATURES:,} features"
            )
        expected: dict[str, tuple[tuple[int, ...], str]] = {
            "dilations": ((count,), "int32"),
            "counts": ((count,), "int32"),
            "channels": ((count, len(KERNELS), 2 * channels), "uint8"),
            "thresholds": ((features,), "float32"),
            "mean": ((features,), "float32"),
            "weight": ((features, outputs), "float32"),
        }
        arrays = {name: read_only(array) for name, array in tensors_from_bytes(raw, expected, file).items()}
        banks = Banks(arrays["dilations"], arrays["counts"], arrays["channels"], arrays["thresholds"])
        try:
            return cls(banks, arrays["mean"], arrays["weight"], window)
        except InputError as error:
            raise ModelFileError(f"{file}: {error}") from error

    def to_onnx(self, graph: Any, padded: PaddedSequences) -> str:
        from gatewise.members.onnx.convolutions import convolution_logits

        return convolution_logits(graph, self.banks, self.mean, self.weight, padded.series, padded.series_lengths)

    @classmethod
    def file_of_onnx(cls, entry: dict[str, Any], constants: Mapping[str, Array]) -> tuple[dict[str, Any], bytes]:
        from gatewise.members.onnx.convolutions import arrays_of

        return entry, tensors_to_bytes(arrays_of(constants))

    def _steps(self, sequence: Array) -> Array:
        return series_steps(sequence, self.channels, self.window)

    def _banks_on(self, series: Array) -> Iterator[_BankOnSeries]:
        x = with_differences(Ragged.of([series])).values
        weights = self.weight.astype(np.float64)
        for number, dilation, channels, thresholds, features in self.banks:
            weight = weights[features].reshape(*thresholds.shape, -1)
            mean = self.mean[features].reshape(thresholds.shape)
            yield _BankOnSeries(number, dilation, channels, thresholds, weight, mean, x)


@dataclass(frozen=True, eq=False)
class _BankOnSeries:
    """One bank with its weights, and the series x (T, 2C) that it reads."""

    number: int
    dilation: int
    channels: NDArray[np.uint8]
    thresholds: NDArray[np.float32]  # (84, m)
    weight: Array  # (84, m, outputs)
    mean: NDArray[np.float32]  # (84, m)
    x: Array

    def is_padded(self, length: int) -> NDArray[np.bool_]:
        """Whether each kernel counts all steps (84,)."""
        return padded(self.number, self.dilation, length)

    def valid(self, length: int) -> slice:
        """The steps whose nine taps lie within the series."""
        return slice(CENTRE * self.dilation, length - CENTRE * self.dilation)

    def above(self, conv: Array, kernels: NDArray[np.bool_]) -> Array:
        """The sum of the weights of the features of `kernels` that are above their threshold, (T, outputs), from conv
        (84, T).
        """
        out = np.zeros((conv.shape[1], self.weight.shape[2]))
        for n in range(self.thresholds.shape[1]):
            above = conv[kernels] > self.thresholds[kernels, n, None]
            out += above.T.astype(np.float64) @ self.weight[kernels, n]
        return out

    def offset(self, kernels: NDArray[np.bool_]) -> Array:
        """The sum of weight times mean (outputs,) over the features of `kernels`."""
        return np.asarray(np.einsum("kmo,km->o", self.weight[kernels], self.mean[kernels].astype(np.float64)))


def _running(values: Array) -> Array:
    """Sums (T + 1, outputs) of the first 0, 1, ... T of the values (T, outputs)."""
    return np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])


def _prefix_sums(running: Sequence[Array], prefixes: NDArray[np.int64], dilation: int) -> Array:
    """Sums (T, outputs) over the steps of each prefix. running[m]: the running sums for steps with m taps after them
    within the prefix.
    """
    out = np.zeros((len(prefixes), running[0].shape[1]))
    stop = prefixes
    for m in range(CENTRE + 1):
        # Step t has m taps after it within the prefix p where t + m d <= p - 1 < t + (m + 1) d.
        if m < CENTRE:
            start = np.maximum(prefixes - (m + 1) * dilation, 0)
        else:
            start = np.zeros_like(prefixes)
        out += running[m][stop] - running[m][start]
        stop = start
    return out


def series_steps(series: Array, channels: int, window: int) -> Array:
    """The steps (length, C) of a series (T, W, C), or with W = 1 (T, C), without the NaN after its end."""
    return ragged_series_steps(Ragged.of([np.asarray(series)]), channels, window).values


def ragged_series_steps(series: Ragged, channels: int, window: int) -> Ragged:
    """`series_steps` of each of n series."""
    steps = series.values.reshape(-1, channels)
    if window == 1:
        return Ragged(steps, series.lengths)
    return Ragged(steps, series.lengths * window).where(~np.isnan(steps[:, 0]))


def _described(window: int, channels: int) -> str:
    """The series that is read, in words: "2 channels in windows of 8 steps"."""
    words = counted(channels, "channel")
    if window > 1:
        words += f" in windows of {window} steps"
    return words


def with_differences(sequences: Ragged) -> Ragged:
    """Series (length, 2C) float32: the channels, and their first differences, 0 at the first step."""
    x = sequences.values.astype(np.float32, copy=False)
    channels = x.shape[1]
    both = np.zeros((len(x), 2 * channels), dtype=np.float32)
    both[:, :channels] = x
    np.subtract(x[1:], x[:-1], out=both[1:, channels:])
    both[starts_of(sequences.lengths)[sequences.lengths > 0], channels:] = 0
    return sequences.with_values(both)


def features_of(banks: Banks, sequences: Ragged) -> NDArray[np.float32]:
    """PPV (n, F) float32 of n series (length, C), from 0 to 1; 0 for an empty series."""
    out = np.zeros((len(sequences), len(banks.thresholds)), dtype=np.float32)
    first = 0
    for chunk in _chunks(sequences):
        rows = slice(first, first + len(chunk))
        counts = count_above(with_differences(chunk), banks)
        steps = steps_counted(banks, chunk.lengths)
        np.divide(counts, steps, out=out[rows], casting="same_kind")
        first += len(chunk)
    return out


def _chunks(series: Ragged) -> Iterator[Ragged]:
    """n series in chunks that bound the memory of their steps and of their features."""
    for chunk in series.chunks(STEPS_PER_CHUNK):
        for first in range(0, len(chunk), ROWS_PER_CHUNK):
            yield chunk[first : first + ROWS_PER_CHUNK]


def steps_counted(banks: Banks, lengths: NDArray[np.int64]) -> NDArray[np.float32]:
    """The number of steps over which each feature is counted, for series of these lengths (n,): (n, F), at least 1."""
    out = np.empty((len(lengths), len(banks.thresholds)), dtype=np.float32)
    distinct, row_of = np.unique(lengths, return_inverse=True)
    table = np.empty((len(distinct), out.shape[1]), dtype=np.float32)
    for row, length in zip(table, distinct.tolist(), strict=True):
        for number, dilation, _, thresholds, features in banks:
            steps = np.where(padded(number, dilation, length), length, length - 2 * CENTRE * dilation)
            row[features] = np.repeat(np.maximum(steps, 1), thresholds.shape[1])
    np.take(table, row_of, axis=0, out=out)
    return out
