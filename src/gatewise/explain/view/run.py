"""What a view needs: the model, the examples that it shows, checked, and a cache of them."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from gatewise.explain.example import Example
from gatewise.explain.net import ExplainedNetwork
from gatewise.explain.units import UnitsReport
from gatewise.explain.view.request import RequestError
from gatewise.network.architecture import Architecture
from gatewise.types import Array

MOST_STEPS = 2_000  # that a view shows: each of them is drawn
PREFIX_STEPS = 20_000  # of up to 128 units that the prefix predictions of two directions may run
KEPT = 6  # examples: two texts side by side, before and after, and some for undo


class _Encoder(Protocol):
    @property
    def unknown(self) -> int | None: ...
    def encode(self, item: Any) -> tuple[Array, list[str], list[tuple[int, int]]]: ...


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


def checked_example(
    net: ExplainedNetwork, sequence: Array, names: Sequence[str], spans: Sequence[tuple[int, int]]
) -> Example:
    """An example for a view. Raises RequestError for more than MOST_STEPS steps, and where a number overflows."""
    example = Example(net, sequence, names, spans)
    if len(example) > MOST_STEPS:
        message = f"the network would read {len(example):,} {net.token_noun}s; a view shows at most {MOST_STEPS:,}"
        raise RequestError("text" if net.arch.inputs == "tokens" else "series", message, "too_long")
    if np.isfinite(example.logits).all() and all(np.isfinite(gates.c).all() for gates in example.lstms):
        return example
    for gates in example.lstms:
        bad = np.argwhere(~np.isfinite(gates.c))
        if len(bad):
            where = f"unit {bad[0, 1]} of layer {gates.layer + 1} overflowed at {net.token_noun} {bad[0, 0] + 1}"
            raise RequestError("text", f"the network gave no number: {where}", "overflow")
    raise RequestError("text", "the network gave no number for its prediction", "overflow")


def prefix_budget(net: ExplainedNetwork) -> int:
    """The most steps that the prefix predictions of a view may run; a step costs the square of its units."""
    return PREFIX_STEPS * 128**2 // max(128, net.arch.units) ** 2


class ViewCache:
    """The last examples, by item and clamps, and the model's fingerprint. Threads may share one."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._examples: OrderedDict[object, Example] = OrderedDict()
        self._model: tuple[ViewedModel, str] | None = None

    def example(self, key: object, make: Callable[[], Example]) -> tuple[Example, bool]:
        """The example of that key, and whether it was cached."""
        with self._lock:
            if key in self._examples:
                self._examples.move_to_end(key)
                return self._examples[key], True
        made = make()
        with self._lock:
            self._examples[key] = made
            while len(self._examples) > self._kept:
                self._examples.popitem(last=False)
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
                self._examples.clear()  # of another model
            return self._model[1]
