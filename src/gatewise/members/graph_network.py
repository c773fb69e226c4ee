"""`GraphNetwork`: a network of any form, as a graph of operations (`gatewise.network.graph`).

Sequences of the same length share a batch. An empty sequence, which a graph cannot read, stands for steps without
information: token 0, or the unknown one, or zeros.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from gatewise.errors import InputError, counted, printable, quote
from gatewise.kernels import for_precision, read_only
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.graph_axes import GraphAxes, InputAxes, OutputAxes, axes_for, batch_axis, output_axes
from gatewise.members.graph_constants import constants_from, constants_to
from gatewise.members.graph_recurrences import recurrences_of
from gatewise.members.graph_steps import GraphSteps, placed, taken
from gatewise.members.member import Inputs, Rule, check_entry
from gatewise.members.network import Network, Preactivation
from gatewise.members.recurrent_layer import RecurrentLayer
from gatewise.network.causality import Causality, causality_of
from gatewise.network.graph import Graph, Nouns
from gatewise.network.graph_file import graph_entry, graph_from
from gatewise.network.input_ids import InputIds, OutsideId
from gatewise.network.operation import Execution
from gatewise.network.operations.recurrent import Recurrent
from gatewise.network.size import Dim, Size, symbols_of, value_of
from gatewise.system.cancel import check_cancelled
from gatewise.types import Array, Precision

if TYPE_CHECKING:
    from gatewise.kernels.interface import Kernel
    from gatewise.members.clamp import Clamp
    from gatewise.members.gates import Activations, LayerStates
    from gatewise.members.path_gradients import PathGradient, PathPoints
    from gatewise.members.running_graph import RunningGraph
    from gatewise.network.step_graph import StepGraph

_MAX_ROWS = 256  # sequences of a batch
_MAX_NUMBERS = 1 << 24  # of the values of a batch that are in memory at a time
_MAX_ROW_NUMBERS = 1 << 28  # of those of one sequence: 1 GiB
_MOST_STEP_GRAPHS = 32  # that are kept, one for each number of streams
_LONGEST_SHORTEST = 64  # steps among which the shortest length is looked for


@dataclass(frozen=True, eq=False)
class GraphNetwork(Network):
    """graph: with float32 constants. output: the name of the one that is explained. logits_name: of its logits, a value
    of the graph. lengths_name: of an input that holds the number of steps of each sequence, which it gets from them.
    The other fields are those of `Network`.

    `GraphNetwork.of` makes it. Raises InputError for an output that depends on the input in other ways than by B and T.
    """

    graph: Graph
    output: str
    logits_name: str
    lengths_name: str = ""
    storage: Mapping[str, str] = field(default_factory=dict)
    precision: Precision = "float32"
    kernel: Kernel | None = None
    clamps: tuple[Clamp, ...] = ()
    unknown: int | None = None
    kind: ClassVar[str] = "graph"
    noun: ClassVar[str] = "network"

    def __post_init__(self) -> None:
        if self.logits_name not in self.graph.types or self.output not in self.graph.outputs:
            raise InputError(f"the graph has no output {quote(self.output)} with the logits {quote(self.logits_name)}")
        if self.lengths_name and self.lengths_name not in self.further:
            raise InputError(f"the graph has no further input {quote(self.lengths_name)} for the lengths")
        if self.graph.types[self.logits_name].dtype != "float":
            raise InputError(f"the output {quote(self.output)} is {self.graph.types[self.output]}; it must be float")
        _ = self.logits_axes, self.inputs  # refused here rather than by the first prediction

    @classmethod
    def of(cls, graph: Graph, output: str, logits_name: str, lengths_name: str = "", **fields: Any) -> Self:
        """The network of a graph, whose constants it copies in the dtypes of a prediction."""
        constants = {name: _as_predicted(array) for name, array in graph.constants.items()}
        return cls(replace(graph, constants=MappingProxyType(constants)), output, logits_name, lengths_name, **fields)

    def changed(self, **fields: Any) -> Self:
        parameters = fields.pop("parameters", None)
        if parameters is not None:
            fields["graph"] = replace(self.graph, constants=MappingProxyType(dict(parameters)))
        network = replace(self, **fields)
        if network.graph is self.graph:
            # What follows from the graph alone is not worked out again.
            for name in _OF_GRAPH:
                if name in self.__dict__:
                    network.__dict__[name] = self.__dict__[name]
        return network

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

    @cached_property
    def axes(self) -> GraphAxes:
        """The axes of the inputs."""
        return axes_for(self.graph, self.logits_name)

    @cached_property
    def explained(self) -> Graph:
        """The part of the graph that computes the logits."""
        needed = {self.logits_name}
        nodes = []
        for node in reversed(self.graph.nodes):
            if needed.intersection(node.outputs):
                nodes.append(node)
                needed.update(node.inputs)
        constants = {name: array for name, array in self.graph.constants.items() if name in needed}
        return replace(self.graph, constants=constants, nodes=tuple(reversed(nodes)), outputs=(self.logits_name,))

    @cached_property
    def steps(self) -> GraphSteps:
        """Where the steps enter the graph."""
        return GraphSteps(self.explained, self.axes)

    @cached_property
    def logits_axes(self) -> OutputAxes:
        """The axes of the logits."""
        return output_axes(self.output, self.graph.types[self.logits_name], self.axes)

    @property
    def main_axes(self) -> InputAxes:
        """The axes of the input with the steps."""
        return self.axes.of_inputs[self.axes.main]

    @property
    def further(self) -> tuple[str, ...]:
        """The names of the inputs besides that with the steps."""
        return tuple(name for name in self.graph.inputs if name != self.axes.main)

    @cached_property
    def inputs(self) -> Inputs:
        further = tuple(name for name in self.further if name != self.lengths_name)
        if self.steps.lookups:
            return Inputs("tokens", self.steps.vocab_size, further=further)
        return Inputs("channels", math.prod(self._channel_shape), further=further)

    @cached_property
    def _channel_shape(self) -> tuple[int, ...]:
        """The sizes of the axes of the main input besides batch and steps."""
        name = self.axes.main
        sizes = []
        for axis, dim in enumerate(self.graph.inputs[name].shape):
            if axis in (self.main_axes.batch, self.main_axes.steps):
                continue
            if not isinstance(dim, int):
                raise InputError(
                    f"the input {quote(name)} is {self.graph.inputs[name]}: {dim} is no fixed size of a step"
                )
            sizes.append(dim)
        return tuple(sizes)

    def check(self, inputs: Inputs) -> None:
        own = self.inputs
        if (inputs.kind, inputs.size, inputs.further) != (own.kind, own.size, own.further):
            raise InputError(f"the network reads {own}, not {inputs}")

    def part_of(self, sequence: EncodedSequence) -> EncodedSequence:
        return sequence

    @property
    def outputs(self) -> int:
        return self.logits_axes.outputs

    @property
    def per_step(self) -> bool:
        return self.logits_axes.steps is not None

    @cached_property
    def causality(self) -> Causality:
        """Whether the logits after t steps depend on these alone, and the graph that reads them step by step."""
        return self._causality_of(self.fewest_rows)

    def _causality_of(self, rows: int) -> Causality:
        """`causality`, with a graph for that many sequences."""
        axes = {name: of.steps for name, of in self.axes.of_inputs.items() if of.steps is not None}
        if not axes:
            return Causality("its inputs have no axis of steps", {}, None)
        if isinstance(self.axes.steps, Size) and not self._holds(1):
            return Causality("it does not read a single step", {}, None)
        sizes: dict[str, int] = {}
        if not isinstance(self.axes.batch_size, int):
            sizes = dict.fromkeys(symbols_of(self.axes.batch_size), rows)
        causality = causality_of(self.explained, self.logits_name, axes, sizes, self.lengths_name)
        if causality.step_graph is None:
            return causality
        logits = causality.values[self.logits_name]
        if self.per_step and (logits.role, logits.axis) != ("steps", self.logits_axes.steps):
            return Causality(f"{quote(self.output)} has rows that depend on all steps", causality.values, None)
        if not self.per_step and logits.role == "steps":
            return Causality(f"{quote(self.output)} joins the rows of all steps", causality.values, None)
        return causality

    @property
    def is_causal(self) -> bool:
        return self.causality.step_graph is not None

    @property
    def not_causal(self) -> str:
        return self.causality.reason

    @cached_property
    def layers(self) -> tuple[RecurrentLayer, ...]:
        layers: dict[int, list[Any]] = {}
        for recurrence in recurrences_of(self.explained, self.axes):
            layers.setdefault(recurrence.layer, []).append(recurrence)
        return tuple(
            RecurrentLayer(
                runs[0].units,
                tuple(run.direction for run in runs),
                runs[0].cell,
                runs[0].node.origin_name if runs[0].node.origin else "",
            )
            for runs in layers.values()
        )

    @cached_property
    def step_size(self) -> int:
        steps = 16
        return max(1, self._numbers(dict.fromkeys(self.explained.symbols, steps) | {"B": 1}, every=True) // steps)

    @cached_property
    def products_per_step(self) -> int:
        tables = {lookup.table for lookup in self.steps.lookups}
        weights = (array.size for name, array in self.explained.constants.items() if name not in tables)
        return max(1, sum(weights))

    @cached_property
    def replaces_steps(self) -> bool:
        """Also where the graph does not hold for a single step: the prefixes of a sequence have all lengths."""
        return not isinstance(self.axes.steps, Size) or not self._holds(1)

    def described(self) -> dict[str, Any]:
        types = self.graph.types
        return {
            "inputs": {name: str(types[name]) for name in self.graph.inputs},
            "outputs": {name: str(types[name]) for name in self.graph.outputs},
            "output": self.output,
            "nodes": len(self.graph.nodes),
            "recurrent_layers": [asdict(layer) for layer in self.layers],
            "no_architecture": self.no_architecture,
        }

    @cached_property
    def no_architecture(self) -> str:
        """Why the graph is not read as an `Architecture`, "" where it has the form of one."""
        from gatewise.network.recognise import recognise

        reason = recognise(self.graph)
        return reason if isinstance(reason, str) else ""

    def form_rows(self) -> list[tuple[str, str]]:
        types = self.graph.types
        inputs = ", ".join(f"{name}: {types[name]}" for name in self.graph.inputs)
        outputs = []
        for name in self.graph.outputs:
            explained = ", explained" if name == self.output and len(self.graph.outputs) > 1 else ""
            outputs.append(f"{name}: {types[name]}{explained}")
        form = f"a graph of {counted(len(self.graph.nodes), 'operation')}"
        if self.no_architecture:
            form += f", not an Architecture of LSTM layers: {self.no_architecture}"
        return [("inputs", inputs), ("outputs", "; ".join(outputs)), ("network", form)]

    def refusal(self, method: str) -> str:
        others = "integrated-gradients and leave-one-out explain this network"
        if method == "cell-decomposition":
            return f"cell-decomposition needs an LSTM whose states only pooling and dense layers read: {others}"
        if method == "prefix-difference" and self.per_step:
            return f"prefix-difference of a prediction per step needs units with parts of their own in it: {others}"
        if method == "integrated-gradients" and self.is_whole:
            name = quote(self.axes.main)
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

    @cached_property
    def ids(self) -> InputIds:
        """The numbers of the inputs that the graph reads as rows of tables."""
        return InputIds(self.graph)

    @cached_property
    def _nouns(self) -> Nouns:
        """What the axes of the inputs count."""
        nouns = {}
        for name, axes in self.axes.of_inputs.items():
            if axes.batch is not None:
                nouns[name, axes.batch] = "number of sequences"
            if axes.steps is not None:
                nouns[name, axes.steps] = "number of steps"
        return nouns

    def check_sequences(self, sequences: Sequence[EncodedSequence]) -> None:
        """Also ids that are no rows of the table that the network reads."""
        checked: set[Any] = set()
        for number, sequence in enumerate(sequences):
            shapes = _shapes(sequence)
            if len(sequence) and shapes not in checked:
                checked.add(shapes)
                try:
                    self._rows(sequence, 1)
                except InputError as error:
                    raise InputError(f"{_row(number, sequences)}{error}") from None
        if not self.ids.reads:
            return
        for numbers, feeds in self.batches(sequences):
            outside = self.ids.outside(feeds, self.graph.sizes(feeds))
            if outside is not None:
                batch = self.axes.of_inputs[outside.name].batch
                row = 0 if batch is None else min(outside.index[batch], len(numbers) - 1)
                place = [number for axis, number in enumerate(outside.index) if axis != batch]
                raise InputError(f"{_row(numbers[row], sequences)}{_not_an_id(outside, place)}")

    # What it computes

    def logits(self, sequences: Iterable[EncodedSequence]) -> Array:
        """Logits (n, outputs) float64, per step (N, outputs). Raises InputError naming the length for which the graph
        does not hold.
        """
        rows: list[Array] = []
        for some in _blocks(sequences, 4 * _MAX_ROWS):
            check_cancelled()
            rows += self._logits_of(some)
        if not rows:
            return np.zeros((0, self.outputs))
        return np.concatenate(rows).astype(np.float64)

    def _logits_of(self, sequences: Sequence[EncodedSequence]) -> list[Array]:
        """The logits of each sequence, (1, outputs) or per step (T, outputs)."""
        of_each: list[Array] = [np.zeros((0, self.outputs))] * len(sequences)
        for numbers, feeds in self.batches(sequences):
            [logits] = self._run(feeds, [self.logits_name], Execution(keep=False))
            for number, row in zip(numbers, self.taken(logits), strict=False):
                of_each[number] = row
        return of_each

    def batches(
        self, sequences: Sequence[EncodedSequence], every: bool = False
    ) -> Iterator[tuple[list[int], dict[str, Array]]]:
        """The numbers of sequences of equal shapes, and the inputs of the graph for them; with further rows at the end
        where the graph needs more. Of a graph with logits per step, sequences without a step are left out. every: all
        values are kept, as for gradients.
        """
        read = {}
        groups: dict[Any, list[int]] = {}
        for number, sequence in enumerate(sequences):
            if not len(sequence) and self.per_step:
                continue  # no step, no logits
            read[number] = sequence if len(sequence) else self.empty(sequence)
            groups.setdefault(_shapes(read[number]), []).append(number)
        for numbers in groups.values():
            first = 0
            while first < len(numbers):
                count = self._rows(read[numbers[first]], len(numbers) - first, every)
                some = numbers[first : first + count]
                yield some, self._feeds([read[number] for number in some])
                first += count

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
        prediction where all steps are token 0, and then it is the first id with one.
        """
        first: int = self.unknown or 0
        if not self.steps.lookups or self.inputs.further:
            return first
        for value in (first, *range(min(3, self.inputs.size))):
            try:
                [rows] = self._logits_of([self._of_steps(EncodedSequence(np.zeros(0, np.int64)), value)])
            except InputError:
                continue
            if np.isfinite(rows).all():
                return int(value)
        return first

    @property
    def is_whole(self) -> bool:
        return self.graph.inputs[self.axes.main].dtype != "float" and not self.steps.lookups

    @cached_property
    def shortest(self) -> int:
        if self.axes.steps is None:
            return 1
        if isinstance(self.axes.steps, int):
            return self.axes.steps
        return next((length for length in range(1, _LONGEST_SHORTEST) if self._holds(length)), 1)

    def _holds(self, length: int) -> bool:
        """Whether the graph reads so many steps, as far as they alone decide it."""
        assert self.axes.steps is not None
        [name] = symbols_of(self.axes.steps)
        sizes = {name: length}
        for guard in self.graph.guards:
            if symbols_of(guard.left) | symbols_of(guard.right) <= {name} and not guard.holds(sizes):
                return False
        shapes = (self.explained.types[output].shape for node in self.explained.nodes for output in node.outputs)
        dims = {dim for shape in shapes for dim in shape if symbols_of(dim) == {name}}
        return all(_value(dim, sizes) >= 1 for dim in dims)

    def _feeds(self, sequences: Sequence[EncodedSequence]) -> dict[str, Array]:
        """The inputs of the graph for sequences of equal shapes. A batch that needs more repeats the last one."""
        rows = list(sequences)
        rows += [rows[-1]] * (self.fewest_rows - len(rows))
        main = np.stack([np.asarray(sequence.steps) for sequence in rows])  # (B, T) or (B, T, C)
        if self.channels:
            main = main.reshape(*main.shape[:2], *self._channel_shape)
        feeds = {self.axes.main: self._typed(self.axes.main, placed(main, self.main_axes))}
        for name in self.further:
            axes = self.axes.of_inputs[name]
            if name == self.lengths_name:
                array = np.full((len(rows), 1), len(rows[0].steps))
                feeds[name] = self._typed(name, placed(array, axes))
            elif axes.steps is not None:
                array = np.stack([row.step_inputs[name] for row in rows])
                feeds[name] = self._typed(name, placed(array, axes))
            elif axes.batch is not None:
                feeds[name] = self._typed(name, np.stack([row.inputs[name] for row in rows], axis=axes.batch))
            else:
                feeds[name] = self._typed(name, rows[0].inputs[name])
        return feeds

    def _typed(self, name: str, array: Array) -> Array:
        """An input as the graph takes it. Raises InputError for numbers that are not whole where it takes these."""
        dtype = self.graph.inputs[name].dtype
        if dtype == "float":
            return array
        typed = array.astype(np.bool_ if dtype == "bool" else dtype)
        if not np.array_equal(typed, array):
            raise InputError(f"the input {quote(name)} takes {dtype}, and got other numbers")
        return typed

    @cached_property
    def fewest_rows(self) -> int:
        """The fewest sequences of a batch."""
        size = self.axes.batch_size
        if isinstance(size, int):
            return size
        return next((count for count in range(1, _MAX_ROWS) if self._reads_rows(count)), 1)

    def _reads_rows(self, count: int) -> bool:
        """Whether the conditions on the number of sequences of a batch hold, where it is free."""
        assert isinstance(self.axes.batch_size, Size)
        [name] = symbols_of(self.axes.batch_size)
        guards = [guard for guard in self.graph.guards if symbols_of(guard.left) | symbols_of(guard.right) <= {name}]
        return all(guard.holds({name: count}) for guard in guards)

    @property
    def _is_batched(self) -> bool:
        """Whether several sequences can be in a batch: each input has an axis for it."""
        return all(axes.batch is not None for axes in self.axes.of_inputs.values())

    def _rows(self, sequence: EncodedSequence, most: int, every: bool = False) -> int:
        """How many sequences like this one share a batch. every: all values are kept, as for gradients. Raises
        InputError for a length that the graph does not read, and for one that takes too much memory.
        """
        size = self.axes.batch_size
        sizes = self.graph.sizes(self._feeds([sequence]), self._nouns)
        if not self._is_batched or isinstance(size, int):
            self._check_memory(sizes, every)
            return min(most, self.fewest_rows)
        [name] = symbols_of(size)
        numbers = self._check_memory(sizes | {name: 1}, every)
        count = max(1, min(most, _MAX_ROWS, _MAX_NUMBERS // max(1, numbers)))
        while count > 1 and not all(guard.holds(sizes | {name: count}) for guard in self.graph.guards):
            count -= 1
        return count

    def _check_memory(self, sizes: Mapping[str, int], every: bool) -> int:
        """The numbers in memory. Raises InputError for too many."""
        numbers = self._numbers(sizes, every)
        if numbers > _MAX_ROW_NUMBERS:
            shown = ", ".join(f"{name} = {size}" for name, size in sizes.items())
            raise InputError(
                f"the network needs {numbers:,} numbers in memory for {shown}, more than {_MAX_ROW_NUMBERS:,}: give a "
                "shorter input"
            )
        return numbers

    def _numbers(self, sizes: Mapping[str, int], every: bool) -> int:
        """How many numbers of values are in memory at a time in a run, with `every` all of them."""
        graph = self.explained
        in_memory = 0
        most = 0
        for number, node in enumerate(graph.nodes):
            in_memory += sum(_size(graph, name, sizes) for name in node.outputs)
            most = max(most, in_memory)
            if not every:
                for name in {*node.inputs, *node.outputs}:
                    if name in graph.constants or name in graph.inputs or not name:
                        continue
                    if graph.last_reader.get(name, number) <= number and name not in graph.outputs:
                        in_memory -= _size(graph, name, sizes)
        return most

    def _run(self, feeds: Mapping[str, Array], values: Sequence[str], execution: Execution) -> list[Array]:
        """Values of a run, with the clamps."""
        self._prepare(execution, feeds)
        computed = self.explained.run(feeds, execution=execution, values=values)
        return [computed[name] for name in values]

    def _prepare(self, execution: Execution, feeds: Mapping[str, Array]) -> None:
        """Set the kernel and the gates that the clamps hold."""
        execution.kernel = self.kernel or for_precision(self.precision)
        if self.clamps:
            steps = taken(feeds[self.axes.main], self.main_axes).shape[1]
            execution.held = self._held(np.arange(steps))

    def _held(self, steps: Array) -> dict[str, tuple[Array, Array]]:
        """The gates that the clamps hold at the steps with these numbers, by the names of the nodes."""
        from gatewise.members.clamp import held_gates

        held = {}
        for run in recurrences_of(self.explained, self.axes):
            clamps = []
            for clamp in self.clamps:
                columns = clamp.hits(self.layers, run.layer, run.direction)
                if columns is not None and clamp.gate in run.gate_names:
                    clamps.append((clamp, columns))
            if clamps:
                held[run.node.name] = held_gates(clamps, steps, run.gate_names, run.units, np.float32)
        return held

    def taken(self, logits: Array) -> Array:
        """Logits in the layout of the graph as (B, T, outputs), without steps as (B, 1, outputs)."""
        array = taken(logits, InputAxes(self.logits_axes.batch, self.logits_axes.steps))
        return array.reshape(*array.shape[:2], self.outputs)

    def placed(self, grads: Array, like: Array) -> Array:
        """The inverse of `taken`, in the shape of an array in the layout of the graph."""
        axes = InputAxes(self.logits_axes.batch, self.logits_axes.steps)
        return placed(grads.reshape(taken(like, axes).shape), axes)

    def read(self, part: EncodedSequence) -> tuple[Array, EncodedSequence]:
        rows = self.rows(len(part))
        return rows, part

    def steps_of(self, part: EncodedSequence) -> Array:
        return part.steps

    def activations(self, parts: Iterable[EncodedSequence]) -> Iterator[Activations]:
        from gatewise.members.gates import STATES, Activations

        runs = recurrences_of(self.explained, self.axes)
        for part in parts:
            self._rows(part, 1)  # refuses what takes too much memory
            execution = Execution(keep=True)
            [logits] = self._run(self._feeds([part]), [self.logits_name], execution)
            states: list[LayerStates] = []
            for run in runs:
                recorded = execution.saved[run.node.name]()
                values = {name: recorded.values[name][0] for name in STATES[run.cell].names}
                start = {f"{name}0": array[0] for name, array in recorded.start.items()}
                if len(start["h0"]) != run.units:  # a projected state: h is that before the projection
                    start["h0"] = np.zeros(run.units, np.float32)
                states.append(STATES[run.cell](layer=run.layer, direction=run.direction, **values, **start))
            of_steps = self.taken(logits)[0].astype(np.float64)
            yield Activations(tuple(states), of_steps if self.per_step else of_steps[0], 0)

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
        step_graph = self.causality.step_graph
        assert step_graph is not None
        if not len(part):
            return
        feeds = self._feeds([part])
        states = step_graph.start()
        for step in range(len(part)):
            check_cancelled()
            rows = dict(feeds)
            for name, axes in self.axes.of_inputs.items():
                if axes.steps is not None:
                    rows[name] = feeds[name][(slice(None),) * axes.steps + (slice(step, step + 1),)]
            logits, states = step_graph.run(rows, states, step, self._step_execution(step, 1))
            yield self.taken(logits)[0].astype(np.float64)

    def _step_execution(self, first: int, count: int) -> Execution:
        """A run of the step graph for `count` steps from `first` on, with the clamps."""
        kernel = self.kernel or for_precision(self.precision)
        execution = Execution(kernel=kernel.with_threads(1), keep=False)
        if self.clamps:
            execution.held = self._held(np.arange(first, first + count))
        return execution

    def running(self, pads: int = 0) -> RunningGraph:
        from gatewise.members.running_graph import RunningGraph
        from gatewise.members.step_batches import StepBatches

        if self.inputs.further:
            names = ", ".join(self.inputs.further)
            raise InputError(f"a network that also reads {names} cannot be streamed: a stream reads steps of one input")
        step_graph = self.causality.step_graph
        if step_graph is None:
            raise InputError(f"a network that is not known to be causal cannot be streamed: {self.not_causal}")
        length = self.axes.steps
        assert length is not None
        guards = []
        for guard in self.graph.guards:
            # A condition on the number of steps alone, which a stream fulfils after each step or not.
            symbols = symbols_of(guard.left) | symbols_of(guard.right)
            if symbols and symbols == symbols_of(length):
                guards.append(guard)
        batches = StepBatches(
            self._step_graph_of,
            self._read_rows,
            self.fewest_rows,
            self._most_streams,
            numbers_steps=bool(self.clamps),
        )
        running = RunningGraph(batches, self.outputs, guards)
        if isinstance(length, int):
            if pads and length != pads:
                raise InputError(f"the network reads {length:,} steps, and its sequences are padded to {pads:,}")
            if not pads and not self.per_step:
                raise InputError(
                    f"a network that reads {length:,} steps cannot be streamed: it has no prediction after fewer steps"
                )
            running.most = length
            running.why_most = "the length of the sequences that it was made for"
        if pads:
            if step_graph.has_places:
                raise InputError(
                    "a network with padding 'pre' that numbers its steps cannot be streamed: the number of a step "
                    "depends on the pads before it, and these on later steps"
                )
            running.start_after_pads(np.zeros(1, np.int64), pads)
        return running

    def _step_graph_of(self, rows: int) -> StepGraph | None:
        """The step graph for that many sequences, None where there is none."""
        if rows == self.fewest_rows:
            return self.causality.step_graph
        step_graphs = self._step_graphs
        if rows not in step_graphs:
            if len(step_graphs) == _MOST_STEP_GRAPHS:
                step_graphs.clear()
            step_graphs[rows] = self._causality_of(rows).step_graph
        return step_graphs[rows]

    @cached_property
    def _step_graphs(self) -> dict[int, StepGraph | None]:
        """The step graphs so far, by the number of sequences."""
        return {}

    @property
    def _most_streams(self) -> int:
        """The most sequences in a run of the step graph."""
        size = self.axes.batch_size
        if isinstance(size, int) or not self._is_batched:
            return self.fewest_rows
        most = self.fewest_rows
        while most < _MAX_ROWS and self._reads_rows(most + 1):
            most += 1
        return most

    def _read_rows(
        self, step_graph: StepGraph, rows: Array, states: Mapping[str, Array], before: int, first: int
    ) -> tuple[Array, dict[str, Array]]:
        """See `RunRows`."""
        feeds = self._feeds([EncodedSequence(steps) for steps in rows])
        logits, after = step_graph.run(feeds, states, before, self._step_execution(first, rows.shape[1]))
        return self.taken(logits)[:, -1], after

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
        return self.axes.main

    @property
    def series_array(self) -> str | None:
        return self.axes.main if self.main_axes == InputAxes(0, 1) else None

    def outputs_of(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name, of arrays in the layout of the graph. Errors as `logits` and `check_sequences`."""
        outside = self.ids.outside(inputs, self.graph.sizes(inputs, self._nouns))
        if outside is not None:
            raise InputError(_not_an_id(outside, outside.index))
        execution = Execution(keep=False)
        self._prepare(execution, inputs)
        return self.graph.run(inputs, execution=execution)

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.graph.outputs

    @property
    def explained_output(self) -> str:
        return self.output

    def outputs_of_rows(self, sequences: Sequence[EncodedSequence]) -> list[dict[str, Array]]:
        self.check_sequences(sequences)
        of_rows: list[dict[str, Array]] = [{}] * len(sequences)
        read = [sequence if len(sequence) else self.empty(sequence) for sequence in sequences]
        for numbers, feeds in self.batches(read):
            outputs = self.outputs_of(feeds)
            for place, number in enumerate(numbers):
                of_rows[number] = {name: self._row_of(name, array, place) for name, array in outputs.items()}
        return of_rows

    def _row_of(self, name: str, output: Array, row: int) -> Array:
        """What an output is for one row; an output without an axis for the batch is the same for all."""
        axis = batch_axis(self.graph.types[name], self.axes)
        return output if axis is None else np.asarray(output.take(row, axis=axis))

    # What explains it

    def embedded(self, part: EncodedSequence) -> Array:
        if not self.steps.lookups:
            return np.asarray(part.steps, dtype=np.float32).reshape(len(part), -1)
        names = [lookup.value for lookup in self.steps.lookups]
        values = self.explained.run(self._feeds([part]), execution=Execution(keep=False), values=names)
        return np.asarray(self.steps.joined(values)[0])

    @property
    def embedding_name(self) -> str:
        tables = list(dict.fromkeys(lookup.table for lookup in self.steps.lookups))
        if len(tables) != 1 or not tables[0]:
            raise InputError(f"the network reads its ids from {counted(len(tables), 'table')}, not from one embedding")
        return tables[0]

    def truncate_vocab(self, vocab_size: int) -> Self:
        """Each table that only the ids read has its first rows. Raises InputError for one that other nodes read too,
        such as tied weights.
        """
        tables = {lookup.table for lookup in self.steps.lookups}
        looked_up = {lookup.node.name for lookup in self.steps.lookups}
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
        return self.steps.embedding

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
        run = next(
            run
            for run in recurrences_of(self.explained, self.axes)
            if (run.layer, run.direction) == (gates.layer, gates.direction)
        )
        names = dict(zip(Recurrent.formal, run.node.inputs, strict=False))
        operation = run.node.operation
        is_plain = isinstance(operation, Recurrent) and not operation.activations and not operation.clip
        if run.cell != "LSTM" or not is_plain or names.get("peepholes") or names.get("projection"):
            return {}
        read = [name for part in ("x", "weight_ih", "weight_hh", "bias", "recurrent_bias") if (name := names.get(part))]
        computed = dict(zip(read, self._run(self._feeds([part]), read, Execution(keep=False)), strict=True))
        rows = column + run.units * np.arange(4)  # of the gates i, f, g, o
        weight_ih = computed[names["weight_ih"]][rows].T.astype(np.float64)
        weight_hh = computed[names["weight_hh"]][rows].T.astype(np.float64)
        from_x = computed[names["x"]][0].astype(np.float64) @ weight_ih  # (T, 4)
        order = gates.reading_order
        previous_h = np.concatenate([gates.h0[None], gates.h[order][:-1]])[order]
        from_h = previous_h.astype(np.float64) @ weight_hh
        biases = [computed[names[part]][rows] for part in ("bias", "recurrent_bias") if names.get(part)]
        bias = np.sum(biases, axis=0) if biases else np.zeros(4)
        return {gate: Preactivation(from_x[:, n], from_h[:, n], float(bias[n])) for n, gate in enumerate("ifgo")}

    def path_gradients(self, points: Sequence[PathPoints]) -> list[PathGradient]:
        from gatewise.members.path_gradients import PathGradient

        gradients = []
        for path in points:
            scores = []
            gradient = np.zeros(path.x.shape)
            first = 0
            while first < len(path.alphas):
                count = self._rows(path.part, len(path.alphas) - first, every=True)
                rows = slice(first, first + count)
                of_rows, of_x = self._path_batch(path, path.alphas[rows], path.weights[rows])
                scores.append(of_rows)
                gradient += of_x
                first += count
            gradients.append(PathGradient(np.concatenate(scores), gradient))
        return gradients

    def _path_batch(self, path: PathPoints, alphas: Array, weights: Array) -> tuple[Array, Array]:
        """The scores (K,) of points, and the sum over them of weight times gradient (T, D)."""
        rows = max(len(alphas), self.fewest_rows)
        padded = np.zeros(rows)
        padded[: len(alphas)] = alphas
        x = path.base + padded[:, None, None] * (path.x - path.base)  # (B, T, D)
        x = x.astype(np.float32)
        feeds = self._feeds([path.part] * rows)
        graph = self.explained
        if self.steps.lookups:
            graph = self.steps.from_lookups
            feeds |= self.steps.split(x)
            names = [lookup.value for lookup in self.steps.lookups]
        else:
            names = [self.axes.main]
            feeds[self.axes.main] = placed(x.reshape(*x.shape[:2], *self._channel_shape), self.main_axes)
        step = path.step or 0

        def grad_of(logits: Array) -> Array:
            of_logits = np.zeros_like(self.taken(logits))  # (B, T or 1, outputs)
            of_logits[: len(alphas), step] = weights[:, None] * path.logit_weights
            return self.placed(of_logits, logits)

        execution = Execution(kernel=self.kernel or for_precision(self.precision))
        logits, grads = graph.gradients(feeds, self.logits_name, grad_of, names, execution=execution)
        scores = self.taken(logits)[: len(alphas), step].astype(np.float64) @ path.logit_weights
        if self.steps.lookups:
            of_x = self.steps.joined(grads)
        else:
            of_x = taken(grads[self.axes.main], self.main_axes)
        of_x = of_x.reshape(*of_x.shape[:2], -1)[: len(alphas)]
        return scores, of_x.astype(np.float64).sum(axis=0)

    def note(self, rule: Rule) -> str:
        return ""

    # Files

    def summary(self) -> list[tuple[str, str, int]]:
        """The layers with weights. Nodes that come from the same layer are one row, with the shape of the last one; a
        constant that several nodes read is counted once.
        """
        counted: set[str] = set()
        rows: dict[str, tuple[str, str, int]] = {}
        for node in self.graph.nodes:
            names = [name for name in node.inputs if name in self.graph.constants and name not in counted]
            size = sum(self.graph.constants[name].size for name in names)
            counted.update(names)
            # The operations of a layer of Keras follow its name and a colon.
            layer = node.origin.partition(": ")[0] or node.name
            if layer not in rows and size <= 1:
                continue
            name, _, before = rows.get(layer, (f"{_layer_name(node.operation)} {node.origin_name}", "", 0))
            shape = ", ".join(str(dim) for dim in self.graph.types[node.outputs[0]].shape)
            rows[layer] = (name, f"({shape})", before + size)
        return list(rows.values())

    def entry(self) -> dict[str, Any]:
        entry = {"graph": graph_entry(self.graph), "output": self.output, "logits": self.logits_name}
        if self.lengths_name:
            entry["lengths"] = self.lengths_name
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
        return cls(graph, output, logits_name, lengths_name, storage)

    def __getstate__(self) -> dict[str, Any]:
        graph = replace(self.graph, constants=dict(self.graph.constants))
        return {name: value for name, value in self.__dict__.items() if name not in _OF_GRAPH} | {"graph": graph}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


_OF_GRAPH = (
    "_step_graphs",
    "axes",
    "causality",
    "explained",
    "steps",
    "logits_axes",
    "inputs",
    "layers",
    "step_size",
    "products_per_step",
    "replaces_steps",
    "ids",
    "_nouns",
    "_channel_shape",
    "shortest",
    "fewest_rows",
)
"""The cached properties."""


def _as_predicted(array: Array) -> Array:
    """A read-only copy of a constant in the dtype of a prediction."""
    dtype = np.float32 if array.dtype.kind == "f" else array.dtype
    copy = np.array(array, dtype=dtype, order="C")  # the layout decides the last bits of a product
    copy.setflags(write=False)
    return copy


def _shapes(sequence: EncodedSequence) -> Any:
    """Equal for sequences that can share a batch."""
    return (
        sequence.steps.shape,
        tuple(array.shape for array in sequence.step_inputs.values()),
        tuple(array.shape for array in sequence.inputs.values()),
    )


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


def _row(number: int, sequences: Sequence[EncodedSequence]) -> str:
    """The row of a sequence among others, for the beginning of messages."""
    return f"row {number}: " if len(sequences) > 1 else ""


def _not_an_id(outside: OutsideId, place: Sequence[int]) -> str:
    """The message about a number that is no row of a table. place: in the array of one row, or in the whole array."""
    where = f" at {list(place)}" if place else ""
    ids = f"its ids are from {outside.low:,} to {outside.high:,}"
    return f"the input {printable(outside.name)} has the id {outside.number:,.15g}{where}, and {ids}"


def _size(graph: Graph, name: str, sizes: Mapping[str, int]) -> int:
    """The number of elements of a value, 1 for a size that is not known."""
    return math.prod(max(0, _value(dim, sizes)) for dim in graph.types[name].shape)


def _value(dim: Dim, sizes: Mapping[str, int]) -> int:
    """A size, with 1 for symbols that are not known."""
    unknown = symbols_of(dim) - set(sizes)
    return value_of(dim, {**sizes, **dict.fromkeys(unknown, 1)})


def _layer_name(operation: Any) -> str:
    """What a summary calls a node: the cell of a recurrence, the layer that is usually this operation, or its name."""
    if hasattr(operation, "cell"):
        return str(operation.cell)
    name: str = operation.name()
    return _LAYERS.get(name, name)


_LAYERS = {"Gather": "Embedding", "MatMul": "Linear", "Gemm": "Linear"}
