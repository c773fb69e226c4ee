"""A network whose parameters are trained: `network.forward` on arrays that an optimiser changes in place.

Only the embedding rows of tokens that occur in training (`trainable_rows`) are parameters: the gradient of every other
row is zero, so Adam would never change it. `arrays()` returns all parameters, the other rows unchanged.
"""

from collections.abc import Callable, Mapping
from typing import Any

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
LossOf = Callable[[Array], tuple[float, Array]]  # logits (B, outputs) -> the loss and its gradient
TABLE = "embedding.weight"


class Trainable:
    """A network whose `parameters`, by name, an optimiser changes in place."""

    parameters: Mapping[str, Array]

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
        self.arch, self.kernel = arch, kernel
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
            self.variables[name] = EmbeddingTable(own) if name == TABLE else Variable(own)
        self.parameters = {name: variable.value for name, variable in self.variables.items()}

    def backward(self, batch: Batch, loss_of: LossOf, x: Variable | None = None) -> tuple[Array, float]:
        """Add the gradient of a batch's loss; return logits (B, outputs) and loss. x: see `forward.features`."""
        ops = self.ops()
        x = self.inputs(ops, batch) if x is None else x
        pooled = ops.dropout(features(ops, self.variables, self.arch, batch, x), "output")
        weight, bias = self.variables["dense.weight"], self.variables["dense.bias"]
        logits = head(ops, self.variables, self.arch, pooled)
        loss, gradient = loss_of(array_of(logits))
        self._accumulate(logits, gradient, 1 - self.direction_loss)
        for direction in (0, 1) if self.direction_loss else ():
            parts = self.arch.features // self.arch.top.width  # mean, maximum or both
            mask = np.zeros((parts, 2, self.arch.top.units), dtype=weight.value.dtype)
            mask[:, direction] = 2  # the weights of the other direction count as 0
            alone = ops.linear(pooled, ops.multiply(weight, mask.reshape(1, -1)), bias)
            self._accumulate(alone, loss_of(array_of(alone))[1], self.direction_loss / 2)
        ops.backward()
        return array_of(logits), loss

    def inputs(self, ops: RecordingOps, batch: Batch) -> Any:
        """Inputs of the first layer, as `network.forward.inputs`, with dropout on the embedding."""
        x = inputs(ops, self.variables, self.with_rows(batch))
        return ops.dropout(x, "embedding") if batch.values is None else self.dropout.noisy(x)

    @staticmethod
    def _accumulate(logits: Variable, gradient: Array, share: float) -> None:
        logits.accumulate((share * gradient).astype(logits.value.dtype, copy=False))

    def ops(self) -> RecordingOps:
        """Operations that record a training step, with dropout."""
        return RecordingOps(self.kernel, dropout=self.dropout)

    def with_rows(self, batch: Batch) -> Batch:
        """The batch with its tokens as row numbers of `trainable_rows`. Raises InputError for a token without a row."""
        if self._row_of is None or batch.distinct is None:
            return batch
        rows = self._row_of[batch.distinct]
        if int(rows.min(initial=0)) < 0:
            raise InputError(f"token {batch.distinct[rows < 0][0]} is not among the trainable rows")
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
