"""What the contenders of the taggers share: the rows, and the task that fits and predicts."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.contenders.base import Arrays, Settings, Task, seconds_of

Words = list[list[str]]
Labels = list[list[str]]
Fit = Callable[[Words, Labels, int], "Predict"]
"""Words, labels and a seed. The function predicts words."""


class Prediction(NamedTuple):
    """classes: K names. labels: of each step of each row. marginals: of each row (T, K), by class."""

    classes: list[str]
    labels: Labels
    marginals: list[Any]


Predict = Callable[[Words], Prediction]


def rows_of(arrays: Arrays, name: str) -> Words:
    """Rows from arrays name (N,) of str and name_lengths (rows,)."""
    ends = np.cumsum(arrays["lengths" if name != "query" else "query_lengths"])
    values = arrays[name].tolist()
    return [values[end - length : end] for end, length in zip(ends, np.diff(ends, prepend=0), strict=True)]


def tagger_task(fit: Fit, info: dict[str, str], settings: Settings, arrays: Arrays) -> Task:
    """Fit to words, labels and lengths, and predict the query. The results: labels (M,), marginals (M, K), classes
    (K,), and in `seconds` the wall and CPU seconds of the fit and the CPU seconds of the prediction; peak_mb of the
    process. A first fit of a few rows, which does not count, imports and compiles.
    """

    def check() -> Arrays:
        words, labels = rows_of(arrays, "words"), rows_of(arrays, "labels")
        query = rows_of(arrays, "query")
        fit([["a", "b1"], ["B", "a", "c"]] * 10, [["x", "y"], ["y", "x", "z"]] * 10, 0)([["a", "b"]])
        begin, begin_cpu = time.perf_counter(), time.process_time()
        predict = fit(words, labels, settings["seed"])
        seconds = [time.perf_counter() - begin, time.process_time() - begin_cpu]
        begin_cpu = time.process_time()
        prediction = predict(query)
        seconds.append(time.process_time() - begin_cpu)
        unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, kilobytes on Linux
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
        return {
            "labels": np.array([label for row in prediction.labels for label in row]),
            "marginals": np.concatenate(prediction.marginals).astype(np.float32),
            "classes": np.array(prediction.classes),
            "seconds": np.array(seconds),
            "peak_mb": np.array(peak),
        }

    return Task(lambda: seconds_of(check), info, check)
