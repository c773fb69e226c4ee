"""The C++ extension in a process of its own, which may run on an emulated processor."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from functools import partial
from threading import Lock
from typing import Any

import numpy as np


class Extension:
    """Has the functions of `gatewise.kernels._native`; `command` is the program of main.cpp, which describes the pipe.

    A function gets copies of its arrays. What it writes to is copied back. Errors of C++ are RuntimeErrors.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._lock = Lock()
        for name in self._call("functions"):
            setattr(self, name, partial(self._call, name))

    def close(self) -> None:
        """End the program."""
        self._process.communicate(timeout=60)

    def _call(self, name: str, *arguments: Any) -> Any:
        request = [_text(name), _number(len(arguments)), *map(_encoded, arguments)]
        with self._lock:
            assert self._process.stdin is not None
            self._process.stdin.write(b"".join(request))
            self._process.stdin.flush()
            kind = self._read(1)
            if kind == b"e":
                raise RuntimeError(self._string())
            count = 1 if kind == b"v" else self._integer()
            results = tuple(self._value(arguments) for _ in range(count))
            for _ in range(self._integer()):
                at = self._integer()
                arguments[at][...] = self._value()
        return results[0] if kind == b"v" else results

    def _read(self, size: int) -> bytes:
        assert self._process.stdout is not None
        data = self._process.stdout.read(size)
        if len(data) < size:
            raise RuntimeError(f"{self._process.args} ended with exit code {self._process.wait()}")
        return data

    def _integer(self) -> int:
        (number,) = struct.unpack("<q", self._read(8))
        return int(number)

    def _string(self) -> str:
        return self._read(self._integer()).decode()

    def _value(self, arguments: Sequence[Any] = ()) -> Any:
        kind = self._read(1)
        if kind == b"a":
            dtype = np.dtype(self._string())
            shape = [self._integer() for _ in range(self._integer())]
            data = bytearray(self._read(dtype.itemsize * int(np.prod(shape))))
            return np.frombuffer(data, dtype).reshape(shape)
        if kind == b"g":
            return arguments[self._integer()]
        if kind == b"d":
            return struct.unpack("<d", self._read(8))[0]
        return {b"n": lambda: None, b"i": self._integer, b"s": self._string}[kind]()


def _number(value: int) -> bytes:
    return struct.pack("<q", value)


def _text(value: str) -> bytes:
    return _number(len(value.encode())) + value.encode()


def _encoded(value: Any) -> bytes:
    if value is None:
        return b"n"
    if isinstance(value, str):
        return b"s" + _text(value)
    if isinstance(value, np.ndarray):
        assert value.flags.c_contiguous
        head = _text(f"{value.dtype.kind}{value.dtype.itemsize}") + _number(value.ndim)
        return b"a" + head + b"".join(map(_number, value.shape)) + value.tobytes()
    if isinstance(value, float | np.floating):
        return b"d" + struct.pack("<d", value)
    return b"i" + _number(int(value))
