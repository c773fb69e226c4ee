"""Preprocessors: from the inputs of a user to the arrays of the network, with names for the steps.

A model has one: `TextPreprocessor` with an encoding of `gatewise.text`, or `SeriesPreprocessor`. They have the same
methods.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, ModelFileError, quote
from gatewise.members.member import Inputs
from gatewise.network.series import TIMES, amplitudes, time_channels
from gatewise.row import columns_of, with_columns
from gatewise.storage.fields import fields_from
from gatewise.system.files import file_named
from gatewise.target import join_words
from gatewise.text import Encoded, Encoding, encoding_from
from gatewise.types import NO_ROW_COLUMNS, Array, RowColumns

if TYPE_CHECKING:
    from gatewise.text.index import IndexEncoding

# Limits, so that a configuration from an untrusted source cannot demand unbounded memory.
MAX_FIXED_LENGTH = 5_000  # steps of a text that is padded to one length
MAX_WINDOW = 131_072  # values of a window of a series


@dataclass(frozen=True)
class StepRule:
    """The steps that an imported network was made for. length: of every sequence, as by `keras.utils.pad_sequences`:
    longer ones lose steps and shorter ones get steps of id 0, in front ("pre") or at the end ("post"); 0: any. masked:
    id 0 is not a step, and is left out. Raises InputError for a length that is not from 0 to MAX_FIXED_LENGTH.
    """

    length: int = 0
    side: Literal["pre", "post"] = "pre"
    masked: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.length <= MAX_FIXED_LENGTH:
            raise InputError(f"steps: the length must be from 0 to {MAX_FIXED_LENGTH:,}, not {self.length:,}")

    def rows(self, ids: Array) -> NDArray[np.int64]:
        """The steps of a sequence of ids that are read, -1 for a padded one."""
        rows = np.flatnonzero(ids) if self.masked else np.arange(len(ids))
        rows = rows if not self.length else rows[-self.length :] if self.side == "pre" else rows[: self.length]
        pads = 0 if self.masked or not self.length else self.length - len(rows)
        return np.pad(rows, (pads, 0) if self.side == "pre" else (0, pads), constant_values=-1)

    def fit(self, found: Encoded) -> Encoded:
        """A sequence with these steps."""
        ids, names, spans = found
        read = [(names[row], spans[row]) if row >= 0 else ("<pad>", (0, 0)) for row in self.rows(ids).tolist()]
        return Encoded(self.fit_ids(ids), [name for name, _ in read], [span for _, span in read])

    def fit_ids(self, ids: Array) -> Array:
        """Ids with these steps."""
        return np.append(ids, np.int32(0))[self.rows(ids)]


@dataclass(frozen=True)
class TextPreprocessor:
    """Texts to token ids by an encoding. steps: those of the sequences, where not all of the text. columns: those of a
    row that its sequence carries.
    """

    encoding: Encoding
    steps: StepRule | None = None
    columns: RowColumns = NO_ROW_COLUMNS

    @property
    def inputs(self) -> Inputs:
        """What it makes: token ids."""
        return Inputs("tokens", self.encoding.vocab_size, columns=self.columns)

    @property
    def unknown(self) -> int | None:
        """The token id of unknown words."""
        return self.encoding.unknown

    def rows(self, inputs: Any, layout: str | None = None, columns: Sequence[str] = ()) -> list[Any]:
        """The n texts in any container, or one text; for words at spaces, a text may be a list of words. columns: where
        a data frame has the texts. Errors as `Model.predict`.
        """
        if layout is not None:
            raise InputError("layout is for series, and this is a model of texts")
        if self.encoding.kind == "index":
            inputs = cast("IndexEncoding", self.encoding).texts(inputs)
        if isinstance(inputs, list | tuple):  # a prediction imports nothing of `gatewise.data`
            return list(map(join_words, inputs) if self.encoding.kind == "spaces" else inputs)
        refuse_file(inputs)
        if isinstance(inputs, str):
            return [inputs]
        from gatewise.data.inputs import convert_inputs

        return _of_frame(convert_inputs(inputs, "text", columns=columns), inputs, self.columns)

    def encode_batch(self, inputs: Any, layout: str | None = None, columns: Sequence[str] = ()) -> list[Array]:
        """Token ids (length,) of each of `rows`. Raises InputError naming the text."""
        texts = self.rows(inputs, layout, columns)
        for number, text in enumerate(texts):
            _check_text(text, number)
        sequences: list[Array] = list(self.encoding.encode_batch(texts))
        if self.steps is not None:
            sequences = [self.steps.fit_ids(ids) for ids in sequences]
        for n, ids in enumerate(sequences):
            if not len(ids):
                raise InputError(f"row {n} has no word")
        return _with_columns(sequences, texts, self.columns)

    def encode(self, item: Any) -> Encoded:
        """One text with display names and spans of its steps, tokenised once. Errors as `encode_batch`."""
        [item] = self.rows([item])
        _check_text(item, 0)
        try:
            found = self._tokenized(item)
        except InputError as error:
            raise InputError(f"row 0: {error}") from None
        if not len(found.sequence):
            raise InputError("row 0 has no word")
        return found._replace(sequence=_with_columns([found.sequence], [item], self.columns)[0])

    def _tokenized(self, text: str) -> Encoded:
        found = self.encoding.tokenize(text)
        return found if self.steps is None else self.steps.fit(found)

    def encode_step(self, item: Any, step: int) -> Array:
        """Token ids (n,) that a word or another part of a text adds to a stream of `step` tokens. Parts that are read
        one after the other are the text in which a space separates them. Errors as `encode_batch`.
        """
        [item] = self.rows([item])
        _check_text(item, 0)
        ids = self.encoding.encode(item)
        ids = ids if step == 0 else ids[self.ids_before_text :]
        return ids if self.steps is None or not self.steps.masked else ids[ids != 0]

    @cached_property
    def ids_before_text(self) -> int:
        """The number of ids that the encoding puts before every text."""
        return len(self.encoding.encode(""))

    def token_names(self, item: Any) -> list[str]:
        """A display name for each step of the encoded text."""
        return self._tokenized(*self.rows([item])).names

    def replace_tokens(self, text: str, words: Mapping[int, str]) -> tuple[Array, list[str]]:
        """Ids and token names of the text with other words at the given steps. An empty word deletes the token.

        Raises InputError for a step that is not a word of the text.
        """
        columns = columns_of(self.encode(text).sequence)  # which raises the errors
        ids, names, _ = self.encoding.tokenize(text)
        if self.steps is not None and self.steps.side == "pre" and self.steps.length and not self.steps.masked:
            words = {step - (self.steps.length - len(ids)): word for step, word in words.items()}
        first = self.ids_before_text
        new_ids, new_names = [np.asarray(ids[:first])], names[:first]
        for step in words:
            if not first <= step < len(ids):
                raise InputError(f"step {step + 1} is not a word: the words are steps {first + 1} to {len(ids)}")
        for step in range(first, len(ids)):
            if step in words:
                new = self.encoding.tokenize(words[step])
                new_ids.append(new.sequence[first:])
                new_names += new.names[first:]
            else:
                new_ids.append(ids[step : step + 1])
                new_names.append(names[step])
        ids, names = np.concatenate(new_ids), new_names
        if self.steps is not None:
            ids, names, _ = self.steps.fit(Encoded(ids, names, [(0, 0)] * len(names)))
        return ids if columns is None else with_columns(ids, columns), names

    def frequent_ids(self, count: int) -> range | None:
        """The ids of the `count` most frequent words of the training texts. None where the ids are in another order,
        and for vocabularies of less than ten times as many words, most of which are frequent.
        """
        first = {"tokens": 2, "keras": 4}.get(self.encoding.kind)
        return None if first is None or self.encoding.vocab_size < 10 * count else range(first, first + count)

    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The entry for config.json, and the files by name."""
        config, files = self.encoding.to_files()
        more = {} if self.steps is None else {"steps": asdict(self.steps)}
        return config | more | ({"columns": asdict(self.columns)} if self.columns else {}), files


