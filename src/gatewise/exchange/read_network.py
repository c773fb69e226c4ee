"""`ReadNetwork`: a network of another library that was read into a graph, beside the original.

A reader never looks at values. The original is kept, so that each value of the graph can be compared with what the
original computes (`gatewise.exchange.proof`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from gatewise.network.graph import Graph
from gatewise.types import Array


@dataclass(frozen=True, eq=False)
class ReadNetwork(ABC):
    """graph: the network, whose inputs have the shapes and the order of the original. compared: the names of those
    values of the graph that the original has too, in the order in which it computes them; the outputs are among them.
    framework: for messages.
    """

    graph: Graph
    compared: tuple[str, ...]
    framework: ClassVar[str]

    @property
    def undefined_for_nan(self) -> frozenset[str]:
        """The operations of which the library does not say what they make of NaN."""
        return frozenset()

    @abstractmethod
    def original_values(self, inputs: Mapping[str, Array], names: Sequence[str], dtype: str) -> dict[str, Array]:
        """What the original computes for these of the compared values, by name, in "float64" or "float32". Raises
        InputError with the reason of the library where the original does not take these inputs.
        """
