"""The parent's side of a worker process: start it in its environment, send requests, stop it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from multiprocessing import Pipe
from pathlib import Path
from typing import IO, Any

from benchmarks.contenders.base import Arrays

ROOT = Path(__file__).resolve().parents[1]
# Removed from the caller's environment, because they would configure a contender without being recorded.
_THREAD_VARIABLES = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "TF_", "GATEWISE_", "XLA_", "KERAS_", "ORT_")


class WorkerFailed(Exception):
    """A worker failed; the message has its name and the end of its stderr."""


class ContenderUnavailable(Exception):
    """The contender cannot run on this machine or in this build; the message gives the reason."""


def environment(threads: int, extra: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment with thread settings removed and the number of threads set for every library."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(_THREAD_VARIABLES)}
    counts = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GATEWISE_THREADS")
    return clean | dict.fromkeys(counts, str(threads)) | dict(extra)


class Worker:
    """One contender in its own process."""

    def __init__(self, name: str, module: str, python: Path, threads: int, extra: Mapping[str, str]) -> None:
        self.name = name
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  close() closes it
        self._pipe, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [str(python), "-m", "benchmarks.worker", module, str(theirs.fileno())],
                stdout=self._log,
                stderr=self._log,
                cwd=ROOT,
                env=environment(threads, extra),
                pass_fds=[theirs.fileno()],
            )

    def load(self, kind: str, settings: dict[str, Any], arrays: Arrays) -> dict[str, str]:
        """Send it a task; returns its versions and settings. Raises ContenderUnavailable."""
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
            raise ContenderUnavailable(result)
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
    if library is None:
        return Path(sys.executable)
    candidate = peers / "bin" / "python"
    probe = f"import importlib.util as u, sys; sys.exit(u.find_spec({library!r}) is None)"
    if candidate.exists() and subprocess.run([str(candidate), "-c", probe], cwd=peers).returncode == 0:
        return candidate
    return Path(sys.executable)
