"""The network as a torch module: `gatewise.network.forward` on torch tensors, for training.

Only the embedding rows of tokens that occur in training (`trainable_rows`) are parameters: the gradient of every other
row is zero, so Adam would never change it. `arrays()` returns all parameters, the other rows unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.errors import InputError
from gatewise.network.architecture import Architecture
from gatewise.network.batch import Batch
from gatewise.network.forward import forward, inputs
from gatewise.nn.ops import TorchOps
from gatewise.types import Array


class Network(torch.nn.Module):
    """A trainable network. parameters: by name, as `gatewise.network.architecture.initial_parameters` returns them.

    trainable_rows (A,): the embedding rows that may occur, ascending; None for all. dropout, kernel: see `TorchOps`.
    dtype: float32, or float64 for tests.
    """

    def __init__(
        self,
        arch: Architecture,
        parameters: Mapping[str, Array],
        *,
        trainable_rows: NDArray[np.int64] | None = None,
        dropout: Mapping[str, float] | None = None,
        dtype: torch.dtype = torch.float32,
        kernel: str | None = None,
    ) -> None:
        super().__init__()
        self.arch = arch
        self.trainable_rows = trainable_rows if arch.inputs == "tokens" else None
        self._start = dict(parameters)
        self._row_of: NDArray[np.int64] | None = None
        if self.trainable_rows is not None:
            self._row_of = np.full(arch.vocab_size, -1, dtype=np.int64)
            self._row_of[self.trainable_rows] = np.arange(len(self.trainable_rows))
        if arch.padding == "pre" and (dropout or {}).get("recurrent", 0) > 0:
            raise InputError(
                "recurrent dropout has one mask per sequence, so sequences cannot share their pads (padding)"
            )
        self._ops, self._plain = TorchOps(dropout, kernel), TorchOps(kernel=kernel)
        self.weights = torch.nn.ParameterDict()
        for name, array in parameters.items():
            kept = (
                array[self.trainable_rows] if name == "embedding.weight" and self.trainable_rows is not None else array
            )
            self.weights[attribute(name)] = torch.nn.Parameter(torch.from_numpy(np.array(kept)).to(dtype))

    def forward(self, batch: Batch, x: Tensor | None = None) -> Tensor:
        """Logits (B, outputs); dropout acts in training mode only. x (N, D): input of every step instead of the
        batch's own, for example that of `inputs`, perturbed.
        """
        logits: Tensor = forward(self._mode, self._named, self.arch, self._with_rows(batch), x)
        return logits

    def inputs(self, batch: Batch) -> Tensor:
        """Inputs of the first LSTM layer: (N, D) for tokens, (N, C) for channels."""
        x: Tensor = inputs(self._mode, self._named, self._with_rows(batch))
        return x if batch.index is None else x.index_select(0, torch.from_numpy(batch.index))

    @property
    def _mode(self) -> TorchOps:
        return self._ops if self.training else self._plain

    @property
    def _named(self) -> dict[str, Tensor]:
        return {name: self.weights[attribute(name)] for name in self._start}

    def _with_rows(self, batch: Batch) -> Batch:
        """The batch with its tokens as row numbers of `trainable_rows`."""
        if self._row_of is None or batch.distinct is None:
            return batch
        return Batch(batch.lengths, self._row_of[batch.distinct], batch.index, batch.values, batch.pads)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As torch's, but the embedding's `grad` is zeroed in place, and the next backward pass adds to it in place.

        Allocating tens of megabytes of mostly zeros at every step costs page faults. `torch.autograd.grad` does not
        see this gradient.
        """
        embedding = self.weights["embedding_weight"] if self.arch.inputs == "tokens" else None
        kept = None if embedding is None else embedding.grad
        super().zero_grad(set_to_none)
        if embedding is not None:
            embedding.grad = torch.zeros_like(embedding) if kept is None else kept.zero_()
            self._ops.accumulates_in_place = True

    @property
    def names(self) -> list[str]:
        """Names of the parameters, from input to output."""
        return list(self._start)

    def weight(self, name: str) -> Tensor:
        """The parameter of that name; of the embedding, the trainable rows only."""
        found: Tensor = self.weights[attribute(name)]
        return found

    def state(self) -> dict[str, Array]:
        """Copies of the parameters by name; of the embedding, the trainable rows only."""
        return {name: self.weights[attribute(name)].detach().numpy().copy() for name in self._start}

    def set_state(self, state: Mapping[str, Array]) -> None:
        """Restore what `state` returned."""
        with torch.no_grad():
            for name, array in state.items():
                self.weights[attribute(name)].copy_(torch.from_numpy(array))

    def arrays(self, state: Mapping[str, Array] | None = None) -> dict[str, Array]:
        """All parameters by name, current or of `state`; other embedding rows have their initial values."""
        out = dict(state if state is not None else self.state())
        if self.trainable_rows is not None:
            full = self._start["embedding.weight"].astype(out["embedding.weight"].dtype)
            full[self.trainable_rows] = out["embedding.weight"]
            out["embedding.weight"] = full
        return out


def attribute(name: str) -> str:
    """The parameter's name with dots replaced, which torch does not allow."""
    return name.replace(".", "_")
