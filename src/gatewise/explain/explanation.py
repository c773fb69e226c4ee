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

from gatewise.errors import InputError, did_you_mean, printable, quote
from gatewise.explain.attribution import METHODS, Baseline, IntegratedGradients, Method, attribute, linear_note
from gatewise.explain.attribution.linear import NgramScore, ngrams_in
from gatewise.explain.example import Example
from gatewise.explain.html_repr import HtmlRepr
from gatewise.explain.score import TargetScore, favours, number_text, prediction_dict, prediction_text
from gatewise.kernels import Kernel
from gatewise.members.net import ExplainedNetwork
from gatewise.metrics import Faithfulness
from gatewise.network.architecture import Architecture
from gatewise.target import Target
from gatewise.types import Array, Task

DEFAULT_METHOD = "leave-one-out"  # the method for a model whose methods were never measured: it assumes nothing
_HARDLY = 0.1  # the share of a score below which the network hardly took part


@dataclass(frozen=True, eq=False)
class Explanation(HtmlRepr):
    """How much each step contributed to a prediction: to a logit, or for regression to the predicted number.

    steps (T): the steps that the network reads; truncated: how many more it cuts away. of: what the model predicts.
    predicted: the predicted class (K,), labels (K,) or numbers (M,), see `Target.predicted`. probabilities (K,) float64
    of the classes, None for regression; calibrated: whether the model card says that they are.

    score: the number that is explained, and the class that positive scores favour, `target`. target_score: its value.
    base_value: its value before the first step, as `base_value_note` defines it. scores (T,) float64: each step's part,
    as `method_note` defines it in one sentence. residual: target_score - base_value - sum(scores) - truncated_part;
    adds_up: whether the method promises that this is rounding only. faithfulness: that of the method for this model,
    None where it was never measured.

    Series: channels (T, C), the score of each number, where the method has it; baseline_term (T,), the part of a step's
    score that remains with every channel at 0. Linear model: linear_scores (T,), its part of the scores, on
    `linear_name`; truncated_part, its part of the truncated steps; ngrams, those in the text, the largest score first.
    """

    steps: list[str]
    scores: Array
    base_value: float
    target_score: float
    score: TargetScore
    of: Target
    predicted: Array
    probabilities: Array | None
    method: str
    method_note: str
    base_value_note: str
    residual: float
    adds_up: bool
    truncated: int = 0
    channels: Array | None = None
    baseline_term: Array | None = None
    faithfulness: Faithfulness | None = None
    linear_scores: Array | None = None
    linear_name: str = ""
    truncated_part: float = 0.0
    ngrams: tuple[NgramScore, ...] = ()
    calibrated: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, labels or numbers."""
        return self.of.classes

    @property
    def target(self) -> str:
        """The class, label or number that positive scores favour."""
        return self.classes[self.score.target]

    @property
    def against(self) -> str | None:
        """The class that negative scores favour; None for all others."""
        return None if self.score.against is None else self.classes[self.score.against]

    @property
    def prediction(self) -> str:
        """The prediction in words: the class, the labels, or the numbers."""
        return prediction_text(self.of, self.predicted)

    @property
    def favours_prediction(self) -> bool:
        """Whether positive scores favour what is predicted."""
        return favours(self.of, self.predicted, self.score)

    @property
    def probability_note(self) -> str:
        """The probabilities of the most probable classes, three if there are more than two, and whether they are
        calibrated; empty for regression.
        """
        if self.probabilities is None:
            return ""
        calibrated = " (calibrated)" if self.calibrated else ""
        if self.of.task == "classification" and len(self.classes) == 2:
            return f"probability {self.probabilities[int(self.predicted)]:.4f}{calibrated}"
        top = [f"{printable(self.classes[k], 40)} {self.probabilities[k]:.4f}" for k in self.most_probable(3)]
        return f"probabilities: {', '.join(top)}{calibrated}"

    def most_probable(self, count: int) -> list[int]:
        """The `count` most probable classes, the most probable first; none for regression."""
        if self.probabilities is None:
            return []
        return [int(k) for k in np.argsort(-self.probabilities, kind="stable")[:count]]

    @property
    def network_share(self) -> float | None:
        """The network's share of the score, |network| / (|network| + |linear model|), of the sums over the steps; None
        without a linear model.
        """
        if self.linear_scores is None:
            return None
        linear = abs(float(self.linear_scores.sum()) + self.truncated_part)
        network = abs(float((self.scores - self.linear_scores).sum()))
        return network / (network + linear) if network + linear > 0 else None

    def network_note(self) -> str:
        """One sentence where the network hardly took part: it contributed less than a tenth of the score."""
        share = self.network_share
        if share is None or share >= _HARDLY:
            return ""
        return f"The network contributed {share:.0%} of this score, the {self.linear_name} {1 - share:.0%}."

    def strongest(self, count: int) -> tuple[list[int], list[int]]:
        """At most `count` steps with positive scores, and with negative ones, the largest absolute score first."""
        order = np.argsort(self.scores, kind="stable")
        lowest = [int(t) for t in order[:count] if self.scores[t] < 0]
        highest = [int(t) for t in order[::-1][:count] if self.scores[t] > 0]
        return highest, lowest

    def sums(self) -> list[tuple[str, float, str]]:
        """The target score and its parts, each as (name, value, note)."""
        difference = abs(self.target_score - self.base_value)
        noun = "prediction" if self.of.task == "regression" else "logit"
        share = f", {abs(self.residual) / difference:.1%} of {noun} - base value" if difference else ""
        steps = [("  steps", float(self.scores.sum()), "sum of the scores")]
        if self.linear_scores is not None:
            name = self.linear_name
            steps = [
                ("  steps, network", float((self.scores - self.linear_scores).sum()), "sum of the network's scores"),
                (f"  steps, {name}", float(self.linear_scores.sum()), f"sum of the {name}' scores"),
            ]
            if self.truncated_part:
                steps.append(
                    ("  truncated part", self.truncated_part, f"{name} of steps that the network does not read")
                )
        return [
            (self.score.name(self.of), self.target_score, self.score.note(self.of)),
            ("  base value", self.base_value, self.base_value_note),
            *steps,
            ("  residual", self.residual, "rounding" if self.adds_up else f"what the scores leave out{share}"),
        ]

    def faithfulness_note(self) -> str:
        """How faithful the method is to this model, in one sentence."""
        if self.faithfulness is None:
            return "The faithfulness of this method to this model has not been measured."
        numbers = self.faithfulness.comprehensiveness, self.faithfulness.sufficiency
        what, (without, alone) = "probability of the prediction falls", map("{:.2f}".format, numbers)
        if self.of.task == "regression":
            name = f" of {self.classes[0]}" * (len(self.classes) > 1)  # the first number is measured
            what, (without, alone) = f"prediction{name} moves back", map(number_text, numbers)
        return (
            f"Measured on {self.faithfulness.n:,} validation sequences: the {what} by "
            f"{without} without the steps that the method ranks first (comprehensiveness), and by {alone} with only "
            "these steps (sufficiency)."
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "task": self.of.task,
            **prediction_dict(self.of, self.predicted, self.probabilities),
            "calibrated": self.calibrated,
            "target": self.target,
            "against": self.against,
            "target_score": self.target_score,
            "base_value": self.base_value,
            "base_value_note": self.base_value_note,
            "method": self.method,
            "method_note": self.method_note,
            "residual": self.residual,
            "adds_up": self.adds_up,
            "faithfulness": None if self.faithfulness is None else asdict(self.faithfulness),
            "truncated": self.truncated,
            "steps": list(self.steps),
            "scores": self.scores.tolist(),
            "channels": None if self.channels is None else self.channels.tolist(),
            **self.linear_dict(),
            "baseline_term": None if self.baseline_term is None else self.baseline_term.tolist(),
        }

    def linear_dict(self, most: int | None = None) -> dict[str, Any]:
        """The linear model's part as plain data, with at most `most` n-grams; empty without a linear model."""
        if self.linear_scores is None:
            return {}
        parts = {"network": (self.scores - self.linear_scores).tolist(), "linear": self.linear_scores.tolist()}
        found = {
            "parts": parts,
            "linear_name": self.linear_name,
            "network_share": self.network_share,
            "truncated_part": self.truncated_part,
        }
        return found | ({"ngrams": [one._asdict() for one in self.ngrams[:most]]} if self.ngrams else {})


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
    task: Task = "classification",
) -> Explanation:
    """Explain the prediction for one sequence: (length,) token ids or (length, C) channels, with a name for each step.

    method: a name of `METHODS`, or a Method with other settings. None: `default` where that is a name of `METHODS`,
    else leave-one-out. unknown: the token of integrated gradients' baseline "unknown". faithfulness: by method, the
    model's measured scores. kernel: None for the one that predicts. task: what `classes` are. Raises InputError for an
    unknown method, an empty sequence, or a wrong number of names.
    """
    net = ExplainedNetwork(parameters, arch, kernel, unknown, target=Target(tuple(classes), task))
    return explain_example(Example(net, sequence, steps), method, faithfulness, default)


