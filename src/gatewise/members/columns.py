"""The numeric and categorical columns of a row as a member of linear terms: one term per column.

    logit = Σ over numeric columns (z slope + offset[known or missing]) + Σ over categorical ones offset[category]

z is the number, standardised by mean and deviation of the training rows, 0 where it is missing. Rare categories,
unknown categories and missing ones share one offset. Each term has mean 0 over the training rows: it is the change of
the logit from that of a mean row. The bias is in the shift of the ensemble.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.data.schema import RowSchema
from gatewise.errors import InputError, ModelFileError
from gatewise.kernels import read_only
from gatewise.members.encoded_batch import Encoded, columns_of
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.member import Inputs, Member, PaddedSequences, Rule, check_entry
from gatewise.storage.tensors import tensors_from_bytes
from gatewise.types import Array


@dataclass(frozen=True, eq=False)
class Columns(Member):
    """schema: of the P numeric and K categorical columns, whose categories have an offset of their own. mean, deviation
    (P,) float64. slope (P, outputs) float32. offset (R, outputs) float32: two rows per numeric column, for known and
    for missing numbers, then per categorical column one for rare categories and one per category. Raises InputError
    for other arrays.
    """

    schema: RowSchema
    mean: Array
    deviation: Array
    slope: Array
    offset: Array
    kind: ClassVar[str] = "columns"
    noun: ClassVar[str] = "columns"

    def __post_init__(self) -> None:
        numeric = len(self.schema.numeric)
        arrays = (self.mean, self.deviation, self.slope, self.offset)
        if [len(array) for array in arrays] != [numeric, numeric, numeric, sum(self._sizes)]:
            raise InputError("columns: the arrays are not those of the columns")
        if not all(np.isfinite(array).all() for array in arrays) or (self.deviation <= 0).any():
            raise InputError("columns: a number is NaN or infinite, or a deviation is not above 0")

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """The first row of `offset` of each column (P + K,)."""
        return np.cumsum([0, *self._sizes[:-1]])[: len(self._sizes)]

    @property
    def _sizes(self) -> list[int]:
        """The number of rows of `offset` of each column."""
        numeric = [2] * len(self.schema.numeric)
        categorical = [1 + len(column.categories) for column in self.schema.categorical]
        return numeric + categorical

    @property
    def outputs(self) -> int:
        return int(self.offset.shape[1])

    def check(self, inputs: Inputs) -> None:
        if inputs.columns.names_by_type != self.schema.names_by_type:
            raise InputError(f"the columns member reads {self.schema}, not {inputs.columns or 'none'}")

    def part_of(self, sequence: EncodedSequence) -> EncodedSequence:
        """The whole sequence: its columns, and how many steps it has."""
        return sequence

    def parts_of(self, rows: Encoded) -> Encoded:
        """The rows themselves."""
        return rows

    def read(self, sequences: Encoded) -> tuple[Array, NDArray[np.int64]]:
        """Standardised numbers (n, P) float64, 0 for a missing one, and the row of `offset` of each column (n, P + K).
        Raises InputError for a sequence without the columns.
        """
        count = len(self.schema.numeric)
        rows = columns_of(sequences)
        if any(len(row) != len(self.schema) for row in rows):
            raise InputError(f"the model reads the columns {self.schema}, and the sequences have none")
        numbers = np.array([row[:count] for row in rows], dtype=np.float64).reshape(len(rows), count)
        missing = np.isnan(numbers)
        z = np.where(missing, 0.0, (numbers - self.mean) / self.deviation)
        categorical = self.schema.categorical
        places = np.zeros((len(rows), len(categorical)), dtype=np.int64)  # 0: a rare, unknown or missing category
        for n, row in enumerate(rows):
            for k, (column, category) in enumerate(zip(categorical, row[count:], strict=True)):
                places[n, k] = column.places.get(str(category), 0)
        return z, np.concatenate([missing, places], axis=1) + self.first

    def terms(self, sequences: Encoded) -> Array:
        """The term of each column (n, P + K, outputs) float64; they add up to the logits."""
        z, rows = self.read(sequences)
        terms = self.offset.astype(np.float64)[rows]
        terms[:, : z.shape[1]] += z[:, :, None] * self.slope
        return terms

    def logits(self, sequences: Encoded) -> Array:
        return np.asarray(self.terms(sequences).sum(axis=1))

    def prefix_logits(self, sequence: EncodedSequence) -> Array:
        return np.repeat(self.logits([sequence]), len(sequence) + 1, axis=0)

    def leave_one_out(self, sequence: EncodedSequence, steps: Array) -> Array:
        return np.repeat(self.logits([sequence]), len(steps), axis=0)

    def column_terms(self, sequence: EncodedSequence) -> list[tuple[str, float | str | None, Array]]:
        values = [None if value == "" or value != value else value for value in sequence.columns]
        return list(zip(self.schema.names, values, self.terms([sequence])[0], strict=True))

    def note(self, rule: Rule) -> str:
        return "The terms of the columns are part of the base value."

    def summary(self) -> list[tuple[str, str, int]]:
        return [(f"Columns ({len(self.schema)})", f"({self.outputs},)", self.slope.size + self.offset.size)]

    def to_onnx(self, graph: Any, padded: PaddedSequences) -> str:
        from gatewise.members.onnx.columns import column_logits

        return column_logits(graph, self)

    def entry(self) -> dict[str, Any]:
        return {}  # the preprocessor has the schema

    def arrays(self) -> dict[str, Array]:
        return {"mean": self.mean, "deviation": self.deviation, "slope": self.slope, "offset": self.offset}

    @classmethod
    def from_file(cls, entry: dict[str, Any], raw: bytes, inputs: Inputs, outputs: int, file: str) -> Self:
        check_entry(entry, [], [], cls.kind)
        schema = inputs.columns
        numeric = len(schema.numeric)
        rows = 2 * numeric + sum(1 + len(column.categories) for column in schema.categorical)
        shapes: dict[str, Any] = {
            "mean": ((numeric,), "float64"),
            "deviation": ((numeric,), "float64"),
            "slope": ((numeric, outputs), "float32"),
            "offset": ((rows, outputs), "float32"),
        }
        arrays = {name: read_only(array) for name, array in tensors_from_bytes(raw, shapes, file).items()}
        try:
            return cls(schema, **arrays)
        except InputError as error:
            raise ModelFileError(f"{file}: {error}") from error
