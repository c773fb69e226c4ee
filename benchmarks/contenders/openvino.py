"""OpenVINO on the same graph and batches as ONNX Runtime.

Without sequence_lens only: for a graph with dynamic shapes, OpenVINO's LSTM on CPUs ignores the lengths and returns the
state after the padding (version 2026.4). OpenVINO uses bfloat16 by default where the processor has it, so each task
sets its precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import openvino
from numpy.typing import NDArray

from benchmarks.contenders.base import Arrays, Settings, Task, Unavailable, seconds_of
from benchmarks.contenders.onnx_graph import batches, graph


def load(kind: str, settings: Settings, arrays: Arrays) -> Task:
    if kind != "inference":
        raise Unavailable(f"OpenVINO does not support {kind}")
    return Inference(settings, arrays)


class Inference:
    """Logits of all reviews, batch by batch. Padding is not timed.

    settings: precision, "f32" or "bf16". hint, "LATENCY": one batch after the other, each on all threads; "THROUGHPUT":
    as many batches at the same time as OpenVINO chooses, the longest first.
    """

    def __init__(self, settings: Settings, arrays: Arrays) -> None:
        self.settings = settings
        core = openvino.Core()
        if settings["precision"] == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise Unavailable("OpenVINO has no bfloat16 on this processor")
        model = core.read_model(graph(arrays, sequence_lens=False).SerializeToString())
        options = {
            "INFERENCE_PRECISION_HINT": settings["precision"],
            "INFERENCE_NUM_THREADS": settings["threads"],
            "PERFORMANCE_HINT": settings["hint"],
        }
        compiled = core.compile_model(model, "CPU", options)
        self.batches = batches(settings, arrays, sequence_lens=False)
        self.logits: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(self.batches)
        self.request = compiled.create_infer_request()
        self.queue = openvino.AsyncInferQueue(compiled)
        self.streams = compiled.get_property("NUM_STREAMS")
        self.queue.set_callback(self._keep)

    def _keep(self, request: Any, number: int) -> None:
        """Copy a batch's logits: the next batch of the request overwrites them."""
        self.logits[number] = request.get_output_tensor().data.copy()

    def _run(self) -> None:
        if self.settings["hint"] == "LATENCY":
            for number, batch in enumerate(self.batches):
                self.request.infer(batch, share_inputs=True, share_outputs=True)
                self._keep(self.request, number)
            return
        for number in reversed(range(len(self.batches))):  # sorted by length
            self.queue.start_async(self.batches[number], number, share_inputs=True)
        self.queue.wait_all()

    def check(self) -> Arrays:
        self._run()
        return {"logits": np.concatenate(self.logits)[:, 0]}

    def run(self) -> float:
        return seconds_of(self._run, repeats=self.settings["repeats"])

    def info(self) -> dict[str, str]:
        hint = f"PERFORMANCE_HINT={self.settings['hint']}, NUM_STREAMS={self.streams}"
        return {
            "openvino": openvino.__version__.split("-")[0],
            "onnx": onnx.__version__,
            "settings": f"{self.settings['precision']}, without sequence_lens, {hint}",
        }
