"""The process that parses an HDF5 file with libhdf5: a script of its own, started by `gatewise.storage.hdf5`.

    python hdf5_process.py SIZE MEMORY SECONDS REQUEST < FILE

SIZE: bytes of the file. MEMORY, SECONDS: limits of its address space in bytes and of its CPU time. REQUEST: two lists
in JSON, paths of arrays and of text attributes ("group/attribute"). Prints one JSON object: {"arrays": [[shape, dtype,
offset], ...], "texts": [text or null, ...]}, or {"error": reason}. It imports `gatewise.system` alone, to start fast.
"""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import h5py

from gatewise.system import limit_this_process


class Refused(Exception):
    """The reason why an array is not read."""


def main() -> None:
    """Answer the request of the command line."""
    size, memory, seconds = (int(one) for one in sys.argv[1:4])
    arrays, texts = json.loads(sys.argv[4])
    limit_this_process(memory, seconds)
    try:
        answer = read(sys.stdin.buffer.read(size), arrays, texts)
    except Refused as reason:
        answer = {"error": str(reason)}
    except MemoryError:
        answer = {"error": f"it needs more than {memory:,} bytes of memory"}
    except Exception as error:  # h5py has exceptions of many types for a damaged file
        answer = {"error": f"damaged: {str(error)[:200]}"}
    json.dump(answer, sys.stdout)


def read(raw: bytes, arrays: list[str], texts: list[str]) -> dict[str, Any]:
    """The answer for the file `raw`."""
    with h5py.File(io.BytesIO(raw), "r") as file:
        return {"arrays": [locate(file, path) for path in arrays], "texts": [text_of(file, path) for path in texts]}


def node_at(file: Any, path: str) -> Any:
    """The group or dataset at `path`, None if there is none. A link would lead to another file or place."""
    node = file
    for part in path.split("/"):
        if not isinstance(node, h5py.Group) or part not in node:
            return None
        if not isinstance(node.get(part, getlink=True), h5py.HardLink):
            raise Refused(f"{path} is a link")
        node = node[part]
    return node


def locate(file: Any, path: str) -> list[Any]:
    """Shape, dtype and offset of an array of floats: contiguous, uncompressed and completely inside the file."""
    node = node_at(file, path)
    if node is None:
        raise Refused(f"{path} is missing")
    if not isinstance(node, h5py.Dataset) or node.dtype.name not in ("float16", "float32", "float64"):
        raise Refused(f"{path} holds no floating-point numbers")
    plain = node.id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS and not node.external
    if not plain or "dtype" in node.attrs or not node.id.get_type().equal(h5py.h5t.py_create(node.dtype)):
        raise Refused(f"{path} is not kept as plain numbers in this file")
    if not node.size:
        raise Refused(f"{path} has no elements")
    if node.id.get_storage_size() != node.nbytes:
        raise Refused(f"{path} says {node.nbytes:,} bytes and has {node.id.get_storage_size():,}")
    offset = node.id.get_offset()  # None where the file has none
    return [list(node.shape), node.dtype.str, -1 if offset is None else offset]


def text_of(file: Any, path: str) -> str | None:
    """None where there is no such attribute."""
    group, name = path.rsplit("/", 1)
    node = node_at(file, group)
    return None if node is None or name not in node.attrs else str(node.attrs[name])


if __name__ == "__main__":
    main()
