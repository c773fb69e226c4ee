"""Interventions: the prediction with gates clamped, units ablated, their memory held, or words replaced.

An intervention shows what the network computes under a change. It is the closest thing to a cause here, for a network
that was never trained under that change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gatewise.errors import InputError, quote
from gatewise.explain.clamp import Clamp, check_clamp
from gatewise.explain.example import Example
from gatewise.explain.html_repr import HtmlRepr
from gatewise.metrics import target_score
from gatewise.types import Array


@dataclass(frozen=True, eq=False)
class Intervention(HtmlRepr):
    """One example before and after a change. changes: the change in words; clamps: the clamps in it.

    The two examples have the same steps unless words were replaced.
    """

    before: Example
    after: Example
    classes: tuple[str, ...]
    changes: tuple[str, ...]
    clamps: tuple[Clamp, ...] = ()

    def probabilities(self) -> tuple[Array, Array]:
        """(K,) before and after."""
        return self.before.probabilities, self.after.probabilities

    def predictions(self) -> tuple[str, str]:
        """The predicted class before and after."""
        before, after = self.probabilities()
        return self.classes[int(before.argmax())], self.classes[int(after.argmax())]

    def target_scores(self) -> tuple[float, float]:
        """The target score of the class predicted before, before and after."""
        return self.before.target_score, float(target_score(self.after.logits, self.before.predicted))

    def prefix_scores(self) -> tuple[Array, Array]:
        """The prefix predictions (T + 1,) before and after, as the target score of the class predicted before."""
        predicted = self.before.predicted
        return target_score(self.before.prefix_logits, predicted), target_score(self.after.prefix_logits, predicted)

    def ngram_note(self) -> str:
        """What the change does to the n-grams' part of the logit, in one sentence; empty without n-grams."""
        sides = [one.ngram_prefix_logits for one in (self.before, self.after)]
        before, after = (
            None if side is None else float(target_score(side[-1], self.before.predicted)) for side in sides
        )
        if before is None:
            return ""
        if self.before.steps == self.after.steps and before == after:
            return f"The n-grams' part of the logit, {before:+.3f}, does not change: n-grams depend on the words only."
        return f"The n-grams' part of the logit is {before:+.3f} before and {after:+.3f} after."

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        sides: dict[str, dict[str, Any]] = {}
        both = (self.before, self.after)
        for name, example, prediction in zip(("before", "after"), both, self.predictions(), strict=True):
            sides[name] = {
                "prediction": prediction,
                "probabilities": dict(zip(self.classes, example.probabilities.tolist(), strict=True)),
                "logits": example.logits.tolist(),
                "steps": example.steps,
                "prefix_logits": example.prefix_logits.tolist(),
            }
            if example.ngram_prefix_logits is not None:
                sides[name]["ngram_prefix_logits"] = example.ngram_prefix_logits.tolist()
        note = self.ngram_note()
        return {"changes": list(self.changes), **({"ngram_note": note} if note else {}), **sides}


def intervene(
    before: Example,
    classes: Sequence[str],
    clamps: Iterable[Clamp] = (),
    edited: tuple[Array, Sequence[str]] | None = None,
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
    sequence, names = (before.sequence, before.names) if edited is None else edited
    after = Example(before.net.with_clamps(clamps), sequence, names)
    for clamp in clamps:
        check_clamp(clamp, before.net.arch, len(after.rows))
    return Intervention(before, after, tuple(classes), (*changes, *map(str, clamps)), clamps)


def word_places(example: Example, words: Mapping[int | str, str]) -> dict[int, str]:
    """Positions in `example.names`, with the new words. A key is a step (from 0, among those that the network reads),
    or a word, which is replaced at each of these steps. Raises InputError for a step or word that does not exist.
    """
    places: dict[int, str] = {}
    for key, word in words.items():
        if isinstance(key, str):
            found = [int(row) for row in example.rows if example.names[row].casefold() == key.casefold()]
            if not found:
                raise InputError(f"{quote(key)} is not among the words that the network reads")
        elif 0 <= key < len(example.rows):
            found = [int(example.rows[key])]
        else:
            raise InputError(f"there is no step {key + 1}: the network reads {len(example.rows)} steps")
        places.update(dict.fromkeys(found, word))
    return places
