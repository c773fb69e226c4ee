"""Adam over the parameters of a network, the norm of a gradient, and the one-cycle learning rate.

    g = scale gradient
    m = β₁ m + (1 - β₁) g
    v = β₂ v + (1 - β₂) g²
    weight = weight - rate m / (√v + epsilon)        rate = lr √(1 - β₂ᵗ) / (1 - β₁ᵗ)

epsilon is eps √(1 - β₂ᵗ) as in algorithm 1 of Kingma & Ba (2015) and in PyTorch, which add eps to the corrected √v; as
in Keras it is eps ("epsilon hat" of its section 2).

Float32 runs in the C++ extension (src/native/adam.cpp), on all permitted threads, where `kernels.get` chooses the
native kernel. Otherwise, and for float64, NumPy runs the same operations in the same order. The extension rounds every
operation, so the bits depend neither on the instruction set nor on the number of threads; its only difference from
NumPy is that denormals count as 0. The extension refuses shapes and rows that would read or write outside of the
arrays.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels import Compiled, compiled_for, is_plain
from gatewise.network.autograd import RowGradient
from gatewise.network.trainable import Gradients
from gatewise.types import Array

_PIECE = 1 << 14  # elements that are squared at a time
_CACHE_LINE = 64  # bytes


class Adam:
    """Adam (Kingma & Ba 2015) on parameters of one dtype, float32 or float64, that it changes in place.

    A parameter in `tables` is a table (V, D) with gradients by row. Dense Adam moves every row in every step, since the
    moments of a row outlast its gradient. Here a row makes up for the steps that it missed when it is read next
    (`catch_up`), with the same bits.

    lr_scale: factor on the learning rate by name, 1 where absent. keras: epsilon as in Keras, else as in PyTorch.
    """

    def __init__(
        self,
        parameters: Mapping[str, Array],
        tables: frozenset[str] = frozenset(),
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        keras: bool = False,
        lr_scale: Mapping[str, float] | None = None,
    ) -> None:
        self.parameters = dict(parameters)
        self.tables = tables
        self._of = np.result_type(*self.parameters.values()).type
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.keras = keras
        self._betas = tuple(map(self._of, (beta_1, 1 - beta_1, beta_2, 1 - beta_2)))  # 1 - beta is rounded once
        self.lr_scale = dict(lr_scale or {})
        self.steps = 0
        self.m = {name: _moment(value) for name, value in self.parameters.items()}
        self.v = {name: _moment(value) for name, value in self.parameters.items()}
        self._last = {name: np.zeros(len(self.parameters[name]), dtype=np.int64) for name in tables}
        self._epsilons: Array  # of each step, and the rates of each table, as `catch_up` reads them
        self._rates: dict[str, Array]
        self._forget_steps()

    def catch_up(self, name: str, rows: NDArray[np.int64] | None = None) -> None:
        """Bring distinct rows of a table, by default all, to the present step. Call it before the rows are read."""
        weight = self.parameters[name]
        last = self._last[name]
        first = last
        if rows is not None:
            first = last[rows]
        least = int(first.min(initial=self.steps))
        if least == self.steps:
            return
        if rows is not None:
            behind = first < self.steps
            rows = rows[behind]
            first = first[behind]
        rates = self._rates[name][: self.steps + 1]
        epsilons = self._epsilons[: self.steps + 1]
        compiled = compiled_for(weight.dtype)
        if compiled is not None and is_plain(weight):
            compiled.extension.adam_catch_up(
                compiled.isa,
                compiled.threads,
                weight,
                rows,
                self.m[name],
                self.v[name],
                first,
                self.steps,
                rates,
                epsilons,
                *map(float, self._betas),
            )
        else:
            late = rows
            if late is None:
                late = np.arange(len(weight))
            for step in range(least + 1, self.steps + 1):
                at = late[first < step]
                self._step(name, np.zeros_like(weight[at]), at, rates[step], epsilons[step], 1.0, None)
        if rows is None:
            last[:] = self.steps
        else:
            last[rows] = self.steps

    def catch_up_all(self) -> None:
        """Bring all tables to the present step, before their parameters are read as a whole."""
        for name in self.tables:
            self.catch_up(name)

    def step(self, gradients: Gradients, learning_rate: float, scale: float = 1.0) -> None:
        """One step. scale: of all gradients. Rows of a table that are behind, since another process has read them, make
        up for their steps first.
        """
        for name in self.tables & gradients.keys():
            rows = gradients[name].rows  # type: ignore[union-attr]
            if (self._last[name][rows] < self.steps).any():
                self.catch_up(name, rows)
        self.steps += 1
        root = math.sqrt(1 - self.beta_2**self.steps)
        rate = learning_rate * root / (1 - self.beta_1**self.steps)
        if self.steps == len(self._epsilons):
            self._epsilons = np.concatenate([self._epsilons, np.zeros_like(self._epsilons)])
            self._rates = {name: np.concatenate([rates, np.zeros_like(rates)]) for name, rates in self._rates.items()}
        epsilon = self.epsilon
        if not self.keras:
            epsilon = self.epsilon * root
        self._epsilons[self.steps] = epsilon
        compiled = compiled_for(self._of)
        for name, gradient in gradients.items():
            scaled_rate = self._of(rate) * self._of(self.lr_scale.get(name, 1.0))
            rows = None
            if isinstance(gradient, RowGradient):
                rows = gradient.rows
                self._last[name][rows] = self.steps
                self._rates[name][self.steps] = scaled_rate
            grad = np.ascontiguousarray(_values(gradient))
            self._step(name, grad, rows, scaled_rate, self._epsilons[self.steps], scale, compiled)

    def state(self) -> dict[str, Array]:
        """Step and moments, of tables at the present step, as `adam/step`, `adam/m/NAME` and `adam/v/NAME`."""
        self.catch_up_all()
        state = {"adam/step": np.array(self.steps, dtype=np.int64)}
        for key, moments in (("m", self.m), ("v", self.v)):
            for name, moment in moments.items():
                state[f"adam/{key}/{name}"] = moment
        return state

    def load_state(self, arrays: Mapping[str, Array]) -> None:
        """Load what `state` returned; the parameters are loaded by their owner."""
        self.steps = int(arrays["adam/step"])
        for key, moments in (("m", self.m), ("v", self.v)):
            for name, moment in moments.items():
                moment[...] = arrays[f"adam/{key}/{name}"]
        self._forget_steps()
        for last in self._last.values():
            last[:] = self.steps

    def _forget_steps(self) -> None:
        """Start anew with what `catch_up` reads: nothing of the steps up to the present one."""
        self._epsilons = np.zeros(self.steps + 1, dtype=self._of)
        self._rates = {name: np.zeros(self.steps + 1, dtype=self._of) for name in self.tables}

    def _step(
        self,
        name: str,
        grad: Array,
        rows: Array | None,
        rate: Any,
        epsilon: Any,
        scale: float,
        compiled: Compiled | None,
    ) -> None:
        """A step of one parameter, or of these distinct rows (R,) of a table (V, D), with grad (R, D)."""
        weight = self.parameters[name]
        m = self.m[name]
        v = self.v[name]
        scale = self._of(scale)
        if compiled is not None and is_plain(weight):
            numbers = map(float, (*self._betas, rate, epsilon, scale))
            compiled.extension.adam_step(compiled.isa, compiled.threads, weight, rows, grad, m, v, *numbers)
            return
        at = ... if rows is None else rows
        beta_1, rest_1, beta_2, rest_2 = self._betas
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            g = scale * grad
            m[at] = beta_1 * m[at] + rest_1 * g
            v[at] = beta_2 * v[at] + rest_2 * (g * g)
            weight[at] = weight[at] - rate * m[at] / (np.sqrt(v[at]) + epsilon)


def _moment(weight: Array) -> Array:
    """m or v before the first step: zeros of weight's shape and dtype, at its position in a cache line.

    Then no vector of weight, m and v crosses a line in a step, which is slow in a table that is larger than the caches.
    """
    line = _CACHE_LINE // weight.itemsize
    zeros = np.zeros(weight.size + line, weight.dtype)
    first = (weight.ctypes.data - zeros.ctypes.data) % _CACHE_LINE // weight.itemsize
    return zeros[first : first + weight.size].reshape(weight.shape)


def _values(gradient: Array | RowGradient) -> Array:
    """The elements that are not zero by design: of a table, those of the rows that were read."""
    if isinstance(gradient, RowGradient):
        return gradient.values
    return gradient


def gradient_norm(gradients: Gradients) -> float:
    """Norm of all gradients as one vector, in float64. Infinite and NaN elements give an infinite or NaN norm.

    It is summed in pieces of fixed size in a fixed order, so the bits do not depend on the number of threads.
    """
    total = 0.0
    arrays = [_values(gradient) for gradient in gradients.values()]
    compiled = compiled_for(np.result_type(*arrays)) if arrays else None
    for array in arrays:
        if compiled is not None and is_plain(array):
            total += compiled.extension.sum_of_squares(compiled.isa, compiled.threads, array)
            continue
        flat = array.reshape(-1)
        with np.errstate(over="ignore"):
            for at in range(0, len(flat), _PIECE):
                total += float(np.square(flat[at : at + _PIECE], dtype=np.float64).sum())
    return math.sqrt(total)


def clip_scale(norm: float, largest: float) -> float:
    """The factor on all gradients that limits their norm, as clip_grad_norm_ of PyTorch. largest: 0 for no limit."""
    if not largest:
        return 1.0
    return min(1.0, largest / (norm + 1e-6))


def one_cycle(peak: float, step: int, steps: int, warmup: int) -> float:
    """The learning rate of `step` (from 0) out of `steps`: up linearly over `warmup` of them, at least one, then down
    to 0 along a cosine (Smith 2018).
    """
    warmup = max(1, warmup)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
