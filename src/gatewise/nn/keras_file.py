"""Reads the LSTM layers of a `.keras` file without Keras, and writes a copy of the file with other weights.

A `.keras` file is a zip archive: `config.json` lists the layers and `model.weights.h5` holds their arrays, under a path
made of each layer's class and its number among layers of that class. No code in the file is executed. Only arrays of
LSTM layers are read, each after a check of its size against the config; links out of the file are rejected.

libhdf5 parses `model.weights.h5` in a process of its own, with limits (`gatewise.storage.hdf5`).
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.errors import InputError, ModelFileError, quote
from gatewise.storage import parse_json, write_atomic
from gatewise.storage.hdf5 import StoredArray, read_index
from gatewise.types import Array

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MAX_BYTES = 4 << 30  # of all files of the archive together, unpacked
MAX_CONFIG = 16 << 20  # of config.json, unpacked
MAX_RATIO = 20  # of all files unpacked to the archive; Keras stores its files uncompressed
MAX_MEMBERS = 10_000
CONTAINERS = {"Sequential": "sequential", "Functional": "functional", "Model": "functional"}
KINDS = {"LSTM": "lstm", "Bidirectional": "bidirectional"}


@dataclass(frozen=True)
class KerasLayer:
    """An LSTM or Bidirectional(LSTM) layer: its name, its config and the path of its arrays in the file."""

    name: str
    kind: str  # "LSTM" or "Bidirectional"
    config: dict[str, Any]
    path: str

    @property
    def groups(self) -> list[str]:
        """The HDF5 groups of the arrays, forward first."""
        inner = ("forward_layer/", "backward_layer/") if self.kind == "Bidirectional" else ("",)
        return [f"{self.path}/{part}cell/vars" for part in inner]


def lstm_layers(path: str | Path) -> list[KerasLayer]:
    """The LSTM layers of a `.keras` file, in the model's order. Raises ModelFileError for another or a damaged file."""
    with _opened(path) as archive:
        config = parse_json(_member(archive, path, CONFIG), f"{path}: {CONFIG}")
    if not isinstance(config, dict):
        raise ModelFileError(f"{path}: {CONFIG} does not describe a model")
    return list(_walk(config, ""))


def read_arrays(path: str | Path, layer: KerasLayer, units: int, bias: bool) -> list[list[Array]]:
    """For each direction of `layer`: kernel (D, 4H), recurrent kernel (H, 4H) and, with `bias`, bias (4H,)."""
    with _opened(path) as archive:
        raw = _member(archive, path, WEIGHTS)
    places = _places(raw, path, layer, 3 if bias else 2)
    return [_checked_cell(raw, path, cell, units, places[cell], layer) for cell in layer.groups]


def write_arrays(source: str | Path, target: str | Path, layer: KerasLayer, arrays: list[list[Array]]) -> None:
    """Copy the `.keras` file `source` to `target` with other arrays, of equal shapes, in `layer`.

    Everything else is copied unchanged. `target` may be `source`, which is replaced once the copy is complete.
    """
    out = io.BytesIO()
    with _opened(source) as archive:
        raw = _member(archive, source, WEIGHTS)
        places = _places(raw, source, layer, len(arrays[0]))
        changed = bytearray(raw)
        for cell, given in zip(layer.groups, arrays, strict=True):
            for place, array in zip(places[cell], given, strict=True):
                if place.shape != array.shape:
                    name = f"layer {quote(layer.name)}"
                    raise InputError(f"{source}: {name} holds {place.shape}, the weights are {array.shape}")
                place.write(changed, array)
        with zipfile.ZipFile(out, "w") as copy:
            for info in archive.infolist():
                kept = bytes(changed) if info.filename == WEIGHTS else _member(archive, source, info.filename)
                copy.writestr(info, kept)
    write_atomic(Path(target), out.getvalue())