def explain_example(
    example: Example,
    method: str | Method | None = None,
    faithfulness: Mapping[str, Faithfulness] | None = None,
    default: str = "",
    calibrated: bool = False,
) -> Explanation:
    """`explain` of an example, whose network may have a linear model and clamps, and whose score may be chosen."""
    net = example.net
    name = (default if default in METHODS else DEFAULT_METHOD) if method is None else method
    chosen = method_named(name) if isinstance(name, str) else name
    name = next((known for known, one in METHODS.items() if type(one) is type(chosen)), type(chosen).__name__)
    [found] = attribute(chosen, [example], channels=True)
    return Explanation(
        steps=example.steps,
        scores=found.scores,
        base_value=found.base_value,
        target_score=example.target_score,
        score=example.score,
        of=net.target,
        predicted=example.predicted,
        probabilities=None if net.target.task == "regression" else example.probabilities,
        method=name,
        method_note=chosen.note(net) + linear_note(net, chosen),
        base_value_note=chosen.base_value_note(net),
        residual=found.residual(example),
        adds_up=chosen.adds_up,
        truncated=example.truncated,
        channels=found.channels,
        baseline_term=found.baseline_term,
        faithfulness=(faithfulness or {}).get(name) if chosen == METHODS.get(name) and not net.clamps else None,
        linear_scores=found.linear_scores,
        linear_name=net.linear_name,
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
