"""`Causality`: which values of a graph have a row for each step, and whether one of them depends on later steps.

A graph is causal where the output after t steps is a function of these steps and of states of a fixed size, so that it
can be read step by step. A value has one of three roles:

- "fixed": it does not depend on the steps, such as a weight;
- "steps": it has a row for each step, which depends on the steps up to this one alone;
- "prefix": it has no axis of steps and depends on all steps so far, such as the last state or a mean.

A value that combines rows with a prefix, such as x - mean(x), changes the rows of earlier steps with each new one, and
is not causal. Neither is what reads the steps backwards, nor what relates all steps to each other. What no rule knows,
such as a slice of the last five steps, is not known to be causal, and counts as not causal.

The table of the rules is in `gatewise.network.causal_rules`. Each of them says what a node returns, and writes down the
node as it is for the new steps: the graph that they write is a `StepGraph`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gatewise.errors import InputError, quote
from gatewise.network.causal_node import traced
from gatewise.network.causal_trace import CausalTrace, NotCausalError, Traced
from gatewise.network.graph import Graph
from gatewise.network.step_graph import StepGraph
from gatewise.network.unroll import operation_at


@dataclass(frozen=True, eq=False)
class Causality:
    """Of a graph. reason: why it is not known to be causal, naming the node; "" where it is. values: what each value
    is, by name, up to that node. step_graph: None where it is not causal.
    """

    reason: str
    values: Mapping[str, Traced]
    step_graph: StepGraph | None


def causality_of(
    graph: Graph, output: str, axes: Mapping[str, int], sizes: Mapping[str, int], lengths: str = ""
) -> Causality:
    """Whether a graph is causal. output: the name of the value that is asked for. axes: that of the steps in each
    input that has them. sizes: of the symbols that are known, such as the batch. lengths: the input that holds the
    number of steps of each sequence, if there is one.

    A number of steps that is fixed is treated as one that is free: the graph is causal where no node needs it.
    """
    trace = CausalTrace(graph, axes, sizes, lengths)
    try:
        step_graph = _step_graph(trace, output)
    except NotCausalError as error:
        return Causality(str(error), trace.values, None)
    return Causality("", trace.values, step_graph)


def _step_graph(trace: CausalTrace, output: str) -> StepGraph:
    """Trace all nodes. Raises NotCausalError naming the first one that is not causal."""
    trace.start()
    for node in trace.graph.nodes:
        trace.node = node
        trace.builder.origin = node.origin
        operation = operation_at(node.operation, trace.sizes)
        try:
            results = traced(trace, replace(node, operation=operation))
        except InputError:
            trace.refuse("it is made for one number of steps")
        trace.values |= zip(node.outputs, results, strict=True)
    trace.node = None
    value = trace.values[output]
    if value.tail:
        raise NotCausalError(value.ahead)
    if value.lead:
        trace.refuse(f"the output {quote(output)} has more rows than there are steps")
    graph = trace.builder.graph([value.name, *dict.fromkeys(state.written for state in trace.states)])
    return StepGraph(graph, value.name, tuple(trace.states), trace.before, trace.begun, trace.has_places)
