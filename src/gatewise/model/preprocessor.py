"""Preprocessors: from the inputs of a user to the arrays of the network, with names for the steps.

A model has one `Preprocessor`: `TextPreprocessor` with an encoding of `gatewise.text`, or `SeriesPreprocessor` with a
`StandardScaler`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, ModelFileError, counted, quote
from gatewise.members.member import Inputs
from gatewise.network.architecture import Architecture
from gatewise.text import Encoded, Encoding, encoding_from
from gatewise.types import Array


class Preprocessor(Protocol):
    """What a model needs of its preprocessor."""

    @property
    def inputs(self) -> Inputs:
        """What it makes: token ids, or channels."""
        ...

    @property
    def unknown(self) -> int | None:
        """The token id of unknown words; None for series."""
        ...

    def rows(self, inputs: Any, layout: str | None = None, columns: Sequence[str] = ()) -> list[Any]:
        """The n texts or series (length, C) in any container, or one of them. columns: where a data frame has the
        texts. Errors as `Model.predict`.
        """
        ...

    def encode_batch(self, inputs: Any, layout: str | None = None, columns: Sequence[str] = ()) -> list[Array]:
        """One array for each of `rows`: token ids (length,) or channels (length, C). Raises InputError naming it."""
        ...

    def encode(self, item: Any) -> Encoded:
        """One input with display names and spans of its steps, tokenised once. Errors as `encode_batch`."""
        ...

    def token_names(self, item: Any) -> list[str]:
        """A display name for each step of the encoded input."""
        ...

    def check(self, arch: Architecture) -> None:
        """Raise InputError unless the architecture takes its output."""
        ...

    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The entry for config.json, and the files by name."""
        ...


@dataclass(frozen=True)
class TextPreprocessor:
    """Texts to token ids by an encoding."""

    encoding: Encoding

    @property
    def inputs(self) -> Inputs:
        return Inputs("tokens", self.encoding.vocab_size)

    @property
    def unknown(self) -> int:
        return self.encoding.unknown

    def rows(self, inputs: Any, layout: str | None = None, columns: Sequence[str] = ()) -> list[Any]:
        if layout is not None:
            raise InputError("layout is for series, and this is a model of texts")
        _refuse_file(inputs, "read_texts([{!r}]).texts")
        if isinstance(inputs, str):
            return [inputs]
        if isinstance(inputs, list | tuple):  # a prediction imports nothing of `gatewise.data`
            return list(inputs)
        from gatewise.data.inputs import convert_inputs

        return convert_inputs(inputs, "text", columns=columns)

    def encode_batch(self, inputs: Any, layout: str | None = None, columns: Sequence[str] = ()) -> list[Array]:
        texts = self.rows(inputs, layout, columns)
        for number, text in enumerate(texts, start=1):
            _check_text(text, number)
        sequences: list[Array] = list(self.encoding.encode_batch(texts))
        for n, ids in enumerate(sequences):
            if not len(ids):
                raise InputError(f"text {n + 1} has no word")
        return sequences

    def encode(self, item: Any) -> Encoded:
        _check_text(item, 1)
        try:
            found = self.encoding.tokenize(item)
        except InputError as error:
            raise InputError(f"text 1: {error}") from None
        if not len(found.sequence):
            raise InputError("text 1 has no word")
        return found

    def token_names(self, item: Any) -> list[str]:
        return self.encoding.tokenize(item).names

    def replace_tokens(self, text: str, words: Mapping[int, str]) -> tuple[Array, list[str]]:
        """Ids and token names of the text with other words at the given steps. An empty word deletes the token.

        Raises InputError for a step that is not a word of the text.
        """
        ids, names, _ = self.encode(text)
        first = len(self.encoding.encode(""))  # the number of ids that the encoding puts before every text
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
        return np.concatenate(new_ids), new_names

    def frequent_ids(self, count: int) -> range | None:
        """The ids of the `count` most frequent words of the training texts. None where the ids are in another order,
        and for vocabularies of less than ten times as many words, most of which are frequent.
        """
        first = {"tokens": 2, "keras": 4}.get(self.encoding.kind)
        return None if first is None or self.encoding.vocab_size < 10 * count else range(first, first + count)

    def check(self, arch: Architecture) -> None:
        if arch.inputs != "tokens" or arch.vocab_size != self.encoding.vocab_size:
            raise InputError(
                f"the vocabulary has size {self.encoding.vocab_size}, but the network reads "
                f"{arch.vocab_size} {arch.inputs}"
            )

    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        return self.encoding.to_files()


