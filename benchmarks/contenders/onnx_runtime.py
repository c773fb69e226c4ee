"""ONNX Runtime on length-sorted post-padded batches, in float32: it has no bfloat16 LSTM for CPUs (version 1.32:
"Could not find an implementation for LSTM(22)").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.contenders.base import Arrays, Settings, Sgemm, Task, Unavailable, random_matrix, seconds_of
from benchmarks.contenders.onnx_graph import OPSET, batches, graph


def load(kind: str, settings: Settings, arrays: Arrays) -> Task:
    if kind == "inference":
        return Inference(settings, arrays)
    if kind == "sgemm":
        product = _product(settings)
        return Sgemm(settings, random_matrix, lambda a, _: product(a), "MatMul with packed weights", _versions())
    raise Unavailable(f"ONNX Runtime does not support {kind}")


def _versions(**more: str) -> dict[str, str]:
    return {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__, **more}


def session(model: onnx.ModelProto, threads: int) -> Any:
    """A session on the CPU with `threads` threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


class Inference:
    """Logits of all reviews, batch by batch. Padding is not timed."""

    def __init__(self, settings: Settings, arrays: Arrays) -> None:
        self.settings = settings
        self.with_lengths = settings.get("sequence_lens", True)
        self.session = session(graph(arrays, self.with_lengths), settings["threads"])
        self.batches = batches(settings, arrays, self.with_lengths)

    def _logits(self) -> list[NDArray[np.float32]]:
        return [self.session.run(None, batch)[0] for batch in self.batches]

    def check(self) -> Arrays:
        return {"logits": np.concatenate(self._logits())[:, 0]}

    def run(self) -> float:
        return seconds_of(self._logits, repeats=self.settings["repeats"])

    def info(self) -> dict[str, str]:
        return _versions(settings=f"graph optimisation all, {'with' if self.with_lengths else 'without'} sequence_lens")


def _product(settings: Settings) -> Callable[[Any], Any]:
    """The product of a matrix with a constant one."""
    size = int(settings["size"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [size, size]) for name in "ac"]
    node, constant = helper.make_node("MatMul", ["a", "b"], ["c"]), numpy_helper.from_array(random_matrix(size), "b")
    made = helper.make_graph([node], "sgemm", ends[:1], ends[1:], [constant])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    opened = session(model, settings["threads"])
    return lambda a: opened.run(None, {"a": a})
