"""What happens to the steps that an explanation takes away: they are deleted, or replaced where their place must stay.

The target names the edit (`Target.edit_verb`): the prediction of a step goes with the step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np

from gatewise.explain.attribution.baselines import baselines_of
from gatewise.explain.example import Example
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.ensemble import Ensemble


class Edit(ABC):
    """Takes steps away from a sequence."""

    @abstractmethod
    def without(self, example: Example, away: Any) -> EncodedSequence:
        """The sequence of the example without the steps `away`, a mask or an index of those that the LSTM reads."""

    @abstractmethod
    def empty(self, example: Example) -> EncodedSequence:
        """The sequence of the example without any step."""

    @abstractmethod
    def verb(self, ensemble: Ensemble) -> str:
        """What happens to a step, in words."""

    @abstractmethod
    def empty_text(self, ensemble: Ensemble) -> str:
        """The prediction when all steps are taken away, in words."""


class Deletion(Edit):
    """The sequence becomes shorter."""

    def without(self, example: Example, away: Any) -> EncodedSequence:
        kept = np.ones(len(example.sequence), dtype=bool)
        kept[example.rows[away]] = False
        return example.sequence[kept]

    def empty(self, example: Example) -> EncodedSequence:
        return example.sequence[:0]

    def verb(self, ensemble: Ensemble) -> str:
        return "removed"

    def empty_text(self, ensemble: Ensemble) -> str:
        return ensemble.network.empty_text(ensemble.token_noun)


class Replacement(Edit):
    """The sequence keeps its length: an unknown word, or a step of the training data's mean, stands in their place."""

    def without(self, example: Example, away: Any) -> EncodedSequence:
        edited = np.array(example.sequence.steps[example.rows])
        value, _ = baselines_of(example.network).replacement(example.network)
        if edited.ndim == 2 and example.network.inputs.kind == "tokens":  # a word without a known feature
            edited[away] = 0
            edited[away, 0] = value
        else:
            edited[away] = value
        return replace(example.sequence[example.rows], steps=edited)

    def empty(self, example: Example) -> EncodedSequence:
        return self.without(example, slice(None))

    def verb(self, ensemble: Ensemble) -> str:
        return f"replaced by {self._name(ensemble)}"

    def empty_text(self, ensemble: Ensemble) -> str:
        return f"the prediction where every {ensemble.token_noun} is {self._name(ensemble)}"

    def _name(self, ensemble: Ensemble) -> str:
        _, name = baselines_of(ensemble.network).replacement(ensemble.network)
        return name


_EDITS: dict[str, Edit] = {"deleted": Deletion(), "replaced": Replacement()}


def edit_of(ensemble: Ensemble) -> Edit:
    """The edit that the target of the ensemble needs, and its network."""
    if ensemble.network.replaces_steps:
        return _EDITS["replaced"]
    return _EDITS[ensemble.target.edit_verb]
