"""`GraphNetwork`: a network of any form, as a graph of operations (`gatewise.network.graph`).

Sequences of the same length share a batch. An empty sequence, which a graph cannot read, stands for steps without
information: token 0, or the unknown one, or zeros.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeGuard

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, counted, quote
from gatewise.kernels import for_precision, read_only
from gatewise.members.encoded_batch import Encoded, EncodedBatch
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.graph_axes import InputAxes, batch_axis
from gatewise.members.graph_constants import constants_from, constants_to
from gatewise.members.graph_feeds import GraphFeeds, not_an_id
from gatewise.members.graph_form import MAX_ROWS, GraphForm
from gatewise.members.graph_runs import GraphRuns
from gatewise.members.member import Inputs, Rule, check_entry
from gatewise.members.network import Network, Preactivation
from gatewise.members.recurrent_layer import RecurrentLayer
from gatewise.network.graph import Graph
from gatewise.network.graph_file import graph_entry, graph_from
from gatewise.network.operation import Execution
from gatewise.system.cancel import check_cancelled
from gatewise.types import Array, Precision

if TYPE_CHECKING:
    from gatewise.kernels.interface import Kernel
    from gatewise.members.clamp import Clamp
    from gatewise.members.gates import Activations, LayerStates
    from gatewise.members.graph_recurrences import Recurrence
    from gatewise.members.path_gradients import PathGradient, PathPoints
    from gatewise.members.running_graph import RunningGraph

_SEQUENCES = 4 * MAX_ROWS  # that are sorted into batches at a time
_SPECIAL_IDS = 3  # at the beginning of a vocabulary, such as the pad and the unknown token


@dataclass(frozen=True, eq=False)
class GraphNetwork(Network):
    """form: of a graph with float32 constants. The other fields are those of `Network`. `GraphNetwork.of` makes it."""

    form: GraphForm
    storage: Mapping[str, str] = field(default_factory=dict)
    precision: Precision = "float32"
    kernel: Kernel | None = None
    clamps: tuple[Clamp, ...] = ()
    unknown: int | None = None
    kind: ClassVar[str] = "graph"
    noun: ClassVar[str] = "network"

    @classmethod
    def of(cls, graph: Graph, output: str, logits_name: str, lengths_name: str = "", **fields: Any) -> Self:
        """The network of a graph, whose constants it copies in the dtypes of a prediction. Other arguments and errors:
        `GraphForm`.
        """
        constants = {name: _as_predicted(array) for name, array in graph.constants.items()}
        graph = replace(graph, constants=MappingProxyType(constants))
        return cls(GraphForm(graph, output, logits_name, lengths_name), **fields)

    def changed(self, **fields: Any) -> Self:
        parameters = fields.pop("parameters", None)
        if parameters is not None:
            graph = replace(self.graph, constants=MappingProxyType(dict(parameters)))
            fields["form"] = replace(self.form, graph=graph)
        return replace(self, **fields)

    @property
    def graph(self) -> Graph:
        """With float32 constants."""
        return self.form.graph

    @property
    def feeds(self) -> GraphFeeds:
        """The arrays that the graph takes for sequences."""
        return GraphFeeds(self.form)

    @property
    def runs(self) -> GraphRuns:
        """How the graph runs."""
        return GraphRuns(self.form, self.kernel or for_precision(self.precision), self.clamps)

    @property
    def parameters(self) -> Mapping[str, Array]:  # type: ignore[override]
        """The constants of the graph."""
        return self.graph.constants

    @property
    def compressible(self) -> Mapping[str, Array]:
        """The weights: other constants, such as a mask of -1e9 and a table of positions, are not rounded."""
        from gatewise.network.trainable_graph import weights_of  # a prediction does without

        return {name: self.graph.constants[name] for name in weights_of(self.graph)}

    # What it reads and predicts

    @property
    def inputs(self) -> Inputs:
        return self.form.inputs

    def check(self, inputs: Inputs) -> None:
        own = self.inputs
        if (inputs.kind, inputs.size, inputs.further) != (own.kind, own.size, own.further):
            raise InputError(f"the network reads {own}, not {inputs}")

    def part_of(self, sequence: EncodedSequence) -> EncodedSequence:
        return sequence

    def parts_of(self, rows: Encoded) -> Encoded:
        return rows

    @property
    def outputs(self) -> int:
        return self.form.outputs

    @property
    def per_step(self) -> bool:
        return self.form.per_step

    @property
    def is_causal(self) -> bool:
        return self.form.causality.step_graph is not None

    @property
    def not_causal(self) -> str:
        return self.form.causality.reason

    @property
    def layers(self) -> tuple[RecurrentLayer, ...]:
        return self.form.layers

    @property
    def step_size(self) -> int:
        return self.form.step_size

    @property
    def products_per_step(self) -> int:
        return self.form.products_per_step

    @property
    def shortest(self) -> int:
        return self.form.shortest

    @property
    def example_shapes(self) -> dict[str, tuple[int, ...]]:
        return self.form.example_shapes

    @property
    def is_whole(self) -> bool:
        return self.form.is_whole

    @property
    def replaces_steps(self) -> bool:
        return self.form.replaces_steps

    def described(self) -> dict[str, Any]:
        from gatewise.members.graph_summary import described

        return described(self.form)

    def form_rows(self) -> list[tuple[str, str]]:
        from gatewise.members.graph_summary import form_rows

        return form_rows(self.form)

    def refusal(self, method: str) -> str:
        others = "integrated-gradients and leave-one-out explain this network"
        if method == "cell-decomposition":
            return f"cell-decomposition needs an LSTM whose states only pooling and dense layers read: {others}"
        if method == "prefix-difference" and self.per_step:
            return f"prefix-difference of a prediction per step needs units with parts of their own in it: {others}"
        if method == "integrated-gradients" and self.is_whole:
            name = quote(self.form.axes.main)
            return f"integrated-gradients needs gradients, and the input {name} has whole numbers: use leave-one-out"
        return ""

    @property
    def start_text(self) -> str:
        return self.empty_text(self.nouns.step)

    def empty_text(self, noun: str) -> str:
        step = f"{noun} of zeros" if self.channels else f"{noun} of id {self._replacement}"
        if self.replaces_steps:
            return f"the prediction where every {noun} is a {step}"
        if self.shortest == 1:
            return f"the prediction for a single {step}"
        return f"the prediction for {self.shortest} times a {step}"

    def check_sequences(self, sequences: Encoded) -> None:
        """Also ids that are no rows of the table that the network reads."""
        self.feeds.check(sequences)
        if self.form.ids.reads:
            for numbers, feeds in self.batches(sequences):
                self.feeds.check_ids(feeds, numbers, sequences)

    # What it computes

    def logits(self, sequences: EncodedBatch | Iterable[EncodedSequence]) -> Array:
        """Logits (n, outputs) float64, per step (N, outputs). Raises InputError naming the length for which the graph
        does not hold.
        """
        if _is_batch_of_steps(sequences):
            return self._logits_of_batch(sequences)
        rows: list[Array] = []
        for block in _blocks(sequences, _SEQUENCES):
            check_cancelled()
            rows += self._logits_of(block)
        if not rows:
            return np.zeros((0, self.outputs))
        return np.concatenate(rows).astype(np.float64)

    def _logits_of(self, sequences: Sequence[EncodedSequence]) -> list[Array]:
        """The logits of each sequence, (1, outputs) or per step (T, outputs)."""
        of_each: list[Array] = [np.zeros((0, self.outputs))] * len(sequences)
        for numbers, feeds in self.batches(sequences):
            logits = self.runs.logits(feeds)
            # A batch may end with rows of no sequence.
            for number, row in zip(numbers, logits, strict=False):
                of_each[number] = row
        return of_each

    def _logits_of_batch(self, batch: EncodedBatch) -> Array:
        """As `logits`, of a batch without an empty sequence."""
        count = len(batch.steps.values) if self.per_step else len(batch)
        logits = np.empty((count, self.outputs))
        for numbers, feeds in self.feeds.batches_of(batch):
            check_cancelled()
            of_rows = self.runs.logits(feeds)[: len(numbers)]
            rows = numbers
            if self.per_step:
                rows = batch.steps.steps_of(numbers)
            logits[rows] = of_rows.reshape(-1, self.outputs)
        return logits

    def batches(
        self, sequences: Encoded, every: bool = False
    ) -> Iterator[tuple[Sequence[int] | NDArray[np.intp], dict[str, Array]]]:
        """The numbers of sequences of equal shapes, and the inputs of the graph for them; with further rows at the end
        where the graph needs more. Of a graph with logits per step, sequences without a step are left out. every: all
        values are kept, as for gradients.
        """
        if _is_batch_of_steps(sequences):
            return self.feeds.batches_of(sequences, every)
        read = {}
        for number, sequence in enumerate(sequences):
            if len(sequence):
                read[number] = sequence
            elif not self.per_step:
                read[number] = self.empty(sequence)
        return self.feeds.batches(read, every)

    def empty(self, sequence: EncodedSequence) -> EncodedSequence:
        """The sequence with steps without information, as few as the graph reads."""
        return self._of_steps(sequence, self._replacement)

    def _of_steps(self, sequence: EncodedSequence, value: int) -> EncodedSequence:
        """The sequence with as few steps as the graph reads, all of them the token id or number."""
        steps = np.full((self.shortest, *sequence.steps.shape[1:]), value, sequence.steps.dtype)
        step_inputs = {
            name: np.zeros((self.shortest, *array.shape[1:]), array.dtype)
            for name, array in sequence.step_inputs.items()
        }
        return replace(sequence, steps=steps, step_inputs=step_inputs, series=None)

    @cached_property
    def _replacement(self) -> int:
        """The token id, or the number of each channel, without information. A network with a mask may have no
        prediction where all steps are token 0, and then it is the next id with one.
        """
        usual: int = self.unknown or 0
        if not self.form.steps.lookups or self.inputs.further:
            return usual
        for value in (usual, *range(min(_SPECIAL_IDS, self.inputs.size))):
            try:
                [rows] = self._logits_of([self._of_steps(EncodedSequence(np.zeros(0, np.int64)), value)])
            except InputError:
                continue
            if np.isfinite(rows).all():
                return int(value)
        return usual

    def read(self, part: EncodedSequence) -> tuple[Array, EncodedSequence]:
        return self.rows(len(part)), part

    def steps_of(self, part: EncodedSequence) -> Array:
        return part.steps

    def activations(self, parts: Iterable[EncodedSequence]) -> Iterator[Activations]:
        from gatewise.members.gates import Activations

        for part in parts:
            self.feeds.rows(part, 1)  # refuses what takes too much memory
            feeds = self.feeds.of([part])
            execution = self.runs.execution(feeds, keep=True)
            computed = self.runs.values(feeds, [self.form.logits_name], execution)
            states = [_states_of(run, execution) for run in self.form.recurrences]
            others = [_states_of(run, execution) for run in self.form.other_recurrences]
            of_steps = self.form.taken(computed[self.form.logits_name])[0].astype(np.float64)  # (T or 1, outputs)
            logits = of_steps if self.per_step else of_steps[0]
            yield Activations(tuple(states), logits, 0, tuple(others))

    def prefix_logits(self, sequence: EncodedSequence) -> Array:
        return self.read_prefix_logits(sequence, ())

    def read_prefix_logits(self, part: EncodedSequence, lstms: Sequence[LayerStates]) -> Array:
        """Where the network is causal, those on the way through the steps. Otherwise each prefix is a run of its own;
        where the length must stay, the steps after it are replaced.
        """
        if self.is_causal and not self.per_step:
            without = self.logits([self._prefix(part, 0)])
            return np.concatenate([without, *self._logits_on_the_way(part)])
        return self.logits_after(part, range(len(part) + 1))

    def logits_after(self, part: EncodedSequence, ends: Sequence[int]) -> Array:
        return self.logits(self._prefix(part, end) for end in ends)

    def _logits_on_the_way(self, part: EncodedSequence) -> Iterator[Array]:
        """The logits (1, outputs) float64 after each step of a causal network, whose states go on from step to step."""
        step_graph = self.form.causality.step_graph
        assert step_graph is not None
        if not len(part):
            return
        runs = self.runs
        feeds = self.feeds.of([part])
        states = step_graph.start()
        for step in range(len(part)):
            check_cancelled()
            rows = dict(feeds)
            for name, axes in self.form.axes.of_inputs.items():
                if axes.steps is not None:
                    rows[name] = feeds[name][(slice(None),) * axes.steps + (slice(step, step + 1),)]
            logits, states = step_graph.run(rows, states, step, runs.execution_of_steps(step, 1))
            yield self.form.taken(logits)[0].astype(np.float64)

    def running(self, pads: int = 0) -> RunningGraph:
        from gatewise.members.graph_streams import running_graph  # a prediction does without

        return running_graph(self.runs, pads)

    def _prefix(self, part: EncodedSequence, end: int) -> EncodedSequence:
        if not self.replaces_steps:
            return part[:end]
        steps = np.array(part.steps)
        steps[end:] = self._replacement
        return replace(part, steps=steps)

    def step_prefix_logits(self, part: EncodedSequence, logits: Array) -> Array:
        """Those of no step are those of the first step where every step is replaced."""
        replaced = self._prefix(part, 0) if self.replaces_steps else self.empty(part)
        return np.concatenate([self.logits([replaced])[:1], logits])

    def features(self, parts: Sequence[EncodedSequence]) -> Array:
        raise InputError("a network that is a graph has no pooled states: Model.predict_outputs returns its outputs")

    @property
    def input_names(self) -> tuple[str, ...]:
        return tuple(self.graph.inputs)

    @property
    def main_input(self) -> str:
        return self.form.axes.main

    @property
    def series_array(self) -> str | None:
        return self.form.axes.main if self.form.main_axes == InputAxes(0, 1) else None

    def outputs_of(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name, of arrays in the layout of the graph. Errors as `logits` and `check_sequences`."""
        outside = self.form.ids.outside(inputs, self.graph.sizes(inputs, self.form.nouns))
        if outside is not None:
            raise InputError(not_an_id(outside, outside.index))
        return self._all_outputs(inputs)

    def _all_outputs(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """As `outputs_of`, of ids that have been checked."""
        return self.graph.run(inputs, execution=self.runs.execution(inputs))

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.graph.outputs

    @property
    def explained_output(self) -> str:
        return self.form.output

    def outputs_of_rows(self, sequences: Sequence[EncodedSequence]) -> list[dict[str, Array]]:
        self.check_sequences(sequences)
        of_rows: list[dict[str, Array]] = [{}] * len(sequences)
        read = [sequence if len(sequence) else self.empty(sequence) for sequence in sequences]
        for numbers, feeds in self.batches(read):
            outputs = self._all_outputs(feeds)
            for place, number in enumerate(numbers):
                of_rows[number] = {name: self._row_of(name, array, place) for name, array in outputs.items()}
        return of_rows

    def _row_of(self, name: str, output: Array, row: int) -> Array:
        """What an output is for one row; an output without an axis for the batch is the same for all."""
        axis = batch_axis(self.graph.types[name], self.form.axes)
        return output if axis is None else np.asarray(output.take(row, axis=axis))

    # What explains it

    def embedded(self, part: EncodedSequence) -> Array:
        if not self.form.steps.lookups:
            return np.asarray(part.steps, dtype=np.float32).reshape(len(part), -1)
        names = [lookup.value for lookup in self.form.steps.lookups]
        values = self.form.explained.run(self.feeds.of([part]), execution=Execution(keep=False), values=names)
        return np.asarray(self.form.steps.joined(values)[0])

    @property
    def embedding_name(self) -> str:
        tables = list(dict.fromkeys(lookup.table for lookup in self.form.steps.lookups))
        if len(tables) != 1 or not tables[0]:
            raise InputError(f"the network reads its ids from {counted(len(tables), 'table')}, not from one embedding")
        return tables[0]

    def truncate_vocab(self, vocab_size: int) -> Self:
        """Each table that only the ids read has its first rows. Raises InputError for one that other nodes read too,
        such as tied weights.
        """
        tables = {lookup.table for lookup in self.form.steps.lookups}
        looked_up = {lookup.node.name for lookup in self.form.steps.lookups}
        constants = dict(self.graph.constants)
        for node in self.graph.nodes:
            if tables.intersection(node.inputs) and node.name not in looked_up:
                raise InputError(
                    f"the vocabulary of this network stays: {node.shown} also reads the embeddings, whose number would "
                    "change its outputs"
                )
        if "" in tables:
            raise InputError("the vocabulary of this network stays: it reads ids as one of V")
        for name in tables:
            constants[name] = read_only(constants[name][:vocab_size])
        return self.changed(parameters=constants)

    @property
    def embedding(self) -> Array:
        return self.form.steps.embedding

    @property
    def no_effect(self) -> str:
        return "the network is a graph, so the unit has no effect of its own"

    @property
    def has_contributions(self) -> bool:
        return False

    def contributions(self, score: Array, lstms: Sequence[LayerStates], step: int | None) -> Array | None:
        return None

    def preactivations(
        self, part: EncodedSequence, lstms: Sequence[LayerStates], gates: LayerStates, column: int
    ) -> dict[str, Preactivation]:
        """Of a plain LSTM: not of one with peepholes, a projection or other activations, and not of other cells."""
        from gatewise.members.graph_preactivations import preactivations

        place = (gates.layer, gates.direction)
        recurrence = next(run for run in self.form.recurrences if (run.layer, run.direction) == place)

        def compute(names: Sequence[str]) -> Mapping[str, Array]:
            feeds = self.feeds.of([part])
            return self.runs.values(feeds, names, self.runs.execution(feeds))

        return preactivations(recurrence, gates, column, compute)

    def path_gradients(self, points: Sequence[PathPoints]) -> list[PathGradient]:
        from gatewise.members.graph_paths import path_gradient

        return [path_gradient(self.feeds, path, self.runs.kernel) for path in points]

    def note(self, rule: Rule) -> str:
        return ""

    # Files

    def summary(self) -> list[tuple[str, str, int]]:
        """The layers with weights: see `layer_rows`."""
        from gatewise.members.graph_summary import layer_rows

        return layer_rows(self.graph)

    def entry(self) -> dict[str, Any]:
        entry = {"graph": graph_entry(self.graph), "output": self.form.output, "logits": self.form.logits_name}
        if self.form.lengths_name:
            entry["lengths"] = self.form.lengths_name
        return entry

    def arrays(self) -> dict[str, Array]:
        return dict(self.graph.constants)

    def to_file(self) -> tuple[dict[str, Any], bytes]:
        constants, raw = constants_to(self.graph.constants, self.storage)
        entry = {**self.entry(), "constants": constants}
        if self.storage:
            entry["storage"] = dict(self.storage)
        return entry, raw

    @classmethod
    def from_file(cls, entry: dict[str, Any], raw: bytes, inputs: Inputs, outputs: int, file: str) -> Self:
        check_entry(entry, ["graph", "output", "logits", "constants"], ["lengths", "storage"], cls.kind)
        output = entry["output"]
        logits_name = entry["logits"]
        lengths_name = entry.get("lengths", "")
        if not all(isinstance(name, str) for name in (output, logits_name, lengths_name)):
            raise InputError("config.json: graph: output, logits and lengths must be names")
        storage = entry.get("storage", {})
        constants = constants_from(entry["constants"], raw, storage, file)
        graph = graph_from(entry["graph"], constants, "config.json: graph")
        graph = replace(graph, constants=MappingProxyType(constants))
        return cls(GraphForm(graph, output, logits_name, lengths_name), storage)


def _as_predicted(array: Array) -> Array:
    """A read-only copy of a constant in the dtype of a prediction."""
    dtype = np.float32 if array.dtype.kind == "f" else array.dtype
    copy = np.array(array, dtype=dtype, order="C")  # the layout decides the last bits of a product
    copy.setflags(write=False)
    return copy


def _is_batch_of_steps(sequences: object) -> TypeGuard[EncodedBatch]:
    """Whether they are whole arrays: a batch without an empty sequence, whose steps would have to be put in."""
    return isinstance(sequences, EncodedBatch) and len(sequences) > 0 and bool(sequences.steps.lengths.all())


def _blocks(sequences: Iterable[EncodedSequence], most: int) -> Iterator[list[EncodedSequence]]:
    """The sequences in lists of at most so many."""
    block: list[EncodedSequence] = []
    for sequence in sequences:
        block.append(sequence)
        if len(block) == most:
            yield block
            block = []
    if block:
        yield block


def _states_of(run: Recurrence, execution: Execution) -> LayerStates:
    """The gates and states of the one sequence of a run that kept them."""
    from gatewise.members.gates import STATES  # a prediction does without

    recorded = execution.saved[run.node.name]()
    values = {name: recorded.values[name][0] for name in STATES[run.cell].names}
    start = {f"{name}0": array[0] for name, array in recorded.start.items()}
    if len(start["h0"]) != run.units:  # a projected state: h is that before the projection
        start["h0"] = np.zeros(run.units, np.float32)
    return STATES[run.cell](layer=run.layer, direction=run.direction, **values, **start)
