"""Attacks on the reader of ONNX files: what it reads of files that PyTorch writes is what PyTorch computes.

The oracle is the module in float64. Where the exporter has written another network, it is the reference evaluator of
the ONNX project in float64, and ONNX Runtime, which has float32 only.
"""

from __future__ import annotations

import atexit
import logging
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.network.graph import Graph
from gatewise.types import Array
from trust.attack import Attacks, missing
from trust.attacks.graph_cases import (
    Change,
    Run,
    Wrong,
    changed,
    check_outputs,
    check_rounded,
    opened,
    random_sizes,
    reason_of,
)
from trust.attacks.graphs_torch import run_of
from trust.mutate import Rng
from trust.onnx_peer import OnnxPeer, PeerCrashError, PeerRefusesError

ATTACKS = Attacks()
EXAMPLE = (2, 7)  # sequences and steps


def _prepare() -> None:
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)


def _export(program: Any, example: tuple[Array, ...], path: Path) -> None:
    """Write the file of a module, with sizes of the batch and the steps that depend on the inputs."""
    import torch

    names = [f"in{number}" for number in range(len(program.inputs))]
    axes: dict[str, dict[int, str]] = {}
    for name, value in zip(names, program.inputs, strict=True):
        axes[name] = {0: "B"}
        if value.kind in ("ids", "sequence"):
            steps = value.steps
            axes[name] = {0: steps, 1: "B"} if program.time_first else {0: "B", 1: steps}
    tensors = tuple(torch.from_numpy(array) for array in example)
    torch.onnx.export(program, tensors, path, input_names=names, dynamic_axes=axes, dynamo=False, opset_version=17)


@cache
def _peer() -> OnnxPeer:
    """The process of all files. It ends with this one."""
    peer = OnnxPeer()
    atexit.register(peer.stop)
    return peer


def _reference(path: Path, inputs: Sequence[str]) -> Run:
    """The file by the reference evaluator. inputs: the names of its inputs."""
    import onnx

    from gatewise.exchange.onnx_network import with_float_type
    from gatewise.exchange.onnx_reference import evaluator

    types = {"float32": onnx.TensorProto.FLOAT, "float64": onnx.TensorProto.DOUBLE}

    def run(arguments: tuple[Any, ...], dtype: str, change: Change | None = None) -> list[Array]:
        raw = with_float_type(onnx.load(path), types[dtype])
        model = onnx.load_model_from_string(raw)
        # The weights are the initializers; the numbers in Constant nodes are those of the code.
        weights = [onnx.numpy_helper.to_array(weight) for weight in model.graph.initializer]
        for weight, array in zip(model.graph.initializer, changed(weights, change), strict=True):
            weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
        arrays = [array.astype(dtype) if array.dtype.kind == "f" else array for array in changed(arguments, change)]
        outputs = evaluator(model.SerializeToString()).run(None, dict(zip(inputs, arrays, strict=True)))
        return [np.asarray(output) for output in outputs]

    return run


class _File:
    """A file that a module was exported to. facts: what was seen of it, for a count."""

    def __init__(self, path: Path, graph: Graph, module: Run) -> None:
        self.graph = graph
        self.facts: set[str] = set()
        self._module = module
        self._reference = _reference(path, list(graph.inputs))
        self._loaded = False
        try:
            _peer().load(path)
            self._loaded = True
        except PeerRefusesError:
            self.facts.add("ONNX Runtime does not load it")
        except PeerCrashError:
            self.facts.add("ONNX Runtime crashed")

    def check(self, of_module: tuple[Any, ...]) -> None:
        """Raise Wrong where the graph is not what was exported. of_module: the arguments of the module.

        Raises the InputError of the graph for inputs for which it does not hold.
        """
        # The exporter leaves out the inputs that the module does not read.
        places = [int(name.removeprefix("in")) for name in self.graph.inputs]
        read = tuple(of_module[place] for place in places)

        def module(arguments: tuple[Any, ...], dtype: str, change: Change | None = None) -> list[Array]:
            every = list(of_module)
            for place, array in zip(places, arguments, strict=True):
                every[place] = array
            return self._module(tuple(every), dtype, change)

        runtime = self._runtime(read)
        oracle: Run = module
        try:
            check_outputs(self.graph, module, read)
        except Wrong:
            # Tracing writes down one branch, and what a number or a size was.
            check_outputs(self.graph, self._reference, read)
            self.facts.add("the exporter wrote another network")
            oracle = self._reference
        if runtime is None:
            return
        try:
            check_rounded(runtime, oracle, read)
        except Wrong:
            self.facts.add("ONNX Runtime is off by more than rounding")

    def _runtime(self, arguments: tuple[Any, ...]) -> list[Array] | None:
        """The outputs of ONNX Runtime, None where it does not load the file, refuses the inputs or has crashed."""
        if not self._loaded:
            return None
        try:
            return _peer().run(dict(zip(self.graph.inputs, arguments, strict=True)))
        except PeerRefusesError:  # the file holds for other sizes only: so must the graph, or be right
            self.facts.add("ONNX Runtime refuses some sizes")
            return None
        except PeerCrashError:
            self._loaded = False
            self.facts.add("ONNX Runtime crashed")
            return None


@ATTACKS.add(
    "imports-onnx-graph",
    10,
    4_000,
    prepare=_prepare,
    unavailable=lambda: missing("torch", "onnx", "onnxruntime"),
    seconds=300.0,
    memory=0,
)
def _files(rng: Rng, folder: Path) -> str:
    """The graph that is read of an ONNX file computes what the exported module computes in float64, or what the file
    computes where the exporter wrote another network, to 1e-5 relative to numbers above 1, or the file or the inputs
    are refused in one line.

    the random modules of imports-torch-graph as files of PyTorch's exporter; batches of 1 to 64, 1 to 100 steps,
    numbers from 1e-3 to 1e3, pads anywhere; crashes of ONNX Runtime are counted
    """
    from gatewise.exchange.onnx_network import read_onnx
    from trust.attacks.torch_programs import Program

    seed = int(rng.integers(2**62))
    program = Program(seed)
    example = program.arguments(rng, *EXAMPLE, missing=0)
    path = folder / "module.onnx"
    # PyTorch writes the logarithm of a sigmoid, of which float32 has few digits below -80.
    if "LogSigmoid" in str(program):
        return "no file"
    try:
        _export(program, example, path)
    except Exception:  # PyTorch does not export it
        return "no file"
    try:
        graph = read_onnx(path).graph
    except InputError as error:
        return reason_of(error).replace(str(folder), "FOLDER")
    module = run_of(seed)
    file = _File(path, graph, module)
    compared = 0
    refused = 0
    # Of a thousand equal numbers, the variance that ONNX Runtime computes is not zero.
    for batch, steps in random_sizes(rng, EXAMPLE, long=0):
        arguments = program.arguments(rng, batch, steps, missing=0)
        try:
            module(arguments, "float32")
        except Exception:  # PyTorch refuses these inputs, such as a recurrence of no step
            continue
        try:
            file.check(arguments)
        except InputError:
            refused += 1
        except Wrong as error:
            raise Wrong(f"{error}; {batch} sequences of {steps} steps [{program}]") from error
        else:
            compared += 1
    return "; ".join([opened(compared, refused), *sorted(file.facts)])
