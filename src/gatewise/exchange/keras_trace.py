"""The calls of a Keras network, in order, down to those that a reader knows.

Keras propagates masks, converts dtypes and follows models inside of models when a network is called. A `Tracer` lets it
do so on symbolic tensors: `keras.KerasTensor`, which have a shape and a dtype and no values. While it runs, a layer
that is no leaf is not only asked for the shape of its output, but its `call` runs on the symbolic tensors, too.
"""

from __future__ import annotations

import itertools
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from gatewise.errors import InputError
from gatewise.exchange.keras_backend import internal_module
from gatewise.exchange.keras_values import TracedSize

_LOCK = threading.RLock()
_LIBRARIES = ("keras", "gatewise", "torch", "tensorflow", "jax", "optree", "tree")
_OF_SIZES = ("zeros", "ones", "full", "arange", "broadcast_to", "tile", "repeat")
"""The functions of `keras.ops` that read sizes, and symbolic tensors at most as their first argument."""
_OPERATORS = (
    *("__add__", "__sub__", "__mul__", "__truediv__", "__floordiv__", "__mod__", "__pow__", "__matmul__"),
    *("__lt__", "__le__", "__gt__", "__ge__", "__ne__", "__and__", "__or__", "__xor__"),
)
"""Of a variable on the left: what Keras computes with a symbolic tensor on the right needs values."""


@dataclass(frozen=True)
class Call:
    """One call of an operation or a layer on symbolic tensors. place: the layers that it is within, and itself where
    it is one, from the outermost one. is_leaf: whether it was not followed.
    """

    operation: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: Any
    place: tuple[Any, ...]
    is_leaf: bool


Recorded = tuple[Any, int, Any]
"""An operation or layer, the number of its call, and the outputs of it."""


