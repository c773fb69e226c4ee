"""Accounts of a verdict: how far each step moved it, by which method, and what is left over.

An account says where the number came from, by its own rule. None of them says what would have happened to another text,
and none is a cause; each carries a sentence that says what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gatewise.architecture import Architecture
from gatewise.cell import Array
from gatewise.errors import InputError, quote
from gatewise.glassbox.readout import margin, run_all
from gatewise.glassbox.trace import Trace, kept_rows, trace
from gatewise.kernels import Kernel

__all__ = ["METHODS", "Explanation", "explain"]


@dataclass(frozen=True, eq=False)
class Explanation:
    """How each step moved a verdict.

    steps, scores (T,) float64: the steps that were read, and each one's score in logits. What is explained is
    `logit`: with one logit for two classes that logit, positive for classes[1], whatever the verdict; with K logits
    the predicted one less the mean of all. `towards` names the class that a positive score speaks for. start: what
    stood before the first step, which is the bias, and with padding "pre" what the state after the pads adds.
    residual: logit - start - sum(scores) where the method promises that they add up, else None. probabilities (K,)
    float64 of `classes`, not calibrated. left_out: steps cut away unread. method_note: one sentence.
    """

    steps: list[str]
    scores: Array
    start: float
    logit: float
    verdict: str
    towards: str
    classes: tuple[str, ...]
    probabilities: Array
    method: str
    method_note: str
    residual: float | None
    left_out: int = 0

    def strongest(self, count: int) -> tuple[list[int], list[int]]:
        """The places of at most `count` steps with the highest scores above 0, and with the lowest below, strongest
        first.
        """
        order = np.argsort(self.scores, kind="stable")
        lowest = [int(t) for t in order[:count] if self.scores[t] < 0]
        highest = [int(t) for t in order[::-1][:count] if self.scores[t] > 0]
        return highest, lowest

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "verdict": self.verdict,
            "probabilities": dict(zip(self.classes, self.probabilities.tolist(), strict=True)),
            "logit": self.logit,
            "start": self.start,
            "towards": self.towards,
            "method": self.method,
            "method_note": self.method_note,
            "residual": self.residual,
            "left_out": self.left_out,
            "steps": list(self.steps),
            "scores": self.scores.tolist(),
        }


def explain(
    parameters: Mapping[str, Array],
    arch: Architecture,
    sequence: Array,
    steps: Sequence[str],
    classes: Sequence[str],
    method: str | None = None,
    kernel: Kernel | None = None,
) -> Explanation:
    """Account for the verdict on one sequence: (length,) token ids or (length, C) channels, with a name for each step.

    "running": how far the running verdict moved at each step (see `Trace.logits_after`); adds up to the logit. One
    run where the network reads in one direction, else one a beginning of the sequence. "leave-one-out": how far the
    logit falls when the step is taken out of the sequence and the rest is predicted anew, its pads and its cut
    included; one run a step. None: "running" for one direction and pooling "last", else "leave-one-out". Raises
    InputError for another method, an empty sequence, a wrong number of names or of classes.
    """
    chosen = method or ("running" if arch.pooling == "last" and not arch.bidirectional else "leave-one-out")
    if chosen not in METHODS:
        raise InputError(f"no method is called {quote(chosen)}; there are {', '.join(METHODS)}")
    if len(classes) != max(2, arch.outputs):
        raise InputError(f"a network of {arch.outputs} logits has {max(2, arch.outputs)} classes, not {len(classes)}")
    seen = _Seen(parameters, arch, np.asarray(sequence), steps, kernel)
    scores, note = METHODS[chosen](seen)
    probabilities = _probabilities(seen.logits)
    verdict = classes[int(probabilities.argmax())]
    logit, start = float(margin(seen.logits, seen.predicted)), float(margin(seen.before, seen.predicted))
    return Explanation(
        steps=seen.names,
        scores=scores,
        start=start,
        logit=logit,
        verdict=verdict,
        towards=classes[1] if arch.outputs == 1 else verdict,
        classes=tuple(classes),
        probabilities=probabilities,
        method=chosen,
        method_note=note,
        residual=logit - start - float(scores.sum()) if chosen == "running" else None,
        left_out=len(sequence) - len(seen.rows),
    )


class _Seen:
    """One sequence and what both methods need of it."""

    def __init__(
        self,
        parameters: Mapping[str, Array],
        arch: Architecture,
        sequence: Array,
        steps: Sequence[str],
        kernel: Kernel | None,
    ) -> None:
        self.parameters, self.arch, self.sequence, self.kernel = parameters, arch, sequence, kernel
        self.rows = kept_rows(arch, sequence, steps)
        self.names = [str(steps[row]) for row in self.rows]
        self.logits = run_all(parameters, arch, [sequence], kernel)[0]
        self.predicted = int(self.logits.argmax())

    @cached_property
    def trace(self) -> Trace:
        return trace(self.parameters, self.arch, self.sequence[self.rows], self.names, self.kernel)

    @property
    def before(self) -> Array:
        """The logits (outputs,) before the first step, behind this sequence's own pads."""
        bias = np.asarray(self.parameters["dense.bias"], dtype=np.float64)
        return self.trace.logits_after[0] if self.arch.padding == "pre" else bias


def _running(seen: _Seen) -> tuple[Array, str]:
    thing = "word" if seen.arch.inputs == "tokens" else "step"
    behind = ", read from the state of this run behind its own pads" if seen.arch.padding == "pre" else ""
    note = (
        f"How far the running verdict moved when the {thing} was read{behind}; with the start it adds up to the logit, "
        "and it is an account of the reading, not a cause."
    )
    return np.diff(margin(seen.trace.logits_after, seen.predicted)), note


def _leave_one_out(seen: _Seen) -> tuple[Array, str]:
    thing = "word" if seen.arch.inputs == "tokens" else "step"
    edited = (np.delete(seen.sequence, row, axis=0) for row in seen.rows)
    without = run_all(seen.parameters, seen.arch, edited, seen.kernel)
    note = (
        f"How far the logit falls when this {thing} alone is left out and the rest is predicted anew; such scores need "
        "not add up, and they are an account of single edits, not a cause."
    )
    return margin(seen.logits, seen.predicted) - margin(without, seen.predicted), note


METHODS: dict[str, Callable[[_Seen], tuple[Array, str]]] = {"running": _running, "leave-one-out": _leave_one_out}


def _probabilities(logits: Array) -> Array:
    z = np.concatenate([[0.0], logits]) if len(logits) == 1 else logits
    shifted = np.exp(z - z.max())
    return np.asarray(shifted / shifted.sum())
