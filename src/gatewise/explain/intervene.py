"""What becomes of the verdict when a person interferes: gates held, units silenced or frozen, words replaced.

Such a run is a fact about the network, and of all that is shown here the nearest to a cause. It is one about a network
that was never trained to run that way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.explain.clamp import Clamp, check_clamp
from gatewise.explain.html_repr import HtmlRepr
from gatewise.explain.net import ExplainedNetwork
from gatewise.explain.trace import Trace, kept_rows, trace_of
from gatewise.metrics.evaluation import log_probabilities, target_score
from gatewise.types import Array

__all__ = ["Intervention", "intervene", "word_places"]


@dataclass(frozen=True, eq=False)
class Intervention(HtmlRepr):
    """The same reading before and after. changes: what was done, in words; held: the clamps among
    it. The steps of the two traces are the same
    unless words were replaced.
    """

    before: Trace
    after: Trace
    classes: tuple[str, ...]
    changes: tuple[str, ...]
    held: tuple[Clamp, ...] = ()

    def probabilities(self) -> tuple[Array, Array]:
        """(K,) before and after, not calibrated."""
        both = np.exp(log_probabilities(np.stack([self.before.logits, self.after.logits])))
        return both[0], both[1]

    def verdicts(self) -> tuple[str, str]:
        """The class before and after."""
        before, after = self.probabilities()
        return self.classes[int(before.argmax())], self.classes[int(after.argmax())]

    def running(self) -> tuple[Array, Array]:
        """The running verdict (T + 1,) before and after, both as the margin of the class that was predicted before."""
        predicted = int(self.before.logits.argmax())
        return target_score(self.before.logits_after, predicted), target_score(self.after.logits_after, predicted)

    def ngrams_note(self) -> str:
        """What becomes of the n-grams beside the network, in one sentence; empty where there are none."""
        sides = [seen.ngrams_after for seen in (self.before, self.after) if seen.ngrams_after is not None]
        if not sides:
            return ""
        before, after = (float(target_score(side[-1], int(self.before.logits.argmax()))) for side in sides)
        if self.before.steps == self.after.steps and before == after:
            return f"The n-grams' part of the logit, {before:+.3f}, stays as it is: they read the words, not the gates."
        return f"The n-grams' part of the logit, counted anew: {before:+.3f} before, {after:+.3f} after."

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        sides: dict[str, dict[str, Any]] = {}
        probabilities, verdicts = self.probabilities(), self.verdicts()
        for name, seen, p, verdict in zip(
            ("before", "after"), (self.before, self.after), probabilities, verdicts, strict=True
        ):
            sides[name] = {
                "verdict": verdict,
                "probabilities": dict(zip(self.classes, p.tolist(), strict=True)),
                "logits": seen.logits.tolist(),
                "steps": list(seen.steps),
                "logits_after": seen.logits_after.tolist(),
            }
            if seen.ngrams_after is not None:
                sides[name]["ngrams_after"] = seen.ngrams_after.tolist()
        note = self.ngrams_note()
        return {"changes": list(self.changes), **({"ngrams_note": note} if note else {}), **sides}


def intervene(
    net: ExplainedNetwork,
    sequence: Array,
    steps: Sequence[str],
    classes: Sequence[str],
    clamps: Iterable[Clamp] = (),
    edited: tuple[Array, Sequence[str]] | None = None,
    changes: Sequence[str] = (),
) -> Intervention:
    """Run a sequence as it is, and again under `clamps`, and with `edited` (a sequence and its names) in its place.

    changes: what was edited, in words. Steps of clamps are those of the edited sequence as it is read. Raises
    InputError where nothing is changed, and for a clamp that does not fit.
    """
    held = tuple(clamps)
    after_sequence, after_steps = edited if edited is not None else (sequence, steps)
    if not held and edited is None:
        raise InputError("nothing to change: give clamps or words to replace")
    read = len(kept_rows(net.arch, after_sequence, after_steps))
    for clamp in held:
        check_clamp(clamp, net.arch, read)
    return Intervention(
        before=trace_of(net, sequence, steps),
        after=trace_of(net.under(held), after_sequence, after_steps),
        classes=tuple(classes),
        changes=(*changes, *map(str, held)),
        held=held,
    )


def word_places(steps: Sequence[str], rows: Array, words: Mapping[int | str, str]) -> dict[int, str]:
    """Places among all steps, with the new words; a key is a step (from 0, among the rows that are read) or a word,
    which is replaced wherever it is read. Raises InputError for one that is not there.
    """
    places: dict[int, str] = {}
    for key, word in words.items():
        if isinstance(key, str):
            found = [int(row) for row in rows if steps[row].casefold() == key.casefold()]
            if not found:
                raise InputError(f"{quote(key)} is not among the words that are read")
        elif 0 <= key < len(rows):
            found = [int(rows[key])]
        else:
            raise InputError(f"there is no step {key + 1}: {len(rows)} are read")
        places.update(dict.fromkeys(found, word))
    return places
