"""`with_recurrent`: loops whose steps are those of an LSTM, a GRU or a simple RNN as `Recurrent`, which is faster and
shows its gates.

A cell is found by its algebra, never by values: the weights are matrices of their own or blocks of one, the gates stand
in any order, and sums and products in any order. What a cell reads of each step, and what is computed of its state, is
computed for all steps at once. A loop with anything else stays a loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.network.elementwise import Elementwise
from gatewise.network.graph import Graph, Node
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import Operation, ValueType
from gatewise.network.operations import operation_of
from gatewise.network.operations.loop import Loop
from gatewise.network.operations.recurrent import Recurrent
from gatewise.network.operations.relu import Relu
from gatewise.network.size import at_least
from gatewise.types import Array


class NotLiftedError(Exception):
    """What a step computes has no form for all steps at once, or is no cell."""


def with_recurrent(graph: Graph) -> Graph:
    """The graph, with those loops as recurrent layers whose steps are cells."""
    if not any(isinstance(node.operation, Loop) for node in graph.nodes):
        return graph
    builder = GraphBuilder()
    for name, value_type in graph.inputs.items():
        builder.input(name, value_type)
    for name, array in graph.constants.items():
        builder.constant(array, name)
    for node in graph.nodes:
        builder.origin = node.origin
        if isinstance(node.operation, Loop):
            kept = (dict(builder.constants), list(builder.nodes), dict(builder.types))
            try:
                _Lifted(builder, node, node.operation, set(graph.types)).write()
                continue
            except (NotLiftedError, InputError):
                builder.constants, builder.nodes, builder.types = kept
        builder.node(node.operation, node.inputs, node.outputs, node.name)
    return builder.graph(graph.outputs, graph.guards)


@dataclass(frozen=True)
class _Affine:
    """Σ x W + bias: the matrices (D, K) by the names of what they multiply, values of the body (B, D)."""

    terms: dict[str, Array]
    bias: Array | None

    def plus(self, other: _Affine) -> _Affine:
        if set(self.terms) & set(other.terms):
            raise NotLiftedError
        bias = self.bias
        if other.bias is not None:
            bias = other.bias if bias is None else bias + other.bias
        return _Affine({**self.terms, **other.terms}, bias)

    def columns(self, start: int, end: int) -> _Affine:
        bias = self.bias
        if bias is not None and bias.shape[-1] > 1:
            bias = bias[..., start:end]
        return _Affine({name: matrix[:, start:end] for name, matrix in self.terms.items()}, bias)


class _Lifted:
    """Writes one loop as nodes over all steps. Values of all steps have the axis of the steps after their first one."""

    def __init__(self, builder: GraphBuilder, node: Node, loop: Loop, taken: set[str]) -> None:
        self.builder = builder
        self.node = node
        self.loop = loop
        self.body = loop.body
        self.taken = taken
        names = list(self.body.inputs)
        self.states = names[: loop.states]
        self.sequences = names[loop.states : loop.states + len(loop.axes)]
        self.others = dict(
            zip(names[loop.states + len(loop.axes) :], node.inputs[loop.states + len(loop.axes) :], strict=True)
        )
        self.initial = dict(zip(self.states, node.inputs, strict=False))
        self.after = dict(zip(self.states, self.body.outputs, strict=False))
        self.producers = {name: made for made in self.body.nodes for name in made.outputs}
        self.lifted: dict[str, str] = {}
        self.last: dict[str, str] = {}
        """The last values of states, by the names of the states."""
        self.start = len(builder.nodes)
        self.named: dict[str, str] = {}
        """Values that become outputs of the loop, and their names."""

    def write(self) -> None:
        """Add the nodes. Raises NotLiftedError where the loop is more than cells and what is computed of them."""
        if not at_least(self.loop.steps, 1):
            raise NotLiftedError
        for number, name in enumerate(self.sequences, self.loop.states):
            axis = self.loop.axes[number - self.loop.states]
            self.lifted[name] = self._axis_to_second(self.node.inputs[number], axis)
        for made in self.body.nodes:
            self._try(made)
        rows = self.body.outputs[self.loop.states :]
        for output, name, axis in zip(self.node.outputs[self.loop.states :], rows, self.loop.output_axes, strict=True):
            rank = len(self.body.types[name].shape) + 1
            order = [place for place in range(rank) if place != 1]
            order.insert(axis % rank, 1)
            self._named(output, self._lift(name), order)
        for output, state in zip(self.node.outputs, self.states, strict=False):
            if state not in self.last:
                raise NotLiftedError
            self._named(output, self.last[state])
        self._rename()

    def _named(self, output: str, value: str, order: Sequence[int] = ()) -> None:
        """Give a value the name of an output of the loop, with its axes in an order."""
        if list(order) != sorted(order):
            self._add(operation_of("Transpose", {"perm": tuple(order)}), value, outputs=(output,))
        elif value in self.named or not any(value in made.outputs for made in self.builder.nodes[self.start :]):
            self._add(operation_of("Identity", {}), value, outputs=(output,))
        else:
            self.named[value] = output

    def _rename(self) -> None:
        """Write the new nodes with the names of the outputs of the loop."""
        for number, made in enumerate(self.builder.nodes[self.start :], self.start):
            inputs = tuple(self.named.get(name, name) for name in made.inputs)
            outputs = tuple(self.named.get(name, name) for name in made.outputs)
            self.builder.nodes[number] = replace(made, inputs=inputs, outputs=outputs)
        for value, output in self.named.items():
            self.builder.types[output] = self.builder.types.pop(value)

    def _try(self, made: Node) -> None:
        """Lift what a node returns, if it depends on no state, or is the state of a cell."""
        for name in made.outputs:
            if name in self.after.values():
                try:
                    if self._cell(name):
                        return
                except NotLiftedError:
                    continue

    # Values of all steps

    def _add(self, operation: Operation, *inputs: str, outputs: Sequence[str] = ()) -> list[str]:
        base = f"{self.node.name}/{operation.name().lower()}"
        count = len(self.builder.types)
        name = f"{base}_{count}"
        while name in self.taken or name in self.builder.types:
            count += 1
            name = f"{base}_{count}"
        return self.builder.node(operation, inputs, outputs, name)

    def _new(self, operation: str, *inputs: str, **attributes: Any) -> str:
        return self._add(operation_of(operation, attributes), *inputs)[0]

    def _axis_to_second(self, value: str, axis: int) -> str:
        rank = len(self.builder.types[value].shape)
        if rank < 2:
            raise NotLiftedError
        axis %= rank
        if axis == 1:
            return value
        order = [place for place in range(rank) if place != axis]
        order.insert(1, axis)
        return self._new("Transpose", value, perm=tuple(order))

    def _lift(self, name: str) -> str:
        """The value of all steps of a value of the body."""
        if name in self.lifted:
            return self.lifted[name]
        made = self.producers.get(name)
        if made is None:
            raise NotLiftedError  # a state, or what does not change
        results = self._lifted_node(made)
        for output, result in zip(made.outputs, results, strict=True):
            row = self.body.types[output]
            if self.builder.types[result] != ValueType(row.dtype, (*row.shape[:1], self.loop.steps, *row.shape[1:])):
                raise NotLiftedError
        self.lifted |= zip(made.outputs, results, strict=True)
        return self.lifted[name]

    def _lifted_node(self, made: Node) -> list[str]:
        operation: Any = made.operation
        kind = operation.name()
        shapes = [self.body.types[name].shape for name in made.inputs if name]
        rank = len(shapes[0]) if shapes else 0
        result = self.body.types[made.outputs[0]].shape
        if isinstance(operation, Elementwise):
            return self._add(operation, *(self._operand(name, len(result)) for name in made.inputs))
        if kind == "MatMul" and made.inputs[1] in self.others and rank >= 2 and len(shapes[1]) == 2:
            return self._add(operation, self._lift(made.inputs[0]), self.others[made.inputs[1]])
        if kind == "Gemm" and made.inputs[1] in self.others and not operation.transA and operation.alpha == 1:
            return [self._gemm(made, operation)]
        of_last_axis = kind in ("Softmax", "LogSoftmax", "LayerNormalization") and rank >= 2
        if of_last_axis and operation.axis % rank == rank - 1 and set(made.inputs[1:]) <= set(self.others):
            rest = [self.others[name] for name in made.inputs[1:]]
            return self._add(replace(operation, axis=-1), self._lift(made.inputs[0]), *rest)
        if kind == "Unsqueeze" and len(operation.axes) == 1:
            axis = operation.axes[0] % (rank + 1)
            if axis >= 1:
                return self._add(replace(operation, axes=(axis + 1,)), self._lift(made.inputs[0]))
        if kind in ("Concat", "Split") and rank >= 2 and operation.axis % rank >= 1:
            values = [self._lift(name) for name in made.inputs]
            return self._add(replace(operation, axis=operation.axis % rank + 1), *values)
        if kind == "Slice" and operation.axes is not None and all(axis % rank >= 1 for axis in operation.axes):
            axes = tuple(axis % rank + 1 for axis in operation.axes)
            return self._add(replace(operation, axes=axes), self._lift(made.inputs[0]))
        if kind in ("Identity", "Dropout"):
            return [self._lift(made.inputs[0])]
        raise NotLiftedError

    def _operand(self, name: str, rank: int) -> str:
        """What an operation on each number reads: with the axis of the steps, or broadcast along it."""
        own = len(self.body.types[name].shape)
        if name not in self.others:
            if own != rank:
                raise NotLiftedError
            return self._lift(name)
        if own < rank:
            return self.others[name]
        return self._new("Unsqueeze", self.others[name], axes=(1,))

    def _gemm(self, made: Node, operation: Any) -> str:
        weight = self.others[made.inputs[1]]
        if operation.transB:
            weight = self._new("Transpose", weight, perm=(1, 0))
        product = self._new("MatMul", self._lift(made.inputs[0]), weight)
        if len(made.inputs) < 3 or not made.inputs[2] or operation.beta == 0:
            return product
        if operation.beta != 1 or made.inputs[2] not in self.others:
            raise NotLiftedError
        if len(self.body.types[made.inputs[2]].shape) != 1:
            raise NotLiftedError
        return self._new("Add", product, self.others[made.inputs[2]])

    # Cells

    def _cell(self, name: str) -> bool:
        """Write the cell whose new state is this value; False where it is that of no cell."""
        return any(find(name) for find in (self._recurrent, self._lstm, self._gru, self._rnn))

    def _state_of(self, after: str) -> str:
        """The state that has a value after the step."""
        states = [state for state, value in self.after.items() if value == after]
        if len(states) != 1:
            raise NotLiftedError
        return states[0]

    def _require_read_only_by(self, names: Sequence[str], readers: Sequence[Node]) -> None:
        """States before the step are read by the cell alone."""
        inside = {reader.name for reader in readers}
        for made in self.body.nodes:
            if made.name not in inside and set(made.inputs) & set(names):
                raise NotLiftedError
        if set(self.body.outputs) & set(names):
            raise NotLiftedError

    def _recurrent(self, name: str) -> bool:
        """A recurrent layer that runs for one step, such as LSTMCell."""
        made = self.producers[name]
        if not isinstance(made.operation, Recurrent):
            return False
        inputs = [*made.inputs, *[""] * (len(made.operation.formal) - len(made.inputs))]
        given = dict(zip(made.operation.formal, inputs, strict=True))
        row = self.producers.get(given["x"])
        if made.operation.reverse or given["mask"] or row is None:
            raise NotLiftedError
        new_states = made.outputs[1:]
        before = [self._state_of(value) for value in new_states]
        if before != [given[formal] for formal in ("h0", "c0")[: len(before)]]:
            raise NotLiftedError
        source = row.inputs[0]
        shape = self.body.types[source].shape
        adds_steps = row.operation.name() in ("Unsqueeze", "Reshape")
        if not adds_steps or self.body.types[given["x"]].shape != (shape[0], 1, *shape[1:]):
            raise NotLiftedError
        self._require_read_only_by(before, [made])
        outside = []
        for formal, value in given.items():
            if formal == "x":
                outside.append(self._lift(source))
            elif formal in ("h0", "c0"):
                outside.append(self.initial[value] if value else "")
            elif value and value not in self.others:
                raise NotLiftedError
            else:
                outside.append(self.others.get(value, ""))
        self._write(made.operation, outside, before, new_states[0], new_states[1:])
        # One step of the output is the new state.
        if any(made.outputs[0] in other.inputs for other in self.body.nodes):
            self.lifted[made.outputs[0]] = self._new("Unsqueeze", self.lifted[new_states[0]], axes=(2,))
        return True

    def _write(
        self, operation: Operation, inputs: Sequence[str], before: Sequence[str], h: str, others: Sequence[str]
    ) -> None:
        """Add the layer. before: its states. h: the new one that it returns for each step. others: those that it does
        not, which no other node may read.
        """
        for value in others:
            readers = [made for made in self.body.nodes if value in made.inputs and h not in made.outputs]
            readers = [made for made in readers if not self._leads_to_only(made, h)]
            if readers or value in self.body.outputs[self.loop.states :]:
                raise NotLiftedError
        trimmed = list(inputs)
        while trimmed and not trimmed[-1]:
            trimmed.pop()
        rows, *last = self._add(operation, *trimmed)
        self.lifted[h] = rows
        self.last |= zip(before, last, strict=True)

    def _leads_to_only(self, made: Node, h: str) -> bool:
        """Whether what a node returns is read by nodes of the cell alone, whose result is h."""
        for name in made.outputs:
            readers = [other for other in self.body.nodes if name in other.inputs]
            if name in self.body.outputs or not readers:
                return False
            if any(h not in other.outputs and not self._leads_to_only(other, h) for other in readers):
                return False
        return True

    def _operands(self, name: str, kind: str) -> list[tuple[str, str]]:
        """The two operands of a commutative operation that returns a value, in both orders."""
        made = self.producers.get(name)
        if made is None or made.operation.name() != kind or len(made.inputs) != 2:
            return []
        left, right = made.inputs
        return [(left, right), (right, left)]

    def _argument(self, name: str, kind: str) -> str:
        """What an activation reads; "" for another value."""
        made = self.producers.get(name)
        return made.inputs[0] if made is not None and made.operation.name() == kind else ""

    def _lstm(self, name: str) -> bool:
        """h = o tanh(c), c = f c_before + i g."""
        for gate, squashed in self._operands(name, "Mul"):
            c = self._argument(squashed, "Tanh")
            output_gate = self._argument(gate, "Sigmoid")
            if not c or not output_gate or c not in self.after.values():
                continue
            h_before, c_before = self._state_of(name), self._state_of(c)
            for forget, written in self._operands(c, "Add"):
                for f, read in self._operands(forget, "Mul"):
                    for i, g in self._operands(written, "Mul"):
                        gates = [self._argument(i, "Sigmoid"), self._argument(f, "Sigmoid")]
                        gates += [self._argument(g, "Tanh"), output_gate]
                        if read == c_before and all(gates):
                            self._affine_cell("LSTM", gates, [h_before, c_before], name, [c])
                            return True
        return False

    def _gru(self, name: str) -> bool:
        """h = (1 - z) n + z h_before, or n + z (h_before - n)."""
        h_before = self._state_of(name)
        for z, n in self._updates(name, h_before):
            update, candidate = self._argument(z, "Sigmoid"), self._argument(n, "Tanh")
            if update and candidate and self._gru_cell(name, h_before, update, candidate):
                return True
        return False

    def _updates(self, name: str, h_before: str) -> list[tuple[str, str]]:
        """The update gate and the candidate of a GRU."""
        pairs = []
        for left, right in self._operands(name, "Add"):
            for z, kept in self._operands(right, "Mul"):
                if kept == h_before:
                    pairs += [(z, n) for rest, n in self._operands(left, "Mul") if self._is_rest(rest, z)]
                made = self.producers.get(kept)
                if made is not None and made.operation.name() == "Sub" and made.inputs == (h_before, left):
                    pairs.append((z, left))
        return pairs

    def _is_rest(self, name: str, z: str) -> bool:
        """Whether a value is 1 - z."""
        made = self.producers.get(name)
        if made is None or made.operation.name() != "Sub" or made.inputs[1] != z:
            return False
        one = self._constant(made.inputs[0])
        return one is not None and bool(np.all(one == 1))

    def _gru_cell(self, name: str, h_before: str, update: str, candidate: str) -> bool:
        for of_x, of_h in self._operands(candidate, "Add"):
            for reset, product in self._operands(of_h, "Mul"):
                gate = self._argument(reset, "Sigmoid")
                if not gate:
                    continue
                x, h = self._affine(of_x), self._affine(product)
                if set(h.terms) != {h_before} or h_before in x.terms:
                    continue
                self._write_gru(name, h_before, [self._affine(gate), self._affine(update)], x, h)
                return True
        return False

    def _write_gru(self, name: str, h_before: str, gates: list[_Affine], x: _Affine, h: _Affine) -> None:
        units = h.terms[h_before].shape[1]
        sources = self._sources([*gates, x], h_before)
        weight_ih = np.concatenate([self._weights(gate, sources, units) for gate in (*gates, x)])
        weight_hh = np.concatenate([self._weights(gate, [h_before], units) for gate in (*gates, h)])
        bias = np.concatenate([self._bias(gate, units) for gate in (*gates, x)])
        recurrent_bias = np.concatenate([np.zeros(2 * units), self._bias(h, units)])
        arrays = [self.builder.constant(array) for array in (weight_ih, weight_hh, bias, recurrent_bias)]
        self._require_read_only_by([h_before], self._cell_nodes(name, sources))
        inputs = [self._joined(sources), *arrays, "", self.initial[h_before]]
        self._write(Recurrent("GRU"), inputs, [h_before], name, [])

    def _rnn(self, name: str) -> bool:
        """h = tanh(x W + h_before U + b), or ReLU."""
        h_before = self._state_of(name)
        for kind in ("Tanh", "Relu"):
            pre = self._argument(name, kind)
            if pre and h_before in self._affine(pre).terms:
                activations: tuple[Operation, ...] = (Relu(),) if kind == "Relu" else ()
                self._affine_cell("RNN", [pre], [h_before], name, [], activations)
                return True
        return False

    def _affine_cell(
        self,
        kind: Any,
        gates: list[str],
        before: list[str],
        h: str,
        others: list[str],
        activations: tuple[Operation, ...] = (),
    ) -> None:
        """Write a cell whose gates read x W + h_before U + b each."""
        h_before = before[0]
        forms = [self._affine(gate) for gate in gates]
        units_dim = self.body.types[h].shape[1]
        if not isinstance(units_dim, int):
            raise NotLiftedError
        sources = self._sources(forms, h_before)
        weight_ih = np.concatenate([self._weights(form, sources, units_dim) for form in forms])
        weight_hh = np.concatenate([self._weights(form, [h_before], units_dim) for form in forms])
        bias = np.concatenate([self._bias(form, units_dim) for form in forms])
        self._require_read_only_by(before, self._cell_nodes(h, sources))
        arrays = [self.builder.constant(array) for array in (weight_ih, weight_hh, bias)]
        initial = [self.initial[state] for state in before]
        inputs = [self._joined(sources), *arrays, "", "", *initial]
        self._write(Recurrent(kind, activations=activations), inputs, before, h, others)

    def _sources(self, forms: Sequence[_Affine], h_before: str) -> list[str]:
        """What the gates read besides the state, in the order of the first gate."""
        sources = list(dict.fromkeys(name for form in forms for name in form.terms if name != h_before))
        if not sources or not any(h_before in form.terms for form in forms):
            raise NotLiftedError
        return sources

    def _joined(self, sources: Sequence[str]) -> str:
        """What a cell reads of all steps (B, T, D)."""
        values = [self._lift(name) for name in sources]
        return values[0] if len(values) == 1 else self._new("Concat", *values, axis=2)

    def _cell_nodes(self, h: str, sources: Sequence[str]) -> list[Node]:
        """The nodes between what a cell reads and its new state."""
        nodes: list[Node] = []
        waiting = [h]
        while waiting:
            made = self.producers.get(waiting.pop())
            if made is not None and made not in nodes:
                nodes.append(made)
                waiting += [name for name in made.inputs if name not in sources]
        return nodes

    def _weights(self, form: _Affine, sources: Sequence[str], units: int) -> Array:
        """(H, D) of what is read."""
        blocks = []
        for name in sources:
            size = self.body.types[name].shape[1]
            if not isinstance(size, int):
                raise NotLiftedError
            block = form.terms.get(name, np.zeros((size, units)))
            if block.shape != (size, units):
                raise NotLiftedError
            blocks.append(block)
        return np.ascontiguousarray(np.concatenate(blocks).T)

    def _bias(self, form: _Affine, units: int) -> Array:
        if form.bias is None:
            return np.zeros(units)
        if form.bias.ndim > 2 or form.bias.shape[:-1] not in ((), (1,)):
            raise NotLiftedError
        return np.broadcast_to(form.bias.reshape(-1), (units,)).copy()

    def _constant(self, name: str) -> Array | None:
        """A constant that the body reads."""
        array = self.builder.constants.get(self.others.get(name, ""))
        return None if array is None else array

    def _affine(self, name: str) -> _Affine:
        """A value as the sum of products with constant matrices and of constants."""
        constant = self._constant(name)
        if constant is not None:
            return _Affine({}, np.asarray(constant, dtype=np.float64))
        made = self.producers.get(name)
        if made is None:
            return self._product_before(name)
        operation: Any = made.operation
        kind = operation.name()
        if kind == "Add":
            return self._affine(made.inputs[0]).plus(self._affine(made.inputs[1]))
        if kind == "Sum":
            total = self._affine(made.inputs[0])
            for other in made.inputs[1:]:
                total = total.plus(self._affine(other))
            return total
        if kind == "MatMul":
            matrix = self._constant(made.inputs[1])
            if matrix is None or matrix.ndim != 2:
                raise NotLiftedError
            return self._product(made.inputs[0], matrix)
        if kind == "Gemm" and operation.alpha == 1 and not operation.transA:
            return self._affine_gemm(made, operation)
        if kind in ("Slice", "Split"):
            return self._columns(made, operation, name)
        raise NotLiftedError

    def _product_before(self, name: str) -> _Affine:
        """What is read of a sequence as it is: its product with a matrix was computed before the loop."""
        shape = self.body.types[name].shape
        if name not in self.sequences or len(shape) != 2 or not isinstance(shape[1], int):
            raise NotLiftedError
        return _Affine({name: np.eye(shape[1])}, None)

    def _affine_gemm(self, made: Node, operation: Any) -> _Affine:
        matrix = self._constant(made.inputs[1])
        if matrix is None:
            raise NotLiftedError
        form = self._product(made.inputs[0], matrix.T if operation.transB else matrix)
        if len(made.inputs) > 2 and made.inputs[2] and operation.beta != 0:
            if operation.beta != 1:
                raise NotLiftedError
            form = form.plus(self._affine(made.inputs[2]))
        return form

    def _product(self, name: str, matrix: Array) -> _Affine:
        """x W, by the blocks of W where x is concatenated."""
        shape = self.body.types[name].shape
        if len(shape) != 2:
            raise NotLiftedError
        made = self.producers.get(name)
        if made is None or made.operation.name() != "Concat":
            return _Affine({name: np.asarray(matrix, dtype=np.float64)}, None)
        if made.operation.axis % 2 != 1:  # type: ignore[attr-defined]
            raise NotLiftedError
        form = _Affine({}, None)
        start = 0
        for part in made.inputs:
            size = self.body.types[part].shape[1]
            if not isinstance(size, int):
                raise NotLiftedError
            form = form.plus(self._product(part, matrix[start : start + size]))
            start += size
        return form

    def _columns(self, made: Node, operation: Any, name: str) -> _Affine:
        """Some of the columns of a value (B, K)."""
        value_type = self.body.types[made.inputs[0]]
        width = value_type.shape[-1]
        if len(value_type.shape) != 2 or not isinstance(width, int):
            raise NotLiftedError
        form = self._affine(made.inputs[0])
        if operation.name() == "Split":
            sizes: list[Any] = [self.body.types[output].shape[1] for output in made.outputs]
            place = made.outputs.index(name)
            if operation.axis % 2 != 1:
                raise NotLiftedError
            return form.columns(sum(sizes[:place]), sum(sizes[: place + 1]))
        axes = (0,) if operation.axes is None else operation.axes
        if len(axes) != 1 or axes[0] % 2 != 1 or operation.steps not in (None, (1,)):
            raise NotLiftedError
        columns = range(width)[operation.starts[0] : operation.ends[0]]
        return form.columns(columns.start, columns.stop)
