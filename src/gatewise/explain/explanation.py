"""Explanations: how much each step contributed to one prediction, by one attribution method, with its residual.

The scores follow the method's own definition. They do not say what the prediction for another text would be, and they
are not causes. Each explanation carries a sentence that defines its scores, its residual, and, where it was measured,
how faithful the method is to the model.
"""

from collections.abc import Mapping, Sequence
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
# The fields that JSON has as they are.
_RECORDED = (
    "calibrated",
    "target",
    "against",
    "target_score",
    "base_value",
    "base_value_note",
    "method",
    "method_note",
    "residual",
    "adds_up",
    "truncated",
    "steps",
)


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
        if self.calibrated:
            text += " (calibrated)"
        return text

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
        sums = [
            (self.score.name, self.target_score, self.score.note),
            ("  base value", self.base_value, self.base_value_note),
        ]
        for column in self.columns:
            sums.append((f"    {printable(column.column, 30)}", column.score, f"= {self.shown(column.value)}"))
        if len(self.parts) > 1:
            for part in self.step_parts:
                note = f"sum of its scores, with weight {part.weight:.2f}"
                sums.append((f"  steps, {part.name}", float(part.scores.sum()), note))
            if self.truncated_part:
                sums.append(("  truncated part", self.truncated_part, "steps that the LSTM does not read"))
        else:
            sums.append(("  steps", float(self.scores.sum()), "sum of the scores"))
        sums.append(("  residual", self.residual, self._residual_note()))
        return sums

    def _residual_note(self) -> str:
        """Where the residual comes from, and its share of what the scores explain."""
        if self.adds_up:
            return "rounding"
        difference = abs(self.target_score - self.base_value)
        if not difference:
            return "what the scores leave out"
        share = abs(self.residual) / difference
        return f"what the scores leave out, {share:.1%} of {self.of.score_noun} - base value"

    @property
    def step_parts(self) -> tuple[Part, ...]:
        """The parts of the members, without those that read no step, such as columns."""
        return tuple(part for part in self.parts if not part.weight or part.truncated_part or part.scores.any())

    def shown(self, value: float | str | None) -> str:
        """The value of a column in words."""
        if value is None:
            return "missing"
        if isinstance(value, str):
            return printable(value, 40)
        return f"{value:.6g}"

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
        record: dict[str, Any] = {"task": self.task}
        if self.step is not None:
            record |= {"step": self.step, "labels": list(self.labels or ())}
        record |= self.of.record(self.predicted, self.probabilities)
        record |= {name: getattr(self, name) for name in _RECORDED}
        record["faithfulness"] = None if self.faithfulness is None else asdict(self.faithfulness)
        record["scores"] = self.scores.tolist()
        record["channels"] = _numbers(self.channels)
        record |= self.parts_dict()
        record["baseline_term"] = _numbers(self.baseline_term)
        return record

    def parts_dict(self, most: int | None = None) -> dict[str, Any]:
        """The members' parts as plain data, with at most `most` phrases; only the weight for the LSTM alone."""
        if len(self.parts) < 2:
            return {"members": [{"name": part.name, "weight": part.weight} for part in self.parts]}
        record: dict[str, Any] = {
            "members": [part._asdict() | {"scores": part.scores.tolist()} for part in self.parts],
            "lstm_share": self.lstm_share,
            "truncated_part": self.truncated_part,
        }
        if self.columns:
            record["columns"] = [column._asdict() for column in self.columns]
        if self.phrases:
            record["phrases"] = [phrase._asdict() for phrase in self.phrases[:most]]
        return record


