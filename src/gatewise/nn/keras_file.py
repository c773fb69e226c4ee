"""Reads the LSTM layers of a `.keras` file without Keras, and writes a copy of the file with other weights.

A `.keras` file is a zip archive: `config.json` lists the layers and `model.weights.h5` holds their arrays, under a path
made of each layer's class and its number among layers of that class. No code in the file is executed. Only arrays of
LSTM layers are read, each after a check of its size against the config; links out of the file are rejected.

h5py parses `model.weights.h5` with libhdf5, a C library that is not made for hostile files (SECURITY.md).
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

from gatewise.errors import InputError, MissingExtra, ModelFileError, quote
from gatewise.storage import parse_json, write_atomic
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
    with _h5(raw, path, "r") as file:
        return [_checked_cell(file, path, cell, units, bias, layer) for cell in layer.groups]


def write_arrays(source: str | Path, target: str | Path, layer: KerasLayer, arrays: list[list[Array]]) -> None:
    """Copy the `.keras` file `source` to `target` with other arrays, of equal shapes, in `layer`.

    Everything else is copied unchanged. `target` may be `source`, which is replaced once the copy is complete.
    """
    out = io.BytesIO()
    with _opened(source) as archive:
        raw = io.BytesIO(_member(archive, source, WEIGHTS))
        with _h5(raw, source, "r+") as file:
            for cell, given in zip(layer.groups, arrays, strict=True):
                old = [_dataset(file, source, cell, n) for n in range(len(given))]
                for dataset, array in zip(old, given, strict=True):
                    if dataset.shape != array.shape:
                        name = f"layer {quote(layer.name)}"
                        raise InputError(f"{source}: {name} holds {dataset.shape}, the weights are {array.shape}")
                for dataset, array in zip(old, given, strict=True):
                    dataset[...] = array.astype(dataset.dtype)
        with zipfile.ZipFile(out, "w") as copy:
            for info in archive.infolist():
                kept = raw.getvalue() if info.filename == WEIGHTS else _member(archive, source, info.filename)
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


def _h5(raw: bytes | io.BytesIO, path: str | Path, mode: str) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtra("h5py", "keras", "reading a .keras file") from error
    try:
        return h5py.File(io.BytesIO(raw) if isinstance(raw, bytes) else raw, mode)
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelFileError(f"{path}: {WEIGHTS} is damaged: {quote(error)}") from error


def _checked_cell(file: Any, path: str | Path, cell: str, units: int, bias: bool, layer: KerasLayer) -> list[Array]:
    _check_name(file, path, layer)
    count = 3 if bias else 2
    datasets = [_dataset(file, path, cell, n) for n in range(count)]
    inputs = datasets[0].shape[0] if len(datasets[0].shape) == 2 else 0
    shapes = ((inputs, 4 * units), (units, 4 * units), (4 * units,))[:count]
    for n, (dataset, shape) in enumerate(zip(datasets, shapes, strict=True)):
        if dataset.shape != shape:
            raise ModelFileError(f"{path}: {cell}/{n}: expected {shape}, got {dataset.shape}")
    arrays = [np.asarray(dataset[()]) for dataset in datasets]
    for n, array in enumerate(arrays):
        if not np.isfinite(array).all():
            raise ModelFileError(f"{path}: {cell}/{n} holds numbers that are not finite (layer {quote(layer.name)})")
    return arrays


def _check_name(file: Any, path: str | Path, layer: KerasLayer) -> None:
    """Keras stores each layer's name with its arrays; it must agree with the config."""
    try:
        stored = file[f"{layer.path}/vars"].attrs.get("name", layer.name)
    except (KeyError, OSError, RuntimeError, ValueError):
        return  # older files have no name
    if stored != layer.name:
        raise ModelFileError(f"{path}: {layer.path} is {quote(stored)} in {WEIGHTS}, {quote(layer.name)} in {CONFIG}")


def _dataset(file: Any, path: str | Path, cell: str, number: int) -> Any:
    """A dataset of floats, contiguous, uncompressed and completely inside the file."""
    import h5py

    where, node = f"{path}: {WEIGHTS}: {cell}/{number}", file
    try:
        for part in f"{cell}/{number}".split("/"):
            if not isinstance(node, h5py.Group) or part not in node:
                raise ModelFileError(f"{where} is missing")
            if not isinstance(node.get(part, getlink=True), h5py.HardLink):
                raise ModelFileError(f"{where} is a link")
            node = node[part]
        if not isinstance(node, h5py.Dataset) or node.dtype.name not in ("float16", "float32", "float64"):
            raise ModelFileError(f"{where} holds no floating-point numbers")
        if node.is_virtual or node.external or node.chunks is not None or "dtype" in node.attrs:
            raise ModelFileError(f"{where} is not kept as plain numbers in this file")
        if node.id.get_storage_size() != node.nbytes:
            raise ModelFileError(f"{where} says {node.nbytes:,} bytes and has {node.id.get_storage_size():,}")
    except (KeyError, OSError, RuntimeError, ValueError) as error:
        raise ModelFileError(f"{where} is damaged: {quote(error)}") from error
    return node
