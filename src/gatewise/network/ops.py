"""Array operations of the network, against which `network.forward` is written, each with its gradient.

`Ops` computes on NumPy arrays and records nothing. In its subclass `network.autograd.RecordingOps` an array may be a
variable, and `record` keeps the gradient of each operation for the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels import Forward, Interpolation, LSTMCall, get
from gatewise.kernels.call import InputProduct
from gatewise.types import Activation, Array, Lengths

if TYPE_CHECKING:
    from gatewise.kernels.interface import Kernel
    from gatewise.kernels.saved_activations import SavedActivations
    from gatewise.network.merge_mode import MergeMode
    from gatewise.network.word_table import WordTable


class StepsReduction(Protocol):
    """What `Ops.pool` calls; see `gatewise.network.pooling.StepsPooling`."""

    def pooled(self, h: Array, lengths: Lengths) -> Array: ...

    def gradient(self, h: Array, pooled: Array, lengths: Lengths, grad: Array, into: Array | None) -> Array: ...


class Ops:
    """Operations on arrays and a kernel.

    With `keep`, `saved_activations[name]` collects the activations of each LSTM, in the order of the runs. `memo` holds
    the pad states by name and is for parameters that do not change: they are then computed once, and later runs save no
    activations of the pads. `tables` holds the input products of tokens by name and kernel, for such parameters.
    interpolation: of the input rows of the first layer (see `kernels.Interpolation`), but not of the pads before them,
    whose states then count as constants.
    """

    reads_inputs_once: ClassVar[bool] = True
    """Whether only the recurrence reads its input product: not a gradient, nor held gates."""

    def __init__(
        self,
        kernel: Kernel | None = None,
        keep: bool = False,
        memo: dict[str, tuple[Array, Array]] | None = None,
        interpolation: Interpolation | None = None,
        tables: dict[str, WordTable] | None = None,
    ) -> None:
        self.kernel = kernel or get()
        self.keep = keep
        self.memo = memo
        self.interpolation = interpolation
        self.tables = tables
        # With bfloat16 products pad states cycle within one rounding and never converge, so that every pad would run.
        self.pad_kernel = get("native") if self.kernel.name == "bf16" else self.kernel
        self.saved_activations: dict[str, list[SavedActivations]] = {}

    def record(self, value: Array, arguments: Sequence[Any], backward: Callable[[Array], None]) -> Any:
        """The result of an operation. backward(gradient of the result): adds to the gradients of the arguments."""
        return value

    def take(self, rows: Any, which: NDArray[np.int64]) -> Any:
        """rows (U, D), which (K,) -> (K, D)."""
        return self.record(array_of(rows)[which], [rows], lambda grad: rows.accumulate_rows(which, grad))

    def take_sum(self, rows: Any, which: NDArray[np.int64]) -> Any:
        """rows (S, D), which (K, F) -> the sum of the F rows (K, D). Row 0 stands for none: it has no gradient."""

        def backward(grad: Array) -> None:
            taker, _ = np.nonzero(which)
            rows.accumulate_rows(which[which != 0], grad[taker])

        return self.record(array_of(rows)[which].sum(axis=1), [rows], backward)

    def linear(self, x: Any, weight: Any, bias: Any) -> Any:
        """x (U, D), weight (K, D), bias (K,) -> x weightᵀ + bias (U, K). In float32 by the kernel: a row of the native
        one's product does not depend on the other rows, which a BLAS library does not promise.
        """
        values, weights = array_of(x), array_of(weight)
        if values.dtype == np.float32:
            out = self.pad_kernel.project(*map(np.ascontiguousarray, (values, weights, array_of(bias))))
        else:
            out = values @ weights.T + array_of(bias)

        def backward(grad: Array) -> None:  # (U, K)
            accumulate((x, weight, bias), (grad @ weights, grad.T @ values, grad.sum(axis=0)))

        return self.record(out, [x, weight, bias], backward)

    def project(self, x: Any, weight_ih: Any, bias: Any) -> Any:
        """The input product of an LSTM by the kernel, in its precision: x (U, D) -> pre (U, 4H)."""
        kernel, values, weights = self.kernel, *(np.ascontiguousarray(array_of(part)) for part in (x, weight_ih))

        def backward(grad: Array) -> None:
            with_dx = not isinstance(x, np.ndarray)
            grads = kernel.project_backward(values, weights, np.ascontiguousarray(grad), with_dx=with_dx)
            accumulate((x, weight_ih, bias), grads)

        return self.record(kernel.project(values, weights, array_of(bias)), [x, weight_ih, bias], backward)

    def input_product(self, x: Any, weight_ih: Any, bias: Any) -> Any:
        """As `project`, of inputs (N, D) with a row for each step. Where nothing but the recurrence reads the product,
        an `InputProduct`, which the kernel computes with it.
        """
        is_read_elsewhere = not self.reads_inputs_once or self.keep or self.interpolation is not None
        if is_read_elsewhere or not self.kernel.takes_input_product:
            return self.project(x, weight_ih, bias)
        return InputProduct(np.ascontiguousarray(x), np.ascontiguousarray(weight_ih), bias)

    def lstms(self, calls: Sequence[tuple[str, LSTMCall[Any]]], positions: Array | None = None) -> list[Forward]:
        """The recurrence by the kernel: of the directions of a layer, which do not depend on each other. A name is the
        prefix of the parameters (`.pads` added for the pad steps).

        positions (N,): the step of the whole sequence that each step is; None where the sequences start at step 0. Only
        clamps read them.
        """
        runs = []
        for name, call in calls:
            pads = name.endswith(".pads")  # pad states need c of every step
            run = (self.pad_kernel if pads else self.kernel).forward(call, keep=self.keep or pads)
            if self.keep and run.saved is not None:
                self.saved_activations.setdefault(name, []).append(run.saved)
            runs.append(run)
        return runs

    def activate(self, x: Any, name: Activation, negative_slope: float = 0.01) -> Any:
        """The activation of a dense layer, of each value of x, see `gatewise.network.activations`."""
        from gatewise.network.activations import ACTIVATIONS  # few networks have hidden layers

        values, (value, slope) = array_of(x), ACTIVATIONS[name]
        out = value(values, negative_slope)
        return self.record(out, [x], lambda grad: accumulate([x], [grad * slope(values, out, negative_slope)]))

    def merge(self, outputs: Sequence[Any], mode: MergeMode) -> Any:
        """The outputs (N, H) of one or two directions as one (N, width)."""
        if len(outputs) == 1:
            return outputs[0]
        arrays = [array_of(output) for output in outputs]

        def backward(grad: Array) -> None:
            accumulate(outputs, mode.gradients(grad, arrays))

        return self.record(mode.merged(arrays), outputs, backward)

    def last_rows(self, x: Any, lengths: Lengths) -> Any:
        """(N, H) -> (B, H), the row of the last step of each sequence; zero for an empty one."""
        row = np.where(lengths > 0, np.cumsum(lengths), 0)
        return self.take(self.concat([np.zeros((1, array_of(x).shape[1]), array_of(x).dtype), x], axis=0), row)

    def concat(self, parts: Sequence[Any], axis: int) -> Any:
        """The parts one after the other along an axis."""
        if len(parts) == 1:
            return parts[0]
        arrays = [array_of(part) for part in parts]

        def backward(grad: Array) -> None:
            ends = np.cumsum([array.shape[axis] for array in arrays])[:-1]
            accumulate(parts, [cut.copy() for cut in np.split(grad, ends, axis=axis)])

        return self.record(np.concatenate(arrays, axis), parts, backward)

    def pool(self, x: Any, lengths: Lengths, pooling: StepsReduction) -> Any:
        """(N, H) -> (B, H), the pooling over the steps of each sequence; zero for an empty one."""
        values = array_of(x)
        pooled = pooling.pooled(values, lengths)

        def backward(grad: Array) -> None:
            x.grad = pooling.gradient(values, pooled, lengths, grad, x.owned_grad())

        return self.record(pooled, [x], backward)


def array_of(x: Any) -> Array:
    """The array of a variable, or the array itself."""
    value: Array = getattr(x, "value", x)
    return value


def accumulate(arguments: Sequence[Any], grads: Sequence[Array | None]) -> None:
    """Add gradients, which nothing else holds, to those of the variables among the arguments."""
    for argument, grad in zip(arguments, grads, strict=True):
        if not isinstance(argument, np.ndarray) and grad is not None:
            argument.accumulate(grad, owned=True)
