"""ONNX Runtime behind FastAPI, with the weights of gatewise's server; each request is a batch of one.

gatewise also uses uvicorn, uvloop, httptools and this encoding of words, so that only the model and its call differ.
"""

from __future__ import annotations

import socket
from multiprocessing import get_context
from typing import Any

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.contenders import closed_loop
from benchmarks.contenders.base import Arrays, Settings, Task
from benchmarks.contenders.onnx_graph import graph
from benchmarks.contenders.onnx_runtime import session
from gatewise.text import KerasEncoding


class Request(BaseModel):
    """The body of /predict."""

    text: str


def _serve(sock: socket.socket, settings: Settings, arrays: Arrays) -> None:
    """way: `async`, the model called in the handler, or `threads`, a plain `def` that FastAPI runs on its threads."""
    words = arrays["words"].tolist()
    encoding = KerasEncoding({word: rank for rank, word in enumerate(words, 1)}, len(words) + 4)
    runs, app = session(graph(arrays, sequence_lens=False), settings["threads"]), FastAPI()

    def answer(request: Request) -> dict[str, Any]:
        ids = encoding.encode(request.text)[-settings["length"] :].astype(np.int64)
        feed = {"ids": ids[:, None], "last": np.array([[len(ids) - 1, 0, 0]])}
        p = 1 / (1 + np.exp(-float(runs.run(None, feed)[0][0, 0])))
        probabilities = {"negative": float(1 - p), "positive": float(p)}
        label = "positive" if p >= 0.5 else "negative"
        return {"model": "onnx", "n": 1, "predictions": [{"label": label, "probabilities": probabilities}]}

    async def answer_here(request: Request) -> dict[str, Any]:
        return answer(request)

    app.add_api_route("/predict", answer_here if settings["way"] == "async" else answer, methods=["POST"])
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[sock])


def serve(settings: Settings, arrays: Arrays) -> Task:
    """The server is a process of its own."""
    sock = socket.create_server(("127.0.0.1", 0), backlog=2048)  # a connection waits until the server is ready
    process = get_context("spawn").Process(target=_serve, args=(sock, settings, arrays), daemon=True)
    process.start()
    closed_loop.after_the_last().callback(process.kill)
    assert process.pid is not None
    about = f"FastAPI, {settings['way']}, {settings['threads']} threads"
    info = {"onnxruntime": onnxruntime.__version__, "settings": about}
    return closed_loop.task(sock.getsockname()[1], process.pid, settings, arrays, info)


TASKS = {"serve": serve}
