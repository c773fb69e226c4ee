"""A contender in a process of its own, in its environment: the parent's side, and the process.

    python -m benchmarks.worker MODULE FILE-DESCRIPTOR

MODULE is a module of benchmarks/contenders/. A request is the name of an action and its arguments: load (kind, settings
and arrays), check, run. An answer is "done", "unavailable" or "error", with the result or the reason.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

from benchmarks.contenders.base import Arrays, Task, Unavailable
from benchmarks.machine import ROOT

# Removed from the caller's environment, because they would configure a contender without being recorded.
_VARIABLES = (
    "OMP_",
    "GOMP_",
    "KMP_",
    "MKL_",
    "OPENBLAS_",
    "TF_",
    "GATEWISE_",
    "XLA_",
    "KERAS_",
    "ORT_",
    "MALLOC_",
    "LD_PRELOAD",
)
_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GATEWISE_THREADS")


class WorkerFailed(Exception):
    """A worker failed; the message has its name and the end of its stderr."""


class Worker:
    """One contender in its own process. extra: environment variables besides the number of threads of every library."""

    def __init__(self, name: str, module: str, python: Path, threads: int, extra: Mapping[str, str]) -> None:
        self.name = name
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  close() closes it
        self._pipe, theirs = Pipe()
        clean = {name: value for name, value in os.environ.items() if not name.startswith(_VARIABLES)}
        with theirs:
            self._process = subprocess.Popen(
                [str(python), "-m", "benchmarks.worker", module, str(theirs.fileno())],
                stdout=self._log,
                stderr=self._log,
                cwd=ROOT,
                env=clean | dict.fromkeys(_COUNTS, str(threads)) | dict(extra),
                pass_fds=[theirs.fileno()],
            )

    def load(self, kind: str, settings: dict[str, Any], arrays: Arrays) -> dict[str, str]:
        """Send it a task; returns its versions and settings. Raises Unavailable."""
        info: dict[str, str] = self._request("load", kind, settings, arrays)
        return info

    def check(self) -> Arrays:
        """Its outputs and gradients by name."""
        outputs: Arrays = self._request("check")
        return outputs

    def run(self) -> float:
        """Run the task once; seconds."""
        return float(self._request("run"))

    def close(self) -> None:
        """Close the pipe, at which it exits, and wait."""
        self._pipe.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _request(self, *request: Any) -> Any:
        try:
            self._pipe.send(request)
            kind, result = self._pipe.recv()
        except (EOFError, OSError):
            raise WorkerFailed(f"{self.name}: its process ended ({self._process.wait()}){self._stderr()}") from None
        if kind == "unavailable":
            raise Unavailable(result)
        if kind == "error":
            raise WorkerFailed(f"{self.name}: {result}{self._stderr()}")
        return result

    def _stderr(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        self._log.seek(0, os.SEEK_END)
        return "\n" + "\n".join(lines[-30:]) if lines else ""


@cache
def python_with(library: str | None, peers: Path) -> Path:
    """The Python of the peers' environment if it has `library`, else this one, which has torch."""
    candidate = peers / "bin" / "python"
    if library is None or not candidate.exists():
        return Path(sys.executable)
    probe = f"import importlib.util as u, sys; sys.exit(u.find_spec({library!r}) is None)"
    found = subprocess.run([str(candidate), "-c", probe], cwd=peers).returncode == 0
    return candidate if found else Path(sys.executable)


def main(module: str, descriptor: int) -> None:
    """The process: answers requests until the parent closes the pipe."""
    parent: Connection[Any, Any] = Connection(descriptor)
    loaded: Task | None = None
    while True:
        try:
            action, *arguments = parent.recv()
        except EOFError:
            return
        result: Any = None
        try:
            if action == "load":
                loaded = None  # free the memory of the previous task first
                gc.collect()
                loaded = _load(module, *arguments)
                result = loaded.info
            else:
                result = getattr(loaded, action)()
            answer = "done", result
        except Unavailable as error:
            answer = "unavailable", str(error)
        except Exception as error:  # the parent reports it and stops
            answer = "error", f"{type(error).__name__}: {error}"
            sys.excepthook(*sys.exc_info())
        parent.send(answer)


def _load(module: str, kind: str, settings: dict[str, Any], arrays: Arrays) -> Task:
    try:
        tasks = import_module(f"benchmarks.contenders.{module}").TASKS
    except ModuleNotFoundError as error:
        raise Unavailable(f"{error.name} is not installed; `make bench` installs it") from error
    if kind not in tasks:
        raise Unavailable(f"{module} has no {kind}")
    task: Task = tasks[kind](settings, arrays)
    return task


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
