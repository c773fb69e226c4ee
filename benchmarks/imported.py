"""Imported networks beside the library that they come from: `python -m benchmarks.imported`, Markdown on stdout.

The networks are those of tests/model/imported.py, with random weights, and one of the size of the guides on keras.io
(embedding 128, two bidirectional layers of 64 units). Each predicts 64 sequences on one thread; rounds interleaved.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("GATEWISE_THREADS", "1")

import numpy as np
import torch

import gatewise as gw
from benchmarks.interleave import interleave, ratio
from tests.model import imported

SEQUENCES, STEPS, ROUNDS = 64, 100, 5


class Timed:
    """One way to predict."""

    def __init__(self, predict: Callable[[], Any]) -> None:
        self.predict = predict

    def run(self) -> float:
        start = time.perf_counter()
        self.predict()
        return time.perf_counter() - start


def guide(k: Any) -> Any:
    lower = k.layers.Bidirectional(k.layers.LSTM(64, return_sequences=True))
    layers = [lower, k.layers.Bidirectional(k.layers.LSTM(64)), k.layers.Dense(1, activation="sigmoid")]
    return k.Sequential([k.Input((None,), dtype="int32"), k.layers.Embedding(imported.V, 128), *layers])


def contenders(name: str, keras: Any, rng: np.random.Generator) -> dict[str, Timed]:
    """The network and its model, on equal inputs."""
    case = imported.CASES[name]
    network = guide(keras) if name == "guide" else imported.made(name, keras)
    torch_network = case.example is not None
    model = (
        gw.from_torch(network, case.example, **case.options)
        if torch_network
        else gw.from_keras(network, **case.options)
    )
    shape = () if torch_network else network.input_shape
    steps = (shape[1] if shape else None) or STEPS
    count = (shape[0] if shape else None) or (1 if name == "Tagger" else SEQUENCES)
    x: Any = rng.integers(1, imported.V, (count, steps))
    if model.channels:
        x = rng.normal(size=(count, steps, model.channels)).astype(np.float32)
    if not torch_network:
        return {
            "theirs": Timed(lambda: network.predict(x, verbose=0, batch_size=count)),
            "gatewise": Timed(lambda: model.logits(x)),
        }
    tensor = torch.from_numpy(x)
    given = [tensor[0] if name == "Tagger" else tensor.transpose(0, 1) if name == "TimeFirst" else tensor]
    given += [torch.full((count,), steps)] if isinstance(case.example, tuple) else []
    network.eval()

    def theirs() -> Any:
        with torch.no_grad():
            return network(*given)

    return {"theirs": Timed(theirs), "gatewise": Timed(lambda: model.logits(x))}


def main() -> None:
    """Print the table."""
    import keras

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    imported.CASES["guide"] = imported.Case(guide)
    rng, rows = np.random.default_rng(0), []
    for name, case in imported.CASES.items():
        if case.refused:
            continue
        times = interleave(contenders(name, keras, rng), ROUNDS)
        theirs, ours = (1000 * float(np.median(times[who])) for who in ("theirs", "gatewise"))
        library = "Keras predict" if case.example is None else "torch"
        rows.append((name, library, f"{theirs:.1f}", f"{ours:.1f}", f"{ratio(times['theirs'], times['gatewise']):.1f}"))
    print("| network | library | its ms | gatewise ms | times as fast |\n|---|---|---:|---:|---:|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
