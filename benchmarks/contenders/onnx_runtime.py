"""ONNX Runtime: the network as a graph (Gather, LSTM, MatMul), on length-sorted post-padded batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.contenders.base import Arrays, Settings, Task, Unavailable, padded, reviews_of, seconds_of

OPSET = 17


def load(kind: str, settings: Settings, arrays: Arrays) -> Task:
    if kind == "inference":
        return Inference(settings, arrays)
    if kind == "sgemm":
        return Sgemm(settings)
    raise Unavailable(f"ONNX Runtime does not support {kind}")


def _versions(**more: str) -> dict[str, str]:
    return {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__, **more}


def _iofc(stacked: NDArray[np.float32]) -> NDArray[np.float32]:
    """(4H, ...) in the order i f g o -> i o f g, which ONNX calls i o f c."""
    i, f, g, o = np.split(stacked, 4)
    return np.concatenate([i, o, f, g])


def graph(weights: Arrays, sequence_lens: bool) -> onnx.ModelProto:
    """ids (T, B) int64, lengths (B,) int32 -> logits (B, 1). With `sequence_lens` the LSTM gets the lengths and
    returns Y_h; without, it also computes the padding and each review's last row of Y is gathered.
    """
    units = weights["weight_hh"].shape[1]
    both = np.concatenate([_iofc(weights["bias"]), np.zeros(4 * units, np.float32)])
    constants = {
        "E": weights["embedding.weight"],
        "W": _iofc(weights["weight_ih"])[None],
        "R": _iofc(weights["weight_hh"])[None],
        "b": both[None],
        "dense": np.ascontiguousarray(weights["dense.weight"].T),
        "dense_b": weights["dense.bias"],
        "axis": np.array([0], dtype=np.int64),
    }
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["T", "B"])]
    nodes = [helper.make_node("Gather", ["E", "ids"], ["x"])]
    if sequence_lens:
        inputs.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, ["B"]))
        nodes.append(helper.make_node("LSTM", ["x", "W", "R", "b", "lengths"], ["", "Y_h"], hidden_size=units))
        nodes.append(helper.make_node("Squeeze", ["Y_h", "axis"], ["h"]))
    else:
        inputs.append(helper.make_tensor_value_info("last", TensorProto.INT64, ["B", 3]))
        nodes.append(helper.make_node("LSTM", ["x", "W", "R", "b"], ["Y"], hidden_size=units))
        nodes.append(helper.make_node("GatherND", ["Y", "last"], ["h"]))
    nodes.append(helper.make_node("MatMul", ["h", "dense"], ["z"]))
    nodes.append(helper.make_node("Add", ["z", "dense_b"], ["logits"]))
    return helper.make_model(
        helper.make_graph(
            nodes,
            "classifier",
            inputs,
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", 1])],
            [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=9,
    )


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
        reviews, size = reviews_of(arrays), settings["batch_size"]
        self.feeds = []
        for start in range(0, len(reviews), size):
            taken = reviews[start : start + size]
            lengths = np.array([len(r) for r in taken], dtype=np.int32)
            feed: Arrays = {"ids": np.ascontiguousarray(padded(taken, int(lengths.max()), "post").T)}
            if self.with_lengths:
                feed["lengths"] = lengths
            else:
                zeros = np.zeros(len(taken), dtype=np.int64)
                feed["last"] = np.stack([lengths - 1, zeros, np.arange(len(taken))], axis=1)
            self.feeds.append(feed)

    def _logits(self) -> list[NDArray[np.float32]]:
        return [self.session.run(None, feed)[0] for feed in self.feeds]

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
