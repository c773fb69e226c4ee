"""ONNX Runtime on length-sorted post-padded batches, in float32: it has no bfloat16 LSTM for CPUs (version 1.32:
"Could not find an implementation for LSTM(22)").
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.contenders.base import Arrays, Settings, Task, Unavailable, seconds_of
from benchmarks.contenders.onnx_graph import OPSET, batches, graph


def load(kind: str, settings: Settings, arrays: Arrays) -> Task:
    if kind == "inference":
        return Inference(settings, arrays)
    if kind == "sgemm":
        return Sgemm(settings)
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


class Sgemm:
    """Seconds for 10⁹ floating-point operations of a square product of `size`."""

    def __init__(self, settings: Settings) -> None:
        self.size = size = int(settings["size"])
        rng = np.random.default_rng(0)
        self.a, b = rng.standard_normal((2, size, size), dtype=np.float32)
        model = helper.make_model(
            helper.make_graph(
                [helper.make_node("MatMul", ["a", "b"], ["c"])],
                "sgemm",
                [helper.make_tensor_value_info("a", TensorProto.FLOAT, [size, size])],
                [helper.make_tensor_value_info("c", TensorProto.FLOAT, [size, size])],
                [numpy_helper.from_array(b, "b")],
            ),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=9,
        )
        self.session = session(model, settings["threads"])

    def check(self) -> Arrays:
        return {}

    def run(self) -> float:
        return seconds_of(lambda: self.session.run(None, {"a": self.a}), warmup=1, repeats=3) / (2e-9 * self.size**3)

    def info(self) -> dict[str, str]:
        return _versions(settings=f"MatMul with packed weights, {self.size}")
