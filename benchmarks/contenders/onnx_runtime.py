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

from benchmarks.contenders.base import Arrays, Settings, Task, inference_task, random_matrix, sgemm
from benchmarks.contenders.onnx_graph import OPSET, batches, graph


def _info(settings: str) -> dict[str, str]:
    return {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__, "settings": settings}


def session(model: onnx.ModelProto, threads: int) -> Any:
    """A session on the CPU with `threads` threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def inference(settings: Settings, arrays: Arrays) -> Task:
    """Logits of all reviews, batch by batch. Padding is not timed."""
    with_lengths = settings["sequence_lens"]
    opened, feeds = session(graph(arrays, with_lengths), settings["threads"]), batches(settings, arrays, with_lengths)

    def logits() -> list[NDArray[np.float32]]:
        return [opened.run(None, feed)[0] for feed in feeds]

    info = _info(f"graph optimisation all, {'with' if with_lengths else 'without'} sequence_lens")
    return inference_task(logits, settings, info)


def product(settings: Settings, arrays: Arrays) -> Task:
    """The product of a matrix with a constant one."""
    size = int(settings["size"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [size, size]) for name in "ac"]
    node, constant = helper.make_node("MatMul", ["a", "b"], ["c"]), numpy_helper.from_array(random_matrix(size), "b")
    made = helper.make_graph([node], "sgemm", ends[:1], ends[1:], [constant])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    opened = session(model, settings["threads"])
    run = lambda a, _: opened.run(None, {"a": a})  # noqa: E731
    return sgemm(settings, random_matrix, run, "MatMul with packed weights", _info(""))


TASKS = {"inference": inference, "sgemm": product}
