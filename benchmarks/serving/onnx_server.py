"""ONNX Runtime with FastAPI and the weights of gatewise's server; each request is a batch of one, as in a plain app.

    python -m benchmarks.serving.onnx_server FOLDER WAY THREADS

FOLDER has weights.npz and words.json (`benchmarks.serving.weights`). WAY is `async`, the model called in the handler,
or `threads`, a plain `def` that FastAPI runs on its threads. Prints its port. gatewise also uses uvicorn, uvloop,
httptools and this encoding of words, so that only the model and its call differ.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.contenders.onnx_graph import graph
from benchmarks.contenders.onnx_runtime import session
from gatewise.text import KerasEncoding


class Request(BaseModel):
    """The body of /predict."""

    text: str


def main(folder: Path, way: str, threads: int) -> None:
    with np.load(folder / "weights.npz", allow_pickle=False) as stored:
        weights = {name: stored[name] for name in stored.files}
    words = json.loads((folder / "words.json").read_text(encoding="utf-8"))
    encoding = KerasEncoding({word: rank for rank, word in enumerate(words, 1)}, len(words) + 4)
    length = int(weights.pop("length"))
    runs = session(graph(weights, sequence_lens=False), threads)
    app = FastAPI()

    def answer(request: Request) -> dict[str, Any]:
        ids = encoding.encode(request.text)[-length:].astype(np.int64)
        feed = {"ids": ids[:, None], "last": np.array([[len(ids) - 1, 0, 0]])}
        logit = float(runs.run(None, feed)[0][0, 0])
        p = 1 / (1 + np.exp(-logit))
        probabilities = {"negative": float(1 - p), "positive": float(p)}
        label = "positive" if p >= 0.5 else "negative"
        return {"model": "onnx", "n": 1, "predictions": [{"label": label, "probabilities": probabilities}]}

    async def answer_here(request: Request) -> dict[str, Any]:
        return answer(request)

    app.add_api_route("/predict", answer_here if way == "async" else answer, methods=["POST"])
    sock = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(sock.getsockname()[1], flush=True)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[sock])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