def _walk(config: dict[str, Any], inside: str) -> Iterator[KerasLayer]:
    """LSTM layers of a model and of the models in it. Keras numbers the layers of each class within their model."""
    inner = config.get("config")
    layers = inner.get("layers") if isinstance(inner, dict) else None
    if not isinstance(layers, list):
        return
    seen: dict[str, int] = {}
    for layer in layers:
        kind = layer.get("class_name") if isinstance(layer, dict) else None
        own = layer.get("config") if isinstance(layer, dict) else None
        if not isinstance(kind, str) or not isinstance(own, dict):
            raise ModelFileError(f"{CONFIG}: a layer without a class or a config")
        snake = (KINDS | CONTAINERS).get(kind)
        if snake is None:
            continue
        number = seen[snake] = seen.get(snake, -1) + 1
        path = f"{inside}layers/{snake}" + (f"_{number}" if number else "")
        if kind in CONTAINERS:
            yield from _walk(layer, f"{path}/")
        elif layer.get("registered_name") is not None:
            continue  # a custom class with this name
        elif kind == "LSTM" or _class_of(own.get("layer")) == "LSTM":
            yield KerasLayer(str(own.get("name", snake)), kind, own, path)


def _class_of(config: Any) -> Any:
    return config.get("class_name") if isinstance(config, dict) else None


def _opened(path: str | Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise ModelFileError(f"{path}: there is no such file") from error
    except (OSError, zipfile.BadZipFile) as error:
        raise ModelFileError(f"{path}: not a .keras file: {quote(error)}") from error
    names = archive.namelist()
    if len(names) > MAX_MEMBERS or len(set(names)) < len(names):
        archive.close()
        raise ModelFileError(f"{path}: not a .keras file: {len(names)} files in it, {len(set(names))} names")
    total, stored = (sum(getattr(one, size) for one in archive.infolist()) for size in ("file_size", "compress_size"))
    limit = min(MAX_BYTES, MAX_RATIO * stored + MAX_CONFIG)
    if total > limit:
        archive.close()
        raise ModelFileError(f"{path}: its files have {total:,} bytes unpacked, more than the {limit:,} allowed")
    return archive


def _member(archive: zipfile.ZipFile, path: str | Path, name: str) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        raise ModelFileError(f"{path}: not a .keras file: {name} is missing") from error
    limit = MAX_CONFIG if name == CONFIG else MAX_BYTES
    if info.file_size > limit:
        raise ModelFileError(f"{path}: {name} has {info.file_size:,} bytes, more than the {limit:,} allowed")
    try:
        with archive.open(info) as file:
            raw = file.read(info.file_size + 1)  # not more than the directory says, which `_opened` has bounded
        if len(raw) != info.file_size:
            raise zipfile.BadZipFile(f"{info.file_size:,} bytes expected")
        return raw
    except (OSError, RuntimeError, NotImplementedError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelFileError(f"{path}: {name} is damaged: {quote(error)}") from error


def _places(raw: bytes, path: str | Path, layer: KerasLayer, count: int) -> dict[str, list[StoredArray]]:
    """By group of `layer`, where its first `count` arrays lie in `raw`.

    Keras stores each layer's name with its arrays (older versions do not); it must agree with the config.
    """
    names = [f"{cell}/{n}" for cell in layer.groups for n in range(count)]
    found, [stored] = read_index(raw, f"{path}: {WEIGHTS}", names, [f"{layer.path}/vars/name"])
    if stored not in (None, layer.name):
        raise ModelFileError(f"{path}: {layer.path} is {quote(stored)} in {WEIGHTS}, {quote(layer.name)} in {CONFIG}")
    return {cell: found[n * count : (n + 1) * count] for n, cell in enumerate(layer.groups)}


def _checked_cell(
    raw: bytes, path: str | Path, cell: str, units: int, places: list[StoredArray], layer: KerasLayer
) -> list[Array]:
    inputs = places[0].shape[0] if len(places[0].shape) == 2 else 0
    shapes = ((inputs, 4 * units), (units, 4 * units), (4 * units,))[: len(places)]
    for n, (place, shape) in enumerate(zip(places, shapes, strict=True)):
        if place.shape != shape:
            raise ModelFileError(f"{path}: {cell}/{n}: expected {shape}, got {place.shape}")
    arrays = [place.read(raw) for place in places]
    for n, array in enumerate(arrays):
        if not np.isfinite(array).all():
            raise ModelFileError(f"{path}: {cell}/{n} holds numbers that are not finite (layer {quote(layer.name)})")
    return arrays