class Recorder:
    """The outputs of the operations and layers that a network calls, but for those that a leaf calls. One of a trace
    and one of a run on values have the same calls in the same order.
    """

    def __init__(self, keras: Any, is_leaf: Callable[[Any], bool]) -> None:
        self.keras = keras
        self.is_leaf = is_leaf
        self.recorded: list[Recorded] = []
        self.failed: Any = None
        """The innermost operation or layer that raised an error, None without one."""
        self._counts: dict[int, int] = {}
        self._within_leaves = 0

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record the calls of this thread."""
        thread = threading.get_ident()
        operation_class = self.keras.Operation
        plain = operation_class.__call__

        def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() != thread:
                return plain(operation, *args, **kwargs)
            leaf = self.is_leaf(operation)
            self._within_leaves += leaf
            try:
                outputs = plain(operation, *args, **kwargs)
            except Exception:
                self.failed = self.failed or operation
                raise
            finally:
                self._within_leaves -= leaf
            if not self._within_leaves:
                number = self._counts.get(id(operation), 0)
                self._counts[id(operation)] = number + 1
                self.recorded.append((operation, number, outputs))
            return outputs

        with _LOCK:
            operation_class.__call__ = call
            try:
                yield
            finally:
                operation_class.__call__ = plain


class Tracer:
    """One trace. is_leaf: whether a layer is a leaf. read: what is done with a call, at once, so that an error has its
    place in the code of the network. shape: of a symbolic tensor, with `TracedSize`. create: the symbolic tensor that
    a function of `keras.ops` makes of such sizes, by its name and arguments.
    """

    def __init__(
        self,
        keras: Any,
        is_leaf: Callable[[Any], bool],
        read: Callable[[Call], None],
        shape: Callable[[Any], tuple[Any, ...]],
        create: Callable[[str, tuple[Any, ...], dict[str, Any]], Any],
    ) -> None:
        self.keras = keras
        self.is_leaf = is_leaf
        self.read = read
        self.shape = shape
        self.create = create
        self.place: list[Any] = []
        self.failed_at: tuple[Any, ...] = ()
        """The place of the first error."""
        self.failed_operation: Any = None
        self._recorder = Recorder(keras, is_leaf)
        self._scope: Any = None
        self._before: dict[int, tuple[Any, int, int]] = {}

    @property
    def recorded(self) -> list[Recorded]:
        """The calls of the trace."""
        return self._recorder.recorded

    def call(self, network: Any, inputs: Sequence[Any]) -> Any:
        """The outputs of a network for symbolic inputs."""
        structure = getattr(network, "_inputs_struct", None)
        if structure is None and getattr(network, "_functional", None) is not None:
            structure = network._functional._inputs_struct
        if structure is not None:
            return network(self.keras.tree.pack_sequence_as(structure, list(inputs)))
        shapes = network._build_shapes_dict
        if len(shapes) == len(inputs):
            names = [name.removesuffix("_shape") for name in shapes]
            if len(names) == 1:
                return network(inputs[0])
            return network(**dict(zip(names, inputs, strict=True)))
        [whole] = shapes.values()
        return network(in_structure(whole, list(inputs)))

    def operation(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The outputs of an operation of `keras.ops`, or of one of the user's."""
        try:
            outputs = self._spec(operation, args, kwargs)
            self.read(Call(operation, args, kwargs, outputs, tuple(self.place), True))
        except Exception:
            self._note_failure(operation)
            raise
        return outputs

    def layer(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The outputs of a layer: of its `call` where it is no leaf."""
        self._note_nodes(layer)
        self.place.append(layer)
        try:
            place = tuple(self.place)
            if kwargs.get("training"):
                raise InputError(
                    "it is called with training=True, and a graph computes predictions; leave the argument out"
                )
            is_leaf = self.is_leaf(layer)
            outputs = layer.compute_output_spec(*args, **kwargs) if is_leaf else layer.call(*args, **kwargs)
            self._check_variables()
            self.read(Call(layer, args, kwargs, outputs, place, is_leaf))
            return outputs
        except Exception:
            self._note_failure(layer)
            raise
        finally:
            self.place.pop()

    def _spec(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The symbolic outputs of an operation. Keras knows no size that depends on the inputs but None."""
        name = type(operation).__name__
        if name == "BatchNorm":
            # Keras does not tell the shape where it has a scale and no offset, or the other way round.
            x = args[0] if args else kwargs["x"]
            return self.keras.KerasTensor(x.shape, dtype=x.dtype)
        if name == "BroadcastTo":
            shape = tuple(None if isinstance(size, TracedSize) else size for size in operation.shape)
            return self.keras.KerasTensor(shape, dtype=args[0].dtype)
        if name in ("Tile", "Repeat") and _has_traced(self.keras, operation.repeats):
            # The axes that are repeated have a size that Keras does not know.
            return self._repeated_spec(operation, args[0])
        if name == "Conv" and args[0].shape[-1] != args[1].shape[-2]:
            # Keras does not tell the shape of a convolution in groups, which is that of one group's channels.
            group = self.keras.KerasTensor((*args[0].shape[:-1], args[1].shape[-2]), dtype=args[0].dtype)
            return operation.compute_output_spec(group, args[1])
        return operation.compute_output_spec(*args, **kwargs)

    def _repeated_spec(self, operation: Any, x: Any) -> Any:
        shape: list[int | None] = list(x.shape)
        if type(operation).__name__ == "Repeat":
            if operation.axis is None:
                shape = [None]
            else:
                shape[operation.axis] = None
            return self.keras.KerasTensor(tuple(shape), dtype=x.dtype)
        repeats = list(self.keras.tree.flatten(operation.repeats))
        while len(shape) < len(repeats):
            shape.insert(0, 1)
        for axis, times in enumerate(reversed(repeats), 1):
            size = shape[-axis]
            known = size is not None and not isinstance(times, TracedSize)
            shape[-axis] = size * times if known else None
        return self.keras.KerasTensor(tuple(shape), dtype=x.dtype)

    def _note_failure(self, operation: Any) -> None:
        if not self.failed_at:
            self.failed_at = tuple(self.place)
            self.failed_operation = operation

    def _note_nodes(self, layer: Any) -> None:
        """Keep the number of the nodes that Keras has noted at a layer: those of the trace are removed after it."""
        if id(layer) not in self._before:
            self._before[id(layer)] = (layer, len(layer._inbound_nodes), len(layer._outbound_nodes))

    def _check_variables(self) -> None:
        """Raise InputError where variables have got other values, those of a generator of random numbers included."""
        if self._scope.state_mapping:
            raise InputError(
                "it changes variables of the network, or draws random numbers, when it is called; a graph computes the "
                "same for each call; make what changes an input of the network"
            )

    def _remove_nodes(self) -> None:
        """Leave the layers of the user as they were."""
        for layer, inbound, outbound in self._before.values():
            del layer._inbound_nodes[inbound:]
            del layer._outbound_nodes[outbound:]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Symbolic calls of this thread are those of the trace. Variables keep their values.

        Raises InputError for a network that changes its own variables when it is called.
        """
        keras = self.keras
        thread = threading.get_ident()

        def own(method: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
            def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
                if threading.get_ident() != thread:
                    return plain(operation, *args, **kwargs)
                return method(operation, args, kwargs)

            return call

        def shape(x: Any) -> Any:
            if threading.get_ident() == thread and isinstance(x, keras.KerasTensor):
                return self.shape(x)
            return plain_shape(x)

        def convert_to_tensor(x: Any, *args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() == thread and isinstance(x, keras.KerasTensor):
                return keras.ops.convert_to_tensor(x, *args, **kwargs)
            return plain_convert(x, *args, **kwargs)

        def shape_of(tensor: Any) -> Any:
            # Keras itself expects None for a size that it does not know. Code of the user has numbers there when the
            # network runs, and would take another branch for None.
            caller = str(sys._getframe(1).f_globals.get("__name__", ""))
            if threading.get_ident() != thread or caller.partition(".")[0] in _LIBRARIES:
                return plain_shape_of(tensor)
            return self.shape(tensor)

        def creating(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                if threading.get_ident() != thread or not _has_traced(keras, (args, kwargs)):
                    return plain(*args, **kwargs)
                if args and isinstance(args[0], keras.KerasTensor):
                    return plain(*args, **kwargs)
                return self.create(name, args, kwargs)

            return call

        def unless_symbolic(plain: Callable[..., Any]) -> Callable[..., Any]:
            def call(variable: Any, other: Any) -> Any:
                if threading.get_ident() == thread and isinstance(other, keras.KerasTensor):
                    return NotImplemented  # so that Python asks the symbolic tensor
                return plain(variable, other)

            return call

        operations = internal_module("keras.src.ops", "shape", *_OF_SIZES)
        backend = internal_module("keras.src.backend", "convert_to_tensor")
        activations = internal_module("keras.src.activations.activations", "Mish")
        variable = internal_module("keras.src.backend.common.variables", "Variable").Variable
        plain_shape = keras.ops.shape
        plain_shape_of = keras.KerasTensor.shape.fget
        plain_convert = backend.convert_to_tensor
        filtered = keras.config.is_traceback_filtering_enabled()
        scope = keras.StatelessScope()
        self._scope = scope
        with ExitStack() as stack:
            stack.enter_context(_LOCK)
            stack.enter_context(self._recorder.recording())
            stack.callback(self._remove_nodes)
            for owner, name, value in (
                (keras.Operation, "symbolic_call", own(self.operation, keras.Operation.symbolic_call)),
                (keras.layers.Layer, "symbolic_call", own(self.layer, keras.layers.Layer.symbolic_call)),
                (keras.ops, "shape", shape),
                (operations, "shape", shape),
                (keras.KerasTensor, "shape", property(shape_of)),
                # What Keras calls on symbolic tensors without a check whether they are.
                (backend, "convert_to_tensor", convert_to_tensor),
                (activations.Mish, "static_call", staticmethod(_mish(activations.Mish, keras))),
            ):
                stack.enter_context(patch.object(owner, name, value))
            for name in _OF_SIZES:
                function = creating(name, getattr(keras.ops, name))
                stack.enter_context(patch.object(keras.ops, name, function))
                stack.enter_context(patch.object(operations, name, function))
            for name in _OPERATORS:
                stack.enter_context(patch.object(variable, name, unless_symbolic(getattr(variable, name))))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")  # Keras warns again of what it has warned of when the network was built
            # Else Keras writes the arguments of each call into the message of an error.
            keras.config.disable_traceback_filtering()
            if filtered:
                stack.callback(keras.config.enable_traceback_filtering)
            stack.enter_context(scope)
            yield
        self._check_variables()


def _mish(operation: Any, keras: Any) -> Callable[[Any], Any]:
    plain = operation.static_call

    def static_call(x: Any) -> Any:
        return operation()(x) if isinstance(x, keras.KerasTensor) else plain(x)

    return static_call


def _has_traced(keras: Any, structure: Any) -> bool:
    return any(isinstance(leaf, TracedSize) for leaf in keras.tree.flatten(structure))


def in_structure(structure: Any, tensors: list[Any]) -> Any:
    """Tensors in the structure of shapes, taken from the list in order."""
    if isinstance(structure, dict):
        return {name: in_structure(each, tensors) for name, each in structure.items()}
    if all(size is None or isinstance(size, int) for size in structure):
        return tensors.pop(0)
    return [in_structure(each, tensors) for each in structure]


def shown_place(place: Sequence[Any], operation: Any = None) -> str:
    """Where a call is: "lstm_1 (LSTM), layer 3 of 5", within a model "encoder (Functional): lstm_1 (LSTM), layer 3 of
    5". An operation that is no layer stands at the end.
    """
    if not place:
        return ""
    names = []
    for outer, layer in itertools.pairwise(place):
        shown = f"{layer.name} ({type(layer).__name__})"
        layers = getattr(outer, "layers", [])
        numbers = [number for number, each in enumerate(layers, 1) if each is layer]
        if numbers:
            shown += f", layer {numbers[0]} of {len(layers)}"
        names.append(shown)
    if operation is not None and operation is not place[-1]:
        names.append(f"{operation.name} ({type(operation).__name__})")
    if not names:
        names.append(f"{place[-1].name} ({type(place[-1]).__name__})")
    return ": ".join(names)
