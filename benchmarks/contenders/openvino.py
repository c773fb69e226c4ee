"""OpenVINO on the same graph and batches as ONNX Runtime.

Without sequence_lens only: for a graph with dynamic shapes, OpenVINO's LSTM on CPUs ignores the lengths and returns the
state after the padding (version 2026.4). OpenVINO uses bfloat16 by default where the processor has it, so each task
sets its precision.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import onnx
import openvino
from numpy.typing import NDArray

from benchmarks.contenders.base import Arrays, Settings, Task, Unavailable, seconds_of
from benchmarks.contenders.onnx_graph import batches, graph


def inference(settings: Settings, arrays: Arrays) -> Task:
    """Logits of all reviews, batch by batch. Padding is not timed.

    settings: precision, "f32" or "bf16". hint, "LATENCY": one batch after the other, each on all threads; "THROUGHPUT":
    as many batches at the same time as OpenVINO chooses, the longest first.
    """
    core, hint = openvino.Core(), settings["hint"]
    if settings["precision"] == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise Unavailable("OpenVINO has no bfloat16 on this processor")
    model = core.read_model(graph(arrays, sequence_lens=False).SerializeToString())
    options = {
        "INFERENCE_PRECISION_HINT": settings["precision"],
        "INFERENCE_NUM_THREADS": settings["threads"],
        "PERFORMANCE_HINT": hint,
    }
    compiled = core.compile_model(model, "CPU", options)
    feeds = batches(settings, arrays, sequence_lens=False)
    logits: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(feeds)
    request, queue = compiled.create_infer_request(), openvino.AsyncInferQueue(compiled)

    def keep(request: Any, number: int) -> None:
        """Copy a batch's logits: the next batch of the request overwrites them."""
        logits[number] = request.get_output_tensor().data.copy()

    queue.set_callback(keep)

    def work() -> None:
        if hint == "LATENCY":
            for number, feed in enumerate(feeds):
                request.infer(feed, share_inputs=True, share_outputs=True)
                keep(request, number)
            return
        for number in reversed(range(len(feeds))):  # sorted by length
            queue.start_async(feeds[number], number, share_inputs=True)
        queue.wait_all()

    def check() -> Arrays:
        work()
        return {"logits": np.concatenate(logits)[:, 0]}

    streams = compiled.get_property("NUM_STREAMS")
    info = {
        "openvino": openvino.__version__.split("-")[0],
        "onnx": onnx.__version__,
        "settings": f"{settings['precision']}, without sequence_lens, PERFORMANCE_HINT={hint}, NUM_STREAMS={streams}",
    }
    return Task(partial(seconds_of, work, repeats=settings["repeats"]), info, check)


TASKS = {"inference": inference}
