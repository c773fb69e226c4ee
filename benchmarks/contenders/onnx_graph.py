"""The network as an ONNX graph (Gather, LSTM, MatMul) and its input, for ONNX Runtime and OpenVINO."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.contenders.base import Arrays, Settings, batches_of, padded, reviews_of

OPSET = 17


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


def batches(settings: Settings, arrays: Arrays, sequence_lens: bool) -> list[Arrays]:
    """The graph's input for each batch of `batch_size` reviews, in their order, post-padded to the longest of them."""
    out = []
    for taken in batches_of(reviews_of(arrays), settings["batch_size"]):
        lengths = np.array([len(r) for r in taken], dtype=np.int32)
        batch: Arrays = {"ids": np.ascontiguousarray(padded(taken, int(lengths.max()), "post").T)}
        if sequence_lens:
            batch["lengths"] = lengths
        else:
            zeros = np.zeros(len(taken), dtype=np.int64)
            batch["last"] = np.stack([lengths - 1, zeros, np.arange(len(taken))], axis=1)
        out.append(batch)
    return out
