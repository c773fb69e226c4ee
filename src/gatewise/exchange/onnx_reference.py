"""The reference evaluator of the ONNX project, with some operators as the specification defines them.

LSTM, GRU and RNN of `onnx.reference` ignore sequence_lens, activations and clip; Erf, Gelu, GroupNormalization and
HardSwish round numbers to float32; AveragePool and MaxPool take NaN for pads, or refuse pads; GlobalMaxPool takes the
maximum over the channels too. The ones here are written from the specification (https://onnx.ai/onnx/operators/), apart
from `gatewise.network`, because they check it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gatewise.errors import required
from gatewise.types import Array

_Activation = Callable[[Array], Array]


def evaluator(raw: bytes) -> Any:
    """A `ReferenceEvaluator` of a file."""
    onnx = required("onnx", "onnx", "the ONNX format")
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun

    def operator(name: str, computed: Callable[..., tuple[Array, ...]]) -> type:
        def run(self: Any, *inputs: Array | None, **attributes: Any) -> tuple[Array, ...]:
            return computed(attributes, *inputs)[: len(self.onnx_node.output)]

        return type(name, (OpRun,), {"op_domain": "", "_run": run})

    operators = [operator(name, computed) for name, computed in _OPERATORS.items()]
    return ReferenceEvaluator(onnx.load_model_from_string(raw), new_ops=operators)


def erf(attributes: Mapping[str, Any], x: Array) -> tuple[Array]:
    """The error function."""
    return (np.vectorize(math.erf, otypes=[x.dtype])(x),)


def gelu(attributes: Mapping[str, Any], x: Array) -> tuple[Array]:
    """x Φ(x), or its approximation with tanh."""
    if attributes.get("approximate") in ("tanh", b"tanh"):
        return (0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),)
    return (0.5 * x * (1 + erf({}, x / math.sqrt(2))[0]),)


def hard_swish(attributes: Mapping[str, Any], x: Array) -> tuple[Array]:
    """x max(0, min(1, x / 6 + 1/2))."""
    return (x * np.clip(x / 6 + 0.5, 0, 1),)


def group_normalization(attributes: Mapping[str, Any], x: Array, scale: Array, bias: Array) -> tuple[Array]:
    """With a scale and a bias per channel, or, before opset 21, per group."""
    epsilon = attributes.get("epsilon")
    groups = x.reshape(x.shape[0], attributes["num_groups"], -1)
    deviation = groups - groups.mean(axis=2, keepdims=True)
    variance = (deviation**2).mean(axis=2, keepdims=True)
    y = (deviation / np.sqrt(variance + (1e-5 if epsilon is None else epsilon))).reshape(x.shape)
    per_channel = (-1, *[1] * (x.ndim - 2))
    scale, bias = (np.repeat(factor, x.shape[1] // len(factor)).reshape(per_channel) for factor in (scale, bias))
    return (y * scale + bias,)


def global_max_pool(attributes: Mapping[str, Any], x: Array) -> tuple[Array]:
    """The maximum over all axes after the batch and the channels."""
    return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


def max_pool(attributes: Mapping[str, Any], x: Array) -> tuple[Array]:
    """The maximum of each window, axis by axis."""
    for axis, windows, _ in _windows(attributes, x.shape):
        maxima = [x.take(places, axis).max(axis, initial=-np.inf) for places in windows]
        x = np.stack(maxima, axis)
    return (x,)


def average_pool(attributes: Mapping[str, Any], x: Array) -> tuple[Array]:
    """The mean of each window, without its pads or with them: the sums of each axis, and the numbers of each axis."""
    for axis, windows, padded in _windows(attributes, x.shape):
        if attributes.get("count_include_pad"):
            counts = padded
        else:
            counts = [len(places) for places in windows]
        means = [x.take(places, axis).sum(axis) / count for places, count in zip(windows, counts, strict=True)]
        x = np.stack(means, axis)
    return (x,)


def _windows(attributes: Mapping[str, Any], shape: tuple[int, ...]) -> list[tuple[int, list[Array], list[int]]]:
    """Of each axis after the batch and the channels: its number, the places of each window without pads, and how many
    places each window has with pads.
    """
    kernel = attributes["kernel_shape"]
    rank = len(kernel)
    strides = attributes.get("strides") or [1] * rank
    dilations = attributes.get("dilations") or [1] * rank
    pads = attributes.get("pads") or [0] * (2 * rank)
    rule = attributes.get("auto_pad") or "NOTSET"
    axes = []
    for number in range(rank):
        size = shape[2 + number]
        stride = strides[number]
        extent = (kernel[number] - 1) * dilations[number] + 1
        before = pads[number]
        after = pads[rank + number]
        if rule == "VALID":
            before = 0
            after = 0
        elif rule != "NOTSET":
            missing = max(0, (math.ceil(size / stride) - 1) * stride + extent - size)
            # An odd number of pads has one more at the end, or in front.
            before = missing // 2
            if rule == "SAME_LOWER":
                before = missing - missing // 2
            after = missing - before
        steps = (size + before + after - extent) / stride
        count = 1 + math.floor(steps)
        if attributes.get("ceil_mode"):
            count = 1 + math.ceil(steps)
        if (count - 1) * stride >= size + before:
            count -= 1  # the last window would start after the last number
        windows = []
        padded = []
        for window in range(count):
            places = window * stride - before + dilations[number] * np.arange(kernel[number])
            windows.append(places[(places >= 0) & (places < size)])
            padded.append(int((places < size + after).sum()))
        axes.append((2 + number, windows, padded))
    return axes


def lstm(attributes: Mapping[str, Any], *inputs: Array | None) -> tuple[Array, ...]:
    """Y, Y_h and Y_c of X, W, R, B, sequence_lens, initial_h, initial_c, P."""

    def step(layer: _Direction, x: Array, state: list[Array]) -> list[Array]:
        h, c = state
        units = layer.units
        sums = x @ layer.w.T + h @ layer.r.T + layer.wb + layer.rb
        i, o, f, g = (sums[:, n * units : (n + 1) * units] for n in range(4))
        p_i, p_o, p_f = np.split(layer.peepholes, 3)
        of_gate, of_input, of_output = layer.activations
        i = of_gate(layer.clipped(i + p_i * c))
        f = of_gate(layer.clipped(f + p_f * c))
        c = f * c + i * of_input(layer.clipped(g))
        o = of_gate(layer.clipped(o + p_o * c))
        return [o * of_output(c), c]

    return _run(attributes, inputs, 4, ("Sigmoid", "Tanh", "Tanh"), 2, step)


def gru(attributes: Mapping[str, Any], *inputs: Array | None) -> tuple[Array, ...]:
    """Y and Y_h of X, W, R, B, sequence_lens, initial_h."""

    def step(layer: _Direction, x: Array, state: list[Array]) -> list[Array]:
        (h,) = state
        units = layer.units
        of_x = x @ layer.w.T + layer.wb
        of_gate, of_hidden = layer.activations
        gates = of_x[:, : 2 * units] + h @ layer.r[: 2 * units].T + layer.rb[: 2 * units]
        z = of_gate(layer.clipped(gates[:, :units]))
        r = of_gate(layer.clipped(gates[:, units:]))
        r_h = layer.r[2 * units :]
        rb_h = layer.rb[2 * units :]
        if attributes.get("linear_before_reset"):
            recurrent = r * (h @ r_h.T + rb_h)
        else:
            recurrent = (r * h) @ r_h.T + rb_h
        candidate = of_hidden(layer.clipped(of_x[:, 2 * units :] + recurrent))
        return [(1 - z) * candidate + z * h]

    return _run(attributes, inputs, 3, ("Sigmoid", "Tanh"), 1, step)


def rnn(attributes: Mapping[str, Any], *inputs: Array | None) -> tuple[Array, ...]:
    """Y and Y_h of X, W, R, B, sequence_lens, initial_h."""

    def step(layer: _Direction, x: Array, state: list[Array]) -> list[Array]:
        (h,) = state
        (of_hidden,) = layer.activations
        return [of_hidden(layer.clipped(x @ layer.w.T + h @ layer.r.T + layer.wb + layer.rb))]

    return _run(attributes, inputs, 1, ("Tanh",), 1, step)


class _Direction:
    """The weights and activations of one direction, by its number."""

    def __init__(
        self, attributes: Mapping[str, Any], inputs: Sequence[Array | None], number: int, directions: int,
        gates: int, defaults: Sequence[str],
    ) -> None:  # fmt: skip
        x, w, r, b = inputs[:4]
        assert x is not None
        assert w is not None
        assert r is not None
        self.w = w[number]
        self.r = r[number]
        self.units = self.r.shape[1]
        rows = gates * self.units
        biases = np.zeros(2 * rows, x.dtype) if b is None else b[number]
        self.wb, self.rb = np.split(biases, 2)
        peepholes = inputs[7] if len(inputs) > 7 else None
        self.peepholes = np.zeros(3 * self.units, x.dtype) if peepholes is None else peepholes[number]
        self.clip = attributes.get("clip") or 0.0
        self.activations = _activations(attributes, number, directions, defaults)

    def clipped(self, x: Array) -> Array:
        return np.clip(x, -self.clip, self.clip) if self.clip else x


def _run(
    attributes: Mapping[str, Any],
    inputs: Sequence[Array | None],
    gates: int,
    defaults: Sequence[str],
    states: int,
    step: Callable[[_Direction, Array, list[Array]], list[Array]],
) -> tuple[Array, ...]:
    """The outputs of all directions. A sequence ends after its length: its state stays, and its outputs are 0."""
    inputs = (*inputs, *(None,) * (8 - len(inputs)))
    x = inputs[0]
    assert x is not None
    layout = attributes.get("layout") or 0
    if layout:
        x = x.swapaxes(0, 1)
    steps, batch = x.shape[:2]
    direction = attributes.get("direction") or "forward"
    reverses = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
    lengths = np.full(batch, steps) if inputs[4] is None else inputs[4]
    outputs = []
    last: list[list[Array]] = [[] for _ in range(states)]
    for number, reverse in enumerate(reverses):
        layer = _Direction(attributes, inputs, number, len(reverses), gates, defaults)
        state = []
        for initial in inputs[5 : 5 + states]:
            if initial is None:
                state.append(np.zeros((batch, layer.units), x.dtype))
            else:
                state.append(initial[:, number] if layout else initial[number])
        y = np.zeros((steps, batch, layer.units), x.dtype)
        for t in reversed(range(steps)) if reverse else range(steps):
            read = (t < lengths)[:, None]
            after = step(layer, x[t], state)
            state = [np.where(read, new, old) for new, old in zip(after, state, strict=True)]
            y[t] = np.where(read, after[0], 0)
        outputs.append(y)
        for place, final in enumerate(state):
            # The specification does not say what a sequence without a step returns; ONNX Runtime returns 0.
            last[place].append(np.where((lengths > 0)[:, None], final, 0))
    whole = np.stack(outputs, axis=1)  # (T, directions, B, H)
    finals = [np.stack(final) for final in last]  # (directions, B, H)
    if layout:
        return whole.transpose(2, 0, 1, 3), *(final.swapaxes(0, 1) for final in finals)
    return whole, *finals


def _activations(
    attributes: Mapping[str, Any], number: int, directions: int, defaults: Sequence[str]
) -> list[_Activation]:
    """Those of one direction. activation_alpha and activation_beta have a number per activation that has one."""
    names = list(attributes.get("activations") or [*defaults] * directions)
    alphas = list(attributes.get("activation_alpha") or [])
    betas = list(attributes.get("activation_beta") or [])
    chosen = []
    for name in names:
        kind = name.decode() if isinstance(name, bytes) else name
        alpha, beta, function = _ACTIVATIONS[kind.lower()]
        if alpha is not None and alphas:
            alpha = alphas.pop(0)
        if beta is not None and betas:
            beta = betas.pop(0)
        chosen.append(_with_parameters(function, alpha, beta))
    return chosen[number * len(defaults) : (number + 1) * len(defaults)]


def _with_parameters(function: Callable[..., Array], alpha: float | None, beta: float | None) -> _Activation:
    return lambda x: function(x, alpha, beta)


def _sigmoid(x: Array, alpha: float, beta: float) -> Array:
    return (1 + np.tanh(x / 2)) / 2


_ACTIVATIONS: dict[str, tuple[float | None, float | None, Callable[..., Array]]] = {
    "relu": (None, None, lambda x, alpha, beta: np.maximum(x, 0)),
    "tanh": (None, None, lambda x, alpha, beta: np.tanh(x)),
    "sigmoid": (None, None, _sigmoid),
    "affine": (1.0, 0.0, lambda x, alpha, beta: alpha * x + beta),
    "leakyrelu": (float(np.float32(0.01)), None, lambda x, alpha, beta: np.where(x < 0, alpha * x, x)),
    "thresholdedrelu": (1.0, None, lambda x, alpha, beta: np.where(x >= alpha, x, 0)),
    "scaledtanh": (1.0, 1.0, lambda x, alpha, beta: alpha * np.tanh(beta * x)),
    "hardsigmoid": (float(np.float32(0.2)), 0.5, lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1)),
    "elu": (1.0, None, lambda x, alpha, beta: np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x)),
    "softsign": (None, None, lambda x, alpha, beta: x / (1 + np.abs(x))),
    "softplus": (None, None, lambda x, alpha, beta: np.logaddexp(x, 0)),
}
"""alpha, beta, which are float32 in ONNX, and the function of each activation, by its name in small letters."""


_OPERATORS: dict[str, Callable[..., tuple[Array, ...]]] = {
    "AveragePool": average_pool,
    "Erf": erf,
    "GRU": gru,
    "Gelu": gelu,
    "GlobalMaxPool": global_max_pool,
    "GroupNormalization": group_normalization,
    "HardSwish": hard_swish,
    "LSTM": lstm,
    "MaxPool": max_pool,
    "RNN": rnn,
}
"""Of their attributes and inputs. `_run` of onnx gets the attributes with their defaults, None where there is none."""
