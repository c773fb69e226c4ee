"""The parent's side of a worker: start it in its own environment, ask, and end it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from benchmarks.wire import Arrays, Closed, receive, send

ROOT = Path(__file__).resolve().parents[1]
# Left over from the caller's shell these would set a contender up in a way that nobody sees.
_SETS_UP_THREADS = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "TF_", "GATEWISE_", "XLA_", "KERAS_", "ORT_")


class Failed(Exception):
    """A worker broke off; the message names it and what it said last."""


class NotHere(Exception):
    """The contender cannot take part on this machine or in this build; the message says why."""


def environment(threads: int, extra: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without what sets up threads, and their number said in every library's way."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SETS_UP_THREADS)}
    counts = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GATEWISE_THREADS")
    return kept | dict.fromkeys(counts, str(threads)) | dict(extra)


class Worker:
    """One contender in a process of its own."""

    def __init__(self, name: str, module: str, python: Path, threads: int, extra: Mapping[str, str]) -> None:
        self.name = name
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  close() closes it
        self._process = subprocess.Popen(
            [str(python), "-m", "benchmarks.worker", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=ROOT,
            env=environment(threads, extra),
        )

    def load(self, kind: str, settings: dict[str, Any], arrays: Arrays) -> dict[str, str]:
        """Give it a task; what it says about itself. Raises NotHere with its reason."""
        head, _ = self._ask({"do": "load", "kind": kind, "settings": settings}, arrays)
        about: dict[str, str] = head["about"]
        return about

    def check(self) -> Arrays:
        """What it computes, by name."""
        return self._ask({"do": "check"})[1]

    def run(self) -> float:
        """One turn: seconds."""
        return float(self._ask({"do": "run"})[0]["seconds"])

    def close(self) -> None:
        """End the process; it leaves when its input ends."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()

    def _ask(self, head: dict[str, Any], arrays: Arrays | None = None) -> tuple[dict[str, Any], Arrays]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            send(self._process.stdin, head, arrays)  # type: ignore[arg-type]
            answer, found = receive(self._process.stdout)  # type: ignore[arg-type]
        except Closed:
            raise Failed(f"{self.name}: its process ended ({self._process.wait()}){self._said()}") from None
        if "unavailable" in answer:
            raise NotHere(answer["unavailable"])
        if "error" in answer:
            raise Failed(f"{self.name}: {answer['error']}{self._said()}")
        return answer, found

    def _said(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        self._log.seek(0, os.SEEK_END)
        return "\n" + "\n".join(lines[-30:]) if lines else ""


def python_with(library: str | None, peers: Path) -> Path:
    """The Python of the peers' environment where that has `library`, else this one, which has torch for training."""
    if library is None:
        return Path(sys.executable)
    candidate = peers / "bin" / "python"
    ask = f"import importlib.util as u, sys; sys.exit(u.find_spec({library!r}) is None)"
    if candidate.exists() and subprocess.run([str(candidate), "-c", ask], cwd=peers).returncode == 0:
        return candidate
    return Path(sys.executable)