def _of_frame(rows: list[Any], frame: Any, columns: RowColumns) -> list[Any]:
    """The rows with their columns, if a data frame has them."""
    if not columns:
        return rows
    from gatewise.data.frames import is_frame
    from gatewise.data.row_columns import rows_with_columns

    return rows_with_columns(rows, frame, columns) if is_frame(frame) else rows


def _with_columns(sequences: list[Array], rows: Sequence[Any], columns: RowColumns) -> list[Array]:
    """The sequences of these rows, with what the members read of the columns."""
    if not columns:
        return sequences
    from gatewise.data.row_columns import column_values

    return list(map(with_columns, sequences, column_values(rows, columns)))


def refuse_file(inputs: Any, read: str = "read_texts([{!r}]).texts") -> None:
    """Raise InputError for the name of a file, given as one input. read: what reads it."""
    name = os.fspath(inputs) if isinstance(inputs, str | os.PathLike) else ""
    if not isinstance(name, str) or not name or not (what := file_named(name)):
        return
    raise InputError(
        f"{quote(inputs)} is {what}: pass what it holds, gatewise.data.{read.format(name)}; if it is the text, pass a "
        "list, or the text with a space at its end"
    )


def _check_text(text: Any, number: int) -> None:
    if not isinstance(text, str):
        raise InputError(f"row {number} is a {type(text).__name__}, not a string")
    if not text.strip():
        raise InputError(f"row {number} is empty")


