"""From what a user has to what the network reads, and back to something to show: a text encoding, or a series' scaling.

A model holds one `Preprocessor`: `TextPreprocessor` around an encoding of `gatewise.text`,
or `SeriesPreprocessor` around the scaling
of `gatewise.data.series`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from gatewise.data.series import StandardScaler
from gatewise.errors import InputError, ModelFileError
from gatewise.network.architecture import Architecture
from gatewise.text import Encoding, encoding_from
from gatewise.types import Array

__all__ = ["Preprocessor", "SeriesPreprocessor", "TextPreprocessor", "preprocessor_from"]


class Preprocessor(Protocol):
    """What a model needs of either."""

    @property
    def unknown(self) -> int | None:
        """The token of any word that is not known; None for series."""
        ...

    def encode_batch(self, inputs: Sequence[Any]) -> list[Array]:
        """One array an input: token ids (length,), or channels (length, C). Raises InputError naming the input."""
        ...

    def steps(self, item: Any) -> list[str]:
        """A name for each step of one encoded input, to be shown."""
        ...

    def spans(self, item: Any) -> list[tuple[int, int]]:
        """Where each step stands in a text, from and to, in code points; of a series, none."""
        ...

    def check(self, arch: Architecture) -> None:
        """Raise InputError unless it feeds that architecture."""
        ...

    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Its part of config.json, and its files by name."""
        ...


@dataclass(frozen=True)
class TextPreprocessor:
    """Texts by way of an encoding: one token id a word."""

    encoding: Encoding

    @property
    def unknown(self) -> int:
        return self.encoding.unknown

    def encode_batch(self, inputs: Sequence[Any]) -> list[Array]:
        for n, text in enumerate(inputs):
            if not isinstance(text, str):
                raise InputError(f"text {n + 1} is a {type(text).__name__}, not a string")
            if not text.strip():
                raise InputError(f"text {n + 1} is empty")
        sequences: list[Array] = list(self.encoding.encode_batch(inputs))
        for n, ids in enumerate(sequences):
            if not len(ids):
                raise InputError(f"text {n + 1} holds no word")
        return sequences

    def steps(self, item: Any) -> list[str]:
        return self.encoding.words(item)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where in the text each step's word stands, from and to, in code points."""
        return self.encoding.spans(text)

    def replaced(self, text: str, words: Mapping[int, str]) -> tuple[Array, list[str]]:
        """Ids and names of the text with other words at these places among its steps; an empty one takes a word out.

        Raises InputError for a place where no word stands.
        """
        ids, names = self.encode_batch([text])[0], self.steps(text)
        before = len(self.encoding.encode(""))  # what the encoding puts in front of every text
        new_ids, new_names = [np.asarray(ids[:before])], names[:before]
        for place in words:
            if not before <= place < len(ids):
                raise InputError(f"there is no word at step {place + 1}: they are {before + 1} to {len(ids)}")
        for place in range(before, len(ids)):
            if place in words:
                new_ids.append(self.encoding.encode(words[place])[before:])
                new_names += self.steps(words[place])[before:]
            else:
                new_ids.append(ids[place : place + 1])
                new_names.append(names[place])
        return np.concatenate(new_ids), new_names

    def check(self, arch: Architecture) -> None:
        if arch.inputs != "tokens" or arch.vocab_size != self.encoding.rows:
            raise InputError(
                f"the vocabulary has {self.encoding.rows} rows, the network reads {arch.vocab_size} {arch.inputs}"
            )

    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        return self.encoding.to_files()


@dataclass(frozen=True)
class SeriesPreprocessor:
    """Series (length, C), each channel brought to mean 0 and deviation 1 of the training data."""

    scaling: StandardScaler
    unknown: ClassVar[None] = None

    def encode_batch(self, inputs: Sequence[Any]) -> list[Array]:
        out = []
        for n, item in enumerate(inputs):
            series = np.asarray(item, dtype=np.float32)
            if series.ndim != 2 or series.shape[0] == 0 or series.shape[1] != self.scaling.channels:
                raise InputError(f"series {n + 1}: want (steps, {self.scaling.channels}), got {series.shape}")
            if not np.isfinite(series).all():
                raise InputError(f"series {n + 1}: step {int(np.argwhere(~np.isfinite(series))[0, 0])} is not finite")
            out.append(self.scaling(series))
        return out

    def steps(self, item: Any) -> list[str]:
        return [str(t) for t in range(len(item))]

    def spans(self, item: Any) -> list[tuple[int, int]]:
        return []

    def check(self, arch: Architecture) -> None:
        if arch.channels != self.scaling.channels:
            raise InputError(
                f"series of {self.scaling.channels} channels, but the network reads {arch.vocab_size} {arch.inputs}"
            )

    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        return {"kind": "series", **self.scaling.to_config()}, {}


def preprocessor_from(config: Mapping[str, Any], read: Callable[[str], bytes]) -> Preprocessor:
    """The encoder that `to_files` described; `read` gives the bytes of its files."""
    if not isinstance(config, dict) or not isinstance(config.get("kind"), str):
        raise ModelFileError("config.json: preprocessor must be an object with a kind")
    if config["kind"] == "series":
        return SeriesPreprocessor(StandardScaler.from_config({k: v for k, v in config.items() if k != "kind"}))
    return TextPreprocessor(encoding_from(config, read))
