"""Damaged HDF5 files, as in a `.keras` file."""

from __future__ import annotations

import importlib.util
import io
from functools import cache
from pathlib import Path

import numpy as np

from gatewise.errors import ModelFileError
from gatewise.storage.hdf5 import StoredArray, read_index
from trust.attack import Attack
from trust.mutate import Rng, change_bytes

ARRAYS = {f"layers/lstm/cell/vars/{n}": shape for n, shape in enumerate([(3, 16), (4, 16), (16,)])}
NAME = "layers/lstm/vars/name"


@cache
def _file() -> bytes:
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for path, shape in ARRAYS.items():
            file.create_dataset(path, data=np.ones(shape, np.float32))
        file.create_group("layers/lstm/vars").attrs["name"] = "first"
    return stream.getvalue()


@cache
def _places() -> list[StoredArray]:
    return read_index(_file(), "file", list(ARRAYS), [NAME])[0]


def _attempt(rng: Rng, folder: Path) -> str | None:
    raw = _changed_metadata(rng) if rng.random() < 0.7 else change_bytes(rng, _file())
    try:
        places, _ = read_index(raw, "file", list(ARRAYS), [NAME])
    except ModelFileError as error:
        return None if str(error).isprintable() else f"several lines: {error}"
    for place in places:
        if place.read(raw).shape != place.shape:
            return f"{place} is not in the file"
    return None


def _changed_metadata(rng: Rng) -> bytes:
    """Other values for one to four bytes that are neither zero nor a number of an array."""
    raw = bytearray(_file())
    inside = [range(place.offset, place.end) for place in _places()]
    candidates = [at for at, byte in enumerate(raw) if byte and not any(at in one for one in inside)]
    for at in rng.choice(candidates, int(rng.integers(1, 5))):
        raw[at] = rng.integers(256)
    return bytes(raw)


def _unavailable() -> str:
    return "" if importlib.util.find_spec("h5py") else "h5py is not installed"


HDF5_FILES = Attack(
    "hdf5-files",
    "An HDF5 file, as in a .keras file, gives arrays that lie inside it or is refused in one line, also where it "
    "crashes libhdf5 or makes it hang.",
    "changed metadata and other bytes",
    10,
    3_000,
    _attempt,
    _places,
    _unavailable,
    seconds=180.0,
)
