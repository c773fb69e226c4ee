"""The shape of a network: embedding -> LSTM layers -> pooling -> dense.

    tokens (N,)     -> embedding (V, D) -> LSTM layers (H units, one or two directions) -> pooling -> dense
    channels (N, C)                     -> LSTM layers (H units, one or two directions) -> pooling -> dense

An `Architecture` determines the names and shapes of the parameters, their initial values and the summary table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gatewise.errors import InputError
from gatewise.types import Array, Gate

# Limits, so that a configuration from an untrusted source cannot demand unbounded work.
MAX_LAYERS = 32
MAX_LENGTH = 1_000_000
MAX_PAD_STATES = 2_000_000  # steps x units x layers with padding "pre": one prediction may compute all of them


@dataclass(frozen=True)
class Architecture:
    """Shape of a network. Raises InputError for an invalid combination.

    inputs: "tokens" (ids below `vocab_size`) or "channels" (series with `vocab_size` values per step).
    embedding_dim: D, 0 for channels. units: H of each LSTM. pooling: the state after the last step, the mean or maximum
    over all steps, or mean and maximum concatenated. outputs: 1 logit for two classes, else one logit per class.
    max_length: longest sequence in steps, 0 for no limit. truncation: which steps of a longer sequence are dropped,
    the first ones ("front"), or those after the first max_length // 3 and before the last remaining ones ("middle").
    padding: "none" (masked), or "pre": pad steps precede a shorter sequence up to `max_length` and run through the
    LSTM like any other step, as in Keras without a mask.
    """

    inputs: Literal["tokens", "channels"]
    vocab_size: int
    embedding_dim: int
    units: int
    layers: int = 1
    bidirectional: bool = False
    pooling: Literal["last", "mean", "max", "mean+max"] = "last"
    outputs: int = 1
    max_length: int = 0
    truncation: Literal["front", "middle"] = "front"
    padding: Literal["none", "pre"] = "none"
    gate: Gate = "sigmoid"

    def __post_init__(self) -> None:
        for name in ("vocab_size", "units", "layers", "outputs"):
            if getattr(self, name) < 1:
                raise InputError(f"architecture: {name} must be at least 1, not {getattr(self, name)}")
        if self.layers > MAX_LAYERS or self.max_length > MAX_LENGTH:
            raise InputError(f"architecture: at most {MAX_LAYERS} layers and {MAX_LENGTH:,} steps")
        if self.max_length < 0 or (self.embedding_dim < 1) == (self.inputs == "tokens"):
            raise InputError(
                "architecture: embedding_dim must be at least 1 for tokens and 0 for channels; max_length at least 0"
            )
        plain = self.inputs == "tokens" and not self.bidirectional and self.pooling == "last" and self.max_length > 0
        if self.padding == "pre" and not plain:
            raise InputError(
                "architecture: padding 'pre' needs tokens, one direction, pooling 'last' and a max_length above 0"
            )
        if self.padding == "pre" and self.max_length * self.units * self.layers > MAX_PAD_STATES:
            raise InputError(
                f"architecture: with padding 'pre', steps x units x layers may be at most {MAX_PAD_STATES:,}, not "
                f"{self.max_length:,} x {self.units:,} x {self.layers}"
            )

    @property
    def directions(self) -> tuple[Literal["forward", "backward"], ...]:
        return ("forward", "backward") if self.bidirectional else ("forward",)

    @property
    def features(self) -> int:
        """Inputs of the dense layer: units x directions, twice for "mean+max"."""
        return self.units * len(self.directions) * (2 if self.pooling == "mean+max" else 1)

    @property
    def channels(self) -> int:
        """C, values per step of a series; 0 for tokens."""
        return self.vocab_size if self.inputs == "channels" else 0

    def lstms(self) -> Iterator[tuple[int, Literal["forward", "backward"], str]]:
        """Layer, direction and parameter prefix of each LSTM of the network."""
        for layer in range(self.layers):
            for direction in self.directions:
                yield layer, direction, f"lstm.{layer}.{direction}"


def parameter_shapes(arch: Architecture) -> dict[str, tuple[int, ...]]:
    """Name and shape of every parameter, from input to output."""
    shapes: dict[str, tuple[int, ...]] = {}
    if arch.inputs == "tokens":
        shapes["embedding.weight"] = (arch.vocab_size, arch.embedding_dim)
    for layer, _, prefix in arch.lstms():
        inputs = arch.units * len(arch.directions) if layer else arch.embedding_dim or arch.vocab_size
        shapes[f"{prefix}.weight_ih"] = (4 * arch.units, inputs)
        shapes[f"{prefix}.weight_hh"] = (4 * arch.units, arch.units)
        shapes[f"{prefix}.bias"] = (4 * arch.units,)
    shapes["dense.weight"] = (arch.outputs, arch.features)
    shapes["dense.bias"] = (arch.outputs,)
    return shapes


def language_model_shapes(vocab_size: int, embedding_dim: int, units: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of each parameter of a language model (`network.language_model`). units: 0 without LSTMs."""
    shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (vocab_size, embedding_dim)}
    for direction in ("forward", "backward"):
        if units:
            shapes[f"lstm.0.{direction}.weight_ih"] = (4 * units, embedding_dim)
            shapes[f"lstm.0.{direction}.weight_hh"] = (4 * units, units)
            shapes[f"lstm.0.{direction}.bias"] = (4 * units,)
        shapes[f"decoder.{direction}.weight"] = (embedding_dim, units or embedding_dim)
    shapes["decoder.bias"] = (vocab_size,)
    return shapes


