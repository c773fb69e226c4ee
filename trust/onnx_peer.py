"""`OnnxPeer`: ONNX Runtime in a process of its own, which it may crash.

`python -m trust.onnx_peer FD` is that process: it answers over the connection with this file descriptor.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from gatewise.types import Array
from trust.attack import ROOT

SECONDS = 60.0  # of an answer


class PeerCrashError(Exception):
    """ONNX Runtime has ended its process, or does not answer."""


class PeerRefusesError(Exception):
    """ONNX Runtime does not load this file, or does not take these inputs."""


class OnnxPeer:
    """ONNX Runtime without optimisations. Its process starts with the first file, and again after a crash. module:
    what runs in it.
    """

    def __init__(self, module: str = "trust.onnx_peer") -> None:
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection[Any, Any] | None = None

    def load(self, path: Path) -> None:
        """The file of the runs from now on. Raises PeerRefusesError and PeerCrashError."""
        if self._process is None:
            self._start()
        self._answer(path)

    def run(self, feed: Mapping[str, Array]) -> list[Array]:
        """The outputs of the file for these inputs. Raises PeerRefusesError and PeerCrashError."""
        outputs: list[Array] = self._answer(dict(feed))
        return outputs

    def stop(self) -> None:
        """End the process."""
        if self._process is None or self._pipe is None:
            return
        self._process.kill()
        self._process.wait()
        self._pipe.close()
        self._process = None
        self._pipe = None

    def _start(self) -> None:
        self._pipe, theirs = Pipe()
        number = theirs.fileno()
        command = [sys.executable, "-m", self._module, str(number)]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=[number], stdout=quiet, stderr=quiet)
        theirs.close()

    def _answer(self, question: Any) -> Any:
        if self._pipe is None:
            raise PeerCrashError("ONNX Runtime has crashed")
        answer = None
        with suppress(OSError, EOFError):  # it has ended
            self._pipe.send(question)
            if self._pipe.poll(SECONDS):
                answer = self._pipe.recv()
        if answer is None:
            self.stop()
            raise PeerCrashError("ONNX Runtime has crashed")
        outputs, refusal = answer
        if refusal is not None:
            raise PeerRefusesError(refusal)
        return outputs


def _serve(pipe: Connection[Any, Any]) -> None:
    """Answer paths of files and inputs with outputs, or with the reason why there are none."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session: Any = None
    while True:
        question = pipe.recv()
        try:
            if isinstance(question, Path):
                session = onnxruntime.InferenceSession(question, options, providers=["CPUExecutionProvider"])
                pipe.send(([], None))
            else:
                pipe.send((session.run(None, question), None))
        except Exception as error:  # ONNX Runtime has its own classes
            pipe.send(([], str(error)))


if __name__ == "__main__":
    with suppress(EOFError):  # the attack has ended
        _serve(Connection(int(sys.argv[1])))
