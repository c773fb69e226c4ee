"""What a Keras network itself computes, in float64 too: the original with which its graph is compared."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.exchange.keras_backend import UnknownVersionError, internal_module, torch_inference
from gatewise.exchange.keras_layers import is_leaf
from gatewise.exchange.keras_trace import Recorder, in_structure
from gatewise.types import Array

_MASKED = -1e38  # a logit that float32 has a number for


class ValueKey(NamedTuple):
    """A value of the original: which output of which call of an operation or layer. operation: None for the outputs of
    the network.
    """

    operation: Any
    call: int
    output: int


class OriginalValues:
    """A network that runs as it is, on values. Its variables and states stay as they are: those that a call would
    change, such as the states of a stateful layer, are zero at its start.
    """

    def __init__(self, keras: Any, network: Any) -> None:
        self.keras = keras
        self.network = network

    def run(self, inputs: Sequence[Array], keys: Mapping[str, ValueKey], dtype: str) -> dict[str, Array]:
        """The values with these keys, by name, in "float64" or "float32". Raises InputError where the network does not
        take these inputs, or a layer does not compute in float64.
        """
        recorder = Recorder(self.keras, is_leaf)
        try:
            # Recording comes first: it holds the lock under which a thread may change what Keras keeps for all of them.
            with (
                recorder.recording(),
                _float64_of_jax(self.keras, dtype),
                _float64_of_tensorflow(self.keras, dtype),
                self._computing_in(dtype),
                torch_inference(self.keras),
            ):
                outputs = self._call(inputs, dtype)
        except UnknownVersionError:
            raise
        except Exception as error:  # of Keras, of its backend, or of the code of the network
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            failed = recorder.failed
            where = "" if failed is None else f"{failed.name} ({type(failed).__name__}): "
            raise InputError(
                f"the Keras network does not compute these inputs in {dtype}: {where}{quote(reason, 200)}"
            ) from error
        calls = {(id(operation), number): result for operation, number, result in recorder.recorded}
        calls[id(None), 0] = outputs
        values: dict[str, Array] = {}
        for name, key in keys.items():
            result = calls.get((id(key.operation), key.call))
            if result is None:
                raise InputError(
                    f"the Keras network did not call {quote(key.operation.name)}, as it did when it was read"
                )
            flat = self.keras.tree.flatten(result)
            values[name] = np.asarray(self.keras.ops.convert_to_numpy(flat[key.output]))
        return values

    def _call(self, inputs: Sequence[Array], dtype: str) -> Any:
        keras = self.keras
        tensors = []
        for array in inputs:
            kind = dtype if array.dtype.kind == "f" else array.dtype.name
            tensors.append(keras.ops.convert_to_tensor(array, dtype=kind))
        network = self.network
        structure = getattr(network, "_inputs_struct", None)
        if structure is None and getattr(network, "_functional", None) is not None:
            structure = network._functional._inputs_struct
        if structure is not None:
            return network(keras.tree.pack_sequence_as(structure, tensors))
        shapes = network._build_shapes_dict
        if len(shapes) == len(tensors):
            names = [name.removesuffix("_shape") for name in shapes]
            if len(names) == 1:
                return network(tensors[0])
            return network(**dict(zip(names, tensors, strict=True)))
        [whole] = shapes.values()
        return network(in_structure(whole, tensors))

    @contextmanager
    def _computing_in(self, dtype: str) -> Iterator[None]:
        """The variables have this dtype, and so have the layers, the inputs and the casts of the network. Nothing of
        the network is changed after it.
        """
        keras = self.keras
        layers = self.network._flatten_layers()
        scope = keras.StatelessScope()
        states = [state for layer in layers for state in keras.tree.flatten(getattr(layer, "states", None) or [])]
        for variable in self.network.variables:
            if not str(variable.dtype).startswith("float"):
                continue
            value = keras.ops.convert_to_tensor(np.asarray(keras.ops.convert_to_numpy(variable.value)), dtype=dtype)
            scope.state_mapping[id(variable)] = value
        for state in states:
            scope.state_mapping[id(state)] = keras.ops.zeros(tuple(state.shape), dtype=dtype)
        other = "float32" if dtype == "float64" else "float64"
        policy = keras.DTypePolicy(dtype)
        with ExitStack() as stack:
            for layer in layers:
                if layer.dtype_policy.compute_dtype == other:
                    stack.callback(_set_policy, layer, layer.dtype_policy)
                    _set_policy(layer, policy)
                for attributes, name in _dtypes_within(layer, other):
                    stack.enter_context(patch.dict(attributes, {name: dtype}))
            stack.callback(keras.config.set_floatx, keras.config.floatx())
            keras.config.set_floatx(dtype)
            if dtype == "float64":
                stack.enter_context(promoting_to_float64())
            # Else Keras writes the arguments of each call into the message of an error.
            if keras.config.is_traceback_filtering_enabled():
                stack.callback(keras.config.enable_traceback_filtering)
                keras.config.disable_traceback_filtering()
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")  # of masks that end at a layer, or of a softmax over one step
            stack.enter_context(scope)
            yield


@contextmanager
def _float64_of_jax(keras: Any, dtype: str) -> Iterator[None]:
    """JAX computes in float32 where float64 is asked for, unless it is told otherwise. It is told for this thread, and
    before the variables are converted.
    """
    if keras.config.backend() != "jax" or dtype != "float64":
        yield
        return
    # Keras has imported its backend. An import here would make JAX a requirement of this package.
    jax = sys.modules["jax"]
    attention = _attention_in_float64(jax, jax.nn.dot_product_attention)
    with jax.enable_x64(True), patch.object(jax.nn, "dot_product_attention", attention):
        yield


@contextmanager
def _float64_of_tensorflow(keras: Any, dtype: str) -> Iterator[None]:
    """TensorFlow rounds numbers of Python to float32 before it casts them to float64, and so it does with the slope of
    a leaky ReLU. Here both have the precision of the tensors.
    """
    if keras.config.backend() != "tensorflow" or dtype != "float64":
        yield
        return
    # Keras has imported its backend. An import here would make TensorFlow a requirement of this package.
    tensorflow = sys.modules["tensorflow"]
    functions = internal_module("tensorflow.python.ops.math_ops", "cast")  # which gelu calls
    activations = internal_module("keras.src.backend.tensorflow.nn", "leaky_relu")
    plain_cast = tensorflow.cast
    plain_leaky_relu = activations.leaky_relu

    def cast(x: Any, dtype: Any, name: str | None = None) -> Any:
        # Other dtypes, such as integers, are rounded by TensorFlow itself.
        if isinstance(x, float) and tensorflow.as_dtype(dtype) == tensorflow.float64:
            return tensorflow.constant(x, dtype=dtype)
        return plain_cast(x, dtype, name)

    def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
        x = tensorflow.convert_to_tensor(x)
        if x.dtype != tensorflow.float64:
            return plain_leaky_relu(x, negative_slope)
        return tensorflow.where(x > 0, x, cast(negative_slope, x.dtype) * x)

    with (
        patch.object(tensorflow, "cast", cast),
        patch.object(functions, "cast", cast),
        patch.object(activations, "leaky_relu", leaky_relu),
    ):
        yield


def _attention_in_float64(jax: Any, own: Callable[..., Any]) -> Callable[..., Any]:
    """JAX's attention with a softmax in float64: its own one is in float32 always. JAX's result stays where both
    differ by more than the rounding of float32, so that a difference of another kind is found.
    """
    numpy = jax.numpy

    def attention(query: Any, key: Any, value: Any, bias: Any = None, mask: Any = None, **options: Any) -> Any:
        rounded = own(query, key, value, bias=bias, mask=mask, **options)
        if query.shape[2] != key.shape[2]:  # heads that share their keys
            return rounded
        scale = options.get("scale")
        if scale is None:
            scale = query.shape[-1] ** -0.5
        logits = scale * numpy.einsum("btnh,bsnh->bnts", query, key)
        if bias is not None:
            logits = logits + bias
        read = numpy.ones(logits.shape, dtype=bool) if mask is None else numpy.broadcast_to(mask, logits.shape)
        if options.get("is_causal"):
            read = numpy.tril(read)
        # Finite, so that a step that may read no other one reads all of them alike, as in JAX.
        weights = jax.nn.softmax(numpy.where(read, logits, _MASKED), axis=-1)
        exact = numpy.einsum("bnts,bsnh->btnh", weights, value)
        largest = 1.0 + numpy.max(numpy.abs(logits), initial=0.0)
        rounding = 2.0**-20 * largest * numpy.max(numpy.abs(value), initial=0.0)
        return numpy.where(numpy.abs(exact - rounded) <= rounding, exact, rounded)

    return attention


@contextmanager
def promoting_to_float64() -> Iterator[None]:
    """Keras's rules of promotion know float64: on PyTorch and JAX they make float32 of it."""
    table = internal_module("keras.src.backend.common.dtypes", "BIT64_TO_BIT32_DTYPE").BIT64_TO_BIT32_DTYPE
    before = table["float64"]
    table["float64"] = "float64"
    try:
        yield
    finally:
        table["float64"] = before


def _set_policy(layer: Any, policy: Any) -> None:
    layer.dtype_policy = policy


def _dtypes_within(layer: Any, dtype: str) -> Iterator[tuple[dict[str, Any], str]]:
    """The attributes that say this dtype, and the name of each: of an InputLayer, or of the inputs and casts of a
    functional model.
    """
    # A Sequential model converts its inputs to the dtype of its InputLayer.
    if type(layer).__name__ == "InputLayer" and layer.dtype == dtype:
        yield vars(layer), "_dtype"
    functional = getattr(layer, "_functional", None)  # of a Sequential model
    if functional is not None:
        yield from _dtypes_within(functional, dtype)
    for tensor in getattr(layer, "_inputs", None) or []:
        if getattr(tensor, "_dtype", "") == dtype:
            yield vars(tensor), "_dtype"
    for operation in getattr(layer, "_operations", None) or []:
        if type(operation).__name__ == "Cast" and str(operation.dtype) == dtype:
            yield vars(operation), "dtype"
