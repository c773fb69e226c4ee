"""Series in NumPy files: .npz with or without labels, .npy without. Pickled objects are refused."""

from __future__ import annotations

import lzma
import math
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from gatewise.data.series import Series, series_of
from gatewise.data.series_rows import SeriesRows
from gatewise.errors import DataError, InputError, counted, quote
from gatewise.kernels.ragged import starts_of
from gatewise.types import LabelType

_MAX_BYTES = 4 << 30  # of all arrays
# What zipfile and NumPy raise for a damaged file.
_DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    lzma.LZMAError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_npz(path: str | Path, layout: str | None = None) -> SeriesRows:
    """An .npz file with the series in one of two forms, and labels (n,), called `y` or `labels`, or none.

    Series of equal length: `X` or `inputs`, (n, steps) or (n, steps, channels); layout: see `gatewise.data.series`.
    Series of different lengths: concatenated `values (N, channels)` and `lengths (n,)` with sum N. Labels that are
    strings, whole numbers or booleans are classes, floating-point numbers mean regression. Sizes are checked before
    anything is read. Raises DataError with the file and the array.
    """
    file = Path(path).expanduser()
    arrays = _arrays(file)

    def refuse(message: str) -> NoReturn:
        raise DataError(f"{quote(file, 200)}: {message}")

    def one_of(*names: str) -> str | None:
        found = [name for name in names if name in arrays]
        if len(found) > 1:
            refuse(f"has both {quote(found[0])} and {quote(found[1])}")
        return found[0] if found else None

    name, label = one_of("X", "inputs", "values"), one_of("y", "labels")
    if name is None or (name == "values" and "lengths" not in arrays):
        refuse(f"must have X, inputs, or values with lengths; it has {', '.join(map(quote, sorted(arrays)))}")
    labels = None if label is None else arrays[label]
    if labels is not None and (labels.ndim != 1 or labels.dtype.kind not in "fiuUb"):
        refuse(f"{label} must be (n,) numbers or strings, got {labels.shape} {labels.dtype}")
    values = arrays[name]
    try:
        if name == "values":
            if values.dtype.kind not in "fiu" or values.ndim != 2:
                refuse("values must be numbers, (N, channels)")
            inputs = _ragged(file, values, arrays["lengths"])
        else:
            inputs = series_of(values, layout)
    except InputError as error:
        refuse(f"{name}: {error}")
    if labels is not None and len(labels) != len(inputs):
        refuse(f"{len(inputs)} series and {counted(len(labels), 'label')}; want equal numbers")
    if not inputs:
        refuse("has no series")
    if labels is None or labels.dtype.kind == "f":
        if labels is not None and not np.isfinite(labels).all():
            refuse(f"{label}: row {int(np.argwhere(~np.isfinite(labels))[0, 0])} is not finite")
        return SeriesRows(str(file), inputs, None if labels is None else labels.astype(np.float64))
    names = [str(one) for one in labels.tolist()]
    if not all(names):
        refuse(f"{label}: row {names.index('')} is an empty label")
    kinds: dict[str, LabelType] = {"i": "int", "u": "int", "b": "bool"}
    return SeriesRows(str(file), inputs, names, label_type=kinds.get(labels.dtype.kind, "str"))


def read_npy(path: str | Path, layout: str | None = None) -> SeriesRows:
    """An .npy file (n, steps) or (n, steps, channels), without labels. layout, errors: as `read_npz`."""
    file = Path(path).expanduser()
    try:
        size = file.stat().st_size
        with open(file, "rb") as opened:
            values = _array(opened, size, file, file.name)
        return SeriesRows(str(file), series_of(values, layout), None)
    except FileNotFoundError:
        raise DataError(f"{quote(file, 200)}: not found") from None
    except InputError as error:
        raise DataError(f"{quote(file, 200)}: {error}") from None
    except _DAMAGED as error:
        raise DataError(f"{quote(file, 200)}: not a valid .npy file: {error}") from None


def _ragged(file: Path, values: NDArray[Any], lengths: NDArray[Any]) -> list[Series]:
    if lengths.dtype.kind not in "iu" or lengths.ndim != 1 or (lengths < 1).any() or lengths.sum() != len(values):
        want = f"(n,) whole numbers from 1 with the sum {len(values)}, the rows of values"
        raise DataError(f"{quote(file, 200)}: lengths must be {want}")
    parts = [values[start : start + n] for start, n in zip(starts_of(lengths), lengths, strict=True)]
    return series_of(parts, "time-first")


def _arrays(file: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file. Declared sizes are compared with the actual ones before memory is allocated."""
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(file) as bundle:
            if sum(info.file_size for info in bundle.infolist()) > _MAX_BYTES:
                raise DataError(f"{quote(file, 200)}: more than {_MAX_BYTES:,} bytes")
            for info in bundle.infolist():
                with bundle.open(info) as member:
                    arrays[info.filename.removesuffix(".npy")] = _array(member, info.file_size, file, info.filename)
    except FileNotFoundError:
        raise DataError(f"{quote(file, 200)}: not found") from None
    except _DAMAGED as error:
        raise DataError(f"{quote(file, 200)}: not a valid .npz file: {error}") from None
    return arrays


def _array(opened: IO[bytes], size: int, file: Path, name: str) -> NDArray[Any]:
    """The array in an .npy file of `size` bytes."""
    version = np.lib.format.read_magic(opened)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        shape, _, dtype = read[version](opened)
    except (TypeError, MemoryError):  # of Python's parser: an unhashable key, more levels than it has room for
        raise ValueError("malformed header") from None
    if dtype.hasobject:
        raise DataError(f"{quote(file, 200)}: {quote(name)} holds Python objects: save numbers or strings")
    if math.prod(shape) * dtype.itemsize + opened.tell() != size:
        raise DataError(f"{quote(file, 200)}: {quote(name)} does not have the size that it declares")
    if size > _MAX_BYTES:
        raise DataError(f"{quote(file, 200)}: more than {_MAX_BYTES:,} bytes")
    opened.seek(0)
    return np.lib.format.read_array(opened, allow_pickle=False)
