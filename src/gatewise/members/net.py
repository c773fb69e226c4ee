"""The network that is explained: parameters, architecture, kernel, linear model and clamps, and its batched runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from gatewise.errors import InputError
from gatewise.kernels import Kernel
from gatewise.members.cancel import check_cancelled
from gatewise.members.clamp import Clamp, ClampedOps
from gatewise.members.member import LinearModel
from gatewise.network.architecture import Architecture
from gatewise.network.batch import Batch, chunks
from gatewise.network.forward import forward
from gatewise.network.ops import NumpyOps
from gatewise.target import Target
from gatewise.types import Array, Task

STEPS_PER_BATCH = 65_536  # bounds the memory of methods that run a quadratic number of steps
_STATES_PER_BATCH = 1 << 23  # numbers: steps times the units of a layer


@dataclass(frozen=True, eq=False)
class ExplainedNetwork:
    """A network as arrays.

    kernel: None for the one that predicts. unknown: the token of unknown words, if there is one. clamps: gates that
    every run holds at a value. linear: the linear model whose logits are added, on n-grams or on convolutions. memo: a
    cache of results that depend on read-only parameters alone; None for parameters that can change. target: what is
    predicted; None for classes without names, of two logits for two labels.
    """

    parameters: Mapping[str, Array]
    arch: Architecture
    kernel: Kernel | None = None
    unknown: int | None = None
    clamps: tuple[Clamp, ...] = ()
    linear: LinearModel | None = None
    memo: dict[str, tuple[Array, Array]] | None = field(default=None, repr=False)
    target: Target = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.target is None:
            names = tuple(f"class {k}" for k in range(max(2, self.arch.outputs)))
            # Two classes have one logit; two logits without names are those of two labels.
            task: Task = "multilabel" if self.arch.outputs == 2 else "classification"
            object.__setattr__(self, "target", Target(names, task))
        if self.target.outputs != self.arch.outputs:
            count = len(self.target.classes)
            raise InputError(f"a network of {self.arch.outputs} logits does not predict {count} classes")

    def ops(self, keep: bool = False) -> NumpyOps:
        """The operations for `network.forward`; with `keep`, they save the activations."""
        if self.clamps:
            return ClampedOps(self.arch, self.clamps, self.kernel, keep)
        return NumpyOps(self.kernel, keep, self.memo)

    def with_clamps(self, clamps: Iterable[Clamp]) -> ExplainedNetwork:
        """This network with these clamps in place of its own."""
        return replace(self, clamps=tuple(clamps))

    def without_linear(self) -> ExplainedNetwork:
        """This network without its linear model."""
        return self if self.linear is None else replace(self, linear=None)

    @property
    def linear_name(self) -> str:
        """What the linear model counts: "n-grams" or "convolutions"."""
        return "n-grams" if self.arch.inputs == "tokens" else "convolutions"

    @property
    def score_noun(self) -> str:
        """The noun for the number that is explained: "logit", or "prediction" for regression."""
        return "prediction" if self.target.task == "regression" else "logit"

    @property
    def token_noun(self) -> str:
        """The noun for one step: "word" or "step"."""
        return "word" if self.arch.inputs == "tokens" else "step"


def run_all(net: ExplainedNetwork, sequences: Iterable[Array]) -> Array:
    """Logits (n, outputs) float64 of n sequences, the linear model included, in ragged batches of bounded memory: at
    most STEPS_PER_BATCH steps (or one sequence), fewer for a wide network. Raises Cancelled between them.
    """
    ops, parts = net.ops(), []
    steps = min(STEPS_PER_BATCH, _STATES_PER_BATCH // (net.arch.units * len(net.arch.directions)))
    for some in chunks(sequences, steps):
        check_cancelled()
        logits = np.asarray(forward(ops, net.parameters, net.arch, Batch.of(some, net.arch)), dtype=np.float64)
        parts.append(logits if net.linear is None else logits + net.linear.logits(some))
    return np.concatenate(parts) if parts else np.zeros((0, net.arch.outputs))
