"""The server processes of gatewise and ONNX Runtime, on the two cores of the benchmark."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from benchmarks.worker_process import ROOT, ContenderUnavailable, environment, python_with


class Server:
    """A process and the port that it listens at."""

    def __init__(self, name: str, process: subprocess.Popen[str], port: int) -> None:
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


def gatewise(model: Path, flags: Sequence[str] = (), extra: dict[str, str] | None = None) -> Server:
    """`gatewise serve` as a user starts it."""
    command = [sys.executable, "-m", "gatewise", "serve", "-m", str(model), "--port", "0", *flags]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env={**_clean(), **(extra or {})})
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r":(\d+) ", line)
    if found is None:
        raise RuntimeError(f"gatewise serve did not start: {line}{process.stderr.read()}")
    server = Server(" ".join(["gatewise", *flags]), process, int(found[1]))
    for _ in range(300):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/v2/health/ready", timeout=10).close()
            return server
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("gatewise serve is not ready after half a minute")


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


def _clean() -> dict[str, str]:
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("GATEWISE_", "OMP_", "OPENBLAS_"))
    }
