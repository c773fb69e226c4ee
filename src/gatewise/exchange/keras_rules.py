"""Rules: how the operations of `keras.ops` become nodes of a graph, by the names of their classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gatewise.errors import InputError
from gatewise.exchange.keras_values import KerasValues, graph_dtype
from gatewise.network.operation import DType
from gatewise.network.rule_table import RuleTable

Arguments = Mapping[str, Any]
Rule = Callable[[KerasValues, Any, Arguments, DType], "str | list[str]"]
"""Of the values, the operation of Keras, its arguments by name and the dtype of its (first) output: the names of the
values that it returns.
"""

RULES: RuleTable[Rule] = RuleTable()
"""By the name of the class of the operation."""

rule = RULES.rule


def note_outputs(values: KerasValues, tensors: Sequence[Any], names: Sequence[str]) -> None:
    """Note the values of the outputs of a call, in the dtypes that Keras says. Raises InputError where the shapes are
    not those of Keras.
    """
    if len(tensors) != len(names):
        raise InputError(f"it has {len(tensors)} outputs, and {len(names)} were read")
    for tensor, name in zip(tensors, names, strict=True):
        name = values.cast(name, graph_dtype(tensor.dtype))
        shape = values.shape(name)
        pairs = list(zip(shape, tensor.shape, strict=False))
        differs = any(isinstance(size, int) and known not in (None, size) for size, known in pairs)
        if len(shape) != len(tensor.shape) or differs:
            raise InputError(f"its output was read with the shape {shape}, and Keras says {tuple(tensor.shape)}")
        values.set(tensor, name)
