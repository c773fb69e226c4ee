"""`Member`: what gives logits for sequences. A model is the weighted sum of its members (`gatewise.members.ensemble`).

A new kind of member is one subclass with a `kind` of its own (`gatewise.members.kinds`), and one fit in
`gatewise.training.members`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np

from gatewise.data.schema import NO_ROW_COLUMNS, RowSchema
from gatewise.errors import InputError, quote
from gatewise.members.encoded_batch import Encoded, ragged_steps
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.storage.tensors import tensors_to_bytes
from gatewise.target.crf import Transitions
from gatewise.types import NOUNS, ROWS, Array, InputNouns

Rule = Literal["prefix", "shared", "left-out"]
"""How an explanation divides the logits of a member among the steps: by `prefix_logits`, `attribution` or
`leave_one_out`.
"""


InputKind = Literal["tokens", "channels", "windows"]
"""What a network or another member reads: token ids, the channels of a series, or windows of one."""

_SIZES: dict[InputKind, str] = {
    "tokens": "a vocabulary of {:,} tokens",
    "channels": "{:,} channels",
    "windows": "{:,} windows",
}


class Inputs(NamedTuple):
    """What the members of an ensemble read: token ids below `size`, series of `size` channels, or windows of a series
    with `size` columns (`gatewise.members.windows`). series: shape (W, C) of `EncodedSequence.series` at a step; (0, 0)
    for texts. columns: those whose values each sequence has. further: the names of further inputs.
    word_features: the number of the ids of the features of words, where a token is a word with features.
    """

    kind: InputKind
    size: int
    series: tuple[int, int] = (0, 0)
    columns: RowSchema = NO_ROW_COLUMNS
    further: tuple[str, ...] = ()
    word_features: int = 0

    @property
    def nouns(self) -> InputNouns:
        """What they are made of, in words."""
        return ROWS if self.further else NOUNS[self.kind]

    def require(self, kind: InputKind, message: str) -> None:
        """Raise InputError with the message unless they are of this kind."""
        if self.kind != kind:
            raise InputError(message)

    def __str__(self) -> str:
        size = _SIZES[self.kind].format(self.size)
        if self.word_features:
            size += f" with {self.word_features:,} features of words"
        return " and ".join([size, *self.further])


class PaddedSequences(NamedTuple):
    """B sequences in an ONNX graph, by the names of their values, padded at the end.

    steps: token ids (B, T) int64 or channels (B, T, C) float32; lengths (B,) int64: how many of them. series: the steps
    of the scaled series (B, T', C') float32, 0 after its end, and series_lengths (B,); "" for texts. Columns are inputs
    of the graph by their own names.
    """

    steps: str
    lengths: str
    series: str = ""
    series_lengths: str = ""


class Member(ABC):
    """Logits for sequences, before truncation. A member reads one part of each `EncodedSequence` (`part_of`): the
    methods get this part, by default the array of the steps, token ids (T,) or channels (T, C).

    kind: the name in config.json and in `KINDS`. noun: the name in reports. The methods that are not abstract have a
    general implementation, which predicts the sequence again for each step.
    """

    kind: ClassVar[str]
    noun: ClassVar[str]

    def __init_subclass__(cls) -> None:
        if "kind" in cls.__dict__:
            KINDS[cls.kind] = cls

    @property
    def name(self) -> str:
        """The noun, and what sets the member apart from others of its kind."""
        return self.noun

    @property
    @abstractmethod
    def outputs(self) -> int:
        """The number of logits."""

    @property
    def transitions(self) -> Transitions | None:
        """The scores of neighbouring labels, of a member with logits per step that has a conditional random field."""
        return None

    @abstractmethod
    def check(self, inputs: Inputs) -> None:
        """Raise InputError unless the member reads these inputs."""

    def part_of(self, sequence: EncodedSequence) -> Any:
        """The part of a sequence that the member reads. Its length is T, and it can be indexed by steps."""
        return sequence.steps

    def parts_of(self, rows: Encoded) -> Any:
        """The parts of n rows that `logits` reads: the steps as one ragged array."""
        return ragged_steps(rows)

    @abstractmethod
    def logits(self, sequences: Any) -> Array:
        """Logits (n, outputs) float64 of what `parts_of` returns, or of parts one by one: an iterator is read in
        chunks, so that its sequences need not fit into memory.
        """

    def truncate_vocab(self, vocab_size: int) -> Member:
        """The member for the first `vocab_size` tokens of its vocabulary: the others do not occur any more. Here the
        member as it is, for one that has nothing of single tokens.
        """
        return self

    @abstractmethod
    def summary(self) -> list[tuple[str, str, int]]:
        """Name, output shape and number of weights of each layer."""

    @abstractmethod
    def entry(self) -> dict[str, Any]:
        """What config.json says of the member besides its kind and weight: plain data, from which the shapes of the
        arrays follow.
        """

    @abstractmethod
    def arrays(self) -> dict[str, Array]:
        """The arrays of the member by name."""

    def to_file(self) -> tuple[dict[str, Any], bytes]:
        """The entry for config.json, and the content of the member's file (safetensors)."""
        return self.entry(), tensors_to_bytes(self.arrays())

    @classmethod
    @abstractmethod
    def from_file(cls, entry: dict[str, Any], raw: bytes, inputs: Inputs, outputs: int, file: str) -> Self:
        """The member that `to_file` wrote. Nothing is executed. Raises ModelFileError, which names `file`, and
        InputError for an entry of config.json.
        """

    def prefix_logits(self, sequence: Any) -> Array:
        """Logits (T + 1, outputs) float64 of the first 0, 1, ... T steps; the last row is `logits`."""
        return self.logits(sequence[:end] for end in range(len(sequence) + 1))

    def attribution(self, sequence: Any) -> Array:
        """Attribution (T, outputs) float64 of `logits` minus those of no step to the steps, which sums to it."""
        return np.diff(self.prefix_logits(sequence), axis=0)

    def step_attribution(self, sequence: Any, step: int) -> Array:
        """Of a member with logits per step: what each step adds to the logits of one of them (T, outputs). The rest is
        that of no step.
        """
        raise InputError(f"{self.noun} have no logits of a step")

    def leave_one_out(self, sequence: Any, steps: Array) -> Array:
        """Logits (R, outputs) float64 of the sequence without one step, for each of `steps` (R,)."""
        return self.logits(np.delete(sequence, t, axis=0) for t in steps)

    def phrases(self, sequence: Any) -> list[tuple[range, Array, int]]:
        """The parts of the sequence that have a name in the member, such as n-grams, in the order of their first
        occurrence: its steps, what the part adds to the logits (outputs,), and how many times it occurs.
        """
        return []

    def column_terms(self, sequence: Any) -> list[tuple[str, float | str | None, Array]]:
        """The columns of the row that the member reads: name, value, None for a missing one, and what it adds to the
        logits (outputs,).
        """
        return []

    def note(self, rule: Rule) -> str:
        """One sentence on how an explanation divides the logits among the steps."""
        return {
            "prefix": f"The {self.noun} are added as the change of their logits when the step is read.",
            "shared": f"The {self.noun} are added as the attribution of their logits to the steps.",
            "left-out": f"The {self.noun} of the edited sequence are computed again.",
        }[rule]

    def to_onnx(self, graph: Any, padded: PaddedSequences) -> str:
        """Add nodes to a `gatewise.members.onnx.graph.Graph`; return the name of the logits (B, outputs) float64."""
        raise InputError(f"{self.noun} cannot be exported to ONNX")

    @classmethod
    def file_of_onnx(cls, entry: dict[str, Any], constants: Mapping[str, Array]) -> tuple[dict[str, Any], bytes]:
        """What `to_file` returns, of the entry and the constants that `to_onnx` kept, here the arrays by their names.
        Wrong ones may raise anything.
        """
        return entry, tensors_to_bytes(dict(constants))

    def onnx_tokens(self, rng: np.random.Generator, count: int) -> Array:
        """Token ids that the comparison with ONNX Runtime should include, at most `count`."""
        return np.zeros(0, dtype=np.int64)


KINDS: dict[str, type[Member]] = {}
"""The kinds of members whose classes exist, by name; see `gatewise.members.kinds`."""


def check_entry(entry: dict[str, Any], needed: Iterable[str], optional: Iterable[str], kind: str) -> None:
    """Raise InputError unless the entry of config.json has the keys `needed`, and no others than `optional`."""
    needed = set(needed)
    allowed = needed | set(optional)
    message = f"member {quote(kind)}: the keys must be {', '.join(sorted(allowed))}"
    for key in sorted(needed - set(entry)):
        raise InputError(f"{message}; {quote(key)} is missing")
    for key in sorted(set(entry) - allowed):
        raise InputError(f"{message}; {quote(key)} is unknown")