def explain_example(
    example: Example,
    method: str | Method | None = None,
    faithfulness: Mapping[str, Faithfulness] | None = None,
    default: str = "",
    calibrated: bool = False,
) -> Explanation:
    """Explain the prediction of an example of any model, which may be clamped, and whose score may be chosen.

    >>> from gatewise.explain import explain_example
    >>> example = gw.load("tutorial").trace("a boring film")
    >>> explain_example(example, "prefix-difference").prediction
    'negative'

    method: a name of `METHODS`, or a Method with other settings. None: `default` where that is a name of `METHODS`,
    else leave-one-out. faithfulness: by method, the model's measured scores. Raises InputError for an unknown method.
    """
    ensemble = example.ensemble
    target = ensemble.target.each
    chosen = _method(method, default)
    attribution = attribute(chosen, [example], channels=True)[0]
    score = example.score
    truncated_part = sum(part.truncated_part for part in attribution.parts)
    columns = _columns(example)
    rule_notes = [member.note(chosen.rule) for member, _ in ensemble.others]
    base_value_note = chosen.base_value_note(ensemble)
    if columns:
        base_value_note += ", and the columns"
    # The faithfulness was measured with the method's own settings, on the network without clamps.
    measured = None
    if chosen.name in METHODS and chosen == method_named(chosen.name) and not example.network.clamps:
        measured = (faithfulness or {}).get(chosen.name)
    return Explanation(
        **vars(attribution),
        steps=example.steps,
        truncated=example.truncated,
        of=target,
        task=ensemble.target.task,
        prediction=target.text(example.predicted),
        predicted=example.predicted,
        probabilities=example.probabilities,
        calibrated=calibrated,
        token_noun=ensemble.token_noun,
        score=score,
        target=target.classes[score.target],
        against=None if score.against is None else target.classes[score.against],
        favours_prediction=target.favours(example.predicted, score),
        target_score=example.target_score,
        residual=example.target_score - attribution.base_value - float(attribution.scores.sum()) - truncated_part,
        method=chosen.name,
        method_note=" ".join([chosen.note(ensemble), *rule_notes]),
        base_value_note=base_value_note,
        adds_up=chosen.adds_up,
        faithfulness=measured,
        truncated_part=truncated_part,
        lstm_share=_lstm_share(attribution.parts, columns),
        phrases=_phrases(example),
        columns=columns,
        step=example.step,
        labels=None if example.step is None else tuple(example.labels),
        prefix_logits=example.prefix_logits if chosen.rule == "prefix" else None,
    )


def _method(method: str | Method | None, default: str) -> Method:
    """The method to explain with, see `explain_example`."""
    if method is None:
        method = DEFAULT_METHOD
        if default in METHODS:
            method = default
    if isinstance(method, str):
        method = method_named(method)
    return method


def _columns(example: Example) -> tuple[ColumnScore, ...]:
    """The scores of the columns of the row."""
    return tuple(
        ColumnScore(name, value, weight * float(example.score(logits)))
        for member, weight in example.ensemble.others
        for name, value, logits in member.column_terms(member.part_of(example.sequence))
    )


def _phrases(example: Example) -> tuple[PhraseScore, ...]:
    """The scores of the phrases of the sequence, the largest first."""
    phrases = [
        PhraseScore(tuple(example.names[t] for t in steps), steps.start, times, weight * float(example.score(logits)))
        for member, weight in example.ensemble.others
        for steps, logits, times in member.phrases(member.part_of(example.sequence))
    ]
    return tuple(sorted(phrases, key=lambda phrase: -abs(phrase.score)))


def _lstm_share(parts: Sequence[Part], columns: Sequence[ColumnScore]) -> float | None:
    """The LSTM's share of the sizes of all parts; None for the LSTM alone, and where nothing has a score."""
    sizes = [abs(float(part.scores.sum()) + part.truncated_part) for part in parts]
    sizes.append(abs(sum(column.score for column in columns)))
    if len(parts) < 2 or not sum(sizes):
        return None
    return sizes[0] / sum(sizes)  # the LSTM is the first part


def _numbers(array: Array | None) -> list[Any] | None:
    """An array that may be missing, for JSON."""
    if array is None:
        return None
    numbers: list[Any] = array.tolist()
    return numbers
