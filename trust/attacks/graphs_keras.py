"""Attacks on the reader of Keras: what it reads of random networks is what they compute."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.types import Array
from trust.attack import Attacks, missing
from trust.attacks.graph_cases import Change, Run, Wrong, changed, compare, leaves, reason_of, smallest
from trust.mutate import Rng

ATTACKS = Attacks()
EXAMPLE = (2, 7)  # sequences and steps
LONGEST = 40  # steps: Keras takes a millisecond for each


def _prepare() -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras
    import torch

    torch.set_num_threads(1)
    keras.config.disable_traceback_filtering()
    warnings.simplefilter("ignore")


def _program(seed: int, kept: Collection[int] | None, dtype: str = "float32") -> Any:
    """The network in a dtype."""
    import keras

    from trust.attacks.keras_programs import KerasProgram

    with _computing_in(dtype):
        keras.config.set_dtype_policy(dtype)
        try:
            return KerasProgram(keras, np.random.default_rng(seed), kept)
        finally:
            keras.config.set_dtype_policy("float32")


@contextmanager
def _computing_in(dtype: str) -> Iterator[None]:
    """Keras on PyTorch multiplies matrices of float64 in float32, unless its rules of promotion know float64."""
    import keras

    from gatewise.exchange.keras_original import promoting_to_float64

    keras.config.set_floatx(dtype)
    try:
        with promoting_to_float64() if dtype == "float64" else nullcontext():
            yield
    finally:
        keras.config.set_floatx("float32")


def _run(seed: int, kept: Collection[int] | None) -> Run:
    import keras
    import torch

    networks = {dtype: _program(seed, kept, dtype).network for dtype in ("float32", "float64")}

    def run(arguments: tuple[Any, ...], dtype: str, change: Change | None = None) -> list[Array]:
        network = networks[dtype]
        if change is not None:
            network = _program(seed, kept, "float64").network
            _change_weights(network, change)
        arrays = [array.astype(dtype if array.dtype.kind == "f" else np.int32) for array in changed(arguments, change)]
        with _computing_in(dtype), torch.no_grad():
            outputs = network(arrays if len(arrays) > 1 else arrays[0], training=False)
        return [np.array(keras.ops.convert_to_numpy(output)) for output in leaves(outputs)]

    return run


def _change_weights(network: Any, change: Change) -> None:
    import keras

    weights = [weight for weight in network.weights if weight.dtype == "float64"]
    arrays = changed([np.array(keras.ops.convert_to_numpy(weight)) for weight in weights], change)
    for weight, array in zip(weights, arrays, strict=True):
        weight.assign(array)


def _check(seed: int, of_inputs: int, kept: Collection[int] | None = None) -> str:
    """What becomes of a network, for a count. Raises Wrong, or what the reader should not raise."""
    from gatewise.exchange.keras_graph import read_keras

    try:
        program = _program(seed, kept)
        run = _run(seed, kept)
    except ValueError:  # Keras itself refuses the network
        return "no network"
    rng = np.random.default_rng(of_inputs)
    example = program.arguments(rng, *EXAMPLE)
    try:
        run(example, "float32")
    except Exception:
        return "no network"
    try:
        network = read_keras(program.network)
    except InputError as error:
        return reason_of(error)

    def batches() -> Iterator[tuple[Any, ...]]:
        yield example
        yield program.arguments(rng, 1, int(rng.integers(1, 9)))
        yield program.arguments(rng, int(rng.integers(1, 6)), 1)
        yield program.arguments(rng, int(rng.integers(1, 65)), int(np.exp(rng.uniform(0, np.log(LONGEST)))))

    return compare(network, run, batches())


@ATTACKS.add(
    "imports-keras-graph",
    6,
    8_000,
    prepare=_prepare,
    unavailable=lambda: missing("keras", "torch"),
    seconds=300.0,
    memory=0,
)
def _networks(rng: Rng, folder: Path) -> str:
    """The graph that is read of a network of Keras computes what Keras computes in float64, to 1e-5 relative to numbers
    above 1, for all sizes and numbers, or the network or the inputs are refused in one line.

    random functional networks of up to 12 layers and operations: recurrences of all kinds and merge modes, cells,
    masks of ids and of numbers with every pooling, attention, norms, convolutions, keras.ops, several inputs and
    outputs; some with a hostile layer; batches of 1 to 64, numbers from 1e-3 to 1e3, NaN, pads anywhere, rows of pads
    """
    seed = int(rng.integers(2**62))
    of_inputs = int(rng.integers(2**62))
    try:
        return _check(seed, of_inputs)
    except Exception:
        steps = list(_program(seed, None).texts)
        kept, error = smallest(lambda kept: _check(seed, of_inputs, kept), steps)
        kind = "" if isinstance(error, Wrong) else f"{type(error).__name__}: "
        raise Wrong(f"{kind}{error} [{_program(seed, kept)}]") from error
