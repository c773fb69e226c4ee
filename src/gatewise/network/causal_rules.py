"""The rules of causality: what a node of a graph makes of values with a row for each step.

A rule gets the trace, the node and what it reads, and returns what each output is (`Traced`). It writes the node of the
step graph: as it is where its rows depend on the same rows of its inputs alone, and with a state where the steps before
count. See `gatewise.network.causality`. Here are the table of the rules, and what they share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gatewise.network.causal_trace import CausalTrace, Traced
from gatewise.network.graph import Node
from gatewise.network.rule_table import RuleTable

Read = Sequence[Traced | None]
"""What a node reads, None for an input that is left out."""

Rule = Callable[[CausalTrace, Node, Read], list[Traced]]

RULES: RuleTable[Rule] = RuleTable()
"""By the name of the operation."""

rule = RULES.rule


@rule("BatchNormalization", "Gemm", "OneHot", "Transpose")
def kept(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """A node whose rows read the same rows of its inputs. Refuses a prefix among the inputs."""
    require_rows(trace, node, read)
    values = steps_of(read)
    if len({(value.lead, value.tail) for value in values}) > 1:
        trace.refuse("it joins rows of steps with rows of other steps")
    first = Traced("", "steps")
    if values:
        first = values[0]
    names = trace.write(node, names_of(read))
    return [replace(first, name=name, axis=axis_of(trace, name, first.lead + first.tail), place=None) for name in names]


def require_rows(trace: CausalTrace, node: Node, read: Read) -> None:
    """Refuse a prefix among the inputs: it changes with every step, and with it the rows of earlier steps."""
    for name, value in zip(node.inputs, read, strict=True):
        if value is not None and value.role == "prefix":
            trace.refuse(f"each step reads {name!r}, which depends on all steps")


def axis_of(trace: CausalTrace, name: str, more: int) -> int:
    """The axis of the steps in a value of the step graph, by its size, with `more` rows than there are new steps.
    Refuses a value with none, or with several.
    """
    shape = trace.builder.types[name].shape
    rows = trace.steps + more
    axes = [axis for axis, dim in enumerate(shape) if trace.mentions(dim)]
    if len(axes) > 1:
        trace.refuse("it relates all steps to each other")
    if not axes or shape[axes[0]] != rows:
        trace.refuse("it joins the numbers of several steps")
    return axes[0]


def names_of(read: Read) -> list[str]:
    """The names of the values, "" for an input that is left out."""
    return ["" if value is None else value.name for value in read]


def steps_of(read: Read) -> list[Traced]:
    """Those with a row for each step."""
    return [value for value in read if value is not None and value.role == "steps"]


def first_of(read: Read) -> Traced:
    """The first input."""
    value = read[0]
    assert value is not None
    return value
