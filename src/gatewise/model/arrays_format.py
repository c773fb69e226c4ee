"""How clients of a server write rows of several arrays: as an object of lists by the name of the input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np

from gatewise.errors import InputError, printable
from gatewise.model.array_input import ArrayInput
from gatewise.model.input_format import InputFormat, TensorError
from gatewise.types import ROWS, Array, InputNouns


@dataclass(frozen=True)
class ArraysFormat(InputFormat):
    """One row is an object with a nested list for each input, without an axis for the batch. main: the input with the
    steps. shapes: of the arrays of the example.
    """

    arrays: Mapping[str, ArrayInput]
    main: str
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    name: ClassVar[str] = "arrays"
    datatype: ClassVar[str] = "FP32"
    nouns: ClassVar[InputNouns] = ROWS
    in_a_cell: ClassVar[bool] = False
    in_a_tensor: ClassVar[bool] = False
    shape: ClassVar[list[int]] = [-1]
    example_shape: ClassVar[list[int]] = [1]

    @property
    def example(self) -> Any:
        row = {}
        for name, array in self.arrays.items():
            number: Any = {"float": 0.5, "bool": True}.get(array.dtype, 1)
            row[name] = np.full(self.shapes[name], number).tolist()
        return row

    def with_example(self, shortest: int, whole: bool, shapes: Mapping[str, tuple[int, ...]]) -> Self:
        return replace(super().with_example(shortest, whole, shapes), shapes=shapes)

    @property
    def example_steps(self) -> list[Any]:
        return []

    def described(self) -> dict[str, Any]:
        """The inputs, that with the steps first: dtype, sizes (None: free), and the axis of the steps."""
        names = [self.main, *(name for name in self.arrays if name != self.main)]
        inputs = []
        for name in names:
            array = self.arrays[name]
            sizes = [size for axis, size in enumerate(array.sizes) if axis != array.batch]
            inputs.append({"name": name, "dtype": array.dtype, "sizes": sizes, "steps": array.row_axis})
        return {"arrays": inputs}

    def read(self, item: Any) -> dict[str, Array]:
        if not isinstance(item, dict) or set(item) != set(self.arrays):
            raise InputError(f"must be an object with the inputs {', '.join(self.arrays)}")
        arrays = {}
        for name, array in self.arrays.items():
            arrays[name] = _numbers(item[name], name)
            # JSON has one kind of number.
            if array.dtype != "float" and np.array_equal(arrays[name], np.rint(arrays[name])):
                arrays[name] = arrays[name].astype(np.bool_ if array.dtype == "bool" else np.int64)
        return arrays

    def steps_of(self, item: Any) -> int:
        return sum(array.size for array in item.values())

    def read_tensor(self, shape: Sequence[int], values: Any) -> list[Any]:
        raise TensorError("shape", "a model with several inputs reads no single tensor: use POST /predict")


def _numbers(values: Any, name: str) -> Array:
    """The array of nested lists of numbers. Raises InputError for anything else."""
    try:
        numbers = np.array(values)
    except ValueError:  # lists of different lengths
        numbers = np.array("")
    if numbers.dtype.kind not in "iufb":
        raise InputError(f"must have numbers in nested lists of equal lengths for the input {printable(name, 40)}")
    return numbers
