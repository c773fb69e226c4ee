"""Small networks with random, asymmetric weights of every architecture that explanations support."""

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from rich.console import Console

from gatewise.explain.attribution.method import Method
from gatewise.explain.example import Example
from gatewise.explain.explanation import Explanation, explain_example
from gatewise.kernels.interface import Kernel
from gatewise.members.clamp import Clamp
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.ensemble import Ensemble
from gatewise.members.gates import Gates
from gatewise.members.lstm import LSTM
from gatewise.members.member import Member
from gatewise.network.architecture import Architecture, Hidden, Layer, initial_parameters
from gatewise.target import Target, target_of
from gatewise.types import Array

TOKENS: dict[str, Any] = {"inputs": "tokens", "vocab_size": 23, "embedding_dim": 5, "units": 6}
CHANNELS: dict[str, Any] = {"inputs": "channels", "vocab_size": 3, "embedding_dim": 0, "units": 7}


def with_layers(inputs: dict[str, Any], *layers: Layer, **others: Any) -> Architecture:
    """These layers in the place of `units`."""
    return Architecture(**{name: x for name, x in inputs.items() if name != "units"}, layers=layers, **others)


ARCHITECTURES = {
    "plain": Architecture.stacked(**TOKENS),
    "two layers": Architecture.stacked(**TOKENS, layers=2),
    "truncated front": Architecture.stacked(**TOKENS, max_length=9),
    "truncated middle": Architecture.stacked(**TOKENS, max_length=9, truncation="middle"),
    "pads": Architecture.stacked(**TOKENS, max_length=40, padding="pre"),
    "pads, two layers": Architecture.stacked(**TOKENS, max_length=40, padding="pre", layers=2),
    "pads, nothing to pad": Architecture.stacked(**TOKENS, max_length=9, padding="pre"),
    "mean": Architecture.stacked(**TOKENS, pooling="mean"),
    "max": Architecture.stacked(**TOKENS, pooling="max"),
    "mean and max": Architecture.stacked(**TOKENS, pooling="mean+max"),
    "binary": Architecture.stacked(**TOKENS, gate="binary"),
    "bidirectional": Architecture.stacked(**TOKENS, bidirectional=True),
    "bidirectional, mean": Architecture.stacked(**TOKENS, bidirectional=True, pooling="mean"),
    "bidirectional, two layers, mean and max": Architecture.stacked(
        **TOKENS, bidirectional=True, layers=2, pooling="mean+max", max_length=10, truncation="middle"
    ),
    "four classes": Architecture.stacked(**TOKENS, outputs=4),
    "four classes, bidirectional": Architecture.stacked(**TOKENS, outputs=4, bidirectional=True, pooling="mean+max"),
    "hidden layers": with_layers(TOKENS, Layer(6), Layer(4), hidden=(Hidden(5, "relu"), Hidden(3, "gelu")), outputs=3),
    "hidden layer, pads": with_layers(TOKENS, Layer(6), hidden=(Hidden(5, "tanh"),), max_length=40, padding="pre"),
    "sizes, mean": with_layers(TOKENS, Layer(6, "both"), Layer(4), Layer(3, "both"), pooling="mean"),
    "backward": with_layers(TOKENS, Layer(6, "backward")),
    "last step, bidirectional": with_layers(TOKENS, Layer(6, "both"), pooling="step"),
    "sum of the directions": with_layers(TOKENS, Layer(6, "both", "sum"), pooling="mean", hidden=(Hidden(4, "elu"),)),
    "mean of the directions": with_layers(TOKENS, Layer(5, "both", "product"), Layer(6, "both", "mean")),
    "sum of the directions, max": with_layers(TOKENS, Layer(6, "both", "sum"), pooling="max"),
    "product of the directions": with_layers(CHANNELS, Layer(6, "both", "product"), pooling="mean+max", outputs=3),
    "series, hidden layer": with_layers(CHANNELS, Layer(7), pooling="mean+max", hidden=(Hidden(4, "softplus"),)),
    "series": Architecture.stacked(**CHANNELS),
    "series, three classes, bidirectional": Architecture.stacked(
        **CHANNELS, bidirectional=True, outputs=3, pooling="max"
    ),
}
ALL = {  # with some that only the tests of single gates need
    **ARCHITECTURES,
    "binary, bidirectional, mean and max": with_layers(TOKENS, Layer(6, "both"), gate="binary", pooling="mean+max"),
    "two layers, mean": Architecture.stacked(**TOKENS, layers=2, pooling="mean"),
}


