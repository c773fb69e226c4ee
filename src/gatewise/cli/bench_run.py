"""What `gatewise bench` asks of its processes, one after the other, and what it makes of their answers."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from gatewise.errors import GatewiseError

__all__ = ["beside", "machine", "run"]

UNITS = [100, 128, 256, 512]
# Each library's own variable for the number of its threads.
_BLAS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS")
_PAIRS = {"padded": "pads of 1000", "packed": "no pads, packed"}
_PATIENCE = 8.0  # seconds after which no new turn begins
_SAME = 1e-4  # largest difference of loss and gradients, relative to the largest number


def machine(every: bool) -> dict[str, Any]:
    """What runs here: versions, processor, instruction sets to measure, threads."""
    from importlib.metadata import version

    from gatewise._version import __version__
    from gatewise.kernels import native

    isas = [] if native.unavailable_reason() else list(native.isas()) if every else [native.isa()]
    if every:
        isas += [f"{isa} bf16" for isa in native.isas_bf16()]
    return {
        "gatewise": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": version("numpy"),
        "torch": version("torch") if find_spec("torch") else None,
        "machine": f"{_processor()}, {platform.machine()}, {platform.system()}",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "isas": isas,
        "threads": native.threads(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,  # processes that wanted to run, last minute
        "data": "random, with lengths and word frequencies like those of film reviews",
    }


def run(here: dict[str, Any], *, quick: bool, note: Callable[[str], None]) -> dict[str, Any]:
    """All measurements on the machine `here`. Raises GatewiseError where a result is wrong: then nothing is timed."""
    found: dict[str, Any] = {"kernel": [], "inference": [], "latency": [], "training": [], "not_measured": []}
    found |= {"sgemm": {"numpy": {}, "torch": {}}, "error": 0.0, "quick": quick, "sequences": 8 if quick else 64}
    if not here["isas"]:
        from gatewise.kernels import unavailable_reason

        found["not_measured"].append(f"the native kernel: {unavailable_reason('native')}")
    units = UNITS[:1] if quick or not here["isas"] else UNITS
    settings = {"isas": here["isas"], "units": units, "sequences": found["sequences"], "reviews": 8 if quick else 640}
    settings["seconds"] = 0.02 if quick else 0.5
    for threads in sorted({1, here["threads"]}):
        if threads > 1 and not here["isas"]:
            continue  # the reference has one thread
        note(f"the kernel and NumPy, threads: {threads}")
        answer = _asked_kernel({**settings, "threads": threads})
        found["kernel"] += answer["kernel"]
        found["sgemm"]["numpy"][str(threads)] = median(row["sgemm_gflops"] for row in answer["kernel"])
        found["inference"].append({"threads": threads, **answer["inference"]})
        if threads == 1:  # one sequence has work for one
            found["latency"].append({"threads": threads, **answer["latency"]})
        found["error"] = max(found["error"], answer["error"])
    if here["torch"] is None:
        found["not_measured"].append(
            "training and torch.nn.LSTM: torch is not installed (pip install 'gatewise[train]')"
        )
    elif quick:
        found["not_measured"].append("training and torch.nn.LSTM: --quick leaves out what takes so long to start")
    elif not here["isas"]:
        found["not_measured"].append("training: without the native kernel it is not what gatewise is for")
    else:
        note("a training step, and torch's")
        for pair, what in _PAIRS.items():
            row = beside(pair, here["threads"], 64, 4)
            found["sgemm"]["torch"] |= row.pop("torch_sgemm")
            found["training"].append({"what": what, "threads": here["threads"], **row})
    return found


def _asked_kernel(settings: dict[str, Any]) -> dict[str, Any]:
    """The answer of gatewise.cli.bench_kernel, in a process whose BLAS has as many threads as the kernel."""
    environment = os.environ | dict.fromkeys(_BLAS, str(settings["threads"]))
    command = [sys.executable, "-m", "gatewise.cli.bench_kernel", json.dumps(settings)]
    return _answer(subprocess.run(command, env=environment, capture_output=True, text=True, check=False))


def _answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise GatewiseError(f"a measuring process failed: {last}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if "failed" in answer:
        raise GatewiseError(str(answer["failed"]))
    return answer


# How torch's OpenMP threads wait for work: as they do by themselves, or asleep, which is better on a busy machine. Its
# side runs both ways, and the better one counts. gatewise asks for sleep, so for the other way torch is imported first.
_WAITING: dict[str, dict[str, str]] = {"spinning": {}, "asleep": {"OMP_WAIT_POLICY": "PASSIVE"}}
_TORCH_FIRST = "import torch\nfrom gatewise.training import beside\n"


def beside(pair: str, threads: int, size: int, turns: int) -> dict[str, Any]:
    """A step of `size` reviews on both sides of `pair`, "padded" or "packed": milliseconds, in turns, once the two are
    found to compute the same, torch's the better of two ways to wait; and its sgemm, GFLOP/s by threads.
    """
    import numpy as np

    from gatewise.cli.bench_work import review_tokens

    rng = np.random.default_rng(2)
    texts = review_tokens(rng, size)
    with tempfile.TemporaryDirectory() as folder:
        batch = Path(folder, "batch.npz")
        lengths = np.array([len(one) for one in texts])
        np.savez(batch, tokens=np.concatenate(texts), lengths=lengths, labels=rng.integers(0, 2, size))
        sides = {"ours": _Side(f"ours-{pair}", batch, threads)}
        for waiting in _WAITING:
            sides[waiting] = _Side(f"torch-{pair}", batch, threads, waiting)
        try:
            for side in sides.values():
                side.answer()
            difference = _difference(sides["ours"].out, sides["spinning"].out)
            taken: dict[str, list[float]] = {name: [] for name in sides}
            began = time.perf_counter()
            for turn in range(turns):
                if turn and time.perf_counter() - began > _PATIENCE:
                    break
                for name, side in sides.items():
                    milliseconds = float(side.answer("step")["ms"])
                    time.sleep(0.02)  # the other's threads may spin on for a little
                    taken[name].append(milliseconds)
            rates = {str(n): sides["spinning"].answer(f"sgemm {n}")["gflops"] for n in sorted({1, threads})}
        finally:
            for side in sides.values():
                side.end()
    best = min(_WAITING, key=lambda waiting: median(taken[waiting]))
    ratio = median(b / a for a, b in zip(taken["ours"], taken[best], strict=True))
    found = {"ours_ms": median(taken["ours"]), "torch_ms": median(taken[best]), "torch_waits": best, "ratio": ratio}
    return {**found, "turns": len(taken["ours"]), "difference": difference, "torch_sgemm": rates}


class _Side:
    """A process of gatewise.training.beside."""

    def __init__(self, name: str, batch: Path, threads: int, waiting: str = "") -> None:
        self.out = batch.with_name(f"{name}{waiting}.npz")
        environment = {k: v for k, v in os.environ.items() if k not in (*_BLAS, "OMP_WAIT_POLICY")}
        environment |= {"GATEWISE_THREADS": str(threads), **_WAITING.get(waiting, {})}
        first = _TORCH_FIRST if name.startswith("torch") else "from gatewise.training import beside\n"
        command = [sys.executable, "-c", f"{first}beside.main()", name, str(batch), str(threads), str(self.out)]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def answer(self, question: str = "") -> dict[str, Any]:
        """What it says to `question`; without one, that it is ready. Raises GatewiseError where it has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if question:
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            _, words = self._process.communicate()
            last = (words.strip().splitlines() or ["it ended without a word"])[-1]
            raise GatewiseError(f"a measuring process failed: {last}")
        said: dict[str, Any] = json.loads(line)
        return said


def _difference(ours: Path, theirs: Path) -> float:
    """The largest difference of loss and gradients, relative to the largest number of each."""
    import numpy as np

    with np.load(ours, allow_pickle=False) as a, np.load(theirs, allow_pickle=False) as b:
        if set(a.files) != set(b.files):
            raise GatewiseError(f"the two training steps have other parameters: {sorted(set(a.files) ^ set(b.files))}")
        worst = float(np.max([np.abs(a[name] - b[name]).max() / np.abs(b[name]).max() for name in a.files]))
    if not worst < _SAME:
        raise GatewiseError(f"gatewise and torch.nn.LSTM differ by {worst:.1e}: nothing was timed")
    return worst


def _processor() -> str:
    """Its name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return name or platform.processor() or "unknown processor"
