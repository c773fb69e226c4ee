"""`MergeMode`: how the outputs of the two directions of a layer become one output, as Keras's merge_mode.

Each mode is a class with all that is known of it: the outputs, their gradients, the nodes of a graph, what a direction
adds to the output. `gatewise.nn.network` has code of its own: its modules run, and are scripted, without gatewise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from gatewise.types import Array

if TYPE_CHECKING:
    from gatewise.network.graph_builder import GraphBuilder

MergeName = Literal["concat", "sum", "mean", "product"]


class MergeMode(ABC):
    """keras_name: that of Keras. by_unit: whether one number of each direction makes one of the output, which is then
    as wide as a direction. share: of a direction in the output, None where its part depends on the other direction.
    """

    keras_name: ClassVar[str]
    by_unit: ClassVar[bool] = True
    share: ClassVar[float | None] = None

    @abstractmethod
    def merged(self, outputs: Sequence[Array]) -> Array:
        """The output (N, width), of those of two directions (N, H) each."""

    @abstractmethod
    def gradients(self, grad: Array, outputs: Sequence[Array]) -> Sequence[Array]:
        """The gradients of the outputs, of that of the output (N, width): arrays that nothing else holds."""

    @abstractmethod
    def nodes(self, builder: GraphBuilder, outputs: Sequence[str]) -> str:
        """Add the nodes of the outputs (..., H). Returns the value (..., width)."""


class Concat(MergeMode):
    """Side by side."""

    keras_name = "concat"
    by_unit = False
    share = 1.0

    def merged(self, outputs: Sequence[Array]) -> Array:
        return np.concatenate(outputs, axis=1)

    def gradients(self, grad: Array, outputs: Sequence[Array]) -> Sequence[Array]:
        ends = np.cumsum([output.shape[1] for output in outputs])[:-1]
        return [columns.copy() for columns in np.split(grad, ends, axis=1)]

    def nodes(self, builder: GraphBuilder, outputs: Sequence[str]) -> str:
        return builder.add("Concat", *outputs, axis=-1)


class Sum(MergeMode):
    """The sum."""

    keras_name = "sum"
    share = 1.0

    def merged(self, outputs: Sequence[Array]) -> Array:
        left, right = outputs
        return left + right

    def gradients(self, grad: Array, outputs: Sequence[Array]) -> Sequence[Array]:
        return [grad.copy() for _ in outputs]

    def nodes(self, builder: GraphBuilder, outputs: Sequence[str]) -> str:
        return builder.add("Add", *outputs)


class Mean(MergeMode):
    """The mean."""

    keras_name = "ave"
    share = 0.5

    def merged(self, outputs: Sequence[Array]) -> Array:
        left, right = outputs
        mean: Array = (left + right) * left.dtype.type(self.share)
        return mean

    def gradients(self, grad: Array, outputs: Sequence[Array]) -> Sequence[Array]:
        return [grad * grad.dtype.type(self.share) for _ in outputs]

    def nodes(self, builder: GraphBuilder, outputs: Sequence[str]) -> str:
        return builder.add("Mul", builder.add("Add", *outputs), builder.constant(np.asarray(self.share)))


class Product(MergeMode):
    """The product."""

    keras_name = "mul"

    def merged(self, outputs: Sequence[Array]) -> Array:
        left, right = outputs
        return left * right

    def gradients(self, grad: Array, outputs: Sequence[Array]) -> Sequence[Array]:
        left, right = outputs
        return [grad * right, grad * left]

    def nodes(self, builder: GraphBuilder, outputs: Sequence[str]) -> str:
        return builder.add("Mul", *outputs)


MERGE_MODES: dict[MergeName, MergeMode] = {
    "concat": Concat(),
    "sum": Sum(),
    "mean": Mean(),
    "product": Product(),
}
"""By name."""

OF_KERAS: dict[str, MergeMode] = {mode.keras_name: mode for mode in MERGE_MODES.values()}
"""By the name that Keras has for them."""
