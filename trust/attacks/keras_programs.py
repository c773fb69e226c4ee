"""`KerasProgram`: a random functional network of Keras, of layers and operations that read any tensor before them.

A few steps are hostile: they are random, act in each call or for some numbers only, or change what a layer computes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gatewise.types import Array
from trust.mutate import Rng, choice

Kind = Literal["ids", "sequence", "vector"]
MOST_STEPS = 12
WIDEST = 24  # features
HOSTILE = 0.15  # of the networks have a hostile step
FIXED = 7  # steps of a network with a fixed number of them

ACTIVATIONS = (
    *("relu", "tanh", "sigmoid", "gelu", "elu", "selu", "silu", "softplus", "softsign", "leaky_relu", "relu6"),
    *("hard_sigmoid", "hard_silu", "mish", "softmax", "log_softmax", "linear", "celu", "tanh_shrink"),
    *("hard_tanh", "squareplus", "log_sigmoid", "soft_shrink", "hard_shrink", "sparse_plus", "glu"),
)


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of a network: "ids" (B, T), "sequence" (B, T, F) or "vector" (B, F). features: F, or the size of the
    vocabulary. steps: tensors with equal T have the same text.
    """

    number: int
    kind: Kind
    tensor: Any
    features: int
    steps: str = ""


class KerasProgram:
    """A random network, of the module `keras` and a generator. kept: numbers of steps; the others are left out:
    the first input of a step that is left out takes its place, where that is of its kind. None for all steps.
    """

    def __init__(self, keras: Any, rng: Rng, kept: Collection[int] | None = None) -> None:
        self.keras = keras
        self.ops = keras.ops
        self.kept = kept
        self.fixed = bool(rng.random() < 0.3)
        self.values: list[Value] = []
        self.texts: dict[int, str] = {}
        self._draw_inputs(rng)
        self.inputs = list(self.values)
        count = int(rng.integers(2, MOST_STEPS + 1))
        hostile = int(rng.integers(count)) if rng.random() < HOSTILE else -1
        recurrent = int(rng.integers(count))
        for number in range(count):
            if number == recurrent:
                _recurrent(rng, self, self._last_sequence(rng))
            self._draw_step(rng, hostile=number == hostile)
        numbers = [value for value in self.values[len(self.inputs) :] if value.kind != "ids"]
        outputs = numbers[-1:]
        if len(numbers) > 1 and rng.random() < 0.3:
            outputs.append(choice(rng, numbers[:-1]))
        tensors = [value.tensor for value in outputs]
        self.network = keras.Model([value.tensor for value in self.inputs], tensors if len(tensors) > 1 else tensors[0])
        self.outputs = [value.number for value in outputs]
        self._randomise(int(rng.integers(2**31)))

    def add(
        self,
        text: str,
        compute: Callable[..., Any],
        *inputs: Value,
        kind: Kind | None = None,
        features: int | None = None,
        steps: str | None = None,
    ) -> None:
        """A new tensor; what is not said of it is as in the first input. Nothing where Keras refuses the layer."""
        like = inputs[0]
        number = max(self.texts, default=len(self.inputs)) + 1
        kind = kind or like.kind
        features = like.features if features is None else features
        steps = like.steps if steps is None else steps
        same = (kind, features, steps) == (like.kind, like.features, like.steps)
        if self.kept is not None and number not in self.kept and same:
            # Its number is used up, so that those of the later steps stay as they are.
            self.texts[number] = ""
            self.values.append(Value(like.number, kind, like.tensor, features, steps))
            return
        try:
            tensor = compute(*(value.tensor for value in inputs))
        except (ValueError, TypeError):
            self.texts[number] = ""
            return
        self.texts[number] = f"v{number} = {text}({', '.join(f'v{value.number}' for value in inputs)})"
        self.values.append(Value(number, kind, tensor, features, steps))

    def arguments(self, rng: Rng, batch: int, steps: int) -> tuple[Array, ...]:
        """Random inputs: ids with pads anywhere, also whole rows; numbers of magnitudes from 1e-3 to 1e3, some NaN."""
        if self.fixed:
            steps = FIXED
        arrays: list[Array] = []
        for value in self.inputs:
            if value.kind == "ids":
                array = rng.integers(0, value.features, (batch, steps))
                if rng.random() < 0.6:
                    array[rng.random(array.shape) < 0.4] = 0
            else:
                shape = (batch, value.features) if value.kind == "vector" else (batch, steps, value.features)
                size = 10 ** rng.uniform(-3, 3, shape if rng.random() < 0.2 else ())
                array = (size * rng.standard_normal(shape)).astype(np.float32)
                if value.kind == "sequence" and rng.random() < 0.5:
                    array[rng.random(shape[:2]) < 0.4] = choice(rng, [0.0, -1.0])
                if rng.random() < 0.1:
                    array[rng.random(shape) < 0.1] = np.nan
            arrays.append(array)
        return tuple(arrays)

    def __str__(self) -> str:
        """The network in one line."""
        inputs = ", ".join(f"v{value.number}: {value.kind} {value.features}" for value in self.inputs)
        steps = "; ".join(text for text in self.texts.values() if text)
        fixed = f"{FIXED} steps; " if self.fixed else ""
        return f"{fixed}{inputs}; {steps}; return {', '.join(f'v{number}' for number in self.outputs)}"

    def _draw_inputs(self, rng: Rng) -> None:
        steps = FIXED if self.fixed else None
        for kind in choice(rng, [["ids"], ["ids"], ["series"], ["series"], ["ids", "series"], ["ids", "table"]]):
            number = len(self.values)
            if kind == "ids":
                size = int(choice(rng, [3, 11, 40]))
                self.values.append(Value(number, "ids", self.keras.Input((steps,), dtype="int32"), size, "T"))
            elif kind == "series":
                width = int(rng.integers(1, 5))
                self.values.append(Value(number, "sequence", self.keras.Input((steps, width)), width, "T"))
            else:
                width = int(rng.integers(1, 5))
                self.values.append(Value(number, "vector", self.keras.Input((width,)), width))

    def _last_sequence(self, rng: Rng) -> Value:
        sequences = [value for value in self.values if value.kind == "sequence"]
        if not sequences:
            _embedding(rng, self, next(value for value in self.values if value.kind == "ids"))
            return self.values[-1]
        return sequences[-1]

    def _draw_step(self, rng: Rng, *, hostile: bool) -> None:
        value = choice(rng, self.values[-2:] if rng.random() < 0.85 else self.values)
        if value.kind == "ids":
            choice(rng, [_embedding, _embedding, _ids_changed])(rng, self, value)
        elif hostile:
            _hostile(rng, self, value)
        else:
            choice(rng, _OPERATIONS[value.kind])(rng, self, value)

    def _randomise(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        for variable in self.network.weights:
            if variable.name in ("seed_generator_state", "count") or "seed" in variable.path:
                continue
            shape = tuple(variable.shape)
            if variable.name in ("moving_variance", "variance"):
                values = rng.uniform(0.5, 1.5, shape)
            elif len(shape) > 1:
                values = rng.normal(0, 1.2 / np.sqrt(shape[-2]), shape)
            else:
                values = rng.normal(0.2, 0.4, shape)
            variable.assign(values.astype(np.float32))


Draw = Callable[[Rng, KerasProgram, Value], object]


def _width(rng: Rng) -> int:
    return int(rng.integers(1, 7))


def _constant(rng: Rng) -> float:
    return float(choice(rng, [0.0, 1.0, -1.0, 0.5, 0.1, 2.0, 10.0, -999.0, round(float(rng.normal()), 2)]))


def _new_steps(program: KerasProgram) -> str:
    return f"steps {len(program.texts)}"


def _embedding(rng: Rng, program: KerasProgram, value: Value) -> None:
    width = _width(rng)
    masked = bool(rng.random() < 0.6)
    layer = program.keras.layers.Embedding(value.features, width, mask_zero=masked)
    program.add(f"Embedding({width}, mask_zero={masked})", layer, value, kind="sequence", features=width)


def _ids_changed(rng: Rng, program: KerasProgram, value: Value) -> None:
    ops = program.ops
    token = int(rng.integers(value.features))
    functions: dict[str, Callable[[Any], Any]] = {
        f"where(== {token}, 0)": lambda x: ops.where(ops.equal(x, token), 0, x),
        f"minimum({token})": lambda x: ops.minimum(x, token),
        f"% {token + 1}": lambda x: x % (token + 1),
        f"// {token + 1}": lambda x: x // (token + 1),
        "flip": lambda x: ops.flip(x, axis=1),
        f"clip(1, {token + 1})": lambda x: ops.clip(x, 1, token + 1) - 1,
    }
    name = choice(rng, sorted(functions))
    program.add(f"ids {name}", functions[name], value)


def _cell(rng: Rng, program: KerasProgram, units: int, *, layer: bool, **options: Any) -> tuple[str, Any]:
    """A recurrent layer, or its cell, and what it is."""
    name = choice(rng, ["LSTM", "LSTM", "GRU", "SimpleRNN"])
    if rng.random() < 0.2:
        options["activation"] = choice(rng, ["relu", "sigmoid", "softsign", "linear", "elu"])
    if rng.random() < 0.2 and name != "SimpleRNN":
        options["recurrent_activation"] = choice(rng, ["hard_sigmoid", "tanh"])
    if rng.random() < 0.15:
        options["use_bias"] = False
    if name == "GRU" and rng.random() < 0.5:
        options["reset_after"] = False
    shown = ", ".join(f"{key}={value}" for key, value in options.items())
    made = getattr(program.keras.layers, name if layer else f"{name}Cell")(units, **options)
    return f"{name}{'' if layer else 'Cell'}({units}, {shown})", made


def _recurrent(rng: Rng, program: KerasProgram, value: Value) -> None:
    layers = program.keras.layers
    units = _width(rng)
    each = bool(rng.random() < 0.6)
    kind: Kind = "sequence" if each else "vector"
    backwards = bool(rng.random() < 0.2)
    how = choice(
        rng, ["layer", "layer", "layer", "bidirectional", "bidirectional", "cell", "stacked", "states", "start"]
    )
    if how in ("layer", "states", "start"):
        name, layer = _cell(rng, program, units, layer=True, return_sequences=each, go_backwards=backwards)
        if how == "states":
            layer.return_state = True
            place = -1 if rng.random() < 0.5 else 1
            program.add(f"{name} state {place}", lambda x: layer(x)[place], value, kind="vector", features=units)
            return
        vectors = [other for other in program.values if other.kind == "vector"]
        if how == "start" and vectors:
            start = choice(rng, vectors)
            first, second = layers.Dense(units), layers.Dense(units, activation="tanh")

            def from_state(x: Any, v: Any) -> Any:
                states = [first(v), second(v)] if name.startswith("LSTM") else first(v)
                return layer(x, initial_state=states)

            program.add(f"{name} from a state", from_state, value, start, kind=kind, features=units)
            return
        program.add(name, layer, value, kind=kind, features=units)
    elif how == "bidirectional":
        mode = choice(rng, ["concat", "sum", "mul", "ave"])
        name, layer = _cell(rng, program, units, layer=True, return_sequences=each)
        both = layers.Bidirectional(layer, merge_mode=mode)
        features = units * (1 + (mode == "concat"))
        program.add(f"Bidirectional({name}, {mode})", both, value, kind=kind, features=features)
    else:
        cells = [_cell(rng, program, units, layer=False) for _ in range(2 if how == "stacked" else 1)]
        text = ", ".join(name for name, _ in cells)
        inner = layers.StackedRNNCells([cell for _, cell in cells]) if how == "stacked" else cells[0][1]
        zero = bool(rng.random() < 0.2)
        layer = layers.RNN(inner, return_sequences=each, go_backwards=backwards, zero_output_for_mask=zero)
        program.add(f"RNN({text}, each={each}, {backwards}, {zero})", layer, value, kind=kind, features=units)


def _masking(rng: Rng, program: KerasProgram, value: Value) -> None:
    number = choice(rng, [0.0, -1.0])
    program.add(f"Masking({number})", program.keras.layers.Masking(number), value)


def _dense(rng: Rng, program: KerasProgram, value: Value) -> None:
    width = _width(rng)
    activation = choice(rng, [None, *(name for name in ACTIVATIONS if name != "glu")])
    layer = program.keras.layers.Dense(width, activation=activation, use_bias=bool(rng.random() < 0.8))
    if value.kind == "sequence" and rng.random() < 0.4:
        layer = program.keras.layers.TimeDistributed(layer)
    program.add(f"{type(layer).__name__}({width}, {activation})", layer, value, features=width)


def _activation(rng: Rng, program: KerasProgram, value: Value) -> None:
    layers = program.keras.layers
    makers: dict[str, Callable[[], Any]] = {
        **{name: (lambda name=name: layers.Activation(name)) for name in ACTIVATIONS if name != "glu"},  # type: ignore[misc]
        "ReLU(1.5, 0.1, 0.2)": lambda: layers.ReLU(1.5, 0.1, 0.2),
        "LeakyReLU(0.2)": lambda: layers.LeakyReLU(negative_slope=0.2),
        "PReLU": lambda: layers.PReLU(shared_axes=[1] if value.kind == "sequence" else None),
        "ELU(0.7)": lambda: layers.ELU(0.7),
        "Softmax": layers.Softmax,
        "Softmax of steps": lambda: layers.Softmax(axis=1),
        "Dropout": lambda: layers.Dropout(0.4),
        "SpatialDropout1D": lambda: layers.SpatialDropout1D(0.4),
        "GaussianNoise": lambda: layers.GaussianNoise(0.5),
        "GaussianDropout": lambda: layers.GaussianDropout(0.5),
        "Identity": layers.Identity,
        "ActivityRegularization": lambda: layers.ActivityRegularization(l2=0.1),
        "Rescaling": lambda: layers.Rescaling(0.1, offset=-0.5),
        "Normalization": lambda: layers.Normalization(mean=[1.5] * value.features, variance=[4.0] * value.features),
    }
    name = choice(rng, sorted(makers))
    program.add(name, makers[name](), value)


def _norm(rng: Rng, program: KerasProgram, value: Value) -> None:
    """No GroupNormalization: Keras computes it in float32 in any dtype, and its variance cancels."""
    layers = program.keras.layers
    makers: dict[str, Callable[[], Any]] = {
        "BatchNormalization": layers.BatchNormalization,
        "BatchNormalization without a scale": lambda: layers.BatchNormalization(scale=False, epsilon=0.01),
        "LayerNormalization": layers.LayerNormalization,
        "RMSNormalization": layers.RMSNormalization,
        "UnitNormalization": layers.UnitNormalization,
    }
    name = choice(rng, sorted(makers))
    program.add(name, makers[name](), value)


def _arithmetic(rng: Rng, program: KerasProgram, value: Value) -> None:
    ops = program.ops
    a, b = _constant(rng), _constant(rng)
    functions: dict[str, Callable[[Any], Any]] = {
        f"x + {a}": lambda x: x + a,
        f"{a} - x": lambda x: a - x,
        f"x * {a}": lambda x: x * a,
        f"x / {abs(a) + 0.5}": lambda x: x / (abs(a) + 0.5),
        f"{a} / (abs + 1)": lambda x: a / (ops.abs(x) + 1),
        "x ** 2": lambda x: x**2,
        "sqrt": lambda x: ops.sqrt(ops.absolute(x)),
        "exp": lambda x: ops.exp(-ops.abs(x)),
        "log1p": lambda x: ops.log1p(ops.abs(x)),
        "log": lambda x: ops.log(ops.abs(x) + 1e-3),
        "sin": lambda x: ops.sin(x),
        "sign": lambda x: ops.sign(x),
        "floor": lambda x: ops.floor(x),
        "square": lambda x: ops.square(x) - x,
        "rsqrt": lambda x: ops.rsqrt(x * x + 1),
        f"where(> {a}, {b})": lambda x: ops.where(x > a, b, x),
        f"where(<= {a})": lambda x: ops.where(ops.less_equal(x, a), -x, x),
        f"x * (x < {a})": lambda x: x * ops.cast(x < a, x.dtype),
        f"maximum({a})": lambda x: ops.maximum(x, a),
        f"minimum({a})": lambda x: ops.minimum(x, a),
        f"clip({min(a, b)}, {max(a, b)})": lambda x: ops.clip(x, min(a, b), max(a, b)),
        "nan_to_num": lambda x: ops.nan_to_num(x),
        "isnan": lambda x: ops.where(ops.isnan(x), 0.0, x),
        "negative": lambda x: -x,
        "Lambda": lambda x: program.keras.layers.Lambda(lambda t: t * 0.5 + a)(x),
        "standardised": lambda x: (x - ops.mean(x, -1, keepdims=True)) / (ops.std(x, -1, keepdims=True) + 0.1),
    }
    name = choice(rng, sorted(functions))
    program.add(name, functions[name], value)


def _two(rng: Rng, program: KerasProgram, value: Value) -> None:
    layers = program.keras.layers
    ops = program.ops
    others = [other for other in program.values if (other.kind, other.steps) == (value.kind, value.steps)]
    other = choice(rng, others)
    if other.features != value.features or rng.random() < 0.35:
        features = value.features + other.features
        if features <= WIDEST:
            layer = layers.Concatenate()
            program.add("Concatenate", lambda x, y: layer([x, y]), value, other, features=features)
        return
    if value.kind == "sequence" and rng.random() < 0.1:
        joined = layers.Concatenate(axis=1)
        program.add("Concatenate steps", lambda x, y: joined([x, y]), value, other, steps=_new_steps(program))
        return
    functions: dict[str, Callable[[Any, Any], Any]] = {
        "x + y": lambda x, y: x + y,
        "x - y": lambda x, y: x - y,
        "x * y": lambda x, y: x * y,
        "x / (abs(y) + 1)": lambda x, y: x / (ops.abs(y) + 1),
        "where": lambda x, y: ops.where(x > y, x, y * 0.5),
        "stack": lambda x, y: ops.mean(ops.stack([x, y], axis=0), axis=0),
        **{
            name: (lambda x, y, name=name: getattr(layers, name)()([x, y]))  # type: ignore[misc]
            for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
        },
    }
    name = choice(rng, sorted(functions))
    program.add(name, functions[name], value, other)


def _features(rng: Rng, program: KerasProgram, value: Value) -> None:
    ops = program.ops
    count = value.features
    first = int(rng.integers(count))
    last = int(rng.integers(first, count)) + 1
    order = rng.permutation(count).tolist()
    choices: dict[str, tuple[Callable[[Any], Any], int]] = {
        f"[..., {first}:{last}]": (lambda x: x[..., first:last], last - first),
        "take": (lambda x: ops.take(x, order, axis=-1), count),
        "flip": (lambda x: ops.flip(x, axis=-1), count),
        "roll": (lambda x: ops.roll(x, 1, axis=-1), count),
        "cumsum": (lambda x: ops.cumsum(x, axis=-1), count),
        "sum": (lambda x: ops.sum(x, axis=-1, keepdims=True), 1),
        "max": (lambda x: ops.max(x, axis=-1, keepdims=True), 1),
        "mean": (lambda x: ops.expand_dims(ops.mean(x, axis=-1), -1), 1),
        "norm": (lambda x: ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True)), 1),
        "logsumexp": (lambda x: ops.logsumexp(x, axis=-1, keepdims=True), 1),
        "concatenate": (lambda x: ops.concatenate([x, x], axis=-1), 2 * count),
        "sort": (lambda x: ops.sort(x, axis=-1), count),
    }
    if count % 2 == 0:
        choices["split"] = (lambda x: ops.split(x, 2, axis=-1)[1], count // 2)
        choices["glu"] = (lambda x: ops.glu(x), count // 2)
    name = choice(rng, sorted(choices))
    compute, features = choices[name]
    if features <= WIDEST:
        program.add(name, compute, value, features=features)


def _convolution(rng: Rng, program: KerasProgram, value: Value) -> None:
    layers = program.keras.layers
    width = _width(rng)
    size = int(choice(rng, [1, 2, 3, 5]))
    padding = choice(rng, ["same", "causal", "valid"])
    how = choice(rng, ["conv", "conv", "conv", "strided", "depthwise", "separable", "max", "mean", "same max"])
    steps = value.steps if padding != "valid" or size == 1 else _new_steps(program)
    if how == "conv":
        dilation = int(choice(rng, [1, 1, 2])) if padding != "valid" else 1
        layer = layers.Conv1D(
            width, size, padding=padding, dilation_rate=dilation, activation=choice(rng, [None, "relu"])
        )
    elif how == "strided":
        steps = _new_steps(program)
        layer = layers.Conv1D(width, size, padding=padding, strides=2)
    elif how == "depthwise":
        padding = "same"
        width = value.features
        steps = value.steps
        layer = layers.DepthwiseConv1D(size, padding=padding)
    elif how == "separable":
        layer = layers.SeparableConv1D(width, size, padding=padding)
    else:
        width = value.features
        padding = "same" if how == "same max" else choice(rng, ["same", "valid"])
        strides = 1 if how == "same max" else 2
        steps = value.steps if how == "same max" else _new_steps(program)
        pool = layers.AveragePooling1D if how == "mean" else layers.MaxPooling1D
        size = 3 if how == "same max" else 2
        layer = pool(size, strides=strides, padding=padding)
    program.add(f"{type(layer).__name__}({width}, {size}, {padding}, {how})", layer, value, features=width, steps=steps)


def _steps(rng: Rng, program: KerasProgram, value: Value) -> None:
    ops = program.ops
    layers = program.keras.layers
    bound = int(choice(rng, [1, 2, 3, 5]))
    choices: dict[str, tuple[Callable[[Any], Any], bool]] = {
        "flip steps": (lambda x: ops.flip(x, axis=1), True),
        "minus last": (lambda x: x - x[:, -1:], True),
        "minus mean": (lambda x: x - ops.mean(x, axis=1, keepdims=True), True),
        "cumsum steps": (lambda x: ops.cumsum(x, axis=1), True),
        "softmax steps": (lambda x: ops.softmax(x, axis=1), True),
        "shifted": (lambda x: ops.concatenate([x[:, :1] * 0.0, x[:, :-1]], axis=1), True),
        f"[:, :{bound}]": (lambda x: x[:, :bound], False),
        f"[:, -{bound}:]": (lambda x: x[:, -bound:], False),
        f"[:, {bound}:]": (lambda x: x[:, bound:], False),
        f"[:, :-{bound}]": (lambda x: x[:, :-bound], False),
        "[:, ::2]": (lambda x: x[:, ::2], False),
        "ZeroPadding1D": (layers.ZeroPadding1D((2, 1)), False),
        "Cropping1D": (layers.Cropping1D((1, 0)), False),
        "UpSampling1D": (layers.UpSampling1D(2), False),
        "pad": (lambda x: ops.pad(x, [(0, 0), (1, 0), (0, 0)]), False),
        "step 0": (lambda x: ops.expand_dims(x[:, 0], 1), False),
        "repeat": (lambda x: ops.repeat(x, 2, axis=1), False),
    }
    name = choice(rng, sorted(choices))
    compute, same = choices[name]
    program.add(name, compute, value, steps=value.steps if same else _new_steps(program))


def _fixed(rng: Rng, program: KerasProgram, value: Value) -> None:
    """What needs a fixed number of steps."""
    if not program.fixed or value.steps != "T":
        _steps(rng, program, value)
        return
    layers = program.keras.layers
    count = value.features
    how = choice(rng, ["Flatten", "Permute", "Reshape"])
    if how == "Flatten" and FIXED * count <= 2 * WIDEST:
        program.add("Flatten", layers.Flatten(), value, kind="vector", features=FIXED * count, steps="")
    elif how == "Permute":
        width = layers.Dense(count)
        program.add("Permute", lambda x: width(layers.Permute((2, 1))(x)), value, steps=_new_steps(program))
    else:
        program.add("Reshape", layers.Reshape((count, FIXED)), value, features=FIXED, steps=_new_steps(program))


def _attention(rng: Rng, program: KerasProgram, value: Value) -> None:
    layers = program.keras.layers
    count = value.features
    how = choice(rng, ["Attention", "scaled Attention", "AdditiveAttention", "MultiHeadAttention", "cross", "Dot"])
    if how == "MultiHeadAttention":
        layer = layers.MultiHeadAttention(2, 3)
        causal = bool(rng.random() < 0.3)
        program.add(f"{how}(causal={causal})", lambda x: layer(x, x, use_causal_mask=causal), value)
    elif how == "cross":
        other = choice(rng, [one for one in program.values if one.kind == "sequence"])
        to_keys = layers.Dense(count)
        layer = layers.Attention()
        program.add("cross Attention", lambda x, y: layer([x, to_keys(y)]), value, other)
    elif how == "Dot":
        scores = layers.Dot(axes=2)
        weighted = layers.Dot(axes=(2, 1))
        program.add("Dot", lambda x: weighted([layers.Softmax()(scores([x, x])), x]), value)
    else:
        maker = layers.AdditiveAttention if how == "AdditiveAttention" else layers.Attention
        layer = maker(use_scale=how != "Attention")
        program.add(how, lambda x: layer([x, x]), value)


def _pooling(rng: Rng, program: KerasProgram, value: Value) -> None:
    ops = program.ops
    layers = program.keras.layers
    score = layers.Dense(1)
    functions: dict[str, Callable[[Any], Any]] = {
        "GlobalAveragePooling1D": layers.GlobalAveragePooling1D(),
        "GlobalMaxPooling1D": layers.GlobalMaxPooling1D(),
        "last step": lambda x: x[:, -1],
        "first step": lambda x: x[:, 0, :],
        "mean steps": lambda x: ops.mean(x, axis=1),
        "max steps": lambda x: ops.max(x, axis=1),
        "sum steps": lambda x: ops.sum(x, axis=1),
        "mean of last three": lambda x: ops.mean(x[:, -3:], axis=1),
        "std steps": lambda x: ops.std(x, axis=1),
        "attention": lambda x: ops.sum(x * ops.softmax(score(x), axis=1), axis=1),
        "Lambda": lambda x: layers.Lambda(lambda t: ops.sum(t, axis=1))(x),
    }
    name = choice(rng, sorted(functions))
    ids = [other for other in program.values if other.kind == "ids" and other.steps == value.steps]
    if ids and rng.random() < 0.3:

        def masked_mean(x: Any, ids: Any) -> Any:
            mask = ops.expand_dims(ops.cast(ids != 0, x.dtype), -1)
            return ops.sum(x * mask, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1.0)

        program.add("masked mean", masked_mean, value, choice(rng, ids), kind="vector", steps="")
        return
    program.add(name, functions[name], value, kind="vector", steps="")


def _repeated(rng: Rng, program: KerasProgram, value: Value) -> None:
    layers = program.keras.layers
    if rng.random() < 0.5:
        program.add("RepeatVector", layers.RepeatVector(4), value, kind="sequence", steps=_new_steps(program))
        return
    sequences = [other for other in program.values if other.kind == "sequence"]
    if sequences:
        other = choice(rng, sequences)
        width = layers.Dense(other.features)
        program.add("sequence + vector", lambda y, x: y + program.ops.expand_dims(width(x), 1), other, value)


def _hostile(rng: Rng, program: KerasProgram, value: Value) -> None:
    keras = program.keras
    ops = program.ops
    layers = keras.layers
    calls: list[int] = []

    def counted(x: Any) -> Any:
        calls.append(1)
        return x * len(calls)

    class Doubled(layers.Layer):  # type: ignore[misc, name-defined]
        def call(self, x: Any) -> Any:
            return x * 2

    patched = layers.Dense(value.features)
    call = patched.call
    patched.call = lambda *args, **options: call(*args, **options) * 0.5
    functions: dict[str, Callable[[Any], Any]] = {
        "random": lambda x: layers.Lambda(lambda t: t + keras.random.normal(ops.shape(t)))(x),
        "counted": lambda x: layers.Lambda(counted)(x),
        "dropout in training": lambda x: layers.Dropout(0.5)(x, training=True),
        "norm in training": lambda x: layers.BatchNormalization()(x, training=True),
        "noise in training": lambda x: layers.GaussianNoise(0.5)(x, training=True),
        "a layer of its own": Doubled(),
        "a patched layer": patched,
        "batch mean": lambda x: x - ops.mean(x, axis=0, keepdims=True),
        "batch softmax": lambda x: ops.softmax(x, axis=0),
        "half": lambda x: ops.cast(ops.cast(x, "float16"), x.dtype),
        "integers": lambda x: ops.cast(ops.cast(ops.clip(x, -1e6, 1e6), "int32"), x.dtype),
        "Lambda by rows": lambda x: layers.Lambda(lambda t: t * 2 if t.shape[0] == 1 else t)(x),
        "Lambda by steps": lambda x: layers.Lambda(lambda t: t * 2 if (t.shape[1] or 0) > 8 else t)(x),
        "Lambda by numbers": lambda x: layers.Lambda(
            lambda t: t if isinstance(t, keras.KerasTensor) else t * float(ops.max(t))
        )(x),
    }
    name = choice(rng, sorted(functions))
    program.add(f"hostile {name}", functions[name], value)


_OPERATIONS: dict[str, list[Draw]] = {
    "sequence": [
        *(_recurrent, _recurrent, _recurrent, _recurrent, _masking, _masking, _dense, _activation, _norm, _arithmetic),
        *(_two, _features, _convolution, _steps, _fixed, _attention, _pooling, _pooling),
    ],
    "vector": [_dense, _activation, _norm, _arithmetic, _two, _features, _repeated],
}
