"""A run of a kernel: its arguments and its result. A prediction imports this module and not the whole interface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from gatewise.types import Array, Gate, Index, Lengths

T = TypeVar("T")

Interpolation = tuple[Index, Array]
"""base (B,) and alpha (B,): each step of sequence b takes base + alpha (row - base) in place of its input row, where
base is row base[b] of pre.

Points on the path between two inputs (integrated gradients) thereby share one input product. alpha 0 gives the base row
and alpha 1 the step's own row, exactly. The gradient dpre of such a run is that of the interpolated rows, summed by
`index`: not multiplied by alpha, and without the part that belongs to the base.
"""

Held = tuple[Index, Array]
"""index (N,) and values (R, 4H): step n has the gates values[index[n]], in the order i, f, g, o. A gate whose value is
NaN is computed as usual. A run with held gates has no backward pass.
"""


class InputProduct(NamedTuple):
    """The input product x weight_ihᵀ + bias of a run, in place of its result: the kernel computes it with the
    recurrence, some steps at a time, so that it stays in cache. The bits are those of `project` and `forward`.
    """

    x: Any  # (N, D)
    weight_ih: Any  # (4H, D)
    bias: Any  # (4H,)


# Not frozen: a frozen dataclass sets each field by object.__setattr__, which takes longer than a step of few units.
@dataclass(eq=False, slots=True)
class LSTMCall(Generic[T]):
    """One run of the recurrence over a batch; T is the array type: NumPy's for a kernel. `gatewise.network` also passes
    variables, which have a gradient.

    pre (U, 4H): x W_ihᵀ + b once per distinct input (for text: one row per distinct token). index (N,): the row of
    `pre` that each step takes; None where each step has its own row (U = N). lengths (B,). weight_hh (4H, H). h0, c0
    (B, H): initial states; a sequence without steps returns them unchanged.

    pre can be an `InputProduct` for a kernel with `takes_input_product`. Such a run has no index, no interpolation and
    no held gates.

    reverse: run each sequence from its last row to its first. Row n of every array still belongs to step n of the
    sequence, and h_T is the state after the first row.

    mask (B, H): recurrent dropout, the same for all steps of a sequence (Gal & Ghahramani 2016). weight_hh multiplies
    mask h_{t-1} instead of h_{t-1}, including the initial state; h and h_T are not masked.

    last_only: of a run with an `InputProduct`, whether only the last states are wanted; h is None then.
    """

    pre: T  # or an InputProduct
    index: Index | None
    lengths: Lengths
    weight_hh: T
    h0: T
    c0: T
    reverse: bool = False
    gate: Gate = "sigmoid"
    mask: T | None = None
    interpolation: Interpolation | None = None
    held: Held | None = None
    last_only: bool = False


class Forward(NamedTuple):
    """Result of `Kernel.forward`: h of every step and the last states; with `keep` also the saved activations and c of
    every step. `gatewise.network` also fills it with variables.
    """

    h: Any  # (N, H); None with `LSTMCall.last_only`
    h_T: Any  # (B, H)
    c_T: Any  # (B, H)
    saved: Any = None  # `gatewise.kernels.saved_activations.SavedActivations`
    c: Any = None  # (N, H)


LSTMRun = Callable[[Array, Lengths, Array, Array], tuple[Array, Array, Array]]
"""A layer with fixed weights: x (N, D), lengths (B,), h0 and c0 (B, H) -> h (N, H), h_T and c_T (B, H)."""

LinearRun = Callable[[Array], Array]
"""A linear layer with fixed weights: x (U, D) -> x weightᵀ + bias (U, K)."""
