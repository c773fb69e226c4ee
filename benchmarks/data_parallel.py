"""Measure data-parallel training with one and two processes, and simulate more of them.

    python -m benchmarks.data_parallel [--rounds N] [--steps N] [--cases NAME,...]

Data are made. Each process has one thread. Measured, in turn: a step of one process with all rows of a batch, with half
of them and with a quarter; a step of two processes that share the batch, and how long each exchange of gradients takes;
gloo's all_reduce between two processes. The results go to benchmarks/results/data_parallel.json, from which
`python -m benchmarks.scale` renders docs/scale.md; a run of some cases writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.machine import machine, now
from benchmarks.training_step_worker import TRAINED, Done, texts, time_steps

RESULTS = Path(__file__).with_name("results") / "data_parallel.json"
# Rows of a batch: texts, or streams of 70 tokens.
CASES = {"tutorial": 32, "finetune": 32, "pretrain": 64}
SIZES = (1 << 6, 1 << 12, 1 << 16, 1 << 20, 1 << 23)  # numbers in an all_reduce


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--worker", nargs=3, metavar=("CASE", "BATCH", "STEPS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        case, batch, steps = options.worker
        print(json.dumps(_all_reduce() if case == "all_reduce" else _steps(case, int(batch), int(steps))))
        return
    names = options.cases.split(",")
    if unknown := set(names) - set(CASES):
        parser.error(f"no case is called {min(unknown)!r}; there are {', '.join(CASES)}")
    results: dict[str, Any] = {"machine": machine(), "when": now(), "cases": {}}
    results["all_reduce"] = _run("all_reduce", 0, 0, processes=2)
    for case in names:
        batch = CASES[case]
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in ("1", "1/2", "1/4", "two")}
        for number in range(options.rounds):
            for name in list(runs)[:: 1 if number % 2 == 0 else -1]:
                rows = {"1": batch, "two": batch, "1/2": batch // 2, "1/4": batch // 4}[name]
                runs[name].append(_run(case, rows, options.steps, processes=2 if name == "two" else 1))
        results["cases"][case] = {"batch": batch} | {
            name: {key: statistics.median(run[key] for run in some) for key in some[0]} for name, some in runs.items()
        }
        ratios = [one["step"] / two["step"] for one, two in zip(runs["1"], runs["two"], strict=True)]
        results["cases"][case]["speedup"] = statistics.median(ratios)
        print(case, json.dumps(results["cases"][case]), flush=True)
    if set(names) == set(CASES):
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _run(case: str, batch: int, steps: int, processes: int) -> dict[str, float]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    environment = {**os.environ, "GATEWISE_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    environment |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "benchmarks.data_parallel",
        "--worker",
        case,
        str(batch),
        str(steps),
    ]
    running = [
        subprocess.Popen(
            command, env={**environment, "RANK": str(rank)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for rank in range(processes)
    ]
    outputs = [process.communicate() for process in running]
    for process, (_, errors) in zip(running, outputs, strict=True):
        if process.returncode:
            raise SystemExit(f"{case}: {errors[-800:]}")
    result: dict[str, float] = json.loads(outputs[0][0].splitlines()[-1])
    return result


def _steps(case: str, batch: int, steps: int) -> dict[str, float]:
    """The median step of this process, of which seconds in the exchange, and what it sends."""
    import gatewise as gw
    from gatewise.network.autograd import RowGradient
    from gatewise.network.trainable import Gradients
    from gatewise.training import pretrain_recipe, process_group
    from gatewise.training.loop import Loop
    from gatewise.training.processes import GlooCommunicator

    seconds: list[float] = []
    sent: list[tuple[int, int, int, int]] = []  # dense numbers; rows of the table, their length, the table's rows
    original = GlooCommunicator.sum

    def timed(self: GlooCommunicator, gradients: Gradients, parameters: Any, *numbers: float) -> Any:
        began = time.perf_counter()
        total = original(self, gradients, parameters, *numbers)
        seconds.append(time.perf_counter() - began)
        dense = sum(g.size for g in gradients.values() if not isinstance(g, RowGradient))
        name, table = next((n, g) for n, g in gradients.items() if isinstance(g, RowGradient))
        sent.append((dense, len(table.rows), table.values.shape[1], len(parameters[name])))
        return total

    GlooCommunicator.sum = timed  # type: ignore[assignment,method-assign]
    result = time_steps(Loop, steps)
    run: Any
    if case == "pretrain":
        run = partial(gw.pretrain, texts(6_000, 240), recipe=pretrain_recipe("large", epochs=1, batch_size=batch))
    else:
        rows, words, recipe, changes = TRAINED[case]
        labels = [("bad", "good")[n % 2] for n in range(rows)]
        run = partial(gw.train, texts(rows, words), labels, recipe=recipe, epochs=2, **{**changes, "batch_size": batch})
    with process_group() as communicator:
        try:
            run()
        except Done:
            communicator.meet()
    names = ("dense", "rows", "width", "table")
    sizes = {name: float(statistics.median(one[place] for one in sent)) for place, name in enumerate(names)}
    return {"step": result["step"], "exchange": statistics.median(seconds), **sizes}


def _all_reduce() -> dict[str, float]:
    """Seconds of an all_reduce by the count of float32 numbers, the median of 30."""
    import numpy as np

    from gatewise.training.processes import GlooCommunicator, process_group

    result = {}
    with process_group() as communicator:
        assert isinstance(communicator, GlooCommunicator)
        for size in SIZES:
            array, times = np.zeros(size, np.float32), []
            for _ in range(30):
                communicator.meet()
                began = time.perf_counter()
                communicator.all_reduce(array)
                times.append(time.perf_counter() - began)
            result[str(size)] = statistics.median(times)
    return result


if __name__ == "__main__":
    main()
