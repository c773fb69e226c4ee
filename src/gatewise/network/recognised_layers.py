"""The layers of an architecture that is recognised in a graph: LSTM layers, and the dense layers above them.

What stands between two layers, and is no layer of its own, becomes part of a weight.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from gatewise.network.architecture import Hidden, Layer
from gatewise.network.features import Act, Lstm, NotRecognised, Numbers
from gatewise.network.weight_layouts import Weights
from gatewise.types import Activation, Array

OutputActivation = Literal["linear", "sigmoid", "softmax", "log_softmax"]


@dataclass(frozen=True, eq=False)
class AffineForm:
    """An affine function of columns (n,): weight (K, n), or None where K is n and each is itself, and bias (K,)."""

    columns: Numbers
    weight: Array | None
    bias: Array


class LstmLayer:
    """An LSTM layer. lstms: of its directions, forward first. weights: of each, of what the layer below returns."""

    def __init__(self, lstms: Sequence[Lstm], layer: Layer) -> None:
        self.lstms = tuple(lstms)
        self.layer = layer
        self.weights: list[Weights] = []
        self.rule = lstms[0].rule

    def read(self, form: AffineForm, canonical: Numbers) -> None:
        """Take what stands between this layer and the one below into the weights. form: what this layer reads.
        canonical: the columns of the layer below in their order.
        """
        places = {int(number): place for place, number in enumerate(canonical)}
        rows = [places[int(number)] for number in form.columns]
        for lstm in self.lstms:
            weight_ih = lstm.weights.weight_ih
            of_columns = weight_ih if form.weight is None else weight_ih @ form.weight  # (4H, n)
            of_layer = np.zeros((len(weight_ih), len(canonical)))
            np.add.at(of_layer.T, rows, of_columns.T)
            assert lstm.weights.bias is not None
            bias = lstm.weights.bias + weight_ih @ form.bias
            self.weights.append(Weights(of_layer, lstm.weights.weight_hh, bias))


class DenseLayers:
    """Dense layers and the activation after each. A function of each column alone, such as a batch normalisation, is
    joined with the dense layer before or after it.
    """

    def __init__(self) -> None:
        self.layers: list[tuple[Array, Array]] = []
        """weight (K, F), or (F,) of a function of each column, and bias (K,)."""
        self._acts: list[tuple[str, float]] = []
        self._of_each: list[bool] = []

    def add(self, weight: Array, bias: Array, of_each: bool) -> None:
        """An affine function of what there is so far."""
        is_open = len(self.layers) > len(self._acts)
        if is_open and (of_each or self._of_each[-1]):
            before, shift = self.layers.pop()
            of_each = self._of_each.pop() and of_each
            self.layers.append((_product(weight, before), _applied(weight, shift) + bias))
        else:
            if is_open:
                self._acts.append(("linear", 0.01))
            self.layers.append((weight, bias))
        self._of_each.append(of_each)

    def activate(self, act: Act) -> None:
        """An activation of what there is so far."""
        if len(self.layers) == len(self._acts):
            self._add_identity(len(act.columns))
        self._acts.append((act.kind, act.negative_slope))

    def end(self, width: int) -> OutputActivation:
        """The activation of the outputs, which are logits without it. width: of the features."""
        activation: Any = "linear"
        if self._acts and len(self._acts) == len(self.layers) and self._acts[-1][0] in get_args(OutputActivation):
            activation, _ = self._acts.pop()
        if len(self._acts) == len(self.layers):
            self._add_identity(len(self.layers[-1][1]) if self.layers else width)
        return activation  # type: ignore[no-any-return]

    def hidden(self) -> tuple[Hidden, ...]:
        """The layers before the output layer. Raises NotRecognised for an activation of outputs among them."""
        hidden = []
        for (_, bias), (kind, slope) in zip(self.layers, self._acts, strict=False):
            if kind not in get_args(Activation):
                raise NotRecognised(f"a {kind} stands in front of another layer")
            hidden.append(Hidden(len(bias), kind, slope))  # type: ignore[arg-type]
        return tuple(hidden)

    def parameters(self) -> Iterator[Array]:
        """weight and bias of each layer."""
        for weight, bias in self.layers:
            yield np.diag(weight) if weight.ndim == 1 else weight
            yield bias

    def _add_identity(self, width: int) -> None:
        self.layers.append((np.ones(width), np.zeros(width)))
        self._of_each.append(True)


def _product(weight: Array, before: Array) -> Array:
    """The weight of two affine functions, each of which may be of each column alone."""
    if weight.ndim == 1 and before.ndim == 2:
        return weight[:, None] * before
    if weight.ndim == 2 and before.ndim == 2:
        return np.asarray(weight @ before)
    return np.asarray(weight * before)  # the columns of weight, or its numbers


def _applied(weight: Array, x: Array) -> Array:
    return np.asarray(weight * x if weight.ndim == 1 else weight @ x)
