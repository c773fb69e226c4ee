"""Accounts of a verdict: how far each step moved it, by which method, and what is left over.

An account says where the number came from, by its own rule. None of them says what would have happened to another text,
and none is a cause; each carries a sentence that says what it is, its residual, and where it was measured, how much of
the verdict went away with the steps that it ranks first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.explain.attribution import (
    METHODS,
    Baseline,
    IntegratedGradients,
    Method,
    attributions_of,
    ngrams_note,
    predict_examples,
)
from gatewise.explain.attribution.phrases import PhraseShare, as_dict, parts_of, phrases_of
from gatewise.explain.html_repr import HtmlRepr
from gatewise.explain.net import ExplainedNetwork
from gatewise.explain.trace import kept_rows
from gatewise.kernels import Kernel
from gatewise.metrics.evaluation import Faithfulness, log_probabilities, target_score
from gatewise.network.architecture import Architecture
from gatewise.types import Array

__all__ = ["DEFAULT_METHOD", "Explanation", "explain", "explain_in", "method_named"]

DEFAULT_METHOD = "leave-one-out"  # the method for a model whose methods were never measured: it assumes nothing


@dataclass(frozen=True, eq=False)
class Explanation(HtmlRepr):
    """How each step moved a verdict.

    steps, scores (T,) float64: the steps that were read, and each one's score in logits. channels (T, C): of a
    series, the score of each number, where the method knows it; idle (T,): what a step's score is with every number at
    0, where it is not nothing. What is explained is `logit`: with one logit for two classes that logit, positive for
    classes[1], whatever the verdict; with K logits the predicted one less the mean of all. `towards` names the class
    that a positive score speaks for. start: what stood before the first step, by the method's own idea of nothing.
    residual: logit - start - sum(scores); adds_up: whether the method promises that this is but rounding.
    probabilities (K,) float64 of `classes`; calibrated: whether the model's card says that they are. left_out: steps
    cut away unread. method_note: one sentence, start_note: a few words. faith: how faithful the method is to this
    model, None where that was never measured. With n-grams beside the network: ngrams (T,), what of the scores is
    theirs; unread, their part of the steps left out, so that residual = logit - start - sum(scores) - unread; phrases,
    those that the sequence holds with what each adds, the heaviest first.
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
    start_note: str
    residual: float
    adds_up: bool
    left_out: int = 0
    channels: Array | None = None
    idle: Array | None = None
    faithfulness: Faithfulness | None = None
    ngrams: Array | None = None
    unread: float = 0.0
    phrases: tuple[PhraseShare, ...] = ()
    calibrated: bool = False

    @property
    def probability_note(self) -> str:
        """The verdict's probability, and whether it is calibrated, in a few words."""
        return f"probability {float(self.probabilities.max()):.4f}{' (calibrated)' if self.calibrated else ''}"

    def strongest(self, count: int) -> tuple[list[int], list[int]]:
        """The places of at most `count` steps with the highest scores above 0, and with the lowest below, strongest
        first.
        """
        order = np.argsort(self.scores, kind="stable")
        lowest = [int(t) for t in order[:count] if self.scores[t] < 0]
        highest = [int(t) for t in order[::-1][:count] if self.scores[t] > 0]
        return highest, lowest

    def sums(self) -> list[tuple[str, float, str]]:
        """What leads to the logit, each with a name and a few words: start, steps, residual."""
        way = abs(self.logit - self.start)
        share = f", {abs(self.residual) / way:.1%} of the way from the start" if way and not self.adds_up else ""
        rounding = "rounding; this method's scores add up" if self.adds_up else f"what the method leaves out{share}"
        return [
            (f"logit of {self.towards}", self.logit, "less the mean of all logits" if len(self.classes) > 2 else ""),
            ("  start", self.start, self.start_note),
            *parts_of(self.scores, self.ngrams, self.unread),
            ("  residual", self.residual, rounding),
        ]

    def faithfulness_note(self) -> str:
        """How faithful the method was to this model where that was measured, in one sentence."""
        if self.faithfulness is None:
            return "How faithful this method is to this model has not been measured."
        return (
            f"Measured on {self.faithfulness.n:,} sequences of the validation part: the verdict's probability falls by "
            f"{self.faithfulness.comprehensiveness:.2f} without the steps that the method ranks first, and by "
            f"{self.faithfulness.sufficiency:.2f} with them alone."
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "verdict": self.verdict,
            "probabilities": dict(zip(self.classes, self.probabilities.tolist(), strict=True)),
            "calibrated": self.calibrated,
            "logit": self.logit,
            "start": self.start,
            "start_note": self.start_note,
            "towards": self.towards,
            "method": self.method,
            "method_note": self.method_note,
            "residual": self.residual,
            "adds_up": self.adds_up,
            "faithfulness": None if self.faithfulness is None else asdict(self.faithfulness),
            "left_out": self.left_out,
            "steps": list(self.steps),
            "scores": self.scores.tolist(),
            "channels": None if self.channels is None else self.channels.tolist(),
            **as_dict(self.scores, self.ngrams, self.unread, self.phrases),
            "idle": None if self.idle is None else self.idle.tolist(),
        }


