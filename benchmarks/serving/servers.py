"""The server processes of gatewise and ONNX Runtime, on the two cores of the benchmark."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.worker_process import ROOT, ContenderUnavailable, environment, python_with
from trust import server


class Server:
    """A process and the port that it listens at."""

    def __init__(self, name: str, process: subprocess.Popen[Any], port: int) -> None:
        self.name, self.process, self.port = name, process, port

    @property
    def cpu(self) -> float:
        """CPU seconds so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """Send SIGTERM and wait."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def use_two_cores() -> list[int]:
    """Pin this process and its children to the first two cores that it may use."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, cores)
    return cores


def gatewise(model: Path, flags: Sequence[str] = ()) -> Server:
    """`gatewise serve` as a user starts it, ready."""
    found = server.Server(model, *flags)
    return Server(" ".join(["gatewise", *flags]), found.process, found.port)


def onnx(folder: Path, way: str, threads: int) -> Server:
    """ONNX Runtime, in the environment of the other libraries. Raises ContenderUnavailable."""
    peers = ROOT / ".venv-peers"
    python = python_with("onnxruntime", peers)
    probe = subprocess.run([str(python), "-c", "import onnxruntime, fastapi, uvicorn, uvloop, httptools"])
    if probe.returncode:
        raise ContenderUnavailable(".venv-peers has no onnxruntime or fastapi; `make bench` installs them")
    command = [str(python), "-W", "ignore", "-m", "benchmarks.serving.onnx_server", str(folder), way, str(threads)]
    env = environment(threads, {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"})
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT, env=env)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise ContenderUnavailable(f"its server ended with exit code {process.wait()}: {shlex.join(command)}")
    port = int(line)
    time.sleep(1)
    return Server(f"ONNX Runtime, {way}, {threads} thread{'s' * (threads > 1)}", process, port)
