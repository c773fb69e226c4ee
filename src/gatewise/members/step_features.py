"""A linear model of each step of a text: the score of a label is a sum over the features of a word and its neighbours.

    logit[t, k] = bias[k] + Σ_d Σ_j weight_d[feature_j(word t+d), k] + [t first] first[k] + [t last] last[k]

d runs from -2 to 2, j over the templates of the features (`gatewise.text.word_features`) that are read at that
distance. With its transitions it is a conditional random field (Lafferty et al. 2001). Little text is enough for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, ModelFileError
from gatewise.kernels import read_only
from gatewise.members.member import Inputs, Member, Rule, check_entry
from gatewise.network.architecture import TRANSITIONS
from gatewise.ragged import Ragged, starts_of
from gatewise.storage.tensors import tensors_from_bytes
from gatewise.target.crf import Transitions, shapes
from gatewise.text.word_features import TEMPLATES
from gatewise.types import Array, Lengths

_OF_NEIGHBOURS = ("lower case", "letters and digits", "short shape", "suffix of 3", "punctuation", "case")
_OF_FURTHER = ("lower case", "short shape")
READ: dict[int, tuple[int, ...]] = {
    distance: tuple(TEMPLATES.index(name) for name in names)
    for distance, names in {
        -2: _OF_FURTHER,
        -1: _OF_NEIGHBOURS,
        0: TEMPLATES,
        1: _OF_NEIGHBOURS,
        2: _OF_FURTHER,
    }.items()
}
"""The templates, by their places, that are read of a word at each distance."""
PLACES = ("first", "last")


def neighbours(lengths: Lengths, distance: int) -> NDArray[np.int64]:
    """The row (N,) of the step at a distance from each step of B sequences; -1 outside of its sequence."""
    total = int(lengths.sum())
    rows = np.arange(total) + distance
    first = np.repeat(starts_of(lengths), lengths)
    end = first + np.repeat(lengths, lengths)
    return np.where((rows >= first) & (rows < end), rows, -1)


def place_flags(lengths: Lengths) -> Array:
    """Whether each step is the first and the last of its sequence (N, 2), as numbers."""
    flags = np.zeros((int(lengths.sum()), len(PLACES)))
    starts = starts_of(lengths)[lengths > 0]
    flags[starts, 0] = 1
    flags[(starts + lengths[lengths > 0] - 1), 1] = 1
    return flags


@dataclass(frozen=True, eq=False)
class StepFeatures(Member):
    """row (5, S): by distance, the row of `weight` of each of S feature ids; 0 for one without weights. weight
    (R, outputs) float32, whose row 0 is 0. places (2, outputs): of the first and of the last step. bias (outputs,).
    scores: the transitions. Raises InputError for other arrays.
    """

    row: NDArray[np.int32]
    weight: Array
    places: Array
    bias: Array
    scores: Transitions
    kind: ClassVar[str] = "step_features"
    noun: ClassVar[str] = "word features"

    def __post_init__(self) -> None:
        count = len(self.weight)
        if not count or self.row.min(initial=0) < 0 or self.row.max(initial=0) >= count:
            raise InputError("word features: a row of the weights does not exist")
        if self.weight[0].any() or self.row[:, 0].any():
            raise InputError("word features: no feature must have no weight")

    @property
    def outputs(self) -> int:
        return int(self.weight.shape[1])

    @property
    def transitions(self) -> Transitions:
        return self.scores

    @property
    def features(self) -> int:
        """S, the number of the ids of features."""
        return int(self.row.shape[1])

    def check(self, inputs: Inputs) -> None:
        if inputs.word_features != self.features:
            raise InputError(
                f"the member of word features reads {self.features:,} features, not {inputs.word_features:,}"
            )

    def logits(self, sequences: Ragged | Iterable[Array]) -> Array:
        """Logits (N, outputs) float64 of the steps of words with features."""
        words = sequences if isinstance(sequences, Ragged) else _ragged(sequences)
        total = self.bias + place_flags(words.lengths) @ self.places.astype(np.float64)
        for distance in READ:
            rows = neighbours(words.lengths, distance)
            inside = np.flatnonzero(rows >= 0)
            total[inside] += self.of_word(words.values[rows[inside]], distance)
        return np.asarray(total)

    def of_word(self, words: Array, distance: int) -> Array:
        """What words (n, 1 + F) at a distance add to the logits of a step (n, outputs)."""
        rows = self.row[list(READ).index(distance)]
        ids = words[:, 1:]
        added = np.zeros((len(words), self.outputs))
        for template in READ[distance]:
            added += self.weight[rows[self._known(ids[:, template])]]
        return added

    def _known(self, ids: Array) -> Array:
        """The ids; 0 for one that is not among the features."""
        return np.where(ids < self.features, ids, 0)

    def step_attribution(self, sequence: Array, step: int) -> Array:
        """What each word (T, 1 + F) adds to the logits of a step (T, outputs); with the bias and the place of the step
        they add up to them.
        """
        added = np.zeros((len(sequence), self.outputs))
        for distance in READ:
            if 0 <= step + distance < len(sequence):
                added[step + distance] = self.of_word(sequence[step + distance][None], distance)[0]
        return added

    def prefix_logits(self, sequence: Array) -> Array:
        """Those of no step, and those of each step (T + 1, outputs)."""
        return np.concatenate([self.bias[None].astype(np.float64), self.logits([sequence])])

    def note(self, rule: Rule) -> str:
        return "The word features are added as what each word adds to the logit of the explained step."

    def summary(self) -> list[tuple[str, str, int]]:
        weights = self.weight[1:].size + self.places.size + self.bias.size
        transitions = sum(array.size for array in self.scores.arrays().values())
        return [
            ("Word features (linear)", f"(steps, {self.outputs})", weights),
            ("CRF", f"(steps, {len(self.scores)})", transitions),
        ]

    def entry(self) -> dict[str, Any]:
        return {"rows": len(self.weight)}

    def arrays(self) -> dict[str, Array]:
        transitions = {name: array.astype(np.float32) for name, array in self.scores.arrays(TRANSITIONS).items()}
        return {"row": self.row, "weight": self.weight, "places": self.places, "bias": self.bias, **transitions}

    @classmethod
    def from_file(cls, entry: dict[str, Any], raw: bytes, inputs: Inputs, outputs: int, file: str) -> Self:
        check_entry(entry, ["rows"], [], cls.kind)
        rows = entry["rows"]
        if type(rows) is not int or rows < 1:
            raise InputError(f"member '{cls.kind}': rows must be a whole number of at least 1")
        of_transitions = shapes(max(2, outputs))
        forms: dict[str, Any] = {
            "row": ((len(READ), inputs.word_features), "int32"),
            "weight": ((rows, outputs), "float32"),
            "places": ((len(PLACES), outputs), "float32"),
            "bias": ((outputs,), "float32"),
            **{TRANSITIONS + name: (shape, "float32") for name, shape in of_transitions.items()},
        }
        arrays = {name: read_only(array) for name, array in tensors_from_bytes(raw, forms, file).items()}
        scores = Transitions.of(arrays, TRANSITIONS)
        try:
            return cls(arrays["row"], arrays["weight"], arrays["places"], arrays["bias"], scores)
        except InputError as error:
            raise ModelFileError(f"{file}: {error}") from error


def _ragged(sequences: Iterable[Array]) -> Ragged:
    """Words with features of sequences one by one."""
    arrays: Sequence[Array] = [np.asarray(sequence) for sequence in sequences]
    lengths = np.array([len(array) for array in arrays], dtype=np.intp)
    empty = np.zeros((0, 1 + len(TEMPLATES)), dtype=np.int32)
    return Ragged(np.concatenate([empty, *arrays]), lengths)
