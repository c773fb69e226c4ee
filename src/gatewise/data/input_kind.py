"""`InputKind`: what the rows of a data set are: texts, series or arrays by name. `Labelled.input_kind` has it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from gatewise.errors import InputError
from gatewise.types import ROWS, SERIES, TEXTS, InputNouns

_SHOWN = 5  # constant steps that are named


class InputKind(ABC):
    """name: in messages and fingerprints. network: what a network reads of such inputs. nouns: in words."""

    name: ClassVar[Literal["text", "series", "arrays"]]
    network: ClassVar[Literal["tokens", "channels"]]
    nouns: ClassVar[InputNouns]

    @abstractmethod
    def texts(self, inputs: Sequence[Any], refusal: str) -> list[str]:
        """The inputs as texts. Raises InputError with the message `refusal` for series."""

    @property
    @abstractmethod
    def trained(self) -> Literal["text", "series"]:
        """As what a training reads them. Raises InputError for what is not trained on."""

    def findings(self, inputs: Sequence[Any]) -> list[str]:
        """What is probably a mistake in the inputs."""
        return []


class TextInputs(InputKind):
    """n texts."""

    name: ClassVar[Literal["text", "series", "arrays"]] = "text"
    network: ClassVar[Literal["tokens", "channels"]] = "tokens"
    nouns: ClassVar[InputNouns] = TEXTS

    def texts(self, inputs: Sequence[Any], refusal: str) -> list[str]:
        return [str(text) for text in inputs]

    @property
    def trained(self) -> Literal["text", "series"]:
        return "text"


class SeriesInputs(InputKind):
    """n series (steps, channels)."""

    name: ClassVar[Literal["text", "series", "arrays"]] = "series"
    network: ClassVar[Literal["tokens", "channels"]] = "channels"
    nouns: ClassVar[InputNouns] = SERIES

    def texts(self, inputs: Sequence[Any], refusal: str) -> list[str]:
        raise InputError(refusal)

    @property
    def trained(self) -> Literal["text", "series"]:
        return "series"

    def findings(self, inputs: Sequence[Any]) -> list[str]:
        """Steps with the same value in each series: such a column may be an id or a label."""
        steps = min(map(len, inputs))
        values = np.stack([series[:steps] for series in inputs])  # (n, steps, channels)
        constant = np.argwhere((values == values[:1]).all(axis=0))
        return [
            f"step {step + 1} of channel {channel} is {values[0, step, channel]:.6g} in each series"
            for step, channel in constant[:_SHOWN].tolist()
        ]


class ArrayInputs(InputKind):
    """n rows of arrays by name, of a network with several inputs."""

    name: ClassVar[Literal["text", "series", "arrays"]] = "arrays"
    network: ClassVar[Literal["tokens", "channels"]] = "channels"
    nouns: ClassVar[InputNouns] = ROWS

    def texts(self, inputs: Sequence[Any], refusal: str) -> list[str]:
        raise InputError(refusal)

    @property
    def trained(self) -> Literal["text", "series"]:
        raise InputError("these are rows of arrays: training reads one text or series per row")


def input_kind_of(inputs: Sequence[Any]) -> InputKind:
    """What these inputs are; texts if there are none."""
    if len(inputs) and isinstance(inputs[0], Mapping):
        return ArrayInputs()
    if len(inputs) and isinstance(inputs[0], np.ndarray):
        return SeriesInputs()
    return TextInputs()
