"""`SeriesPreprocessor`: from series in their own unit to the arrays of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from gatewise.data.inputs import one_series, ragged_series, refuse_file
from gatewise.data.row_columns import split_rows
from gatewise.data.schema import NO_ROW_COLUMNS, RowSchema, schema_from
from gatewise.errors import InputError, ModelFileError, counted
from gatewise.members.encoded_batch import EncodedBatch
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.member import Inputs
from gatewise.model.encoded_item import EncodedItem
from gatewise.model.input_format import InputFormat, SeriesFormat
from gatewise.network.series import TIMES, amplitudes_of_batch, time_channels
from gatewise.ragged import Ragged, joined, starts_of, step_numbers
from gatewise.storage.fields import fields_from
from gatewise.types import Array, Lengths

# A limit, so that a configuration from an untrusted source cannot demand unbounded memory.
MAX_WINDOW = 131_072  # values of a window of a series


@dataclass(frozen=True)
class SeriesPreprocessor:
    """Series (length, C), with each channel standardised by the mean and deviation of the training data.

    mean, std: one number per channel; std is 1 for a constant channel. A missing value (NaN) is interpolated linearly
    between its neighbours in the channel; before the first value and after the last it takes the nearest one, and a
    channel without any value takes the training mean. missing: "refuse" raises InputError instead, for an imported
    network, which has no such rule. mask: append a channel with the share of the C channels that are
    missing at the step. `fit` sets it where training data have missing values. steps: of the shortest and the longest
    training series, 0 if not recorded. mask_value: a step where all channels have it is left out, as in Keras. columns:
    as of `TextPreprocessor`.

    window: 0, or the steps of the series from which one step of the sequence is made, which then has ceil(length /
    window) steps. The LSTM reads of a window of one step its channels, of a longer one for each channel its mean and
    the amplitudes of its oscillations by octave (`gatewise.network.series`), standardised by level and spread; then the
    time since the start in TIMES + 1 channels. Raises InputError for a window of more than MAX_WINDOW values.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    mask: bool = False
    steps: tuple[int, int] = (0, 0)
    mask_value: float | None = None
    window: int = 0
    level: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()
    columns: RowSchema = NO_ROW_COLUMNS
    missing: Literal["interpolate", "refuse"] = "interpolate"
    unknown: ClassVar[None] = None

    def __post_init__(self) -> None:
        if (values := self.window * (len(self.mean) + self.mask)) > MAX_WINDOW:
            raise InputError(f"series: a window may have at most {MAX_WINDOW:,} values, not {values:,}")

    @classmethod
    def fit(cls, inputs: Sequence[Any], rows: int = 0) -> SeriesPreprocessor:
        """Fit on arrays (length, channels), all steps with equal weight. Raises InputError if there is no step.

        Missing values (NaN) do not count; a channel without any value has mean 0 and std 1. rows: of the longest
        series, at most, from which the window follows; 0 for none.
        """
        arrays = [np.asarray(series, dtype=np.float64) for series in inputs if len(series)]
        if not arrays or any(a.ndim != 2 or a.shape[1] != arrays[0].shape[1] for a in arrays):
            raise InputError("inputs must be arrays (length, channels), at least one of them with a step")
        mean, std, steps = [], [], np.concatenate(arrays)  # (N, channels)
        for column in steps.T:
            known = column[~np.isnan(column)]
            # The deviation of equal numbers can be above 0 by rounding.
            constant = not len(known) or known.min() == known.max()
            mean.append(float(known.mean()) if len(known) else 0.0)
            std.append(1.0 if constant else float(known.std()))
        lengths = [len(series) for series in inputs]
        found = cls(tuple(mean), tuple(std), bool(np.isnan(steps).any()), (min(lengths), max(lengths)))
        if not rows:
            return found
        found = replace(found, window=-(-max(lengths) // rows))
        if found.window == 1:
            return found
        features = amplitudes_of_batch(found._filled(Ragged.of(arrays)), found.window)
        spread = np.maximum(features.std(axis=0), 1e-6)
        return replace(found, level=tuple(features.mean(axis=0).tolist()), spread=tuple(spread.tolist()))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> SeriesPreprocessor:
        """The preprocessor that `to_files` described. Raises ModelFileError."""
        schema = schema_from(config.get("columns", {}), "series: columns")
        plain = {name: value for name, value in config.items() if name != "columns"}
        found = replace(fields_from(cls, plain, "series"), columns=schema)
        if len(found.mean) != len(found.std) or not found.mean or min(found.std) <= 0:
            raise ModelFileError("series: 'std' must have one number above 0 for each of 'mean'")
        if not np.isfinite([*found.mean, *found.std]).all():
            raise ModelFileError("series: mean and std must be finite numbers")
        features = (found.channels + found.mask) * max(found.window, 1).bit_length() if found.window > 1 else 0
        finite = np.isfinite([*found.level, *found.spread]).all()
        if found.window < 0 or len(found.level) != features or len(found.spread) != features or not finite:
            raise ModelFileError("series: 'window' must be at least 0, and fit the numbers of 'level' and 'spread'")
        if min(found.spread, default=1) <= 0:
            raise ModelFileError("series: 'spread' must be above 0")
        if not 0 <= found.steps[0] <= found.steps[1]:
            raise ModelFileError("series: 'steps' must be two ascending whole numbers")
        return found

    @property
    def channels(self) -> int:
        """C, of the series."""
        return len(self.mean)

    @property
    def inputs(self) -> Inputs:
        """What it makes: C channels, and the mask; with a window, what the LSTM reads of each."""
        size = self.channels + self.mask
        series = (max(1, self.window), size)
        read = (len(self.level) or size) + TIMES + 1 if self.window else size
        return Inputs("channels", read, series, self.columns)

    @cached_property
    def format(self) -> InputFormat:
        """How clients of a server write series."""
        return SeriesFormat(self.channels)

    def rows(
        self, inputs: Any, layout: str | None = None, columns: Sequence[str] = ()
    ) -> tuple[list[Any], list[dict[str, float | str]]]:
        """n series (length, C) in their own unit, from any form that `gatewise.data.inputs.series_of` takes, and the
        columns of each row by name; [] where the model reads none.
        """
        series, of_rows = self._ragged_rows(inputs, layout)
        return list(series), of_rows

    def _ragged_rows(self, inputs: Any, layout: str | None) -> tuple[Ragged, list[dict[str, float | str]]]:
        """As `rows`, the series as one array."""
        refuse_file(inputs, "read_series({!r}).inputs")
        values, of_rows = split_rows(inputs, self.columns)
        return self._unmasked(ragged_series(values, layout, self.channels), "row {}"), of_rows

    def _unmasked(self, series: Ragged, name: str) -> Ragged:
        """The steps that are not masked. name: of a series by its number, for messages. Raises InputError where all
        steps are masked: Keras then gives NaN, a mean of nothing, or the state before the first step.
        """
        if self.mask_value is None:
            return series
        unmasked = series.where(self._is_unmasked(series.values))
        is_empty = (unmasked.lengths == 0) & (series.lengths > 0)
        if is_empty.any():
            raise InputError(
                f"{name.format(int(np.flatnonzero(is_empty)[0]))}: it has the mask value {self.mask_value:g} at every "
                "step, which the network leaves out"
            )
        return unmasked

    def _is_unmasked(self, steps: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each step (N, C) has another value than the mask value in a channel (N,)."""
        assert self.mask_value is not None
        return np.asarray((np.asarray(steps, np.float32) != np.float32(self.mask_value)).any(axis=1))

    def encode_batch(self, inputs: Any, layout: str | None = None, columns: Sequence[str] = ()) -> EncodedBatch:
        """What the members read of each of `rows`."""
        series, of_rows = self._ragged_rows(inputs, layout)
        return self._encoded(series, of_rows)

    def encode(self, item: Any) -> EncodedItem:
        """One series (length, C), from any form that `gatewise.data.inputs.one_series` takes, with display names of its
        steps.
        """
        [values], of_rows = split_rows([item], self.columns)
        series = self._unmasked(Ragged.of([one_series(values, self.channels)]), "the series")
        [sequence] = self._encoded(series, of_rows)
        return EncodedItem(series.values, sequence, self.token_names(series.values), [])

    def encode_steps(self, items: Any, steps: Lengths) -> tuple[Array, Lengths]:
        """The next steps of n streams, standardised: (N, C) float32 of all streams, one after the other, with NaN for a
        missing value, and how many each has (n,).

        items: an array (n, C) of one step each, or (n, steps, C); where C is 1 also (n,) and (n, steps); or a list of n
        such items. steps (n,): how many came before. Raises InputError for other shapes and values, and for a missing
        value of an imported network.
        """
        if len(items) != len(steps):
            raise InputError(f"expected the steps of {counted(len(steps), 'stream')}, not of {len(items):,}")
        # One context for all of it: entering one takes as long as the arithmetic of a step.
        with np.errstate(over="ignore"):
            values = self._array_of_steps(items)
            if values is None:
                arrays = [self._steps_of(item, number, len(steps)) for number, item in enumerate(items)]
                rows, lengths = joined(arrays, np.float32)
                rows = rows.reshape(-1, self.channels)
            else:
                count, steps_each, channels = values.shape
                rows = values.reshape(count * steps_each, channels)
                lengths = np.empty(count, np.intp)
                lengths.fill(steps_each)
            if self.mask_value is not None:
                unmasked = Ragged(rows, lengths).where(self._is_unmasked(rows))
                rows = unmasked.values
                lengths = unmasked.lengths
            scaled = self._standardised(rows)
        if np.count_nonzero(np.isinf(scaled)):
            # The values of an array are not checked before: that takes as long as this, which finds theirs too.
            for number, item in enumerate(items):
                self._steps_of(item, number, len(steps))
            row = int(np.isinf(scaled).any(axis=1).argmax())
            stream, step = Ragged(rows, lengths).place(row)
            raise InputError(f"step {int(steps[stream]) + step + 1} is too large, relative to the training data")
        if self.missing == "refuse" and np.isnan(scaled).any():
            row = int(np.isnan(scaled).any(axis=1).argmax())
            stream, step = Ragged(rows, lengths).place(row)
            raise InputError(
                f"step {int(steps[stream]) + step + 1}: a value is missing, for which the imported network has no "
                "rule; give a number in its place"
            )
        return scaled, lengths

    def _array_of_steps(self, items: Any) -> Array | None:
        """An array of numbers as (n, steps, C) float32, which are not checked. None for what needs the checks of other
        forms, which take longer than a step of the network.
        """
        if type(items) is not np.ndarray or items.dtype.kind not in "fiu":
            return None
        channels = self.channels
        if items.shape[1:] == (channels,):
            values = items[:, None]
        elif channels == 1 and items.ndim in (1, 2):
            values = items.reshape(len(items), -1, 1)
        elif items.ndim == 3 and items.shape[2] == channels:
            values = items
        else:
            return None
        if not values.size:
            return None
        # The caller's array is not kept: where nothing is scaled, the values are those that a stream keeps.
        return values.astype(np.float32, copy=self._scaling is None)

    def _steps_of(self, item: Any, number: int, count: int) -> Array:
        """The steps (steps, C) float32 of one of `count` streams."""
        try:
            axes = np.ndim(item)
        except ValueError:  # lists of different lengths, which are refused below
            axes = 2
        one_step = 1
        if self.channels == 1:
            one_step = 0
        try:
            return one_series([item] if axes <= one_step else item, self.channels)
        except InputError as error:
            if count == 1:
                raise
            raise InputError(f"stream {number}: {error}") from None

    def step_rows(self, rows: Array, missing: NDArray[np.bool_], steps: Lengths, lengths: Lengths) -> Array:
        """What the network reads of the next `lengths` (n,) steps of streams that have read `steps` (n,).

        rows (N, C): without missing values. missing (N, C): where there was one.
        """
        parts = [rows]
        if self.mask:
            parts.append(missing.mean(axis=1, keepdims=True, dtype=np.float32))
        if self.window:
            times = np.repeat(steps, lengths) + step_numbers(lengths) + 1
            parts.append(time_channels(times, self.steps[1]).astype(np.float32))
        if len(parts) == 1:
            return rows
        return np.concatenate(parts, axis=1)

    def token_names(self, item: Any) -> list[str]:
        """A display name for each row: the number of its step, or of its first and last one."""
        if self.window < 2:
            return [str(t + 1) for t in range(len(item))]
        ends = [min(t + self.window, len(item)) for t in range(0, len(item), self.window)]
        return [f"{t * self.window + 1}–{end}" for t, end in enumerate(ends)]

    def scaled(self, series: NDArray[Any]) -> Array:
        """One series (length, C), standardised: float32. A missing value stays one."""
        if series.ndim != 2 or series.shape[1] != self.channels:
            raise InputError(f"a series must be (length, {self.channels}), got {series.shape}")
        with np.errstate(over="ignore"):  # the network refuses infinite values
            return self._standardised(series)

    def _standardised(self, series: NDArray[Any]) -> Array:
        """As `scaled`, of a series (length, C), with NumPy's warnings of overflows."""
        if self._scaling is None:
            return series.astype(np.float32, copy=False)
        mean, std = self._scaling
        standardised: Array = ((series - mean) / std).astype(np.float32)
        return standardised

    @cached_property
    def _scaling(self) -> tuple[Array, Array] | None:
        """Mean and deviation (C,); None where they change nothing, as those of an imported network."""
        mean = np.array(self.mean)
        std = np.array(self.std)
        if not mean.any() and (std == 1).all():
            return None
        return mean, std

    def encoded(self, series: NDArray[Any]) -> EncodedSequence:
        """What the members read of one series (length, C) in its own unit, without columns."""
        return self._encoded(Ragged.of([series]), [])[0]  # type: ignore[no-any-return]

    def _encoded(self, series: Ragged, columns: Sequence[Mapping[str, float | str]]) -> EncodedBatch:
        """What the members read of n series (N, C) in their own unit, and of the columns of each."""
        filled = self._filled(series)
        of_rows = self.columns.values_of(columns)
        if not self.window:
            return EncodedBatch(filled, filled.with_values(filled.values[:, None]), of_rows)
        size = filled.values.shape[1]
        lengths = filled.lengths
        rows = -(-lengths // self.window)
        values = np.full((int(rows.sum()) * self.window, size), np.nan, dtype=np.float32)
        values[np.repeat(starts_of(rows) * self.window, lengths) + step_numbers(lengths)] = filled.values
        read = filled.values
        if self.window > 1:
            read = (amplitudes_of_batch(filled, self.window) - self.level) / self.spread
        ends = np.minimum((step_numbers(rows) + 1) * self.window, np.repeat(lengths, rows))
        steps = np.concatenate([read, time_channels(ends, self.steps[1])], axis=1, dtype=np.float32)
        windows = values.reshape(-1, self.window, size)
        return EncodedBatch(Ragged(steps, rows), Ragged(windows, rows), of_rows)

    def _filled(self, series: Ragged) -> Ragged:
        """Series (N, C), standardised and interpolated, with the mask."""
        scaled = self.scaled(series.values)
        if scaled is not series.values:
            series = series.with_values(scaled)
        if series.is_finite and not self.mask:
            return series
        missing = np.isnan(scaled)
        has_missing = bool(missing.any())
        if self.missing == "refuse" and has_missing:
            place, channel = np.argwhere(missing)[0].tolist()
            row, step = series.place(place)
            where = f"row {row}, " if len(series) > 1 else ""
            raise InputError(
                f"{where}step {step + 1}, channel {channel + 1}: a value is missing, for which the imported network "
                "has no rule; give a number in its place"
            )
        if has_missing:
            scaled = scaled.copy()
            _interpolate(series.with_values(scaled), missing)
        if self.mask:
            share = missing.mean(axis=1, keepdims=True, dtype=np.float32)  # (N, 1)
            scaled = np.concatenate([scaled, share], axis=1)
        return series.with_values(scaled)

    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The entry for config.json, without defaults, and no file."""
        given = {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) != one.default}
        plain: dict[str, Any] = {name: list(value) for name, value in given.items() if isinstance(value, tuple)}
        plain |= {"columns": asdict(self.columns)} if self.columns else {}
        return {"kind": "series", **given, **plain}, {}


def _interpolate(series: Ragged, missing: NDArray[np.bool_]) -> None:
    """Fill the missing values (N, C) of standardised series, in place."""
    with_gaps = np.unique(np.repeat(np.arange(len(series)), series.lengths)[missing.any(axis=1)])
    for row in with_gaps.tolist():
        values = series[row]
        gaps = series.with_values(missing)[row]
        for channel in np.flatnonzero(gaps.any(axis=0)).tolist():
            column = values[:, channel]
            gap = gaps[:, channel]
            # The scaled training mean is 0.
            column[gap] = 0 if gap.all() else np.interp(np.flatnonzero(gap), np.flatnonzero(~gap), column[~gap])