def initial_parameters(arch: Architecture, rng: np.random.Generator) -> dict[str, Array]:
    """Initial values, float32, with the distributions that Keras uses.

    Embeddings uniform in ±0.05; weight_ih and the dense weights uniform in ±sqrt(6 / (fan in + fan out)) (Glorot &
    Bengio 2010); weight_hh with orthonormal columns (Saxe et al. 2014); biases 0, but 1 for the forget gate (Jozefowicz
    et al. 2015).
    """
    return {name: initial_value(name, shape, rng).astype(np.float32) for name, shape in parameter_shapes(arch).items()}


def initial_value(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Of one parameter, see `initial_parameters`."""
    if name == "embedding.weight":
        return rng.uniform(-0.05, 0.05, shape)
    if name.endswith("weight_hh"):
        q, r = np.linalg.qr(rng.standard_normal(shape))
        signs: Array = np.sign(np.diagonal(r))  # which make the distribution uniform over orthogonal matrices
        return q * signs
    if name.endswith(".bias"):
        bias = np.zeros(shape)
        if name.startswith("lstm"):
            units = shape[0] // 4
            bias[units : 2 * units] = 1  # the forget gate's block, i f g o
        return bias
    limit = np.sqrt(6 / (shape[0] + shape[1]))
    return rng.uniform(-limit, limit, shape)


def summary(arch: Architecture) -> list[tuple[str, str, int]]:
    """Name, output shape and number of parameters of each layer, as Keras's `model.summary()`."""
    sizes = {name: int(np.prod(shape)) for name, shape in parameter_shapes(arch).items()}
    steps = str(arch.max_length) if arch.padding == "pre" else "steps"
    lines = []
    if arch.inputs == "tokens":
        lines.append(("Embedding", f"({steps}, {arch.embedding_dim})", sizes["embedding.weight"]))
    width = arch.units * len(arch.directions)
    for layer in range(arch.layers):
        parameters = sum(size for name, size in sizes.items() if name.startswith(f"lstm.{layer}."))
        last = layer == arch.layers - 1 and arch.pooling == "last"
        name = "Bidirectional LSTM" if arch.bidirectional else "LSTM"
        lines.append((f"{name} ({arch.units})", f"({width},)" if last else f"({steps}, {width})", parameters))
    if arch.pooling != "last":
        lines.append((f"Pooling ({arch.pooling})", f"({arch.features},)", 0))
    lines.append(("Dense", f"({arch.outputs},)", sizes["dense.weight"] + sizes["dense.bias"]))
    return lines
