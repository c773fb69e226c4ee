"""One reading of a text or series as a page needs it: every part is computed when it is first asked for, and kept."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from gatewise.explain.attribution.readout import logits_after, unit_moves
from gatewise.explain.gates import Gates, run_with_activations
from gatewise.explain.net import ExplainedNetwork, run_all
from gatewise.explain.trace import kept_rows, ngrams_after
from gatewise.explain.unit_summary import UnitsReport
from gatewise.explain.view.request import RequestError
from gatewise.metrics.evaluation import log_probabilities, target_score
from gatewise.network.architecture import Architecture
from gatewise.types import Array

__all__ = ["MOST_STEPS", "Run", "ViewCache", "ViewedModel"]

MOST_STEPS = 2_000  # that a view shows: each of them is drawn
PREFIX_STEPS = 20_000  # of up to 128 units that the running verdict of two directions may cost; fewer of larger ones
KEPT = 6  # runs: two texts side by side, before and after, and what undo goes back to


class _Encoder(Protocol):
    @property
    def unknown(self) -> int | None: ...
    def encode_batch(self, inputs: Sequence[Any]) -> list[Array]: ...
    def steps(self, item: Any) -> list[str]: ...
    def spans(self, item: Any) -> list[tuple[int, int]]: ...


class ViewedModel(Protocol):
    """What a view needs of a model: `gatewise.Model` has it."""

    @property
    def architecture(self) -> Architecture: ...
    @property
    def parameters(self) -> Mapping[str, Array]: ...
    @property
    def preprocessor(self) -> _Encoder: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def metadata(self) -> Any: ...
    @property
    def history(self) -> str: ...
    @property
    def net(self) -> ExplainedNetwork: ...
    @property
    def units(self) -> UnitsReport | None: ...
    def card(self) -> str: ...


class Run:
    """A sequence (length, ...) with a name for each step, through a network that may be under clamps.

    rows (T,): which steps are read. lstms: each LSTM's gates, layers upwards; logits (outputs,) float64; pads: before
    the first step. towards: the class that a higher margin speaks for. Raises RequestError for more than MOST_STEPS
    steps, and where a number overflowed.
    """

    def __init__(self, net: ExplainedNetwork, sequence: Array, names: Sequence[str]) -> None:
        self.net, self.sequence, self.names = net, sequence, names
        self.rows = kept_rows(net.arch, sequence, names)
        if len(self.rows) > MOST_STEPS:
            say = f"{len(self.rows):,} {net.token_noun}s would be read; a view shows at most {MOST_STEPS:,}"
            raise RequestError("text" if net.arch.inputs == "tokens" else "series", say, "too_long")
        self.read = np.asarray(sequence)[self.rows]
        [(self.lstms, self.logits, self.pads)] = run_with_activations(net, [self.read])
        self.of_ngrams = ngrams_after(net, sequence, self.rows)
        if self.of_ngrams is not None:
            self.logits = self.logits + self.of_ngrams[-1]
        self._refuse_overflow()
        self.predicted = int(self.logits.argmax())
        self.probabilities = np.exp(log_probabilities(self.logits[None]))[0]  # (K,)
        self.towards = 1 if net.arch.outputs == 1 else self.predicted

    @property
    def target_score(self) -> float:
        """What is explained."""
        return float(target_score(self.logits, self.predicted))

    @cached_property
    def running(self) -> tuple[int, Array]:
        """How many steps lie between two points, and after 0, every, 2 every, ..., T steps the logits (n, outputs)."""
        steps, net = len(self.read), self.net.alone()
        most = PREFIX_STEPS * 128**2 // max(128, net.arch.units) ** 2  # a step costs the square of its units
        every = 1 if not net.arch.bidirectional else -(-steps * (steps + 1) // 2 // most) or 1
        ends = [*range(0, steps, every), steps]
        if every == 1:
            after = logits_after(net, self.read, self.lstms)
        else:
            after = run_all(net, (self.read[:end] for end in ends))
        return every, after if self.of_ngrams is None else after + self.of_ngrams[ends]

    @cached_property
    def moves(self) -> Array:
        """(T, units) float64: how far each unit of the top layer moved the margin at each step."""
        weight = np.asarray(self.net.parameters["dense.weight"], dtype=np.float64)
        top = self.lstms[-len(self.net.arch.directions) :]
        return unit_moves(self.net.arch, target_score(weight.T, self.predicted), top)

    def layer(self, number: int) -> tuple[Gates, ...]:
        """The LSTMs of a layer, its directions side by side."""
        both = len(self.net.arch.directions)
        return self.lstms[number * both : number * both + both]

    def plane(self, name: str, layer: int) -> Array:
        """i, f, g, o, c or h of every unit of a layer: (T, units)."""
        return np.concatenate([getattr(gates, name) for gates in self.layer(layer)], axis=1)

    def _refuse_overflow(self) -> None:
        if np.isfinite(self.logits).all() and all(np.isfinite(gates.c).all() for gates in self.lstms):
            return
        for gates in self.lstms:
            bad = np.argwhere(~np.isfinite(gates.c))
            if len(bad):
                where = (
                    f"unit {bad[0, 1]} of layer {gates.layer + 1} overflowed at {self.net.token_noun} {bad[0, 0] + 1}"
                )
                raise RequestError("text", f"the network gave no number: {where}", "overflow")
        raise RequestError("text", "the network gave no number for a verdict", "overflow")


class ViewCache:
    """The last runs, and models' fingerprints, so that a second look at the same text costs no second run.

    A run is found again by the very same item and clamps under the same model. Threads may share one.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._runs: OrderedDict[object, Run] = OrderedDict()
        self._model: tuple[ViewedModel, str] | None = None

    def run(self, key: object, make: Callable[[], Run]) -> tuple[Run, bool]:
        """The run of that key, and whether it was there."""
        with self._lock:
            if key in self._runs:
                self._runs.move_to_end(key)
                return self._runs[key], True
        made = make()
        with self._lock:
            self._runs[key] = made
            while len(self._runs) > self._kept:
                self._runs.popitem(last=False)
        return made, False

    def fingerprint(self, model: ViewedModel) -> str:
        """Eight hexadecimal digits over classes, architecture, parameters and n-grams."""
        with self._lock:
            if self._model is None or self._model[0] is not model:
                digest = hashlib.sha256(repr((model.architecture, model.classes)).encode("utf-8", "surrogatepass"))
                for name in sorted(model.parameters):
                    digest.update(name.encode())
                    digest.update(np.ascontiguousarray(model.parameters[name]).tobytes())
                if model.net.ngrams is not None:
                    digest.update(model.net.ngrams.keys.tobytes() + model.net.ngrams.weight.tobytes())
                self._model = (model, digest.hexdigest()[:8])
                self._runs.clear()  # of another model
            return self._model[1]
