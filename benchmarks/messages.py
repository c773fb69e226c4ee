"""Messages between the parent and a worker over a pipe: a JSON object and named arrays, without pickle.

A message is the length of the JSON part (8 bytes), the JSON, the length of the array part (8 bytes), and the arrays in
NumPy's .npz format.
"""

from __future__ import annotations

import io
import json
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


class ConnectionClosed(Exception):
    """The other process has ended."""


def send(stream: BinaryIO, head: dict[str, Any], arrays: Arrays | None = None) -> None:
    """Write and flush one message. Raises ConnectionClosed if the reader has ended."""
    packed = io.BytesIO()
    if arrays:
        np.savez(packed, allow_pickle=False, **arrays)
    try:
        for part in (json.dumps(head).encode(), packed.getvalue()):
            stream.write(len(part).to_bytes(8, "little") + part)
        stream.flush()
    except BrokenPipeError as error:
        raise ConnectionClosed from error


def receive(stream: BinaryIO) -> tuple[dict[str, Any], Arrays]:
    """Wait for one message. Raises ConnectionClosed at the end of the stream."""
    head = json.loads(_read_part(stream))
    packed = _read_part(stream)
    if not packed:
        return head, {}
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        return head, {name: arrays[name] for name in arrays.files}


def _read_part(stream: BinaryIO) -> bytes:
    size = stream.read(8)
    if len(size) < 8:
        raise ConnectionClosed
    return stream.read(int.from_bytes(size, "little"))