def explain(
    parameters: Mapping[str, Array],
    arch: Architecture,
    sequence: Array,
    steps: Sequence[str],
    classes: Sequence[str],
    method: str | Method | None = None,
    kernel: Kernel | None = None,
    *,
    unknown: int | None = None,
    faithfulness: Mapping[str, Faithfulness] | None = None,
    default: str = "",
) -> Explanation:
    """Account for the verdict on one sequence: (length,) token ids or (length, C) channels, with a name for each step.

    method: a name of `METHODS`, or a Method with settings of its own. "running": how far the running verdict moved at
    each step. "cell": what each step wrote into the memory and later steps kept. "integrated-gradients": the slope of
    the logit on the way from a baseline; `unknown` is the token of its default one. "leave-one-out": how far the logit
    falls without the step. None: `default`, the one that the methods' scores for this model (`faith`) chose; where none
    was measured "leave-one-out", which assumes nothing. Raises InputError for another method, an empty sequence, a
    wrong number of names or of classes.
    """
    return explain_in(
        ExplainedNetwork(parameters, arch, kernel, unknown), sequence, steps, classes, method, faithfulness, default
    )


def explain_in(
    net: ExplainedNetwork,
    sequence: Array,
    steps: Sequence[str],
    classes: Sequence[str],
    method: str | Method | None = None,
    faithfulness: Mapping[str, Faithfulness] | None = None,
    default: str = "",
) -> Explanation:
    """`explain` of a network that may be under clamps."""
    arch = net.arch
    name = (default if default in METHODS else DEFAULT_METHOD) if method is None else method
    chosen = method_named(name) if isinstance(name, str) else name
    name = next((known for known, one in METHODS.items() if type(one) is type(chosen)), type(chosen).__name__)
    if len(classes) != max(2, arch.outputs):
        raise InputError(f"a network of {arch.outputs} logits has {max(2, arch.outputs)} classes, not {len(classes)}")
    rows = kept_rows(arch, sequence, steps)
    [reading] = predict_examples(net, [np.asarray(sequence)])
    [account] = attributions_of(net, chosen, [reading], channels=True)
    probabilities = np.exp(log_probabilities(reading.logits[None]))[0]
    verdict = classes[int(probabilities.argmax())]
    return Explanation(
        steps=[str(steps[row]) for row in rows],
        scores=account.scores,
        start=account.start,
        logit=float(target_score(reading.logits, reading.predicted)),
        verdict=verdict,
        towards=classes[1] if arch.outputs == 1 else verdict,
        classes=tuple(classes),
        probabilities=probabilities,
        method=name,
        method_note=chosen.note(net) + ngrams_note(net, chosen),
        start_note=chosen.start_note(net),
        residual=account.residual(reading),
        adds_up=chosen.adds_up,
        left_out=len(sequence) - len(rows),
        channels=account.channels,
        idle=account.idle,
        faithfulness=(faithfulness or {}).get(name) if chosen == METHODS.get(name) and not net.clamps else None,
        ngrams=account.ngrams,
        unread=account.unread,
        phrases=phrases_of(net, reading, steps),
    )


def method_named(name: str, baseline: Baseline | None = None) -> Method:
    """The method of that name, with another baseline if one is given. Raises InputError for what there is not."""
    if name not in METHODS:
        raise InputError(f"no method is called {quote(name)}; there are {', '.join(METHODS)}")
    if baseline is None:
        return METHODS[name]
    if name != "integrated-gradients":
        raise InputError(f"a baseline is for integrated-gradients, not for {name}")
    return IntegratedGradients(baseline=baseline)
