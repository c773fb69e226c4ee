"""Measure one contender on one text set in a process of its own; prints a line of JSON.

    python -m benchmarks.own_data.text_worker SET CONTENDER SEED PACKAGES

Seconds are those of fitting and predicting, imports done: one tiny fit comes first. CPU seconds are those of all
threads, which other load on the machine changes less. Peak memory (RSS) is that of the
whole process, with imports and data.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from benchmarks.own_data.figures import figures
from benchmarks.own_data.text_contenders import CONTENDERS, Prediction
from benchmarks.own_data.text_sets import text_set


def main() -> None:
    name, contender, seed, packages = sys.argv[1:]
    cuts = text_set(name).load(Path(packages))
    fit = CONTENDERS[contender]
    warnings.simplefilter("ignore")
    few = [f"{word} {n % 7} apple" for n in range(30) for word in ("good", "bad")]
    fit(few, ["a", "b"] * 30, few, 0)
    began, began_cpu = time.perf_counter(), time.process_time()
    found = [fit(*cut.train, cut.test[0], int(seed)) for cut in cuts]
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
    classes = found[0].classes
    same = all(one.classes == classes and one.probabilities is not None for one in found)
    pooled = Prediction(
        np.concatenate([one.labels for one in found]),
        np.concatenate([one.probabilities for one in found]) if same else None,
        classes,
    )
    truth = [label for cut in cuts for label in cut.test[1]]
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, kilobytes on Linux
    out = figures(truth, pooled.labels, pooled.probabilities, pooled.classes) | {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20),
        "train": sum(len(cut.train[0]) for cut in cuts) // len(cuts),
        "test": len(truth),
        "classes": len(classes),
    }
    print(json.dumps(out))


if __name__ == "__main__":
    main()
