"""The shape of a network: embedding -> LSTM layers -> pooling -> dense layers.

    tokens (N,)     -> embedding (V, D) -> LSTM layers -> pooling -> hidden dense layers -> output layer
    channels (N, C)                     -> LSTM layers -> pooling -> hidden dense layers -> output layer

A network with a label per step may have a conditional random field above its output layer (`gatewise.target.crf`), and
read further features of each word:

    words (N, 1 + F) -> [embedding (V, D), sum of the embeddings of the features (S, D')] -> LSTM layers -> ...

An `Architecture` determines the names and shapes of the parameters, their initial values and the summary table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np

from gatewise.errors import InputError, ModelFileError
from gatewise.network.merge_mode import MERGE_MODES, MergeMode, MergeName
from gatewise.network.pooling import Pooling, PoolingName, poolings_of
from gatewise.storage.fields import fields_from
from gatewise.target.crf import shapes as transition_shapes
from gatewise.types import NOUNS, Activation, Array, Gate, InputNouns

# Limits, so that a configuration from an untrusted source cannot demand unbounded work.
MAX_LAYERS = 32
MAX_LENGTH = 1_000_000
TRANSITIONS = "crf."
"""Begins the names of the parameters of the conditional random field."""
MAX_PAD_STATES = 2_000_000  # steps x units of all layers with padded steps: one prediction may compute all of them


@dataclass(frozen=True)
class Layer:
    """An LSTM layer. units: H of each direction. direction: the order in which it reads the steps; "both": one LSTM per
    direction, whose outputs of a step are merged.

    merge: of two directions, side by side ("concat"), or by unit, as Keras's merge_mode concat, sum, ave and mul.
    """

    units: int
    direction: Literal["forward", "backward", "both"] = "forward"
    merge: MergeName = "concat"

    def __post_init__(self) -> None:
        if self.units < 1:
            raise InputError(f"units must be at least 1, not {self.units}")
        if self.merge != "concat" and self.direction != "both":
            raise InputError(f"merge {self.merge!r} needs two directions, not {self.direction!r} alone")

    @property
    def directions(self) -> tuple[Literal["forward", "backward"], ...]:
        return ("forward", "backward") if self.direction == "both" else (self.direction,)

    @property
    def size(self) -> int:
        """The number of its units, of all directions."""
        return self.units * len(self.directions)

    @property
    def width(self) -> int:
        """The number of its outputs per step."""
        return self.units if self.merge_mode.by_unit else self.size

    @property
    def merge_mode(self) -> MergeMode:
        """How the outputs of its directions become one."""
        return MERGE_MODES[self.merge]


@dataclass(frozen=True)
class Hidden:
    """A dense layer before the output layer. negative_slope: of the activation "leaky_relu", below 0."""

    units: int
    activation: Activation = "linear"
    negative_slope: float = 0.01

    def __post_init__(self) -> None:
        if self.units < 1:
            raise InputError(f"units must be at least 1, not {self.units}")


@dataclass(frozen=True)
class Architecture:
    """Shape of a network. Raises InputError for an invalid combination.

    inputs: "tokens" (ids below `vocab_size`) or "channels" (series with `vocab_size` values per step).
    embedding_dim: D, 0 for channels. layers: the LSTM layers, the lowest first.

    pooling: of the outputs of the top layer. "last": the final state of each direction, which is that of the first step
    for a backward one (Keras without return_sequences, h_n of torch); "step": the output of the last step (`out[:, -1]`
    of torch), which differs for a backward direction; "mean" and "max" over all steps; "mean+max": both, concatenated;
    "none": every step has logits.

    hidden: dense layers before the output layer. outputs: 1 logit for two classes, else one logit per class.
    max_length: longest sequence in steps, 0 for no limit. truncation: which steps of a longer sequence are dropped,
    the first ones ("front"), or those after the first max_length // 3 and before the last remaining ones ("middle").
    word_features: S, the number of the ids of the features of words, with 0, that of no feature; 0: it reads none.
    feature_dim: D'. crf: whether the labels of the steps depend on one another.
    padding: "none" (masked), or "pre": pad steps precede a shorter sequence up to `max_length` and run through the
    LSTM like any other step, as in Keras without a mask.
    """

    inputs: Literal["tokens", "channels"]
    vocab_size: int
    embedding_dim: int
    layers: tuple[Layer, ...]
    pooling: PoolingName = "last"
    hidden: tuple[Hidden, ...] = ()
    outputs: int = 1
    max_length: int = 0
    truncation: Literal["front", "middle"] = "front"
    padding: Literal["none", "pre"] = "none"
    gate: Gate = "sigmoid"
    word_features: int = 0
    feature_dim: int = 0
    crf: bool = False

    def __post_init__(self) -> None:
        for name in ("vocab_size", "outputs"):
            if getattr(self, name) < 1:
                raise InputError(f"architecture: {name} must be at least 1, not {getattr(self, name)}")
        if not self.layers:
            raise InputError("architecture: layers must be at least 1, not 0")
        if max(len(self.layers), len(self.hidden)) > MAX_LAYERS or self.max_length > MAX_LENGTH:
            raise InputError(f"architecture: at most {MAX_LAYERS} layers and {MAX_LENGTH:,} steps")
        if self.max_length < 0 or (self.embedding_dim < 1) == (self.inputs == "tokens"):
            raise InputError(
                "architecture: embedding_dim must be at least 1 for tokens and 0 for channels; max_length at least 0"
            )
        if (self.word_features > 0) != (self.feature_dim > 0) or (self.word_features and self.inputs != "tokens"):
            raise InputError("architecture: features of words need tokens and a feature_dim of at least 1")
        if self.crf and not self.per_step:
            raise InputError("architecture: a conditional random field needs pooling 'none'")
        if self.word_features and self.padding != "none":
            raise InputError("architecture: features of words need padding 'none'")
        if self.padding == "pre":
            if self.inputs != "tokens" or not self.unidirectional or self.pooling != "last" or self.max_length < 1:
                raise InputError(
                    "architecture: padding 'pre' needs tokens, one direction, pooling 'last' and a max_length above 0"
                )
            self.check_pads(self.max_length)

    def check_pads(self, length: int) -> None:
        """Raise InputError where sequences padded to `length` steps have too many states for one prediction."""
        units = sum(layer.size for layer in self.layers)
        if length * units > MAX_PAD_STATES:
            raise InputError(
                f"architecture: with padded steps, steps x units of all layers may be at most {MAX_PAD_STATES:,}, not "
                f"{length:,} x {units:,}"
            )

    @classmethod
    def stacked(
        cls,
        inputs: Literal["tokens", "channels"],
        vocab_size: int,
        embedding_dim: int,
        units: int,
        layers: int = 1,
        bidirectional: bool = False,
        **others: Any,
    ) -> Self:
        """Equal layers of `units`, of one direction or two. others: fields of the class."""
        layer, count = Layer(units, "both" if bidirectional else "forward"), min(layers, MAX_LAYERS + 1)
        return cls(inputs, vocab_size, embedding_dim, (layer,) * count, **others)

    @classmethod
    def from_config(cls, entry: object, where: str) -> Self:
        """From `asdict`, of a file. Older files have `units`, `layers` as a number and `bidirectional`: equal layers.
        And `unread`, how many numbers of each step the LSTM left to other members, which now read another part of the
        sequence. Raises ModelFileError as `fields_from` does.
        """
        if isinstance(entry, Mapping) and "unread" in entry:
            if type(entry["unread"]) is not int or entry["unread"] < 0:
                raise ModelFileError(f"{where}: unread must be a whole number of at least 0")
            entry = {name: value for name, value in entry.items() if name != "unread"}
        if isinstance(entry, Mapping) and "units" in entry:
            entry = dict(entry)
            count, both = entry.pop("layers", 1), entry.pop("bidirectional", False)
            if type(count) is not int or type(both) is not bool:
                raise ModelFileError(f"{where}: layers must be a whole number, bidirectional must be true or false")
            layer = {"units": entry.pop("units"), "direction": "both" if both else "forward"}
            entry["layers"] = [layer] * min(count, MAX_LAYERS + 1)  # too many are refused by the architecture
        return fields_from(cls, entry, where)

    def stacked_fields(self) -> dict[str, Any] | None:
        """units, layers and bidirectional, as for `stacked`; None where the layers differ or hidden layers follow."""
        top = self.top
        if self.hidden or set(self.layers) != {top} or top.direction == "backward" or top.merge != "concat":
            return None
        return {"units": top.units, "layers": len(self.layers), "bidirectional": top.direction == "both"}

    @property
    def top(self) -> Layer:
        """The last LSTM layer."""
        return self.layers[-1]

    @property
    def nouns(self) -> InputNouns:
        """What the network reads, in words."""
        return NOUNS[self.inputs]

    @property
    def unidirectional(self) -> bool:
        """Whether all layers read forward only, so that no state depends on a later step."""
        return all(layer.direction == "forward" for layer in self.layers)

    @property
    def features(self) -> int:
        """Inputs of the first dense layer: the width of the top layer, twice for two poolings."""
        return self.top.width * max(1, len(self.poolings))

    @property
    def input_size(self) -> int:
        """Inputs of the first LSTM layer."""
        if self.inputs == "channels":
            return self.vocab_size
        return self.embedding_dim + self.feature_dim

    @property
    def labels(self) -> int:
        """K, the number of classes of a step: two of one logit."""
        return max(2, self.outputs)

    def check_plain(self, what: str) -> None:
        """Raise InputError for word features or a conditional random field, which a format does not have. what: does
        not have them, such as "an ONNX file".
        """
        if self.word_features:
            raise InputError(f"{what} has no features of words: train with tokenization='spaces' and crf=False")
        if self.crf:
            raise InputError(f"{what} has no conditional random field: train with crf=False")

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON. Fields that a network without features and transitions does not have are left out."""
        entry = asdict(self)
        for name in ("word_features", "feature_dim", "crf"):
            if not entry[name]:
                del entry[name]
        return entry

    @cached_property
    def poolings(self) -> tuple[Pooling, ...]:
        """What the first dense layer reads of the states of the top layer; none where each step has a prediction."""
        return poolings_of(self.pooling)

    @property
    def per_step(self) -> bool:
        """Whether each step has a prediction."""
        return not self.poolings

    @cached_property
    def reads_outputs(self) -> bool:
        """Whether outputs of steps of the top layer are read, and not its final states alone."""
        return self.per_step or any(pooling.reads_outputs for pooling in self.poolings)

    @property
    def pools_steps(self) -> bool:
        """Whether a pooling goes over all steps."""
        return any(pooling.reads_all_steps for pooling in self.poolings)

    @property
    def channels(self) -> int:
        """C, values per step of a series; 0 for tokens."""
        return self.vocab_size if self.inputs == "channels" else 0

    def lstms(self) -> Iterator[tuple[int, Literal["forward", "backward"], str]]:
        """Layer, direction and parameter prefix of each LSTM of the network."""
        for number, layer in enumerate(self.layers):
            for direction in layer.directions:
                yield number, direction, f"lstm.{number}.{direction}"

    def dense(self) -> Iterator[tuple[str, int, Hidden]]:
        """Parameter prefix, inputs and shape of each dense layer, the output layer last."""
        sizes = [self.features, *(layer.units for layer in self.hidden)]
        for number, layer in enumerate(self.hidden):
            yield f"hidden.{number}", sizes[number], layer
        yield "dense", sizes[-1], Hidden(self.outputs)


