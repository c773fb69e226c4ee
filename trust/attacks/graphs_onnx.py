"""Attacks on the reader of ONNX files: what it reads of files that PyTorch writes is what ONNX Runtime computes."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

from gatewise.errors import InputError
from gatewise.types import Array
from trust.attack import Attacks, missing
from trust.attacks.graph_cases import Wrong, check_runtime, random_sizes, reason_of
from trust.mutate import Rng

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


@ATTACKS.add(
    "imports-onnx-graph",
    10,
    4_000,
    prepare=_prepare,
    unavailable=lambda: missing("torch", "onnx", "onnxruntime"),
    seconds=120.0,
    memory=0,
)
def _files(rng: Rng, folder: Path) -> str:
    """The graph that is read of an ONNX file computes what ONNX Runtime computes, to 1e-5 relative to numbers above 1,
    or the file or the inputs are refused in one line.

    the random modules of imports-torch-graph as files of PyTorch's exporter; batches of 1 to 64, 1 to 100 steps,
    numbers from 1e-3 to 1e3, pads anywhere
    """
    import onnxruntime
    import torch

    from gatewise.exchange.onnx_network import read_onnx
    from trust.attacks.torch_programs import Program

    program = Program(int(rng.integers(2**62)))
    example = program.arguments(rng, *EXAMPLE, missing=0)
    path = folder / "module.onnx"
    # PyTorch writes the logarithm of a sigmoid, of which float32 has few digits below -80.
    if "LogSigmoid" in str(program):
        return "no file"
    try:
        _export(program, example, path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception:  # PyTorch does not export it, or ONNX Runtime does not load it
        return "no file"
    try:
        graph = read_onnx(path).graph
    except InputError as error:
        return reason_of(error).replace(str(folder), "FOLDER")

    def run(arguments: tuple[Any, ...]) -> list[Array]:
        outputs: list[Array] = session.run(None, dict(zip(graph.inputs, arguments, strict=True)))
        return outputs

    refused = 0
    # Of a thousand equal numbers, the variance that ONNX Runtime computes is not zero.
    for batch, steps in random_sizes(rng, EXAMPLE, long=0):
        arguments = program.arguments(rng, batch, steps, missing=0)
        try:
            # ONNX Runtime also computes what PyTorch refuses, such as a recurrence of no step.
            with torch.no_grad():
                program(*(torch.from_numpy(array.copy()) for array in arguments))
            run(arguments)
        except Exception:  # the file holds for the sizes of the example only
            continue
        try:
            check_runtime(graph, run, arguments)
        except InputError:
            refused += 1
        except Wrong as error:
            raise Wrong(f"{error}; {batch} sequences of {steps} steps [{program}]") from error
    return "opens for some sizes" if refused else "opens"
