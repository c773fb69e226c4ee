"""`recognise`: whether a graph has the form of an `Architecture`, found by its structure.

What each value of the graph holds is known after `gatewise.network.feature_reader`. From the output down there must
then be: activations and dense layers, a pooling, LSTM layers each of which reads the one below, and an embedding or a
series. What stands between them without a layer of its own becomes part of a weight, where that is the same function.

A network that is recognised has the fast predictions and all of the explanations; others run as graphs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gatewise.errors import InputError
from gatewise.network.architecture import Architecture, Layer, parameter_shapes
from gatewise.network.feature_reader import FeatureReader, Input
from gatewise.network.features import (
    Act,
    Affine,
    Axis,
    Features,
    Kept,
    Lstm,
    Merge,
    NotRecognised,
    Numbers,
    Pooled,
    Rule,
    Series,
    Source,
    State,
    Token,
    Unknown,
)
from gatewise.network.graph import Graph
from gatewise.network.merge_mode import MERGE_MODES, MergeName
from gatewise.network.pooling import Pooling, poolings_of
from gatewise.network.recognised_layers import AffineForm, DenseLayers, LstmLayer, OutputActivation
from gatewise.network.simplify import simplified
from gatewise.network.size import symbols_of
from gatewise.types import Array


@dataclass(frozen=True, eq=False)
class Recognised:
    """A graph as an architecture. parameters: float64. scaling: mean and standard deviation of each channel, by which
    the series is standardised before; None without one. pad_value: the id, or the number of all channels, whose steps
    a mask skips; None without one. lengths_input: the name of the input of the lengths, "" without one. steps: the
    number of steps of all sequences, None where it may be any.
    """

    arch: Architecture
    parameters: Mapping[str, Array]
    scaling: tuple[tuple[float, ...], tuple[float, ...]] | None
    pad_value: float | None
    lengths_input: str
    output_activation: OutputActivation
    steps: int | None


def recognise(graph: Graph) -> Recognised | str:
    """The architecture of a graph, or the reason why it has none. Of several outputs it is that of the first one, if
    the others are states of its LSTM layers.
    """
    graph = simplified(graph)
    reasons = []
    try:
        for inputs, vocab_size in _ways_to_call(graph):
            try:
                return _Recogniser(graph, inputs, vocab_size).recognised()
            except NotRecognised as reason:
                reasons.append(str(reason))
    except NotRecognised as reason:
        return str(reason)
    # Of several orders of the axes the first is the usual one.
    return reasons[0]


def _ways_to_call(graph: Graph) -> Iterator[tuple[Input, int]]:
    """What the axes of the inputs may count, and the size of the vocabulary, 0 for series."""
    names = list(graph.inputs)
    lengths = ""
    if len(names) == 2:
        of_rank_1 = [name for name in names if len(graph.inputs[name].shape) == 1]
        lengths = of_rank_1[-1] if len(of_rank_1) == 1 else ""
    data = [name for name in names if name != lengths]
    if len(data) != 1:
        raise NotRecognised(f"it has the inputs {', '.join(names)}, and an Architecture reads one")
    [name] = data
    rank = len(graph.inputs[name].shape)
    vocab_size = _vocab_size(graph)
    batch: Axis = ("batch",)
    steps: Axis = ("steps",)
    orders: dict[int, list[tuple[Axis, ...]]]
    if vocab_size:
        orders = {1: [(steps,)], 2: [(batch, steps), (steps, batch)]}
    else:
        orders = {2: [(steps, ())], 3: [(batch, steps, ()), (steps, batch, ())]}
    if rank not in orders:
        raise NotRecognised(f"its input has {rank} axes, and an Architecture reads ids or series")
    for order in orders[rank]:
        axes = tuple(
            () if axis == batch and size == 1 else axis
            for axis, size in zip(order, graph.inputs[name].shape, strict=True)
        )
        yield Input(name, axes, lengths), vocab_size


def _vocab_size(graph: Graph) -> int:
    """The number of ids that the smallest table has whose rows an input selects; 0 without one."""
    sizes = []
    of_ids = {name for name, value_type in graph.inputs.items()}
    for node in graph.nodes:
        operation: Any = node.operation
        name = operation.name()
        reads_ids = any(value in of_ids for value in node.inputs)
        if name == "Gather" and node.inputs[0] in graph.constants and node.inputs[1] in of_ids:
            table = graph.constants[node.inputs[0]]
            if table.dtype.kind == "f":
                sizes.append(table.shape[operation.axis])
                continue
        if name == "OneHot" and reads_ids and isinstance(operation.depth, int):
            sizes.append(operation.depth)
            continue
        # What nodes without weights make of ids are ids too, such as a Cast.
        if reads_ids and name not in ("Recurrent", "MatMul", "Gemm"):
            of_ids.update(node.outputs)
    return min(sizes, default=0)


class _Recogniser:
    def __init__(self, graph: Graph, inputs: Input, vocab_size: int) -> None:
        self.graph = graph
        self.reader = FeatureReader(graph, inputs, vocab_size)
        self.columns = self.reader.columns

    def recognised(self) -> Recognised:
        """Raises NotRecognised with the reason."""
        reader = self.reader
        steps = reader.sizes["steps"]
        if steps == 1:
            raise NotRecognised("it reads one step")
        # The batch has no effect on a network of this form, but the number of steps of a sequence is free in it.
        for guard in self.graph.guards:
            names = symbols_of(guard.left) | symbols_of(guard.right)
            if not isinstance(steps, int) and names & symbols_of(steps):
                raise NotRecognised(f"it was read for inputs with {guard}")
        reader.read()
        output = self._features(self.graph.outputs[0])
        self._check_other_outputs()
        head, base = self._head(output.columns.ravel())
        per_step = output.of_steps
        if output.flipped:
            raise NotRecognised("the outputs are in reverse order of the steps")
        if not reader.single and not any("batch" in axis for axis in output.axes):
            raise NotRecognised("the outputs are not those of each sequence")
        if per_step:
            canonical, top, pooling, rule = self._steps(base)
        else:
            canonical, top, pooling, rule = self._pooling(base)
        layers = [top]
        while (below := self._below(layers[-1])) is not None:
            layers.append(below)
        self._check_rules(layers, rule)
        return self._assembled(layers[::-1], pooling, self._dense(head, base, canonical), rule)

    def _features(self, name: str) -> Features:
        value = self.reader.values[name]
        if isinstance(value, Unknown):
            raise NotRecognised(value.reason)
        if not isinstance(value, Features):
            raise NotRecognised("an output does not depend on the inputs")
        return value

    def _check_other_outputs(self) -> None:
        """A model has one output. States are what the LSTM layers of the model show anyway."""
        for name in self.graph.outputs[1:]:
            value = self.reader.values[name]
            sources = self.columns.sources(value.columns) if isinstance(value, Features) else []
            states = [one for one in sources if isinstance(one, (Lstm, State)) or _is_final(one)]
            if not sources or len(states) < len(sources):
                raise NotRecognised(f"it has {len(self.graph.outputs)} outputs")

    # The dense layers

    def _head(self, columns: Numbers) -> tuple[list[Affine | Act], Numbers]:
        """The affine functions and activations above the LSTM layers, the lowest first, and the columns below."""
        head: list[Affine | Act] = []
        while True:
            sources = self.columns.sources(columns)
            source = sources[0]
            if len(sources) > 1 or not isinstance(source, (Affine, Act)):
                return head[::-1], columns
            _, places = self.columns.whole(columns)
            head.append(_selected(source, places))
            columns = head[-1].columns

    def _dense(self, head: Sequence[Affine | Act], base: Numbers, canonical: Numbers) -> DenseLayers:
        """The dense layers above features in the order of the architecture."""
        dense = DenseLayers()
        places = {int(number): place for place, number in enumerate(canonical)}
        order = np.array([places[int(number)] for number in base])
        if not np.array_equal(order, np.arange(len(canonical))):
            selection = np.zeros((len(base), len(canonical)))
            selection[np.arange(len(base)), order] = 1
            dense.add(selection, np.zeros(len(base)), of_each=True)
        for step in head:
            if isinstance(step, Act):
                dense.activate(step)
            else:
                dense.add(step.weight, step.bias, step.of_each)
        return dense

    # The LSTM layers

    def _steps(self, base: Numbers) -> tuple[Numbers, LstmLayer, str, Rule | None]:
        """Outputs for each step: of the steps that the mask skips there are none in the model."""
        sources = self.columns.sources(base)
        if len(sources) == 1 and isinstance(sources[0], Merge):
            top = self._merged_directions(sources[0])
            return self.columns.all_of(sources[0]), top, "none", top.rule
        top = self._directions([_lstm(source) for source in sources])
        return np.concatenate([self.columns.all_of(one) for one in top.lstms]), top, "none", top.rule

    def _pooling(self, base: Numbers) -> tuple[Numbers, LstmLayer, str, Rule | None]:
        """The columns that the pooling has in the order of an architecture, the top layer, the pooling, and the rule of
        the steps that it pools.
        """
        sources = self.columns.sources(base)
        if len(sources) == 1 and isinstance(sources[0], Merge):
            return self._merged_pooling(sources[0])
        pooled = [source for source in sources if isinstance(source, Pooled)]
        if len(pooled) < len(sources):
            raise NotRecognised(f"the dense layers read {_shown(sources)}")
        rules = {one.rule for one in pooled}
        if len(rules) > 1:
            raise NotRecognised("the poolings go over other steps than each other")
        [rule] = rules
        merges = {one.source for one in pooled if isinstance(one.source, Merge)}
        parts: list[Lstm | Merge]
        if merges:
            if len(merges) > 1 or len({one.source for one in pooled}) > 1:
                raise NotRecognised("the dense layers read poolings of several layers")
            [merge] = merges
            top = self._merged_directions(merge)
            parts = [merge]
        else:
            lstms: list[Lstm] = []
            for one in pooled:
                assert isinstance(one.source, Lstm)
                if one.source not in lstms:
                    lstms.append(one.source)
            top = self._directions(lstms)
            parts = [*top.lstms]
        pooling = _pooling_of(pooled)
        canonical = []
        for of_layer in poolings_of(pooling):
            canonical += [self._pooled_columns(part, of_layer, rule) for part in parts]
        return np.concatenate(canonical), top, pooling, rule

    def _pooled_columns(self, part: Lstm | Merge, pooling: Pooling, rule: Rule | None) -> Numbers:
        kind: Any = pooling.name
        if not pooling.reads_all_steps:
            # The last step of the forward direction is its final state.
            is_backward = isinstance(part, Lstm) and part.direction == "backward"
            kind = "step" if kind == "step" and is_backward else "final"
        return self.reader.pooling.pooled(kind, part, rule)

    def _merged_pooling(self, merge: Merge) -> tuple[Numbers, LstmLayer, str, Rule | None]:
        """A pooling of each direction, and then the merge of both: for the last state and the last step, which are
        rows of the outputs, the same as the other order; for the mean where the merge is linear.
        """
        pooled = []
        lstms = []
        for columns in (merge.left, merge.right):
            source, places = self.columns.whole(columns)
            if not isinstance(source, Pooled) or not isinstance(source.source, Lstm):
                raise NotRecognised("it joins outputs of the network that are no two directions")
            if not np.array_equal(places, np.arange(self.columns.width(source))):
                raise NotRecognised("it joins the outputs of two directions in another order")
            pooled.append(source)
            lstms.append(source.source)
        pooling = _pooling_of(pooled)
        is_linear = MERGE_MODES[merge.how].share is not None
        orders_are_equal = all(
            not of_direction.reads_all_steps or (of_direction.is_linear and is_linear)
            for of_direction in poolings_of(pooling)
        )
        if pooled[0].rule != pooled[1].rule or not orders_are_equal:
            raise NotRecognised("it joins poolings of two directions")
        top = self._directions(lstms, merge.how)
        return self.columns.all_of(merge), top, pooling, pooled[0].rule

    def _merged_directions(self, merge: Merge) -> LstmLayer:
        lstms = []
        for columns in (merge.left, merge.right):
            source, places = self.columns.whole(columns)
            if not isinstance(source, Lstm) or not np.array_equal(places, np.arange(source.units)):
                raise NotRecognised("it joins outputs of the network that are no two directions")
            lstms.append(source)
        return self._directions(lstms, merge.how)

    def _directions(self, lstms: Sequence[Lstm], merge: MergeName = "concat") -> LstmLayer:
        """One layer of one or two directions, which read the same."""
        if len(lstms) == 1 and merge == "concat":
            return LstmLayer((lstms[0],), Layer(lstms[0].units, lstms[0].direction))
        by_direction = {one.direction: one for one in lstms}
        if len(lstms) != 2 or len(by_direction) != 2:
            raise NotRecognised("the outputs of several LSTM layers are joined")
        forward, backward = by_direction["forward"], by_direction["backward"]
        same = forward.units == backward.units and forward.rule == backward.rule
        if not same or not np.array_equal(forward.columns, backward.columns):
            raise NotRecognised("two LSTM layers of opposite directions read different values")
        return LstmLayer((forward, backward), Layer(forward.units, "both", merge))

    def _below(self, layer: LstmLayer) -> LstmLayer | None:
        """The layer below, None for the lowest one. Reads the weights of the layer."""
        form = self._affine(layer.lstms[0].columns, layer.rule)
        sources = self.columns.sources(form.columns)
        if not any(isinstance(source, (Lstm, Merge)) for source in sources):
            layer.read(form, self._input_columns(sources))
            return None
        if len(sources) == 1 and isinstance(sources[0], Merge):
            below = self._merged_directions(sources[0])
            layer.read(form, self.columns.all_of(sources[0]))
            return below
        below = self._directions([_lstm(source) for source in sources])
        layer.read(form, np.concatenate([self.columns.all_of(lstm) for lstm in below.lstms]))
        return below

    def _affine(self, columns: Numbers, rule: Rule | None) -> AffineForm:
        """Columns as an affine function of those that are none themselves. At the steps that an LSTM layer reads, what
        was put in place of the others makes no difference.
        """
        form = AffineForm(columns, None, np.zeros(len(columns)))
        while True:
            sources = self.columns.sources(form.columns)
            kept = [source for source in sources if isinstance(source, Kept)]
            if any(source.rule != rule for source in kept):
                raise NotRecognised("a mask leaves out steps that an LSTM layer reads")
            if kept:
                form = AffineForm(self._inside(form.columns), form.weight, form.bias)
            elif any(isinstance(source, Affine) and not self._is_scaling(source) for source in sources):
                form = self._expanded(form)
            else:
                return form

    def _inside(self, columns: Numbers) -> Numbers:
        """The columns that a mask leaves as they are at the steps that it reads."""

        def of(source: Source) -> Numbers:
            return source.columns if isinstance(source, Kept) else self.columns.all_of(source)

        return self.columns.mapped(columns, of)

    def _is_scaling(self, affine: Affine) -> bool:
        """Whether it standardises the channels of a series, as a preprocessor does."""
        columns = self._inside(affine.columns)
        sources = self.columns.sources(columns)
        if not affine.of_each or affine.weight.min() <= 0 or len(sources) > 1:
            return False
        if not np.array_equal(columns, self.columns.all_of(sources[0])):
            return False
        [source] = sources
        return self._is_scaling(source) if isinstance(source, Affine) else isinstance(source, Series)

    def _scaling(self, source: Source) -> tuple[Array, Array]:
        """scale and shift of all channels, of a source for which `_is_scaling` is true, or of the series."""
        if isinstance(source, Affine):
            [below] = self.columns.sources(self._inside(source.columns))
            scale, shift = self._scaling(below)
            return scale * source.weight, shift * source.weight + source.bias
        width = self.columns.width(source)
        return np.ones(width), np.zeros(width)

    def _expanded(self, form: AffineForm) -> AffineForm:
        """One affine function less: each column is replaced by what it is computed from."""
        weight = np.eye(len(form.columns)) if form.weight is None else form.weight
        read: list[Numbers] = []
        parts: list[Array] = []
        bias = form.bias.copy()
        for source in self.columns.sources(form.columns):
            own = self.columns.all_of(source)
            inside = (form.columns >= own[0]) & (form.columns <= own[-1])
            of_source = weight[:, inside]
            if not isinstance(source, Affine) or self._is_scaling(source):
                read.append(form.columns[inside])
                parts.append(of_source)
                continue
            places = form.columns[inside] - own[0]
            bias += of_source @ source.bias[places]
            if source.of_each:
                read.append(source.columns[places])
                parts.append(of_source * source.weight[places])
            else:
                read.append(source.columns)
                parts.append(of_source @ source.weight[places])
        return AffineForm(np.concatenate(read), np.concatenate(parts, axis=1), bias)

    def _input_columns(self, sources: Sequence[Source]) -> Numbers:
        """The columns of the inputs of the lowest layer in their order."""
        if all(isinstance(source, Token) for source in sources):
            return np.concatenate([self.columns.all_of(source) for source in sources])
        if len(sources) == 1 and isinstance(sources[0], (Series, Affine)):
            return self.columns.all_of(sources[0])
        raise NotRecognised(f"an LSTM layer reads {_shown(sources)}")

    def _check_rules(self, layers: Sequence[LstmLayer], rule: Rule | None) -> None:
        """All layers leave out the same steps, and the pooling too.

        Layers that read all steps, forward, may also be pooled within the lengths: their outputs at the steps that the
        model reads depend on no later step.
        """
        rules = {layer.rule for layer in layers}
        if len(rules) > 1:
            raise NotRecognised("a mask holds for some LSTM layers only")
        forward = all(one.direction == "forward" for layer in layers for one in layer.lstms)
        causal = rules == {None} and forward and rule is not None and rule.kind == "lengths"
        if rules != {rule} and not causal:
            raise NotRecognised("the pooling leaves out other steps than the LSTM layers")
        if rule is not None and rule.kind == "id" and rule.value != 0:
            raise NotRecognised(f"the mask skips the id {rule.value:g}, and that of a model skips the id 0")

    # The result

    def _assembled(
        self, layers: Sequence[LstmLayer], pooling: Any, dense: DenseLayers, rule: Rule | None
    ) -> Recognised:
        """layers: the lowest first."""
        reader = self.reader
        arrays: list[Array] = []
        scaling = None
        width = 0
        sources = self.columns.sources(self._affine(layers[0].lstms[0].columns, layers[0].rule).columns)
        if reader.vocab_size:
            table = np.concatenate(
                [reader.tokens.table(source) for source in sources if isinstance(source, Token)], axis=1
            )
            arrays.append(table)
            size, width = table.shape
        else:
            size = self.columns.width(sources[0])
            if isinstance(sources[0], Affine):
                scale, shift = self._scaling(sources[0])
                scaling = tuple((0.0 - shift / scale).tolist()), tuple((1 / scale).tolist())
        for layer in layers:
            for weights in layer.weights:
                assert weights.bias is not None
                arrays += [weights.weight_ih, weights.weight_hh, weights.bias]
        activation = dense.end(layers[-1].layer.width * max(1, len(poolings_of(pooling))))
        hidden = dense.hidden()
        arrays += dense.parameters()
        outputs = len(arrays[-1])
        kind: Literal["tokens", "channels"] = "tokens" if reader.vocab_size else "channels"
        try:
            arch = Architecture(kind, size, width, tuple(one.layer for one in layers), pooling, hidden, outputs)
        except InputError as error:
            raise NotRecognised(str(error)) from None
        names = parameter_shapes(arch)
        parameters = {name: np.ascontiguousarray(array) for name, array in zip(names, arrays, strict=True)}
        for name, shape in names.items():
            assert parameters[name].shape == shape, name
        steps = reader.sizes["steps"]
        return Recognised(
            arch,
            parameters,
            scaling,
            None if rule is None or rule.kind == "lengths" else rule.value,
            reader.inputs.lengths if rule is not None and rule.kind == "lengths" else "",
            activation,
            steps if isinstance(steps, int) else None,
        )


def _selected(source: Affine | Act, places: Numbers) -> Affine | Act:
    """Some columns of a source, in any order, as a source of their own."""
    if np.array_equal(places, np.arange(len(source.columns if isinstance(source, Act) else source.bias))):
        return source
    if isinstance(source, Act):
        if not source.of_each:
            raise NotRecognised("it reads some outputs of a softmax only")
        return Act(source.columns[places], source.kind, source.negative_slope)
    columns = source.columns[places] if source.of_each else source.columns
    return Affine(columns, source.weight[places], source.bias[places])


def _lstm(source: Source) -> Lstm:
    if not isinstance(source, Lstm):
        raise NotRecognised(f"the layers above an LSTM layer read {_shown([source])}")
    return source


def _is_final(source: Source) -> bool:
    return isinstance(source, Pooled) and source.kind == "final"


def _pooling_of(pooled: Sequence[Pooled]) -> str:
    """The pooling of an architecture that these are, each of one direction or of both merged."""
    kinds = {source.kind for source in pooled}
    if kinds == {"final"}:
        return "last"
    if kinds in ({"mean"}, {"max"}, {"mean", "max"}):
        return "+".join(kind for kind in ("mean", "max") if kind in kinds)
    # The last step of the forward direction is its final state.
    if kinds <= {"final", "step"}:
        backward = [isinstance(one.source, Lstm) and one.source.direction == "backward" for one in pooled]
        if backward == [one.kind == "step" for one in pooled]:
            return "step"
    raise NotRecognised(f"the dense layers read the poolings {' and '.join(sorted(kinds))} of one layer")


_NOUNS = {
    Token: "the embedding",
    Series: "the series",
    Lstm: "the outputs of an LSTM layer",
    Pooled: "a pooling",
    State: "the memory cell",
    Merge: "a sum or product of outputs",
    Kept: "outputs that a mask changes",
    Affine: "a dense layer",
    Act: "an activation",
}


def _shown(sources: Sequence[Source]) -> str:
    """What sources are, for messages."""
    names = [_NOUNS.get(type(source), "a number of steps") for source in sources]
    return " and ".join(dict.fromkeys(names))
