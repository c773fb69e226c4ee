"""`ArraysPreprocessor`: the arrays of a network with several inputs, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gatewise.data.schema import NO_ROW_COLUMNS, RowSchema
from gatewise.errors import InputError, ModelFileError, counted, printable, quote
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.member import Inputs
from gatewise.model.array_input import ArrayInput
from gatewise.model.encoded_item import EncodedItem
from gatewise.ragged import Ragged
from gatewise.storage.fields import fields_from
from gatewise.types import NO_COLUMNS, Array, Lengths, Task

if TYPE_CHECKING:
    from gatewise.data.labelled import Labelled
    from gatewise.members.graph_network import GraphNetwork
    from gatewise.model.input_format import InputFormat


@dataclass(frozen=True)
class ArraysPreprocessor:
    """Rows of arrays by name. arrays: the inputs of the network. main: the one whose steps are explained. vocab_size:
    the number of its token ids, 0 for channels. columns: none.
    """

    arrays: dict[str, ArrayInput]
    main: str
    vocab_size: int = 0
    columns: RowSchema = NO_ROW_COLUMNS
    window: ClassVar[int] = 0
    unknown: ClassVar[None] = None

    def __post_init__(self) -> None:
        if self.main not in self.arrays:
            raise InputError(f"arrays: there is no input {quote(self.main)}")
        if self.columns:
            raise InputError("a model with several inputs reads no columns of a table: give each as an input")

    @classmethod
    def of(cls, network: GraphNetwork) -> ArraysPreprocessor:
        """For the inputs of a network."""
        arrays = {}
        for name, value_type in network.graph.inputs.items():
            if name != network.form.lengths_name:
                axes = network.form.axes.of_inputs[name]
                sizes = tuple(dim if isinstance(dim, int) else None for dim in value_type.shape)
                arrays[name] = ArrayInput(value_type.dtype, sizes, axes.batch, axes.steps)
        inputs = network.inputs
        return cls(arrays, network.form.axes.main, inputs.size if inputs.kind == "tokens" else 0)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ArraysPreprocessor:
        """The preprocessor that `to_files` described. Raises ModelFileError."""
        if "columns" in config:
            raise ModelFileError("arrays: a model with several inputs reads no columns of a table")
        return fields_from(cls, config, "arrays")

    @property
    def channels(self) -> int:
        """The values of a step; 0 for token ids."""
        if self.vocab_size:
            return 0
        array = self.arrays[self.main]
        sizes = [size for axis, size in enumerate(array.sizes) if axis not in (array.batch, array.steps)]
        if None in sizes:
            raise ModelFileError(f"arrays: a step of {quote(self.main)} has no fixed size")
        return int(np.prod([size or 1 for size in sizes], dtype=np.int64))

    @cached_property
    def inputs(self) -> Inputs:
        """What it makes."""
        further = tuple(name for name in self.arrays if name != self.main)
        if self.vocab_size:
            return Inputs("tokens", self.vocab_size, further=further)
        return Inputs("channels", self.channels, further=further)

    @cached_property
    def format(self) -> InputFormat:
        """How clients of a server write rows of arrays."""
        from gatewise.model.arrays_format import ArraysFormat

        return ArraysFormat(self.arrays, self.main)

    def rows(
        self, inputs: Any, layout: str | None = None, columns: Sequence[str] = ()
    ) -> tuple[list[dict[str, Array]], list[dict[str, float | str]]]:
        """n rows, each a dict of arrays without an axis for the batch: of a dict of arrays with it, as the network
        takes them, or of a list of such rows. Raises InputError naming the row and the input.
        """
        if layout is not None:
            raise InputError("layout is for series; this model takes arrays by name")
        if isinstance(inputs, Mapping):
            return self._rows_of_batch(inputs), []
        if isinstance(inputs, list | tuple) and all(isinstance(row, Mapping) for row in inputs):
            return [self.row(row, f"row {number}: ") for number, row in enumerate(inputs)], []
        names = ", ".join(self.arrays)
        raise InputError(
            f"this model takes arrays by name ({names}): a dict of arrays, or a list with a dict for each row, not a "
            f"{type(inputs).__name__}"
        )

    def _rows_of_batch(self, inputs: Mapping[str, Any]) -> list[dict[str, Array]]:
        self._check_names(inputs, "")
        arrays = {name: _array(inputs[name], f"the input {printable(name)}") for name in self.arrays}
        counts = {}
        for name, expected in self.arrays.items():
            if expected.batch is not None:
                if arrays[name].ndim != len(expected.sizes):
                    row = expected.row_type()
                    raise InputError(
                        f"the input {printable(name)} must have {len(expected.sizes)} axes, axis {expected.batch} for "
                        f"the rows, each {row}; it has the shape {arrays[name].shape}"
                    )
                counts[name] = arrays[name].shape[expected.batch]
        if len(set(counts.values())) > 1:
            shown = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise InputError(f"the inputs must have the same number of rows: {shown}")
        rows = []
        for number in range(next(iter(counts.values()), 1)):
            of_row = {}
            for name, expected in self.arrays.items():
                array = arrays[name]
                of_row[name] = array if expected.batch is None else array.take(number, axis=expected.batch)
            rows.append(self.row(of_row, f"row {number}: "))
        return rows

    def row(self, row: Mapping[str, Any], where: str = "") -> dict[str, Array]:
        """One row of arrays by name. where: the beginning of messages."""
        self._check_names(row, where)
        arrays = {}
        steps: dict[str, int] = {}
        for name, expected in self.arrays.items():
            array = _array(row[name], f"{where}the input {printable(name)}")
            expected.check_row(array, f"{where}the input {printable(name)}")
            arrays[name] = array
            if expected.steps is not None:
                steps[name] = len(expected.row_steps(array))
        if len(set(steps.values())) > 1:
            shown = ", ".join(f"{name} {count}" for name, count in steps.items())
            raise InputError(f"{where}the inputs must have the same number of steps: {shown}")
        return arrays

    def _check_names(self, inputs: Mapping[str, Any], where: str) -> None:
        if set(inputs) != set(self.arrays):
            given = ", ".join(map(str, inputs)) or "none"
            raise InputError(f"{where}the model has the inputs {', '.join(self.arrays)}, and gets {given}")

    def encode_batch(
        self, inputs: Any, layout: str | None = None, columns: Sequence[str] = ()
    ) -> list[EncodedSequence]:
        """What the network reads of each of `rows`."""
        rows, _ = self.rows(inputs, layout)
        return [self._encoded(row) for row in rows]

    def labelled(
        self,
        inputs: Any,
        labels: Any,
        source: str,
        *,
        task: Task | None,
        classes: Sequence[str] | None = None,
        name: str = "labels",
        groups: Any = None,
        sample_weight: Any = None,
        times: Any = None,
        layout: str | None = None,
    ) -> Labelled:
        """The rows of `inputs`, see `rows`, with their labels. task, classes: see `convert_labels`. name: of the
        labels, for messages. groups, sample_weight, times: see `Labelled.of`. Raises InputError for labels that do not
        fit the rows or the task.
        """
        from gatewise.data.labelled import labelled_of  # a prediction does without
        from gatewise.data.labels import convert_labels, convert_sample_weight

        rows, _ = self.rows(inputs, layout)
        converted = convert_labels(labels, task, classes, name)
        if isinstance(converted.labels, Ragged):
            for number, (row, of_steps) in enumerate(zip(rows, converted.labels, strict=False)):
                steps = len(self.token_names(row))
                if len(of_steps) != steps:
                    counts = f"{counted(len(of_steps), 'label')} for {counted(steps, 'step')}"
                    raise InputError(f"{name}: row {number} has {counts}")
        if sample_weight is not None:
            sample_weight = convert_sample_weight(sample_weight)
        return labelled_of(
            rows,
            [],
            converted,
            source,
            columns=NO_COLUMNS,
            groups=groups,
            sample_weight=sample_weight,
            times=times,
            where=lambda row: f"times: row {row}",
        )

    def _encoded(self, row: Mapping[str, Array]) -> EncodedSequence:
        steps = self.arrays[self.main].row_steps(row[self.main])
        if not self.vocab_size:
            steps = steps.reshape(len(steps), -1).astype(np.float32)  # (T, C)
        step_inputs = {}
        others = {}
        for name, expected in self.arrays.items():
            if name == self.main:
                continue
            if expected.steps is None:
                others[name] = row[name]
            else:
                step_inputs[name] = expected.row_steps(row[name])
        return EncodedSequence(steps, step_inputs=step_inputs, inputs=others)

    def encode(self, item: Any) -> EncodedItem:
        """One row with display names of its steps."""
        row = self.row(item) if isinstance(item, Mapping) else self.rows(item)[0][0]
        sequence = self._encoded(row)
        if self.vocab_size:
            return EncodedItem(row, sequence, [str(id) for id in sequence.steps.tolist()], [])
        return EncodedItem(row, sequence, self.token_names(row), [])

    def encode_steps(self, items: Any, steps: Lengths) -> tuple[Array, Lengths]:
        """Refused: a stream reads one input."""
        raise InputError("a model with several inputs cannot be streamed: a stream reads one step of one input")

    def token_names(self, item: Any) -> list[str]:
        """A display name for each step."""
        steps = self.arrays[self.main].row_steps(np.asarray(item[self.main]))
        if self.vocab_size:
            return [str(id) for id in steps.tolist()]
        return [str(number) for number in range(1, len(steps) + 1)]

    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The entry for config.json, and no file."""
        config = asdict(self)
        del config["columns"]
        return {"kind": "arrays", **config}, {}


def _array(value: Any, where: str) -> Array:
    """An array of numbers. Raises InputError for anything else."""
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        raise InputError(f"{where} has rows of different lengths: give a list with a dict for each row") from None
    if array.dtype.kind not in "fiub":
        raise InputError(f"{where} must hold numbers, not {array.dtype}")
    return array
