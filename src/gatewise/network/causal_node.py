"""`traced`: what each output of a node is, by the rule of its operation."""

from __future__ import annotations

from gatewise.network import causal_indexing, causal_recurrence
from gatewise.network.causal_rows import elementwise, place_of
from gatewise.network.causal_rules import RULES, Read, names_of, steps_of
from gatewise.network.causal_sums import reduction
from gatewise.network.causal_trace import CausalTrace, NotCausalError, Traced
from gatewise.network.causal_windows import window_pooling
from gatewise.network.elementwise import Elementwise
from gatewise.network.graph import Node
from gatewise.network.reduction import Reduction
from gatewise.network.windows import WindowOperation

MODULES = (causal_indexing, causal_recurrence)
"""The other modules that have rules: their import registers them."""

_SAME_ROWS = frozenset(
    ["BatchNormalization", "Cast", "Clip", "Dropout", "Identity", "Squeeze", "Transpose", "Unsqueeze"]
)
"""Operations, besides those on each number, after which the rows are those of the same steps."""

_OF_SIZES = frozenset(["ConstantOfShape", "Expand", "Loop", "Range", "Reshape", "Sizes", "Slice", "Tile"])
"""The operations whose rules know attributes with the number of steps."""


def traced(trace: CausalTrace, node: Node) -> list[Traced]:
    """What each output of a node is. Raises NotCausalError where the node is not causal, and InputError where it does
    not fit another number of steps.
    """
    read = [trace.values[name] if name else None for name in node.inputs]
    roles = {value.role for value in read if value is not None}
    name = node.operation.name()
    rule = RULES.get(name)
    of_sizes = trace.mentions(node.operation)
    for value in steps_of(read):
        if value.tail and name != "Slice" and name not in _SAME_ROWS and not isinstance(node.operation, Elementwise):
            raise NotCausalError(value.ahead)
    if "steps" not in roles and not of_sizes:
        return _whole(trace, node, read)
    if of_sizes and name not in _OF_SIZES:
        trace.refuse(f"{name} depends on the number of steps")
    if rule is not None:
        return rule(trace, node, read)
    if isinstance(node.operation, Elementwise):
        return elementwise(trace, node, read)
    if isinstance(node.operation, Reduction):
        return reduction(trace, node, read)
    if isinstance(node.operation, WindowOperation):
        return window_pooling(trace, node, read)
    return trace.refuse(f"{name} over steps is not known to be causal")


def _whole(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """A node that reads values without an axis of steps: of all steps so far, if one of them is."""
    role = "prefix" if any(value is not None and value.role == "prefix" for value in read) else "fixed"
    names = trace.write(node, names_of(read))
    if role == "fixed":
        return [Traced(name, "fixed") for name in names]
    if node.operation.name() == "Concat":
        trace.columns[names[0]] = tuple(None if value is None else value.place for value in read)
    return [Traced(name, "prefix", place=place_of(trace, node, read)) for name in names]
