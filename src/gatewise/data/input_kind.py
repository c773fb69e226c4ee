"""`InputKind`: what the rows of a data set are: texts, series or arrays by name. `Labelled.input_kind` has it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from gatewise.errors import InputError
from gatewise.types import ROWS, SERIES, TEXTS, InputNouns, KindName

_SHOWN = 5  # constant steps that are named


class InputKind(ABC):
    """name: in messages and fingerprints, and as what a training reads them. nouns: in words."""

    name: ClassVar[KindName]
    nouns: ClassVar[InputNouns]

    @abstractmethod
    def texts(self, inputs: Sequence[Any], refusal: str) -> list[str]:
        """The inputs as texts. Raises InputError with the message `refusal` for series."""

    def series(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """The inputs whose missing values are interpolated: arrays (steps, channels) with NaN. () for others."""
        return ()

    def findings(self, inputs: Sequence[Any]) -> list[str]:
        """What is probably a mistake in the inputs."""
        return []


class TextInputs(InputKind):
    """n texts."""

    name: ClassVar[KindName] = "text"
    nouns: ClassVar[InputNouns] = TEXTS

    def texts(self, inputs: Sequence[Any], refusal: str) -> list[str]:
        return [str(text) for text in inputs]


class SeriesInputs(InputKind):
    """n series (steps, channels)."""

    name: ClassVar[KindName] = "series"
    nouns: ClassVar[InputNouns] = SERIES

    def texts(self, inputs: Sequence[Any], refusal: str) -> list[str]:
        raise InputError(refusal)

    def series(self, inputs: Sequence[Any]) -> Sequence[Any]:
        return inputs

    def findings(self, inputs: Sequence[Any]) -> list[str]:
        """Steps with the same value in each series: such a column may be an id or a label."""
        steps = min(map(len, inputs))
        values = np.stack([series[:steps] for series in inputs])  # (n, steps, channels)
        constant = np.argwhere((values == values[:1]).all(axis=0))
        return [
            f"step {step + 1} of channel {channel + 1} is {values[0, step, channel]:.6g} in each series"
            for step, channel in constant[:_SHOWN].tolist()
        ]


class ArrayInputs(InputKind):
    """n rows of arrays by name, of a network with several inputs."""

    name: ClassVar[KindName] = "arrays"
    nouns: ClassVar[InputNouns] = ROWS

    def texts(self, inputs: Sequence[Any], refusal: str) -> list[str]:
        raise InputError(refusal)


def input_kind_of(inputs: Sequence[Any]) -> InputKind:
    """What these inputs are; texts if there are none."""
    if len(inputs) and isinstance(inputs[0], Mapping):
        return ArrayInputs()
    if len(inputs) and isinstance(inputs[0], np.ndarray):
        return SeriesInputs()
    return TextInputs()
