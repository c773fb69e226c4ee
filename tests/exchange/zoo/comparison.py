"""The graph of a network against the network itself, run in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.exchange.keras_backend import torch_inference
from gatewise.network.graph import Graph
from tests.exchange.zoo.case import Case

TOLERANCE = 1e-5  # of a number, relative to numbers above 1
ROUNDING = 10.0  # a graph may differ from float64 by this many times what the network in float32 itself differs

Run = Callable[[tuple[Any, ...], str], list[Any]]
"""Of the arguments of a network and a dtype, "float32" or "float64": its outputs."""


def leaves(value: Any) -> list[Any]:
    """The arrays in nested tuples, lists and dicts, in their order."""
    if isinstance(value, dict):
        return [leaf for key in value for leaf in leaves(value[key])]
    if isinstance(value, (tuple, list)):
        return [leaf for one in value for leaf in leaves(one)]
    return [value]


def to_torch(value: Any, dtype: str = "float32") -> Any:
    """Tensors for the arrays in nested tuples; floating-point numbers of this dtype."""
    import torch

    if isinstance(value, tuple):
        return tuple(to_torch(one, dtype) for one in value)
    array = np.asarray(value)
    return torch.from_numpy(array.astype(dtype) if array.dtype.kind == "f" else array)


def torch_run(build: Callable[[], Any]) -> Run:
    """Runs a module, of a function that builds it with the same weights each time, and one in float64."""
    import torch

    # They are built, not copied: the functions and hooks of a copy are those of the module that was copied.
    modules = {"float32": build(), "float64": build().double()}

    def run(arguments: tuple[Any, ...], dtype: str) -> list[Any]:
        # A module that makes tensors of the default dtype, such as an initial state, makes them of this one.
        torch.set_default_dtype(getattr(torch, dtype))
        try:
            with torch.no_grad():
                outputs = modules[dtype](*to_torch(arguments, dtype))
        finally:
            torch.set_default_dtype(torch.float32)
        return [np.asarray(output) for output in leaves(outputs) if output is not None]

    return run


def graph_outputs(graph: Graph, arguments: tuple[Any, ...]) -> list[Any]:
    """The outputs of a graph for the arguments of its network."""
    outputs = graph.run(dict(zip(graph.inputs, leaves(arguments), strict=True)))
    return [outputs[name] for name in graph.outputs]


def difference(computed: Sequence[Any], float32: Sequence[Any], float64: Sequence[Any]) -> str:
    """What is wrong with the outputs of a graph, "" if they are those of the network."""
    if len(computed) != len(float64):
        return f"{len(computed)} outputs, not {len(float64)}"
    for number, (array, rounded, exact) in enumerate(zip(computed, float32, float64, strict=True)):
        array = np.asarray(array)
        if array.shape != exact.shape:
            return f"output {number} has the shape {array.shape}, not {exact.shape}"
        if exact.dtype.kind != "f":
            # An argmax may choose another of two equal numbers where float32 does.
            differs = np.asarray((array != exact) & (rounded == exact))
            if differs.any():
                return f"output {number} has {array[differs][0]}, not {exact[differs][0]}"
            continue
        if not np.array_equal(np.isnan(array), np.isnan(exact)):
            return f"output {number} is NaN in other places"
        defined = np.isfinite(exact)
        if not np.array_equal(array[~defined & ~np.isnan(exact)], exact[~defined & ~np.isnan(exact)]):
            return f"output {number} is infinite in other places"
        exact, array, rounded = exact[defined], array[defined].astype(np.float64), rounded[defined]
        scale = max(1.0, float(np.abs(exact).max(initial=0)))
        error = float(np.abs(array - exact).max(initial=0))
        own = float(np.nan_to_num(np.abs(rounded - exact), nan=0.0, posinf=0.0).max(initial=0))
        if not error <= TOLERANCE * scale + ROUNDING * own:
            return f"output {number} is off by {error:.2g} of {scale:.2g}; float32 is off by {own:.2g}"
    return ""


def sizes(case: Case) -> Iterator[tuple[int, int]]:
    """The numbers of sequences and steps for which a case is compared."""
    yield case.example
    for steps in case.steps:
        for batch in case.batches:
            yield batch, steps


def check_graph(graph: Graph, run: Run, case: Case, *, may_refuse: bool = False) -> None:
    """Compare a graph with its network at all sizes of the case. may_refuse: the graph may raise InputError for some of
    them, as for sizes for which it does not hold.
    """
    rng = np.random.default_rng(7)
    for batch, steps in sizes(case):
        arguments = case.inputs(rng, batch, steps)
        try:
            computed = graph_outputs(graph, arguments)
        except InputError:
            if may_refuse:
                continue
            raise
        wrong = difference(computed, run(arguments, "float32"), run(arguments, "float64"))
        assert not wrong, f"{batch} sequences of {steps} steps: {wrong}"


def keras_run(keras: Any, build: Callable[[], Any]) -> Run:
    """Runs a network of Keras, of a function that builds it with the same weights each time, and one in float64."""
    networks = {}
    for dtype in ("float32", "float64"):
        keras.config.set_floatx(dtype)
        keras.config.set_dtype_policy(dtype)
        try:
            networks[dtype] = build()
        finally:
            keras.config.set_floatx("float32")
            keras.config.set_dtype_policy("float32")

    def run(arguments: tuple[Any, ...], dtype: str) -> list[Any]:
        arrays = [array.astype(dtype) if array.dtype.kind == "f" else array for array in arguments]
        # Each run of a stateful network starts as its first.
        for layer in networks[dtype].layers:
            if getattr(layer, "stateful", False):
                layer.reset_state()
        keras.config.set_floatx(dtype)
        try:
            with torch_inference(keras):
                outputs = networks[dtype](arrays if len(arrays) > 1 else arrays[0], training=False)
        finally:
            keras.config.set_floatx("float32")
        # A graph has the outputs of a dict in the order of their names, as Keras flattens it. TensorFlow returns the
        # dict as the network has it.
        return [keras.ops.convert_to_numpy(output) for output in keras.tree.flatten(outputs)]

    return run
