"""Explanations: how much each step contributed to one prediction, by one attribution method, with its residual.

The scores follow the method's own definition. They do not say what the prediction for another text would be, and they
are not causes. Each explanation carries a sentence that defines its scores, its residual, and, where it was measured,
how faithful the method is to the model.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from gatewise.errors import printable
from gatewise.explain.attribution import METHODS, method_named
from gatewise.explain.attribution.method import Attribution, Method, Part, attribute
from gatewise.explain.display import Displayed
from gatewise.explain.example import Example
from gatewise.target import RowTarget, TargetScore
from gatewise.types import Array, Faithfulness, Task

DEFAULT_METHOD = "leave-one-out"  # the method for a model whose methods were never measured: it assumes nothing
UNMEASURED = "The faithfulness of this method to this model has not been measured."
_HARDLY = 0.1  # the share of a score below which the LSTM hardly took part


class PhraseScore(NamedTuple):
    """A part of a sequence that has a name in a member, such as an n-gram. words: at its first occurrence; step: the
    first of them, from 0, before truncation; times: how often it occurs; score: what it adds to the target score, once.
    """

    words: tuple[str, ...]
    step: int
    times: int
    score: float


class ColumnScore(NamedTuple):
    """A column of the row that the model reads besides the text or series. value: None for a missing one; score: what
    it adds to the target score, compared with a mean row.
    """

    column: str
    value: float | str | None
    score: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Explanation(Displayed, Attribution):
    """How much each step contributed to a prediction: to a logit, or for regression to the predicted number. Scores,
    channels and parts are those of an `Attribution`.

    steps (T): the steps that the network reads; truncated: how many more it cuts away. of: what the row of logits
    predicts that is explained; task: of the model.
    prediction: in words. predicted: the predicted class (K,), labels (K,) or numbers (M,), see `Target.predicted`.
    probabilities (K,) float64 of the classes, None for regression; calibrated: whether the model card says that they
    are. token_noun: the noun for a step, "word" or "step".

    score: the number that is explained; target, against: the classes that positive and negative scores favour; against
    is None for all others. favours_prediction: whether positive scores favour what is predicted. target_score: the
    value of the score. residual: target_score - base_value - sum(scores) - truncated_part; adds_up: whether the method
    promises that this is rounding only. method_note, base_value_note: how the method defines scores and base value.
    faithfulness: that of the method for this model, None where it was never measured.

    step, labels: of a tagger, the step whose prediction is explained, from 0, and the predictions of all steps in
    words; else None.

    truncated_part: the other members' part of the steps that the LSTM does not read. lstm_share: the LSTM's share of
    the score, |LSTM| / Σ |member|, of the sums over the steps; None for the LSTM alone. phrases: the parts of the text
    that members know by name, such as n-grams, the largest score first. columns: those of the row, whose scores are
    part of the base value and add up exactly. prefix_logits (T + 1, outputs) float64: the logits after 0, 1, ... T
    steps, where the method computes them, which prefix difference does; else None.
    """

    steps: list[str]
    truncated: int
    of: RowTarget
    task: Task
    prediction: str
    predicted: Array
    probabilities: Array | None
    calibrated: bool
    token_noun: str
    score: TargetScore
    target: str
    against: str | None
    favours_prediction: bool
    target_score: float
    residual: float
    method: str
    method_note: str
    base_value_note: str
    adds_up: bool
    faithfulness: Faithfulness | None
    truncated_part: float
    lstm_share: float | None
    phrases: tuple[PhraseScore, ...]
    columns: tuple[ColumnScore, ...] = ()
    step: int | None = None
    labels: tuple[str, ...] | None = None
    prefix_logits: Array | None = None

    def __str__(self) -> str:
        """The prediction, the score and its parts, and the score of each step, one a line."""
        sums = [f"{name:<20} {round(value, 4) + 0.0:+.4f}  {note}".rstrip() for name, value, note in self.sums()]
        steps = [f"{printable(step, 20):<20} {score:+.4f}" for step, score in zip(self.steps, self.scores, strict=True)]
        head = f"{printable(self.decision, 200)}, {self.probability_note}; method {self.method}".replace(", ;", ";")
        return "\n".join([head, *sums, *steps])

    @property
    def decision(self) -> str:
        """The prediction as it is shown: "undecided" where the probability is close to the threshold."""
        return self.of.decision_text(self.predicted, self.probabilities)

    @property
    def probability_note(self) -> str:
        """The probabilities of the most probable classes, three if there are more than two, and whether they are
        calibrated; empty for regression.
        """
        if self.probabilities is None:
            return ""
        text = self.of.probability_text(self.probabilities, self.predicted, lambda name: printable(name, 40))
        return f"{text} (calibrated)" if self.calibrated else text

    def lstm_note(self) -> str:
        """One sentence where the LSTM hardly took part: its weight is 0, or it contributed less than a tenth of the
        score.
        """
        if self.parts and not self.parts[0].weight:
            return "The LSTM has weight 0 in this model: the scores are those of the other members."
        share = self.lstm_share
        if share is None or share >= _HARDLY:
            return ""
        others = " and ".join(part.name for part in self.parts[1:])
        return f"The LSTM contributed {share:.0%} of this score, the {others} {1 - share:.0%}."

    def strongest(self, count: int) -> tuple[list[int], list[int]]:
        """At most `count` steps with positive scores, and with negative ones, the largest absolute score first."""
        order = np.argsort(self.scores, kind="stable")
        lowest = [int(t) for t in order[:count] if self.scores[t] < 0]
        highest = [int(t) for t in order[::-1][:count] if self.scores[t] > 0]
        return highest, lowest

    def sums(self) -> list[tuple[str, float, str]]:
        """The target score and its parts, each as (name, value, note)."""
        difference = abs(self.target_score - self.base_value)
        share = ""
        if difference:
            share = f", {abs(self.residual) / difference:.1%} of {self.of.score_noun} - base value"
        steps = [("  steps", float(self.scores.sum()), "sum of the scores")]
        if len(self.parts) > 1:
            steps = [
                (f"  steps, {one.name}", float(one.scores.sum()), f"sum of its scores, with weight {one.weight:.2f}")
                for one in self.step_parts
            ]
            if self.truncated_part:
                steps.append(("  truncated part", self.truncated_part, "steps that the LSTM does not read"))
        return [
            (self.score.name, self.target_score, self.score.note),
            ("  base value", self.base_value, self.base_value_note),
            *[(f"    {printable(one.column, 30)}", one.score, f"= {self.shown(one.value)}") for one in self.columns],
            *steps,
            ("  residual", self.residual, "rounding" if self.adds_up else f"what the scores leave out{share}"),
        ]

    @property
    def step_parts(self) -> tuple[Part, ...]:
        """The parts of the members, without those that read no step, such as columns."""
        return tuple(one for one in self.parts if not one.weight or one.truncated_part or one.scores.any())

    def shown(self, value: float | str | None) -> str:
        """The value of a column in words."""
        if value is None:
            return "missing"
        return printable(value, 40) if isinstance(value, str) else f"{value:.6g}"

    def faithfulness_note(self) -> str:
        """How faithful the method is to this model, in one sentence."""
        if self.faithfulness is None:
            return UNMEASURED
        without = self.of.fall_number(self.faithfulness.comprehensiveness)
        alone = self.of.fall_number(self.faithfulness.sufficiency)
        return (
            f"Measured on {self.faithfulness.n:,} validation sequences: the {self.of.fall_text} by "
            f"{without} without the steps that the method ranks first (comprehensiveness), and by {alone} with only "
            "these steps (sufficiency)."
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        same = (
            *("calibrated", "target", "against", "target_score", "base_value", "base_value_note", "method"),
            *("method_note", "residual", "adds_up", "truncated", "steps"),
        )
        return {
            "task": self.task,
            **({} if self.step is None else {"step": self.step, "labels": list(self.labels or ())}),
            **self.of.record(self.predicted, self.probabilities),
            **{name: getattr(self, name) for name in same},
            "faithfulness": None if self.faithfulness is None else asdict(self.faithfulness),
            "scores": self.scores.tolist(),
            "channels": None if self.channels is None else self.channels.tolist(),
            **self.parts_dict(),
            "baseline_term": None if self.baseline_term is None else self.baseline_term.tolist(),
        }

    def parts_dict(self, most: int | None = None) -> dict[str, Any]:
        """The members' parts as plain data, with at most `most` phrases; only the weight for the LSTM alone."""
        members: list[dict[str, Any]] = [{"name": part.name, "weight": part.weight} for part in self.parts]
        if len(self.parts) < 2:
            return {"members": members}
        for one, part in zip(members, self.parts, strict=True):
            one |= {"scores": part.scores.tolist(), "truncated_part": part.truncated_part}
        found = {"members": members, "lstm_share": self.lstm_share, "truncated_part": self.truncated_part}
        found |= {"columns": [one._asdict() for one in self.columns]} if self.columns else {}
        return found | ({"phrases": [one._asdict() for one in self.phrases[:most]]} if self.phrases else {})