@dataclass(frozen=True)
class SeriesPreprocessor:
    """Series (length, C), with each channel standardised by the mean and deviation of the training data.

    mean, std: one number per channel; std is 1 for a constant channel. A missing value (NaN) is interpolated linearly
    between its neighbours in the channel; before the first value and after the last it takes the nearest one, and a
    channel without any value takes the training mean. mask: append a channel with the share of the C channels that are
    missing at the step. `fit` sets it where training data have missing values. steps: of the shortest and the longest
    training series, 0 if not recorded. mask_value: a step where all channels have it is left out, as in Keras. columns:
    as of `TextPreprocessor`.

    window: 0, or steps of a row. The sequence then has ceil(length / window) rows. A row starts with the values of its
    steps, NaN after the end of the series, which the convolutions read (`Inputs.unread`). The LSTM reads what follows:
    of a window of one step its channels, of a longer one for each channel its mean and the amplitudes of its
    oscillations by octave (`gatewise.network.series`), standardised by level and spread; then the time since the start
    in TIMES + 1 channels. Raises InputError for a window of more than MAX_WINDOW values.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    mask: bool = False
    steps: tuple[int, int] = (0, 0)
    mask_value: float | None = None
    window: int = 0
    level: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()
    columns: RowColumns = NO_ROW_COLUMNS
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
        features = np.concatenate([amplitudes(found._filled(a), found.window) for a in arrays])
        spread = np.maximum(features.std(axis=0), 1e-6)
        return replace(found, level=tuple(features.mean(axis=0).tolist()), spread=tuple(spread.tolist()))

    @property
    def channels(self) -> int:
        """C, of the series."""
        return len(self.mean)

    @property
    def inputs(self) -> Inputs:
        """What it makes: C channels, and the mask; with a window, what the LSTM reads of each."""
        size = self.channels + self.mask
        if not self.window:
            return Inputs("channels", size, columns=self.columns)
        return Inputs("channels", (len(self.level) or size) + TIMES + 1, self.window * size, self.columns)

    def rows(self, inputs: Any, layout: str | None = None, columns: Sequence[str] = ()) -> list[Any]:
        """n series (length, C) in their own unit, from any form that `gatewise.data.inputs.series_of` takes."""
        from gatewise.data.inputs import series_of
        from gatewise.data.row_columns import without_columns

        refuse_file(inputs, "read_series({!r}).inputs")
        values = without_columns(inputs, self.columns)
        rows = [self._unmasked(one) for one in series_of(values, layout, self.channels)]
        return _of_frame(rows, inputs, self.columns)

    def _unmasked(self, series: NDArray[Any]) -> NDArray[Any]:
        if self.mask_value is None:
            return series
        kept: NDArray[Any] = series[(np.asarray(series, np.float32) != np.float32(self.mask_value)).any(axis=1)]
        return kept

    def encode_batch(self, inputs: Any, layout: str | None = None, columns: Sequence[str] = ()) -> list[Array]:
        """What the members read of each of `rows`: (length, C) float32, or C + 1 channels with the mask; or windows."""
        rows = self.rows(inputs, layout)
        return _with_columns([self.encoded(np.asarray(series)) for series in rows], rows, self.columns)

    def array(self, item: Any) -> NDArray[Any]:
        """One series (length, C) in its own unit, from any form that `gatewise.data.inputs.one_series` takes."""
        from gatewise.data.inputs import one_series

        return self._unmasked(one_series(item, self.channels))

    def encode(self, item: Any) -> Encoded:
        """One series, from any form that `array` takes, with display names of its steps."""
        series = self.array(item)
        [sequence] = _with_columns([self.encoded(np.asarray(series))], [series], self.columns)
        return Encoded(sequence, self.token_names(series), [])

    def encode_step(self, item: Any, step: int) -> Array:
        """What the network reads of one step (C,), or of one number where C is 1, after `step` others: (1, C). Raises
        InputError for another shape, and for a missing value.
        """
        if type(item) is np.ndarray and item.dtype == np.float32 and item.ndim == 1 and np.isfinite(item).all():
            row = self.scaled(self._unmasked(item[None]))  # the checks of other forms take longer than the step
        else:
            row = self.scaled(self.array([item]))
        if np.isnan(row).any():
            raise InputError(
                f"step {step}: a value is missing; a stream cannot interpolate it, because it does not know the next "
                "one: give a number, such as the last value"
            )
        if not self.mask and not self.window:
            return row
        row = np.concatenate([row, np.zeros((1, 1), np.float32)], axis=1) if self.mask else row
        time = time_channels(np.array([step + 1]), self.steps[1]).astype(np.float32) if self.window else row[:, :0]
        return np.concatenate([row, time], axis=1)

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
            mean, std = self._scaling
            scaled: Array = ((series - mean) / std).astype(np.float32)
        return scaled

    @cached_property
    def _scaling(self) -> tuple[Array, Array]:
        return np.array(self.mean), np.array(self.std)

    def encoded(self, series: NDArray[Any]) -> Array:
        """What the members read of one series (length, C) in its own unit."""
        filled = self._filled(series)
        if not self.window:
            return filled
        length, size = filled.shape
        rows = -(-length // self.window)
        values = np.full((rows * self.window, size), np.nan, dtype=np.float32)
        values[:length] = filled
        read = filled if self.window == 1 else (amplitudes(filled, self.window) - self.level) / self.spread
        ends = np.minimum(np.arange(1, rows + 1) * self.window, length)
        parts = [values.reshape(rows, -1), read, time_channels(ends, self.steps[1])]
        return np.concatenate(parts, axis=1, dtype=np.float32)

    def _filled(self, series: NDArray[Any]) -> Array:
        """One series (length, C), standardised and interpolated, with the mask."""
        scaled = self.scaled(series)
        missing = np.isnan(scaled)
        for channel in np.flatnonzero(missing.any(axis=0)).tolist():
            column, gap = scaled[:, channel], missing[:, channel]
            # The scaled training mean is 0.
            column[gap] = 0 if gap.all() else np.interp(np.flatnonzero(gap), np.flatnonzero(~gap), column[~gap])
        if not self.mask:
            return scaled
        share = missing.mean(axis=1, keepdims=True, dtype=np.float32)  # (length, 1)
        return np.concatenate([scaled, share], axis=1)

    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The entry for config.json, without defaults, and no file."""
        given = {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) != one.default}
        plain: dict[str, Any] = {name: list(value) for name, value in given.items() if isinstance(value, tuple)}
        plain |= {"columns": asdict(self.columns)} if self.columns else {}
        return {"kind": "series", **given, **plain}, {}


Preprocessor = TextPreprocessor | SeriesPreprocessor


def preprocessor_from(config: object, read: Callable[[str], bytes]) -> Preprocessor:
    """The preprocessor that `to_files` described. read(name): the bytes of a file. Raises ModelFileError."""
    if not isinstance(config, dict) or not isinstance(config.get("kind"), str):
        raise ModelFileError("config.json: preprocessor must be an object with a kind")
    if config["kind"] != "series":
        config = dict(config)
        entry = config.pop("steps", None)
        steps = None if entry is None else fields_from(StepRule, entry, "preprocessor: steps")
        columns = fields_from(RowColumns, config.pop("columns", {}), "preprocessor: columns")
        return TextPreprocessor(encoding_from(config, read), steps, columns)
    found = fields_from(SeriesPreprocessor, {key: value for key, value in config.items() if key != "kind"}, "series")
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