def _refuse_file(inputs: Any, read: str) -> None:
    """Raise InputError for the name of a file that exists, given as one input. read: what reads it."""
    if isinstance(inputs, str | os.PathLike) and os.path.isfile(inputs):
        raise InputError(
            f"{quote(inputs)} is a file: pass what it holds, gatewise.data.{read.format(os.fspath(inputs))}; if it is "
            "the text, pass a list"
        )


def _check_text(text: Any, number: int) -> None:
    if not isinstance(text, str):
        raise InputError(f"text {number} is a {type(text).__name__}, not a string")
    if not text.strip():
        raise InputError(f"text {number} is empty")


@dataclass(frozen=True)
class StandardScaler:
    """Standardise each channel with the mean and standard deviation of the series it was fitted on.

    mean, std: one number per channel; std is 1 for a constant channel.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def fit(cls, inputs: Sequence[Any]) -> StandardScaler:
        """Fit on arrays (length, channels), all steps with equal weight. Raises InputError if there is no step.

        Missing values (NaN) do not count; a channel without any value has mean 0 and std 1.
        """
        steps = [np.asarray(series, dtype=np.float64) for series in inputs if len(series)]
        if not steps or any(s.ndim != 2 or s.shape[1] != steps[0].shape[1] for s in steps):
            raise InputError("inputs must be arrays (length, channels), at least one of them with a step")
        mean, std = [], []
        for column in np.concatenate(steps).T:  # (N,) per channel
            known = column[~np.isnan(column)]
            # The deviation of equal numbers can be above 0 by rounding.
            constant = not len(known) or known.min() == known.max()
            mean.append(float(known.mean()) if len(known) else 0.0)
            std.append(1.0 if constant else float(known.std()))
        return cls(tuple(mean), tuple(std))

    @property
    def channels(self) -> int:
        return len(self.mean)

    def __call__(self, series: NDArray[Any]) -> Array:
        """Scale one series (length, channels). A missing value stays one."""
        if series.ndim != 2 or series.shape[1] != self.channels:
            raise InputError(f"a series must be (length, {self.channels}), got {series.shape}")
        with np.errstate(over="ignore"):  # the network refuses infinite values
            scaled: Array = ((series - np.array(self.mean)) / np.array(self.std)).astype(np.float32)
        return scaled

    def to_config(self) -> dict[str, Any]:
        """The scaler as JSON data."""
        return {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> StandardScaler:
        """The scaler from `to_config`. Raises ModelFileError for anything else."""
        if set(config) != {"mean", "std"}:
            raise ModelFileError("series: the config must have 'mean' and 'std' and nothing else")
        for name in ("mean", "std"):
            numbers = config[name]
            if not isinstance(numbers, list) or not numbers or not all(_finite(number) for number in numbers):
                raise ModelFileError(f"series: '{name}' must be a list of finite numbers")
        mean, std = ([float(n) for n in config[name]] for name in ("mean", "std"))
        if len(mean) != len(std) or min(std) <= 0:
            raise ModelFileError("series: 'std' must have one number above 0 for each of 'mean'")
        return cls(tuple(mean), tuple(std))


def _finite(number: object) -> bool:
    try:
        return isinstance(number, (int, float)) and not isinstance(number, bool) and math.isfinite(number)
    except OverflowError:
        return False


@dataclass(frozen=True)
class SeriesPreprocessor:
    """Series (length, C), with each channel standardised by the mean and deviation of the training data.

    A missing value (NaN) is interpolated linearly between its neighbours in the channel; before the first value and
    after the last it takes the nearest one, and a channel without any value takes the training mean. mask: append a
    channel with the share of the C channels that are missing at the step. `fit` sets it where training data have
    missing values. steps: of the shortest and the longest training series, 0 if not recorded.
    """

    scaling: StandardScaler
    mask: bool = False
    steps: tuple[int, int] = (0, 0)
    unknown: ClassVar[None] = None

    @classmethod
    def fit(cls, inputs: Sequence[Any]) -> SeriesPreprocessor:
        """Fit on arrays (length, channels). Raises InputError if there is no step."""
        lengths = [len(series) for series in inputs]
        mask = any(bool(np.isnan(series).any()) for series in inputs)
        return cls(StandardScaler.fit(inputs), mask, (min(lengths), max(lengths)))

    @property
    def channels(self) -> int:
        """The number of channels that the network reads: C, and the mask."""
        return self.scaling.channels + self.mask

    @property
    def inputs(self) -> Inputs:
        return Inputs("channels", self.channels)

    def rows(self, inputs: Any, layout: str | None = None, columns: Sequence[str] = ()) -> list[Any]:
        """As `Preprocessor`, from any form that `gatewise.data.inputs.series_of` takes."""
        from gatewise.data.inputs import series_of

        _refuse_file(inputs, "read_series({!r}).inputs")
        return list(series_of(inputs, layout, self.scaling.channels))

    def encode_batch(self, inputs: Any, layout: str | None = None, columns: Sequence[str] = ()) -> list[Array]:
        return [self._encoded(series) for series in self.rows(inputs, layout)]

    def array(self, item: Any) -> NDArray[Any]:
        """One series (length, C) in its own unit, from any form that `gatewise.data.inputs.one_series` takes."""
        from gatewise.data.inputs import one_series

        return one_series(item, self.scaling.channels)

    def encode(self, item: Any) -> Encoded:
        series = self.array(item)
        return Encoded(self._encoded(series), self.token_names(series), [])

    def token_names(self, item: Any) -> list[str]:
        return [str(t + 1) for t in range(len(item))]

    def _encoded(self, series: NDArray[Any]) -> Array:
        scaled = self.scaling(series)
        missing = np.isnan(scaled)
        for channel in np.flatnonzero(missing.any(axis=0)).tolist():
            column, gap = scaled[:, channel], missing[:, channel]
            # The scaled training mean is 0.
            column[gap] = 0 if gap.all() else np.interp(np.flatnonzero(gap), np.flatnonzero(~gap), column[~gap])
        if not self.mask:
            return scaled
        share = missing.mean(axis=1, keepdims=True, dtype=np.float32)  # (length, 1)
        return np.concatenate([scaled, share], axis=1)

    def check(self, arch: Architecture) -> None:
        if arch.channels != self.channels:
            mask = " and a mask" if self.mask else ""
            raise InputError(
                f"the series have {counted(self.scaling.channels, 'channel')}{mask}, but the network reads "
                f"{arch.vocab_size} {arch.inputs}"
            )

    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        mask = {"mask": True} if self.mask else {}
        steps = {"steps": list(self.steps)} if self.steps != (0, 0) else {}
        return {"kind": "series", **self.scaling.to_config(), **mask, **steps}, {}


def preprocessor_from(config: object, read: Callable[[str], bytes]) -> Preprocessor:
    """The preprocessor that `to_files` described. read(name): the bytes of a file. Raises ModelFileError."""
    if not isinstance(config, dict) or not isinstance(config.get("kind"), str):
        raise ModelFileError("config.json: preprocessor must be an object with a kind")
    if config["kind"] == "series":
        mask = config.get("mask", False)
        if not isinstance(mask, bool):
            raise ModelFileError("series: 'mask' must be true or false")
        steps = config.get("steps", [0, 0])
        if not isinstance(steps, list) or [type(n) for n in steps] != [int, int] or not 0 <= steps[0] <= steps[1]:
            raise ModelFileError("series: 'steps' must be two ascending whole numbers")
        scaling = StandardScaler.from_config({k: v for k, v in config.items() if k not in ("kind", "mask", "steps")})
        return SeriesPreprocessor(scaling, mask, (steps[0], steps[1]))
    return TextPreprocessor(encoding_from(config, read))
