"""Where the arrays of an HDF5 file lie in its bytes.

libhdf5, a C library, is not made for hostile files: a damaged one may crash it or make it hang. It runs in a process of
its own, with limits on address space, CPU time and wall time, and returns shapes, dtypes and offsets only. The arrays
are read from the bytes of the file, without libhdf5.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gatewise.errors import MissingExtra, ModelFileError, quote
from gatewise.storage.strict_json import parse_json
from gatewise.system import exceeded_cpu_time
from gatewise.types import Array

CPU_SECONDS = 20
WALL_SECONDS = 120  # several times CPU_SECONDS, for a busy machine
MEMORY = 2 << 30  # bytes of address space beyond the file itself; Python, NumPy and h5py take a few hundred MB
MAX_ANSWER = 1 << 20
_SCRIPT = Path(__file__).with_name("hdf5_process.py")
_DTYPES = ("<f2", "<f4", "<f8", ">f2", ">f4", ">f8")


@dataclass(frozen=True)
class StoredArray:
    """An array of floats that lies in one piece in a file. offset: in bytes from the start of the file."""

    shape: tuple[int, ...]
    dtype: str
    offset: int

    @property
    def end(self) -> int:
        return self.offset + math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def read(self, raw: bytes) -> Array:
        """A copy of its numbers, in this machine's byte order. raw: the file."""
        flat = np.frombuffer(raw, self.dtype, math.prod(self.shape), self.offset)
        return flat.reshape(self.shape).astype(np.dtype(self.dtype).newbyteorder("="))

    def write(self, raw: bytearray, array: Array) -> None:
        """Replaces its numbers in the file `raw`. array: of the same shape."""
        assert array.shape == self.shape, f"{array.shape} for {self.shape}"
        raw[self.offset : self.end] = array.astype(self.dtype).tobytes()


def read_index(
    raw: bytes, where: str, arrays: Sequence[str], texts: Sequence[str] = ()
) -> tuple[list[StoredArray], list[str | None]]:
    """The places of `arrays` in the HDF5 file `raw`, and its text attributes `texts`, None for one that is absent.

    arrays: paths. texts: "group/attribute". where: what messages call the file. Raises ModelFileError for a file
    that is damaged, crashes libhdf5 or exceeds the limits, and for an array that is missing, empty, a link, compressed
    or not of floats; MissingExtra without h5py.
    """
    if importlib.util.find_spec("h5py") is None:
        raise MissingExtra("h5py", "keras", "reading a .keras file")
    answer = parse_json(_run(raw, where, json.dumps([[*arrays], [*texts]])), f"{where}: index", max_bytes=MAX_ANSWER)
    if "error" in answer:
        raise ModelFileError(f"{where}: {answer['error']}")
    found = [StoredArray(tuple(shape), dtype, offset) for shape, dtype, offset in answer["arrays"]]
    for path, one in zip(arrays, found, strict=True):
        if one.dtype not in _DTYPES or min((one.offset, *one.shape)) < 0 or one.end > len(raw):
            raise ModelFileError(f"{where}: {path} does not lie inside the file")
    return found, answer["texts"]


def _run(raw: bytes, where: str, request: str) -> bytes:
    """What the process prints."""
    limits = (len(raw), len(raw) + MEMORY, CPU_SECONDS)
    command = [sys.executable, "-P", str(_SCRIPT), *map(str, limits), request]
    path = os.pathsep.join(folder for folder in sys.path if folder)  # h5py from where this process would import it
    env = {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}  # each thread reserves address space
    try:
        done = subprocess.run(command, input=raw, capture_output=True, timeout=WALL_SECONDS, env=env)
    except subprocess.TimeoutExpired as error:
        raise ModelFileError(f"{where}: libhdf5 took more than {WALL_SECONDS} seconds to read it") from error
    except OSError as error:
        raise ModelFileError(f"{where}: the process that reads it does not start: {quote(error)}") from error
    if done.returncode == 0:
        return done.stdout
    if exceeded_cpu_time(done.returncode):
        raise ModelFileError(f"{where}: libhdf5 took more than {CPU_SECONDS} seconds of CPU time to read it")
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
    reason = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    raise ModelFileError(f"{where}: libhdf5 crashed on it ({', '.join([reason, *map(quote, last)])})")
