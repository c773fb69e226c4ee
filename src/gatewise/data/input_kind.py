"""`InputKind`: what the rows of a data set are, texts or series. `Labelled.input_kind` has it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from gatewise.errors import InputError
from gatewise.types import SERIES, TEXTS, InputNouns

_SHOWN = 5  # constant steps that are named


class InputKind(ABC):
    """name: in messages and fingerprints. network: what a network reads of such inputs. nouns: in words."""

    name: ClassVar[Literal["text", "series"]]
    network: ClassVar[Literal["tokens", "channels"]]
    nouns: ClassVar[InputNouns]

    @abstractmethod
    def texts(self, inputs: Sequence[Any], refusal: str) -> list[str]:
        """The inputs as texts. Raises InputError with the message `refusal` for series."""

    def findings(self, inputs: Sequence[Any]) -> list[str]:
        """What is probably a mistake in the inputs."""
        return []


class TextInputs(InputKind):
    """n texts."""

    name: ClassVar[Literal["text", "series"]] = "text"
    network: ClassVar[Literal["tokens", "channels"]] = "tokens"
    nouns: ClassVar[InputNouns] = TEXTS

    def texts(self, inputs: Sequence[Any], refusal: str) -> list[str]:
        return [str(text) for text in inputs]


class SeriesInputs(InputKind):
    """n series (steps, channels)."""

    name: ClassVar[Literal["text", "series"]] = "series"
    network: ClassVar[Literal["tokens", "channels"]] = "channels"
    nouns: ClassVar[InputNouns] = SERIES

    def texts(self, inputs: Sequence[Any], refusal: str) -> list[str]:
        raise InputError(refusal)

    def findings(self, inputs: Sequence[Any]) -> list[str]:
        """Steps with the same value in each series: such a column may be an id or a label."""
        steps = min(map(len, inputs))
        values = np.stack([series[:steps] for series in inputs])  # (n, steps, channels)
        constant = np.argwhere((values == values[:1]).all(axis=0))
        return [
            f"step {step + 1} of channel {channel} is {values[0, step, channel]:.6g} in each series"
            for step, channel in constant[:_SHOWN].tolist()
        ]


def input_kind_of(inputs: Sequence[Any]) -> InputKind:
    """What these inputs are; texts if there are none."""
    if len(inputs) and isinstance(inputs[0], np.ndarray):
        return SeriesInputs()
    return TextInputs()