def explain_example(
    example: Example,
    method: str | Method | None = None,
    faithfulness: Mapping[str, Faithfulness] | None = None,
    default: str = "",
    calibrated: bool = False,
) -> Explanation:
    """Explain the prediction of an example of any model, which may be clamped, and whose score may be chosen.

    method: a name of `METHODS`, or a Method with other settings. None: `default` where that is a name of `METHODS`,
    else leave-one-out. faithfulness: by method, the model's measured scores. Raises InputError for an unknown method.
    """
    ensemble = example.ensemble
    target = ensemble.target.each
    if method is None:
        method = default if default in METHODS else DEFAULT_METHOD
    chosen = method_named(method) if isinstance(method, str) else method
    as_measured = chosen.name in METHODS and chosen == method_named(chosen.name) and not example.lstm.clamps
    [found] = attribute(chosen, [example], channels=True)
    score, predicted = example.score, example.predicted
    rule_notes = [member.note(chosen.rule) for member, _ in ensemble.others]
    columns = [
        ColumnScore(name, value, weight * float(score(added)))
        for member, weight in ensemble.others
        for name, value, added in member.column_terms(member.part_of(example.sequence))
    ]
    sizes = [abs(float(part.scores.sum()) + part.truncated_part) for part in found.parts]
    sizes.append(abs(sum(one.score for one in columns)))
    phrases = [
        PhraseScore(tuple(example.names[t] for t in steps), steps.start, times, weight * float(score(added)))
        for member, weight in ensemble.others
        for steps, added, times in member.phrases(member.part_of(example.sequence))
    ]
    truncated_part = sum(part.truncated_part for part in found.parts)
    return Explanation(
        **vars(found),
        steps=example.steps,
        truncated=example.truncated,
        of=target,
        task=ensemble.target.task,
        prediction=target.text(predicted),
        predicted=predicted,
        probabilities=example.probabilities,
        calibrated=calibrated,
        token_noun=ensemble.token_noun,
        score=score,
        target=target.classes[score.target],
        against=None if score.against is None else target.classes[score.against],
        favours_prediction=target.favours(predicted, score),
        target_score=example.target_score,
        residual=example.target_score - found.base_value - float(found.scores.sum()) - truncated_part,
        method=chosen.name,
        method_note=" ".join([chosen.note(ensemble), *rule_notes]),
        base_value_note=chosen.base_value_note(ensemble) + ", and the columns" * bool(columns),
        adds_up=chosen.adds_up,
        faithfulness=(faithfulness or {}).get(chosen.name) if as_measured else None,
        truncated_part=truncated_part,
        lstm_share=sizes[0] / sum(sizes) if len(found.parts) > 1 and sum(sizes) > 0 else None,
        phrases=tuple(sorted(phrases, key=lambda one: -abs(one.score))),
        columns=tuple(columns),
        step=example.step,
        labels=None if example.step is None else tuple(example.labels),
        prefix_logits=example.prefix_logits if chosen.rule == "prefix" else None,
    )
