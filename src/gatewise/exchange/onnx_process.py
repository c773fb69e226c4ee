"""ONNX Runtime in a child process, with limits of time and memory: the graph of a stranger's file runs there. So does
the reference evaluator of the ONNX project, which computes in float64 what ONNX Runtime does not.

The child reads requests from its standard input and answers on its standard output. A message is the length of a JSON
header, the header, and the bytes of the arrays that it describes; nothing is unpickled on either side.

Linux: the child may add MEMORY bytes, and some for the file, to its address space. Other systems have no such limit
that can be relied on; there the time alone is limited.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import IO, Any, Self

import numpy as np

from gatewise.errors import InputError, ModelFileError, quote, required
from gatewise.system.processes import can_limit_memory, limit_process
from gatewise.types import Array

START_SECONDS = 120.0  # to start the process and open the file
SECONDS = 60.0  # of one run
TOTAL_SECONDS = 600.0  # of all runs of one file
MEMORY = 2 << 30  # bytes
_RESULT = 1 << 30  # bytes of the arrays of one answer
_HEADER = 8  # bytes of the length of a header
_CODE = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from gatewise.exchange.onnx_process import serve
serve()
"""


class Engine(StrEnum):
    """What computes a file."""

    RUNTIME = "ONNX Runtime"
    REFERENCE = "the reference evaluator of ONNX"


class OnnxProcess:
    """A session of ONNX Runtime with the file `raw`. inputs: name, type and shape of each, as ONNX Runtime tells them;
    empty for the other engine. where: names the file in messages. optimize: let ONNX Runtime change the graph.

    Raises MissingExtra without onnxruntime, ModelFileError where it does not open the file, or not within the limits.
    """

    def __init__(self, raw: bytes, where: str, optimize: bool = True, engine: Engine = Engine.RUNTIME) -> None:
        required("onnxruntime", "onnx", "the ONNX format")
        self._where = where
        self._engine = engine
        self._left = TOTAL_SECONDS
        command = [sys.executable, "-c", _CODE, json.dumps([path for path in sys.path if path])]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            raise ModelFileError(f"{where}: a process to run it cannot be started: {quote(error)}") from error
        try:
            file = np.frombuffer(raw, np.uint8)
            memory = MEMORY + 8 * len(raw)
            settings = {"optimize": optimize, "memory": memory, "seconds": int(TOTAL_SECONDS), "engine": engine}
            answer, _ = self._ask(settings, {"file": file}, START_SECONDS)
        except InputError as error:
            self.close()
            raise ModelFileError(str(error)) from error
        if "error" in answer:
            self.close()
            raise ModelFileError(f"{where}: {engine} does not open it: {quote(answer['error'], 200)}")
        self.inputs: list[tuple[str, str, list[Any]]] = [(name, kind, shape) for name, kind, shape in answer["inputs"]]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        with suppress(Exception):  # at the end of the interpreter its modules are gone
            self.close()

    def run(self, feed: Mapping[str, Array], outputs: Sequence[str] = ()) -> dict[str, Array]:
        """The outputs by name; those that are no arrays of numbers are left out. outputs: their names, all if empty.
        Raises InputError where the graph does not run, or not within the limits.
        """
        answer, arrays = self._ask({"outputs": list(outputs)}, feed, min(SECONDS, self._left))
        if "error" in answer:
            raise InputError(f"{self._where}: it does not run: {quote(answer['error'], 200)}")
        return arrays

    def close(self) -> None:
        """End the process."""
        process = getattr(self, "_process", None)
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                pipe.close()

    def _ask(
        self, header: dict[str, Any], arrays: Mapping[str, Array], limit: float
    ) -> tuple[dict[str, Any], dict[str, Array]]:
        """The answer to a message. limit: seconds after which the process is ended."""
        stopped = threading.Event()

        def stop() -> None:
            stopped.set()
            self._process.kill()

        timer = threading.Timer(limit, stop)
        timer.daemon = True
        start = time.monotonic()
        timer.start()
        try:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            _send(self._process.stdin, header, arrays)
            return _receive(self._process.stdout)
        except (OSError, EOFError):
            self._process.wait()
        finally:
            timer.cancel()
            self._left = max(0.0, self._left - (time.monotonic() - start))
        if stopped.is_set():
            raise InputError(f"{self._where}: {self._engine} was stopped after {limit:g} s")
        limits = f"more than {MEMORY >> 30} GiB of memory" if can_limit_memory() else "too much memory"
        raise InputError(f"{self._where}: {self._engine} ended without an answer; it may need {limits}")


