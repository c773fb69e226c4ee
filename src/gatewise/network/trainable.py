"""A network whose parameters are trained: `network.forward` on arrays that an optimiser changes in place.

Only the embedding rows of tokens that occur in training (`trainable_rows`) are parameters: the gradient of every other
row is zero, so Adam would never change it. `arrays()` returns all parameters, the other rows unchanged.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.kernels.interface import Kernel
from gatewise.network.architecture import Architecture
from gatewise.network.autograd import EmbeddingTable, RecordingOps, RowGradient, Variable
from gatewise.network.batch import Batch
from gatewise.network.dropout import Dropout
from gatewise.network.forward import features, head, inputs
from gatewise.network.ops import array_of
from gatewise.types import Array

Gradients = dict[str, Array | RowGradient]
TABLE = "embedding.weight"
FEATURE_TABLE = "feature_embedding.weight"


class BatchLoss(NamedTuple):
    """The loss of a batch, and its gradient with respect to the logits (B, outputs), and to parameters that the loss
    reads itself, by name. correct: how many rows, or steps, are predicted correctly, 0 for numbers.
    """

    value: float
    gradient: Array
    correct: int = 0
    of_parameters: Mapping[str, Array] = MappingProxyType({})


LossOf = Callable[[Array], BatchLoss]
"""The loss of logits (B, outputs)."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """A recorded forward pass of `Network.forward`.

    heads: the logits, each (B, outputs); with a direction loss also those of each direction by itself. shares: of each
    head in the loss; they add up to 1. variables: the parameters by name.
    """

    ops: RecordingOps
    heads: Sequence[Variable]
    shares: Sequence[float]
    variables: Mapping[str, Variable]

    @property
    def logits(self) -> Array:
        """(B, outputs) of the whole network."""
        return array_of(self.heads[0])

    def losses(self, loss_of: LossOf) -> list[BatchLoss]:
        """The loss of each head, that of `logits` first."""
        return [loss_of(array_of(logits)) for logits in self.heads]

    def backward(self, losses: Sequence[BatchLoss], weight: float = 1.0) -> None:
        """Add the gradient of the losses, times their shares and the weight, to the parameters."""
        for logits, share, loss in zip(self.heads, self.shares, losses, strict=True):
            gradient = weight * share * loss.gradient
            logits.accumulate(gradient.astype(logits.value.dtype, copy=False))
            for name, of_parameter in loss.of_parameters.items():
                variable = self.variables[name]
                variable.accumulate((weight * share * of_parameter).astype(variable.value.dtype))
        self.ops.backward()


class Trainable:
    """A network whose `parameters`, by name, an optimiser changes in place."""

    parameters: Mapping[str, Array]

    @property
    def tables(self) -> frozenset[str]:
        """The names of the parameters whose gradients are rows (`EmbeddingTable`)."""
        return frozenset()

    def state(self) -> dict[str, Array]:
        """Copies of the parameters by name; of the embedding of a `Network`, the trainable rows only."""
        return {name: value.copy() for name, value in self.parameters.items()}

    def set_state(self, state: Mapping[str, Array]) -> None:
        """Restore what `state` returned."""
        for name, value in self.parameters.items():
            value[...] = state[name]


class Network(Trainable):
    """A trainable network. parameters: by name, as `gatewise.network.architecture.initial_parameters` returns them.

    trainable_rows (A,): the embedding rows that may occur, ascending; None for all. dropout: probability by part, see
    `gatewise.network.dropout`; `dropout.rng` may be set before each step. direction_loss: share of the loss that is the
    mean of the losses of each direction by itself; its logits are twice its part of the dense layer's (0 where the top
    layer has one direction or merges them, and with hidden layers). kernel: the default kernel where None. dtype:
    "float32", or "float64" for tests.
    """

    def __init__(
        self,
        arch: Architecture,
        parameters: Mapping[str, Array],
        *,
        trainable_rows: NDArray[np.int64] | None = None,
        dropout: Mapping[str, float] | None = None,
        direction_loss: float = 0.0,
        kernel: Kernel | None = None,
        dtype: str = "float32",
    ) -> None:
        self.arch = arch
        self.kernel = kernel
        self.direction_loss = direction_loss if arch.top.width > arch.top.units and not arch.hidden else 0.0
        self.dropout = Dropout(dropout or {}, np.random.default_rng())
        self.trainable_rows = trainable_rows
        self._start = dict(parameters)
        self._row_of: NDArray[np.int64] | None = None
        if self.trainable_rows is not None:
            self._row_of = np.full(arch.vocab_size, -1, dtype=np.int64)
            self._row_of[self.trainable_rows] = np.arange(len(self.trainable_rows))
        self.variables: dict[str, Variable] = {}
        for name, array in parameters.items():
            kept = array if name != TABLE or self.trainable_rows is None else array[self.trainable_rows]
            own = np.array(kept, dtype=dtype, order="C")
            self.variables[name] = EmbeddingTable(own) if name in (TABLE, FEATURE_TABLE) else Variable(own)
        self.parameters = {name: variable.value for name, variable in self.variables.items()}

    @property
    def tables(self) -> frozenset[str]:
        return frozenset({TABLE, FEATURE_TABLE}) & self.parameters.keys()

    def table_rows(self, batch: Batch) -> dict[str, NDArray[np.int64]]:
        """The rows of each of `tables` that the forward pass of a batch reads, by name, ascending."""
        distinct = self.with_rows(batch).distinct
        if distinct is None:
            return {}
        if distinct.ndim == 1:
            return {TABLE: distinct}
        features = np.unique(distinct[:, 1:])
        return {TABLE: np.unique(distinct[:, 0]), FEATURE_TABLE: features[features < self.arch.word_features]}

    def forward(self, batch: Batch, x: Variable | None = None) -> Predictions:
        """The logits of a batch, with dropout, recorded for `Predictions.backward`. x: see `forward.features`."""
        ops = self.ops()
        if x is None:
            x = self.inputs(ops, batch)
        pooled = ops.dropout(features(ops, self.variables, self.arch, batch, x), "output")
        heads = [head(ops, self.variables, self.arch, pooled)]
        shares = [1 - self.direction_loss]
        if self.direction_loss:
            for direction in (0, 1):
                heads.append(self._direction_head(ops, pooled, direction))
                shares.append(self.direction_loss / 2)
        return Predictions(ops, heads, shares, self.variables)

    def _direction_head(self, ops: RecordingOps, pooled: Any, direction: int) -> Variable:
        """The logits (B, outputs) of one direction by itself: its weights count twice, those of the other one as 0."""
        weight = self.variables["dense.weight"]
        poolings = self.arch.features // self.arch.top.width  # 2 for mean and maximum, else 1
        mask = np.zeros((poolings, 2, self.arch.top.units), dtype=weight.value.dtype)
        mask[:, direction] = 2
        masked: Variable = ops.linear(pooled, ops.multiply(weight, mask.reshape(1, -1)), self.variables["dense.bias"])
        return masked

    def inputs(self, ops: RecordingOps, batch: Batch) -> Any:
        """Inputs of the first layer, as `network.forward.inputs`, with dropout on the embedding."""
        x = inputs(ops, self.variables, self.with_rows(batch))
        if batch.values is None:
            return ops.dropout(x, "embedding")
        return self.dropout.noisy(x)

    def ops(self) -> RecordingOps:
        """Operations that record a training step, with dropout."""
        return RecordingOps(self.kernel, dropout=self.dropout)

    def with_rows(self, batch: Batch) -> Batch:
        """The batch with its tokens as row numbers of `trainable_rows`. Raises InputError for a token without a row."""
        if self._row_of is None or batch.distinct is None:
            return batch
        tokens = batch.distinct
        if tokens.ndim == 2:
            tokens = tokens[:, 0]
        rows = self._row_of[tokens]
        if int(rows.min(initial=0)) < 0:
            raise InputError(f"token {tokens[rows < 0][0]} is not among the trainable rows")
        if batch.distinct.ndim == 2:
            rows = np.concatenate([rows[:, None], batch.distinct[:, 1:]], axis=1)
        return Batch(batch.lengths, rows, batch.index, batch.values, batch.pads)

    def gradients(self) -> Gradients:
        """The gradients by name that have accumulated since `zero_grad`; of the embedding, by row."""
        return gradients_of(self.variables)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for variable in self.variables.values():
            variable.clear()

    def arrays(self, state: Mapping[str, Array] | None = None) -> dict[str, Array]:
        """All parameters by name, current or of `state`; other embedding rows have their initial values."""
        out: dict[str, Any] = dict(state if state is not None else self.state())
        if self.trainable_rows is not None:
            full = self._start[TABLE].astype(out[TABLE].dtype)
            full[self.trainable_rows] = out[TABLE]
            out[TABLE] = full
        return out


def gradients_of(variables: Mapping[str, Variable]) -> Gradients:
    """The gradients by name; of tables by row."""
    return {
        name: variable.row_gradient() if isinstance(variable, EmbeddingTable) else variable.grad_or_zeros()
        for name, variable in variables.items()
    }
