"""A graph whose sequences are read step by step, or why it has no streams."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from gatewise.errors import InputError
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.graph_feeds import GraphFeeds
from gatewise.members.graph_form import GraphForm
from gatewise.members.graph_runs import GraphRuns
from gatewise.members.running_graph import RunningGraph
from gatewise.members.step_batches import StepBatches
from gatewise.network.graph import Guard
from gatewise.network.size import symbols_of
from gatewise.network.step_graph import StepGraph
from gatewise.types import Array


def running_graph(runs: GraphRuns, pads: int) -> RunningGraph:
    """No sequence so far. pads: the length to which sequences are padded in front, 0 for none. Raises InputError for a
    graph that cannot be streamed.
    """
    form = runs.form
    if form.inputs.further:
        names = ", ".join(form.inputs.further)
        raise InputError(f"a network that also reads {names} cannot be streamed: a stream reads steps of one input")
    step_graph = form.causality.step_graph
    if step_graph is None:
        raise InputError(f"a network that is not known to be causal cannot be streamed: {form.causality.reason}")
    batches = StepBatches(
        form.step_graph_of,
        partial(_read_rows, runs),
        form.fewest_rows,
        form.most_rows,
        numbers_steps=bool(runs.clamps),
    )
    running = RunningGraph(batches, form.outputs, _guards_on_steps(form))
    length = form.axes.steps
    if isinstance(length, int):
        if pads and length != pads:
            raise InputError(f"the network reads {length:,} steps, and its sequences are padded to {pads:,}")
        if not pads and not form.per_step:
            raise InputError(
                f"a network that reads {length:,} steps cannot be streamed: it has no prediction after fewer steps"
            )
        running.most = length
        running.why_most = "the length of the sequences that it was made for"
    if pads:
        if step_graph.has_places:
            raise InputError(
                "a network with padding 'pre' that numbers its steps cannot be streamed: the number of a step depends "
                "on the pads before it, and these on later steps"
            )
        running.start_after_pads(np.zeros(1, np.int64), pads)
    return running


def _guards_on_steps(form: GraphForm) -> list[Guard]:
    """The conditions on the number of steps alone, which a stream fulfils after each step or not."""
    assert form.axes.steps is not None  # as of each graph with a step graph
    length = symbols_of(form.axes.steps)
    guards = []
    for guard in form.graph.guards:
        symbols = symbols_of(guard.left) | symbols_of(guard.right)
        if symbols and symbols == length:
            guards.append(guard)
    return guards


def _read_rows(
    runs: GraphRuns, step_graph: StepGraph, rows: Array, states: Mapping[str, Array], before: int, first: int
) -> tuple[Array, dict[str, Array]]:
    """See `RunRows`."""
    feeds = GraphFeeds(runs.form).of([EncodedSequence(steps) for steps in rows])
    execution = runs.execution_of_steps(first, rows.shape[1])
    logits, after = step_graph.run(feeds, states, before, execution)
    return runs.form.taken(logits)[:, -1], after