def serve() -> None:
    """The child process: open the file of the first message, and answer requests until the input ends."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    settings, arrays = _receive(requests)
    opened = _opened_by_reference if settings["engine"] == Engine.REFERENCE else _opened_by_runtime
    try:
        session, inputs, outputs = opened(arrays["file"].tobytes(), settings)
    except Exception as error:  # ONNX Runtime has its own
        _send(answers, {"error": str(error)[:500]}, {})
        return
    _send(answers, {"inputs": inputs}, {})
    del arrays
    while True:
        try:
            request, feed = _receive(requests)
        except EOFError:
            return
        try:
            names = request["outputs"] or outputs
            values = dict(zip(names, session.run(names, feed), strict=True))
            found = {
                name: one for name, one in values.items() if isinstance(one, np.ndarray) and one.dtype.kind in "biuf"
            }
            if sum(one.nbytes for one in found.values()) > _RESULT:
                raise MemoryError(f"its values have more than {_RESULT >> 30} GiB")
        except Exception as error:
            _send(answers, {"error": str(error)[:500] or type(error).__name__}, {})
        else:
            _send(answers, {}, found)


_Opened = tuple[Any, list[Any], list[str]]
"""A session, what it tells of its inputs, and the names of its outputs."""


def _opened_by_runtime(raw: bytes, settings: Mapping[str, Any]) -> _Opened:
    import onnxruntime

    limit_process(settings["memory"], settings["seconds"])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its errors are exceptions, too
    options.enable_cpu_mem_arena = False  # which would double what it takes
    if not settings["optimize"]:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(raw, options, ["CPUExecutionProvider"])
    inputs = [[value.name, value.type, list(value.shape)] for value in session.get_inputs()]
    return session, inputs, [value.name for value in session.get_outputs()]


def _opened_by_reference(raw: bytes, settings: Mapping[str, Any]) -> _Opened:
    from gatewise.exchange.onnx_reference import evaluator

    limit_process(settings["memory"], settings["seconds"])
    session = evaluator(raw)
    return session, [], list(session.output_names)


def _send(pipe: IO[bytes], header: dict[str, Any], arrays: Mapping[str, Array]) -> None:
    described: list[list[Any]] = []
    parts: list[Array] = []
    for name, array in arrays.items():
        if array.dtype.kind in "OU":  # texts are part of the header
            described.append([name, "str", list(array.shape), array.ravel().tolist()])
        else:
            contiguous = np.ascontiguousarray(array)
            described.append([name, contiguous.dtype.str, list(array.shape), None])
            parts.append(contiguous)
    packed = json.dumps({**header, "arrays": described}).encode()
    pipe.write(len(packed).to_bytes(_HEADER, "big") + packed)
    for part in parts:
        pipe.write(part.reshape(-1).view(np.uint8).data)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Raises EOFError where the other side has ended."""
    header = json.loads(_read(pipe, int.from_bytes(_read(pipe, _HEADER), "big")))
    arrays: dict[str, Array] = {}
    for name, kind, shape, texts in header.pop("arrays"):
        if kind == "str":
            arrays[name] = np.array(texts, dtype=object).reshape(shape)
        else:
            dtype = np.dtype(kind)
            count = int(np.prod(shape, dtype=np.int64))
            arrays[name] = np.frombuffer(_read(pipe, count * dtype.itemsize), dtype).reshape(shape)
    return header, arrays


def _read(pipe: IO[bytes], count: int) -> bytes:
    raw = pipe.read(count)
    if len(raw) != count:
        raise EOFError
    return raw
