"""Attacks on the reader of PyTorch modules: what it reads of random modules is what they compute."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.types import Array
from trust.attack import Attacks, missing
from trust.attacks.graph_cases import Change, Run, Wrong, changed, compare, leaves, random_sizes, reason_of, smallest
from trust.mutate import Rng

ATTACKS = Attacks()
EXAMPLE = (2, 7)  # sequences and steps


def _prepare() -> None:
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")


def _tensors(arguments: tuple[Array, ...], dtype: str) -> list[Any]:
    """Copies: a module may write into its inputs."""
    import torch

    return [torch.from_numpy(array.astype(dtype) if array.dtype.kind == "f" else array.copy()) for array in arguments]


def run_of(seed: int, kept: Collection[int] | None = None) -> Run:
    """The module of a seed, built anew for each dtype, and where its weights are changed."""
    import torch

    from trust.attacks.torch_programs import Program

    modules = {"float32": Program(seed, kept), "float64": Program(seed, kept).double()}

    def run(arguments: tuple[Any, ...], dtype: str, change: Change | None = None) -> list[Array]:
        module = modules[dtype]
        if change is not None:
            module = Program(seed, kept).double()
            _change_weights(module, change)
        torch.set_default_dtype(getattr(torch, dtype))
        try:
            with torch.no_grad():
                outputs = module(*_tensors(tuple(changed(arguments, change)), dtype))
        finally:
            torch.set_default_dtype(torch.float32)
        return [np.array(output) for output in leaves(outputs)]

    return run


def _change_weights(module: Any, change: Change) -> None:
    tensors = [*module.parameters(), *module.buffers()]
    arrays = changed([tensor.detach().numpy() for tensor in tensors], change)
    for tensor, array in zip(tensors, arrays, strict=True):
        tensor.data = _tensors((array,), "float64")[0]


def _read(seed: int, kept: Collection[int] | None, example: tuple[Array, ...]) -> Any:
    from gatewise.exchange.torch_graph import read_torch
    from trust.attacks.torch_programs import Program

    tensors = _tensors(example, "float32")
    return read_torch(Program(seed, kept), tuple(tensors) if len(tensors) > 1 else tensors[0])


def _check(seed: int, of_inputs: int, kept: Collection[int] | None = None) -> str:
    """What becomes of a module, for a count. Raises Wrong, or what the reader should not raise."""
    from trust.attacks.torch_programs import Program

    program = Program(seed, kept)
    run = run_of(seed, kept)
    rng = np.random.default_rng(of_inputs)
    example = program.arguments(rng, *EXAMPLE)
    try:
        run(example, "float32")
    except Exception:
        return "no module"
    try:
        network = _read(seed, kept, example)
    except InputError as error:
        return reason_of(error)

    def batches() -> Iterator[tuple[Any, ...]]:
        yield example
        for batch, steps in random_sizes(rng, EXAMPLE):
            yield program.arguments(rng, batch, steps)

    return compare(network, run, batches())


@ATTACKS.add(
    "imports-torch-graph",
    6,
    12_000,
    prepare=_prepare,
    unavailable=partial(missing, "torch"),
    seconds=300.0,
    memory=0,
)
def _modules(rng: Rng, folder: Path) -> str:
    """The graph that is read of a PyTorch module computes what the module computes in float64, to 1e-5 relative to
    numbers above 1, for all sizes and numbers, or the module or the inputs are refused in one line.

    random modules of up to 14 operations: recurrences of all kinds, packed or from a state, loops of cells, masks,
    slices, attention, norms, convolutions, poolings, arithmetic, comparisons, several inputs and outputs; a fifth of
    them with a hostile operation; batches of 1 to 64, 1 to 2,000 steps, numbers from 1e-3 to 1e3, NaN, pads anywhere
    """
    seed = int(rng.integers(2**62))
    of_inputs = int(rng.integers(2**62))
    try:
        return _check(seed, of_inputs)
    except Exception:
        from trust.attacks.torch_programs import Program

        steps = [step.output.number for step in Program(seed).steps]
        kept, error = smallest(lambda kept: _check(seed, of_inputs, kept), steps)
        program = Program(seed, kept)
        kind = "" if isinstance(error, Wrong) else f"{type(error).__name__}: "
        raise Wrong(f"{kind}{error} [{program}]") from error
