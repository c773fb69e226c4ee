"""The operations of `keras.ops` as nodes of a graph."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from gatewise.errors import InputError
from gatewise.exchange import keras_numbers, keras_products, keras_shapes
from gatewise.exchange.keras_rules import RULES, Arguments, note_outputs
from gatewise.exchange.keras_values import KerasValues, graph_dtype

MODULES = (keras_numbers, keras_shapes, keras_products)
"""The modules that have the rules: their import registers them."""

_INSTEAD = {
    "Cond": "choose between two values with keras.ops.where",
    "WhileLoop": "write a layer keras.layers.RNN for a loop over the steps",
    "Scan": "write a layer keras.layers.RNN for a loop over the steps",
    "ForiLoop": "write a layer keras.layers.RNN for a loop over the steps",
    "Switch": "choose between values with keras.ops.where",
}
"""What to write instead of operations that a graph cannot have."""


def read_operation(values: KerasValues, operation: Any, args: Sequence[Any], kwargs: Arguments, outputs: Any) -> None:
    """Add the nodes of an operation of `keras.ops`, and note the values of its outputs. Raises InputError for one that
    is not read.
    """
    name = type(operation).__name__
    of_keras = type(operation).__module__.partition(".")[0] == "keras"
    if name not in RULES or not of_keras:
        raise InputError(f"gatewise does not read this operation; {_INSTEAD.get(name, 'write it with others')}")
    results = values.keras.tree.flatten(outputs)
    bound = inspect.signature(operation.call).bind(*args, **kwargs)
    bound.apply_defaults()
    computed = RULES[name](values, operation, bound.arguments, graph_dtype(results[0].dtype))
    names = [computed] if isinstance(computed, str) else computed
    note_outputs(values, results, names)