def parameter_shapes(arch: Architecture) -> dict[str, tuple[int, ...]]:
    """Name and shape of every parameter, from input to output."""
    shapes: dict[str, tuple[int, ...]] = {}
    if arch.inputs == "tokens":
        shapes["embedding.weight"] = (arch.vocab_size, arch.embedding_dim)
    if arch.word_features:
        shapes["feature_embedding.weight"] = (arch.word_features, arch.feature_dim)
    for number, _, prefix in arch.lstms():
        units = arch.layers[number].units
        inputs = arch.layers[number - 1].width if number else arch.input_size
        shapes[f"{prefix}.weight_ih"] = (4 * units, inputs)
        shapes[f"{prefix}.weight_hh"] = (4 * units, units)
        shapes[f"{prefix}.bias"] = (4 * units,)
    for prefix, inputs, layer in arch.dense():
        shapes |= {f"{prefix}.weight": (layer.units, inputs), f"{prefix}.bias": (layer.units,)}
    if arch.crf:
        shapes |= {TRANSITIONS + name: shape for name, shape in transition_shapes(arch.labels).items()}
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
    et al. 2015). The transitions of a conditional random field are 0.
    """
    return {name: initial_value(name, shape, rng).astype(np.float32) for name, shape in parameter_shapes(arch).items()}


def initial_value(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Of one parameter, see `initial_parameters`."""
    if name == "embedding.weight":
        return rng.uniform(-0.05, 0.05, shape)
    if name == "feature_embedding.weight":
        rows = rng.uniform(-0.05, 0.05, shape)
        rows[0] = 0  # no feature
        return rows
    if name.startswith(TRANSITIONS):
        return np.zeros(shape)
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

    def add(name: str, width: int, prefix: str, each: bool) -> None:
        parameters = sum(size for key, size in sizes.items() if key.startswith(prefix))
        lines.append((name, f"({steps}, {width})" if each else f"({width},)", parameters))

    if arch.inputs == "tokens":
        add("Embedding", arch.embedding_dim, "embedding.", True)
    if arch.word_features:
        add("Embedding of word features (sum)", arch.feature_dim, "feature_embedding.", True)
    for number, layer in enumerate(arch.layers):
        name = {"forward": "LSTM", "backward": "Backward LSTM", "both": "Bidirectional LSTM"}[layer.direction]
        merge = "" if layer.merge == "concat" else f", {layer.merge}"
        returns_steps = number < len(arch.layers) - 1 or arch.per_step or arch.pools_steps
        add(f"{name} ({layer.units}{merge})", layer.width, f"lstm.{number}.", returns_steps)
    if arch.pools_steps:
        lines.append((f"Pooling ({arch.pooling})", f"({arch.features},)", 0))
    for prefix, _, dense in arch.dense():
        name = "Dense" if prefix == "dense" else f"Dense ({dense.units}, {dense.activation})"
        add(name, dense.units, f"{prefix}.", arch.per_step)
    if arch.crf:
        add("CRF", arch.labels, TRANSITIONS, True)
    return lines
