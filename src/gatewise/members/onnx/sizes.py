"""Sizes of a graph in ONNX: Shape of an input, and Add, Mul, Div, Mod, Max and Min of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gatewise.members.onnx.graph import Graph, Value, ints
from gatewise.network.size import Atom, Dim, Factor, Shape, Size, at_least


class Sizes:
    """The sizes of one graph. axes: where each symbol stands: a value of the ONNX graph, and an axis of it."""

    def __init__(self, graph: Graph, axes: Mapping[str, tuple[str, int]]) -> None:
        self._graph = graph
        self._axes = axes
        self._written: dict[Dim, str] = {}

    def size(self, dim: Dim) -> Value:
        """The size as a vector (1,) int64; each is computed once."""
        if isinstance(dim, int):
            return ints(dim)
        if dim not in self._written:
            self._written[dim] = self._sum(dim)
        return self._written[dim]

    def vector(self, shape: Shape) -> Value:
        """Sizes as a vector (n,) int64, such as a shape."""
        numbers = [dim for dim in shape if isinstance(dim, int)]
        if len(numbers) == len(shape):
            return ints(*numbers)
        return self._graph.add("Concat", *(self.size(dim) for dim in shape), axis=0)

    def scalar(self, dim: Dim) -> Value:
        """The size as an int64 without axes."""
        if isinstance(dim, int):
            return np.array(dim, dtype=np.int64)
        return self._graph.add("Squeeze", self.size(dim), ints(0))

    def _sum(self, size: Size) -> str:
        total: Value | None = None
        for factors, coefficient in size.terms:
            product: Value | None = None
            for factor in factors:
                value = self._factor(factor)
                product = value if product is None else self._graph.add("Mul", product, value)
            if product is None:
                product = ints(coefficient)
            elif coefficient != 1:
                product = self._graph.add("Mul", product, ints(coefficient))
            total = product if total is None else self._graph.add("Add", total, product)
        assert isinstance(total, str), "a size without a symbol is a number"
        return total

    def _factor(self, factor: Factor) -> Value:
        if isinstance(factor, str):
            value, axis = self._axes[factor]
            return self._graph.size(value, axis)
        left = self.size(factor.left)
        right = self.size(factor.right)
        if factor.operation == "max":
            return self._graph.add("Max", left, right)
        if factor.operation == "min":
            return self._graph.add("Min", left, right)
        if factor.operation == "%":
            return self._graph.add("Mod", left, right)
        return self._floor_division(factor, left, right)

    def _floor_division(self, atom: Atom, left: Value, right: Value) -> Value:
        """Div of ONNX cuts off towards 0, which is the floor where no size is negative."""
        if not (at_least(atom.left, 0) and at_least(atom.right, 1)):
            left = self._graph.add("Sub", left, self._graph.add("Mod", left, right))
        return self._graph.add("Div", left, right)
