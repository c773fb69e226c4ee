"""Interventions: the prediction with gates clamped, units ablated, their memory held, or words replaced.

An intervention shows what the network computes under a change. It is the closest thing to a cause here, for a network
that was never trained under that change.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gatewise.errors import InputError, counted, quote
from gatewise.explain.display import Displayed
from gatewise.explain.example import Example
from gatewise.members.clamp import Clamp, check_clamp
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.target import RowTarget
from gatewise.text.tokens import composed
from gatewise.types import Array


@dataclass(frozen=True, eq=False)
class Intervention(Displayed):
    """One example before and after a change. changes: the change in words; clamps: the clamps in it.

    Both explain the same score. They have the same steps unless words were replaced.
    """

    before: Example
    after: Example
    changes: tuple[str, ...]
    clamps: tuple[Clamp, ...] = ()

    @property
    def of(self) -> RowTarget:
        """What the row of logits predicts that is explained."""
        return self.before.ensemble.target.each

    def probabilities(self) -> tuple[Array | None, Array | None]:
        """(K,) before and after; None for numbers."""
        return self.before.probabilities, self.after.probabilities

    @property
    def shown_unit(self) -> int:
        """The unit to show by default: the first of the top layer that a clamp names, else that with the largest effect
        before.
        """
        top = len(self.before.network.layers) - 1
        clamped = (clamp.unit for clamp in self.clamps if clamp.unit is not None and clamp.layer in (None, top))
        return next(clamped, self.before.top_unit)

    def others_note(self) -> str:
        """What the change does to the other members' part of the score, in one sentence; empty for the LSTM alone."""
        ensemble = self.before.ensemble
        if not ensemble.others:
            return ""
        score = self.before.score  # both sides explain it
        before = float(score(self.before.other_prefix_logits[-1] - ensemble.shift))
        after = float(score(self.after.other_prefix_logits[-1] - ensemble.shift))
        name = " and ".join(member.noun for member, _ in ensemble.others)
        if self.before.steps == self.after.steps and before == after:
            kept = f"does not change: they depend on the {ensemble.token_noun}s only"
            return f"The part of the {name} in the {self.of.score_noun}, {self.of.score_text(before)}, {kept}."
        both = f"{self.of.score_text(before)} before and {self.of.score_text(after)} after"
        return f"The part of the {name} in the {self.of.score_noun} is {both}."

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        sides: dict[str, dict[str, Any]] = {}
        both = (self.before, self.after)
        for name, example in zip(("before", "after"), both, strict=True):
            sides[name] = {
                **self.of.record(example.predicted, example.probabilities),
                "logits": example.logits.tolist(),
                "steps": example.steps,
                "prefix_logits": example.prefix_logits.tolist(),
            }
            if example.ensemble.others:
                sides[name]["other_prefix_logits"] = example.other_prefix_logits.tolist()
        record: dict[str, Any] = {"changes": list(self.changes)}
        note = self.others_note()
        if note:
            record["others_note"] = note
        return record | sides


def intervene(
    before: Example,
    clamps: Iterable[Clamp] = (),
    edited: tuple[EncodedSequence, Sequence[str]] | None = None,
    changes: Sequence[str] = (),
) -> Intervention:
    """An example before, and after under `clamps`.

    edited: another sequence and its names, for the run after. changes: the edits in words. The steps of clamps are
    those of the edited sequence, after truncation. Raises InputError without a change and for a clamp that does not
    fit.
    """
    clamps = tuple(clamps)
    if not clamps and edited is None:
        raise InputError("nothing to change: give clamps or words to replace")
    if edited is None:
        edited = (before.sequence, before.names)
    sequence, names = edited
    after = Example(before.ensemble.with_lstm(clamps=tuple(clamps)), sequence, names)
    if before.step is not None:
        after = after.at_step(before.step)
    after = after.with_score(before.score)
    for clamp in clamps:
        check_clamp(clamp, before.network.layers, len(after.rows), binary=before.network.has_binary_gates)
    return Intervention(before, after, (*changes, *map(str, clamps)), clamps)


def word_places(example: Example, words: Mapping[int | str, str]) -> dict[int, str]:
    """Positions in `example.names`, with the new words. A key is a step (from 0, among those that the network reads),
    or a word, which is replaced at each of these steps. Raises InputError for a step or word that does not exist.
    """
    places: dict[int, str] = {}
    for key, word in words.items():
        if isinstance(key, str):
            wanted = composed(key).casefold()
            rows = [int(row) for row in example.rows if example.names[row].casefold() == wanted]
            if not rows:
                raise InputError(f"{quote(key)} is not among the words that the network reads")
        elif 0 <= key < len(example.rows):
            rows = [int(example.rows[key])]
        else:
            raise InputError(f"there is no step {key + 1}: the network reads {counted(len(example.rows), 'step')}")
        places.update(dict.fromkeys(rows, word))
    return places
