"""`Program`: a random module of PyTorch, of steps that read any of the values before them.

A step is one operation as people write it: a layer, a mask, a slice, a pooling, arithmetic. A few are hostile: they act
for some numbers, ids, sizes or calls only, or change something.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gatewise.types import Array
from trust.mutate import Rng, choice

Kind = Literal["ids", "sequence", "vector", "mask", "lengths"]
MOST_STEPS = 14
WIDEST = 24  # features
HOSTILE = 0.2  # of the modules have a hostile step
CHAOTIC = 0.05  # of the modules have large weights


@dataclass(frozen=True)
class Value:
    """A tensor of a module. kind: "ids" (B, T) integers, "sequence" (B, T, F), "vector" (B, F), "mask" (B, T) bools,
    "lengths" (B,). features: F, or the size of the vocabulary of ids. steps: values with equal T have the same text.
    """

    number: int
    kind: Kind
    features: int = 0
    steps: str = ""


@dataclass(frozen=True)
class Step:
    """text: what it computes. compute: of the tensors of the inputs."""

    text: str
    inputs: tuple[int, ...]
    output: Value
    compute: Callable[..., Any]


class Program(nn.Module):
    """A random module of a seed. kept: numbers of steps, of which the others are left out: a step that is left
    out returns its first input where that is of its kind. None for all steps.
    """

    def __init__(self, seed: int, kept: Collection[int] | None = None) -> None:
        super().__init__()
        self.seed = seed
        self.kept = kept
        rng = np.random.default_rng(seed)
        self.layers = nn.ModuleList()
        self.inputs: list[Value] = []
        self.steps: list[Step] = []
        self.values: list[Value] = []
        self.time_first = bool(rng.random() < 0.2)
        _draw_inputs(rng, self)
        hostile = int(rng.integers(1, MOST_STEPS)) if rng.random() < HOSTILE else -1
        count = int(rng.integers(3, MOST_STEPS + 1))
        recurrent = int(rng.integers(count))
        for number in range(count):
            if number == recurrent:
                _recurrent(rng, self, _last_sequence(rng, self))
            _draw_step(rng, self, hostile=number == hostile)
        if not any(value.kind in ("sequence", "vector") for value in self.values[len(self.inputs) :]):
            _draw_step(rng, self, hostile=False)
        self.outputs = _draw_outputs(rng, self)
        torch.manual_seed(int(rng.integers(2**31)))
        scale = 4.0 if rng.random() < CHAOTIC else 1.0
        _randomise(self, scale)
        if kept is not None:
            self._leave_out(kept)
        self._remove_unread()
        self.eval()

    def __deepcopy__(self, memo: dict[int, Any]) -> Program:
        """Built anew, because the steps hold the layers of this module."""
        copied = Program(self.seed, self.kept)
        for parameter in self.parameters():
            copied.to(parameter.dtype)
        copied.load_state_dict(self.state_dict())
        memo[id(self)] = copied
        return copied

    def add(
        self,
        text: str,
        compute: Callable[..., Any],
        *inputs: Value,
        kind: Kind | None = None,
        features: int | None = None,
        steps: str | None = None,
    ) -> Value:
        """A new step; what is not said of its value is as in the first input."""
        like = inputs[0]
        output = Value(
            len(self.values),
            kind or like.kind,
            like.features if features is None else features,
            like.steps if steps is None else steps,
        )
        self.steps.append(Step(text, tuple(value.number for value in inputs), output, compute))
        self.values.append(output)
        return output

    def input(self, kind: Kind, features: int = 0, steps: str = "T") -> Value:
        """A new input."""
        value = Value(len(self.values), kind, features, steps)
        self.inputs.append(value)
        self.values.append(value)
        return value

    def layer(self, layer: nn.Module) -> Any:
        """A layer, whose weights are drawn later."""
        self.layers.append(layer)
        return layer

    def forward(self, *arguments: Tensor) -> Any:
        tensors: dict[int, Any] = {}
        for value, tensor in zip(self.inputs, arguments, strict=True):
            by_time = self.time_first and value.kind in ("ids", "sequence")
            tensors[value.number] = tensor.transpose(0, 1) if by_time else tensor
        for step in self.steps:
            tensors[step.output.number] = step.compute(*(tensors[number] for number in step.inputs))
        outputs = tuple(tensors[number] for number in self.outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def arguments(self, rng: Rng, batch: int, steps: int, *, missing: float = 0.1) -> tuple[Array, ...]:
        """Random inputs: ids with pads anywhere or each once, numbers of magnitudes from 1e-3 to 1e3. missing: the
        probability that some of them are NaN.
        """
        lengths = {"T": steps, "U": int(rng.integers(1, steps + 3))}
        return tuple(self._argument(rng, value, batch, lengths.get(value.steps, 0), missing) for value in self.inputs)

    def _argument(self, rng: Rng, value: Value, batch: int, steps: int, missing: float) -> Array:
        array: Array
        if value.kind == "ids":
            array = rng.integers(0, value.features, (batch, steps))
            if rng.random() < 0.5:
                array[rng.random(array.shape) < 0.3] = 0
            elif rng.random() < 0.3:
                array = np.resize(rng.permutation(value.features), (batch, steps))  # each id, where there is room
        elif value.kind == "lengths":
            array = rng.integers(1, steps + 1, batch)
            array[int(rng.integers(batch))] = steps
        else:
            shape = (batch, value.features) if value.kind == "vector" else (batch, steps, value.features)
            size = 10 ** rng.uniform(-3, 3, shape if rng.random() < 0.2 else ())
            array = (size * rng.standard_normal(shape)).astype(np.float32)
            if rng.random() < 0.2:
                array[rng.random(shape) < 0.3] = 0
            if rng.random() < missing:
                array[rng.random(shape) < 0.1] = np.nan
        by_time = self.time_first and value.kind in ("ids", "sequence")
        return np.ascontiguousarray(array.swapaxes(0, 1)) if by_time else array

    def __str__(self) -> str:
        """The module in one line."""
        inputs = ", ".join(f"v{value.number}: {value.kind} {value.features}" for value in self.inputs)
        lines = [
            f"v{step.output.number} = {step.text}({', '.join(f'v{n}' for n in step.inputs)})" for step in self.steps
        ]
        outputs = ", ".join(f"v{number}" for number in self.outputs)
        order = "time first; " if self.time_first else ""
        return f"{order}{inputs}; {'; '.join(lines)}; return {outputs}"

    def _leave_out(self, kept: Collection[int]) -> None:
        """Replace the values of the steps that are left out by their first inputs."""
        names = {value.number: value.number for value in self.values}
        left = []
        for step in self.steps:
            first = self.values[step.inputs[0]]
            same = first.kind == step.output.kind and first.features == step.output.features
            if step.output.number not in kept and same and first.steps == step.output.steps:
                names[step.output.number] = names[step.inputs[0]]
            else:
                inputs = tuple(names[number] for number in step.inputs)
                left.append(Step(step.text, inputs, step.output, step.compute))
        self.steps = left
        outputs = [number for number in self.outputs if number in kept] or self.outputs
        self.outputs = [names[number] for number in outputs]

    def _remove_unread(self) -> None:
        """Remove the steps whose values are not needed."""
        needed = set(self.outputs)
        kept = []
        for step in reversed(self.steps):
            if step.output.number in needed:
                needed |= set(step.inputs)
                kept.append(step)
        self.steps = kept[::-1]


def _draw_inputs(rng: Rng, program: Program) -> None:
    kinds = choice(rng, [["ids"], ["ids"], ["series"], ["series"], ["ids", "series"], ["ids", "table"], ["two"]])
    for kind in kinds:
        if kind == "ids":
            program.input("ids", int(choice(rng, [3, 11, 40])))
        elif kind == "series":
            program.input("sequence", int(rng.integers(1, 5)))
        elif kind == "table":
            program.input("vector", int(rng.integers(1, 5)), "")
        else:
            program.input("ids", 11)
            program.input("ids", 11, "U")
    if rng.random() < 0.3:
        program.input("lengths", 0, "T")


def _draw_outputs(rng: Rng, program: Program) -> list[int]:
    """The last values that are numbers, and perhaps others."""
    numbers = [value.number for value in program.values[len(program.inputs) :] if value.kind in ("sequence", "vector")]
    outputs = numbers[-1:]
    if len(numbers) > 1 and rng.random() < 0.3:
        outputs.append(choice(rng, numbers[:-1]))
    return outputs


def _randomise(program: Program, scale: float) -> None:
    with torch.no_grad():
        for parameter in program.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=scale / math.sqrt(parameter.shape[-1]))
            else:
                parameter.normal_(mean=0.2, std=0.4)
        for name, buffer in program.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
            elif name.endswith("running_mean"):
                buffer.normal_(std=0.5)


Draw = Callable[[Rng, Program, Value], object]
"""Adds steps that read a value."""


def _draw_step(rng: Rng, program: Program, *, hostile: bool) -> None:
    """Read a value, mostly one of the last ones, by an operation for its kind."""
    values = [value for value in program.values if value.kind in ("ids", "sequence", "vector")]
    # Numbers come from ids soon, and the last values are read most, so that modules are deep.
    recent = values[-2:] if rng.random() < 0.85 else values
    value = choice(rng, recent)
    if value.kind == "ids" and rng.random() < 0.6:
        _embedding(rng, program, value)
        return
    tables = _HOSTILE if hostile else _OPERATIONS
    choice(rng, tables[value.kind])(rng, program, value)


def _last_sequence(rng: Rng, program: Program) -> Value:
    """The last sequence of numbers, made of ids where there is none."""
    sequences = [value for value in program.values if value.kind == "sequence"]
    if not sequences:
        ids = next(value for value in program.values if value.kind == "ids")
        _embedding(rng, program, ids)
        return program.values[-1]
    return sequences[-1]


def _constant(rng: Rng) -> float:
    """A number of a module: round, small or large, of either sign."""
    return float(choice(rng, [0.0, 1.0, -1.0, 0.5, 0.1, 2.0, 10.0, -999.0, round(float(rng.normal()), 2)]))


def _width(rng: Rng) -> int:
    return int(rng.integers(1, 7))


def _same_steps(rng: Rng, program: Program, value: Value, kind: Kind) -> Value | None:
    """A value of a kind with as many steps as another, None where there is none."""
    values = [other for other in program.values if other.kind == kind and other.steps == value.steps]
    return choice(rng, values) if values else None


# Ids


def _embedding(rng: Rng, program: Program, value: Value) -> None:
    width = _width(rng)
    layer = program.layer(nn.Embedding(value.features, width, padding_idx=choice(rng, [None, 0])))
    program.add(f"Embedding({value.features}, {width})", layer, value, kind="sequence", features=width)


def _one_hot(rng: Rng, program: Program, value: Value) -> None:
    size = value.features
    if size <= 11:
        dtype_of = program.layer(nn.Linear(1, 1))

        def one_hot(ids: Tensor) -> Tensor:
            return F.one_hot(ids, size).to(dtype_of.weight.dtype)

        program.add(f"one_hot({size})", one_hot, value, kind="sequence", features=size)


def _ids_mask(rng: Rng, program: Program, value: Value) -> None:
    token = int(rng.integers(value.features))
    masks: dict[str, Callable[[Tensor], Tensor]] = {
        "!= 0": lambda ids: ids != 0,
        "bool": lambda ids: ids.bool(),
        f"< {token}": lambda ids: ids < token,
        f"!= {token}": lambda ids: torch.logical_not(ids.eq(token)),
    }
    name = choice(rng, sorted(masks))
    program.add(f"ids {name}", masks[name], value, kind="mask", features=0)


def _ids_changed(rng: Rng, program: Program, value: Value) -> None:
    token = int(rng.integers(value.features))
    other = int(rng.integers(value.features))
    changes: dict[str, Callable[[Tensor], Tensor]] = {
        f"where(== {token}, {other})": lambda ids: torch.where(ids == token, other, ids),
        f"masked_fill(== {token}, {other})": lambda ids: ids.masked_fill(ids == token, other),
        f"clamp(max={token})": lambda ids: ids.clamp(max=token),
        f"% {token + 1}": lambda ids: ids % (token + 1),
        f"// {token + 1}": lambda ids: ids // (token + 1),
        f"* (!= {token})": lambda ids: ids * (ids != token),
        "flip": lambda ids: ids.flip(1),
        "long": lambda ids: ids.int().long(),
    }
    name = choice(rng, sorted(changes))
    program.add(f"ids {name}", changes[name], value)


def _ids_lengths(rng: Rng, program: Program, value: Value) -> None:
    program.add("(ids != 0).sum(1).clamp(min=1)", lambda ids: (ids != 0).sum(1).clamp(min=1), value, kind="lengths")


# Sequences


def _recurrent(rng: Rng, program: Program, value: Value) -> None:
    """LSTM, GRU or RNN, perhaps packed, perhaps from a state; its outputs or last states."""
    name = choice(rng, ["LSTM", "LSTM", "GRU", "RNN"])
    units = _width(rng)
    both = bool(rng.random() < 0.4)
    layers = int(choice(rng, [1, 1, 2]))
    batch_first = bool(rng.random() < 0.7)
    options: dict[str, Any] = {"bidirectional": both, "num_layers": layers, "batch_first": batch_first}
    options["bias"] = bool(rng.random() < 0.85)
    outputs = units
    if name == "LSTM" and units > 1 and rng.random() < 0.15:
        outputs = options["proj_size"] = int(rng.integers(1, units))
    if name == "RNN":
        options["nonlinearity"] = choice(rng, ["tanh", "relu"])
    layer = program.layer(getattr(nn, name)(value.features, units, **options))
    count = layers * (1 + both)
    start = _same_batch(rng, program) if rng.random() < 0.2 else None
    to_state = program.layer(nn.Linear(start.features, count * outputs)) if start else None
    to_cell = program.layer(nn.Linear(start.features, count * units)) if start else None
    lengths = _same_steps(rng, program, value, "lengths") if rng.random() < 0.5 else None
    returned = choice(rng, ["steps", "steps", "steps", "last", "all", "c" if name == "LSTM" else "last"])

    def run(x: Tensor, *others: Tensor) -> Tensor:
        state: Any = None
        if to_state is not None and to_cell is not None:
            start = others[-1]
            h0 = to_state(start).view(-1, count, outputs).transpose(0, 1).contiguous()
            c0 = to_cell(start).view(-1, count, units).transpose(0, 1).contiguous()
            state = (h0, torch.tanh(c0)) if name == "LSTM" else h0
        x = x if batch_first else x.transpose(0, 1)
        if lengths is not None:
            packed = pack_padded_sequence(x, others[0].cpu(), batch_first=batch_first, enforce_sorted=False)
            packed_out, last = layer(packed, state)
            out, _ = pad_packed_sequence(packed_out, batch_first=batch_first)
        else:
            out, last = layer(x, state)
        if returned == "steps":
            return out if batch_first else out.transpose(0, 1)
        h, c = last if name == "LSTM" else (last, last)
        if returned == "c":
            return c[-1]  # type: ignore[no-any-return]
        if returned == "last":
            return torch.cat([h[-2], h[-1]], dim=1) if both else h[-1]
        return h.transpose(0, 1).reshape(h.shape[1], -1)  # type: ignore[no-any-return]

    shown = ", ".join(f"{key}={setting}" for key, setting in options.items())
    text = f"{name}({value.features}, {units}, {shown}, returns {returned}{', packed' if lengths else ''})"
    inputs = [value, *([lengths] if lengths else []), *([start] if start else [])]
    features = {"steps": outputs * (1 + both), "last": outputs * (1 + both), "c": units, "all": outputs * count}
    kind: Kind = "sequence" if returned == "steps" else "vector"
    # The longest row has all steps, but lengths that were counted may be shorter.
    program.add(text, run, *inputs, kind=kind, features=features[returned], steps=_unpacked(program, value, lengths))


def _unpacked(program: Program, value: Value, lengths: Value | None) -> str:
    if lengths is None or lengths in program.inputs:
        return value.steps
    return f"steps of v{lengths.number}"


def _same_batch(rng: Rng, program: Program) -> Value | None:
    vectors = [value for value in program.values if value.kind == "vector"]
    return choice(rng, vectors) if vectors else None


def _cell_loop(rng: Rng, program: Program, value: Value) -> None:
    """A cell in a loop over the steps. Exporting takes long, so there are few."""
    if rng.random() < 0.7:
        _recurrent(rng, program, value)
        return
    units = _width(rng)
    how = choice(rng, ["LSTMCell", "GRUCell", "RNNCell", "written"])
    cell = program.layer(
        nn.Linear(value.features + units, units) if how == "written" else getattr(nn, how)(value.features, units)
    )
    each = bool(rng.random() < 0.6)
    backwards = bool(rng.random() < 0.2)

    def run(x: Tensor) -> Tensor:
        h = x.new_zeros(x.shape[0], units)
        c = h
        outputs = []
        steps = range(x.shape[1])
        for t in reversed(steps) if backwards else steps:
            if how == "LSTMCell":
                h, c = cell(x[:, t], (h, c))
            elif how == "written":
                h = 0.3 * h + torch.tanh(cell(torch.cat([x[:, t], h], dim=1)))
            else:
                h = cell(x[:, t], h)
            outputs.append(h)
        return torch.stack(outputs, dim=1) if each else h

    text = f"{how} loop({value.features}, {units}, each={each}, backwards={backwards})"
    program.add(text, run, value, kind="sequence" if each else "vector", features=units)


def _linear(rng: Rng, program: Program, value: Value) -> None:
    width = _width(rng)
    layer = program.layer(nn.Linear(value.features, width, bias=bool(rng.random() < 0.8)))
    if value.kind == "sequence" and rng.random() < 0.3:
        program.add(
            f"view Linear({width})",
            lambda x: layer(x.reshape(-1, x.shape[-1])).view(x.shape[0], -1, width),
            value,
            features=width,
        )
    else:
        program.add(f"Linear({width})", layer, value, features=width)


def _activation(rng: Rng, program: Program, value: Value) -> None:
    a, b = sorted((_constant(rng), _constant(rng)))
    makers: dict[str, Callable[[], nn.Module]] = {
        "ReLU": nn.ReLU,
        "Tanh": nn.Tanh,
        "Sigmoid": nn.Sigmoid,
        "GELU": nn.GELU,
        "GELU tanh": lambda: nn.GELU(approximate="tanh"),
        "ELU": lambda: nn.ELU(0.7),
        "SELU": nn.SELU,
        "CELU": lambda: nn.CELU(1.3),
        "SiLU": nn.SiLU,
        "Mish": nn.Mish,
        "Softplus": nn.Softplus,
        "Softplus(2)": lambda: nn.Softplus(2.0, 5.0),
        "Softsign": nn.Softsign,
        "LeakyReLU": lambda: nn.LeakyReLU(0.2),
        "PReLU": lambda: nn.PReLU(choice(rng, [1, value.features]) if value.kind == "vector" else 1),
        "ReLU6": nn.ReLU6,
        "Hardtanh": lambda: nn.Hardtanh(a, b + 0.5),
        "Hardsigmoid": nn.Hardsigmoid,
        "Hardswish": nn.Hardswish,
        "Threshold": lambda: nn.Threshold(a, b),
        "LogSigmoid": nn.LogSigmoid,
        "Softmax": lambda: nn.Softmax(dim=-1),
        "LogSoftmax": lambda: nn.LogSoftmax(dim=-1),
        "Tanhshrink": nn.Tanhshrink,
        "Softshrink": lambda: nn.Softshrink(0.4),
        "Hardshrink": lambda: nn.Hardshrink(0.4),
        "Dropout": lambda: nn.Dropout(0.5),
        "Identity": nn.Identity,
    }
    name = choice(rng, sorted(makers))
    program.add(f"{name}({a}, {b})", program.layer(makers[name]()), value)


def _arithmetic(rng: Rng, program: Program, value: Value) -> None:
    a, b = _constant(rng), _constant(rng)
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        f"x + {a}": lambda x: x + a,
        f"{a} - x": lambda x: a - x,
        f"x * {a}": lambda x: x * a,
        f"x / {abs(a) + 0.5}": lambda x: x / (abs(a) + 0.5),
        f"{a} / (abs + 1)": lambda x: a / (x.abs() + 1),
        "x ** 2": lambda x: x**2,
        "sqrt(abs)": lambda x: x.abs().sqrt(),
        "exp(-abs)": lambda x: torch.exp(-x.abs()),
        "log1p(abs)": lambda x: torch.log1p(x.abs()),
        "log(abs + 1e-3)": lambda x: torch.log(x.abs() + 1e-3),
        "sin": torch.sin,
        "sign": torch.sign,
        "round": torch.round,
        "floor": torch.floor,
        "frac": lambda x: x - torch.floor(x),
        "square - x": lambda x: x.square() - x,
        "rsqrt": lambda x: torch.rsqrt(x * x + 1),
        "pow": lambda x: torch.pow(x.abs() + 0.5, 0.7),
        "reciprocal": lambda x: torch.reciprocal(x.abs() + 0.5),
        f"where(> {a}, {b})": lambda x: torch.where(x > a, b, x),
        f"where(<= {a}, -x)": lambda x: torch.where(x <= a, -x, x),
        f"masked_fill(== {a}, {b})": lambda x: x.masked_fill(x == a, b),
        f"x * (x < {a})": lambda x: x * (x < a),
        f"(x >= {a})": lambda x: (x >= a).to(x.dtype),
        f"clamp({a})": lambda x: x.clamp(min=a),
        f"clamp({min(a, b)}, {max(a, b)})": lambda x: x.clamp(min(a, b), max(a, b)),
        f"maximum({a})": lambda x: torch.maximum(x, torch.tensor(a, dtype=x.dtype)),
        f"minimum({a})": lambda x: torch.minimum(x, torch.full_like(x, a)),
        "nan_to_num": lambda x: torch.nan_to_num(x, nan=a),
        "isnan": lambda x: torch.where(torch.isnan(x), torch.zeros_like(x), x),
        "lerp": lambda x: torch.lerp(x, torch.tanh(x), 0.3),
        "addcmul": lambda x: torch.addcmul(x, x, torch.tanh(x), value=0.5),
        "detach": lambda x: x.detach().clone(),
    }
    name = choice(rng, sorted(functions))
    program.add(name, functions[name], value)


def _with_vector(rng: Rng, program: Program, value: Value) -> None:
    """Arithmetic with a constant for each feature."""
    layer = program.layer(nn.LayerNorm(value.features))  # holds two vectors
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "(x - mean) / std": lambda x: (x - layer.bias) / (layer.weight.abs() + 0.1),
        "x * scale + shift": lambda x: x * layer.weight + layer.bias,
        "LayerNorm": layer,
        "x > limits": lambda x: torch.where(x > layer.weight, layer.bias, x),
        "F.normalize": lambda x: F.normalize(x, dim=-1),
        "RMS norm": lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * layer.weight,
        "standardised": lambda x: (
            (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + 1e-3).sqrt()
        ),
    }
    name = choice(rng, sorted(functions))
    program.add(name, functions[name], value)


def _two(rng: Rng, program: Program, value: Value) -> None:
    """Arithmetic of two values of one shape, or their features side by side."""
    others = [other for other in program.values if (other.kind, other.steps) == (value.kind, value.steps)]
    if value.kind == "vector":
        others = [other for other in program.values if other.kind == "vector"]
    other = choice(rng, others)
    if other.features != value.features or rng.random() < 0.4:
        if value.features + other.features <= WIDEST:
            features = value.features + other.features
            program.add("cat", lambda x, y: torch.cat([x, y], dim=-1), value, other, features=features)
        return
    functions: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "x + y": lambda x, y: x + y,
        "x - y": lambda x, y: x - y,
        "x * y": lambda x, y: x * y,
        "x / (abs(y) + 1)": lambda x, y: x / (y.abs() + 1),
        "maximum": torch.maximum,
        "fmin": torch.minimum,
        "where": lambda x, y: torch.where(x > y, x, y * 0.5),
        "abs(x - y)": lambda x, y: (x - y).abs(),
        "x * sigmoid(y)": lambda x, y: x * torch.sigmoid(y),
        "stack mean": lambda x, y: torch.stack([x, y], dim=0).mean(0),
        "stack max": lambda x, y: torch.stack([x, y], dim=-1).amax(-1),
        "add alpha": lambda x, y: torch.add(x, y, alpha=0.5),
    }
    name = choice(rng, sorted(functions))
    program.add(name, functions[name], value, other)


def _features(rng: Rng, program: Program, value: Value) -> None:
    """Some of the features, or others in their place."""
    count = value.features
    first = int(rng.integers(count))
    last = int(rng.integers(first, count)) + 1
    half = count // 2
    order = torch.from_numpy(rng.permutation(count))
    choices: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
        f"[..., {first}:{last}]": (lambda x: x[..., first:last], last - first),
        f"[..., {first}] unsqueezed": (lambda x: x[..., first].unsqueeze(-1), 1),
        f"narrow({first})": (lambda x: x.narrow(-1, first, last - first), last - first),
        "index_select": (lambda x: x.index_select(-1, order), count),
        "order": (lambda x: x[..., order], count),
        "flip": (lambda x: x.flip(-1), count),
        "roll": (lambda x: x.roll(1, -1), count),
        "pad": (lambda x: F.pad(x, (1, 2), value=0.5), count + 3),
        "cumsum": (lambda x: x.cumsum(-1), count),
        "sum": (lambda x: x.sum(-1, keepdim=True), 1),
        "mean": (lambda x: x.mean(dim=-1).unsqueeze(-1), 1),
        "amax": (lambda x: x.amax(-1, keepdim=True), 1),
        "norm": (lambda x: x.norm(dim=-1, keepdim=True), 1),
        "logsumexp": (lambda x: x.logsumexp(-1, keepdim=True), 1),
        "sort": (lambda x: x.sort(-1).values, count),
        "topk": (lambda x: x.topk(1, dim=-1).values, 1),
        "repeat": (lambda x: torch.cat([x] * 2, -1), 2 * count),
    }
    if half:
        choices["chunk"] = (lambda x: x.chunk(2, -1)[1], count - (count + 1) // 2)
        choices["split"] = (lambda x: torch.split(x, [half, count - half], -1)[0], half)
    if count % 2 == 0:
        choices["GLU"] = (lambda x: F.glu(x, -1), half)
        choices["unflatten"] = (lambda x: torch.unflatten(x, -1, (2, half)).sum(-2), half)
        choices["reshape"] = (lambda x: x.reshape(*x.shape[:-1], half, 2).transpose(-1, -2).flatten(-2), count)
    name = choice(rng, sorted(choices))
    compute, features = choices[name]
    if 0 < features <= WIDEST:
        program.add(name, compute, value, features=features)


def _norm(rng: Rng, program: Program, value: Value) -> None:
    count = value.features
    if value.kind == "vector":
        program.add("BatchNorm1d", program.layer(nn.BatchNorm1d(count, affine=bool(rng.random() < 0.8))), value)
        return
    groups = 2 if count % 2 == 0 else 1
    layer = program.layer(choice(rng, [nn.BatchNorm1d(count), nn.GroupNorm(groups, count), nn.InstanceNorm1d(count)]))
    program.add(f"{type(layer).__name__} of channels", lambda x: layer(x.transpose(1, 2)).transpose(1, 2), value)


def _convolution(rng: Rng, program: Program, value: Value) -> None:
    """Along the steps, which stay as they are, or with fewer steps."""
    width = _width(rng)
    size = int(choice(rng, [1, 2, 3, 5]))
    how = choice(rng, ["same", "causal", "valid", "strided", "max pool", "mean pool", "same max pool"])
    name = f"steps of v{len(program.values)}"
    dilation = int(choice(rng, [1, 1, 2]))
    groups = value.features if rng.random() < 0.15 else 1
    width *= groups
    if width > WIDEST:
        return
    if "pool" in how:
        pool = nn.MaxPool1d if "max" in how else nn.AvgPool1d
        layer = program.layer(pool(3, stride=1, padding=1) if how == "same max pool" else pool(2))
        steps = value.steps if how == "same max pool" else name
        program.add(how, lambda x: layer(x.permute(0, 2, 1)).permute(0, 2, 1), value, steps=steps)
        return
    options = {
        "same": {"padding": "same", "dilation": dilation, "groups": groups},
        "strided": {"stride": 2, "padding": size // 2},
    }
    layer = program.layer(nn.Conv1d(value.features, width, size, **options.get(how, {})))  # type: ignore[arg-type]
    before = size - 1 if how == "causal" else 0

    def convolve(x: Tensor) -> Tensor:
        x = x.transpose(1, 2)
        if before:
            x = F.pad(x, (before, 0))
        return layer(x).transpose(1, 2)  # type: ignore[no-any-return]

    steps = value.steps if how in ("same", "causal") or (how == "valid" and size == 1) else name
    program.add(f"Conv1d({width}, {size}, {how})", convolve, value, features=width, steps=steps)


def _steps(rng: Rng, program: Program, value: Value) -> None:
    """Other steps, or in another order."""
    bound = int(choice(rng, [1, 2, 3, 5, 8]))
    choices: dict[str, tuple[Callable[[Tensor], Tensor], bool]] = {
        "flip steps": (lambda x: torch.flip(x, [1]), True),
        "roll steps": (lambda x: torch.roll(x, 1, dims=1), True),
        "shifted": (lambda x: torch.cat([x[:, :1] * 0, x[:, :-1]], dim=1), True),
        "differences": (lambda x: x - F.pad(x, (0, 0, 1, 0))[:, :-1], True),
        "minus last": (lambda x: x - x[:, -1:], True),
        "minus mean": (lambda x: x - x.mean(1, keepdim=True), True),
        "scaled": (lambda x: x / (x.abs().amax(dim=1, keepdim=True) + 1e-3), True),
        "cumsum steps": (lambda x: x.cumsum(1), True),
        "softmax steps": (lambda x: x.softmax(1), True),
        "positions": (lambda x: x + torch.arange(x.shape[1], dtype=x.dtype)[None, :, None] * 0.1, True),
        "divided by T": (lambda x: x / x.size(1), True),
        f"[:, :{bound}]": (lambda x: x[:, :bound], False),
        f"[:, -{bound}:]": (lambda x: x[:, -bound:], False),
        f"[:, {bound}:]": (lambda x: x[:, bound:], False),
        f"[:, :-{bound}]": (lambda x: x[:, :-bound], False),
        "[:, ::2]": (lambda x: x[:, ::2], False),
        "[:, 1::2]": (lambda x: x[:, 1::2], False),
        "half": (lambda x: x[:, : x.shape[1] // 2 + 1], False),
        "pad steps": (lambda x: F.pad(x, (0, 0, 2, 1)), False),
        "twice": (lambda x: torch.cat([x, x.flip(1)], dim=1), False),
        "repeat_interleave": (lambda x: x.repeat_interleave(2, dim=1), False),
        "unfold": (lambda x: x.unfold(1, 2, 1).mean(-1), False),
        f"narrow({bound})": (lambda x: x.narrow(1, 0, min(bound, x.shape[1])), False),
        "step 0": (lambda x: x[:, 0].unsqueeze(1), False),
    }
    name = choice(rng, sorted(choices))
    compute, same = choices[name]
    program.add(name, compute, value, steps=value.steps if same else f"steps of v{len(program.values)}")


def _masked(rng: Rng, program: Program, value: Value) -> None:
    """Numbers of the steps outside of a mask are others."""
    mask = _same_steps(rng, program, value, "mask")
    if mask is None:
        return
    a = _constant(rng)
    functions: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "x * mask": lambda x, mask: x * mask.unsqueeze(-1),
        f"masked_fill({a})": lambda x, mask: x.masked_fill(~mask.unsqueeze(-1), a),
        "where": lambda x, mask: torch.where(mask[..., None], x, -x),
    }
    name = choice(rng, sorted(functions))
    program.add(f"{name} of mask", functions[name], value, mask)


def _length_mask(rng: Rng, program: Program, value: Value) -> None:
    lengths = _same_steps(rng, program, value, "lengths")
    if lengths is not None:
        program.add(
            "arange < lengths",
            lambda x, lengths: torch.arange(x.shape[1])[None, :] < lengths[:, None],
            value,
            lengths,
            kind="mask",
            features=0,
        )


def _attention(rng: Rng, program: Program, value: Value) -> None:
    count = value.features
    how = choice(rng, ["dot", "scaled", "projected", "multihead", "einsum", "other"])
    other = choice(rng, [one for one in program.values if one.kind == "sequence"])
    if how == "multihead":
        heads = 2 if count % 2 == 0 else 1
        attention = program.layer(nn.MultiheadAttention(count, heads, batch_first=True))
        mask = _same_steps(rng, program, value, "mask") if rng.random() < 0.4 else None
        if mask is None:
            program.add("MultiheadAttention", lambda x: attention(x, x, x, need_weights=False)[0], value)
        else:
            program.add(
                "masked MultiheadAttention",
                lambda x, mask: attention(x, x, x, key_padding_mask=~mask, need_weights=False)[0],
                value,
                mask,
            )
        return
    if how == "other":
        to_keys = program.layer(nn.Linear(other.features, count))

        def cross(x: Tensor, y: Tensor) -> Tensor:
            keys = to_keys(y)
            return torch.bmm(torch.softmax(torch.bmm(x, keys.transpose(1, 2)), -1), keys)

        program.add("cross attention", cross, value, other)
        return
    projection = program.layer(nn.Linear(count, count))
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "dot": lambda x: torch.softmax(x @ x.transpose(1, 2), dim=-1) @ x,
        "scaled": lambda x: F.scaled_dot_product_attention(x, projection(x), x),
        "projected": lambda x: torch.matmul(F.softmax(projection(x).matmul(x.mT) / math.sqrt(count), -1), x),
        "einsum": lambda x: torch.einsum("bts,bsf->btf", torch.einsum("btf,bsf->bts", projection(x), x).softmax(-1), x),
    }
    program.add(f"{how} attention", functions[how], value)


def _pooling(rng: Rng, program: Program, value: Value) -> None:
    """Over the steps to a vector."""
    count = value.features
    score = program.layer(nn.Linear(count, 1))
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "last step": lambda x: x[:, -1],
        "first step": lambda x: x[:, 0, :],
        "mean steps": lambda x: x.mean(dim=1),
        "max steps": lambda x: x.max(1)[0],
        "amax steps": lambda x: torch.amax(x, 1),
        "min steps": lambda x: x.min(dim=1).values,
        "sum steps": lambda x: x.sum(1),
        "mean of last three": lambda x: x[:, -3:].mean(1),
        "std steps": lambda x: x.std(1, unbiased=False),
        "norm steps": lambda x: x.norm(dim=1),
        "logsumexp steps": lambda x: torch.logsumexp(x, 1),
        "adaptive max": lambda x: F.adaptive_max_pool1d(x.transpose(1, 2), 1).squeeze(-1),
        "adaptive mean": lambda x: F.adaptive_avg_pool1d(x.transpose(1, 2), 1).squeeze(2),
        "pool over T": lambda x: F.max_pool1d(x.permute(0, 2, 1), x.size(1)).squeeze(-1),
        "attention": lambda x: (x * score(torch.tanh(x)).softmax(1)).sum(1),
        "bmm attention": lambda x: torch.bmm(score(x).softmax(dim=1).transpose(1, 2), x).squeeze(1),
        "select": lambda x: x.select(1, -1),
        "unbind": lambda x: x.transpose(0, 1)[-1],
    }
    features = count
    name = choice(rng, sorted(functions))
    compute: Callable[..., Tensor] = functions[name]
    inputs = [value]
    mask = _same_steps(rng, program, value, "mask")
    lengths = _same_steps(rng, program, value, "lengths")
    if mask is not None and rng.random() < 0.6:
        masked: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "masked mean": lambda x, m: (x * m[..., None]).sum(1) / m.sum(1, keepdim=True).clamp(min=1),
            "masked max": lambda x, m: x.masked_fill(~m[..., None], -1e4).amax(1),
            "masked attention": lambda x, m: (x * score(x).masked_fill(~m[..., None], -1e9).softmax(1)).sum(1),
            "last of mask": lambda x, m: x[torch.arange(len(x)), (m.sum(1) - 1).clamp(min=0)],
        }
        name = choice(rng, sorted(masked))
        compute = masked[name]
        inputs.append(mask)
    elif lengths is not None and rng.random() < 0.6:
        of_lengths: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "sum by lengths": lambda x, n: x.sum(1) / n[:, None].to(x.dtype),
            "gather by lengths": lambda x, n: x.gather(1, (n - 1).view(-1, 1, 1).expand(-1, 1, x.shape[2])).squeeze(1),
            "index by lengths": lambda x, n: x[torch.arange(x.size(0)), n - 1],
        }
        name = choice(rng, sorted(of_lengths))
        compute = of_lengths[name]
        inputs.append(lengths)
    program.add(name, compute, *inputs, kind="vector", features=features)


# Vectors


def _repeated(rng: Rng, program: Program, value: Value) -> None:
    """A vector for each step of a sequence."""
    sequences = [other for other in program.values if other.kind == "sequence"]
    if not sequences:
        return
    other = choice(rng, sequences)
    functions: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "expand": lambda x, y: x.unsqueeze(1).expand(-1, y.shape[1], -1),
        "repeat": lambda x, y: x[:, None].repeat(1, y.size(1), 1),
        "plus zeros": lambda x, y: x[:, None] + torch.zeros_like(y[..., :1]),
        "stack": lambda x, y: x.unsqueeze(1) * torch.ones(1, y.shape[1], 1, dtype=y.dtype),
    }
    name = choice(rng, sorted(functions))
    program.add(name, functions[name], value, other, kind="sequence", steps=other.steps)


# Hostile steps


def _hostile_numbers(rng: Rng, program: Program, value: Value) -> None:
    limit = float(choice(rng, [0.1, 0.5, 3.0, 100.0]))
    batch = int(choice(rng, [1, 2, 5, 33]))
    long = int(choice(rng, [1, 5, 13, 30]))
    calls: list[int] = []

    def written(x: Tensor) -> Tensor:
        x = x.clone()
        x[x > limit] = 0.5
        return x

    def row_written(x: Tensor) -> Tensor:
        x = x.clone()
        x[0] = 0
        return x

    def counted(x: Tensor) -> Tensor:
        calls.append(1)
        return x * len(calls)

    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "written": written,
        "first row written": row_written,
        "counted": counted,
        "condition": lambda x: x * 2 if x.max() > limit else x,
        "item": lambda x: x * 2 if x.abs().max().item() > limit else x,
        "numpy": lambda x: x * 2 if (x.detach().numpy() > limit).any() else x,
        f"batch {batch}": lambda x: x * 2 if len(x) == batch else x,
        f"at most {batch}": lambda x: x * 2 if x.size(0) <= batch else x,
        f"length {long}": lambda x: x * 2 if x.shape[1] == long else x,
        f"longer than {long}": lambda x: x * 2 if x.shape[1] > long else x,
        "random": lambda x: x + torch.rand_like(x),
        "dropout": lambda x: F.dropout(x, 0.5),
        "batch mean": lambda x: x - x.mean(0, keepdim=True),
        "batch softmax": lambda x: x.softmax(0),
        "half": lambda x: x.half().to(x.dtype),
        "long": lambda x: x.clamp(-1e6, 1e6).long().to(x.dtype),
        "grad mode": lambda x: x if torch.is_grad_enabled() else x * 2,
        "sorted rows": lambda x: x[x.reshape(len(x), -1)[:, 0].argsort()],
        "positive only": lambda x: x * (x > 0).any(),
        "inplace": lambda x: x.clone().clamp_(max=limit).mul_(0.5),
        "inplace of the value": lambda x: x.mul_(0.5),
    }
    name = choice(rng, sorted(functions))
    program.add(f"hostile {name}", functions[name], value)


def _hostile_ids(rng: Rng, program: Program, value: Value) -> None:
    token = int(rng.integers(value.features))
    size = value.features

    def written(ids: Tensor) -> Tensor:
        ids = ids.clone()
        ids[ids == token] = 0
        return ids

    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "written": written,
        f"condition {token}": lambda ids: ids.flip(1) if (ids == token).any() else ids,
        "int8": lambda ids: (ids * 100).to(torch.int8).long().abs() % size,
        "negative remainder": lambda ids: (ids - token) % size,
        "negative quotient": lambda ids: (ids - token) // 2 + size // 2,
        "first id of the batch": lambda ids: torch.where(ids == ids[0, 0], 0, ids),
        "largest": lambda ids: ids.clamp(max=ids.max() - 1).clamp(min=0),
        "xor": lambda ids: (ids ^ 1).clamp(max=size - 1),
        "cumulative": lambda ids: ids.cumsum(1) % size,
        "float": lambda ids: (ids.float() * 0.5).long(),
    }
    name = choice(rng, sorted(functions))
    program.add(f"hostile {name}", functions[name], value)


_VECTORS: list[Draw] = [_linear, _activation, _arithmetic, _with_vector, _two, _features, _norm, _repeated]
_OPERATIONS: dict[str, list[Draw]] = {
    "ids": [_one_hot, _ids_mask, _ids_mask, _ids_changed, _ids_lengths, _ids_lengths, _embedding],
    "sequence": [
        *(_recurrent, _recurrent, _recurrent, _recurrent, _cell_loop),
        *(_linear, _activation, _arithmetic, _with_vector, _two, _features, _norm, _convolution, _steps),
        *(_masked, _length_mask, _attention, _pooling, _pooling, _pooling),
    ],
    "vector": _VECTORS,
}
_HOSTILE: dict[str, list[Draw]] = {
    "ids": [_hostile_ids],
    "sequence": [_hostile_numbers],
    "vector": [_hostile_numbers],
}
