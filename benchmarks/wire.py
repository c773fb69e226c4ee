"""Messages between the parent and a worker, over a pipe: a JSON object and named arrays, nothing that could be code.

A message is the length of its JSON part (8 bytes), that part, the length of the arrays' part (8 bytes), and that part,
in NumPy's .npz format without pickle.
"""

from __future__ import annotations

import io
import json
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


class Closed(Exception):
    """The other side is gone."""


def send(stream: BinaryIO, head: dict[str, Any], arrays: Arrays | None = None) -> None:
    """Write one message and flush it. Raises Closed where nobody reads."""
    packed = io.BytesIO()
    if arrays:
        np.savez(packed, allow_pickle=False, **arrays)
    try:
        for part in (json.dumps(head).encode(), packed.getvalue()):
            stream.write(len(part).to_bytes(8, "little") + part)
        stream.flush()
    except BrokenPipeError as error:
        raise Closed from error


def receive(stream: BinaryIO) -> tuple[dict[str, Any], Arrays]:
    """Wait for one message. Raises Closed at the end of the stream."""
    head = json.loads(_part(stream))
    packed = _part(stream)
    if not packed:
        return head, {}
    with np.load(io.BytesIO(packed), allow_pickle=False) as found:
        return head, {name: found[name] for name in found.files}


def _part(stream: BinaryIO) -> bytes:
    size = stream.read(8)
    if len(size) < 8:
        raise Closed
    part = stream.read(int.from_bytes(size, "little"))
    return part
