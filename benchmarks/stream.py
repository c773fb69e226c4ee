"""Pushes per second of a stream on one thread: words and series, H = 100.

    OMP_NUM_THREADS=1 python -m benchmarks.stream

Each row is the best of 20 rounds of 2,000 pushes, by the processor time of the thread: other processes of the machine
do not count. "with probabilities": they are read after each push. "batch": `Model.logits` of a prefix of 1,000 steps,
which is what a push costs without a stream.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gatewise.kernels import native
from gatewise.model.model import Model
from gatewise.model.preprocessor import Preprocessor, SeriesPreprocessor, TextPreprocessor
from gatewise.network.architecture import Architecture, Layer, initial_parameters
from gatewise.text.tokens import TokenEncoding

ROUNDS, PUSHES, PREFIX = 20, 2_000, 1_000


def main() -> None:
    rng, words = np.random.default_rng(0), [f"word{n}" for n in range(10_000)]
    text, six = [words[n] for n in rng.integers(10_000, size=PREFIX)], list(rng.normal(size=(PREFIX, 6)))
    print(f"{native.isa()}\n| stream | pushes per second | with probabilities | batch |\n|---|---:|---:|---:|")
    _row("words, D = 32", TextPreprocessor(TokenEncoding.of_words(["", "", *words])), 1, text)
    _row("series, 1 channel", _series(1), 1, rng.normal(size=PREFIX).tolist())
    _row("series, 6 channels", _series(6), 1, six)
    _row("series, 6 channels, two layers", _series(6), 2, six)


def _row(name: str, preprocessor: Preprocessor, layers: int, items: Sequence[Any]) -> None:
    kind, size, _ = preprocessor.inputs
    assert kind != "windows"
    arch = Architecture(kind, size, 32 * (kind == "tokens"), (Layer(100),) * layers, "mean+max")
    parameters = initial_parameters(arch, np.random.default_rng(0))
    model = Model.of_network(arch, parameters, preprocessor, ["no", "yes"])
    stream, whole = model.stream(), [" ".join(items)] if kind == "tokens" else [items]
    pushes = _rate(lambda: [stream.push(item) for item in items])
    read = _rate(lambda: [stream.push(item).probabilities for item in items])
    batch = _rate(lambda: model.logits(whole), 1, 20)
    print(f"| {name} | {pushes:,.0f} | {read:,.0f} | {batch:,.0f} |")


def _series(channels: int) -> SeriesPreprocessor:
    return SeriesPreprocessor((0.5,) * channels, (2.0,) * channels)


def _rate(run: Callable[[], object], items: int = PREFIX, calls: int = PUSHES // PREFIX) -> float:
    best = np.inf
    for _ in range(ROUNDS):
        began = time.thread_time()
        for _ in range(calls):
            run()
        best = min(best, time.thread_time() - began)
    return items * calls / best


if __name__ == "__main__":
    main()
