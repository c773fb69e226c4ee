"""Explanations: how much each step contributed to one prediction, by one attribution method, with its residual.

The scores follow the method's own definition. They do not say what the prediction for another text would be, and they
are not causes. Each explanation carries a sentence that defines its scores, its residual, and, where it was measured,
how faithful the method is to the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gatewise.errors import InputError, did_you_mean, quote
from gatewise.explain.attribution import METHODS, Baseline, IntegratedGradients, Method, attribute, ngram_note
from gatewise.explain.attribution.ngrams import NgramScore, ngrams_in
from gatewise.explain.example import Example
from gatewise.explain.html_repr import HtmlRepr
from gatewise.explain.net import ExplainedNetwork
from gatewise.kernels import Kernel
from gatewise.metrics import Faithfulness
from gatewise.network.architecture import Architecture
from gatewise.types import Array

DEFAULT_METHOD = "leave-one-out"  # the method for a model whose methods were never measured: it assumes nothing


@dataclass(frozen=True, eq=False)
class Explanation(HtmlRepr):
    """How much each step contributed to a prediction, in logits.

    steps (T): the steps that the network reads; truncated: how many more it cuts away. prediction: the predicted class;
    probabilities (K,) float64 of `classes`; calibrated: whether the model card says that they are.

    target: the class that positive scores favour, the predicted one, or classes[1] where there is a single logit.
    logit: the single logit, or the predicted logit minus the mean of all. base_value: the logit before the first step,
    as `base_value_note` defines it. scores (T,) float64: each step's part, as `method_note` defines it in one sentence.
    residual: logit - base_value - sum(scores) - truncated_part; adds_up: whether the method promises that this is
    rounding only. faithfulness: that of the method for this model, None where it was never measured.

    Series: channels (T, C), the score of each number, where the method has it; baseline_term (T,), the part of a
    step's score that remains with every channel at 0. N-grams: ngram_scores (T,), their part of the scores;
    truncated_part, their part of the truncated steps; ngrams, those in the text, the largest score first.
    """

    steps: list[str]
    scores: Array
    base_value: float
    logit: float
    prediction: str
    target: str
    classes: tuple[str, ...]
    probabilities: Array
    method: str
    method_note: str
    base_value_note: str
    residual: float
    adds_up: bool
    truncated: int = 0
    channels: Array | None = None
    baseline_term: Array | None = None
    faithfulness: Faithfulness | None = None
    ngram_scores: Array | None = None
    truncated_part: float = 0.0
    ngrams: tuple[NgramScore, ...] = ()
    calibrated: bool = False

    @property
    def probability_note(self) -> str:
        """The probability of the prediction, and whether it is calibrated."""
        return f"probability {float(self.probabilities.max()):.4f}{' (calibrated)' if self.calibrated else ''}"

    def strongest(self, count: int) -> tuple[list[int], list[int]]:
        """At most `count` steps with positive scores, and with negative ones, the largest absolute score first."""
        order = np.argsort(self.scores, kind="stable")
        lowest = [int(t) for t in order[:count] if self.scores[t] < 0]
        highest = [int(t) for t in order[::-1][:count] if self.scores[t] > 0]
        return highest, lowest

    def sums(self) -> list[tuple[str, float, str]]:
        """The logit and its parts, each as (name, value, note)."""
        difference = abs(self.logit - self.base_value)
        share = f", {abs(self.residual) / difference:.1%} of logit - base value" if difference else ""
        steps = [("  steps", float(self.scores.sum()), "sum of the scores")]
        if self.ngram_scores is not None:
            steps = [
                ("  steps, network", float((self.scores - self.ngram_scores).sum()), "sum of the network's scores"),
                ("  steps, n-grams", float(self.ngram_scores.sum()), "sum of the n-grams' scores"),
            ]
            if self.truncated_part:
                steps.append(
                    ("  truncated part", self.truncated_part, "n-grams of steps that the network does not read")
                )
        return [
            (f"logit of {self.target}", self.logit, "minus the mean of all logits" if len(self.classes) > 2 else ""),
            ("  base value", self.base_value, self.base_value_note),
            *steps,
            ("  residual", self.residual, "rounding" if self.adds_up else f"what the scores leave out{share}"),
        ]

    def faithfulness_note(self) -> str:
        """How faithful the method is to this model, in one sentence."""
        if self.faithfulness is None:
            return "The faithfulness of this method to this model has not been measured."
        return (
            f"Measured on {self.faithfulness.n:,} validation sequences: the probability of the prediction falls by "
            f"{self.faithfulness.comprehensiveness:.2f} without the steps that the method ranks first "
            f"(comprehensiveness), and by {self.faithfulness.sufficiency:.2f} with only these steps (sufficiency)."
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "prediction": self.prediction,
            "probabilities": dict(zip(self.classes, self.probabilities.tolist(), strict=True)),
            "calibrated": self.calibrated,
            "logit": self.logit,
            "base_value": self.base_value,
            "base_value_note": self.base_value_note,
            "target": self.target,
            "method": self.method,
            "method_note": self.method_note,
            "residual": self.residual,
            "adds_up": self.adds_up,
            "faithfulness": None if self.faithfulness is None else asdict(self.faithfulness),
            "truncated": self.truncated,
            "steps": list(self.steps),
            "scores": self.scores.tolist(),
            "channels": None if self.channels is None else self.channels.tolist(),
            **self.ngram_dict(),
            "baseline_term": None if self.baseline_term is None else self.baseline_term.tolist(),
        }

    def ngram_dict(self, most: int | None = None) -> dict[str, Any]:
        """The n-grams' part as plain data, with at most `most` n-grams; empty without n-grams."""
        if self.ngram_scores is None:
            return {}
        return {
            "parts": {"network": (self.scores - self.ngram_scores).tolist(), "ngrams": self.ngram_scores.tolist()},
            "truncated_part": self.truncated_part,
            "ngrams": [one._asdict() for one in self.ngrams[:most]],
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
    """Explain the prediction for one sequence: (length,) token ids or (length, C) channels, with a name for each step.

    method: a name of `METHODS`, or a Method with other settings. None: `default` where that is a name of `METHODS`,
    else leave-one-out. unknown: the token of integrated gradients' baseline "unknown". faithfulness: by method, the
    model's measured scores. kernel: None for the one that predicts. Raises InputError for an unknown method, an empty
    sequence, or a wrong number of names.
    """
    example = Example(ExplainedNetwork(parameters, arch, kernel, unknown), sequence, steps)
    return explain_example(example, classes, method, faithfulness, default)


def explain_example(
    example: Example,
    classes: Sequence[str],
    method: str | Method | None = None,
    faithfulness: Mapping[str, Faithfulness] | None = None,
    default: str = "",
    calibrated: bool = False,
) -> Explanation:
    """`explain` of an example, whose network may have n-grams and clamps."""
    net = example.net
    name = (default if default in METHODS else DEFAULT_METHOD) if method is None else method
    chosen = method_named(name) if isinstance(name, str) else name
    name = next((known for known, one in METHODS.items() if type(one) is type(chosen)), type(chosen).__name__)
    if len(classes) != max(2, net.arch.outputs):
        raise InputError(
            f"a network of {net.arch.outputs} logits has {max(2, net.arch.outputs)} classes, not {len(classes)}"
        )
    [found] = attribute(chosen, [example], channels=True)
    return Explanation(
        steps=example.steps,
        scores=found.scores,
        base_value=found.base_value,
        logit=example.target_score,
        prediction=classes[int(example.probabilities.argmax())],
        target=classes[example.target],
        classes=tuple(classes),
        probabilities=example.probabilities,
        method=name,
        method_note=chosen.note(net) + ngram_note(net, chosen),
        base_value_note=chosen.base_value_note(net),
        residual=found.residual(example),
        adds_up=chosen.adds_up,
        truncated=example.truncated,
        channels=found.channels,
        baseline_term=found.baseline_term,
        faithfulness=(faithfulness or {}).get(name) if chosen == METHODS.get(name) and not net.clamps else None,
        ngram_scores=found.ngram_scores,
        truncated_part=found.truncated_part,
        ngrams=ngrams_in(example),
        calibrated=calibrated,
    )


def method_named(name: str, baseline: Baseline | None = None) -> Method:
    """The method of that name, with another baseline if one is given. Raises InputError for an unknown name."""
    if name not in METHODS:
        raise InputError(
            f"no method is called {quote(name)}; there are {', '.join(METHODS)}{did_you_mean(name, METHODS)}"
        )
    if baseline is None:
        return METHODS[name]
    if name != "integrated-gradients":
        raise InputError(f"a baseline is for integrated-gradients, not for {name}")
    return IntegratedGradients(baseline=baseline)