def parameters_of(arch: Architecture, seed: int, dtype: str = "float32") -> dict[str, Array]:
    """The start values, with every number moved, so that nothing is zero, equal or symmetric."""
    rng = np.random.default_rng(seed)
    start = initial_parameters(arch, rng)
    return {name: (array + rng.normal(0, 0.4, array.shape)).astype(dtype) for name, array in start.items()}


def sequence_of(arch: Architecture, length: int, seed: int) -> Array:
    """Token ids from 1 (0 is the pad), or channels."""
    rng = np.random.default_rng([seed, length])
    if arch.inputs == "tokens":
        return rng.integers(1, arch.vocab_size, length).astype(np.int32)
    return rng.standard_normal((length, arch.vocab_size)).astype(np.float32)


def target_score(logits: Array, predicted: int) -> Array:
    """The single logit, or the predicted logit minus the mean: what is explained by default, written once more."""
    single = logits.shape[-1] == 1
    return np.asarray(logits[..., 0] if single else logits[..., predicted] - logits.mean(axis=-1))


def names_of(arch: Architecture) -> tuple[str, ...]:
    return tuple(f"class {k}" for k in range(max(2, arch.outputs)))


def steps_of(length: int) -> list[str]:
    return [f"w{n}" for n in range(length)]


def explained(
    parameters: dict[str, Array],
    arch: Architecture,
    *,
    unknown: int | None = None,
    target: Target | None = None,
    other: Member | None = None,
    kernel: Kernel | None = None,
) -> Ensemble:
    """The LSTM of these arrays, and another member of weight 1 if one is given."""
    ensemble = Ensemble.of(LSTM(arch, parameters, kernel=kernel, unknown=unknown), target or target_of(names_of(arch)))
    if other is None:
        return ensemble
    return replace(ensemble, members=(*ensemble.members, other), weights=(*ensemble.weights, 1.0))


def ensemble_of(arch: str | Architecture, seed: int = 7, **more: Any) -> Ensemble:
    """A random network of this shape, or of this name above, see `explained`."""
    arch = ARCHITECTURES[arch] if isinstance(arch, str) else arch
    return explained(parameters_of(arch, seed), arch, **more)


def example_of(
    arch: str | Architecture,
    length: int = 14,
    seed: int = 7,
    *,
    sequence: Array | None = None,
    steps: Sequence[str] | None = None,
    clamps: Sequence[Clamp] = (),
    **more: Any,
) -> Example:
    """A random sequence, or the one given, through `ensemble_of`."""
    net = ensemble_of(arch, seed, **more).with_lstm(clamps=tuple(clamps))
    sequence = sequence_of(net.lstm.arch, length, seed) if sequence is None else sequence
    return Example(net, EncodedSequence(sequence), steps or steps_of(len(sequence)))


def explanation_of(
    arch: str | Architecture, method: str | Method | None = None, *given: int, **more: Any
) -> Explanation:
    """Of `example_of`."""
    return explain_example(example_of(arch, *given, **more), method)


def printed(*parts: Any, width: int = 200, **options: Any) -> str:
    """What the terminal shows."""
    file = io.StringIO()
    Console(file=file, width=width, **options).print(*parts)
    return file.getvalue()


def check_cell_equations(gates: Gates) -> None:
    """c = f c' + i g and h = o tanh(c) at every step."""
    i, f, g, o, c, h = (getattr(gates, part)[gates.reading_order] for part in "ifgoch")
    before = np.concatenate([gates.c0[None], c[:-1]])
    np.testing.assert_allclose(c, f * before + i * g, atol=1e-6)
    np.testing.assert_allclose(h, o * np.tanh(c), atol=1e-6)


def without_unit(net: LSTM, unit: int) -> dict[str, Array]:
    """The parameters of the network with one unit of the top layer ablated: its output gate is 0 at every step."""
    top = net.arch.top
    place, column = divmod(unit, top.units)
    parameters = dict(net.parameters)
    for part, value in (("weight_ih", 0.0), ("weight_hh", 0.0), ("bias", -100.0)):
        name = f"lstm.{len(net.arch.layers) - 1}.{top.directions[place]}.{part}"
        parameters[name] = parameters[name].copy()
        parameters[name][3 * top.units + column] = value
    return parameters
