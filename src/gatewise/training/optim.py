"""Adam over the parameters of a network, the norm of a gradient, and the one-cycle learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels import adam
from gatewise.network.autograd import RowGradient
from gatewise.network.trainable import Gradients
from gatewise.types import Array


class Adam:
    """Adam (Kingma & Ba 2015) on parameters of one dtype, float32 or float64, that it changes in place.

    A parameter in `tables` is a table (V, D) with gradients by row. Dense Adam moves every row in every step, since the
    moments of a row outlast its gradient. Here a row makes up for the steps that it missed when it is read next
    (`catch_up`), with the same bits.

    lr_scale: factor on the learning rate by name, 1 where absent. keras: epsilon where Keras adds it, to √v before the
    bias is corrected ("epsilon hat" of the paper), else after it.
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
        self.parameters, self.tables = dict(parameters), tables
        self._dtype = np.result_type(*self.parameters.values())
        self.beta_1, self.beta_2, self.epsilon, self.keras = beta_1, beta_2, epsilon, keras
        self.lr_scale = dict(lr_scale or {})
        self.steps = 0
        moments = {name: adam.moments(value) for name, value in self.parameters.items()}
        self.m, self.v = ({name: both[n] for name, both in moments.items()} for n in (0, 1))
        self._last = {name: np.zeros(len(self.parameters[name]), dtype=np.int64) for name in tables}
        self._epsilons: Array  # of each step, and the rates of each table, as `catch_up` reads them
        self._rates: dict[str, Array]
        self._forget_steps()

    def catch_up(self, name: str, rows: NDArray[np.int64] | None = None) -> None:
        """Bring rows of a table, by default all, to the present step. Call it before the rows are read."""
        adam.catch_up(
            self.parameters[name],
            rows,
            self.m[name],
            self.v[name],
            self._last[name],
            self.steps,
            self._rates[name][: self.steps + 1],
            self._epsilons[: self.steps + 1],
            self.beta_1,
            self.beta_2,
        )

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
        rate, epsilon = adam.corrected(learning_rate, self.epsilon, self.beta_1, self.beta_2, self.steps, self.keras)
        if self.steps == len(self._epsilons):
            self._epsilons = np.concatenate([self._epsilons, np.zeros_like(self._epsilons)])
            self._rates = {name: np.concatenate([rates, np.zeros_like(rates)]) for name, rates in self._rates.items()}
        self._epsilons[self.steps] = epsilon
        of = self._dtype.type
        for name, gradient in gradients.items():
            rows, values = gradient if isinstance(gradient, RowGradient) else (None, gradient)
            scaled = of(rate) * of(self.lr_scale.get(name, 1.0))
            adam.step(
                self.parameters[name],
                np.ascontiguousarray(values),
                self.m[name],
                self.v[name],
                rows,
                rate=float(scaled),
                epsilon=float(self._epsilons[self.steps]),
                beta_1=self.beta_1,
                beta_2=self.beta_2,
                scale=scale,
            )
            if rows is not None:
                self._last[name][rows] = self.steps
                self._rates[name][self.steps] = scaled

    def _forget_steps(self) -> None:
        """Start anew with what `catch_up` reads: nothing of the steps up to the present one."""
        self._epsilons = np.zeros(self.steps + 1, dtype=self._dtype)
        self._rates = {name: np.zeros(self.steps + 1, dtype=self._dtype) for name in self.tables}

    def state(self) -> dict[str, Array]:
        """Step and moments, of tables at the present step, as `adam/step`, `adam/m/NAME` and `adam/v/NAME`."""
        self.catch_up_all()
        moments = {f"adam/{key}/{name}": a for key, some in (("m", self.m), ("v", self.v)) for name, a in some.items()}
        return {"adam/step": np.array(self.steps, dtype=np.int64), **moments}

    def load_state(self, arrays: Mapping[str, Array]) -> None:
        """Load what `state` returned; the parameters are loaded by their owner."""
        self.steps = int(arrays["adam/step"])
        for key, some in (("m", self.m), ("v", self.v)):
            for name, value in some.items():
                value[...] = arrays[f"adam/{key}/{name}"]
        self._forget_steps()
        for last in self._last.values():
            last[:] = self.steps


def gradient_norm(gradients: Gradients) -> float:
    """Norm of all gradients as one vector."""
    return math.sqrt(adam.squared_norm([g.values if isinstance(g, RowGradient) else g for g in gradients.values()]))


def one_cycle(peak: float, step: int, steps: int, warmup: int) -> float:
    """The learning rate of `step` (from 0) out of `steps`: up linearly over `warmup` of them, at least one, then down
    to 0 along a cosine (Smith 2018).
    """
    warmup = max(1, warmup)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
